#include "qad/run/export_student.h"

#include <algorithm>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/base/place.h"
#include "models/families/hf_config.h"
#include "qad/calib/calibrate.h"
#include "qad/layouts/check_exportable.h"
#include "qad/layouts/export_refusals.h"
#include "qad/layouts/from_student.h"
#include "qad/layouts/read_export.h"
#include "qad/layouts/registry.h"
#include "qad/layouts/write_export.h"
#include "qad/train/evaluator.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

// That of the side files; of pretraining, the one that it read its text with.
std::shared_ptr<const Tokenizer> tokenizer_of(const fs::path& start, const Materials& materials) {
  for (const fs::path& folder : {start, materials.model_folder})
    if (has_tokenizer(folder)) return load_tokenizer(folder);
  return {std::shared_ptr<const Tokenizer>(), materials.tokenizer.get()};  // the materials outlive the export
}

// Puts all scales back to what they were, also when an exception passes.
class KeptScales {
 public:
  explicit KeptScales(QuantizerSet& quantizers)
      : quantizers_(quantizers), scales_(quantizers.state()), block_scales_(quantizers.state_tensors()) {}
  ~KeptScales() { quantizers_.restore(scales_, "the scales of training", block_scales_); }
  KeptScales(const KeptScales&) = delete;
  KeptScales& operator=(const KeptScales&) = delete;

 private:
  QuantizerSet& quantizers_;
  std::vector<QuantizerSet::NamedValue> scales_;
  QuantizerSet::NamedTensors block_scales_;
};

}  // namespace

void check_exports(const Recipe& recipe, const Materials& materials, Student& student) {
  if (recipe.export_formats.empty()) return;
  const KeptScales kept(student.quantizers);
  student.quantizers.end_observing(TensorScaleSource::calibration);  // as an export has them, whatever training follows
  const fs::path start = start_folder(recipe);
  ExportModel exported = export_model_of(*student.model, student.quantizers, start);
  if (std::ranges::any_of(recipe.export_formats, [](const auto& name) { return exporter(name).holds_tokenizer; }))
    exported.tokenizer = tokenizer_of(start, materials);
  check_exportable(exported);
  for (const std::string& format : recipe.export_formats) static_cast<void>(exporter(format).pack(exported));
}

void check_layout(const std::string& format, const Recipe& recipe) {
  if (!recipe.quantize.share_groups)
    throw Error({.who = "export as " + format,
                 .expected = "a run with quantize.share_groups: true",
                 .got = "false",
                 .hint = "serving engines run fused layers under one scale"},
                ExitCode::usage);
  const ModelConfig config = student_config(recipe);
  const ExportOutline outline = outline_of(config, linear_shapes(config), recipe.quantize);
  throw_if_any(export_refusals(exporter(format), outline), "export as " + format, ExitCode::usage);
}

std::vector<ExportSummary> export_all(const Recipe& recipe, const Materials& materials, const RunFolder& folder) {
  return export_formats(recipe.export_formats, recipe, materials, folder);
}

std::vector<ExportSummary> export_formats(const std::vector<std::string>& formats, const Recipe& recipe,
                                          const Materials& materials, const RunFolder& folder) {
  std::vector<ExportSummary> summaries;
  if (formats.empty()) return summaries;
  const std::string run = run_id(folder);
  SavedStudent saved = load_student(folder, recipe, materials.teacher.get(), CheckpointChoice::best, materials.inputs);
  fix_scales(saved.student, materials);
  for (const std::string& format : formats) {
    OutputFolder out = export_folder(folder.exported(format), run);
    summaries.push_back(export_student(format, saved.student, recipe, materials, out, run));
    summaries.back().folder = folder.exported(format).lexically_relative(folder.path).string();
  }
  return summaries;
}

void fix_scales(Student& student, const Materials& materials) {
  QuantizerSet followers = student.quantizers.only([](const Quantizer& one) { return one.scale().follows_data(); });
  if (followers.empty()) return;
  log_info("calibrates the scales of the export");
  calibrate(*student.model, followers, materials.calibration, TensorScaleSource::calibration);
}

ExportSummary export_student(const std::string& format, Student& student, const Recipe& recipe,
                             const Materials& materials, OutputFolder& out, const std::string& run,
                             std::int64_t shard_bytes) {
  const fs::path start = start_folder(recipe);
  ExportExtras extras;
  extras.run = run;
  if (!start.empty() && !has_tokenizer(start)) extras.side_files.push_back(materials.model_folder);
  if (!start.empty()) extras.side_files.push_back(start);
  if (shard_bytes > 0) extras.shard_bytes = static_cast<std::uint64_t>(shard_bytes);
  if (materials.model_folder.empty())  // pretraining: what a teacher's folder would have had
    extras.add_files = [&](const fs::path& folder) {
      write_file_atomically(folder / "generation_config.json", generation_config(student.model->config()));
      if (materials.tokenizer != nullptr) materials.tokenizer->save(folder);
    };
  ExportModel exported = export_model_of(*student.model, student.quantizers, start);
  if (exporter(format).holds_tokenizer) exported.tokenizer = tokenizer_of(start, materials);
  write_export(out, exporter(format), exported, extras);

  const fs::path& place = out.target();
  ExportSummary summary{format, place.string(), bytes_in_folder(place), {}};
  const std::unique_ptr<LanguageModel> again = make_exported_model(read_export(place));
  summary.eval = evaluate(*again, materials.teacher.get(), materials.evaluation);
  log_info("exported {} to {}: held-out {} {:.6f}, from its bytes", format, place.string(),
           materials.teacher ? "KL" : "cross-entropy",
           materials.teacher ? summary.eval.kl_mean : summary.eval.cross_entropy);
  return summary;
}

}  // namespace qad
