#include "data/jinja/parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/jinja/expression_parser.h"

namespace qad::jinja {
namespace {

constexpr int kDeepest = 100;  ///< of statements within statements

class Parser {
 public:
  Parser(std::string_view source, const std::string& who) : tokens_(lex(source, who), who), expressions_(tokens_) {}

  Block run() {
    Block all = block({}, 0, "");
    return all;
  }

 private:
  /// Statements up to a tag whose name is among `ends`, which stays, behind its {%; without `ends` up to the end.
  Block block(std::initializer_list<std::string_view> ends, int opened, std::string_view opener) {
    if (++depth_ > kDeepest) tokens_.fail("tags nested at most 100 deep");
    Block statements;
    while (true) {
      if (tokens_.is(TokenKind::end)) {
        if (ends.size() > 0)
          tokens_.fail_at(opened, fmt::format("an {{% {} %}}", *(ends.end() - 1)),
                          fmt::format("none after the tag '{}'", opener));
        break;
      }
      if (tokens_.is(TokenKind::text)) {
        statements.push_back(make(StatementKind::text));
        statements.back().text = tokens_.take().text;
      } else if (tokens_.is(TokenKind::output_begin)) {
        tokens_.take();
        statements.push_back(make(StatementKind::output));
        statements.back().value = expressions_.expression_or_tuple();
        tokens_.expect(TokenKind::output_end, "an end }} of the tag");
      } else {
        tokens_.expect(TokenKind::block_begin, "a tag");
        if (tokens_.is(TokenKind::name) && std::ranges::find(ends, tokens_.now().text) != ends.end()) break;
        statements.push_back(tag());
      }
    }
    --depth_;
    return statements;
  }

  Statement tag() {
    const Token name = tokens_.now();
    if (name.text == "if") return branch();
    if (name.text == "for") return loop();
    if (name.text == "set") return assignment();
    if (name.text == "generation") {
      Statement statement = begin(StatementKind::generation);
      end_tag();
      statement.body = block({"endgeneration"}, name.line, name.text);
      tokens_.take();
      end_tag();
      return statement;
    }
    if (name.text == "break" || name.text == "continue") {
      if (loops_ == 0) tokens_.fail("a tag that may stand outside of loops");
      Statement statement = begin(name.text == "break" ? StatementKind::leave_loop : StatementKind::next_turn);
      end_tag();
      return statement;
    }
    tokens_.fail("a tag among for, if, elif, else, set, generation, break and continue, and their ends",
                 "qad knows a part of Jinja");
  }

  [[nodiscard]] Statement make(StatementKind kind) const {
    Statement statement;
    statement.kind = kind;
    statement.line = tokens_.now().line;
    return statement;
  }

  /// Behind the tag's name.
  Statement begin(StatementKind kind) {
    Statement statement = make(kind);
    tokens_.take();
    return statement;
  }

  void end_tag() { tokens_.expect(TokenKind::block_end, "an end %} of the tag"); }

  // if … elif … else … endif; an elif is an if of its own in the other's `otherwise`.
  Statement branch() {
    Statement statement = begin(StatementKind::branch);
    statement.value = expressions_.expression_or_tuple();
    end_tag();
    statement.body = block({"elif", "else", "endif"}, statement.line, "if");
    if (tokens_.is_name("elif")) {
      if (++depth_ > kDeepest) tokens_.fail("at most 100 elif");
      statement.otherwise.push_back(branch());
      --depth_;
      return statement;
    }
    if (tokens_.skip_name("else")) {
      end_tag();
      statement.otherwise = block({"endif"}, statement.line, "if");
    }
    tokens_.take();
    end_tag();
    return statement;
  }

  Statement loop() {
    Statement statement = begin(StatementKind::loop);
    statement.targets = targets();
    tokens_.expect_name("in");
    statement.value = expressions_.without_condition();
    if (tokens_.skip_name("if")) statement.condition = expressions_.expression();
    if (tokens_.is_name("recursive")) tokens_.fail("a loop that does not call itself");
    end_tag();
    ++loops_;
    statement.body = block({"else", "endfor"}, statement.line, "for");
    --loops_;
    if (tokens_.skip_name("else")) {
      end_tag();
      statement.otherwise = block({"endfor"}, statement.line, "for");
    }
    tokens_.take();
    end_tag();
    return statement;
  }

  Statement assignment() {
    Statement statement = begin(StatementKind::assign);
    statement.targets = targets();
    if (statement.targets.size() == 1 && tokens_.skip_op(".")) {
      statement.kind = StatementKind::assign_in;
      statement.text = tokens_.expect(TokenKind::name, "an attribute's name").text;
    }
    if (tokens_.skip_op("=")) {
      statement.value = expressions_.expression_or_tuple();
      end_tag();
      return statement;
    }
    if (statement.kind != StatementKind::assign || statement.targets.size() != 1) tokens_.fail("'='");
    statement.kind = StatementKind::capture;
    end_tag();
    statement.body = block({"endset"}, statement.line, "set");
    tokens_.take();
    end_tag();
    return statement;
  }

  /// NAME or NAME, NAME …, in brackets or not.
  std::vector<std::string> targets() {
    const bool brackets = tokens_.skip_op("(");
    std::vector<std::string> names;
    do {
      names.push_back(tokens_.expect(TokenKind::name, "a name to set").text);
    } while (tokens_.skip_op(","));
    if (brackets) tokens_.expect_op(")");
    return names;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int depth_ = 0, loops_ = 0;
};

}  // namespace

Block parse_template(std::string_view source, const std::string& who) { return Parser(source, who).run(); }

}  // namespace qad::jinja
