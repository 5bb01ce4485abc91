#include "qad/calib/unseen_experts.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "qad/quant/quantizer.h"

namespace qad {
namespace {

constexpr std::size_t kNamed = 12;

std::string parent_of(const std::string& module) { return module.substr(0, module.rfind('.')); }

}  // namespace

UnseenExperts unseen_experts(LanguageModel& model) {
  std::vector<std::string> experts;  // in their order
  std::map<std::string, bool> seen, layer_seen;
  for (const LinearGroup* group : model.linear_groups()) {
    if (dynamic_cast<const ActivationQuantizer*>(group->input_slot.get()) == nullptr) continue;
    for (const Linear& member : group->members) {
      const auto* const weights = dynamic_cast<const WeightQuantizer*>(member.weight->slot.get());
      if (weights == nullptr || member.token_share >= 1) continue;
      const std::string expert = parent_of(member.name);
      if (!seen.contains(expert)) experts.push_back(expert);
      seen[expert] |= weights->was_read();
      layer_seen[parent_of(expert)] |= weights->was_read();
    }
  }
  for (const auto& [layer, any] : layer_seen)
    if (!any)
      throw Error({.who = layer,
                   .expected = "calibration to send a token to an expert at least",
                   .got = "none in any",
                   .hint = "calibrate on more tokens, or exclude them"});
  UnseenExperts unseen{{}, std::ssize(experts)};
  std::ranges::copy_if(experts, std::back_inserter(unseen.names), [&](const auto& name) { return !seen.at(name); });
  return unseen;
}

void warn_of_unseen_experts(LanguageModel& model) {
  const auto [names, of] = unseen_experts(model);
  if (names.empty()) return;
  const std::span<const std::string> told = std::span(names).first(std::min(names.size(), kNamed));
  log_warning(
      "{} of {} experts saw no token in calibration: {}{}; the range of their inputs is that of their layer's others",
      names.size(), of, fmt::join(told, ", "), told.size() < names.size() ? ", …" : "");
}

}  // namespace qad
