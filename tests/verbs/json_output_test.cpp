// --json: one document on standard output, with the values that the tables round.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "models/import/model_folder.h"
#include "qad/layouts/gguf.h"
#include "qad/report/summary.h"
#include "qad/verbs/inspect.h"
#include "qad/verbs/plan.h"
#include "qad/verbs/recipes.h"
#include "qad/verbs/run.h"
#include "tests/support/process.h"
#include "tests/verbs/tiny_run.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

Json planned(const verbs::PlanOptions& options) {
  std::ostringstream out;
  EXPECT_EQ(verbs::plan(options, out), ExitCode::done);
  return Json::parse(out.str());
}

Json inspected(const fs::path& file, std::string* error = nullptr) {
  std::ostringstream out;
  try {
    EXPECT_EQ(verbs::inspect({file, true}, out), ExitCode::done);
  } catch (const Error& thrown) {
    if (error == nullptr) throw;
    *error = thrown.what();
  }
  return Json::parse(out.str());
}

void expect_is_the_teacher(const Json& tensors) {
  std::int64_t values = 0;
  bool has_down = false;
  for (const Json& tensor : tensors) {
    EXPECT_EQ(tensor.at("dtype"), "BF16");
    std::int64_t size = 1;
    for (const Json& extent : tensor.at("shape")) size *= extent.get<std::int64_t>();
    EXPECT_EQ(tensor.at("bytes"), 2 * size);
    values += size;
    if (tensor.at("name") == "model.layers.2.mlp.down_proj.weight") {
      has_down = true;
      EXPECT_EQ(tensor.at("shape"), Json({32, 64}));
    }
  }
  EXPECT_TRUE(has_down);
  EXPECT_EQ(values, parameter_count(*initialize_model(testing::tiny_config(), 1)));
}

TEST(PlanJson, OfARun) {
  const testing::TinyRun run;
  const Json plan = planned({run.recipe("export: [dense, modelopt]\n"), {}, true});
  const std::int64_t parameters = parameter_count(*initialize_model(testing::tiny_config(), 1));
  EXPECT_EQ(plan.at("kind"), "qad");
  EXPECT_EQ(plan.at("teacher"), run.teacher().string());
  EXPECT_EQ(plan.at("student"), "teacher");
  EXPECT_EQ(plan.at("steps"), 3);
  EXPECT_EQ(plan.at("tokens"), 3 * plan.at("tokens_per_step").get<double>());
  EXPECT_EQ(plan.at("parameters"), parameters);
  std::int64_t parts = 0;
  for (const auto& [part, count] : plan.at("parameters_by_part").items()) parts += count.get<std::int64_t>();
  EXPECT_EQ(parts, parameters);
  EXPECT_EQ(plan.at("checkpoints").at("bytes"), 12 * parameters);
  EXPECT_EQ(plan.at("exports").at(0), (Json{{"format", "dense"}, {"bytes", 2 * parameters}}));
  EXPECT_EQ(plan.at("exports").at(1).at("format"), "modelopt");
  EXPECT_EQ(plan.at("exports").at(1).at("bytes"),
            static_cast<std::int64_t>(plan.at("bits_per_weight").get<double>() * static_cast<double>(parameters) / 8));
  EXPECT_EQ(plan.at("text").at("train_documents"), 120);
  EXPECT_FALSE(plan.at("quantizers").empty());
  std::int64_t bytes = 0;
  for (const auto& [part, count] : plan.at("memory").items()) bytes += count.get<std::int64_t>();
  EXPECT_EQ(plan.at("peak_rss_bytes"), bytes);
  EXPECT_GT(plan.at("step").at("all").at("seconds").get<double>(), 0);
  EXPECT_GT(plan.at("seconds").get<double>(), 3 * plan.at("step").at("all").at("seconds").get<double>());
}

TEST(PlanJson, OfAComparison) {
  const testing::TinyRun run;
  const Json plan = planned(
      {run.recipe(), {"kind=compare", "arms=[{name: p, kind: ptq}, {name: q, kind: qad, lr: [1e-3, 1e-4]}]"}, true});
  EXPECT_EQ(plan.at("kind"), "compare");
  ASSERT_EQ(plan.at("arms").size(), 2u);
  const Json &p = plan.at("arms").at(0), &q = plan.at("arms").at(1);
  EXPECT_EQ(p.at("name"), "p");
  EXPECT_EQ(p.at("kind"), "ptq");
  EXPECT_EQ(p.at("steps"), 0);
  EXPECT_EQ(q.at("runs"), 2);
  EXPECT_EQ(q.at("steps"), 3);
  EXPECT_EQ(plan.at("seconds").get<double>(), p.at("seconds").get<double>() + q.at("seconds").get<double>());
  EXPECT_EQ(plan.at("peak_rss_bytes"),
            std::max(p.at("peak_rss_bytes").get<std::int64_t>(), q.at("peak_rss_bytes").get<std::int64_t>()));
}

TEST(InspectJson, OfModelsAndSafetensors) {
  const testing::TinyRun run;
  const Json model = inspected(run.teacher());
  EXPECT_EQ(model.at("what"), "model");
  EXPECT_EQ(model.at("path"), run.teacher().string());
  EXPECT_EQ(model.at("config").at("vocab_size"), 258);
  EXPECT_EQ(model.at("config").at("num_hidden_layers"), 3);
  EXPECT_EQ(model.at("bits_per_weight"), 16);
  EXPECT_EQ(model.at("usable"), true);
  expect_is_the_teacher(model.at("tensors"));
  const Json file = inspected(run.teacher() / "model.safetensors");
  EXPECT_EQ(file.at("what"), "safetensors");
  expect_is_the_teacher(file.at("tensors"));
}

TEST(InspectJson, OfRunsExportsAndCheckpoints) {
  ModelConfig config = testing::tiny_config();
  config.hidden_size = 64;  // GGUF's blocks
  config.intermediate_size = 128;
  const testing::TinyRun work(config);
  const fs::path out = work.path("run");
  std::ostringstream print;
  verbs::RunOptions options;
  options.recipe = work.recipe("export: [modelopt, gguf]\n");
  options.out = out;
  ASSERT_EQ(verbs::run(options, print), ExitCode::done);
  log_to_file({});

  const Json run = inspected(out);
  EXPECT_EQ(run.at("what"), "run");
  EXPECT_EQ(run.at("kind"), "qad");
  EXPECT_EQ(run.at("steps"), 3);
  EXPECT_EQ(run.at("finished"), true);
  EXPECT_EQ(run.at("summary"), Json::parse(std::ifstream(out / "summary.json")));
  EXPECT_FALSE(run.at("checkpoints").empty());
  for (const Json& file : run.at("checkpoints")) {
    EXPECT_EQ(file.at("state"), "whole");
    EXPECT_EQ(file.at("bytes"), fs::file_size(file.at("path").get<std::string>()));
  }
  ASSERT_EQ(run.at("exports").size(), 2u);

  const Json model = inspected(out / "export/modelopt");
  EXPECT_EQ(model.at("bits_per_weight"), run.at("summary").at("bits_per_weight"));
  EXPECT_EQ(model.at("quantized_layers").size(), 3u * 7u);
  EXPECT_EQ(model.at("quantized_layers").at(0).at("weights"), "nvfp4");
  const Json gguf = inspected(out / "export/gguf" / kGgufFile);
  EXPECT_EQ(gguf.at("what"), "gguf");
  EXPECT_EQ(gguf.at("metadata").at("llama.embedding_length"), 64);
  EXPECT_EQ(gguf.at("metadata").at("tokenizer.ggml.tokens"), (Json{{"values", 258}}));

  const Json checkpoint = inspected(out / "checkpoints/best.h5");
  EXPECT_EQ(checkpoint.at("what"), "checkpoint");
  EXPECT_TRUE(checkpoint.at("numbers").is_object());
  EXPECT_NE(checkpoint.at("texts").at("recipe").get<std::string>().find("kind: qad"), std::string::npos);

  fs::resize_file(out / "checkpoints/best.h5", fs::file_size(out / "checkpoints/best.h5") - 1);
  std::string error;
  const Json damaged = inspected(out, &error);
  EXPECT_NE(error.find("best.h5"), std::string::npos) << error;
  EXPECT_EQ(damaged.at("checkpoints").back().at("state"), "damaged");
}

TEST(InspectJson, OfRecipes) {
  const testing::TinyRun run;
  const Json recipe = inspected(run.recipe("export: [dense]\n"));
  EXPECT_EQ(recipe.at("what"), "recipe");
  EXPECT_EQ(recipe.at("kind"), "qad");
  EXPECT_EQ(recipe.at("teacher"), run.teacher().string());
  EXPECT_EQ(recipe.at("steps"), 3);
  EXPECT_EQ(recipe.at("exports"), Json({"dense"}));
  EXPECT_EQ(inspected("paper/quick").at("arms").size(), 3u);
  EXPECT_TRUE(inspected("presets/nvfp4_w4a4").at("kind").is_null());
}

TEST(RecipesJson, ListsEveryRecipeWithItsKind) {
  verbs::RecipesOptions options;
  options.json = true;
  std::ostringstream json, text;
  EXPECT_EQ(verbs::recipes(options, json), ExitCode::done);
  options.json = false;
  EXPECT_EQ(verbs::recipes(options, text), ExitCode::done);
  std::string lines;
  for (const Json& one : Json::parse(json.str())) {
    const std::string name = one.at("name");
    lines += name + std::string(name.size() < 36 ? 36 - name.size() : 0, ' ') + " " +
             one.at("title").get<std::string>() + "\n";
    EXPECT_TRUE(fs::is_regular_file(one.at("file").get<std::string>())) << one;
    if (name == "stories/qad" || name == "paper/quick") {
      EXPECT_EQ(one.at("kind"), name == "stories/qad" ? "qad" : "compare");
    }
    if (name.starts_with("presets/")) {
      EXPECT_TRUE(one.at("kind").is_null()) << one;
    }
  }
  EXPECT_EQ(lines, text.str());
}

TEST(JsonOutput, IsAllThatTheProgramPrints) {
  const testing::TinyRun run;
  const std::string recipe = run.recipe().string(), text = run.path("text.txt").string();
  for (const testing::Arguments& arguments :
       {testing::Arguments{"plan", recipe, "--json", "-v"}, testing::Arguments{"inspect", recipe, "--json", "-v"},
        testing::Arguments{"recipes", "list", "--json", "-v"},
        testing::Arguments{"eval", run.teacher().string(), "--data", text, "--json", "-v"}}) {
    const testing::Outcome outcome = testing::run_program(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(Json::accept(outcome.out)) << arguments.front() << ": " << outcome.out;
    EXPECT_TRUE(outcome.out.ends_with("\n"));
  }
}

}  // namespace
}  // namespace qad
