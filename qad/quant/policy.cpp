#include "qad/quant/policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "autograd/base/error.h"

namespace qad {
namespace {

const BlockFormat* format_or_none(const std::string& name, const std::string& who) {
  if (name == "none") return nullptr;
  try {
    return &block_format(name);
  } catch (const Error& unknown) {
    throw Error({who, "", unknown.what(), "or none"});
  }
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  // On a mismatch, the last * takes one character more; earlier ones never need to.
  std::size_t p = 0, t = 0, star = std::string_view::npos, taken = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

Policy::Policy(const std::vector<QuantizeRule>& rules) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const QuantizeRule& rule = rules[i];
    const auto who = [&](std::string_view key) { return fmt::format("quantize.rules[{}].{}", i, key); };
    rules_.push_back(
        {rule.layers, {format_or_none(rule.weights, who("weights")), format_or_none(rule.inputs, who("inputs"))}});
  }
}

LayerFormats Policy::operator()(std::string_view layer) const {
  const int rule = rule_of(layer);
  return rule < 0 ? LayerFormats{} : rules_[static_cast<std::size_t>(rule)].formats;
}

int Policy::rule_of(std::string_view layer) const {
  const auto last =
      std::find_if(rules_.rbegin(), rules_.rend(), [&](const Rule& rule) { return glob_match(rule.layers, layer); });
  return static_cast<int>(rules_.rend() - last) - 1;
}

std::string pattern_of(const std::string& name) {
  std::string result;
  std::size_t begin = 0;
  while (begin <= name.size()) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    const bool is_number = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
    result += (begin == 0 ? "" : ".") + (is_number ? "*" : part);
    begin = end + 1;
  }
  return result;
}

std::string_view name_of(const BlockFormat* format) { return format ? format->name : "none"; }

}  // namespace qad
