#include "qad/calib/seen_inputs.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "autograd/base/parallel.h"
#include "qad/formats/quantize.h"

namespace qad {
namespace {

Tensor rounded(const ActivationQuantizer& quantizer, const Tensor& x) {
  QuantizedTensor codes = QuantizedTensor::allocate(quantizer.format(), x.rows(), x.cols(), quantizer.scale().value());
  Tensor values(x.shape());
  quantize(x.data(), codes, values.data());
  return values;
}

}  // namespace

void show_read(std::span<const LinearQuantizers* const> linears, const ShowInputs& show_inputs, const SeeRead& see) {
  std::map<const Parameter*, const LinearQuantizers*> by_weight;
  for (const LinearQuantizers* linear : linears) by_weight[linear->weight.get()] = linear;
  show_inputs([&](std::span<const Linear> all, const Tensor& x) {
    ReadersOfOne readers;
    for (const Linear& one : all)
      if (const auto found = by_weight.find(one.weight.get()); found != by_weight.end())
        readers.push_back(found->second);
    if (readers.empty() || x.rows() == 0) return;
    const Tensor floats = as_f32(x);
    const ActivationQuantizer* const inputs = readers.front()->inputs.get();
    see(readers, floats, inputs != nullptr ? rounded(*inputs, floats) : floats);
  });
}

Tensor planned_doubles(std::int64_t count) {
  return loops_are_dry() ? Tensor({count, sizeof(double) / sizeof(float)}) : Tensor();
}

std::string first_names(const std::vector<std::string>& names) {
  constexpr std::size_t kNamed = 12;
  const std::span told = std::span(names).first(std::min(names.size(), kNamed));
  return fmt::format("{}{}", fmt::join(told, ", "), told.size() < names.size() ? ", …" : "");
}

}  // namespace qad
