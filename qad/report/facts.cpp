#include "qad/report/facts.h"

#include <algorithm>

namespace qad {

std::string text_of(const std::vector<Fact>& facts) {
  std::size_t width = 0;
  for (const Fact& fact : facts) width = std::max(width, fact.name.size());
  std::string text;
  for (const Fact& fact : facts) text += fact.name + std::string(width + 2 - fact.name.size(), ' ') + fact.value + "\n";
  return text;
}

}  // namespace qad
