#include "qad/report/problem_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/json_file.h"
#include "qad/report/figures_json.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const AnsweredProblem& record) {
  Json json = Json::object();
  visit_fields(record, [&](const char* name, const auto& value) { json[name] = value; });
  return json;
}

AnsweredProblem answer_of(const Json& json) {
  AnsweredProblem record;
  visit_fields(record, [&]<class T>(const char* name, T& value) { value = json.at(name).template get<T>(); });
  return record;
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
    if (name != "mean") results.families.push_back({name, {}});
    read_figures(figures, name == "mean" ? results.mean : results.families.back().figures);
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
      answered.push_back(answer_of(Json::parse(text.substr(begin, end - begin))));
    } catch (const nlohmann::json::exception& error) {
      throw Error({.who = fmt::format("{}:{}", file.string(), answered.size() + 1),
                   .expected = "an answered problem",
                   .got = json_reason(error),
                   .hint = "remove the file and summary.json: qad resume answers again"});
    }
    begin = end + 1;
  }
  return answered;
}

}  // namespace qad
