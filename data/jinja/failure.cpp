#include "data/jinja/failure.h"

#include "data/files/utf8.h"

namespace qad::jinja {

std::string one_line(std::string_view text) {
  constexpr std::size_t kLongest = 400;
  std::string line;
  for (std::size_t at = 0; at < text.size(); at += utf8_length(text[at])) {
    if (at >= kLongest) return line + "…";
    const auto c = static_cast<unsigned char>(text[at]);
    line += c < 0x20 || c == 0x7f ? " " : std::string(text.substr(at, utf8_length(text[at])));
  }
  return line;
}

}  // namespace qad::jinja
