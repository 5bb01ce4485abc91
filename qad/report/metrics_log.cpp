#include "qad/report/metrics_log.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "qad/report/eval_json.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const StepDone& event) {
  Json json = {{"step", event.step},
               {"tokens", event.tokens},
               {"loss", event.loss},
               {"lr", event.lr},
               {"grad_norm", event.grad_norm},
               {"tokens_per_second", event.tokens_per_second},
               {"saturated_weights", event.saturated_weights},
               {"saturated_activations", event.saturated_activations}};
  if (event.skipped) json["skipped"] = true;
  if (event.rollout) {
    Json& rollout = json["rollout"] = Json::object();
    visit_rollout(*event.rollout, [&](const char* name, double figure) {
      if (!std::isnan(figure)) rollout[name] = figure;
    });
  }
  return json;
}

MetricsRecord record_of(const Json& json) {
  MetricsRecord record;
  StepDone& training = record.training;
  training.step = json.at("step").get<std::int64_t>();
  training.tokens = json.at("tokens").get<std::int64_t>();
  training.loss = number_or_nan(json, "loss");
  training.lr = number_or_nan(json, "lr");
  training.grad_norm = number_or_nan(json, "grad_norm");
  training.tokens_per_second = number_or_nan(json, "tokens_per_second");
  training.saturated_weights = json.value("saturated_weights", std::int64_t{0});
  training.saturated_activations = json.value("saturated_activations", std::int64_t{0});
  training.skipped = json.value("skipped", false);
  if (const auto rollout = json.find("rollout"); rollout != json.end())
    visit_rollout(training.rollout.emplace(),
                  [&](const char* name, double& figure) { figure = number_or_nan(*rollout, name); });
  if (const auto eval = json.find("eval"); eval != json.end()) {
    record.eval = eval_figures_of(*eval);
    training.eval_follows = training.step > 0;
  }
  return record;
}

/// Calls visit(line, record) for every whole line.
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
      throw Error({file.string() + ":" + std::to_string(line_number), "one JSON object with step and tokens",
                   "\"" + std::string(line.substr(0, 40)) + "\"", "remove the line"});
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
  append_line(file_, json.dump());
  waiting_.reset();
}

std::vector<MetricsRecord> read_metrics(const std::filesystem::path& file) {
  std::vector<MetricsRecord> records;
  for_each_record(file, [&](std::string_view, const MetricsRecord& record) { records.push_back(record); });
  return records;
}

}  // namespace qad
