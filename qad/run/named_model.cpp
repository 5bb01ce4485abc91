#include "qad/run/named_model.h"

#include <map>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "models/families/registry.h"
#include "models/finite_values.h"
#include "models/import/model_folder.h"
#include "qad/layouts/export_marker.h"
#include "qad/layouts/exporter.h"
#include "qad/quant/bf16_rounding.h"
#include "qad/recipe/model_files.h"
#include "qad/run/student.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

// By parameter, its FP32 master.
std::map<std::string, Tensor> masters_of(LanguageModel& student) {
  std::map<std::string, Tensor> values;
  for (const ParameterPointer& parameter : student.parameters()) values[parameter->name] = parameter->value();
  return values;
}

// By parameter, what a dense export holds: codes dequantized, all else in BF16.
std::map<std::string, Tensor> quantized_weights_of(const Student& student) {
  std::map<std::string, Tensor> values;
  for (const LinearQuantizers& linear : student.quantizers.linears())
    if (linear.weights)
      values[linear.weight->name] =
          dequantized(linear.weights->codes(linear.weight->value(), linear.weight->version()));
  for (const ParameterPointer& parameter : student.model->parameters())
    if (!values.contains(parameter->name))
      values[parameter->name] = parameter->value().to(kept_type(parameter->role, DType::bf16));
  return values;
}

std::unique_ptr<LanguageModel> load_of_run(const RunFolder& folder, RunModel of_run, WeightType type) {
  const Recipe recipe = read_recipe(folder);
  const auto teacher = recipe.teacher ? load_teacher(*recipe.teacher) : nullptr;
  const SavedStudent saved = load_student(folder, recipe, teacher.get(), CheckpointChoice::best);
  const auto values =
      of_run == RunModel::student ? quantized_weights_of(saved.student) : masters_of(*saved.student.model);
  auto model = make_model(saved.student.model->config(), [&](const ParameterSpec& spec) {
    const Tensor& value = values.at(spec.name);
    if (type != WeightType::bf16) return make_parameter(spec.name, value, false);
    const DType kept = kept_type(spec.role, DType::bf16);
    if (kept == DType::bf16) check_fits_bf16(spec.name, value);
    return make_parameter(spec.name, value.to(kept), false);
  });
  model->label = saved.file.string();
  log_info("{}: {} of step {} ({})", folder.path.string(), enum_name(of_run), saved.state.step,
           saved.file.filename().string());
  return model;
}

}  // namespace

std::unique_ptr<LanguageModel> load_named_model(const fs::path& model, RunModel of_run, WeightType type) {
  if (is_run_folder(model)) return load_of_run({model}, of_run, type);
  check_export(model);
  return load_model(model, type);
}

std::unique_ptr<LanguageModel> load_teacher(const TeacherConfig& teacher) {
  auto model = load_named_model(teacher.model, teacher.of_run,
                                teacher.weights == TeacherWeights::file ? WeightType::file : WeightType::bf16);
  set_input_precision(*model, teacher.compute);
  return model;
}

std::unique_ptr<LanguageModel> load_start(const StudentConfig& student, WeightType type) {
  return load_named_model(student.model, student.of_run, type);
}

}  // namespace qad
