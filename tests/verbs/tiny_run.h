// A tiny teacher with a byte tokenizer, some text, and recipes over them, for the tests of verbs.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <initializer_list>
#include <string>

#include "autograd/base/atomic_file.h"
#include "data/tokenizer/tokenizer.h"
#include "models/import/model_folder.h"
#include "tests/support/paths.h"
#include "tests/support/small_model.h"

namespace qad::testing {

inline void expect_has(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in\n" << text;
}

inline ModelConfig tiny_config() {
  ModelConfig config = small_config_of_bytes();
  config.intermediate_size = 64;
  config.num_hidden_layers = 3;
  return config;
}

/// For plans, which draw lines through numbers of layers.
inline ModelConfig six_layers() {
  ModelConfig config = tiny_config();
  config.hidden_size = 64;
  config.intermediate_size = 192;
  config.num_hidden_layers = 6;
  return config;
}

/// Rows of 64, so that every layout can hold them; a head of its own.
inline ModelConfig wide_config() {
  ModelConfig config = tiny_config();
  config.hidden_size = 128;
  config.intermediate_size = 256;
  config.tie_word_embeddings = false;
  return config;
}

/// A folder with `teacher/`, `text.txt`, `held_out.txt` and whatever recipes a test writes.
class TinyRun {
 public:
  explicit TinyRun(const ModelConfig& config = tiny_config()) {
    const auto model = initialize_model(config, 1);
    save_model(teacher(), *model, DType::bf16);
    load_tokenizer("bytes")->save(teacher());
    write_file_atomically(folder_ / "text.txt", stories("Story"));
    write_file_atomically(folder_ / "held_out.txt", stories("Sequel"));
  }

  [[nodiscard]] std::filesystem::path path(const std::string& name) const { return folder_ / name; }
  [[nodiscard]] std::filesystem::path teacher() const { return folder_ / "teacher"; }
  /// A QAD recipe of a few steps, with `more` lines at its end.
  [[nodiscard]] std::filesystem::path recipe(const std::string& more = "") const {
    const auto source = [&](const char* file) { return "{text: \"" + path(file).string() + "\", separator: \"---\"}"; };
    write_file_atomically(path("recipe.yaml"), "kind: qad\nteacher: {model: \"" + teacher().string() +
                                                   "\"}\ndata: {train: " + source("text.txt") +
                                                   ", eval: " + source("held_out.txt") +
                                                   ", sequence_length: 64}\n"
                                                   "quantize: {rules: [{layers: \"*\", weights: nvfp4, inputs: nvfp4},"
                                                   " {layers: lm_head}]}\n"
                                                   "calibrate: {tokens: 512}\n"
                                                   "train: {steps: 3, batch_size: 4}\nevaluate: {every: 0}\n" +
                                                   more);
    return path("recipe.yaml");
  }

 private:
  static std::string stories(const std::string& name) {
    std::string text;
    for (int i = 0; i < 120; ++i)
      text += name + " " + std::to_string(i) + ": a fox found " + std::string(static_cast<std::size_t>(i % 17), 'x') +
              " keys under the old oak tree.\n---\n";
    return text;
  }

  TemporaryFolder folder_;
};

}  // namespace qad::testing
