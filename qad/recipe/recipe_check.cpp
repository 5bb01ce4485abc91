#include "qad/recipe/recipe_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "autograd/core/error.h"
#include "models/hf_config.h"
#include "qad/exporters/registry.h"
#include "qad/formats/block_format.h"
#include "qad/recipe/nearest_name.h"

namespace qad {
namespace {

class Checker {
 public:
  Checker(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems)
      : recipe_(recipe), tree_(tree), problems_(problems) {}

  void check() {
    if (tree_.find("kind") == nullptr) report("kind", "a key \"kind\"", "none", "pretrain | ptq | qat | qad | compare");
    check_models();
    const bool trains_on_nothing = is(RecipeKind::ptq) && recipe_.calibrate.source;
    if (!trains_on_nothing) check_source(recipe_.data.train, "data.train");
    if (recipe_.calibrate.source) check_source(*recipe_.calibrate.source, "calibrate.source");
    check_source(recipe_.data.eval, "data.eval");
    check_training();
    check_formats();
    check_export();
    check_arms();
  }

 private:
  [[nodiscard]] bool is(RecipeKind kind) const { return recipe_.kind == kind; }

  /// At the key, or where it would stand: the nearest section around it.
  void report(const std::string& key, std::string expected, std::string got, std::string hint = "") {
    const YamlNode* node = nullptr;
    for (std::string path = key; node == nullptr && !path.empty();) {
      node = tree_.find_path(path);
      const std::size_t dot = path.rfind('.');
      path = dot == std::string::npos ? "" : path.substr(0, dot);
    }
    problems_.add(node != nullptr ? node->at : tree_.at, key, std::move(expected), std::move(got), std::move(hint));
  }

  void check_models() {
    const std::string kind(enum_name(recipe_.kind));
    if (is(RecipeKind::pretrain)) {
      if (!recipe_.model) report("model", "the sizes of the fresh model", "none", "kind: pretrain needs them");
      if (recipe_.teacher) report("teacher", "no teacher", "one", "kind: pretrain learns from text alone");
      if (recipe_.model) check_sizes(*recipe_.model);
      return;
    }
    if (recipe_.model)
      report("model", fmt::format("no sizes for kind: {}", kind), "some", "they come from the teacher's config.json");
    if (!recipe_.teacher)
      report("teacher", "a teacher", "none", fmt::format("kind: {} needs teacher: {{model: FOLDER}}", kind));
  }

  void check_sizes(const ModelConfig& model) {
    try {
      check_expressible(model, "model");
    } catch (const Error& error) {
      problems_.add(tree_.find("model")->at, "", "", error.what());
    }
  }

  void check_source(const SourceConfig& source, const std::string& key) {
    const int given = source.text.has_value() + source.jsonl.has_value() + source.token_file.has_value() +
                      source.teacher_text.has_value() + source.synthetic.has_value();
    if (given != 1)
      report(key, "one of text, jsonl, token_file, teacher_text and synthetic",
             given == 0 ? "none" : fmt::format("{}", given),
             given == 0 ? "" : "`text: null` takes an imported one away");
    if (source.teacher_text && is(RecipeKind::pretrain))
      report(key + ".teacher_text", "another source", "this one", "kind: pretrain has no teacher");
  }

  void check_training() {
    const TrainConfig& train = recipe_.train;
    if (train.steps > 0 && train.warmup_steps > train.steps)
      report("train.warmup_steps", fmt::format("at most train.steps = {}", train.steps),
             fmt::format("{}", train.warmup_steps));
    if (train.micro_batch_size > train.batch_size)
      report("train.micro_batch_size", fmt::format("at most train.batch_size = {}", train.batch_size),
             fmt::format("{}", train.micro_batch_size));
    const bool learns_from_text = is(RecipeKind::qat) || is(RecipeKind::pretrain);
    if (learns_from_text && recipe_.loss.kind != LossKind::cross_entropy)
      report("loss.kind", fmt::format("cross_entropy for kind: {}", enum_name(recipe_.kind)),
             std::string(enum_name(recipe_.loss.kind)), "or kind: qad");
    if (is(RecipeKind::qad) && recipe_.loss.kind == LossKind::cross_entropy)
      report("loss.kind", "a loss against the teacher for kind: qad", "cross_entropy", "or kind: qat");
  }

  void check_formats() {
    std::vector<std::string_view> known = {"none"};
    for (const BlockFormat& format : block_formats()) known.push_back(format.name);
    const auto check_one = [&](std::size_t i, std::string_view key, const std::string& format) {
      if (std::find(known.begin(), known.end(), format) != known.end()) return;
      const YamlNode& rule = tree_.find_path("quantize.rules")->items[i];
      problems_.add(rule.find(key)->at, fmt::format("quantize.rules[{}].{}", i, key), "",
                    fmt::format("unknown number format \"{}\"", format), name_hint(format, known));
    };
    const std::vector<QuantizeRule>& rules = recipe_.quantize.rules;
    for (std::size_t i = 0; i < rules.size(); ++i) {
      check_one(i, "weights", rules[i].weights);
      check_one(i, "inputs", rules[i].inputs);
    }
    if (!rules.empty() && is(RecipeKind::pretrain))
      report("quantize.rules", "no rules for kind: pretrain", "some", "quantize its result by kind: ptq, qat or qad");
    if (recipe_.quantize.kv_cache != KvCacheFormat::none && is(RecipeKind::pretrain))
      report("quantize.kv_cache", "none for kind: pretrain", std::string(enum_name(recipe_.quantize.kv_cache)),
             "quantize its result by kind: ptq, qat or qad");
  }

  void check_export() {
    const std::vector<std::string_view> known = exporter_names();
    for (std::size_t i = 0; i < recipe_.export_formats.size(); ++i) {
      const std::string& format = recipe_.export_formats[i];
      const YamlPosition& at = tree_.find("export")->items[i].at;
      const std::string key = fmt::format("export[{}]", i);
      if (std::find(known.begin(), known.end(), format) == known.end())
        problems_.add(at, key, "", fmt::format("unknown layout \"{}\"", format), name_hint(format, known));
      if (std::find(recipe_.export_formats.begin(), recipe_.export_formats.end(), format) -
              recipe_.export_formats.begin() <
          static_cast<std::ptrdiff_t>(i))
        problems_.add(at, key, "", fmt::format("\"{}\" is there already", format));
      if (is(RecipeKind::pretrain) && format != "dense")
        problems_.add(at, key, "dense for kind: pretrain", format, "nothing is quantized");
    }
    if (!recipe_.export_formats.empty() && !recipe_.quantize.share_groups)
      report("export", "nothing to export with quantize.share_groups: false", "a layout",
             "serving engines share these scales; such a student is for comparisons only");
  }

  void check_arms() {
    if (!is(RecipeKind::compare)) {
      if (!recipe_.arms.empty()) report("arms", "no arms", "some", "kind: compare runs them");
      return;
    }
    if (recipe_.arms.empty()) report("arms", "at least one arm", "none", "such as {name: ptq, kind: ptq}");
    for (std::size_t i = 0; i < recipe_.arms.size(); ++i) {
      const ArmConfig& arm = recipe_.arms[i];
      const std::string key = fmt::format("arms[{}]", i);
      const YamlPosition at = tree_.find("arms")->items[i].at;
      const auto is_good = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
      };
      if (arm.name.empty() || !std::all_of(arm.name.begin(), arm.name.end(), is_good))
        problems_.add(at, key + ".name", "letters, digits, _ and -", fmt::format("\"{}\"", arm.name),
                      "it names a folder");
      for (std::size_t j = 0; j < i; ++j)
        if (recipe_.arms[j].name == arm.name)
          problems_.add(at, key + ".name", "", fmt::format("two arms are called \"{}\"", arm.name));
      if (arm.kind == RecipeKind::compare || arm.kind == RecipeKind::pretrain)
        problems_.add(at, key + ".kind", "ptq | qat | qad", std::string(enum_name(arm.kind)));
    }
  }

  const Recipe& recipe_;
  const YamlNode& tree_;
  YamlProblems& problems_;
};

}  // namespace

void check_recipe(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems) {
  Checker(recipe, tree, problems).check();
}

}  // namespace qad
