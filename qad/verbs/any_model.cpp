#include "qad/verbs/any_model.h"

#include "autograd/core/error.h"
#include "models/hf_config.h"
#include "models/model_folder.h"
#include "qad/exporters/export_marker.h"
#include "qad/exporters/read_export.h"

namespace qad::verbs {

std::unique_ptr<LanguageModel> load_any_model(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder))
    throw Error({folder.string(), "a run's or a model's folder",
                 std::filesystem::exists(folder) ? "a file" : "nothing there", download_hint(folder)},
                ExitCode::usage);
  check_export(folder);
  if (is_packed_export(folder)) return make_exported_model(read_export(folder));
  return load_model(folder, WeightType::file);
}

}  // namespace qad::verbs
