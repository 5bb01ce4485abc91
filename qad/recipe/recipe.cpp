#include "qad/recipe/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "autograd/base/log.h"
#include "models/families/hf_config.h"
#include "models/prune/pruned_sizes.h"
#include "qad/calib/algorithms.h"
#include "qad/quant/policy.h"
#include "qad/recipe/catalogue.h"
#include "qad/recipe/changeable_keys.h"
#include "qad/recipe/fit_check.h"
#include "qad/recipe/model_files.h"
#include "qad/recipe/path_check.h"
#include "qad/recipe/peer_words.h"
#include "qad/recipe/recipe_check.h"
#include "qad/recipe/recipe_paths.h"
#include "qad/recipe/yaml_text.h"
#include "qad/recipe/yaml_tree.h"

namespace qad {
namespace {

// What follows from the kind where nothing was said.
void set_implied(Recipe& recipe, const YamlNode& tree) {
  if (recipe.row().judge == Judge::next_token && tree.find_path("loss.kind") == nullptr)
    recipe.loss.kind = LossKind::cross_entropy;
}

void erase_key(YamlNode& map, std::string_view key) {
  std::erase_if(map.entries, [&](const YamlNode::Entry& entry) { return entry.key == key; });
}

YamlNode& child(YamlNode& map, const std::string& key) {
  for (YamlNode::Entry& entry : map.entries)
    if (entry.key == key) return entry.value;
  return map.entries.emplace_back(YamlNode::Entry{key, map.at, {}}).value;
}

// What all arms start from; a copy of all arms in each would make many of them slow to read.
YamlNode without_arms(const YamlNode& comparison) {
  YamlNode tree;
  tree.kind = comparison.kind;
  tree.at = comparison.at;
  for (const YamlNode::Entry& entry : comparison.entries)
    if (entry.key != "arms" && entry.key != "seeds") tree.entries.push_back(entry);
  return tree;
}

// The comparison's own tree as the arm has it. A loss that was chosen for the comparison is that of its QAD arms, and
// rules are those of arms that quantize.
YamlNode arm_tree(const YamlNode& shared, const ArmConfig& arm, const YamlNode& arm_node, std::optional<double> lr,
                  std::optional<std::int64_t> seed, YamlProblems& problems) {
  YamlNode tree = shared;
  child(tree, "kind") = YamlNode::plain(std::string(enum_name(arm.kind)));
  child(tree, "kind").at = arm_node.at;
  if (about(arm.kind).judge == Judge::next_token && tree.find("loss") != nullptr)
    erase_key(child(tree, "loss"), "kind");
  if (!about(arm.kind).quantizes) erase_key(tree, "quantize");
  const YamlNode* set = arm_node.find("set");
  for (std::size_t i = 0; i < arm.set.size(); ++i)
    merge_yaml(tree, parse_override(arm.set[i], set->items[i].at, problems), problems);
  if (lr) {
    YamlNode rate = detail::write_value(*lr);
    rate.at = arm_node.at;
    YamlNode& train = child(tree, "train");
    train.kind = YamlNode::Kind::map;
    child(train, "lr") = std::move(rate);
  }
  if (seed) {
    child(tree, "seed") = detail::write_value(*seed);
    child(tree, "seed").at = arm_node.at;
  }
  return tree;
}

// Whether the models that a recipe names are looked at: not by those who read one that has been running; where a
// recipe is checked, if they are there; those who are about to run it need them, and all other files.
enum class Models { not_looked_at, looked_at, needed };

Recipe read_whole(const YamlNode& tree, Models models, YamlProblems& problems);

// Teacher, text and what is calibrated on are loaded once for all arms, so none can have its own; and all answer the
// same problems. How scales are found is an arm's own.
constexpr auto kShared = std::to_array<const char*>({"teacher", "data", "calibrate.source", "calibrate.tokens",
                                                     "calibrate.seed", "evaluate.batch_size", "evaluate.problems"});
using SharedTexts = std::array<std::string, kShared.size()>;

SharedTexts shared_texts(Recipe recipe) {
  recipe.arms.clear();
  const YamlNode fields = write_fields(recipe);
  SharedTexts texts;
  for (std::size_t i = 0; i < kShared.size(); ++i)
    if (const YamlNode* node = fields.find_path(kShared[i])) texts[i] = yaml_text(*node);
  return texts;
}

void check_shared(const SharedTexts& shared, const Recipe& arm, const YamlPosition& at, const std::string& key,
                  YamlProblems& problems) {
  const SharedTexts own = shared_texts(arm);
  for (std::size_t i = 0; i < kShared.size(); ++i)
    if (own[i] != shared[i])
      problems.add(at, key, fmt::format("the comparison's {}", kShared[i]), "another",
                   "arms share teacher, text, calibration and problems; write a second comparison");
}

std::vector<Arm> read_arms(const Recipe& comparison, const YamlNode& tree, Models models, YamlProblems& problems) {
  std::vector<Arm> arms;
  const YamlNode shared = without_arms(tree);
  const SharedTexts texts = shared_texts(comparison);
  for (std::size_t i = 0; i < comparison.arms.size(); ++i) {
    const ArmConfig& config = comparison.arms[i];
    const YamlNode& node = tree.find("arms")->items[i];
    Arm arm{config.name, config.kind, {}};
    std::vector<std::optional<double>> rates(config.lr.begin(), config.lr.end());
    if (rates.empty()) rates.emplace_back();
    std::vector<std::optional<std::int64_t>> seeds(comparison.seeds.begin(), comparison.seeds.end());
    if (about(config.kind).steps == Steps::none || seeds.empty()) seeds.resize(1);  // PTQ draws nothing
    const std::size_t before = problems.count();
    for (const std::optional<double> rate : rates) {
      const std::string name = rates.size() > 1 ? fmt::format("{}-lr{}", config.name, *rate) : config.name;
      ArmCandidate& candidate = arm.candidates.emplace_back();
      for (const std::optional<std::int64_t> seed : seeds)
        candidate.push_back({seeds.size() > 1 ? fmt::format("{}-seed{}", name, *seed) : name,
                             read_whole(arm_tree(shared, config, node, rate, seed, problems), models, problems)});
    }
    if (problems.count() == before)
      check_shared(texts, arm.candidates.front().front().recipe, node.at, fmt::format("arms[{}].set", i), problems);
    arms.push_back(std::move(arm));
  }
  return arms;
}

std::string absolute_path(const std::string& path) {
  const std::filesystem::path whole = std::filesystem::absolute(path), tidy = whole.lexically_normal();
  std::error_code error;  // behind a symbolic link, `..` may lead elsewhere than it looks
  return std::filesystem::equivalent(whole, tidy, error) ? tidy.string() : whole.string();
}

Recipe read_whole(const YamlNode& tree, Models models, YamlProblems& problems) {
  Recipe recipe;
  const std::size_t before = problems.count();
  read_fields(tree, recipe, problems);
  if (problems.count() > before) return recipe;  // what was not read can't be held against the rest
  set_implied(recipe, tree);
  check_recipe(recipe, tree, problems);
  if (models == Models::needed) check_paths(recipe, tree, problems);
  if (models != Models::not_looked_at) check_fit(recipe, tree, problems);
  if (recipe.row().is_comparison && problems.count() == before) (void)read_arms(recipe, tree, models, problems);
  return recipe;
}

bool is_key(const std::string& key) {
  const std::vector<KeyDescription> all = describe_recipe();
  return key.find('[') != std::string::npos || std::ranges::find(all, key, &KeyDescription::key) != all.end();
}

Recipe read_with_models(const YamlNode& tree, Models models, YamlProblems& problems) {
  Recipe recipe = read_whole(tree, models, problems);
  check_tokenizer_fits(recipe, tree, problems);
  return recipe;
}

void tell_warnings(const YamlProblems& problems) {
  for (const std::string& line : problems.warnings()) log_warning("{}", line);
}

// `missing_at`: where keys that nobody gave are told, if not at the recipe's beginning.
Recipe load(const std::filesystem::path& name, const std::vector<std::string>& overrides, Models models,
            const std::optional<YamlPosition>& missing_at = {}) {
  const std::filesystem::path file = find_recipe(name);
  YamlProblems problems;
  YamlNode tree = load_yaml(file, recipes_folder(), problems);
  const bool is_all_there = problems.empty();
  if (missing_at) tree.at = *missing_at;
  for (const std::string& text : overrides) merge_yaml(tree, parse_override(text, {}, problems), problems);
  Recipe recipe;
  if (is_all_there) recipe = read_with_models(tree, models, problems);
  else read_fields(tree, recipe, problems);  // what an import would have said is not missed once more
  problems.throw_if_any(file.string());
  if (models == Models::needed) tell_warnings(problems);
  return recipe;
}

}  // namespace

Recipe load_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  return load(file, overrides, Models::looked_at);
}

Recipe load_recipe_to_run(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  return load(file, overrides, Models::needed);
}

Recipe load_streamed_recipe(const std::filesystem::path& preset, const std::filesystem::path& model,
                            const std::string& layout, const std::vector<std::string>& overrides) {
  const auto quoted = [](const std::string& text) {
    std::string yaml = yaml_text(YamlNode::string(text));
    yaml.pop_back();  // its line break
    return yaml;
  };
  std::vector<std::string> all = {"kind=ptq", "stream=true", "teacher.model=" + quoted(model.string()),
                                  "export=[" + quoted(layout) + "]"};
  all.insert(all.end(), overrides.begin(), overrides.end());
  const std::filesystem::path in_presets = "presets" / preset;
  const bool is_preset = !std::filesystem::exists(preset) && find_in_catalogue(in_presets.string());
  return load(is_preset ? in_presets : preset, all, Models::needed, YamlPosition{"command line", 0, 0});
}

Recipe parse_recipe(std::string_view text, const std::string& name) { return parse_recipe(text, name, "", ""); }

Recipe parse_recipe(std::string_view text, const std::string& name, std::string_view over,
                    const std::string& over_name) {
  YamlProblems problems;
  YamlNode tree = parse_yaml(text, name, problems);
  if (!over.empty()) merge_yaml(tree, parse_yaml(over, over_name, problems), problems);
  Recipe recipe = read_whole(tree, Models::not_looked_at, problems);
  problems.throw_if_any(name);
  return recipe;
}

std::string quantize_text(const QuantizeConfig& quantize) {
  YamlNode tree;
  tree.kind = YamlNode::Kind::map;
  tree.add("quantize", write_fields(quantize));
  return yaml_text(tree);
}

Recipe changed_recipe(const Recipe& recipe, const std::vector<std::string>& changes) {
  YamlProblems problems;
  YamlNode tree = write_fields(recipe);
  const std::vector<std::string> keys = changeable_keys();
  for (const std::string& text : changes) {
    const std::size_t before = problems.count();
    const YamlNode change = parse_override(text, {}, problems);
    std::string key = text.substr(0, text.find('='));
    if (key.ends_with('+')) key.pop_back();
    if (problems.count() == before && !is_among(key, keys)) {
      const std::string ours = is_key(key) ? "" : place_of_key(key);
      if (ours.empty())
        problems.add(change.at, key,
                     "one of the keys that a run may go on with: " + fmt::format("{}", fmt::join(keys, ", ")),
                     "another", "begin a new run");
      else problems.add(change.at, "", "", fmt::format("unknown key \"{}\"", key), "here that is " + ours);
      continue;
    }
    merge_yaml(tree, change, problems);
  }
  problems.throw_if_any("the changes");
  Recipe changed = read_whole(tree, Models::looked_at, problems);
  problems.throw_if_any("the changed recipe");
  return changed;
}

std::string recipe_text(const Recipe& recipe) { return yaml_text(write_fields(recipe)); }

Recipe with_absolute_paths(Recipe recipe) {
  std::vector<Arm> arms;
  if (recipe.row().is_comparison) arms = expand_arms(recipe);
  const PathChanger make_absolute{absolute_path};
  recipe.visit_fields(make_absolute);
  for (std::size_t i = 0; i < arms.size(); ++i) {  // what they may have of their own is the student's; later wins
    Recipe& arm = arms[i].candidates.front().front().recipe;
    arm.visit_fields(make_absolute);
    if (arm.student.model == recipe.student.model) continue;
    std::string model = yaml_text(YamlNode::string(arm.student.model));
    model.pop_back();  // its line break
    recipe.arms[i].set.push_back("student.model=" + model);
  }
  return recipe;
}

bool check_recipe_file(const std::filesystem::path& file, std::vector<std::string>* missing) {
  YamlProblems problems;
  const YamlNode tree = load_yaml(file, recipes_folder(), problems);
  const bool is_whole = tree.find("kind") != nullptr;
  Recipe recipe;
  if (is_whole && problems.empty()) recipe = read_with_models(tree, Models::looked_at, problems);
  else read_fields(tree, recipe, problems);
  if (is_whole && problems.empty() && missing != nullptr) {
    check_paths(recipe, tree, problems, missing);
    if (recipe.row().is_comparison)  // arms may start from models of their own
      for (const Arm& arm : read_arms(recipe, tree, Models::not_looked_at, problems))
        check_paths(arm.candidates.front().front().recipe, tree, problems, missing);
  }
  problems.throw_if_any(file.string());
  tell_warnings(problems);
  return is_whole;
}

bool calibrates_on_text(const Recipe& recipe) {
  if (recipe.prune) return true;
  if (!recipe.row().quantizes || !recipe.stream) return recipe.row().quantizes;
  const Policy policy(recipe.quantize, recipe.calibrate.algorithm);
  const auto is_seen = [](const BlockFormat* format) { return format != nullptr && format->has_tensor_scale; };
  if (is_seen(policy.cache().formats.inputs)) return true;
  for (int i = 0; i < std::ssize(recipe.quantize.rules); ++i) {
    const LayerOptions& options = policy.of_rule(i);
    const bool by_block = options.formats.weights != nullptr && calibration_algorithm(options.algorithm).by_block;
    if (by_block || is_seen(options.formats.inputs)) return true;
  }
  return false;
}

bool trains_on_text(const Recipe& recipe) {
  const KindRow& row = recipe.row();
  const bool calibrates_on_it = calibrates_on_text(recipe) && !recipe.calibrate.source;
  return row.reads_train_text || calibrates_on_it;
}

std::filesystem::path base_folder(const Recipe& recipe) {
  if (recipe.teacher) return model_files(recipe.teacher->model);
  return start_folder(recipe);
}

std::filesystem::path start_folder(const Recipe& recipe) {
  if (recipe.row().start == Start::fresh) return {};
  if (recipe.row().start == Start::merged) return recipe.merge->models.front().model;
  return model_files(recipe.student.model == "teacher" ? recipe.teacher->model : recipe.student.model);
}

ModelConfig named_config(const std::filesystem::path& model) {
  const std::filesystem::path files = model_files(model);
  if (!is_run_folder(model)) return read_hf_config(files);
  const Recipe recipe = recipe_of_run(model);
  return recipe.row().start == Start::fresh ? read_hf_config(files) : student_config(recipe);
}

ModelConfig base_config(const Recipe& recipe) {
  return recipe.teacher ? named_config(recipe.teacher->model) : student_config(recipe);
}

ModelConfig start_config(const Recipe& recipe) {
  if (recipe.row().start == Start::fresh) return *recipe.model;
  if (recipe.row().start == Start::merged) return named_config(recipe.merge->models.front().model);
  return named_config(recipe.student.model == "teacher" ? recipe.teacher->model : recipe.student.model);
}

ModelConfig student_config(const Recipe& recipe) {
  const ModelConfig start = start_config(recipe);
  return recipe.prune ? pruned_config(start, *recipe.prune) : start;
}

std::vector<KeyDescription> describe_recipe() { return describe_fields<Recipe>(); }

std::vector<Arm> expand_arms(const Recipe& comparison) {
  YamlProblems problems;
  const YamlNode tree = parse_yaml(recipe_text(comparison), "the resolved recipe", problems);
  std::vector<Arm> arms = read_arms(comparison, tree, Models::not_looked_at, problems);
  problems.throw_if_any("arms");
  return arms;
}

}  // namespace qad
