#include "qad/layouts/check_exportable.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "autograd/base/error.h"
#include "models/finite_values.h"
#include "qad/layouts/layout_files.h"
#include "qad/layouts/stored_layer.h"

namespace qad {
namespace {

bool same_weight_scale(const ExportLinear& a, const ExportLinear& b) {
  return !a.weight || (a.weight->format == b.weight->format && a.weight->tensor_scale == b.weight->tensor_scale);
}
bool same_input_scale(const ExportLinear& a, const ExportLinear& b) {
  if (!a.input || !b.input) return a.input.has_value() == b.input.has_value();
  return a.input->format == b.input->format && a.input->tensor_scale == b.input->tensor_scale;
}

// What engines run as one matrix.
void check_fused(const std::string& group, const ExportLinear& first, const ExportLinear& linear) {
  if (linear.weight.has_value() != first.weight.has_value() || linear.input.has_value() != first.input.has_value())
    throw Error({.who = group,
                 .expected = "all its layers quantized alike",
                 .got = first.name + " and " + linear.name + " are not",
                 .hint = "serving engines run them as one"});
  if (!same_weight_scale(linear, first) || !same_input_scale(linear, first))
    throw Error({.who = group,
                 .expected = "one weight scale and one input scale for all its layers",
                 .got = "different ones at " + first.name + " and " + linear.name,
                 .hint = "serving engines run them as one; train with share_groups: true"});
}

// What reads the same input: of experts, those of a layer.
void check_input(const ExportLinear& first, const ExportLinear& linear) {
  if (!same_input_scale(linear, first))
    throw Error({.who = linear.reads,
                 .expected = "one input scale for all its layers",
                 .got = "different ones at " + first.name + " and " + linear.name,
                 .hint = "serving engines quantize their input once"});
}

void check_scale(const std::string& who, float scale) {
  if (!(scale > 0.0f) || !std::isfinite(scale))
    throw Error({.who = who,
                 .expected = "a positive, finite scale",
                 .got = fmt::format("{}", scale),
                 .hint = "calibrate again, or exclude the layer"});
}

void check_scales(const ExportLinear& linear) {
  if (linear.input) check_scale(linear.name + " (input)", linear.input->tensor_scale);
  if (!linear.weight) return;
  check_scale(linear.name + " (weight)", linear.weight->tensor_scale);
  const Tensor& blocks = linear.weight->scales;
  if (!blocks.defined()) return;
  check_block_scales(linear.name + " (block scales)", *linear.weight);
  const bool e4m3 = linear.weight->format->scale == &kE4M3;  // the quantizer gives even a block of zeros a scale
  if (e4m3 && std::ranges::count(blocks.span<std::uint8_t>(), 0) != 0)
    throw Error({.who = linear.name + " (block scales)", .expected = "positive ones", .got = "a zero"});
}

void check_role(const ExportLinear& linear) {
  const bool multiplied = linear.role == Role::weight || linear.role == Role::head;
  if (linear.weight && !multiplied)
    throw Error({.who = linear.name,
                 .expected = "codes of linear layers alone",
                 .got = "those of a router, convolution, norm or embedding",
                 .hint = "exclude it by a last rule; engines read it as it is"});
}

}  // namespace

void check_names(const ExportModel& student) {
  std::set<std::string> there;
  for (const NamedTensor& tensor : student.dense) there.insert(tensor.name);
  for (const Passenger& one : student.passengers) there.insert(one.name);
  for (const ExportLinear& linear : student.linears)
    if (linear.role == Role::embedding) there.insert(linear.name + ".weight");  // the embedding's matrix
  for (const std::string& name : unquantized_names(student))
    if (!there.contains(name + ".weight"))
      throw Error({.who = name,
                   .expected = "a matrix of the model, since it would be named as not quantized",
                   .got = "none",
                   .hint = "engines refuse such a name or take it for another"});
}

void check_part(const ExportModel& part) {
  if (part.dense_type == DType::bf16)
    for (const NamedTensor& tensor : part.dense)
      if (kept_type(tensor.role, DType::bf16) == DType::bf16) check_fits_bf16(tensor.name, tensor.value);
  std::map<std::string, const ExportLinear*> first_of_group, first_to_read;
  for (const ExportLinear& linear : part.linears) {
    if (linear.input && !linear.weight)
      throw Error({.who = linear.name,
                   .expected = "quantized weights behind a quantized input",
                   .got = "plain ones",
                   .hint = "exclude the layer whole"});
    check_role(linear);
    check_scales(linear);
    const std::string& group = linear.group.empty() ? linear.name : linear.group;
    check_fused(group, *first_of_group.try_emplace(group, &linear).first->second, linear);
    if (!linear.reads.empty()) check_input(*first_to_read.try_emplace(linear.reads, &linear).first->second, linear);
  }
  for (const KeyValueScale& scale : part.key_value_scales) {
    check_scale(scale.attention + " (keys)", scale.key);
    check_scale(scale.attention + " (values)", scale.value);
  }
}

void check_exportable(const ExportModel& student) {
  check_part(student);
  check_names(student);
}

}  // namespace qad
