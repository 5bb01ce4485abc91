// Text as people have it, through the recipe: several files, compressed ones, mixtures, what is said once for all; and
// what is told of held-out text that is none.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qad/run/materials.h"
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;
using testing::Workplace;

class DataSources : public ::testing::Test {
 protected:
  Materials load(const std::vector<std::string>& overrides) {
    const RunFolder folder{work_.path("materials")};
    fs::create_directories(folder.path);
    return load_materials(load_recipe(work_.recipe(), overrides), folder);
  }
  std::string fingerprint_of(const std::string& train) { return fingerprint(*load({"data.train=" + train}).train); }
  // stderr of `qad eval` of the teacher on this file.
  std::string told(const std::string& file, const testing::Arguments& more = {}) {
    testing::Arguments arguments = {"eval", work_.teacher().string(), "--data", file, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = Workplace::start(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.err;
  }
  void compress(const std::string& name, const std::string& command) {
    ASSERT_EQ(std::system((command + " '" + work_.at(name) + "'").c_str()), 0);
  }

  Workplace work_;
};

std::string story(int i) { return "Story number " + std::to_string(i) + " of a hare, an oak and a key.\n"; }

TEST_F(DataSources, FilesPatternsAndCompressedFilesAreTheSameText) {
  std::string whole;
  for (int i = 0; i < 6; ++i) {
    work_.write("parts/" + std::to_string(i) + ".txt", story(i));
    whole += story(i) + "===";
  }
  const std::string all =
      fingerprint_of("{text: " + work_.write("whole.txt", whole) + ", separator: \"===\", trim: false}");
  const std::string parts = work_.at("parts/");
  EXPECT_EQ(fingerprint_of("{text: \"" + parts + "*.txt\", separator: \"\"}"), all);
  EXPECT_EQ(fingerprint_of("{text: [\"" + parts + "[0-2].txt\", " + parts + "3.txt, \"" + parts +
                           "[45]*\"], separator: \"\"}"),
            all);
  EXPECT_NE(fingerprint_of("{text: [\"" + parts + "[3-5].txt\", \"" + parts + "[0-2].txt\"], separator: \"\"}"), all);
  if (std::system("gzip --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no gzip";
  compress("parts/1.txt", "gzip");
  compress("parts/4.txt", "gzip -9");
  EXPECT_EQ(fingerprint_of("{text: \"" + parts + "*.txt*\", separator: \"\"}"), all);
}

TEST_F(DataSources, WhatIsSaidOnceHoldsForEverySourceThatSaysNothing) {
  const std::string text = work_.at("text.txt");
  const auto documents = [&](const std::vector<std::string>& more) {
    std::vector<std::string> overrides = {"data.train={text: " + text + ", separator: null}",
                                          "data.eval={text: " + text + ", separator: null}"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    const Materials materials = load(overrides);
    std::int64_t held_out = 0;
    for (const TokenBatch& batch : materials.evaluation) held_out = batch.document.back() + 1;
    return std::pair(materials.train->documents().count(), held_out);
  };
  EXPECT_EQ(documents({}), std::pair(std::int64_t{1}, std::int64_t{1}));
  EXPECT_EQ(documents({"data.separator=\"---\""}), std::pair(std::int64_t{120}, std::int64_t{120}));
  EXPECT_EQ(documents({"data.separator=\"---\"", "data.eval.separator=\"\""}),
            std::pair(std::int64_t{120}, std::int64_t{1}));
  const auto said = [&](const std::string& key, const std::string& place) {
    return fingerprint(*load({"data." + place + key, "data.eval.separator=\"---\""}).train);
  };
  for (const char* key : {"eos=true", "bos=false", "trim=false"}) {
    EXPECT_EQ(said(key, ""), said(key, "train.")) << key;
    EXPECT_NE(said(key, ""), said("eos=false", "")) << key;
  }
}

TEST_F(DataSources, AMixtureIsTrainedOnAndResumes) {
  const std::string chats = work_.write("chats.jsonl",
                                        "{\"prompt\": \"A fox?\", \"completion\": \"An oak.\", \"score\": "
                                        "NaN}\n{\"prompt\": \"Why\", \"completion\": \" not\"}\n");
  const std::string mixture =
      "data.train={text: null, separator: null, mixture: [{weight: 3, text: " + work_.at("text.txt") +
      ", separator: \"---\"}, {weight: 1, jsonl: " + chats +
      ", loss_on: assistant}, {weight: 1, teacher_text: {documents: 2, max_tokens: 8}}]}";
  const PackedSequences train = *load({mixture}).train;
  ASSERT_EQ(train.parts().size(), 3u);
  EXPECT_EQ(train.documents().count(), 124);
  ASSERT_EQ(train.documents().parts.size(), 3u);
  EXPECT_EQ(train.documents().parts[1].end, 122);
  EXPECT_EQ(train.documents().parts[1].source, "data.train.mixture[1]: " + chats);
  EXPECT_TRUE(fs::exists(work_.path("materials/teacher_text_train_2.h5")));
  EXPECT_EQ(train.parts()[0].in_epoch, train.parts()[0].end);
  EXPECT_GT(train.parts()[1].in_epoch, 50);  // a small source comes again
  const TokenBatch chat = train.batch(train.parts()[1].begin, train.parts()[1].end);
  const std::string ids(chat.ids.begin() + 1, chat.ids.begin() + 14);
  EXPECT_EQ(ids, "A fox?An oak.");
  for (std::size_t i = 0; i < 13; ++i) EXPECT_EQ(chat.labels[i] != kNoLabel, i >= 6) << i;

  work_.run(work_.recipe(), "whole", {mixture, "train.steps=6", "checkpoint.every=2"});
  work_.run(work_.recipe(), "micro", {mixture, "train.steps=6", "train.micro_batch_size=1"});
  const auto last = [&](const char* run) {
    const std::string text = read_file(work_.path(run) / "metrics.jsonl", "metrics");
    nlohmann::json line, all = nlohmann::json::array();
    std::istringstream lines(text);
    for (std::string one; std::getline(lines, one);)
      if (line = nlohmann::json::parse(one); line.contains("loss")) all.push_back(line.at("loss"));
    return all;
  };
  ASSERT_EQ(last("whole").size(), 6u);
  for (std::size_t i = 0; i < 6; ++i)
    EXPECT_NEAR(last("whole")[i].get<double>(), last("micro")[i].get<double>(), 1e-6) << i;
  const Outcome plan = Workplace::start({"plan", (work_.path("whole") / "recipe.yaml").string()});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_NE(plan.out.find("at most 124 documents"), std::string::npos) << plan.out;
}

TEST_F(DataSources, EvalReadsWhatNamesSay) {
  work_.write("a.jsonl", "{\"text\": \"a b c\"}\n{\"text\": \"d e\"}\n");
  const auto figures = [&](const std::string& file) {
    const Outcome outcome = Workplace::start({"eval", work_.teacher().string(), "--data", file, "--json"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out;
  };
  const std::string plain = figures(work_.at("a.jsonl"));
  work_.write("b.ndjson", "{\"text\": \"a b c\"}\n");
  work_.write("c.ndjson", "{\"text\": \"d e\"}\n");
  EXPECT_EQ(figures(work_.at("[bc].ndjson")), plain);
  if (std::system("gzip --version > /dev/null 2>&1") == 0) {
    compress("a.jsonl", "gzip");
    EXPECT_EQ(figures(work_.at("a.jsonl.gz")), plain);
  }
  work_.refused({"eval", work_.teacher().string(), "--data", work_.write("t.csv", "text\na\n")}, ExitCode::failed,
                {"t.csv: expected JSON lines", "a table of comma-separated values (python3"});
}

TEST_F(DataSources, TellsOfOneDocumentAndOfTrainingText) {
  const std::string text = work_.at("text.txt");
  EXPECT_NE(told(text).find("is one document, so held-out figures have no standard error"), std::string::npos);
  EXPECT_EQ(told(text, {"--separator", "---"}), "");

  const auto warnings = [&](std::vector<std::string> overrides) {
    overrides.push_back("data.eval.text=" + text);
    testing::Arguments arguments = Workplace::run_arguments(work_.recipe(), work_.at("out"), overrides);
    const Outcome outcome = Workplace::start(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    fs::remove_all(work_.path("out"));
    return outcome.err;
  };
  EXPECT_NE(warnings({}).find("is the training text itself, all 120 documents of it"), std::string::npos);
  EXPECT_NE(warnings({"data.train.skip_documents=30"}).find("90 of 120 documents (75 %) are in data.train too"),
            std::string::npos);
  EXPECT_EQ(warnings({"data.train.skip_documents=30", "data.eval.tokens=1000"}), "");
}

}  // namespace
}  // namespace qad
