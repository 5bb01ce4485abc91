// Files and folders that aren't there: exit code 2 from every verb, and the place of the key where a recipe names them.
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

using testing::Outcome;
using testing::Workplace;

class MissingPaths : public ::testing::Test {
 protected:
  // The place of the override that says it, the key, and the path.
  void expect_told(const std::string& override_text, const std::string& key, const std::string& path) {
    for (const std::string verb : {"run", "plan"}) {
      testing::Arguments arguments = {verb, work_.recipe().string(), override_text};
      if (verb == "run") arguments.insert(arguments.end(), {"--out", work_.at("out")});
      work_.refused(arguments, ExitCode::usage, {"command line: ", key + ": expected a", "got nothing there: " + path});
    }
  }

  Workplace work_;
};

TEST_F(MissingPaths, AreToldWithTheirLineAndColumnAllAtOnce) {
  const std::string recipe = work_.write("missing.yaml",
                                         "kind: qad\n"
                                         "teacher: {model: \"no/teacher\"}\n"
                                         "student:\n"
                                         "  model: no/student\n"
                                         "data:\n"
                                         "  tokenizer: no/tokenizer\n"
                                         "  train:\n"
                                         "    mixture:\n"
                                         "      - {text: no/a.txt}\n"
                                         "      - {jsonl: [\"" +
                                             work_.at("text.txt") +
                                             "\", no/b.jsonl], weight: 2}\n"
                                             "  eval: {token_file: no/c.h5}\n"
                                             "train: {steps: 1}\n");
  const std::vector<std::string> expected = {
      recipe + ":2:18: teacher.model: expected a model's folder, got nothing there: no/teacher (if it is on the hub",
      recipe + ":4:10: student.model: expected a model's folder, got nothing there: no/student",
      recipe + ":6:14: data.tokenizer: expected a file, got nothing there: no/tokenizer",
      recipe + ":9:16: data.train.mixture[0].text: expected a file, got nothing there: no/a.txt",
      recipe + ":10:",
      "data.train.mixture[1].jsonl[1]: expected a file, got nothing there: no/b.jsonl",
      recipe + ":11:22: data.eval.token_file: expected a file, got nothing there: no/c.h5"};
  for (const std::string verb : {"run", "plan"}) {
    testing::Arguments arguments = {verb, recipe};
    if (verb == "run") arguments.insert(arguments.end(), {"--out", work_.at("out")});
    const Outcome outcome = Workplace::start(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << verb;
    for (const std::string& line : expected) EXPECT_NE(outcome.err.find(line), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("6 errors"), std::string::npos) << outcome.err;
  }
  // The recipe itself is good: its files may be on another machine.
  const Outcome check = Workplace::start({"recipes", "check", recipe});
  EXPECT_EQ(check.exit_code, 0);
  EXPECT_EQ(check.out, recipe +
                           ": good, but not there yet: teacher.model no/teacher, student.model no/student, "
                           "data.train.mixture[0].text no/a.txt, data.train.mixture[1].jsonl[1] no/b.jsonl, "
                           "data.eval.token_file no/c.h5, data.tokenizer no/tokenizer\n");
}

TEST_F(MissingPaths, OfAComparisonAreToldByCheckToo) {
  const std::string recipe =
      work_.recipe("arms: [{name: a, kind: ptq}, {name: b, kind: qad, set: [student.model=no/such]}]\n").string();
  std::string text = read_file(recipe, "");
  text.replace(text.find("kind: qad"), 9, "kind: compare");
  text.replace(text.find(work_.at("text.txt")), work_.at("text.txt").size(), "no/*.txt");
  work_.write("recipe.yaml", text);
  const Outcome check = Workplace::start({"recipes", "check", recipe});
  EXPECT_EQ(check.exit_code, 0) << check.err;
  EXPECT_EQ(check.out, recipe + ": good, but not there yet: data.train.text no/*.txt, student.model no/such\n");
}

// What is there, and is another thing than it should be: told like what is missing, and with it.
TEST_F(MissingPaths, OtherThingsThanTheyShouldBe) {
  const std::string text = work_.at("text.txt"), folder = work_.at("plain");
  std::filesystem::create_directory(folder);
  const Outcome outcome = Workplace::start(Workplace::run_arguments(
      work_.recipe(), work_.at("out"),
      {"data.train.text=" + folder, "data.eval.text=no/*.txt", "teacher.model=" + text, "student.model=" + folder}));
  EXPECT_EQ(outcome.exit_code, 2);
  for (const std::string& line :
       {"teacher.model: expected a model's folder, got a file: " + text,
        "student.model: expected a model's folder (config.json and safetensors), got a folder without config.json: " +
            folder,
        "data.train.text: expected a file, got a folder: " + folder + " (" + folder + "/*.txt names files in it)",
        std::string("data.eval.text: expected files that this pattern matches, got none: no/*.txt"),
        std::string("4 errors")})
    EXPECT_NE(outcome.err.find(line), std::string::npos) << line << "\n" << outcome.err;
  const std::string recipe = work_.recipe("student: {model: " + text + "}\n").string();
  work_.refused({"recipes", "check", recipe}, ExitCode::usage,
                {recipe + ":8:18: student.model: expected a model's folder, got a file: " + text});
  work_.refused({"eval", work_.teacher().string(), "--data", folder}, ExitCode::usage,
                {folder + ": expected a text, got a folder"});
}

TEST_F(MissingPaths, ACheckpointIsNoModel) {
  work_.run(work_.recipe(), "run");
  const std::string hint = "(name the run's folder: " + work_.at("run") + ")", all = work_.at("run/checkpoints");
  const std::string best = all + "/best.h5";
  work_.run_refused({"student.model=" + best}, ExitCode::usage,
                    {"student.model: expected a model's folder, got a run's checkpoint: " + best, hint});
  work_.run_refused({"teacher.model=" + all + "/"}, ExitCode::usage,
                    {"teacher.model: expected a model's folder, got a run's checkpoints: " + all, hint});
}

TEST_F(MissingPaths, OfEveryKey) {
  expect_told("teacher.model=no/where", "teacher.model", "no/where");
  expect_told("student.model=no/where", "student.model", "no/where");
  expect_told("data.tokenizer=no/where", "data.tokenizer", "no/where");
  expect_told("data.chat_template=no/where", "data.chat_template", "no/where");
  expect_told("data.train.text=no/where", "data.train.text", "no/where");
  expect_told("data.eval={text: null, token_file: no/where}", "data.eval.token_file", "no/where");
  expect_told("data.train={text: null, teacher_text: {prompts: no/where}}", "data.train.teacher_text.prompts",
              "no/where");
  expect_told("calibrate.source={text: no/where}", "calibrate.source.text", "no/where");
  work_.run_refused({"data.train.text=no/*.txt"}, ExitCode::usage,
                    {"data.train.text: expected files that this pattern matches, got none: no/*.txt"});
}

TEST_F(MissingPaths, OfWhatIsNotReadMatterToNobody) {
  work_.run(work_.recipe(), "ptq",
            {"kind=ptq", "data.train.text=no/where", "calibrate.source={text: " + work_.at("text.txt") + "}"});
}

TEST_F(MissingPaths, OnTheCommandLine) {
  const std::string teacher = work_.teacher().string(), none = work_.at("none");
  work_.refused({"eval", teacher, "--data", none}, ExitCode::usage, {none});
  work_.refused({"eval", none, "--data", work_.at("text.txt")}, ExitCode::usage, {none});
  work_.refused({"eval", teacher, "--data", work_.at("text.txt"), "--teacher", none}, ExitCode::usage, {none});
  work_.refused({"generate", none, "--prompt", "a"}, ExitCode::usage, {none});
  work_.refused({"generate", teacher, "--prompt-file", none}, ExitCode::usage, {none});
  work_.refused({"inspect", none}, ExitCode::usage, {none});
  work_.refused({"export", none, "--format", "dense", "--out", work_.at("out")}, ExitCode::usage, {none});
  work_.refused({"resume", none}, ExitCode::usage, {none});
  work_.refused({"compare", none, "--out", work_.at("out")}, ExitCode::usage, {none});
  work_.refused({"import", "llama2c", none, "--tokenizer", none, "--out", work_.at("out")}, ExitCode::usage, {none});
}

TEST_F(MissingPaths, OnTheHubSayHowTheyAreDownloaded) {
  const std::string hint = "hf download Qwen/Qwen3-0.6B --local-dir Qwen/Qwen3-0.6B";
  for (const std::string model : {"Qwen/Qwen3-0.6B", "hf://Qwen/Qwen3-0.6B", "https://huggingface.co/Qwen/Qwen3-0.6B"})
    work_.run_refused({"teacher.model=" + model}, ExitCode::usage, {"teacher.model: ", hint});
  work_.refused({"inspect", "Qwen/Qwen3-0.6B"}, ExitCode::usage, {hint});
  work_.run_refused({"data.train.text=~/a.txt"}, ExitCode::usage, {"data.train.text: ", "write $HOME/a.txt"});
}

TEST_F(MissingPaths, OfARunThatGoesOn) {
  work_.run(work_.recipe(), "run");
  std::filesystem::remove(work_.path("text.txt"));
  work_.refused({"resume", work_.at("run"), "train.steps=5"}, ExitCode::usage,
                {work_.at("text.txt") + ": expected a text, got No such file"});
}

}  // namespace
}  // namespace qad
