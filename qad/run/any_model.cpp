#include "qad/run/any_model.h"

#include "autograd/base/error.h"
#include "models/families/hf_config.h"
#include "models/import/model_folder.h"
#include "qad/layouts/export_marker.h"
#include "qad/layouts/gguf.h"
#include "qad/layouts/read_export.h"

namespace qad {

std::unique_ptr<LanguageModel> load_any_model(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder))
    throw Error({.who = folder.string(),
                 .expected = "a run's or a model's folder",
                 .got = std::filesystem::exists(folder) ? "a file" : "nothing there",
                 .hint = download_hint(folder)},
                ExitCode::usage);
  check_export(folder);
  if (is_packed_export(folder)) return make_exported_model(read_export(folder));
  return load_model(folder, WeightType::file);
}

std::filesystem::path model_folder(const std::filesystem::path& path) {
  const bool is_export = path.filename() == kGgufFile && std::filesystem::exists(path.parent_path() / "config.json");
  if (!is_export) return path;
  return path.has_parent_path() ? path.parent_path() : ".";
}

}  // namespace qad
