// Whole recipes: the one that the documentation shows, what is refused and where, arms, and the resolved text.
#include "qad/recipe/recipe.h"

#include <gtest/gtest.h>

#include <limits>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using Files = std::vector<std::string>;

constexpr const char* kRun = R"(imports: [presets/nvfp4_w4a4]
kind: qad                              # pretrain | sft | grpo | merge | prune | ptq | qat | qad | autoquantize | compare
teacher: {model: ../shared/data/tinystories-656k-hf}
student: {model: teacher}
data:
  separator: "<|endoftext|>"           # of both texts
  train: {text: stories.txt}
  eval:  {text: held_out.txt, tokens: 50000}
  sequence_length: 256
  packing: documents                   # documents | concatenate
  order: shuffled                      # shuffled | sequential
calibrate: {tokens: 16384, seed: 1}
loss: {kind: kl, temperature: 1.0}
train: {steps: 400, batch_size: 8, lr: 1.0e-4, schedule: cosine, warmup_steps: 20}
evaluate: {every: 50}
checkpoint: {every: 100, keep: 2}
export: [modelopt, compressed_tensors, dense]
seed: 1
)";

constexpr const char* kData = "data: {train: {text: a}, eval: {text: b}}\n";

class RecipeFile : public ::testing::Test {
 protected:
  Recipe load(const std::string& text, const std::vector<std::string>& overrides = {}) {
    write_file_atomically(folder_ / "r.yaml", text);
    return load_recipe(folder_ / "r.yaml", overrides);
  }
  // The message, with the folder's name taken out.
  std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
    try {
      (void)load(text, overrides);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      std::string message = error.what();
      const std::string folder = folder_.path().string() + "/";
      for (std::size_t at; (at = message.find(folder)) != std::string::npos;) message.erase(at, folder.size());
      return message;
    }
    ADD_FAILURE() << "no error in\n" << text;
    return "";
  }
  testing::TemporaryFolder folder_;
};

TEST_F(RecipeFile, ReadsTheDocumentedRun) {
  const Recipe recipe = load(kRun);
  EXPECT_EQ(recipe.kind, RecipeKind::qad);
  EXPECT_EQ(recipe.teacher->model, "../shared/data/tinystories-656k-hf");
  EXPECT_EQ(recipe.student.model, "teacher");
  EXPECT_EQ(recipe.data.format.separator, "<|endoftext|>");
  EXPECT_EQ(recipe.data.eval.tokens, 50000);
  EXPECT_EQ(recipe.calibrate.tokens, 16384);
  EXPECT_EQ(recipe.loss.kind, LossKind::kl);
  EXPECT_EQ(recipe.train.lr, 1e-4);
  EXPECT_EQ(recipe.train.warmup_steps, 20);
  EXPECT_EQ(recipe.evaluate.every, 50);
  EXPECT_EQ(recipe.checkpoint.keep, 2);
  EXPECT_EQ(recipe.export_formats, (std::vector<std::string>{"modelopt", "compressed_tensors", "dense"}));
  ASSERT_FALSE(recipe.quantize.rules.empty());
  EXPECT_EQ(recipe.quantize.rules[0].weights, "nvfp4");
  EXPECT_EQ(recipe.quantize.rules[0].inputs, "nvfp4");
}

TEST_F(RecipeFile, OverridesWinAndLaterOnesWinMore) {
  const Recipe recipe =
      load(kRun, {"train.lr=1e-3", "train.steps=7", "train.steps=40", "export=[]", "data.eval.tokens=9"});
  EXPECT_EQ(recipe.train.lr, 1e-3);
  EXPECT_EQ(recipe.train.steps, 40);
  EXPECT_TRUE(recipe.export_formats.empty());
  EXPECT_EQ(recipe.data.eval.text, Files{"held_out.txt"});
  EXPECT_EQ(
      error_of(kRun, {"train.learnin_rate=3"}),
      "command line: \"train.learnin_rate=3\": train: unknown key \"learnin_rate\" (known: steps, batch_size, "
      "micro_batch_size, shards, lr, schedule, warmup_steps, final_lr_fraction, decay_fraction, clip_norm, adamw, "
      "parameters, scale_steps, weight_ema, pull_to_grid, oscillation_reset, activation_checkpointing, "
      "max_skipped_steps, patience, forward, backward, router, router_bias_rate)");
  EXPECT_EQ(error_of(kRun, {"train.step=3"}),
            "command line: \"train.step=3\": train: unknown key \"step\" (did you mean \"steps\"?)");
  EXPECT_EQ(error_of(kRun, {"train.steps=few"}),
            "command line: \"train.steps=few\": train.steps: expected an integer at least 0, got \"few\"");
}

TEST_F(RecipeFile, TheResolvedTextReadsBackTheSame) {
  const Recipe recipe = load(kRun);
  const std::string text = recipe_text(recipe);
  EXPECT_EQ(recipe_text(parse_recipe(text, "recipe.yaml")), text);
  for (const char* key :
       {"kind: qad\n", "  lr: 0.0001\n", "  separator: \"<|endoftext|>\"\n", "seed: 1\n", "threads: 0\n"})
    EXPECT_NE(text.find(key), std::string::npos) << key << "in\n" << text;
}

TEST_F(RecipeFile, AKeyThatIsInfiniteByDefaultTakesAnInfinity) {
  const auto high = [&](const std::string& said) {
    const Recipe recipe = load(std::string("kind: pretrain\nmodel: {model_type: mamba2, mamba: {num_heads: 16, ") +
                               said + "}}\n" + kData);
    EXPECT_EQ(load(recipe_text(recipe)).model->mamba, recipe.model->mamba);
    return recipe.model->mamba->time_step_high;
  };
  for (const char* said : {"head_dim: 16", "time_step_high: inf", "time_step_high: .inf"})
    EXPECT_EQ(high(said), std::numeric_limits<double>::infinity()) << said;
  EXPECT_EQ(high("time_step_high: 0.5"), 0.5);
}

TEST_F(RecipeFile, KeysAreHeldAgainstEachOther) {
  const std::string data = kData;
  EXPECT_EQ(error_of("seed: 1\n"),
            "r.yaml: 4 errors\n"
            "  r.yaml:1:1: kind: expected a key \"kind\", got none (pretrain | sft | grpo | merge | prune | ptq | qat "
            "| qad | "
            "autoquantize | compare)\n"
            "  r.yaml:1:1: teacher: expected a teacher, got none (kind: qad needs teacher: {model: FOLDER})\n"
            "  r.yaml:1:1: data.train: expected one of text, jsonl, token_file, teacher_text, synthetic, problems, "
            "random_tokens and mixture, got "
            "none\n"
            "  r.yaml:1:1: data.eval: expected one of text, jsonl, token_file, teacher_text, synthetic, problems, "
            "random_tokens and mixture, got "
            "none");
  for (const std::string kind : {"ptq", "qat", "qad"})
    EXPECT_EQ(error_of(data + "kind: " + kind + "\nstudent: {model: s}\n"),
              "r.yaml:1:1: teacher: expected a teacher, got none (kind: " + kind + " needs teacher: {model: FOLDER})");
  EXPECT_EQ(error_of(data + "kind: qad\nteacher: {model: t}\ntrain: {steps: 5, warmup_steps: 6}\n"),
            "r.yaml:4:33: train.warmup_steps: expected at most train.steps = 5, got 6");
  EXPECT_EQ(error_of(data + "kind: qad\nteacher: {model: t}\ntrain: {batch_size: 2, micro_batch_size: 3}\n"),
            "r.yaml:4:42: train.micro_batch_size: expected at most train.batch_size = 2, got 3");
  EXPECT_EQ(error_of("kind: qad\nteacher: {model: t}\ndata: {train: {text: a, jsonl: b}, eval: {text: c}}\n"),
            "r.yaml:3:15: data.train: expected one of text, jsonl, token_file, teacher_text, synthetic, problems, "
            "random_tokens and mixture, got 2 "
            "(`text: null` takes an imported one away)");
  EXPECT_EQ(error_of(data + "kind: qad\nteacher: {model: t}\nquantize: {share_groups: false}\nexport: [dense]\n"),
            "r.yaml:5:9: export: expected nothing to export with quantize.share_groups: false, got a layout "
            "(serving engines share these scales; such a student is for comparisons only)");
  EXPECT_EQ(error_of(data + "kind: qad\nteacher: {model: t}\nexport: [dense, modelop, dense]\n"),
            "r.yaml: 2 errors\n"
            "  r.yaml:4:17: export[1]: unknown layout \"modelop\" (did you mean \"modelopt\"?)\n"
            "  r.yaml:4:26: export[2]: \"dense\" is there already");
  EXPECT_EQ(
      error_of(data + "kind: qad\nteacher: {model: t}\nloss: {kind: cross_entropy}\n"),
      "r.yaml:4:14: loss.kind: expected a loss against the teacher for kind: qad, got cross_entropy (or kind: qat)");
  EXPECT_EQ(error_of(data + "kind: qad\nteacher: {model: t}\nquantize: {rules: [{layers: \"*\", weights: nvfp5}]}\n"),
            "r.yaml:4:43: quantize.rules[0].weights: unknown number format \"nvfp5\" (did you mean \"nvfp4\"?)");
  EXPECT_EQ(error_of(data + "kind: qad\nteacher: {model: t}\ntrain: {adamw: {beta1: 1, beta2: 1.0}}\n"),
            "r.yaml: 2 errors\n"
            "  r.yaml:4:24: train.adamw.beta1: expected a number at least 0, below 1, got 1\n"
            "  r.yaml:4:34: train.adamw.beta2: expected a number at least 0, below 1, got 1.0");
  EXPECT_EQ(error_of(data + "kind: pretrain\n"),
            "r.yaml:1:1: model: expected the sizes of the fresh model, got none (kind: pretrain needs them)");
  EXPECT_EQ(
      error_of(data + "kind: pretrain\nmodel: {hidden_size: 64, num_attention_heads: 7}\n").find("r.yaml:3:8: model"),
      0u);
  EXPECT_EQ(
      error_of(data + "kind: pretrain\nmodel: {model_type: qwen3}\n"),
      "r.yaml:3:8: model: expected qk_norm true for model_type qwen3, got false (its config.json cannot say that)");
  EXPECT_EQ(error_of(data + "kind: qat\nteacher: {model: t}\nmodel: {hidden_size: 8}\n"),
            "r.yaml:4:8: model: expected no sizes for kind: qat, got some (they come from the teacher's config.json)");
  EXPECT_EQ(error_of(data + "kind: qad\nteacher: {}\n"),
            "r.yaml:3:10: teacher: expected a key \"model\", got none (folder with config.json and safetensors, or of "
            "a run)");
}

TEST_F(RecipeFile, StagesSayWhatTheyStartFrom) {
  const std::string data = kData;
  EXPECT_EQ(error_of(data + "kind: sft\n"),
            "r.yaml:1:1: student.model: expected the folder of the model to start from, got none (kind: sft needs "
            "student: {model: FOLDER})");
  EXPECT_EQ(error_of(data + "kind: sft\nstudent: {model: s}\nteacher: {model: t}\nexport: [modelopt]\n"),
            "r.yaml: 2 errors\n"
            "  r.yaml:4:10: teacher: expected no teacher, got one (kind: sft has none)\n"
            "  r.yaml:5:10: export[0]: expected dense for kind: sft, got modelopt (nothing is quantized)");
  EXPECT_EQ(error_of("data: {eval: {text: b}}\nkind: merge\nmerge: {models: [{model: a}]}\n"),
            "r.yaml:3:17: merge.models: expected two models or more, got one (kind: merge needs merge: {models: "
            "[{model: FOLDER}, {model: FOLDER}]})");
  EXPECT_EQ(error_of(data + "kind: qad\nteacher: {model: t}\nmerge: {models: [{model: a}, {model: b}]}\n"),
            "r.yaml:4:8: merge: expected no models to merge, got some (kind: merge does that)");
  const std::string grpo = "data: {eval: {text: b}}\nkind: grpo\nstudent: {model: s}\n";
  EXPECT_EQ(error_of(grpo),
            "r.yaml:1:1: grpo: expected a section grpo, got none (kind: grpo needs grpo: {prompts: 32, group_size: 8, "
            "…})");
  EXPECT_EQ(error_of(grpo + "grpo: {group_size: 1, families: [sums]}\n"),
            "r.yaml: 2 errors\n"
            "  r.yaml:4:20: grpo.group_size: expected an integer at least 2, got 1\n"
            "  r.yaml:4:34: grpo.families[0]: expected arithmetic | word_problems | symbols | programs, got \"sums\"");
  EXPECT_EQ(error_of(grpo + "grpo: {}\ntrain: {patience: 2}\n"),
            "r.yaml:5:19: train.patience: expected 0 for kind: grpo, got 2 (held-out cross-entropy does not tell when "
            "reinforcement learning is done)");
  EXPECT_EQ(error_of(data + "kind: sft\nstudent: {model: s}\ngrpo: {}\n"),
            "r.yaml:4:7: grpo: expected no such section, got one (kind: grpo has it)");
  EXPECT_EQ(error_of(data + "kind: compare\nteacher: {model: t}\narms: [{name: a, kind: grpo}]\n"),
            "r.yaml:4:8: arms[0].kind: expected prune | ptq | qat | qad, got grpo");
  const Recipe merge =
      load("data: {eval: {text: b}}\nkind: merge\nmerge: {models: [{model: a}, {model: b, weight: 2}]}\n");
  EXPECT_EQ(base_folder(merge), "a");
  EXPECT_FALSE(trains_on_text(merge));
  EXPECT_EQ(load(data + "kind: sft\nstudent: {model: s}\n").loss.kind, LossKind::cross_entropy);
}

TEST_F(RecipeFile, TextLearnersTakeCrossEntropy) {
  const std::string base = std::string(kData) + "teacher: {model: t}\n";
  EXPECT_EQ(load(base + "kind: qat\n").loss.kind, LossKind::cross_entropy);
  EXPECT_EQ(load(base + "kind: qad\n").loss.kind, LossKind::kl);
  EXPECT_EQ(load(base + "kind: qat\nloss: {kind: cross_entropy}\n").loss.kind, LossKind::cross_entropy);
  EXPECT_EQ(error_of(base + "kind: qat\nloss: {kind: kl}\n"),
            "r.yaml:4:14: loss.kind: expected cross_entropy for kind: qat, got kl (or kind: qad)");
}

constexpr const char* kCompare = R"(kind: compare
teacher: {model: t}
data: {train: {text: a}, eval: {text: b}}
loss: {kind: kl_reverse}
train: {lr: 5.0e-4}
arms:
  - {name: ptq, kind: ptq}
  - {name: qat, kind: qat, lr: [1.0e-4, 1.0e-3]}
  - name: qad_clip
    kind: qad
    lr: [3.0e-4]
    set: [train.clip_norm=0, loss.kind=kl]
  - {name: qad, kind: qad}
)";

TEST_F(RecipeFile, ArmsAreWholeRecipes) {
  const std::vector<Arm> arms = expand_arms(load(kCompare));
  ASSERT_EQ(arms.size(), 4u);
  EXPECT_EQ(arms[0].candidates.at(0).at(0).name, "ptq");
  EXPECT_EQ(arms[0].candidates[0][0].recipe.kind, RecipeKind::ptq);
  ASSERT_EQ(arms[1].candidates.size(), 2u);
  EXPECT_EQ(arms[1].candidates[0][0].name, "qat-lr0.0001");
  EXPECT_EQ(arms[1].candidates[1][0].recipe.train.lr, 1e-3);
  EXPECT_EQ(arms[1].candidates[1][0].recipe.loss.kind, LossKind::cross_entropy);
  EXPECT_TRUE(arms[1].candidates[1][0].recipe.arms.empty());
  ASSERT_EQ(arms[2].candidates.size(), 1u);
  EXPECT_EQ(arms[2].candidates[0][0].name, "qad_clip");
  EXPECT_EQ(arms[2].candidates[0][0].recipe.train.clip_norm, 0);
  EXPECT_EQ(arms[2].candidates[0][0].recipe.train.lr, 3e-4);
  EXPECT_EQ(arms[2].candidates[0][0].recipe.loss.kind, LossKind::kl);
  EXPECT_EQ(arms[3].candidates[0][0].recipe.loss.kind, LossKind::kl_reverse);
  EXPECT_EQ(arms[3].candidates[0][0].recipe.train.lr, 5e-4);
  const std::string text = recipe_text(load(kCompare));
  EXPECT_EQ(recipe_text(parse_recipe(text, "recipe.yaml")), text);
}

// In a moment, as reading an arm looks at no other one.
TEST_F(RecipeFile, ArmsMayBeThousands) {
  std::string text = kCompare;
  for (int i = 0; i < 3000; ++i) text += "  - {name: a" + std::to_string(i) + ", kind: qad}\n";
  const Recipe comparison = load(text);
  ASSERT_EQ(comparison.arms.size(), 3004u);
  EXPECT_EQ(comparison.arms.back().name, "a2999");
  EXPECT_NE(error_of(text + "  - {name: a7, kind: qad}\n").find("arms[3004].name: two arms are called \"a7\""),
            std::string::npos);
}

TEST_F(RecipeFile, SeedsGiveEachTrainedArmSeveralRuns) {
  const std::vector<Arm> arms = expand_arms(load(std::string(kCompare) + "seeds: [4, 5]\n"));
  ASSERT_EQ(arms[0].candidates.at(0).size(), 1u);
  EXPECT_EQ(arms[0].candidates[0][0].name, "ptq");
  ASSERT_EQ(arms[1].candidates.size(), 2u);
  ASSERT_EQ(arms[1].candidates[1].size(), 2u);
  EXPECT_EQ(arms[1].candidates[1][0].name, "qat-lr0.001-seed4");
  EXPECT_EQ(arms[1].candidates[1][1].name, "qat-lr0.001-seed5");
  EXPECT_EQ(arms[1].candidates[1][1].recipe.seed, 5);
  EXPECT_EQ(arms[1].candidates[1][1].recipe.train.lr, 1e-3);
  EXPECT_TRUE(arms[1].candidates[1][1].recipe.seeds.empty());
  EXPECT_EQ(arms[3].candidates.at(0).at(1).name, "qad-seed5");
}

TEST_F(RecipeFile, WhatDescribesATextIsSaidOnce) {
  const std::string models = "kind: qad\nteacher: {model: t}\n";
  const Recipe recipe = load(models +
                             "data: {separator: \"|\", eos: true, train: {text: a}, eval: {text: b, separator: \"\"}}\n"
                             "calibrate: {source: {jsonl: [c.jsonl, \"d/*.jsonl.gz\"], field: body}}\n");
  EXPECT_EQ(recipe.data.format.separator, "|");
  EXPECT_EQ(recipe.data.format.eos, true);
  EXPECT_EQ(recipe.data.format.field, "text");  // what nobody says is told too
  EXPECT_FALSE(recipe.data.train.format.separator.has_value());
  EXPECT_EQ(recipe.data.eval.format.separator, "");
  EXPECT_EQ(recipe.calibrate.source->jsonl, (Files{"c.jsonl", "d/*.jsonl.gz"}));
  EXPECT_EQ(recipe.calibrate.source->format.field, "body");
  const TextFormat eval = filled_in(recipe.data.eval.format, recipe.data.format);
  EXPECT_EQ(eval.separator, "");
  EXPECT_EQ(eval.eos, true);
  EXPECT_FALSE(eval.bos.has_value());

  const std::string text = recipe_text(recipe), here = std::filesystem::current_path().string() + "/";
  EXPECT_EQ(recipe_text(parse_recipe(text, "recipe.yaml")), text);
  EXPECT_NE(text.find("  train:\n    text: a\n    skip_documents: 0\n"), std::string::npos) << text;
  EXPECT_EQ(with_absolute_paths(recipe).calibrate.source->jsonl, (Files{here + "c.jsonl", here + "d/*.jsonl.gz"}));
}

TEST_F(RecipeFile, AMixtureHasSourcesWithWeights) {
  const std::string models = "kind: qad\nteacher: {model: t}\n";
  const auto data = [&](const std::string& train, const std::string& eval = "{text: b}") {
    return models + "data: {train: " + train + ", eval: " + eval + "}\n";
  };
  const Recipe recipe = load(
      data("{separator: \"|\", mixture: [{weight: 3, text: \"s/*.txt\"}, {jsonl: c, loss_on: assistant, tokens: 9}]}"));
  const std::vector<WeightedSourceConfig>& mixture = *recipe.data.train.mixture;
  ASSERT_EQ(mixture.size(), 2u);
  EXPECT_EQ(mixture[0].weight, 3);
  EXPECT_EQ(mixture[0].text, Files{"s/*.txt"});
  EXPECT_EQ(mixture[1].weight, 1);
  EXPECT_EQ(mixture[1].tokens, 9);
  const std::string text = recipe_text(recipe), here = std::filesystem::current_path().string() + "/";
  EXPECT_EQ(recipe_text(parse_recipe(text, "recipe.yaml")), text);
  EXPECT_EQ((*with_absolute_paths(recipe).data.train.mixture)[0].text, Files{here + "s/*.txt"});

  EXPECT_EQ(error_of(data("{mixture: []}")),
            "r.yaml:3:25: data.train.mixture: expected at least one source, got none "
            "(such as {weight: 2, text: FILE})");
  EXPECT_NE(error_of(data("{text: a, mixture: [{text: b}]}")).find("r.yaml:3:15: data.train: expected one of"),
            std::string::npos);
  EXPECT_EQ(
      error_of(data("{tokens: 3, mixture: [{text: b}]}")),
      "r.yaml:3:15: data.train: expected skip_documents and tokens in the sources of the mixture, got them beside it");
  EXPECT_EQ(error_of(data("{mixture: [{text: a}, {text: b, jsonl: c}]}")).substr(0, 50),
            "r.yaml:3:37: data.train.mixture[1]: expected one o");
  EXPECT_EQ(error_of(data("{mixture: [{text: a, weight: 0}]}")),
            "r.yaml:3:44: data.train.mixture[0].weight: expected a number above 0, got 0");
  EXPECT_EQ(error_of(data("{mixture: [{mixture: []}]}")).substr(0, 62),
            "r.yaml:3:27: data.train.mixture[0]: unknown key \"mixture\" (kno");
  EXPECT_EQ(error_of(data("{text: a}", "{mixture: [{text: b}, {text: c, weight: 2}]}")),
            "r.yaml:3:72: data.eval.mixture[1].weight: expected 1, as all held-out text is read once, got 2");
  EXPECT_EQ(error_of(data("{text: []}")), "r.yaml:3:22: data.train.text: expected at least one file, got none");
  EXPECT_EQ(error_of(data("{text: a, loss_on: assistant}")),
            "r.yaml:3:34: data.train.loss_on: expected jsonl with messages, as loss_on: assistant needs them, got "
            "another source");
}

TEST_F(RecipeFile, PathsBecomeAbsoluteAndWordsStay) {
  namespace fs = std::filesystem;
  const std::string here = fs::current_path().string() + "/";
  const Recipe run = with_absolute_paths(
      load(kRun, {"data.tokenizer=bytes", "data.eval={text: null, jsonl: a/./b.jsonl, field: text/x}",
                  "calibrate.source={teacher_text: {prompts: /p/prompts.txt}}"}));
  EXPECT_TRUE(fs::path(run.teacher->model).is_absolute());  // tidy where it is there
  EXPECT_EQ(fs::path(run.teacher->model).lexically_normal(),
            (fs::current_path() / "../shared/data/tinystories-656k-hf").lexically_normal());
  EXPECT_EQ(run.student.model, "teacher");
  EXPECT_EQ(run.data.train.text, Files{here + "stories.txt"});
  EXPECT_EQ(run.data.eval.jsonl, Files{here + "a/./b.jsonl"});  // not there, so not to be tidied up
  EXPECT_EQ(run.data.eval.format.field, "text/x");
  EXPECT_EQ(run.data.tokenizer, "bytes");
  EXPECT_EQ(run.calibrate.source->teacher_text->prompts, Files{"/p/prompts.txt"});
  EXPECT_EQ(recipe_text(with_absolute_paths(run)), recipe_text(run));

  // Behind a link, `..` is not the folder above the link.
  fs::create_directories(folder_ / "real/inner");
  fs::create_directory_symlink(folder_ / "real/inner", folder_ / "link");
  write_file_atomically(folder_ / "real/t", "");
  const std::string through = (folder_ / "link/../t").string();
  EXPECT_EQ(with_absolute_paths(load(kRun, {"data.train.text=" + through})).data.train.text, Files{through});

  // An arm's own student is one of its changes.
  const Recipe comparison = with_absolute_paths(
      load(std::string(kCompare) + "  - {name: own, kind: qad, set: ['student={model: \"s t\"}', train.steps=3]}\n"));
  const std::vector<Arm> arms = expand_arms(comparison);
  EXPECT_EQ(arms[0].candidates[0][0].recipe.student.model, "teacher");
  EXPECT_EQ(arms[4].candidates[0][0].recipe.student.model, here + "s t");
  EXPECT_EQ(arms[4].candidates[0][0].recipe.data.train.text, Files{here + "a"});
  EXPECT_TRUE(comparison.arms[0].set.empty());
}

TEST_F(RecipeFile, AnArmMayFindScalesItsOwnWay) {
  const Recipe comparison =
      load(std::string(kCompare) + "  - {name: own, kind: ptq, set: [calibrate.algorithm=mse]}\n");
  const std::vector<Arm> arms = expand_arms(comparison);
  EXPECT_EQ(arms.front().candidates[0][0].recipe.calibrate.algorithm, CalibrationKind::max);
  EXPECT_EQ(arms.back().candidates[0][0].recipe.calibrate.algorithm, CalibrationKind::mse);
}

TEST_F(RecipeFile, MistakesInArmsHavePlaces) {
  const std::string base = std::string(kData) + "kind: compare\nteacher: {model: t}\narms:\n";
  EXPECT_EQ(error_of(std::string(kData) + "kind: compare\nteacher: {model: t}\n"),
            "r.yaml:1:1: arms: expected at least one arm, got none (such as {name: ptq, kind: ptq})");
  EXPECT_EQ(error_of(base + "  - {name: a, kind: qad, set: [train.stepz=3]}\n"),
            "r.yaml:5:32: train: unknown key \"stepz\" (did you mean \"steps\"?)");
  EXPECT_EQ(error_of(base + "  - {name: a, kind: qad, lr: [0]}\n"),
            "r.yaml:5:31: arms[0].lr[0]: expected a number above 0, got 0");
  EXPECT_EQ(error_of(base + "  - {name: a, kind: qad}\n  - {name: a, kind: compare}\n  - {name: x/y, kind: ptq}\n"),
            "r.yaml: 3 errors\n"
            "  r.yaml:6:5: arms[1].name: two arms are called \"a\"\n"
            "  r.yaml:6:5: arms[1].kind: expected prune | ptq | qat | qad, got compare\n"
            "  r.yaml:7:5: arms[2].name: expected letters, digits, _ and -, got \"x/y\" (it names a folder)");
  for (const auto& [set, part] :
       std::vector<std::pair<std::string, std::string>>{{"data.sequence_length=64", "data"},
                                                        {"calibrate.tokens=7", "calibrate.tokens"},
                                                        {"teacher.weights=file", "teacher"},
                                                        {"evaluate.batch_size=3", "evaluate.batch_size"},
                                                        {"evaluate.problems.count=7", "evaluate.problems"}})
    EXPECT_EQ(error_of(base + "  - {name: a, kind: ptq}\n  - {name: b, kind: qad, lr: [1, 2], set: [" + set + "]}\n"),
              "r.yaml:6:5: arms[1].set: expected the comparison's " + part +
                  ", got another (arms share teacher, text, calibration and problems; write a second comparison)");
  EXPECT_EQ(error_of(std::string(kData) + "kind: qad\nteacher: {model: t}\narms: [{name: a, kind: qad}]\n"),
            "r.yaml:4:7: arms: expected no arms, got some (kind: compare runs them)");
}

TEST(DescribeRecipe, EveryKeyHasOneLineOfHelp) {
  for (const KeyDescription& key : describe_recipe()) {
    EXPECT_FALSE(key.help.empty()) << key.key;
    EXPECT_EQ(key.help.find('\n'), std::string::npos) << key.key;
  }
}

}  // namespace
}  // namespace qad
