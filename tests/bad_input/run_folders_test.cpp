// Places to write that are taken, and run folders whose checkpoints, recipes and summaries are damaged or of others.
#include "qad/checkpoint/seal.h"
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::kFailed;
using testing::kUsage;
using testing::Workplace;
TEST(BadPlace, IsTakenOrCanNotBeWritten) {
  const Workplace work;
  const std::string recipe = work.recipe().string(), text = work.at("text.txt");
  work.write("full/a", "mine");
  work.refused({"run", recipe, "--out", work.at("full")}, kUsage, {"full: expected a new or empty folder, got"});
  work.refused({"run", recipe, "--out", text}, kUsage, {text + ": expected a new or empty folder, got a file"});
  work.refused({"run", recipe, "--out", text + "/out"}, kFailed,
               {text + "/out: expected a folder that can be written"});
  work.refused({"run", recipe, "--out", "/proc/out"}, kFailed, {"/proc/out: expected a folder that can be written"});

  work.run(recipe, "run");
  work.refused({"run", recipe, "--out", work.at("run")}, kUsage, {"a folder with a run (qad resume goes on with it)"});
  const auto exported = [&](const std::string& out) {
    return testing::Arguments{"export", work.at("run"), "--format", "dense", "--out", out};
  };
  work.refused(exported(work.at("full")), kUsage, {"full: expected a new or empty folder, or an earlier export"});
  work.refused(exported(text), kUsage, {text + ": ", "got a file"});
  work.refused(exported(text + "/out"), kFailed, {text + ": expected a folder that can be written"});
  work.refused({"import", "llama2c", text, "--tokenizer", text, "--out", work.at("new")}, kFailed,
               {text + ": ", "is this a llama2.c checkpoint?"});
}

TEST(BadPlace, AnEmptyFolderStays) {
  const Workplace work;
  fs::create_directories(work.path("out"));
  work.run_refused({"data.train.text=" + work.write("latin.txt", "\xe9")}, kFailed, {"latin.txt"});
}

TEST(BadPlace, AComparisonThatCanNotBeginLeavesNothing) {
  const Workplace work;
  const auto compare = [&](const std::string& key_and_value) {
    const std::string recipe = work.recipe("arms: [{name: a, kind: ptq}]\n").string();
    return testing::Arguments{"compare", recipe, "kind=compare", key_and_value, "--out", work.at("out")};
  };
  work.refused(compare("data.eval.text=" + work.write("latin.txt", "\xe9")), kFailed,
               {"latin.txt: expected UTF-8 text"});
  work.refused(compare("quantize.rules=[{layers: \"*\", weights: nvfp4}]"), ExitCode::usage, {"lm_head: "});
}

TEST(BadPlace, ARecipeThatWasLeftHalfWrittenIsNoHindrance) {
  const Workplace work;
  work.write("run/recipe.yaml.tmp.123", "kind:");
  work.run(work.recipe(), "run");
  EXPECT_FALSE(fs::exists(work.path("run/recipe.yaml.tmp.123")));
  work.write("full/recipe.yaml.tmp.123", "kind:");
  work.write("full/a", "mine");
  work.refused({"run", work.recipe().string(), "--out", work.at("full")}, kUsage, {"a new or empty folder"});
}

// A run that is over but for its summary, so that resume has a look at it.
class BadRun : public ::testing::Test {
 protected:
  void SetUp() override {
    work_.run(work_.recipe(), "run");
    fs::remove(work_.path("run/summary.json"));
  }
  void for_each_checkpoint(const std::function<void(const fs::path&)>& change) const {
    for (const auto& entry : fs::directory_iterator(work_.path("run/checkpoints"))) change(entry.path());
  }
  // resume, which looks at the newest checkpoint, and what looks at the best one.
  void all_refuse(const std::vector<std::string>& words) const {
    work_.refused({"export", run_, "--format", "dense", "--out", work_.at("export")}, kFailed, words);
    work_.refused({"eval", run_}, kFailed, words);
    work_.refused({"generate", run_}, kFailed, words);
  }

  Workplace work_;
  std::string run_ = work_.at("run");
};

TEST_F(BadRun, CheckpointsOfAnotherModel) {
  ModelConfig config = testing::tiny_config();
  config.hidden_size = 64;
  const Workplace other(config);
  other.run(other.recipe(), "run");
  for_each_checkpoint([](const fs::path& file) { fs::remove(file); });
  fs::copy(other.path("run/checkpoints"), work_.path("run/checkpoints"));
  const std::vector<std::string> words = {"/run/checkpoints/",
                                          "embed_tokens.weight: expected shape [258, 32], got [258, 64]",
                                          "(is it a checkpoint of another model?)"};
  work_.refused({"resume", run_}, kFailed, words);
  all_refuse(words);
}

TEST_F(BadRun, CheckpointsOfALaterVersion) {
  for_each_checkpoint([](const fs::path& file) { write_seal(file, 2); });
  const std::vector<std::string> words = {"/run/checkpoints/",
                                          "format version 1 or before, got version 2 (it needs a later qad)"};
  work_.refused({"resume", run_}, kFailed, words);
  all_refuse(words);
}

TEST_F(BadRun, DamagedCheckpoints) {
  for_each_checkpoint([](const fs::path& file) {
    std::string bytes = read_file(file, "a checkpoint");
    bytes[bytes.size() / 2] ^= 1;
    write_file_atomically(file, bytes);
  });
  all_refuse({"/run/checkpoints/best.h5: expected a whole checkpoint, got a damaged one"});
  work_.refused({"inspect", work_.at("run/checkpoints/best.h5")}, kFailed, {"best.h5: expected a whole checkpoint"});

  // A warning for each that was tried, then the refusal; the newest damaged alone is in the tests of runs.
  const auto before = testing::contents_of(work_.path("run/checkpoints"));
  const testing::Outcome outcome = Workplace::start({"resume", run_});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find("qad: " + run_ + "/checkpoints: expected a whole checkpoint, got 2 damaged"),
            std::string::npos)
      << outcome.err;
  EXPECT_EQ(testing::contents_of(work_.path("run/checkpoints")), before);
}

TEST_F(BadRun, NoCheckpoints) {
  fs::remove_all(work_.path("run/checkpoints"));
  all_refuse({"run: expected a whole checkpoint, got none"});
}

TEST_F(BadRun, RecipeMetricsAndSummary) {
  const std::string good = read_file(work_.path("run/recipe.yaml"), "a recipe");
  work_.write("run/recipe.yaml", "kind: [");
  work_.refused({"resume", run_}, kUsage, {"run/recipe.yaml:", "expected YAML"});
  work_.write("run/recipe.yaml", good);
  const std::string metrics = read_file(work_.path("run/metrics.jsonl"), "metrics");
  work_.write("run/metrics.jsonl", "{\"step\": oops}\n" + metrics);
  work_.refused({"resume", run_}, kFailed,
                {"run/metrics.jsonl:1: expected one JSON object with step and tokens, got \"{\"step\": oops}\""});
  work_.write("run/metrics.jsonl", metrics);
  work_.write("run/summary.json", "{");
  work_.refused({"resume", run_}, kFailed,
                {"run/summary.json: expected the summary of a run", "qad resume writes it anew"});
}

TEST(BadTarget, IsNoRunAndNoModel) {
  const Workplace work;
  const std::string none = work.at("none"), text = work.at("text.txt"), model = work.at("teacher");
  for (const std::string& target : {none, text, model})
    work.refused({"resume", target}, kUsage, {target + ": expected a run's folder (with recipe.yaml)"});
  work.refused({"export", model, "--format", "dense", "--out", work.at("out")}, kUsage, {"expected a run's folder"});
  work.refused({"export", model, "--format", "gguff", "--out", work.at("out")}, kUsage, {"expected one of modelopt,"});
  work.refused({"eval", model}, kUsage,
               {"expected a text to evaluate on, got none (add --data FILE, or --problems N)"});
  work.refused({"eval", none, "--data", text}, kUsage,
               {none + ": expected a run's or a model's folder, got nothing there"});
  work.write("bare/config.json", read_file(work.path("teacher/config.json"), ""));
  fs::copy(work.path("teacher/model.safetensors"), work.path("bare/model.safetensors"));
  work.refused({"eval", work.at("bare"), "--data", text}, kFailed,
               {"data.eval: expected a tokenizer, got none in " + work.at("bare") + " (set data.tokenizer)"});
  work.refused({"eval", model, "--data", none}, kUsage, {none + ": expected a text, got No such file"});
  work.refused({"inspect", none}, kUsage, {none + ": expected a file or folder, got nothing there"});
  work.refused({"inspect", text}, kUsage, {text + ": expected a .h5, .safetensors, .gguf or .yaml file"});
  work.refused({"plan", none}, kUsage, {none + ": expected a recipe"});
}

TEST(BadPrompt, IsNamed) {
  const Workplace work;
  const std::string model = work.at("teacher");
  work.refused({"generate", work.at("none")}, kUsage, {"expected a run's or a model's folder, got nothing there"});
  work.refused({"generate", work.at("text.txt")}, kUsage,
               {"text.txt: expected a run's or a model's folder, got a file"});
  work.refused({"generate", model, "--prompt", "caf\xe9"}, kUsage, {"--prompt: expected UTF-8 text"});
  work.refused({"generate", model, "--prompt", std::string(600, 'a')}, kUsage,
               {"--prompt: expected fewer tokens than the model's context of 512, got 601 (shorten it)"});
  work.refused({"generate", model, "--temperature", "-1"}, kUsage,
               {"--temperature: expected a number that is not negative"});
  work.refused({"generate", model, "--top-p", "2"}, kUsage, {"--top-p: expected a number above 0, at most 1, got 2"});
  work.refused({"generate", model, "--checkpoint", "first"}, kUsage,
               {"--checkpoint: expected best | last, got \"first\""});
}

}  // namespace
}  // namespace qad
