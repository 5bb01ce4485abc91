#include "qad/plan/smaller_subject.h"

#include <algorithm>
#include <utility>

namespace qad {
namespace {

// Where there are too many, the larger of the two runs has so many.
constexpr std::int64_t kFewExperts = 64, kFewLayers = 64, kFewAnswers = 1024;
constexpr double kMostBytes = 8.0 * (std::int64_t{1} << 40);  // of weights: copies of them fit in a process's addresses

std::int64_t layers_with_experts(const ModelConfig& config) {
  std::int64_t layers = 0;
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) layers += config.has_experts(i) ? 1 : 0;
  return layers;
}

ModelConfig with_layers(const ModelConfig& config, std::int64_t layers) {
  ModelConfig result = config;
  result.num_hidden_layers = layers;
  result.layer_pattern.clear();
  result.blocks.clear();
  result.max_window_layers = config.max_window_layers * layers / config.num_hidden_layers;
  std::vector<std::int64_t> without_experts;
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::int64_t like = i * config.num_hidden_layers / layers;
    if (!config.layer_pattern.empty()) result.layer_pattern += config.layer_pattern[static_cast<std::size_t>(like)];
    if (!config.blocks.empty()) result.blocks.push_back(config.block(like));
    if (config.experts && !config.has_experts(like)) without_experts.push_back(i);
  }
  if (result.experts) {
    result.experts->mlp_only_layers = std::move(without_experts);
    result.experts->first_k_dense_replace = 0;
    result.experts->decoder_sparse_step = 1;
  }
  return result;
}

ModelConfig with_experts(ModelConfig config, std::int64_t experts) {
  if (!config.experts) return config;
  config.experts->num_experts = std::min(config.experts->num_experts, experts);
  config.experts->num_experts_per_tok = std::min(config.experts->num_experts_per_tok, experts);
  config.experts->n_group = config.experts->topk_group = 1;  // from which groups they come changes little
  return config;
}

}  // namespace

std::int64_t size_of(const PlanSubject& subject, PlanSize size) {
  const ModelConfig& student = subject.student->config();
  switch (size) {
    case PlanSize::answers:
      return subject.answers_problems() && subject.trains()
                 ? subject.recipe.grpo->prompts * subject.recipe.grpo->group_size
                 : 0;
    case PlanSize::experts: {
      std::int64_t experts = student.experts ? student.experts->num_experts : 0;
      if (subject.teacher && subject.teacher->experts)
        experts = std::max(experts, subject.teacher->experts->num_experts);
      return experts;
    }
    case PlanSize::layers:
      return std::max(student.num_hidden_layers, subject.teacher ? subject.teacher->num_hidden_layers : 0);
  }
  return 0;
}

std::int64_t most_of(const PlanSubject& subject, PlanSize size, const PlanLimits& limits) {
  const std::int64_t all = size_of(subject, size);
  const auto few = [&](std::int64_t limit, std::int64_t number) { return std::min(limit, number); };
  switch (size) {
    case PlanSize::answers: {
      if (all == 0) return 0;
      const std::int64_t of_each = std::max<std::int64_t>(1, subject.text.train_tokens / subject.text.train_documents);
      const std::int64_t most = std::clamp<std::int64_t>(kPlannedTokens / of_each, 8, limits.answers);
      return all <= most ? all : few(most, kFewAnswers);
    }
    case PlanSize::experts: {
      std::int64_t together = 0, of_a_token = 1;
      const auto add = [&](const ModelConfig& config) {
        if (!config.experts) return;
        together = std::max(together, layers_with_experts(config) * config.experts->num_experts);
        of_a_token = std::max(of_a_token, config.experts->num_experts_per_tok);
      };
      add(subject.student->config());
      if (subject.teacher) add(*subject.teacher);
      return together <= limits.experts ? all : few(limits.experts, std::max(kFewExperts, 2 * of_a_token));
    }
    case PlanSize::layers: {
      const double bytes = 4.0 * static_cast<double>(parameter_count(*subject.student));
      const auto fit = static_cast<std::int64_t>(static_cast<double>(all) * std::min(1.0, kMostBytes / bytes));
      const std::int64_t limit = std::min(limits.layers, std::max<std::int64_t>(2, fit));
      return all <= limit ? all : few(limit, kFewLayers);
    }
  }
  return all;
}

PlanSubject smaller_subject(const PlanSubject& subject, PlanSize size, std::int64_t wanted) {
  PlanSubject one{.recipe = subject.recipe,
                  .teacher = subject.teacher,
                  .teacher_value_bytes = subject.teacher_value_bytes,
                  .start_value_bytes = subject.start_value_bytes,
                  .student = nullptr,
                  .quantizers = {},
                  .text = subject.text,
                  .search = subject.search};
  const std::int64_t all = size_of(subject, size);
  const auto changed = [&](const ModelConfig& config) {
    if (size == PlanSize::experts) return with_experts(config, wanted);
    if (size != PlanSize::layers) return config;
    return with_layers(config, std::max<std::int64_t>(1, config.num_hidden_layers * wanted / all));
  };
  if (size == PlanSize::answers) {
    GrpoConfig& grpo = *one.recipe.grpo;
    grpo.group_size = std::min(grpo.group_size, std::max<std::int64_t>(2, wanted));
    grpo.prompts = std::max<std::int64_t>(1, wanted / grpo.group_size);
  }
  if (one.teacher) one.teacher = changed(*one.teacher);
  one.student = shapes_of(changed(subject.student->config()));
  one.quantizers = attach_quantizers(*one.student, one.recipe.quantize, one.recipe.calibrate.algorithm);
  return one;
}

}  // namespace qad
