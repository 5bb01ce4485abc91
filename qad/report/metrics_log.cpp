#include "qad/report/metrics_log.h"

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "qad/report/figures_json.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;

// A number that is not finite is written as null; what is false or of other training is left out.
Json json_of(StepDone event) {
  event.eval_follows = false;  // the record has the evaluation itself
  Json json = Json::object();
  visit_fields(event, [&]<class T>(const char* name, const T& value) {
    if constexpr (std::is_same_v<T, std::optional<RolloutFigures>>) {
      if (value) json[name] = qad::json_of(*value);
    } else if (!std::is_same_v<T, bool> || value) {
      json[name] = value;
    }
  });
  return json;
}

MetricsRecord record_of(const Json& json) {
  for (const char* key : {"step", "tokens"}) static_cast<void>(json.at(key));  // without them it is no record
  MetricsRecord record;
  StepDone& training = record.training;
  visit_fields(training, [&]<class T>(const char* name, T& value) {
    if constexpr (std::is_same_v<T, double>) value = number_or_nan(json, name);
    else if constexpr (std::is_arithmetic_v<T>) value = json.value(name, T{});
    else if (const auto rollout = json.find(name); rollout != json.end()) read_figures(*rollout, value.emplace());
  });
  if (const auto eval = json.find("eval"); eval != json.end()) {
    read_figures(*eval, record.eval.emplace());
    training.eval_follows = training.step > 0;
  }
  return record;
}

// Calls visit(line, record) for every whole line.
template <class Visit>
void for_each_record(const std::filesystem::path& file, Visit visit) {
  const std::string contents = read_file(file, "the metrics of a run", kAnySize);
  int line_number = 0;
  for (std::size_t begin = 0; begin < contents.size();) {
    const std::size_t end = contents.find('\n', begin);
    if (end == std::string::npos) return;  // cut off while it was written
    const std::string_view line = std::string_view(contents).substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    MetricsRecord record;
    try {
      record = record_of(Json::parse(line));
    } catch (const nlohmann::json::exception&) {
      throw Error({.who = file.string() + ":" + std::to_string(line_number),
                   .expected = "one JSON object with step and tokens",
                   .got = "\"" + std::string(line.substr(0, 40)) + "\"",
                   .hint = "remove the line"});
    }
    visit(line, record);
  }
}

}  // namespace

void MetricsLog::run_started(const RunStarted& event) {
  waiting_.reset();
  std::string kept;
  const std::int64_t end = event.first_step + (event.evaluation_pending ? 0 : 1);
  if (std::filesystem::exists(file_))
    for_each_record(file_, [&](std::string_view line, const MetricsRecord& record) {
      if (record.training.step < end) (kept += line) += '\n';
    });
  write_file_atomically(file_, kept);
}

void MetricsLog::step_done(const StepDone& event) {
  QAD_ASSERT(!waiting_);
  if (event.eval_follows) waiting_ = event;
  else append_line(file_, json_of(event).dump());
}

void MetricsLog::eval_done(const EvalDone& event) {
  QAD_ASSERT(!waiting_ || waiting_->step == event.step);
  Json json = waiting_ ? json_of(*waiting_) : Json{{"step", event.step}, {"tokens", event.tokens}};
  json["eval"] = qad::json_of(event.figures);
  if (!event.routing.empty()) json["routing"] = qad::json_of(event.routing);
  append_line(file_, json.dump());
  waiting_.reset();
}

std::vector<MetricsRecord> read_metrics(const std::filesystem::path& file) {
  std::vector<MetricsRecord> records;
  for_each_record(file, [&](std::string_view, const MetricsRecord& record) { records.push_back(record); });
  return records;
}

}  // namespace qad
