// A document before any tokenizer.
#pragma once

#include <string>

namespace qad {

struct TextDocument {
  std::string text;
  std::string prompt;  ///< goes before the text and gets no labels; may be empty
};

}  // namespace qad
