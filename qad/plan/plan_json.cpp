#include "qad/plan/plan_json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "autograd/base/parallel.h"
#include "autograd/kernels/table.h"
#include "qad/report/machine.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;

Json quantizers_json(const QuantizerSet& quantizers) {
  Json rows = Json::array();
  for (const QuantizerTableRow& row : quantizer_table(quantizers)) {
    Json one = {{"layers", row.layers}, {"count", row.count}};
    for (int axis = 0; axis < row.shape.rank(); ++axis) one["shape"].push_back(row.shape[axis]);
    one["weights"] = row.weights;
    one["inputs"] = row.inputs;
    if (!std::isnan(row.bits_per_weight)) one["bits_per_weight"] = row.bits_per_weight;
    rows.push_back(std::move(one));
  }
  return rows;
}

void add_parameters(Json& json, const PlanSubject& subject) {
  json["parameters"] = parameter_count(*subject.student);
  for (const auto& [part, count] : parameters_by_part(subject)) json["parameters_by_part"][part] = count;
  json["bits_per_weight"] = bits_per_weight(*subject.student, subject.quantizers);
  json["quantizers"] = quantizers_json(subject.quantizers);
}

Json text_json(const PlannedText& text) {
  return {{"train_documents", text.train_documents}, {"train_sequences", text.train_sequences},
          {"train_tokens", text.train_tokens},       {"eval_documents", text.eval_documents},
          {"eval_tokens", text.eval_tokens},         {"estimated", text.estimated},
          {"is_beginning", text.is_beginning}};
}

Json memory_json(const MemoryPlan& memory) {
  Json json = {{"teacher", memory.teacher}, {"student", memory.student},           {"gradients", memory.gradients},
               {"moments", memory.moments}, {"weight_codes", memory.weight_codes}, {"activations", memory.activations},
               {"logits", memory.logits},   {"working", memory.working},           {"exports", memory.exports},
               {"process", memory.process}};
  if (memory.reference > 0) json["reference"] = memory.reference;
  return json;
}

Json json_of(const Cost& cost) { return {{"seconds", cost.seconds}, {"operations", cost.operations}}; }

void add_machine(Json& json) {
  json["machine"] = text_of(this_machine());
  json["kernels"] = kernel_description();
  json["threads"] = threads();
}

}  // namespace

Json json_of(const RunPlan& plan) {
  const PlanSubject& subject = plan.subject;
  Json json = {{"kind", std::string(enum_name(subject.recipe.kind))}};
  if (subject.recipe.teacher) json["teacher"] = subject.recipe.teacher->model;
  if (subject.recipe.row().has_teacher) json["student"] = subject.recipe.student.model;
  json["steps"] = plan.steps();
  const double per_step = plan.steps() > 0 ? tokens_per_step(subject) : 0;
  json["tokens"] = static_cast<double>(plan.steps()) * per_step;
  json["tokens_per_step"] = per_step;
  json["seconds"] = plan.seconds;
  json["peak_rss_bytes"] = plan.memory.total();
  if (plan.ranks > 1) {
    json["ranks"] = plan.ranks;
    json["bytes_sent_per_step"] = plan.bytes_sent_per_step();
  }
  add_parameters(json, subject);
  json["text"] = text_json(subject.text);
  const PlannedFiles files = planned_files(subject);
  json["checkpoints"] = {
      {"count", files.checkpoints}, {"bytes", files.checkpoint_bytes}, {"best_bytes", files.best_bytes}};
  if (files.moments_bytes > 0) json["moments_file_bytes"] = files.moments_bytes;
  json["exports"] = Json::array();
  for (const auto& [format, bytes] : files.exports) json["exports"].push_back({{"format", format}, {"bytes", bytes}});
  json["memory"] = memory_json(plan.memory);
  if (plan.steps() > 0) {
    const TimePlan& time = plan.time;
    json["step"] = {{"teacher_layers", json_of(time.teacher_layers)},
                    {"student_layers", json_of(time.student_layers)},
                    {"head", json_of(time.head)},
                    {"optimizer", json_of(time.optimizer)},
                    {"all", json_of(time.step())}};
    if (subject.answers_problems()) {
      json["step"]["answers"] = json_of(time.answers);
      json["step"]["reference_layers"] = json_of(time.reference_layers);
    }
    json["attention_operations"] = time.attention_operations;
  }
  json["evaluation_seconds"] = plan.time.evaluation_seconds;
  json["calibration_seconds"] = plan.time.calibration_seconds;
  if (plan.subject.search.groups > 0) json["search_seconds"] = plan.time.search_seconds;
  add_machine(json);
  return json;
}

Json json_of(const std::vector<ArmPlan>& arms, const PlanSubject& first) {
  Json json = {{"kind", "compare"}};
  add_parameters(json, first);
  double seconds = 0;
  std::int64_t peak = 0;
  Json rows = Json::array();
  for (const ArmPlan& arm : arms) {
    seconds += arm.seconds;
    peak = std::max(peak, arm.peak_bytes);
    rows.push_back({{"name", arm.name},
                    {"kind", arm.kind},
                    {"runs", arm.runs},
                    {"steps", arm.steps},
                    {"tokens", arm.tokens},
                    {"seconds_per_step", arm.seconds_per_step},
                    {"peak_rss_bytes", arm.peak_bytes},
                    {"seconds", arm.seconds}});
  }
  json["seconds"] = seconds;
  json["peak_rss_bytes"] = peak;
  add_machine(json);
  json["arms"] = std::move(rows);
  return json;
}

Json json_of(const std::vector<StreamedSizes>& exports) {
  Json rows = Json::array();
  for (const StreamedSizes& one : exports)
    rows.push_back({{"format", one.format},
                    {"source_bytes", one.source_bytes},
                    {"bytes", one.export_bytes},
                    {"parts", one.parts},
                    {"memory_bytes", one.memory_bytes}});
  return {{"exports", std::move(rows)}};
}

}  // namespace qad
