// What the files beside a model say of its text, through the verbs: models that meet share their tokens, exports take
// along what came with the teacher, generate heeds generation_config.json.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "qad/run/materials.h"
#include "qad/verbs/eval.h"
#include "qad/verbs/generate.h"
#include "tests/bad_input/refusal.h"
#include "tests/support/error_of.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;
using testing::error_of;
using testing::expect_mentions;
using testing::Outcome;
using testing::Workplace;

OrderedJson json_of(const fs::path& file) { return OrderedJson::parse(read_file(file, "test data")); }

// A model like the teacher whose tokenizer has two letters the other way round.
void save_model_with_other_tokens(const fs::path& folder) {
  save_model(folder, *initialize_model(testing::tiny_config(), 7), DType::bf16);
  load_tokenizer("bytes")->save(folder);
  OrderedJson root = json_of(folder / "tokenizer.json");
  std::swap(root["model"]["vocab"]["a"], root["model"]["vocab"]["b"]);
  write_file_atomically(folder / "tokenizer.json", root.dump());
}

class OneVocabulary : public ::testing::Test {
 protected:
  void SetUp() override { save_model_with_other_tokens(work_.path("other")); }
  void expect_refused(const std::function<void()>& action, const std::string& whose) const {
    expect_mentions(error_of(action), {whose.c_str(), "id 97 is \"", "need one vocabulary"});
  }
  [[nodiscard]] std::function<void()> materials(const testing::Arguments& overrides) const {
    return [this, overrides] {
      const Recipe recipe = load_recipe(work_.recipe(), overrides);
      fs::create_directories(work_.path("out"));
      static_cast<void>(load_materials(recipe, {work_.path("out")}));
    };
  }
  Workplace work_;
};

TEST_F(OneVocabulary, OfStudentAndTeacher) {
  expect_refused(materials({"student.model=" + work_.at("other")}),
                 work_.at("other") + ": expected the tokens of " + work_.at("teacher"));
  fs::copy_file(work_.path("teacher/tokenizer.json"), work_.path("other/tokenizer.json"),
                fs::copy_options::overwrite_existing);
  EXPECT_EQ(error_of(materials({"student.model=" + work_.at("other")})), "no error");
}

TEST_F(OneVocabulary, OfTheTokenizerThatReadsTheText) {
  expect_refused(materials({"data.tokenizer=" + work_.at("other")}),
                 work_.at("teacher") + ": expected the tokens of " + work_.at("other"));
  EXPECT_EQ(error_of(materials({"data.tokenizer=bytes"})), "no error");
}

TEST_F(OneVocabulary, OfArmsAndMergedModels) {
  const std::string arms = "arms=[{name: a, kind: qad, set: [\"student.model=" + work_.at("other") + "\"]}]";
  expect_refused(materials({"kind=compare", arms}), work_.at("other"));
  const std::string models = "merge.models=[{model: " + work_.at("teacher") + "}, {model: " + work_.at("other") + "}]";
  expect_refused(materials({"kind=merge", "teacher=null", "quantize.rules=[]", models}), work_.at("other"));
}

TEST_F(OneVocabulary, OfAModelAndWhatItIsEvaluatedAgainst) {
  verbs::EvalOptions options;
  options.target = work_.path("teacher");
  options.teacher = work_.path("other");
  options.data = work_.path("text.txt");
  std::ostringstream out;
  expect_refused([&] { static_cast<void>(verbs::eval(options, out)); }, work_.at("other"));
  std::swap(options.target, *options.teacher);
  expect_refused([&] { static_cast<void>(verbs::eval(options, out)); }, work_.at("teacher"));
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) fs::remove(work_.path("teacher") / name);
  EXPECT_EQ(verbs::eval(options, out), ExitCode::done);  // nothing to compare with
}

TEST(Export, TakesAlongWhatCameWithTheTeacher) {
  const Workplace work;
  const fs::path teacher = work.path("teacher");
  OrderedJson config = json_of(teacher / "config.json");
  config["auto_map"] = {{"AutoModelForCausalLM", "modeling_tiny.TinyForCausalLM"}};
  const std::map<std::string, std::string> files = {{"modeling_tiny.py", "class TinyForCausalLM: pass\n"},
                                                    {"chat_template.jinja", "A"},
                                                    {"additional_chat_templates/tool_use.jinja", "B"},
                                                    {"preprocessor_config.json", "{}"},
                                                    {"custom_generate/generate.py", "def generate(): pass\n"},
                                                    {"image_processor/preprocessor_config.json", "{ }"},
                                                    {"special_tokens_map.json", "{}"}};
  for (const auto& [name, text] : files) write_file_atomically(teacher / name, text);
  write_file_atomically(teacher / "config.json", config.dump());
  write_file_atomically(teacher / "README.md", "the card of the teacher");
  write_file_atomically(teacher / "draft/code.py", "");
  write_file_atomically(teacher / "draft/model.safetensors", "");
  work.run(work.recipe(), "run", {"train.steps=1", "export=[dense, modelopt, compressed_tensors]"});
  for (const char* layout : {"dense", "modelopt", "compressed_tensors"}) {
    const fs::path out = work.path("run/export") / layout;
    for (const auto& [name, text] : files) EXPECT_EQ(read_file(out / name, layout), text);
    EXPECT_EQ(json_of(out / "config.json")["auto_map"], config["auto_map"]) << layout;
    EXPECT_EQ(read_file(out / "generation_config.json", ""), read_file(teacher / "generation_config.json", ""));
    EXPECT_FALSE(fs::exists(out / "README.md"));
    EXPECT_FALSE(fs::exists(out / "draft"));
  }
  expect_mentions(read_file(work.path("run/log.txt"), ""), {"teacher/draft: holds a model or a run of its own"});
}

class GenerationSettingsOfAFolder : public ::testing::Test {
 protected:
  void say(const std::string& settings) {
    write_file_atomically(work_.path("teacher/generation_config.json"), settings);
  }
  // What the program writes, and says.
  [[nodiscard]] Outcome text(const testing::Arguments& more = {}, const std::string& prompt = "A fox") const {
    testing::Arguments arguments = {"generate", work_.at("teacher"), "--prompt", prompt, "--max-tokens", "12"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_program(arguments);
  }
  Workplace work_;
};

TEST_F(GenerationSettingsOfAFolder, SamplesAsTheModelsFolderAsksIfTheCommandLineDoesNot) {
  say(R"({"eos_token_id": 257})");
  const std::string greedy = text().out, hot = text({"--temperature", "5", "--top-k", "9"}).out;
  EXPECT_NE(greedy, hot);
  say(R"({"eos_token_id": 257, "do_sample": true, "temperature": 5.0, "top_k": 9})");
  const Outcome sampled = text();
  EXPECT_EQ(sampled.out, hot);
  expect_mentions(sampled.err, {"temperature 5, top-k 9, top-p 1"});
  EXPECT_EQ(text({"--temperature", "0"}).out, greedy);
  EXPECT_EQ(text({"--top-k", "1"}).out, greedy);
}

TEST_F(GenerationSettingsOfAFolder, TellsOfSettingsThatItDoesNotHeed) {
  say(R"({"eos_token_id": 257, "repetition_penalty": 1.3, "num_beams": 1})");
  const Outcome outcome = text();
  EXPECT_EQ(outcome.exit_code, 0);
  expect_mentions(outcome.err, {"transformers would heed repetition_penalty 1.3, which qad generate does not"});
}

TEST_F(GenerationSettingsOfAFolder, EndsWhereGenerationConfigSays) {
  say(R"({"eos_token_id": null})");
  const std::string endless = text().out;
  ASSERT_EQ(endless.size(), std::string("A fox").size() + 12 + 1);
  const auto first = std::to_string(static_cast<int>(static_cast<unsigned char>(endless[5])));
  say(R"({"eos_token_id": [300, )" + first + "]}");
  EXPECT_EQ(text().out, endless.substr(0, 6) + "\n");
}

TEST_F(GenerationSettingsOfAFolder, RefusesATokenThatTheModelLacks) {
  OrderedJson config = json_of(work_.path("teacher/tokenizer_config.json"));
  config["pad_token"] = "<pad>";
  write_file_atomically(work_.path("teacher/tokenizer_config.json"), config.dump());
  const Outcome plain = text();
  EXPECT_EQ(plain.exit_code, 0);
  expect_mentions(plain.err, {"\"<pad>\"", "id 258, beyond the model's vocabulary of 258"});
  const Outcome outcome = text({}, "A <pad>");
  expect_mentions(outcome.err, {"token ids below the model's vocabulary of 258, got 258"});
}

}  // namespace
}  // namespace qad
