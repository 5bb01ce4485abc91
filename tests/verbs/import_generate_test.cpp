// Import of a llama2.c model, and text as the program prints it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "qad/verbs/generate.h"
#include "qad/verbs/import.h"
#include "qad/verbs/run.h"
#include "qad/verbs/text_stream.h"
#include "tests/support/error_of.h"
#include "tests/support/process.h"
#include "tests/verbs/tiny_run.h"

namespace qad {
namespace {

using testing::error_of;
using testing::shared_data;

TEST(Import, Llama2cThenGreedyText) {
  QAD_REQUIRE_SHARED_DATA();
  const auto data = shared_data() / "tinyllamas-stories260k";
  const auto expected = nlohmann::json::parse(read_file(data / "expected.json", "JSON"));
  const testing::TemporaryFolder folder;
  const auto out = folder / "stories260k";
  std::ostringstream told;
  const verbs::ImportOptions options{"llama2c", data / "stories260K.bin", data / "tok512.bin", out};
  EXPECT_EQ(verbs::import_model(options, told), ExitCode::done);
  EXPECT_EQ(read_file(out / "tokenizer.bin", "a tokenizer"), read_file(data / "tok512.bin", "a tokenizer"));
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_EQ(entry.path(), out) << "nothing else stays";

  verbs::GenerateOptions generate;
  generate.target = out;
  generate.max_tokens = static_cast<std::int64_t>(expected["greedy_from_bos"].size()) - 1;
  std::ostringstream text;
  EXPECT_EQ(verbs::generate(generate, text), ExitCode::done);
  EXPECT_EQ(text.str(), expected["greedy_text"].get<std::string>() + "\n");

  EXPECT_NE(error_of([&] { verbs::import_model(options, told); }).find("new or empty folder"), std::string::npos);
}

TEST(Import, WhatIsNoModelLeavesNothing) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "model.bin", std::string(100, '\1'));
  write_file_atomically(folder / "tok.bin", std::string(100, '\1'));
  std::ostringstream told;
  const auto act = [&](const std::string& format) {
    return error_of([&] {
      verbs::import_model({format, folder / "model.bin", folder / "tok.bin", folder / "out"}, told);
    });
  };
  EXPECT_NE(act("llama2c").find("model.bin"), std::string::npos);
  EXPECT_NE(act("gguf").find("llama2c"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

// An export's model.gguf says as much as its folder, and both say what the student does.
TEST(Generate, TakesTheFileOfAnExportAsWell) {
  ModelConfig config = testing::tiny_config();
  config.hidden_size = 64;  // GGUF's blocks
  config.intermediate_size = 128;
  const testing::TinyRun work(config);
  std::ostringstream print;
  verbs::RunOptions run;
  run.recipe = work.recipe("export: [modelopt, gguf]\n");
  run.out = work.path("run");
  ASSERT_EQ(verbs::run(run, print), ExitCode::done);
  log_to_file({});
  const auto text_of = [](const std::filesystem::path& target) {
    verbs::GenerateOptions options;
    options.target = target;
    options.prompt = "once";
    options.max_tokens = 12;
    std::ostringstream text;
    EXPECT_EQ(verbs::generate(options, text), ExitCode::done);
    return text.str();
  };
  const std::string text = text_of(run.out);
  EXPECT_EQ(text_of(run.out / "export/modelopt"), text);
  EXPECT_EQ(text_of(run.out / "export/gguf"), text);
  EXPECT_EQ(text_of(run.out / "export/gguf/model.gguf"), text);
  EXPECT_NE(error_of([&] { text_of(run.out / "export/gguf/other.gguf"); }).find("other.gguf"), std::string::npos);
}

TEST(Generate, PromptSeedAndLength) {
  const testing::TinyRun run;
  verbs::GenerateOptions options;
  options.target = run.teacher();
  options.prompt = "A fox";
  options.max_tokens = 12;
  options.temperature = 1.0;
  const auto text = [&] {
    std::ostringstream out;
    EXPECT_EQ(verbs::generate(options, out), ExitCode::done);
    return out.str();
  };
  const std::string first = text();
  EXPECT_TRUE(first.starts_with("A fox")) << first;
  EXPECT_EQ(first, text());
  options.seed = 2;
  EXPECT_NE(first, text());
  options.max_tokens = 0;
  EXPECT_EQ(text(), "A fox\n");
  options.prompt.assign(600, 'x');
  EXPECT_NE(error_of([&] { static_cast<void>(text()); }).find("context of 512"), std::string::npos);
}

TEST(Generate, AChatIsLaidOutByTheModelsTemplate) {
  ModelConfig loud = testing::tiny_config();
  loud.initializer_range = 0.5;  // what it reads matters
  const testing::TinyRun run(loud);
  verbs::GenerateOptions options;
  options.target = run.teacher();
  options.max_tokens = 12;
  const auto text = [&] {
    std::ostringstream out;
    EXPECT_EQ(verbs::generate(options, out), ExitCode::done);
    return out.str();
  };
  options.prompt = "[user] A fox? [assistant]";
  const std::string laid_out_by_hand = text();
  options.prompt = "A fox?";
  options.chat = true;
  EXPECT_NE(error_of([&] { static_cast<void>(text()); }).find("a chat template"), std::string::npos);
  write_file_atomically(run.teacher() / "chat_template.jinja",
                        "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}"
                        "{% if add_generation_prompt %}[assistant]{% endif %}");
  const std::string answer = text();
  EXPECT_EQ(laid_out_by_hand, "[user] A fox? [assistant]" + answer);
  options.prompt = "A hare?";
  EXPECT_NE(text(), answer);
  for (const char* nothing : {"", "{% for m in messages if m.role == 'system' %}{{ m.content }}{% endfor %}"}) {
    write_file_atomically(run.teacher() / "chat_template.jinja", nothing);
    EXPECT_NE(error_of([&] { static_cast<void>(text()); }).find("a template that prints something"), std::string::npos);
  }
}

// Python's json writes and reads numbers that JSON has no words for, in every file of a model's folder.
TEST(Generate, ReadsFilesWithInfinityAndNaN) {
  const testing::TinyRun run;
  const auto answer = [&] {
    std::ostringstream print;
    verbs::GenerateOptions options;
    options.target = run.teacher();
    options.prompt = "A fox";
    options.max_tokens = 4;
    EXPECT_EQ(verbs::generate(options, print), ExitCode::done);
    return print.str();
  };
  const std::string before = answer();
  for (const char* name :
       {"config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json"}) {
    std::error_code ignored;
    std::string text =
        std::filesystem::exists(run.teacher() / name, ignored) ? read_file(run.teacher() / name, name) : "{}";
    const bool is_empty = text.find('"') == std::string::npos;
    text.insert(text.find('{') + 1,
                std::string(R"("of_others": [0.0, Infinity, -Infinity, NaN])") + (is_empty ? "" : ","));
    write_file_atomically(run.teacher() / name, text);
    EXPECT_EQ(answer(), before) << name;
  }
}

TEST(Generate, APromptComesFromAFileOrStandardInput) {
  const testing::TinyRun run;
  const std::string model = run.teacher().string(), file = run.path("prompt.txt").string();
  const std::string generate = std::string("'") + QAD_PROGRAM + "' generate '" + model + "' --max-tokens 0 -q ";
  const auto printed = [&](const std::string& command) {
    testing::Process shell({"-c", command}, {}, "/bin/sh");
    return shell.wait();
  };
  EXPECT_EQ(printed("printf 'A fox\\n\\nsaid\\n' | " + generate + "--prompt -").out, "A fox\n\nsaid\n");
  EXPECT_EQ(printed("printf 'A fox\\r\\n' | " + generate + "--prompt=-").out, "A fox\n");
  EXPECT_EQ(printed("printf 'A fox' | " + generate + "--prompt-file -").out, "A fox\n");
  write_file_atomically(file, "\xef\xbb\xbf{\"a\": 1}\nnext\n");
  EXPECT_EQ(printed(generate + "--prompt-file '" + file + "'").out, "{\"a\": 1}\nnext\n");
  EXPECT_EQ(printed("gzip -c '" + file + "' > '" + file + ".gz'; " + generate + "--prompt-file '" + file + ".gz'").out,
            "{\"a\": 1}\nnext\n");

  const auto refused = [&](const std::string& command, int code, const std::string& words) {
    const testing::Outcome outcome = printed(command);
    EXPECT_EQ(outcome.exit_code, code) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
  };
  refused(": | " + generate + "--prompt -", 1, "standard input: expected a prompt, got nothing");
  refused("printf '\\377' | " + generate + "--prompt -", 1, "standard input: expected UTF-8 text");
  refused(generate + "--prompt a --prompt-file '" + file + "'", 2, "--prompt-file: expected one prompt");
  refused(generate + "--prompt-file '" + file + ".none'", 2, "prompt.txt.none: expected a prompt, got No such file");
}

TEST(Generate, StopsWhenAsked) {
  const testing::TinyRun run;
  verbs::GenerateOptions options;
  options.target = run.teacher();
  std::ostringstream out;
  request_stop();
  try {
    verbs::generate(options, out);
    ADD_FAILURE() << "it went on";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::interrupted);
  }
  request_stop(false);
}

TEST(TextStream, PrintsWholeCharactersOnly) {
  const auto tokenizer = load_tokenizer("bytes");
  std::ostringstream out;
  verbs::TextStream stream(*tokenizer, out);
  stream.add({'a', 0xE2, 0x82});
  EXPECT_EQ(out.str(), "a");
  stream.add({0xAC});
  EXPECT_EQ(out.str(), "a€");
  stream.add({'b', 0xC3});
  EXPECT_EQ(out.str(), "a€b");
  stream.add({'c'});  // the broken character is certain now
  EXPECT_EQ(out.str(),
            "a€b\xEF\xBF\xBD"
            "c");
  stream.add({0xE2});
  stream.finish();
  EXPECT_TRUE(out.str().ends_with("c\xEF\xBF\xBD"));
}

}  // namespace
}  // namespace qad
