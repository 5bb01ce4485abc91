// Short facts for the terminal: a name and a value a line, the values aligned.
#pragma once

#include <string>
#include <vector>

namespace qad {

struct Fact {
  std::string name, value;
};

/// Each line ends in '\n'.
[[nodiscard]] std::string text_of(const std::vector<Fact>& facts);

}  // namespace qad
