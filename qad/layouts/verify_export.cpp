#include "qad/layouts/verify_export.h"

#include <fmt/format.h>

#include <atomic>
#include <bit>
#include <cstring>
#include <map>
#include <set>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "qad/layouts/layout_files.h"

namespace qad {
namespace {

constexpr const char* kNotInPlaceHint = "the export is not what was trained; nothing was put in place";

[[noreturn]] void differ(const std::string& who, const std::string& expected, const std::string& got) {
  throw Error({.who = who, .expected = expected, .got = got, .hint = kNotInPlaceHint});
}

// Both in FP32: the numbers that a forward sees. -0 and 0 are different numbers here.
void compare(const std::string& name, const Tensor& expected, const Tensor& got) {
  if (got.shape() != expected.shape()) differ(name, "shape " + expected.shape().text(), got.shape().text());
  const auto want = expected.span(), have = got.span();
  for (std::size_t i = 0; i < want.size(); ++i)
    if (std::bit_cast<std::uint32_t>(want[i]) != std::bit_cast<std::uint32_t>(have[i]))
      differ(fmt::format("{}[{}]", name, i), fmt::format("the student's {:.9g}", want[i]),
             fmt::format("{:.9g}", have[i]));
}

void compare(const std::string& name, float expected, float got) {
  if (expected != got) differ(name, fmt::format("the student's {:.9g}", expected), fmt::format("{:.9g}", got));
}

bool same_bytes(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  std::atomic<bool> same = true;
  parallel_for(static_cast<std::int64_t>(a.bytes()), 1 << 20, [&](std::int64_t begin, std::int64_t end) {
    if (std::memcmp(a.raw() + begin, b.raw() + begin, static_cast<std::size_t>(end - begin)) != 0) same = false;
  });
  return same;
}

// Codes that are the same mean the same numbers.
bool same_codes(const QuantizedTensor& a, const QuantizedTensor& b) {
  return a.format == b.format && a.rows == b.rows && a.cols == b.cols && a.tensor_scale == b.tensor_scale &&
         same_bytes(a.codes, b.codes) && same_bytes(a.scales, b.scales);
}

using Linears = std::map<std::string, const ExportLinear*>;
Linears by_name(const ExportModel& model) {
  Linears linears;
  for (const ExportLinear& linear : model.linears) linears[linear.name] = &linear;
  return linears;
}

void compare_weights(const ExportModel& student, const ExportModel& got) {
  std::map<std::string, Tensor> left;  // what the files hold; compared ones are taken out
  for (const NamedTensor& tensor : got.dense) left[tensor.name] = tensor.value;
  const Linears packed = by_name(got);
  const auto take = [&](const std::string& name) {
    const auto node = left.extract(name);
    if (node.empty()) differ(name, "a tensor", "none in the export");
    return node.mapped();
  };
  for (const NamedTensor& tensor : student.dense) {
    const Tensor want = as_stored(tensor.value, kept_type(tensor.role, student.dense_type)), have = take(tensor.name);
    if (!same_bytes(want, have)) compare(tensor.name, as_f32(want), as_f32(have));
  }
  for (const ExportLinear& linear : student.linears) {
    if (!linear.weight) continue;
    const std::string name = linear.name + ".weight";
    const auto found = packed.find(linear.name);
    const bool has_codes = found != packed.end() && found->second->weight;
    if (has_codes && same_codes(*linear.weight, *found->second->weight)) continue;
    compare(name, dequantized(*linear.weight), has_codes ? dequantized(*found->second->weight) : as_f32(take(name)));
  }
  if (!left.empty()) differ(left.begin()->first, "no such tensor", "one in the export");
}

void compare_passengers(const std::vector<Passenger>& expected, const std::vector<Passenger>& got) {
  if (got.size() != expected.size())
    differ("tensors that only go along", std::to_string(expected.size()), std::to_string(got.size()));
  for (std::size_t i = 0; i < got.size(); ++i) {
    const Passenger &want = expected[i], &have = got[i];
    const bool same = want.name == have.name && want.dtype == have.dtype && want.data.shape() == have.data.shape() &&
                      std::memcmp(want.data.raw(), have.data.raw(), want.data.bytes()) == 0;
    if (!same) differ(want.name, "the bytes of the model that it started from", "others, of " + have.name);
  }
}

std::string described(const ExportLinear* linear) {
  if (linear == nullptr) return "nothing said of it";
  return fmt::format("weights {}, inputs {}", linear->weight ? linear->weight->format->name : "as they are",
                     linear->input ? linear->input->format->name : "as they are");
}

void compare_formats(const ExportModel& student, const Linears& have) {
  for (const ExportLinear& linear : student.linears) {
    const auto found = have.find(linear.name);
    const ExportLinear* const other = found == have.end() ? nullptr : found->second;
    if (described(other) != described(&linear)) differ(linear.name, described(&linear), described(other));
    if (linear.input) compare(linear.name + " (input scale)", linear.input->tensor_scale, other->input->tensor_scale);
  }
}

void compare_quantizers(const ExportModel& student, const ExportModel& got) {
  const Linears have = by_name(got);
  compare_formats(student, have);
  std::set<std::string> named;
  for (const ExportLinear& linear : student.linears) named.insert(linear.name);
  for (const std::string& name : unquantized_names(student)) {
    if (!have.contains(name)) differ(name, "to be named as not quantized", "nothing said of it");
    named.insert(name);
  }
  if (have.size() != named.size())
    differ("linear layers", fmt::format("{}", named.size()), fmt::format("{}", have.size()));

  if (name_of(got.cache_format) != name_of(student.cache_format))
    differ("the format of keys and values", std::string(name_of(student.cache_format)),
           std::string(name_of(got.cache_format)));
  std::map<std::string, const KeyValueScale*> scales;
  for (const KeyValueScale& scale : got.key_value_scales) scales[scale.attention] = &scale;
  if (scales.size() != student.key_value_scales.size())
    differ("scales of keys and values", fmt::format("{}", student.key_value_scales.size()),
           fmt::format("{}", scales.size()));
  for (const auto& [attention, key, value] : student.key_value_scales) {
    if (!scales.contains(attention)) differ(attention, "scales of keys and values", "none");
    compare(attention + " (key scale)", key, scales.at(attention)->key);
    compare(attention + " (value scale)", value, scales.at(attention)->value);
  }
}

}  // namespace

void verify_part(const ExportFiles& files, const Exporter& exporter, const ExportModel& part) {
  const ExportModel got = exporter.unpack(files);
  compare_weights(part, got);
  if (exporter.stores_codes) compare_formats(part, by_name(got));
}

void verify_export(const ExportFiles& files, const Exporter& exporter, const ExportModel& student) {
  const ExportModel got = exporter.unpack(files);
  compare_weights(student, got);
  if (files.metadata.empty()) compare_passengers(student.passengers, files.passengers);
  if (exporter.stores_codes) compare_quantizers(student, got);
}

}  // namespace qad
