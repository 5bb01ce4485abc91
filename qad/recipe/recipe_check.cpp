#include "qad/recipe/recipe_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "autograd/base/error.h"
#include "models/families/hf_config.h"
#include "qad/calib/algorithms.h"
#include "qad/formats/block_format.h"
#include "qad/layouts/registry.h"
#include "qad/quant/policy.h"
#include "qad/recipe/nearest_name.h"
#include "qad/recipe/search_check.h"
#include "qad/recipe/training_check.h"

namespace qad {
namespace {

class Checker {
 public:
  Checker(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems)
      : recipe_(recipe), row_(recipe.row()), tree_(tree), problems_(problems) {}

  void check() {
    if (tree_.find("kind") == nullptr)
      report("kind", "a key \"kind\"", "none", fmt::format("{}", fmt::join(kind_names(), " | ")));
    check_models();
    if (recipe_.stream && trains_on_text(recipe_) && !recipe_.data.train.mixture &&
        kinds_given(recipe_.data.train) == 0)
      report("calibrate.source", "a text, as inputs are quantized or an algorithm looks at what comes out", "none",
             "calibrate.source.text=FILE names it");
    else if (trains_on_text(recipe_)) check_mixture(recipe_.data.train, "data.train");
    if (recipe_.calibrate.source) check_mixture(*recipe_.calibrate.source, "calibrate.source");
    if (!recipe_.stream) check_mixture(recipe_.data.eval, "data.eval");
    check_training(recipe_, [this](const auto& key, auto... said) { report(key, std::move(said)...); });
    check_formats();
    check_search(recipe_, tree_, problems_);
    check_export();
    if (recipe_.stream && problems_.empty()) check_stream();
    check_arms();
  }

 private:
  [[nodiscard]] bool starts(Start start) const { return row_.start == start; }

  // At the key, or where it would stand: the nearest section around it.
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
    if (starts(Start::fresh)) {
      if (!recipe_.model) report("model", "the sizes of the fresh model", "none", "kind: pretrain needs them");
      if (recipe_.model) check_sizes(*recipe_.model);
    } else if (recipe_.model) {
      report("model", fmt::format("no sizes for kind: {}", kind), "some",
             fmt::format("they come from {} config.json", !row_.has_teacher ? "the first model's" : "the teacher's"));
    }
    if (!row_.has_teacher && recipe_.teacher)
      report("teacher", "no teacher", "one", fmt::format("kind: {} has none", kind));
    if (row_.has_teacher && !recipe_.teacher)
      report("teacher", "a teacher", "none", fmt::format("kind: {} needs teacher: {{model: FOLDER}}", kind));
    const bool has_start = recipe_.student.model != "teacher";
    if (starts(Start::given) && !has_start)
      report("student.model", "the folder of the model to start from", "none",
             fmt::format("kind: {} needs student: {{model: FOLDER}}", kind));
    if ((starts(Start::fresh) || starts(Start::merged)) && has_start)
      report("student.model", fmt::format("no model for kind: {}", kind), recipe_.student.model,
             starts(Start::merged) ? "its models stand under merge" : "kind: sft starts from one");
    const bool answers = row_.steps == Steps::answers;
    if (recipe_.grpo && !answers) report("grpo", "no such section", "one", "kind: grpo has it");
    if (!recipe_.grpo && answers)
      report("grpo", "a section grpo", "none", "kind: grpo needs grpo: {prompts: 32, group_size: 8, …}");
    check_merge();
  }

  void check_merge() {
    if (recipe_.merge && !starts(Start::merged)) report("merge", "no models to merge", "some", "kind: merge does that");
    if (!starts(Start::merged)) return;
    const std::size_t count = recipe_.merge ? recipe_.merge->models.size() : 0;
    if (count < 2)
      report("merge.models", "two models or more", count == 0 ? "none" : "one",
             "kind: merge needs merge: {models: [{model: FOLDER}, {model: FOLDER}]}");
  }

  void check_sizes(const ModelConfig& model) {
    try {
      check_expressible(model, "model");
    } catch (const Error& error) {
      problems_.add(tree_.find("model")->at, "", "", error.what());
    }
  }

  void check_mixture(const MixtureConfig& source, const std::string& key) {
    if (!source.mixture) return check_source(source, key);
    const std::string list = key + ".mixture";
    if (kinds_given(source) > 0)
      report(key, fmt::format("one of {} and mixture", kSourceKinds), "several",
             "`text: null` takes an imported one away");
    if (source.skip_documents > 0 || source.tokens > 0)
      report(key, "skip_documents and tokens in the sources of the mixture", "them beside it");
    if (source.mixture->empty()) report(list, "at least one source", "none", "such as {weight: 2, text: FILE}");
    for (std::size_t i = 0; i < source.mixture->size(); ++i) {
      const WeightedSourceConfig& part = (*source.mixture)[i];
      check_source(part, fmt::format("{}[{}]", list, i));
      if (key == "data.eval" && part.weight != 1)
        report(fmt::format("{}[{}].weight", list, i), "1, as all held-out text is read once",
               fmt::format("{}", part.weight));
    }
  }

  void check_source(const SourceConfig& source, const std::string& key) {
    const int given = kinds_given(source);
    if (given != 1)
      report(key, fmt::format("one of {} and mixture", kSourceKinds), given == 0 ? "none" : fmt::format("{}", given),
             given == 0 ? "" : "`text: null` takes an imported one away");
    const auto check_files = [&](const char* name, const std::optional<std::vector<std::string>>& files) {
      if (files && files->empty()) report(fmt::format("{}.{}", key, name), "at least one file", "none");
    };
    check_files("text", source.text);
    check_files("jsonl", source.jsonl);
    check_files("token_file", source.token_file);
    if (source.format.loss_on == LossOn::assistant && !source.jsonl)
      report(key + ".loss_on", "jsonl with messages, as loss_on: assistant needs them", "another source");
    if (!source.teacher_text) return;
    const TeacherTextConfig& teacher_text = *source.teacher_text;
    if (teacher_text.prompts && teacher_text.problems) report(key + ".teacher_text", "prompts or problems", "both");
    if (teacher_text.right_only && !teacher_text.problems)
      report(key + ".teacher_text.right_only", "problems, whose answers can be checked", "none");
    if (!row_.has_teacher)
      report(key + ".teacher_text", "another source", "this one",
             fmt::format("kind: {} has no teacher", enum_name(recipe_.kind)));
  }

  void check_formats() {
    std::vector<std::string_view> known = {"none"};
    for (const BlockFormat& format : block_formats()) known.push_back(format.name);
    const auto check_one = [&](const std::string& key, const YamlNode* node, const std::string& format) {
      if (std::find(known.begin(), known.end(), format) != known.end()) return;
      problems_.add(node->at, key, "", fmt::format("unknown number format \"{}\"", format), name_hint(format, known));
    };
    if (recipe_.calibrate.algorithm != CalibrationKind::max &&
        recipe_.quantize.tensor_scale.from == TensorScaleSource::data)
      report("calibrate.algorithm", "max where quantize.tensor_scale.from is data",
             std::string(enum_name(recipe_.calibrate.algorithm)), "scales that are found need one that stays");
    const std::size_t before = problems_.count();
    const std::vector<QuantizeRule>& rules = recipe_.quantize.rules;
    for (std::size_t i = 0; i < rules.size(); ++i) {
      check_one(fmt::format("quantize.rules[{}].weights", i), rule_at(i).find("weights"), rules[i].weights);
      check_one(fmt::format("quantize.rules[{}].inputs", i), rule_at(i).find("inputs"), rules[i].inputs);
    }
    const std::string& cache = recipe_.quantize.kv_cache;
    check_one("quantize.kv_cache", tree_.find_path("quantize.kv_cache"), cache);
    if (problems_.count() == before) check_rule_options(), check_algorithm(), check_headroom();
    if (row_.quantizes) return;
    const std::string_view kind = enum_name(recipe_.kind);
    if (!rules.empty())
      report("quantize.rules", fmt::format("no rules for kind: {}", kind), "some",
             "quantize its result by kind: ptq, qat or qad");
    if (cache != "none")
      report("quantize.kv_cache", fmt::format("none for kind: {}", kind), cache,
             "quantize its result by kind: ptq, qat or qad");
  }

  [[nodiscard]] const YamlNode& rule_at(std::size_t rule) const {
    return tree_.find_path("quantize.rules")->items[rule];
  }

  // An algorithm of all rules that serves no format of any.
  void check_algorithm() {
    const CalibrationAlgorithm& algorithm = calibration_algorithm(recipe_.calibrate.algorithm);
    if (algorithm.serves == nullptr) return;
    const Policy policy(recipe_.quantize, recipe_.calibrate.algorithm);
    bool any = false, served = false;
    for (std::size_t i = 0; i < recipe_.quantize.rules.size(); ++i) {
      const BlockFormat* const weights = policy.of_rule(static_cast<int>(i)).formats.weights;
      if (weights == nullptr || recipe_.quantize.rules[i].algorithm) continue;
      any = true;
      served |= algorithm.serves(*weights);
    }
    if (any && !served)
      report("calibrate.algorithm", "weights in a format with block scales to search", "none in any rule",
             "or algorithm: max");
  }

  // Room in scales that nothing has; the arms of a comparison are checked each.
  void check_headroom() {
    const double headroom = recipe_.quantize.tensor_scale.headroom;
    if (headroom == 1 || row_.is_comparison || row_.searches) return;
    const Policy policy(recipe_.quantize, recipe_.calibrate.algorithm);
    const auto has_room = [](const LayerOptions& options) {
      return options.formats.inputs != nullptr && options.formats.inputs->has_tensor_scale &&
             options.tensor_scale.from == TensorScaleSource::calibration;
    };
    bool any = has_room(policy.cache());
    for (std::size_t i = 0; i < recipe_.quantize.rules.size(); ++i)
      any |= has_room(policy.of_rule(static_cast<int>(i)));
    if (!any)
      report("quantize.tensor_scale.headroom", "1 where no input has a tensor scale from calibration",
             fmt::format("{}", headroom), "such as inputs: nvfp4 with tensor_scale.from: calibration");
  }

  // What a rule says for itself: options that nothing would follow look like some that count.
  void check_rule_options() {
    const Policy policy(recipe_.quantize, recipe_.calibrate.algorithm);
    for (std::size_t i = 0; i < recipe_.quantize.rules.size(); ++i) {
      const QuantizeRule& rule = recipe_.quantize.rules[i];
      const LayerOptions& options = policy.of_rule(static_cast<int>(i));
      const CalibrationAlgorithm& algorithm = calibration_algorithm(options.algorithm);
      const auto refuse = [&](std::string_view key, std::string expected, std::string got, std::string hint) {
        problems_.add(rule_at(i).find(key)->at, fmt::format("quantize.rules[{}].{}", i, key), std::move(expected),
                      std::move(got), std::move(hint));
      };
      constexpr const char* kWhole = "the last rule that matches a layer counts, whole: say its formats here too";
      if (options.formats == LayerFormats{}) {
        using Said = std::pair<const char*, bool>;
        for (const auto& [key, is_said] :
             {Said{"tensor_scale", rule.tensor_scale.has_value()}, Said{"ste", rule.ste.has_value()},
              Said{"input_ste", rule.input_ste.has_value()}, Said{"algorithm", rule.algorithm.has_value()},
              Said{"scales", rule.scales.has_value()}})
          if (is_said) refuse(key, "weights or inputs beside it", "none", kWhole);
        continue;
      }
      check_gradient(i, options);
      check_scales(i, options);
      if (rule.input_ste && options.formats.inputs == nullptr) refuse("input_ste", "inputs beside it", "none", kWhole);
      if (options.formats.weights == nullptr) {
        if (rule.algorithm) refuse("algorithm", "weights beside it, whose scales it finds", "none", kWhole);
        if (rule.scales) refuse("scales", "weights beside it, whose scales they are", "none", kWhole);
        continue;
      }
      if (rule.algorithm && algorithm.serves != nullptr && !algorithm.serves(*options.formats.weights))
        refuse("algorithm", "weights in a format with block scales to search", rule.weights, "or algorithm: max");
      if (algorithm.find_scales == nullptr || options.tensor_scale.from != TensorScaleSource::data) continue;
      const std::string found(enum_name(options.algorithm));
      constexpr const char* kStays = "scales that are found need one that stays";
      if (rule.algorithm) refuse("algorithm", "max where the tensor scale is from data", found, kStays);
      else if (rule.tensor_scale && rule.tensor_scale->from)
        refuse("tensor_scale", "from: calibration where calibrate.algorithm is " + found, "data", kStays);
    }
  }

  // The gradient goes through scales that follow their block.
  void check_gradient(std::size_t i, const LayerOptions& options) {
    const QuantizeRule& rule = recipe_.quantize.rules[i];
    const auto refuse = [&](std::string_view key, std::string expected, std::string hint) {
      problems_.add(rule_at(i).find(key)->at, fmt::format("quantize.rules[{}].{}", i, key), std::move(expected),
                    "through_scale", std::move(hint));
    };
    const auto check_format = [&](std::string_view key, const BlockFormat* format, StraightThrough ste,
                                  std::string_view option) {
      if (format != nullptr && format->scale == nullptr && ste == StraightThrough::through_scale)
        refuse(key, fmt::format("{} identity or clip in {}, which has no block scales", option, format->name),
               fmt::format("say {}: identity in this rule", option));
    };
    check_format("weights", options.formats.weights, options.ste, "ste");
    check_format("inputs", options.formats.inputs, options.input_ste, "input_ste");
    if (options.formats.weights == nullptr || options.ste != StraightThrough::through_scale) return;
    constexpr const char* kInputs = "input_ste: through_scale is that of inputs alone";
    const char* const key = rule.ste ? "ste" : "weights";
    if (options.scales && *options.scales != BlockScales::amax)
      refuse(key, fmt::format("ste identity or clip where scales are {}", enum_name(*options.scales)), kInputs);
    else if (finds_scales(options))
      refuse(key,
             fmt::format("ste identity or clip where algorithm {} finds block scales, and they stay",
                         enum_name(options.algorithm)),
             kInputs);
  }

  static bool finds_scales(const LayerOptions& options) {
    const CalibrationAlgorithm& algorithm = calibration_algorithm(options.algorithm);
    return options.formats.weights != nullptr && algorithm.find_scales != nullptr &&
           (algorithm.serves == nullptr || algorithm.serves(*options.formats.weights));
  }

  void check_scales(std::size_t i, const LayerOptions& options) {
    const QuantizeRule& rule = recipe_.quantize.rules[i];
    const char* const key = rule.scales ? "scales" : "weights";
    const auto refuse = [&](std::string expected, std::string got, std::string hint) {
      problems_.add(rule_at(i).find(key)->at, fmt::format("quantize.rules[{}].{}", i, key), std::move(expected),
                    std::move(got), std::move(hint));
    };
    const BlockFormat* const weights = options.formats.weights;
    if (rule.scales && weights != nullptr && weights->scale == nullptr)
      refuse("weights in a format with block scales", rule.weights, "leave scales out");
    if (!options.scales) return;
    const std::string said = fmt::format("scales {}", enum_name(*options.scales));
    if (*options.scales == BlockScales::amax && finds_scales(options))
      refuse(fmt::format("scales found, lsq or dual_lsq where algorithm {} finds them", enum_name(options.algorithm)),
             said, "with algorithm: max they can follow");
    if (*options.scales != BlockScales::amax && options.tensor_scale.from == TensorScaleSource::data)
      refuse("scales amax where the tensor scale is from data", said, "scales that are kept need one that stays");
  }

  void check_stream() {
    if (recipe_.kind != RecipeKind::ptq)
      report("stream", "kind: ptq", std::string(enum_name(recipe_.kind)), "training needs the model in memory");
    if (recipe_.prune) report("prune", "no such section with stream: true", "one", "prune by kind: prune first");
    if (recipe_.export_formats.empty()) report("export", "a layout, as stream makes nothing else", "none");
    if (recipe_.evaluate.problems) report("evaluate.problems", "none with stream: true", "some");
    for (const std::string& format : recipe_.export_formats)
      for (const Exporter& one : exporters())
        if (one.name == format && !one.streams) report("export", "a layout that can be written part by part", format);
    const auto is_written = [](const MixtureConfig& source) {
      const auto by_teacher = [](const SourceConfig& one) { return one.teacher_text.has_value(); };
      return by_teacher(source) || (source.mixture && std::ranges::any_of(*source.mixture, by_teacher));
    };
    if (is_written(recipe_.data.train) || (recipe_.calibrate.source && is_written(*recipe_.calibrate.source)))
      report(recipe_.calibrate.source ? "calibrate.source" : "data.train", "text that is there with stream: true",
             "teacher_text", "the teacher needs memory to write it");
    const Policy policy(recipe_.quantize, recipe_.calibrate.algorithm);
    const auto follows_inputs = [](const LayerOptions& options) {
      return options.formats.inputs && options.formats.inputs->has_tensor_scale &&
             options.tensor_scale.from == TensorScaleSource::data;
    };
    bool follows = follows_inputs(policy.cache());
    for (int i = 0; i < std::ssize(recipe_.quantize.rules); ++i) follows |= follows_inputs(policy.of_rule(i));
    if (follows) report("quantize.tensor_scale.from", "calibration with stream: true, for inputs", "data");
    const auto learns = [](const std::optional<BlockScales>& scales) {
      return scales && (*scales == BlockScales::lsq || *scales == BlockScales::dual_lsq);
    };
    if (learns(recipe_.quantize.scales) ||
        std::ranges::any_of(recipe_.quantize.rules, [&](const QuantizeRule& rule) { return learns(rule.scales); }))
      report("quantize.scales", "amax or found with stream: true", "lsq or dual_lsq");
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
      if (!row_.quantizes && format != "dense")
        problems_.add(at, key, fmt::format("dense for kind: {}", enum_name(recipe_.kind)), format,
                      "nothing is quantized");
    }
    if (!recipe_.export_formats.empty() && !recipe_.quantize.share_groups)
      report("export", "nothing to export with quantize.share_groups: false", "a layout",
             "serving engines share these scales; such a student is for comparisons only");
  }

  void check_arms() {
    if (!row_.is_comparison) {
      if (!recipe_.arms.empty()) report("arms", "no arms", "some", "kind: compare runs them");
      return;
    }
    if (recipe_.arms.empty()) report("arms", "at least one arm", "none", "such as {name: ptq, kind: ptq}");
    std::set<std::string> names;
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
      if (!names.insert(arm.name).second)
        problems_.add(at, key + ".name", "", fmt::format("two arms are called \"{}\"", arm.name));
      if (about(arm.kind).is_comparison || about(arm.kind).searches || !about(arm.kind).has_teacher)
        problems_.add(at, key + ".kind", "prune | ptq | qat | qad", std::string(enum_name(arm.kind)));
    }
  }

  const Recipe& recipe_;
  const KindRow& row_;
  const YamlNode& tree_;
  YamlProblems& problems_;
};

}  // namespace

void check_recipe(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems) {
  Checker(recipe, tree, problems).check();
}

}  // namespace qad
