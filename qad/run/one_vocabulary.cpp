#include "qad/run/one_vocabulary.h"

#include <algorithm>
#include <memory>

#include "autograd/base/log.h"
#include "qad/recipe/model_files.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

bool same_place(const fs::path& a, const fs::path& b) {
  std::error_code ignored;
  return a == b || (!a.empty() && !b.empty() && fs::equivalent(a, b, ignored));
}

void add_once(const fs::path& folder, std::vector<fs::path>& folders) {
  if (folder.empty()) return;
  if (std::ranges::none_of(folders, [&](const fs::path& known) { return same_place(known, folder); }))
    folders.push_back(folder);
}

void add_models_of(const Recipe& recipe, std::vector<fs::path>& folders) {
  if (recipe.teacher) add_once(model_files(recipe.teacher->model), folders);
  if (recipe.row().start == Start::merged)
    for (const MergedModelConfig& one : recipe.merge->models) add_once(one.model, folders);
  else if (recipe.row().start != Start::fresh && recipe.student.model != "teacher")
    add_once(start_folder(recipe), folders);
}

}  // namespace

void check_one_vocabulary(const std::vector<fs::path>& models, const Tokenizer* tokenizer, std::int64_t vocabulary) {
  std::unique_ptr<Tokenizer> first;  // in place of one that reads the text
  fs::path whose = tokenizer == nullptr ? fs::path() : tokenizer->folder();
  if (tokenizer != nullptr && whose.empty()) whose = "bytes";
  std::vector<fs::path> without;
  for (const fs::path& folder : models) {
    if (!has_tokenizer(folder)) {
      without.push_back(folder);
    } else if (tokenizer == nullptr) {
      first = load_tokenizer(folder);
      tokenizer = first.get();
      whose = folder;
    } else if (!same_place(folder, whose)) {
      check_same_tokens(*tokenizer, whose.string(), *load_tokenizer(folder), folder.string(), vocabulary);
    }
  }
  if (tokenizer == nullptr || models.size() < 2) return;
  for (const fs::path& folder : without)
    log_warning("{} has no tokenizer: that its tokens are those of {} is taken for granted", folder.string(),
                whose.string());
}

std::vector<fs::path> models_of(const Recipe& recipe) {
  std::vector<fs::path> folders;
  add_models_of(recipe, folders);
  if (!recipe.row().is_comparison) return folders;
  for (const Arm& arm : expand_arms(recipe))
    for (const ArmCandidate& candidate : arm.candidates)
      for (const ArmRun& run : candidate) add_models_of(run.recipe, folders);
  return folders;
}

}  // namespace qad
