#include "qad/verbs/export.h"

#include <optional>
#include <ostream>

#include "autograd/base/error.h"
#include "qad/layouts/registry.h"
#include "qad/layouts/write_export.h"
#include "qad/report/format.h"
#include "qad/run/export_student.h"
#include "qad/run/run_lock.h"

namespace qad::verbs {

ExitCode export_model(const ExportOptions& options, std::ostream& print) {
  static_cast<void>(exporter(options.format));  // an unknown layout is told before anything is loaded
  const RunFolder folder = open_run_folder(options.run);
  const Recipe recipe = read_recipe(folder);
  if (recipe.row().is_comparison)
    throw Error({.who = options.run.string(),
                 .expected = "the folder of one run",
                 .got = "a comparison",
                 .hint = "name one of its arms/ folders"},
                ExitCode::usage);
  check_layout(options.format, recipe);
  const bool writes_text = lacks_teacher_text(recipe, folder);
  const RunLocks locks(writes_text ? std::optional(folder.path) : std::nullopt, options.out);
  const std::string run = run_id(folder);
  OutputFolder out = export_folder(options.out, run);
  const Materials materials = load_materials(recipe, folder);
  SavedStudent saved = load_student(folder, recipe, materials.teacher.get(), options.checkpoint, materials.inputs);
  fix_scales(saved.student, materials);
  const ExportSummary summary =
      export_student(options.format, saved.student, recipe, materials, out, run, options.shard_bytes.value_or(0));
  print << options.format << " of step " << saved.state.step << " (" << saved.file.filename().string()
        << "): " << format_bytes(summary.bytes) << " in " << options.out.string() << ", compared bit for bit";
  if (materials.teacher != nullptr)
    print << ", held-out KL from its bytes " << format_with_error(summary.eval.kl_mean, summary.eval.kl_mean_stderr);
  print << "\n";
  return ExitCode::done;
}

}  // namespace qad::verbs
