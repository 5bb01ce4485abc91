#include "qad/report/problem_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/json_file.h"
#include "qad/report/eval_json.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const ProblemFigures& figures) {
  Json json = Json::object();
  visit_problem_figures(figures, [&](const char* name, auto figure) {
    if (!std::isnan(static_cast<double>(figure))) json[name] = figure;
  });
  return json;
}

ProblemFigures figures_in(const Json& json) {
  ProblemFigures figures;
  visit_problem_figures(figures, [&](const char* name, auto& figure) {
    if constexpr (std::is_same_v<decltype(figure), double&>) figure = number_or_nan(json, name);
    else figure = json.value(name, std::int64_t{0});
  });
  return figures;
}

Json json_of(const AnsweredProblem& record) {
  return {{"family", record.family},   {"index", record.index},
          {"prompt", record.prompt},   {"answer", record.answer},
          {"greedy", record.greedy},   {"right", record.greedy_right},
          {"samples", record.samples}, {"samples_right", record.samples_right},
          {"tokens", record.tokens},   {"cut", record.cut}};
}

AnsweredProblem record_of(const Json& json) {
  return {.family = json.at("family").get<std::string>(),
          .index = json.at("index").get<std::int64_t>(),
          .prompt = json.at("prompt").get<std::string>(),
          .answer = json.at("answer").get<std::string>(),
          .greedy = json.at("greedy").get<std::string>(),
          .greedy_right = json.at("right").get<bool>(),
          .samples = json.at("samples").get<std::int64_t>(),
          .samples_right = json.at("samples_right").get<std::int64_t>(),
          .tokens = json.at("tokens").get<std::int64_t>(),
          .cut = json.at("cut").get<std::int64_t>()};
}

}  // namespace

Json json_of(const ProblemResults& results) {
  Json json = Json::object();
  for (const ProblemResults::Family& family : results.families) json[family.name] = json_of(family.figures);
  json["mean"] = json_of(results.mean);
  return json;
}

ProblemResults problem_results_of(const Json& json) {
  ProblemResults results;
  for (const auto& [name, figures] : json.items()) {
    if (name == "mean") results.mean = figures_in(figures);
    else results.families.push_back({name, figures_in(figures)});
  }
  return results;
}

void write_answers(const std::filesystem::path& file, const std::vector<AnsweredProblem>& answered) {
  std::string text;
  for (const AnsweredProblem& record : answered) text += json_of(record).dump() + "\n";
  write_file_atomically(file, text);
}

std::vector<AnsweredProblem> read_answers(const std::filesystem::path& file) {
  const std::string text = read_file(file, "the answers of a run", kAnySize);
  std::vector<AnsweredProblem> answered;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    try {
      answered.push_back(record_of(Json::parse(text.substr(begin, end - begin))));
    } catch (const nlohmann::json::exception& error) {
      throw Error({fmt::format("{}:{}", file.string(), answered.size() + 1), "an answered problem", json_reason(error),
                   "remove the file and summary.json: qad resume answers again"});
    }
    begin = end + 1;
  }
  return answered;
}

}  // namespace qad
