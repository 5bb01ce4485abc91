#include "qad/report/eval_json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>

namespace qad {

nlohmann::ordered_json json_of(const EvalFigures& figures) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  visit_figures(figures, [&](const char* name, auto figure) {
    if (!std::isnan(static_cast<double>(figure))) json[name] = figure;
  });
  return json;
}

EvalFigures eval_figures_of(const nlohmann::ordered_json& json) {
  EvalFigures figures;
  visit_figures(figures, [&](const char* name, auto& figure) {
    if constexpr (std::is_same_v<decltype(figure), double&>) figure = number_or_nan(json, name);
    else figure = json.value(name, std::int64_t{0});
  });
  return figures;
}

double number_or_nan(const nlohmann::ordered_json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : EvalFigures::kNone;
}

}  // namespace qad
