// What a template's operation says when it can't go on; whoever knows the template's line makes a qad::Error of it.
#pragma once

#include <string>

namespace qad::jinja {

struct Failure {
  std::string expected;  ///< empty when `got` is a whole sentence
  std::string got;
  std::string hint{};
};

}  // namespace qad::jinja
