#include "models/import/stacked_experts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace qad {
namespace {

struct Projection {
  std::string_view name;     // of one expert's
  std::string_view stacked;  // with all of them
  std::int64_t widths;       // matrices of an expert in that tensor
  std::int64_t place;        // of this one among them
};
constexpr auto kProjections = std::to_array<Projection>({{"gate_proj", "gate_up_proj", 2, 0},
                                                         {"w1", "gate_up_proj", 2, 0},
                                                         {"up_proj", "gate_up_proj", 2, 1},
                                                         {"w3", "gate_up_proj", 2, 1},
                                                         {"up_proj", "up_proj", 1, 0},
                                                         {"down_proj", "down_proj", 1, 0},
                                                         {"w2", "down_proj", 1, 0}});
constexpr std::string_view kExperts = ".experts.", kWeight = ".weight";

}  // namespace

std::vector<StackedPlace> stacked_places(const std::string& name, const Shape& shape, std::int64_t experts) {
  const std::size_t at = name.find(kExperts);
  if (at == std::string::npos || !name.ends_with(kWeight) || shape.rank() != 2) return {};
  const std::size_t number = at + kExperts.size(), dot = name.find('.', number);
  std::int64_t expert = 0;
  const auto [end, error] = std::from_chars(name.data() + number, name.data() + dot, expert);
  if (error != std::errc() || end != name.data() + dot) return {};
  const std::string_view projection = std::string_view(name).substr(dot + 1, name.size() - kWeight.size() - dot - 1);
  std::vector<StackedPlace> places;
  for (const Projection& one : kProjections) {
    if (one.name != projection) continue;
    const std::string stacked = name.substr(0, number) + std::string(one.stacked);
    for (const std::string& full : {stacked, stacked + std::string(kWeight)})
      places.push_back({full, {experts, one.widths * shape.rows(), shape.cols()}, expert, one.place * shape.rows()});
  }
  return places;
}

}  // namespace qad
