#include "qad/layouts/gguf_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "autograd/base/error.h"
#include "models/families/registry.h"

namespace qad {
namespace {

// mlp.experts.7.up_proj -> mlp.experts.*.up_proj and 7; -1 for a name without a number.
std::pair<std::string, std::int64_t> without_expert(std::string_view module) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  for (std::size_t begin = 0; begin < module.size(); begin = module.find('.', begin) + 1) {
    const std::size_t end = std::min(module.find('.', begin), module.size());
    const std::string_view part = module.substr(begin, end - begin);
    std::int64_t expert = 0;
    if (!part.empty() && std::ranges::all_of(part, digit) &&
        std::from_chars(part.data(), part.data() + part.size(), expert).ec == std::errc())
      return {std::string(module.substr(0, begin)) + "*" + std::string(module.substr(end)), expert};
    if (end == module.size()) break;
  }
  return {std::string(module), -1};
}

// What stands before a name in a layer, in the other language; empty around the layers. `rest` loses it.
std::string take_layer(std::string_view& rest, std::string_view layers_from, std::string_view layers_to) {
  if (!rest.starts_with(layers_from)) return "";
  const std::size_t dot = std::min(rest.find('.', layers_from.size()), rest.size());
  std::string prefix = std::string(layers_to).append(rest.substr(layers_from.size(), dot - layers_from.size())) + ".";
  rest.remove_prefix(std::min(dot + 1, rest.size()));
  return prefix;
}

GgufModule translate(const GgufFamily& family, const std::string& module, std::string_view GgufName::*from,
                     std::string_view GgufName::*to, std::string_view layers_from, std::string_view layers_to) {
  std::string_view rest = module;
  const std::string prefix = take_layer(rest, layers_from, layers_to);
  const auto [name, expert] = without_expert(rest);
  for (const std::span<const GgufName> names : {prefix.empty() ? family.around : family.in_layer, family.experts})
    if (const auto found = std::ranges::find(names, name, from); found != names.end())
      return {prefix + std::string((*found).*to), found->linear, found->wide, expert};
  throw Error({.who = module, .expected = "a layer of " + families_in_gguf(), .got = "another one"});
}

GgufTensorName translate(const GgufFamily& family, const std::string& tensor, std::string_view GgufTensor::*from,
                         std::string_view GgufTensor::*to, std::string_view layers_from, std::string_view layers_to) {
  std::string_view rest = tensor;
  const std::string prefix = take_layer(rest, layers_from, layers_to);
  const auto found = std::ranges::find(family.tensors, rest, from);
  if (found == family.tensors.end()) return {};
  return {prefix + std::string((*found).*to), &*found};
}

}  // namespace

GgufModule to_gguf(const GgufFamily& family, const std::string& module) {
  return translate(family, module, &GgufName::ours, &GgufName::theirs, family.layers, kGgufBlocks);
}

GgufModule from_gguf(const GgufFamily& family, const std::string& module) {
  return translate(family, module, &GgufName::theirs, &GgufName::ours, kGgufBlocks, family.layers);
}

GgufTensorName to_gguf_tensor(const GgufFamily& family, const std::string& tensor) {
  return translate(family, tensor, &GgufTensor::ours, &GgufTensor::theirs, family.layers, kGgufBlocks);
}

GgufTensorName from_gguf_tensor(const GgufFamily& family, const std::string& tensor) {
  return translate(family, tensor, &GgufTensor::theirs, &GgufTensor::ours, kGgufBlocks, family.layers);
}

bool is_stack(const std::string& module) { return module.find('*') != std::string::npos; }

std::string with_expert(const std::string& stack, std::int64_t expert) {
  const std::size_t star = stack.find('*');
  return stack.substr(0, star) + std::to_string(expert) + stack.substr(star + 1);
}

std::pair<std::string, std::string> split_kind(const std::string& tensor) {
  const std::size_t dot = std::min(tensor.rfind('.'), tensor.size());
  return {tensor.substr(0, dot), dot < tensor.size() ? tensor.substr(dot + 1) : ""};
}

std::string families_in_gguf() {
  std::vector<std::string_view> names;
  for (const Family* family : families())
    if (family->gguf != nullptr) names.push_back(family->model_type);
  const std::string_view last = names.back();
  names.pop_back();
  return fmt::format("{} or {}", fmt::join(names, ", "), last);
}

}  // namespace qad
