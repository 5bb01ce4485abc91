#include "qad/report/eval_json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace qad {
namespace {

constexpr std::pair<const char*, double EvalFigures::*> kFigures[] = {
    {"kl_mean", &EvalFigures::kl_mean},
    {"kl_mean_stderr", &EvalFigures::kl_mean_stderr},
    {"kl_p99", &EvalFigures::kl_p99},
    {"cross_entropy", &EvalFigures::cross_entropy},
    {"cross_entropy_stderr", &EvalFigures::cross_entropy_stderr},
    {"perplexity", &EvalFigures::perplexity},
    {"top1_agreement", &EvalFigures::top1_agreement},
    {"top1_stderr", &EvalFigures::top1_stderr},
};

}  // namespace

nlohmann::ordered_json json_of(const EvalFigures& figures) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [key, figure] : kFigures)
    if (!std::isnan(figures.*figure)) json[key] = figures.*figure;
  json["documents"] = figures.documents;
  json["tokens"] = figures.tokens;
  return json;
}

EvalFigures eval_figures_of(const nlohmann::ordered_json& json) {
  EvalFigures figures;
  for (const auto& [key, figure] : kFigures) figures.*figure = number_or_nan(json, key);
  figures.documents = json.value("documents", std::int64_t{0});
  figures.tokens = json.value("tokens", std::int64_t{0});
  return figures;
}

double number_or_nan(const nlohmann::ordered_json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : EvalFigures::kNone;
}

}  // namespace qad
