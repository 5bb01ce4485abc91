#include "qad/recipe/fit_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "autograd/base/error.h"
#include "autograd/base/place.h"
#include "data/tokenizer/tokenizer.h"
#include "models/prune/pruned_sizes.h"
#include "qad/layouts/export_refusals.h"
#include "qad/layouts/quantized_already.h"
#include "qad/layouts/registry.h"
#include "qad/quant/policy.h"
#include "qad/recipe/catalogue.h"
#include "qad/recipe/model_files.h"
#include "qad/recipe/nearest_name.h"
#include "qad/recipe/search_check.h"
#include "qad/train/parameter_rules.h"

namespace qad {
namespace {

bool start_is_there(const Recipe& recipe) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(start_folder(recipe) / "config.json", ignored);
}

// The model that a recipe quantizes, for a comparison that of its arms; none where nobody can tell.
struct StudentSizes {
  ModelConfig config;
  std::vector<LinearShape> layers;
};
std::optional<StudentSizes> student_sizes(const Recipe& recipe) {
  if (!recipe.row().quantizes || !recipe.teacher) return std::nullopt;
  try {
    if (!start_is_there(recipe)) return std::nullopt;
    const ModelConfig config = student_config(recipe);
    return StudentSizes{config, linear_shapes(config)};
  } catch (const Error&) {
    return std::nullopt;
  }
}

// The place of an item of a list, or of the list, or of the whole recipe.
const YamlPosition& place_of(const YamlNode& tree, std::string_view list, int item) {
  const YamlNode* const node = tree.find_path(list);
  if (node == nullptr) return tree.at;
  const bool is_there = item >= 0 && item < std::ssize(node->items);
  return is_there ? node->items[static_cast<std::size_t>(item)].at : node->at;
}

// Of the model that a run trains; none where nobody can tell, or where none is.
std::optional<ModelConfig> trained_config(const Recipe& recipe) {
  const KindRow& row = recipe.row();
  if (row.steps == Steps::none || row.is_comparison || recipe.train.steps == 0) return std::nullopt;
  if (row.start == Start::fresh) return recipe.model;
  if (recipe.student.model == "teacher" && !recipe.teacher) return std::nullopt;
  if (!start_is_there(recipe)) return std::nullopt;
  return student_config(recipe);
}

// Sizes that can't be had of the model.
void check_prune(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems) {
  if (!recipe.prune || !recipe.row().has_teacher || !recipe.teacher) return;
  try {
    if (!start_is_there(recipe)) return;
    for (const Problem& problem : prune_refusals(start_config(recipe), *recipe.prune)) {
      const YamlNode* node = tree.find_path(problem.who);
      if (node == nullptr) node = tree.find("prune");
      problems.add(node != nullptr ? node->at : tree.at, problem.who, problem.expected, problem.got, problem.hint);
    }
  } catch (const Error&) {  // of the model, which others tell
  }
}

// Rules over parameters that would meet none, which a run would say only when its turn comes.
void check_parameter_rules(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems) {
  const std::vector<ParameterRule>& rules = recipe.train.parameters;
  if (rules.empty()) return;
  try {
    const std::optional<ModelConfig> config = trained_config(recipe);
    if (!config) return;
    for (const auto& [problem, rule] :
         idle_rules(parameters_to_move(*config, recipe.quantize, recipe.train.router), rules))
      problems.add(place_of(tree, "train.parameters", rule), problem.who, problem.expected, problem.got, problem.hint);
  } catch (const Error&) {  // of the model or a number format, which others tell
  }
}

// Of rules that meet no layer, which may be a slip of the pen: an exclusion whose name is wrong quantizes the layer
// that it was to keep. What stands in the recipes that come along is for any model: there, neither an exclusion nor a
// kind that a model lacks says anything.
void warn_of_idle_rules(const std::vector<LinearShape>& layers, const std::vector<QuantizeRule>& rules,
                        const YamlNode& tree, YamlProblems& problems) {
  std::vector<std::string_view> names, kinds;  // the last words of the layers' names
  for (const LinearShape& layer : layers) {
    const std::string_view word = std::string_view(layer.name).substr(layer.name.rfind('.') + 1);
    if (std::ranges::find(names, word) == names.end()) names.push_back(word);
    const std::string_view kind = enum_name(layer.kind);
    if (std::ranges::find(kinds, kind) == kinds.end()) kinds.push_back(kind);
  }
  for (int i = 0; i < std::ssize(rules); ++i) {
    const QuantizeRule& rule = rules[static_cast<std::size_t>(i)];
    if (std::ranges::any_of(layers, [&](const LinearShape& layer) { return matches(rule, layer); })) continue;
    const YamlPosition& at = place_of(tree, "quantize.rules", i);
    const bool is_exclusion = rule.weights == "none" && rule.inputs == "none";
    const bool lacks_kind = rule.kind && std::ranges::find(kinds, enum_name(*rule.kind)) == kinds.end();
    if ((is_exclusion || lacks_kind) && is_in_catalogue(at.file)) continue;
    const bool has_name =
        std::ranges::any_of(layers, [&](const LinearShape& layer) { return glob_match(rule.layers, layer.name); });
    std::string hint = "layers have that name, but not in that kind or place";
    if (lacks_kind) hint = fmt::format("kinds of this model: {}", fmt::join(kinds, ", "));
    else if (!has_name) hint = name_hint(rule.layers.substr(rule.layers.rfind('.') + 1), names);
    problems.warn(at, fmt::format("quantize.rules[{}]", i),
                  fmt::format("no linear layer is met by '{}'{} ({})", rule.layers, place_text(rule), hint));
  }
}

bool is_known(const std::string& format) {
  return format == "none" || std::ranges::find(block_formats(), format, &BlockFormat::name) != block_formats().end();
}

struct NamedLayout {
  const Exporter* layout;
  std::string key;  // export[1]
  YamlPosition at;
};
std::vector<NamedLayout> layouts_of(const Recipe& recipe, const YamlNode& tree) {
  std::vector<NamedLayout> layouts;
  for (int i = 0; i < std::ssize(recipe.export_formats); ++i) {
    const std::string& name = recipe.export_formats[static_cast<std::size_t>(i)];
    const auto found = std::ranges::find(exporters(), name, &Exporter::name);
    if (found != exporters().end())
      layouts.push_back({&*found, fmt::format("export[{}]", i), place_of(tree, "export", i)});
  }
  return layouts;
}

// The first that can be read of those which an export would take; null without one.
std::unique_ptr<Tokenizer> exported_tokenizer(const Recipe& recipe) {
  std::vector<std::filesystem::path> places = {start_folder(recipe), base_folder(recipe)};
  if (recipe.data.tokenizer) places.emplace_back(*recipe.data.tokenizer);
  for (const std::filesystem::path& place : places) {
    try {
      return load_tokenizer(place);
    } catch (const Error&) {  // the next one then
    }
  }
  return nullptr;
}

void check_start(const std::string& key, const YamlPosition& at, const std::string& folder, YamlProblems& problems) {
  if (is_run_folder(folder)) {
    try {
      static_cast<void>(model_files(folder));
    } catch (const Error& error) {
      problems.add(at, key, "", error.what());
    }
  } else if (const std::string how = quantized_already(folder); !how.empty()) {
    problems.add(at, key, "a BF16 or FP32 model", fmt::format("one that is quantized already ({}): {}", how, folder),
                 "use the model that it was made from, or its dense export");
  }
}

void check_merged(const std::string& key, const YamlPosition& at, const std::string& folder, YamlProblems& problems) {
  if (is_run_folder(folder)) problems.add(at, key, "a model's folder", "a run's: " + folder, "name its dense export");
  else check_start(key, at, folder, problems);
}

// A model's folder has one model. The default stands in every resolved recipe, so it asks for nothing.
template <class Config>
void check_of_run(const Config& config, const std::string& section, const YamlNode& tree, YamlProblems& problems) {
  if (config.of_run == Config{}.of_run || is_run_folder(config.model)) return;
  if (config.model != "teacher" && place_at(config.model) == Place::nothing) return;  // others tell
  const std::string key = section + ".of_run";
  const YamlNode* const node = tree.find_path(key);
  problems.add(node != nullptr ? node->at : tree.at, key, fmt::format("a run's folder as {}.model", section),
               config.model == "teacher" ? "the word teacher" : "a model's: " + config.model,
               fmt::format("leave {} out", key));
}

// Of every model that the recipe starts from.
void check_starts(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems) {
  const auto at = [&](const char* key) {
    const YamlNode* const node = tree.find_path(key);
    return node != nullptr ? node->at : tree.at;
  };
  if (recipe.teacher) check_start("teacher.model", at("teacher.model"), recipe.teacher->model, problems);
  for (const std::string& model : {recipe.teacher ? recipe.teacher->model : "", recipe.student.model})
    if (recipe.stream && is_run_folder(model))
      problems.add(at("teacher.model"), "teacher.model", "a model's folder with stream: true", "a run's: " + model,
                   "name its dense export");
  if (recipe.student.model != "teacher")
    check_start("student.model", at("student.model"), recipe.student.model, problems);
  if (recipe.teacher) check_of_run(*recipe.teacher, "teacher", tree, problems);
  check_of_run(recipe.student, "student", tree, problems);
  if (!recipe.merge) return;
  for (int i = 0; i < std::ssize(recipe.merge->models); ++i)
    check_merged(fmt::format("merge.models[{}].model", i), place_of(tree, "merge.models", i),
                 recipe.merge->models[static_cast<std::size_t>(i)].model, problems);
}

}  // namespace

void check_fit(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems) {
  check_starts(recipe, tree, problems);
  check_prune(recipe, tree, problems);
  check_parameter_rules(recipe, tree, problems);
  if (recipe.row().is_comparison) return;  // its arms may have other rules, and are checked each
  const std::optional<StudentSizes> student = student_sizes(recipe);
  const bool all_known =
      is_known(recipe.quantize.kv_cache) && std::ranges::all_of(recipe.quantize.rules, [](const QuantizeRule& rule) {
        return is_known(rule.weights) && is_known(rule.inputs);
      });
  if (!student) return;
  warn_of_idle_rules(student->layers, recipe.quantize.rules, tree, problems);
  if (!all_known) return;
  const auto report = [&](const YamlPosition& at, const std::string& key, const Problem& problem) {
    problems.add(at, key + ": " + problem.who, problem.expected, problem.got, problem.hint);
  };
  for (const auto& [problem, rule] : quantize_refusals(student->layers, recipe.quantize)) {
    const std::string key = rule < 0 ? "quantize.rules" : fmt::format("quantize.rules[{}]", rule);
    report(place_of(tree, "quantize.rules", rule), key, problem);
  }
  const auto check_layouts = [&](const QuantizeConfig& quantize) {
    const ExportOutline outline = outline_of(student->config, student->layers, quantize);
    for (const auto& [layout, key, at] : layouts_of(recipe, tree))
      for (const auto& [problem, rule] : export_refusals(*layout, outline)) report(at, key, problem);
  };
  for (const auto& [problem, rule] : cache_refusals(student->config, recipe.quantize))
    report(place_of(tree, "quantize.kv_cache", -1), "quantize.kv_cache", problem);
  if (!recipe.row().searches) return check_layouts(recipe.quantize);
  if (!recipe.search || recipe.search->candidates.empty() ||
      !std::ranges::all_of(recipe.search->candidates, [](const SearchCandidate& one) {
        return is_known(one.weights) && is_known(one.inputs) && (one.weights != "none" || one.inputs == "none");
      }))
    return;
  check_search_fit(recipe, student->layers, tree, problems, [&](const QuantizeConfig& mixed) {
    for (const auto& [problem, rule] : quantize_refusals(student->layers, mixed))
      report(place_of(tree, "quantize.rules", -1), "quantize.rules", problem);
    check_layouts(mixed);
  });
}

void check_tokenizer_fits(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems) {
  const std::optional<StudentSizes> student = student_sizes(recipe);
  if (!student) return;
  std::unique_ptr<Tokenizer> tokenizer;
  for (const auto& [layout, key, at] : layouts_of(recipe, tree)) {
    if (layout->check_tokenizer == nullptr) continue;
    if (tokenizer == nullptr) tokenizer = exported_tokenizer(recipe);
    if (tokenizer == nullptr) return;
    try {
      layout->check_tokenizer(*tokenizer, student->config);
    } catch (const Error& error) {
      problems.add(at, key, "", fmt::format("{}: {}", layout->name, error.what()));
    }
  }
}

}  // namespace qad
