#include "qad/verbs/quantize.h"

#include <ostream>

#include "autograd/base/interrupt.h"
#include "autograd/base/parallel.h"
#include "models/families/hf_config.h"
#include "qad/layouts/export_marker.h"
#include "qad/report/format.h"
#include "qad/run/run_lock.h"
#include "qad/run/stream_run.h"

namespace qad::verbs {

ExitCode quantize(const QuantizeOptions& options, std::ostream& print) {
  check_model_folder(options.model);
  const Recipe recipe =
      with_absolute_paths(load_streamed_recipe(options.preset, options.model, options.layout, options.overrides));
  set_threads(static_cast<int>(recipe.threads));
  const RunLocks locks({}, options.out);
  const std::string id = stream_id(recipe, options.layout);
  try {
    const ExportSummary made = stream_export(recipe, options.layout, options.out, id);
    print << options.layout << ": " << format_bytes(made.bytes) << " in " << options.out.string()
          << ", compared bit for bit\n";
    return ExitCode::done;
  } catch (const Stopped&) {
    print << "interrupted, what is done is saved; the same command goes on\n";
    return ExitCode::interrupted;
  }
}

}  // namespace qad::verbs
