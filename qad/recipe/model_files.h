// Where the files of a model lie that a recipe names: config.json, tokenizer, side files. The model may be a folder in
// Hugging Face's layout or the folder of a run, which has weights alone.
#pragma once

#include <filesystem>

namespace qad {

struct Recipe;

/// A folder with a run's recipe.yaml. llm-compressor writes a file of that name beside a model's config.json.
[[nodiscard]] bool is_run_folder(const std::filesystem::path& path);

/// What a run's recipe.yaml says.
[[nodiscard]] Recipe recipe_of_run(const std::filesystem::path& run);

/// The folder itself; of a run, that of the model whose weights it changed, which may be a run's in turn. A pretraining
/// run started from none, so its dense export is taken. Throws Error (usage) for a comparison, for pretraining without
/// that export, and for runs that name each other in a circle.
[[nodiscard]] std::filesystem::path model_files(const std::filesystem::path& model);

}  // namespace qad
