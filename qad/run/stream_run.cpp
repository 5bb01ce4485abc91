#include "qad/run/stream_run.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "autograd/base/version.h"
#include "autograd/core/storage.h"
#include "data/files/hash.h"
#include "models/import/streamed_model.h"
#include "qad/calib/algorithms.h"
#include "qad/layouts/export_marker.h"
#include "qad/layouts/registry.h"
#include "qad/layouts/stream_export.h"
#include "qad/quant/bf16_rounding.h"
#include "qad/report/format.h"
#include "qad/report/machine.h"
#include "qad/report/progress.h"
#include "qad/run/materials.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t kShardBytes = kDefaultShardBytes;
constexpr std::size_t kMostCached = std::size_t{128} << 20;
// The program itself, its lists, and what waits to be written.
constexpr std::uint64_t kBesides = std::uint64_t{192} << 20;

WeightType type_of(const Recipe& recipe) {
  const bool of_teacher = recipe.student.model == "teacher" && recipe.teacher->weights == TeacherWeights::bf16;
  return of_teacher ? WeightType::bf16 : WeightType::file;
}

// The student of a recipe, of which one part at a time is in memory.
class StreamedStudent {
 public:
  explicit StreamedStudent(const Recipe& recipe) : recipe_(recipe) {
    const fs::path folder = start_folder(recipe);
    check_export(folder);
    source_.emplace(folder, type_of(recipe));
    warn_of_idle_rules(model(), recipe.quantize.rules);
    quantizers_ = attach_quantizers(model(), recipe.quantize, recipe.calibrate.algorithm);
    set_input_precision(model(), recipe.train.forward);
    parts_ = export_parts_of(model(), quantizers_);
    frame_ = export_frame_of(model().config(), quantizers_, folder);
    bare_ = frame_;
    bare_.passengers.clear();
  }

  [[nodiscard]] LanguageModel& model() { return source_->model(); }
  [[nodiscard]] StreamedModel& source() { return *source_; }
  [[nodiscard]] QuantizerSet& quantizers() { return quantizers_; }
  [[nodiscard]] const ExportParts& parts() const { return parts_; }
  ExportModel& frame() { return frame_; }

  // Inputs, keys and values have scales that nothing need be seen for.
  void settle_inputs() {
    quantizers_.only([](const Quantizer& one) { return dynamic_cast<const ActivationQuantizer*>(&one) != nullptr; })
        .end_observing(TensorScaleSource::calibration);
  }

  [[nodiscard]] NamedTensor dense(std::size_t i) {
    Parameter& parameter = *parts_.dense[i];
    source_->load(parameter, StreamedModel::As::loaded);
    NamedTensor tensor{parameter.name, parameter.value(), parameter.role};
    source_->unload(parameter);
    return tensor;
  }

  // Found, with codes, as calibrate() finds them for the whole model.
  [[nodiscard]] ExportModel part(const ExportPiece& piece) {
    for (Parameter* one : parameters_of(piece)) source_->load(*one, StreamedModel::As::loaded);
    std::set<const Quantizer*> wanted;
    for (const std::size_t i : piece.layers) wanted.insert(parts_.layers[i].quantizers->weights.get());
    QuantizerSet weights = quantizers_.only([&](const Quantizer& one) { return wanted.contains(&one); });
    weights.end_observing(TensorScaleSource::calibration);
    find_scales(weights, {}, recipe_.calibrate);
    return packed(piece);
  }

  void let_go(const ExportPiece& piece) {
    for (const std::size_t i : piece.layers) parts_.layers[i].quantizers->weights->forget();
    for (Parameter* one : parameters_of(piece)) source_->unload(*one);
    if (storage_statistics().cached_bytes > kMostCached) release_cached_storage();
  }

  void ask_for(const ExportPiece& piece) const {
    for (const Parameter* one : parameters_of(piece)) source_->ask_for(*one);
  }

  [[nodiscard]] std::vector<KeyValueScale> cache_scales() const {
    std::vector<KeyValueScale> scales;
    for (const CacheQuantizers* cache : parts_.caches) scales.push_back(export_scales_of(*cache));
    return scales;
  }

  [[nodiscard]] std::uint64_t stored_bytes(const ExportPiece& piece) const {
    std::uint64_t bytes = 0;
    for (const Parameter* one : parameters_of(piece)) bytes += source_->stored_bytes(*one);
    return bytes;
  }

  // Pages of this piece and of the next, its codes as they are found and as they are packed, one weight in FP32.
  [[nodiscard]] std::uint64_t memory_of(const std::vector<ExportPiece>& pieces) const {
    std::uint64_t most = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      std::uint64_t largest = 0, copies = 0;
      for (const std::size_t layer : pieces[i].layers)
        largest = std::max(largest, static_cast<std::uint64_t>(parts_.layers[layer].member->weight->shape().size()));
      for (const Parameter* one : parameters_of(pieces[i]))
        copies += static_cast<std::uint64_t>(one->shape().size()) * 2;
      const std::uint64_t next = i + 1 < pieces.size() ? stored_bytes(pieces[i + 1]) : 0;
      const std::uint64_t pages = stored_bytes(pieces[i]);
      most = std::max(most, pages + next + (pages == copies ? 0 : copies) + 3 * pieces[i].bytes + 8 * largest);
    }
    return most + kBesides;
  }

 private:
  [[nodiscard]] std::vector<Parameter*> parameters_of(const ExportPiece& piece) const {
    std::vector<Parameter*> all;
    for (const std::size_t i : piece.layers) all.push_back(parts_.layers[i].member->weight.get());
    for (const std::size_t i : piece.dense) all.push_back(parts_.dense[i].get());
    return all;
  }

  [[nodiscard]] ExportModel packed(const ExportPiece& piece) const {
    ExportModel part = bare_;
    for (const std::size_t i : piece.layers) part.linears.push_back(export_linear_of(parts_.layers[i]));
    for (const std::size_t i : piece.dense) {
      const Parameter& parameter = *parts_.dense[i];
      part.dense.push_back({parameter.name, parameter.value(), parameter.role});
    }
    for (const std::size_t i : piece.caches) part.key_value_scales.push_back(export_scales_of(*parts_.caches[i]));
    for (const std::size_t i : piece.passengers) part.passengers.push_back(frame_.passengers[i]);
    return part;
  }

  const Recipe& recipe_;
  std::optional<StreamedModel> source_;
  QuantizerSet quantizers_;
  ExportParts parts_;
  ExportModel frame_, bare_;
};

void write_pieces(StreamedStudent& student, StreamedExport& out, const std::string& name) {
  const std::vector<ExportPiece>& pieces = out.plan().pieces;
  std::vector<std::size_t> left;
  std::uint64_t bytes_left = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i)
    if (!out.is_done(i)) left.push_back(i), bytes_left += student.stored_bytes(pieces[i]);
  CountProgress progress(stderr_terminal(), name, "MiB", static_cast<std::int64_t>(bytes_left >> 20), {}, "bytes");
  std::uint64_t done = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    throw_if_stopped();
    const ExportPiece& piece = pieces[left[i]];
    if (i + 1 < left.size()) student.ask_for(pieces[left[i + 1]]);
    out.write(left[i], student.part(piece));
    student.let_go(piece);
    done += student.stored_bytes(piece);
    progress.update(static_cast<std::int64_t>(done >> 20), static_cast<std::int64_t>(done));
  }
}

std::shared_ptr<const Tokenizer> tokenizer_of(const Recipe& recipe) {
  for (const fs::path& folder : {start_folder(recipe), base_folder(recipe)})
    if (has_tokenizer(folder)) return load_tokenizer(folder);
  return find_tokenizer(recipe.data, base_folder(recipe));
}

std::int64_t bytes_in(const fs::path& folder) {
  std::int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file()) bytes += static_cast<std::int64_t>(entry.file_size());
  return bytes;
}

}  // namespace

std::string stream_id(const Recipe& recipe, const std::string& format) {
  Recipe same = recipe;
  same.threads = 0;
  same.export_formats = {format};
  return hex(hash128(std::string(kVersion) + "\n" + recipe_text(same)));
}

ExportSummary stream_export(const Recipe& recipe, const std::string& format, const fs::path& target,
                            const std::string& run) {
  OutputFolder out = streamed_export_folder(target, run);
  StreamedStudent student(recipe);
  const Exporter& layout = exporter(format);
  const fs::path start = start_folder(recipe);
  if (layout.holds_tokenizer) student.frame().tokenizer = tokenizer_of(recipe);
  student.settle_inputs();
  ExportPlan plan = plan_export(layout, student.model(), student.quantizers(), student.frame(), kShardBytes,
                                [&](std::size_t i) { return student.dense(i); });
  std::uint64_t source = 0, made = 0;
  for (const ExportPiece& piece : plan.pieces) source += student.stored_bytes(piece), made += piece.bytes;
  log_info("{}: {} of weights become {} in {}, in {} parts; at most {} of memory", format,
           format_bytes(static_cast<std::int64_t>(source)), format_bytes(static_cast<std::int64_t>(made)),
           target.string(), plan.pieces.size(),
           format_bytes(static_cast<std::int64_t>(student.memory_of(plan.pieces))));
  StreamedExport streamed(out, layout, std::move(plan),
                          stream_id(recipe, format) + " " + student.source().fingerprint(), kShardBytes);
  write_pieces(student, streamed, format);

  ExportExtras extras;
  extras.run = run;
  if (!has_tokenizer(start)) extras.side_files.push_back(base_folder(recipe));
  extras.side_files.push_back(start);
  streamed.finish(student.cache_scales(), extras);
  return {format, target.string(), bytes_in(target), {}};
}

RunSummary stream_run(const Recipe& recipe, const RunFolder& folder, const std::string& name) {
  RunSummary summary;
  summary.kind = enum_name(recipe.kind);
  summary.version = kVersion;
  summary.machine = text_of(this_machine());
  summary.teacher = recipe.teacher->model;
  summary.student = recipe.student.model;
  summary.end = enum_name(RunEnd::planned_steps);
  const std::string run = run_id(folder);
  for (const std::string& format : recipe.export_formats) {
    const fs::path target = folder.exported(format);
    if (state_of_export(target, format) == ExportState::whole)
      summary.exports.push_back({format, "", bytes_in(target), {}});
    else summary.exports.push_back(stream_export(recipe, format, target, run));
    summary.exports.back().folder = target.lexically_relative(folder.path).string();
  }
  log_info("{}: {} exports", name, summary.exports.size());
  summary.peak_rss_bytes = peak_rss_bytes();
  write_summary(folder.summary(), summary);
  return summary;
}

}  // namespace qad
