#include "qad/run/calibration_state.h"

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

namespace qad {
namespace {

constexpr std::string_view kObservedScale = "scale/";
constexpr std::string_view kWasRead = "was_read/";

std::string entry(std::string_view kind, const std::string& name) { return std::string(kind) + name; }

}  // namespace

void add_calibration(const QuantizerSet& quantizers, CheckpointContent& content) {
  for (const auto& [name, value] : quantizers.state()) content.numbers[entry(kObservedScale, name)] = value;
  for (const LinearQuantizers& linear : quantizers.linears())
    if (linear.weights && linear.weights->was_read()) content.numbers[entry(kWasRead, linear.layer)] = std::int64_t{1};
}

void take_calibration(const CheckpointContent& content, const std::string& where, QuantizerSet& quantizers) {
  std::vector<QuantizerSet::NamedValue> scales;
  for (const auto& [name, value] : content.numbers)
    if (name.starts_with(kObservedScale))
      scales.emplace_back(name.substr(kObservedScale.size()), std::get<double>(value));
  quantizers.observe_further(scales, where);
  for (const LinearQuantizers& linear : quantizers.linears())
    if (linear.weights) linear.weights->set_was_read(content.numbers.contains(entry(kWasRead, linear.layer)));
}

}  // namespace qad
