#include "data/jinja/parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/jinja/expression_parser.h"
#include "data/jinja/failure.h"

namespace qad::jinja {
namespace {

constexpr int kDeepestTags = 100;  // of statements within statements

class Parser {
 public:
  Parser(std::string_view source, const std::string& who) : tokens_(lex(source, who), who), expressions_(tokens_) {}

  Block run() {
    Block all = block({}, 0, "");
    return all;
  }

 private:
  using Ends = std::initializer_list<std::string_view>;

  // Statements up to a tag whose name is among `ends`, which stays, behind its {%; without `ends` up to the end.
  Block block(Ends ends, int opened, std::string_view opener) {
    if (++depth_ > kDeepestTags) tokens_.fail(fmt::format("tags nested at most {} deep", kDeepestTags));
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

  // The rest of a tag, and statements up to the tag `end`, whole.
  Block body_until(std::string_view end, const Statement& statement, std::string_view opener) {
    end_tag();
    Block body = block({end}, statement.line, opener);
    tokens_.take();
    end_tag();
    return body;
  }

  Statement tag() {
    const Token name = tokens_.now();
    if (name.text == "if") return branch();
    if (name.text == "for") return loop();
    if (name.text == "set") return assignment();
    if (name.text == "macro") return macro();
    if (name.text == "call") return call_block();
    if (name.text == "filter") {
      Statement statement = begin(StatementKind::filtered);
      statement.value = expressions_.block_filters(/*first_mark=*/false);
      statement.body = body_until("endfilter", statement, name.text);
      return statement;
    }
    if (name.text == "with") return scope();
    if (name.text == "generation") {
      Statement statement = begin(StatementKind::generation);
      const int loops = std::exchange(loops_, 0);  // a function of its own in Jinja
      statement.body = body_until("endgeneration", statement, name.text);
      loops_ = loops;
      return statement;
    }
    if (name.text == "break" || name.text == "continue") {
      if (loops_ == 0) tokens_.fail("a tag that may stand outside of loops");
      Statement statement = begin(name.text == "break" ? StatementKind::leave_loop : StatementKind::next_turn);
      end_tag();
      return statement;
    }
    tokens_.fail(
        "a tag among for, if, elif, else, set, macro, call, filter, with, raw, generation, break and continue, "
        "and their ends",
        kPart);
  }

  [[nodiscard]] Statement make(StatementKind kind) const {
    Statement statement;
    statement.kind = kind;
    statement.line = tokens_.now().line;
    return statement;
  }

  // Behind the tag's name.
  Statement begin(StatementKind kind) {
    Statement statement = make(kind);
    tokens_.take();
    return statement;
  }

  void end_tag() {
    static_cast<void>(tokens_.skip_op(":"));  // as Python ends such a line
    tokens_.expect(TokenKind::block_end, "an end %} of the tag");
  }

  Statement branch() {
    Statement statement = make(StatementKind::branch);
    ++expressions_.unsure;
    do {
      tokens_.take();  // if or elif
      statement.values.push_back(expressions_.expression_or_tuple(/*with_condition=*/false));
      end_tag();
      statement.arms.push_back(block({"elif", "else", "endif"}, statement.line, "if"));
    } while (tokens_.is_name("elif"));
    if (tokens_.skip_name("else")) {
      end_tag();
      statement.otherwise = block({"endif"}, statement.line, "if");
    }
    --expressions_.unsure;
    tokens_.take();
    end_tag();
    return statement;
  }

  Statement loop() {
    Statement statement = begin(StatementKind::loop);
    statement.targets.push_back(expressions_.target(/*with_attributes=*/false));
    tokens_.expect_name("in");
    statement.value = expressions_.expression_or_tuple(/*with_condition=*/false);
    if (tokens_.skip_name("if")) statement.condition = expressions_.expression();
    statement.recursive = tokens_.skip_name("recursive");
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
    statement.targets.push_back(expressions_.target(/*with_attributes=*/true));
    if (tokens_.skip_op("=")) {
      statement.value = expressions_.expression_or_tuple();
      end_tag();
      return statement;
    }
    if (!statement.targets[0].parts.empty()) tokens_.fail("'='");
    statement.kind = StatementKind::capture;
    statement.value = expressions_.block_filters(/*first_mark=*/true);
    statement.body = body_until("endset", statement, "set");
    return statement;
  }

  Statement scope() {
    Statement statement = begin(StatementKind::scope);
    while (!tokens_.is(TokenKind::block_end)) {
      if (!statement.targets.empty()) tokens_.expect_op(",");
      statement.targets.push_back(expressions_.target(/*with_attributes=*/false));
      tokens_.expect_op("=");
      statement.values.push_back(expressions_.expression());
    }
    statement.body = body_until("endwith", statement, "with");
    return statement;
  }

  Statement macro() {
    Statement statement = begin(StatementKind::macro);
    statement.text = tokens_.expect(TokenKind::name, "a macro's name").text;
    parameters(statement);
    macro_body(statement, "endmacro", "macro");
    return statement;
  }

  Statement call_block() {
    Statement statement = begin(StatementKind::call_block);
    if (tokens_.is_op("(")) parameters(statement);
    statement.value = expressions_.expression();
    if (statement.value->kind != ExprKind::call) tokens_.fail("a call in the tag 'call'");
    statement.text = "caller";
    macro_body(statement, "endcall", "call");
    return statement;
  }

  void parameters(Statement& statement) {
    tokens_.expect_op("(");
    while (!tokens_.skip_op(")")) {
      Parameter parameter;
      parameter.name = tokens_.expect(TokenKind::name, "a parameter's name").text;
      if (tokens_.skip_op("=")) parameter.otherwise = expressions_.expression();
      else if (!statement.parameters.empty() && statement.parameters.back().otherwise != nullptr)
        tokens_.fail("a default, as the parameter before has one");
      statement.parameters.push_back(std::move(parameter));
      if (!tokens_.is_op(")")) tokens_.expect_op(",");
    }
  }

  // The body and which special names it reads, without those that are parameters.
  void macro_body(Statement& statement, std::string_view end, std::string_view opener) {
    const SpecialNames around = std::exchange(expressions_.names_read, {});
    const int loops = std::exchange(loops_, 0);
    statement.body = body_until(end, statement, opener);
    loops_ = loops;
    const auto given = [&](std::string_view name) {
      return std::ranges::find(statement.parameters, name, &Parameter::name) != statement.parameters.end();
    };
    const SpecialNames read = expressions_.names_read;
    statement.reads_caller = read.caller && !given("caller");
    statement.reads_varargs = read.varargs && !given("varargs");
    statement.reads_kwargs = read.kwargs && !given("kwargs");
    expressions_.names_read = {around.caller || read.caller, around.varargs || read.varargs,
                               around.kwargs || read.kwargs};
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int depth_ = 0, loops_ = 0;
};

}  // namespace

Block parse_template(std::string_view source, const std::string& who) { return Parser(source, who).run(); }

}  // namespace qad::jinja
