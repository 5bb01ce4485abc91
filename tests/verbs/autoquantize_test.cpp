// A run that searches for number formats: what it finds, what it writes, how it is stopped, what it refuses.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "autograd/base/interrupt.h"
#include "qad/report/summary.h"
#include "qad/run/search_run.h"
#include "tests/bad_input/refusal.h"
#include "tests/support/error_of.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Arguments;
using testing::Outcome;
using testing::Workplace;

class Autoquantize : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path recipe() const {
    return work_.recipe(
        "search: {effective_bits: 6, tokens: 256, curve: [5.2]}\nexport: [modelopt, compressed_tensors]\n");
  }
  static Arguments with(Arguments more = {}) {
    more.insert(more.begin(), {"kind=autoquantize", "quantize.rules=[]"});
    return more;
  }
  [[nodiscard]] std::string bytes(const std::string& file) const { return read_file(work_.path(file), "", kAnySize); }
  // In one line.
  void refused(const Arguments& overrides, const std::vector<std::string>& words) const {
    Arguments all = with({"search.curve=[]", "export=[]"});
    all.insert(all.end(), overrides.begin(), overrides.end());
    work_.refused(Workplace::run_arguments(recipe(), work_.at("out"), all), ExitCode::usage, words);
  }

  Workplace work_;
};

TEST_F(Autoquantize, WhatItFindsIsARecipeThatPtqTakes) {
  work_.run(recipe(), "found", with());
  const RunSummary found = read_summary(work_.path("found/summary.json"));
  ASSERT_EQ(found.search_curve.size(), 2u);
  EXPECT_LE(found.search_curve[0].bits, 6);
  EXPECT_LE(found.search_curve[1].bits, 5.2);
  EXPECT_EQ(found.search_curve[0].kl, found.eval.kl_mean);
  ASSERT_EQ(found.searched.size(), 12u);
  std::set<std::string> chosen;
  for (const SearchGroupSummary& group : found.searched) chosen.insert(group.chosen);
  EXPECT_GT(chosen.size(), 1u) << "six bits are a mixture";
  EXPECT_NE(bytes("found/report.html").find("Bits and formats"), std::string::npos);
  EXPECT_NE(bytes("found/export/modelopt/hf_quant_config.json").find("MIXED_PRECISION"), std::string::npos);

  work_.write("ptq.yaml", "imports: [recipe, found/quantize]\nkind: ptq\nsearch: null\n");
  work_.run(work_.path("ptq.yaml"), "ptq");
  const RunSummary ptq = read_summary(work_.path("ptq/summary.json"));
  EXPECT_EQ(ptq.eval.kl_mean, found.eval.kl_mean);
  EXPECT_EQ(ptq.bits_per_weight, found.bits_per_weight);
  for (const char* file : {"export/modelopt/model.safetensors", "export/modelopt/hf_quant_config.json",
                           "export/compressed_tensors/config.json"})
    EXPECT_EQ(bytes(std::string("ptq/") + file), bytes(std::string("found/") + file)) << file;

  work_.run(recipe(), "less", with({"search.effective_bits=5.2", "search.curve=[]", "export=[]"}));
  EXPECT_EQ(read_summary(work_.path("less/summary.json")).eval.kl_mean, found.search_curve[1].kl);

  // Without what it found it is no run of the rules that it was given.
  const std::string rules = bytes("found/quantize.yaml");
  fs::remove(work_.path("found/quantize.yaml"));
  for (const Arguments& verb : {Arguments{"eval", work_.at("found")}, Arguments{"generate", work_.at("found")},
                                Arguments{"export", work_.at("found"), "--format", "dense", "--out", work_.at("e")}})
    work_.refused(verb, ExitCode::failed, {"quantize.yaml", "what the run's search found", "qad resume"});
  for (const Arguments& more : {Arguments{}, Arguments{"report.tensorboard=true"}}) {
    Arguments resume = {"resume", work_.at("found")};
    resume.insert(resume.end(), more.begin(), more.end());
    fs::remove(work_.path("found/quantize.yaml"));
    fs::remove_all(work_.path("found/export/modelopt"));
    const Outcome back = Workplace::start(resume);
    EXPECT_EQ(back.exit_code, 0) << back.err;
    EXPECT_EQ(bytes("found/quantize.yaml"), rules);
    EXPECT_EQ(bytes("found/export/modelopt/model.safetensors"), bytes("ptq/export/modelopt/model.safetensors"));
  }

  // Other verbs take the run as it is.
  EXPECT_EQ(Workplace::start({"eval", work_.at("found")}).exit_code, 0);
  const auto on_less_text = [&](const char* run) {
    return Workplace::start({"eval", work_.at(run), "data.eval.tokens=300", "--json"}).out;
  };
  const auto kl = [](const std::string& json) { return nlohmann::json::parse(json)["kl_mean"].dump(); };
  EXPECT_EQ(kl(on_less_text("found")), kl(on_less_text("ptq")));
  fs::remove_all(work_.path("found/export/modelopt"));
  const Outcome again = Workplace::start({"resume", work_.at("found")});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(bytes("found/export/modelopt/model.safetensors"), bytes("ptq/export/modelopt/model.safetensors"));
  const Outcome changed = Workplace::start({"resume", work_.at("found"), "export=[dense]"});
  EXPECT_EQ(changed.exit_code, 0) << changed.err;
  const RunSummary dense = read_summary(work_.path("found/summary.json"));
  EXPECT_EQ(dense.eval.kl_mean, found.eval.kl_mean);
  EXPECT_EQ(dense.searched.size(), 12u);
  EXPECT_TRUE(fs::exists(work_.path("found/export/dense")));
}

TEST_F(Autoquantize, OneFormatIsThePlainExport) {
  work_.run(recipe(), "found",
            with({"search.candidates=[{weights: nvfp4, inputs: nvfp4}]", "search.curve=[]", "search.score=gradient"}));
  work_.write("ptq.yaml", "imports: [recipe]\nkind: ptq\nsearch: null\n");
  work_.run(work_.path("ptq.yaml"), "ptq");
  for (const char* file : {"export/modelopt/model.safetensors", "export/modelopt/hf_quant_config.json",
                           "export/compressed_tensors/config.json"})
    EXPECT_EQ(bytes(std::string("ptq/") + file), bytes(std::string("found/") + file)) << file;
}

TEST_F(Autoquantize, GoesOnWhereItWasStopped) {
  for (const char* score : {"kl", "gradient"}) {
    SCOPED_TRACE(score);
    const Recipe recipe =
        load_recipe(this->recipe(), with({std::string("search.score=") + score, "data.eval.tokens=500"}));
    const RunFolder whole = create_run_folder(work_.path(std::string("whole-") + score), recipe);
    const Materials materials = load_materials(recipe, whole);
    std::int64_t polls = 0;
    {
      const StopQuestion count([&] { return ++polls < 0; });
      (void)search_formats(recipe, materials, whole);
    }
    const std::string expected = read_file(whole.quantize(), "");
    EXPECT_NE(expected.find("weights: nvfp4"), std::string::npos) << expected;
    const RunFolder parts = create_run_folder(work_.path(std::string("parts-") + score), recipe);
    for (int stop = 1; stop <= 5; ++stop) {
      std::int64_t until = polls * stop / 6;
      const StopQuestion question([&] { return --until < 0; });
      if (fs::exists(parts.quantize())) break;
      try {
        (void)search_formats(recipe, materials, parts);
      } catch (const Stopped&) {
        EXPECT_TRUE(fs::exists(parts.search()));
        EXPECT_FALSE(fs::exists(parts.quantize()));
      }
    }
    const Recipe found = search_formats(recipe, materials, parts);
    EXPECT_EQ(read_file(parts.quantize(), ""), expected);
    EXPECT_EQ(recipe_text(read_recipe(parts)), recipe_text(found));
    EXPECT_EQ(recipe_text(read_given_recipe(parts)), recipe_text(recipe));
  }
}

TEST_F(Autoquantize, CandidatesMayHaveScalesThatOutputsChoose) {
  const Arguments same = {"search.candidates=[{weights: nvfp4, inputs: nvfp4}]", "search.curve=[5.2]",
                          "export=[modelopt]", "calibrate.algorithm=local_hessian"};
  work_.run(recipe(), "found", with(same));
  work_.write("ptq.yaml",
              "imports: [recipe]\nkind: ptq\nsearch: null\nexport: [modelopt]\n"
              "calibrate: {algorithm: local_hessian}\n");
  work_.run(work_.path("ptq.yaml"), "ptq");
  const RunSummary found = read_summary(work_.path("found/summary.json"));
  ASSERT_EQ(found.search_curve.size(), 2u);
  EXPECT_EQ(found.search_curve[1].kl, found.eval.kl_mean);  // one candidate: any budget has its scales
  const char* const file = "/export/modelopt/model.safetensors";
  EXPECT_EQ(bytes(std::string("ptq") + file), bytes(std::string("found") + file));
}

TEST_F(Autoquantize, RefusesBudgetsThatCantBe) {
  refused({"search.effective_bits=4.4"}, {"search.effective_bits", "at least 4.5", "got 4.4"});
  refused({"search.effective_bits=16.5"}, {"search.effective_bits", "at most 16", "16.5"});
  refused({"search.effective_bits=0"}, {"search.effective_bits", "above 0"});
  refused({"search.curve=[5, 4]"}, {"search.curve[1]", "at least 4.5", "got 4"});
  refused({"search.curve=[17]"}, {"search.curve[0]", "at most 16"});
  refused({"quantize.rules=[{layers: '*.self_attn.*'}]", "search.effective_bits=5"},
          {"search.effective_bits", "at least", "got 5"});
}

TEST_F(Autoquantize, RefusesWhatItCantSearch) {
  refused({"search=null"}, {"search", "kind: autoquantize needs search"});
  refused({"kind=ptq"}, {"search", "kind: autoquantize has it"});
  refused({"search.candidates=[]"}, {"search.candidates", "at least one"});
  refused({"search.candidates=[{weights: nvpf4}]"}, {"search.candidates[0].weights", "nvpf4", "nvfp4"});
  refused({"search.candidates=[{inputs: fp8}]"}, {"search.candidates[0].inputs", "weights"});
  refused({"search.candidates=[{weights: fp8, algorithm: mse}]", "search.effective_bits=9"},
          {"search.candidates[0].algorithm"});
  for (const char* algorithm : {"gptq", "awq", "smoothquant"})
    refused({std::string("search.candidates=[{weights: nvfp4, algorithm: ") + algorithm + "}]"},
            {"search.candidates[0].algorithm", "one that leaves weights as they are", algorithm});
  refused({"quantize.rules=[{layers: '*'}]"}, {"quantize.rules", "layers that no rule matches"});
  refused({"kind=compare", "arms=[{name: a, kind: autoquantize}]", "search=null"}, {"arms[0].kind"});
  const auto refuses_layers = [&](const std::string& change, const char* word) {
    const Outcome outcome = Workplace::start(Workplace::run_arguments(recipe(), work_.at("out"), with({change})));
    EXPECT_EQ(outcome.exit_code, 2);
    testing::expect_mentions(outcome.err, {word});
    EXPECT_FALSE(fs::exists(work_.path("out")));
  };
  refuses_layers("quantize.rules=[{layers: '*.q_proj'}]", "engines fuse them");
  refuses_layers("export=[gguf]", "gguf has no place for these");  // of FP8
}

TEST_F(Autoquantize, IsPlanned) {
  const Outcome outcome = Workplace::start({"plan", recipe().string(), "kind=autoquantize", "quantize.rules=[]"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("12 groups of layers, 24 scores on 256 tokens, 1 further budgets"), std::string::npos)
      << outcome.out;
}

}  // namespace
}  // namespace qad
