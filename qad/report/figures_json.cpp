#include "qad/report/figures_json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>

namespace qad {
namespace {

using Json = nlohmann::ordered_json;

template <class Figures>
Json written(const Figures& figures) {
  Json json = Json::object();
  visit_fields(figures, [&](const char* name, auto figure) {
    if (!std::isnan(static_cast<double>(figure))) json[name] = figure;
  });
  return json;
}

template <class Figures>
void read(const Json& json, Figures& figures) {
  visit_fields(figures, [&](const char* name, auto& figure) {
    if constexpr (std::is_same_v<decltype(figure), double&>) figure = number_or_nan(json, name);
    else figure = json.value(name, std::int64_t{0});
  });
}

}  // namespace

Json json_of(const EvalFigures& figures) { return written(figures); }
Json json_of(const std::vector<LayerRouting>& layers) {
  Json json = Json::array();
  for (const LayerRouting& layer : layers) {
    json.push_back({{"layer", layer.layer}, {"tokens", layer.tokens}});
    if (!std::isnan(layer.agreement)) json.back()["agreement"] = layer.agreement;
    if (!std::isnan(layer.agreement_stderr)) json.back()["agreement_stderr"] = layer.agreement_stderr;
  }
  return json;
}
Json json_of(const RolloutFigures& figures) { return written(figures); }
Json json_of(const ProblemFigures& figures) { return written(figures); }

void read_figures(const Json& json, EvalFigures& figures) { read(json, figures); }
void read_figures(const Json& json, RolloutFigures& figures) { read(json, figures); }
void read_figures(const Json& json, ProblemFigures& figures) { read(json, figures); }

double number_or_nan(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : EvalFigures::kNone;
}

}  // namespace qad
