// A template as tokens: text between tags, and the words of the tags. Line ends and white space around tags are
// treated here, as Jinja does with trim_blocks and lstrip_blocks on, which is how chat templates are meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qad::jinja {

enum class TokenKind { text, output_begin, output_end, block_begin, block_end, name, string, integer, number, op, end };

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text{};  ///< of a string its contents, escapes undone
  int line = 1;
};

/// The last token is `end`. `who` is the template's name in messages. Throws Error naming the line.
[[nodiscard]] std::vector<Token> lex(std::string_view source, const std::string& who);

}  // namespace qad::jinja
