// A document before any tokenizer.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace qad {

/// Bytes [begin, end) of a text.
struct TextSpan {
  std::size_t begin = 0, end = 0;
  friend bool operator==(const TextSpan&, const TextSpan&) = default;
};

struct TextDocument {
  std::string text;
  std::string prompt;  ///< goes before the text and gets no labels; may be empty
  /// What of the text is labels, in order; without it all of it is. Only without a prompt.
  std::optional<std::vector<TextSpan>> labels{};
  bool has_frame = false;  ///< start and end tokens stand in the text, where a chat template wrote them
};

}  // namespace qad
