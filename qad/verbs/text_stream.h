// Text as it comes out of a model, token by token: characters that are not whole yet wait for the tokens that end them.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace qad::verbs {

class TextStream {
 public:
  /// Both must outlive the stream.
  TextStream(const Tokenizer& tokenizer, std::ostream& out) : tokenizer_(tokenizer), out_(out) {}

  /// Writes what these ids add to the text and is certain.
  void add(const std::vector<std::int32_t>& ids);
  /// Writes the rest, a cut-off character as U+FFFD.
  void finish();

 private:
  void write_up_to(const std::string& text, std::size_t end);

  const Tokenizer& tokenizer_;
  std::ostream& out_;
  std::vector<std::int32_t> ids_;
  std::size_t written_ = 0;  ///< bytes of the whole text
};

}  // namespace qad::verbs
