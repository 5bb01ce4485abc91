#include "qad/run/stream_run.h"

#include <set>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/base/place.h"
#include "autograd/base/version.h"
#include "autograd/kernels/table.h"
#include "data/files/hash.h"
#include "qad/checkpoint/run_inputs.h"
#include "qad/layouts/export_marker.h"
#include "qad/layouts/registry.h"
#include "qad/report/format.h"
#include "qad/report/live_report.h"
#include "qad/report/machine.h"
#include "qad/run/streamed_student.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t kShardBytes = kDefaultShardBytes;

ExportPlan plan_of(StreamedStudent& student, const Exporter& layout) {
  return plan_export(layout, student.model(), student.quantizers(), student.frame_for(layout), kShardBytes,
                     [&](std::size_t i) { return student.dense(i); });
}

StreamedSizes sizes_of(StreamedStudent& student, const ExportPlan& plan, const Exporter& layout,
                       const Materials& materials) {
  std::uint64_t source = 0, made = 0;
  for (const ExportPiece& piece : plan.pieces) source += student.stored_bytes(piece), made += piece.bytes;
  return {std::string(layout.name), static_cast<std::int64_t>(source), static_cast<std::int64_t>(made),
          std::ssize(plan.pieces), static_cast<std::int64_t>(student.memory(plan, materials.calibration))};
}

// All exports of a run are of one model: beside them stands which.
void check_one_source(const RunFolder& folder, const std::string& source, bool has_exports) {
  const fs::path note = folder.path / "export" / ".qad_source";
  if (place_at(note) == Place::file) {
    if (read_file(note, "of which model exports are") == source) return;
    if (has_exports)
      throw Error({.who = folder.path.string(),
                   .expected = "the model that its other exports are of",
                   .got = "another, or one whose files were touched",
                   .hint = "remove its folder export, and qad resume makes all of them again"});
  }
  create_folders(note.parent_path());
  write_file_atomically(note, source);
}

}  // namespace

std::vector<StreamedSizes> streamed_sizes(const Recipe& recipe) {
  const Materials materials = load_calibration_text(recipe);
  StreamedStudent student(recipe);
  std::vector<StreamedSizes> sizes;
  for (const std::string& format : recipe.export_formats)
    sizes.push_back(sizes_of(student, plan_of(student, exporter(format)), exporter(format), materials));
  return sizes;
}

std::string stream_id(const Recipe& recipe, const std::string& format) {
  Recipe same = recipe;
  same.threads = 0;
  same.export_formats = {format};
  return hex(hash128(std::string(kVersion) + "\n" + recipe_text(same)));
}

ExportSummary stream_export(const Recipe& recipe, const std::string& format, const fs::path& target,
                            const std::string& run,
                            const std::function<void(const std::string& source)>& check_source) {
  OutputFolder out = streamed_export_folder(target, run);
  const Materials materials = load_calibration_text(recipe);
  StreamedStudent student(recipe);
  const std::string source = student.source().fingerprint() + " " + fingerprint(student.model().config());
  if (check_source) check_source(source);
  const Exporter& layout = exporter(format);
  ExportPlan plan = plan_of(student, layout);
  const StreamedSizes sizes = sizes_of(student, plan, layout, materials);
  log_info("{}: {} of weights become {}, in {} parts; this takes at most {} of memory", format,
           format_bytes(sizes.source_bytes), format_bytes(sizes.export_bytes), sizes.parts,
           format_bytes(sizes.memory_bytes));
  std::string identity = stream_id(recipe, format) + " " + source;
  for (const auto& [name, hash] : materials.inputs) identity += " " + hash;
  if (!materials.calibration.empty()) identity += " " + hex(hash128(kernel_description()));
  StreamedExport streamed(out, layout, std::move(plan), identity, kShardBytes);
  try {
    student.calibrate(materials, streamed);
    student.write_pieces(streamed);
  } catch (const NotFinite&) {  // as it would be again, however often one goes on
    out.keep_nothing();
    throw;
  }

  const fs::path start = start_folder(recipe);
  ExportExtras extras;
  extras.run = run;
  if (!has_tokenizer(start)) extras.side_files.push_back(base_folder(recipe));
  extras.side_files.push_back(start);
  streamed.finish(student.cache_scales(), extras);
  return {format, target.string(), bytes_in_folder(target), {}};
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
  std::set<std::string> whole;
  for (const std::string& format : recipe.export_formats)
    if (state_of_export(folder.exported(format), format) == ExportState::whole) whole.insert(format);
  const auto of_one_model = [&](const std::string& source) { check_one_source(folder, source, !whole.empty()); };
  for (const std::string& format : recipe.export_formats) {
    const fs::path target = folder.exported(format);
    if (whole.contains(format)) summary.exports.push_back({format, "", bytes_in_folder(target), {}});
    else summary.exports.push_back(stream_export(recipe, format, target, run, of_one_model));
    whole.insert(format);
    summary.exports.back().folder = target.lexically_relative(folder.path).string();
  }
  log_info("{}: {} exports", name, summary.exports.size());
  summary.peak_rss_bytes = peak_rss_bytes();
  try_to_write_report(folder.path, summary);
  write_summary(folder.summary(), summary);
  return summary;
}

}  // namespace qad
