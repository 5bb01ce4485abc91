#include "qad/layouts/gguf_splits.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"

namespace qad {
namespace {

using Rows = std::span<const std::int64_t>;

constexpr std::string_view kWeight = ".weight";

void copy_row(const Tensor& from, std::int64_t row, const Tensor& to, std::int64_t place) {
  const std::size_t bytes = from.bytes() / static_cast<std::size_t>(from.rows());
  std::memcpy(to.raw() + static_cast<std::size_t>(place) * bytes, from.raw() + static_cast<std::size_t>(row) * bytes,
              bytes);
}

Tensor taken(const Tensor& matrix, Rows rows) {
  const Tensor part({std::ssize(rows), matrix.cols()}, matrix.dtype());
  parallel_for(std::ssize(rows), 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) copy_row(matrix, rows[static_cast<std::size_t>(i)], part, i);
  });
  return part;
}

QuantizedTensor taken(const QuantizedTensor& weight, Rows rows) {
  return {weight.format,      std::ssize(rows), weight.cols, taken(weight.codes, rows), taken(weight.scales, rows),
          weight.tensor_scale};
}

Tensor joined(const Tensor& first, const Tensor& second, Rows rows) {
  if (first.shape().rank() != 2 || second.shape().rank() != 2 || first.cols() != second.cols() ||
      first.dtype() != second.dtype() || first.rows() + second.rows() != std::ssize(rows))
    throw Error({.who = "the two parts of a matrix",
                 .expected = std::to_string(rows.size()) + " rows of one width and type",
                 .got = first.shape().text() + " and " + second.shape().text(),
                 .hint = "does config.json belong to it?"});
  const Tensor whole({std::ssize(rows), first.cols()}, first.dtype());
  for (std::int64_t i = 0; i < std::ssize(rows); ++i) {
    const bool behind = i >= first.rows();
    copy_row(behind ? second : first, behind ? i - first.rows() : i, whole, rows[static_cast<std::size_t>(i)]);
  }
  return whole;
}

// [heads, rows, columns] as [heads, columns, rows].
Tensor transposed(const Tensor& stack) {
  const Shape& shape = stack.shape();
  const Tensor result({shape[0], shape[2], shape[1]}, stack.dtype());
  const std::size_t bytes = stack.bytes() / static_cast<std::size_t>(stack.size());
  parallel_for(shape[0], 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t h = begin; h < end; ++h)
      for (std::int64_t row = 0; row < shape[1]; ++row)
        for (std::int64_t col = 0; col < shape[2]; ++col)
          std::memcpy(result.raw() + static_cast<std::size_t>((h * shape[2] + col) * shape[1] + row) * bytes,
                      stack.raw() + static_cast<std::size_t>((h * shape[1] + row) * shape[2] + col) * bytes, bytes);
  });
  return result;
}

Tensor by_head(const Tensor& matrix, std::int64_t heads) {
  return matrix.reshape({heads, matrix.rows() / heads, matrix.cols()});
}
Tensor flat(const Tensor& stack) {
  if (stack.shape().rank() != 3)
    throw Error({.who = "a matrix by head", .expected = "three axes", .got = stack.shape().text()});
  return stack.reshape({stack.shape()[0] * stack.shape()[1], stack.shape()[2]});
}

// The names of both parts, where a module of that layer is the split one.
struct SplitPlace {
  const GgufSplit* split = nullptr;
  std::string first, second, ours;
};
SplitPlace place_of(const GgufFamily& family, std::string_view module, std::string_view GgufSplit::*name) {
  for (const GgufSplit& split : family.splits) {
    if (!module.ends_with("." + std::string(split.*name))) continue;
    const std::string layer(module.substr(0, module.size() - (split.*name).size()));
    return {&split, layer + std::string(split.first), layer + std::string(split.second),
            layer + std::string(split.ours)};
  }
  return {};
}
std::string_view module_of(std::string_view tensor) {
  return tensor.ends_with(kWeight) ? tensor.substr(0, tensor.size() - kWeight.size()) : "";
}

template <class Items>
auto take(Items& items, const std::string& name) {
  const auto found = std::ranges::find(items, name, [](const auto& item) { return item.name; });
  if (found == items.end()) throw Error({.who = name, .expected = "this part of a matrix", .got = "none"});
  auto item = *found;
  items.erase(found);
  return item;
}

}  // namespace

bool is_transposed(const GgufFamily& family, const std::string& module) {
  const SplitPlace place = place_of(family, module, &GgufSplit::ours);
  return place.split != nullptr && place.split->heads != nullptr;
}

ExportModel with_splits(const ExportModel& model, const GgufFamily& family, const ModelConfig& config) {
  if (family.splits.empty()) return model;
  ExportModel result = model;
  result.linears.clear();
  result.dense.clear();
  for (const ExportLinear& linear : model.linears) {
    const auto [split, first, second, ours] = place_of(family, linear.name, &GgufSplit::ours);
    if (split == nullptr) {
      result.linears.push_back(linear);
      continue;
    }
    ExportLinear front = linear, back = linear;
    front.name = first;
    back.name = second;
    if (linear.weight) {
      const std::vector<std::int64_t> rows = split->rows(config);
      const auto count = static_cast<std::size_t>(split->first_rows(config));
      front.weight = taken(*linear.weight, Rows(rows).first(count));
      back.weight = taken(*linear.weight, Rows(rows).subspan(count));
    }
    result.linears.push_back(std::move(front));
    result.linears.push_back(std::move(back));
  }
  for (const NamedTensor& tensor : model.dense) {
    const auto [split, first, second, ours] = place_of(family, module_of(tensor.name), &GgufSplit::ours);
    if (split == nullptr) {
      result.dense.push_back(tensor);
      continue;
    }
    const std::vector<std::int64_t> rows = split->rows(config);
    const auto count = static_cast<std::size_t>(split->first_rows(config));
    Tensor front = taken(tensor.value, Rows(rows).first(count)), back = taken(tensor.value, Rows(rows).subspan(count));
    if (split->heads != nullptr) {
      front = transposed(by_head(front, split->heads(config)));
      back = by_head(back, split->heads(config));
    }
    result.dense.push_back({first + std::string(kWeight), front, tensor.role});
    result.dense.push_back({second + std::string(kWeight), back, tensor.role});
  }
  return result;
}

void join_splits(ExportModel& model, const GgufFamily& family, const ModelConfig& config) {
  if (family.splits.empty()) return;
  std::vector<SplitPlace> places;
  for (const ExportLinear& linear : model.linears)
    if (SplitPlace place = place_of(family, linear.name, &GgufSplit::first); place.split != nullptr)
      places.push_back(std::move(place));
  for (const auto& [split, first, second, ours] : places) {
    const std::vector<std::int64_t> rows = split->rows(config);
    ExportLinear whole = take(model.linears, first);
    const ExportLinear other = take(model.linears, second);
    whole.name = ours;
    if (whole.weight.has_value() != other.weight.has_value() || whole.input.has_value() != other.input.has_value() ||
        (whole.weight &&
         (whole.weight->tensor_scale != other.weight->tensor_scale || whole.weight->format != other.weight->format)) ||
        (whole.input && whole.input->tensor_scale != other.input->tensor_scale))
      throw Error({.who = second, .expected = "the format and scales of " + first, .got = "others"});
    if (whole.weight) {
      QuantizedTensor& weight = *whole.weight;
      weight.codes = joined(weight.codes, other.weight->codes, rows);
      weight.scales = joined(weight.scales, other.weight->scales, rows);
      weight.rows = weight.codes.rows();
    } else {
      Tensor front = take(model.dense, first + std::string(kWeight)).value;
      Tensor back = take(model.dense, second + std::string(kWeight)).value;
      if (split->heads != nullptr) {
        static_cast<void>(flat(front));
        front = flat(transposed(front));
        back = flat(back);
      }
      model.dense.push_back({ours + std::string(kWeight), joined(front, back, rows)});
    }
    model.linears.push_back(std::move(whole));
  }
}

}  // namespace qad
