// What eval and export take from where: teachers, text that the teacher wrote, a student's own config, and calibration.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "data/files/safetensors.h"
#include "qad/run/materials.h"
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;
using testing::Workplace;

nlohmann::json evaluate(const testing::Arguments& arguments) {
  const Outcome outcome = Workplace::start(arguments);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return nlohmann::json::parse(outcome.out, nullptr, false);
}

void save_other_model(const fs::path& folder, std::int64_t hidden_size) {
  ModelConfig config = testing::tiny_config();
  config.hidden_size = hidden_size;
  save_model(folder, *initialize_model(config, 7), DType::bf16);
}

TEST(Eval, AnotherTeacherIsOnlyTheReference) {
  const Workplace work;
  work.run(work.recipe(), "run");
  save_other_model(work.path("other"), 64);  // and without a tokenizer
  const auto own = evaluate({"eval", work.at("run"), "--json"});
  const auto other = evaluate({"eval", work.at("run"), "--json", "--teacher", work.at("other")});
  EXPECT_EQ(own["cross_entropy"], other["cross_entropy"]);
  EXPECT_NE(own["kl_mean"], other["kl_mean"]);
}

// What `qad eval` says of the exported bytes is what the run says of its student, to the last bit, in both numbers.
TEST(Eval, OfAnExportWithProductsInBf16) {
  const Workplace work;
  work.run(work.recipe("export: [modelopt]\n"), "run",
           {"teacher.compute=bf16", "train.forward=bf16", "train.backward=bf16"});
  const auto of_run = evaluate({"eval", work.at("run"), "--json"});
  testing::Arguments of_bytes = {
      "eval",   work.at("run/export/modelopt"), "--json",      "--teacher", work.at("teacher"),
      "--data", work.at("held_out.txt"),        "--separator", "---",       "--sequence-length",
      "64"};
  EXPECT_NE(evaluate(of_bytes)["kl_mean"], of_run["kl_mean"]);
  of_bytes.insert(of_bytes.end(), {"--compute", "bf16"});
  const auto figures = evaluate(of_bytes);
  for (const char* name : {"kl_mean", "kl_p99", "cross_entropy", "top1_agreement"})
    EXPECT_EQ(figures[name], of_run[name]) << name;
}

TEST(Eval, WithAnotherHead) {
  const Workplace work;
  work.run(work.recipe(), "run");
  const auto with = [&](const char* head) {
    return evaluate({"eval", work.at("run"), "--json", "--head", head})["kl_mean"].get<double>();
  };
  const double as_it_is = evaluate({"eval", work.at("run"), "--json"})["kl_mean"];
  EXPECT_EQ(with("bf16"), as_it_is);
  EXPECT_NE(with("fp8"), as_it_is);
  EXPECT_GT(with("nvfp4"), as_it_is);
}

TEST(Eval, WritesLogitsThatGiveItsOwnCrossEntropy) {
  const Workplace work;
  work.run(work.recipe(), "run");
  const auto figures = evaluate({"eval", work.at("run"), "--json", "--logits", work.at("logits.safetensors")});
  const SafetensorsFile file(work.path("logits.safetensors"));
  const Tensor ids = file.tensor("ids"), begins = file.tensor("begins"), logits = file.tensor("logits");
  ASSERT_EQ(logits.rows(), ids.size());
  ASSERT_EQ(begins.data<std::int64_t>()[begins.size() - 1], ids.size());
  double sum = 0;
  std::int64_t count = 0;
  for (std::int64_t d = 0; d + 1 < begins.size(); ++d)
    for (std::int64_t t = begins.data<std::int64_t>()[d]; t + 1 < begins.data<std::int64_t>()[d + 1]; ++t, ++count) {
      const float* row = logits.data() + t * logits.cols();
      double exponentials = 0;
      for (std::int64_t v = 0; v < logits.cols(); ++v) exponentials += std::exp(static_cast<double>(row[v]));
      sum += std::log(exponentials) - static_cast<double>(row[ids.data<std::int32_t>()[t + 1]]);
    }
  EXPECT_NEAR(sum / static_cast<double>(count), figures["cross_entropy"].get<double>(), 1e-5);
}

TEST(Eval, ReadsWhatTheTeacherWrote) {
  const Workplace work;
  const std::string recipe = work.recipe("arms: [{name: a, kind: ptq}]\n").string();
  const std::string source = "data.eval={text: null, teacher_text: {documents: 8, max_tokens: 32}}";
  const Outcome outcome = Workplace::start({"compare", recipe, "kind=compare", source, "--out", work.at("out")});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto before = testing::contents_of(work.path("out"));
  EXPECT_TRUE(before.contains(work.at("out/teacher_text_eval.h5")));
  evaluate({"eval", work.at("out/arms/a"), "--json"});
  evaluate({"eval", work.at("out/arms/a/"), "--json"});
  EXPECT_EQ(testing::contents_of(work.path("out")), before) << "the teacher wrote again";
}

TEST(Run, WarnsOfSequencesBeyondTheContext) {
  const Workplace work;
  const auto warning = [&](const std::string& length, const std::string& out) {
    const Outcome outcome = Workplace::start(
        Workplace::run_arguments(work.recipe(), work.at(out), {"kind=ptq", "data.sequence_length=" + length}));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const std::string log = read_file(work.path(out) / "log.txt", "");
    const std::string line = "data.sequence_length " + length + " is above the model's max_position_embeddings 512";
    EXPECT_EQ(log.find(line), log.rfind(line)) << log;
    return log.find(line) != std::string::npos;
  };
  EXPECT_FALSE(warning("512", "within"));
  EXPECT_TRUE(warning("513", "beyond"));
}

TEST(TeacherText, PromptsAreLabelsUnlessMasked) {
  const Workplace work;
  const std::string prompts = work.write("prompts.txt", "A fox\nAn oak\n");
  const auto masks = [&](const std::string& folder, const std::string& more) {
    const Recipe recipe = load_recipe(work.recipe(), {"data.train={text: null, teacher_text: {prompts: " + prompts +
                                                      ", documents: 4, max_tokens: 16" + more + "}}"});
    const RunFolder out{work.path(folder)};
    fs::create_directories(out.path);
    const Documents written = load_materials(recipe, out).train->documents();
    const Documents cached = load_materials(recipe, out).train->documents();
    EXPECT_EQ(written.ids, cached.ids);
    EXPECT_EQ(written.mask, cached.mask);
    return std::pair(cached.ids, cached.mask);
  };
  const auto [ids, all] = masks("all", "");
  EXPECT_TRUE(all.empty());
  const auto [same_ids, mask] = masks("masked", ", mask_prompts: true");
  EXPECT_EQ(same_ids, ids);
  ASSERT_EQ(mask.size(), ids.size());
  const std::vector<std::uint8_t> prompt_and_rest{0, 0, 0, 0, 0, 0, 1};  // the start token, then five bytes
  EXPECT_TRUE(std::equal(prompt_and_rest.begin(), prompt_and_rest.end(), mask.begin()));
  EXPECT_EQ(std::count(mask.begin(), mask.end(), 0), 2 * (6 + 7));
}

TEST(TeacherText, QuestionsOfProblemsArePrompts) {
  const Workplace work;
  const auto load = [&](const std::string& folder, const std::string& more) {
    const Recipe recipe =
        load_recipe(work.recipe(), {"data.train={text: null, teacher_text: {problems: {documents: 3}, documents: 4, "
                                    "max_tokens: 120" +
                                    more + "}}"});
    const RunFolder out{work.path(folder)};
    fs::create_directories(out.path);
    return load_materials(recipe, out).train->documents();
  };
  const Documents written = load("all", "");
  ASSERT_EQ(written.count(), 4);
  for (std::int64_t i = 0; i < 4; ++i) {
    const std::string text(written[i].begin() + 1, written[i].end());  // byte tokens after the start token
    EXPECT_TRUE(
        text.starts_with(make_problem(static_cast<ProblemFamily>(i % 3), ProblemSplit::train, 1, i % 3).prompt));
  }
  try {  // a teacher that never learned to answer
    static_cast<void>(load("right", ", right_only: true"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("at least one document"), std::string::npos) << error.what();
  }
}

TEST(Export, AStudentOfItsOwnKeepsItsConfig) {
  const Workplace work;
  save_other_model(work.path("start"), 64);
  work.run(work.recipe(), "run", {"student.model=" + work.at("start"), "export=[dense]"});
  const fs::path out = work.path("run/export/dense");
  EXPECT_EQ(nlohmann::json::parse(read_file(out / "config.json", ""))["hidden_size"], 64);
  EXPECT_EQ(read_file(out / "generation_config.json", ""), read_file(work.path("start/generation_config.json"), ""));
}

TEST(Export, CarriesTheHeadroomOfInputScales) {
  const Workplace work;
  const auto input_scale = [&](const std::string& headroom) {
    work.run(work.recipe(), headroom,
             {"kind=ptq", "quantize.tensor_scale={round: none, headroom: " + headroom + "}", "export=[modelopt]"});
    const SafetensorsFile file(work.path(headroom + "/export/modelopt/model.safetensors"));
    return file.tensor("model.layers.0.mlp.down_proj.input_scale").item();
  };
  EXPECT_FLOAT_EQ(input_scale("4"), 4 * input_scale("1"));
}

TEST(Export, CalibratesOnceForAllFormats) {
  const Workplace work;
  work.run(work.recipe(), "run", {"quantize.tensor_scale.from=data", "export=[dense, modelopt]"});
  const std::string log = read_file(work.path("run/log.txt"), "");
  const std::string line = "calibrates the scales of the export";
  const auto first = log.find(line);
  ASSERT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find(line, first + 1), std::string::npos) << log;
}

TEST(Calibration, SeesTheSameTextInBatchesOfAnySize) {
  const Workplace work;
  const auto ids = [&](const std::string& batch_size) {
    const Recipe recipe = load_recipe(work.recipe(), {"evaluate.batch_size=" + batch_size, "calibrate.tokens=300"});
    std::vector<std::int32_t> all;
    for (const TokenBatch& batch : load_materials(recipe, {work.path("run")}).calibration)
      all.insert(all.end(), batch.ids.begin(), batch.ids.end());
    return all;
  };
  EXPECT_EQ(ids("1"), ids("7"));
}

}  // namespace
}  // namespace qad
