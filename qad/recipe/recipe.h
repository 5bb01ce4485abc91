// A recipe, whole and typed: what `qad run`, `qad compare` and `qad plan` are told. Each section's struct belongs to
// the component that reads it; here they are put together, read from YAML, checked against each other and written back.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/base/fields.h"
#include "data/text/data_config.h"
#include "models/import/merge.h"
#include "models/model_config.h"
#include "models/prune/prune_config.h"
#include "qad/calib/calibrate_config.h"
#include "qad/checkpoint/checkpoint_config.h"
#include "qad/loss/loss_config.h"
#include "qad/quant/decode_head.h"
#include "qad/quant/quant_config.h"
#include "qad/recipe/describe.h"
#include "qad/recipe/kinds.h"
#include "qad/report/report_config.h"
#include "qad/search/search_config.h"
#include "qad/train/grpo_config.h"
#include "qad/train/train_config.h"

namespace qad {

enum class TeacherWeights : std::uint8_t { bf16, file };
inline constexpr auto enum_names(TeacherWeights) {
  return std::to_array<EnumName<TeacherWeights>>({{TeacherWeights::bf16, "bf16"}, {TeacherWeights::file, "file"}});
}

/// Which of the models in a run's folder is meant.
enum class RunModel : std::uint8_t { student, masters };
inline constexpr auto enum_names(RunModel) {
  return std::to_array<EnumName<RunModel>>({{RunModel::student, "student"}, {RunModel::masters, "masters"}});
}

struct TeacherConfig {
  std::string model;
  RunModel of_run = RunModel::student;
  TeacherWeights weights = TeacherWeights::bf16;
  Precision compute = Precision::fp32;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"model", "folder with config.json and safetensors, or of a run"}.path().required(), model);
    visit(Field{"of_run", "of a run's folder: student, the weights as it quantizes them; masters, before that"},
          of_run);
    visit(Field{"weights", "bf16: two bytes a weight; file: as stored"}, weights);
    visit(
        Field{"compute", "numbers of its products: bf16 rounds the input of each linear layer, as engines do; or fp32"},
        compute);
  }
};

struct StudentConfig {
  std::string model = "teacher";
  RunModel of_run = RunModel::masters;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"model",
                "the word teacher, or the folder, of a model or a run, that the student starts from (sft and grpo need "
                "one)"}
              .path("teacher"),
          model);
    visit(Field{"of_run", "of a run's folder: masters, its FP32 weights; student, the weights as it quantizes them"},
          of_run);
  }
};

/// One arm of a comparison: the recipe itself with another kind and a few keys changed.
struct ArmConfig {
  std::string name;
  RecipeKind kind = RecipeKind::qad;
  std::vector<double> lr;
  std::vector<std::string> set;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"name", "its row in the table and its folder"}.required(), name);
    visit(Field{"kind", "prune, ptq, qat or qad"}.required(), kind);
    visit(Field{"lr",
                "peak learning rates to try, the best counts (qad by held-out KL, qat by cross-entropy); empty: that "
                "of train"}
              .above(0),
          lr);
    visit(Field{"set", "further changes, key.path=value as on the command line"}, set);
  }
};

struct Recipe {
  RecipeKind kind = RecipeKind::qad;
  bool stream = false;
  std::optional<TeacherConfig> teacher;
  StudentConfig student;
  std::optional<ModelConfig> model;
  std::optional<GrpoConfig> grpo;
  std::optional<MergeConfig> merge;
  std::optional<PruneConfig> prune;
  DataConfig data;
  CalibrateConfig calibrate;
  QuantizeConfig quantize;
  std::optional<SearchConfig> search;
  LossConfig loss;
  TrainConfig train;
  EvaluateConfig evaluate;
  DecodeConfig decode;
  CheckpointConfig checkpoint;
  ReportConfig report;
  std::vector<std::string> export_formats;  ///< names from qad/layouts/registry.h
  std::vector<ArmConfig> arms;
  std::vector<std::int64_t> seeds;
  std::int64_t seed = 1;
  std::int64_t threads = 0;

  /// What its kind asks for.
  [[nodiscard]] const KindRow& row() const { return about(kind); }

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"kind", "what to do; every recipe that runs says it"}, kind);
    visit(Field{"stream",
                "ptq: true writes the exports part by part, with no model in memory: no checkpoint, no figures, the "
                "same bytes"},
          stream);
    visit(Field{"teacher", "the frozen model that a student is held against"}, teacher);
    visit(Field{"student", "the model that is trained, and quantized by ptq, qat and qad"}, student);
    visit(Field{"model", "pretrain: sizes of the fresh model, named as in config.json"}, model);
    visit(Field{"grpo", "grpo: which problems are answered, and how the model learns from its answers"}, grpo);
    visit(Field{"merge", "merge: the models whose average is made"}, merge);
    visit(Field{"prune",
                "prune, ptq, qat and qad: how small the student becomes before anything else is done with it; "
                "what stays is chosen on the text to calibrate on"},
          prune);
    visit(Field{"data", "text for training and for evaluation"}, data);
    visit(Field{"calibrate", "how scales are found before training"}, calibrate);
    visit(Field{"quantize", "which layers in which formats"}, quantize);
    visit(Field{"search", "autoquantize: which formats there are to choose from, under which budget of bits"}, search);
    visit(Field{"loss", "what training makes small"}, loss);
    visit(Field{"train", "steps, batches and optimizer"}, train);
    visit(Field{"evaluate", "measuring on held-out text"}, evaluate);
    visit(Field{"decode", "how the student writes: its answers to problems, of evaluate.problems and grpo"}, decode);
    visit(Field{"checkpoint", "saving"}, checkpoint);
    visit(Field{"report", "what a run writes beside metrics.jsonl and report.html"}, report);
    visit(Field{"export", "layouts to write at the end: modelopt, compressed_tensors, dense, gguf, bitsandbytes"}
              .changeable(),
          export_formats);
    visit(Field{"arms", "compare: what is compared"}, arms);
    visit(Field{"seeds", "compare: each arm is trained once with each, and its row is their mean; empty: seed alone"}
              .at_least(0),
          seeds);
    visit(Field{"seed", "of data order, fresh weights and whatever else is drawn"}.at_least(0), seed);
    visit(Field{"threads", "0: one a core; the number changes no result"}.changeable().between(0, 4096), threads);
  }
};

/// Reads a recipe (a file, or a name in the catalogue) with its imports and then the overrides (`a.b=c`, later wins),
/// and checks it whole. Throws one Error (usage) that tells all problems, each with file:line:column.
[[nodiscard]] Recipe load_recipe(const std::filesystem::path& name, const std::vector<std::string>& overrides = {});

/// The same for who is about to run it: that what it names isn't there is among the problems (path_check.h).
[[nodiscard]] Recipe load_recipe_to_run(const std::filesystem::path& file,
                                        const std::vector<std::string>& overrides = {});

/// The same for a model that is quantized as a preset says, or any other recipe or part of one, into one layout, part
/// by part (`stream`).
[[nodiscard]] Recipe load_streamed_recipe(const std::filesystem::path& preset, const std::filesystem::path& model,
                                          const std::string& layout, const std::vector<std::string>& overrides);

/// The same for the text of a resolved recipe, from a run's folder or a checkpoint; it has no imports. `name` is what
/// positions say.
[[nodiscard]] Recipe parse_recipe(std::string_view text, const std::string& name);
/// With a part of another recipe, such as quantize_text gives, laid over it.
[[nodiscard]] Recipe parse_recipe(std::string_view text, const std::string& name, std::string_view over,
                                  const std::string& over_name);

/// The section `quantize` alone, as a recipe that others import.
[[nodiscard]] std::string quantize_text(const QuantizeConfig& quantize);

/// The recipe of a run that goes on with other values of the keys that may change (Field::changeable). Throws Error
/// (usage) that tells all problems, each key that may not by its name.
[[nodiscard]] Recipe changed_recipe(const Recipe& recipe, const std::vector<std::string>& changes);

/// The same, those that may change and all paths left aside: what lies there may have moved.
[[nodiscard]] std::vector<std::string> fixed_differences(Recipe a, Recipe b);

/// The resolved recipe: every key with its value. parse_recipe gives the same recipe back.
[[nodiscard]] std::string recipe_text(const Recipe& recipe);

/// The same with every path absolute, as a run's folder keeps it: it means the same wherever it is read, and wherever
/// that folder is moved.
[[nodiscard]] Recipe with_absolute_paths(Recipe recipe);

/// Whether the file, read with its imports, is a whole recipe (it has a `kind`) or a part for others to import.
/// Throws as load_recipe: a whole recipe is checked whole, a part key by key. With `missing`, also where it names what
/// is another thing than it should be; what is not there is noted (path_check.h).
bool check_recipe_file(const std::filesystem::path& file, std::vector<std::string>* missing = nullptr);

/// Whether scales are found on text, or what is pruned; with `stream`, where nothing else does, only if a rule asks for
/// that.
[[nodiscard]] bool calibrates_on_text(const Recipe& recipe);

/// Whether data.train is read: by its steps, or to find scales on it.
[[nodiscard]] bool trains_on_text(const Recipe& recipe);

/// The folder (model_files.h) of the model that the student starts from, of a merge the first one; empty for pretrain.
[[nodiscard]] std::filesystem::path start_folder(const Recipe& recipe);

/// The folder whose config.json and tokenizer the run has: the teacher's, or where there is none start_folder.
[[nodiscard]] std::filesystem::path base_folder(const Recipe& recipe);

/// The sizes of the model that a path names: those of config.json, or of a run's student.
[[nodiscard]] ModelConfig named_config(const std::filesystem::path& model);
/// Those of the teacher or, without one, of the student, and those of the student. Throws as read_hf_config and
/// pruned_config do.
[[nodiscard]] ModelConfig base_config(const Recipe& recipe);
[[nodiscard]] ModelConfig student_config(const Recipe& recipe);
/// The student's before it is pruned.
[[nodiscard]] ModelConfig start_config(const Recipe& recipe);

/// Every key of a recipe in words.
[[nodiscard]] std::vector<KeyDescription> describe_recipe();

/// A run of an arm: one learning rate with one seed.
struct ArmRun {
  std::string name;  ///< `qat`, or `qat-lr0.001`, `qat-seed2`, `qat-lr0.001-seed2` where several are tried
  Recipe recipe;     ///< whole, of the arm's own kind
};
/// One learning rate of an arm; its runs differ in their seeds.
using ArmCandidate = std::vector<ArmRun>;
struct Arm {
  std::string name;
  RecipeKind kind;
  std::vector<ArmCandidate> candidates;  ///< at least one, each with at least one run
};
/// The arms of a comparison, in its order. What is wrong in them was told when the comparison was loaded.
[[nodiscard]] std::vector<Arm> expand_arms(const Recipe& comparison);

}  // namespace qad
