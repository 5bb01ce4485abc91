// Readers that this project did not write: Python's safetensors with numpy to decode, and PyPI's gguf.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "qad/exporters/registry.h"
#include "qad/exporters/write_export.h"
#include "tests/exporters/tiny_student.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  int status;
  std::string output;
};

Outcome run(const std::string& command) {
  Outcome outcome{-1, ""};
  FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  std::array<char, 4096> buffer;
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
    outcome.output.append(buffer.data(), count);
  const int status = ::pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

std::string environment(const char* name, const char* fallback) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : fallback;
}

/// A script of this folder with two exported folders.
Outcome run_script(const std::string& python, const std::string& script, const fs::path& a, const fs::path& b) {
  const fs::path file = testing::source_dir() / "tests/exporters" / script;
  return run(python + " '" + file.string() + "' '" + a.string() + "' '" + b.string() + "'");
}

/// The Python that has these modules; a test without them is skipped, but in CI it fails.
#define QAD_REQUIRE_PYTHON(python, modules)                                                                   \
  const std::string python = environment("QAD_PYTHON", "python3");                                            \
  if (const Outcome found = run((python) + " -c 'import " modules "'"); found.status != 0) {                  \
    if (environment("CI", "") == "true") FAIL() << (python) << " can't import " modules ": " << found.output; \
    GTEST_SKIP() << (python) << " can't import " modules ": set QAD_PYTHON";                                  \
  }                                                                                                           \
  static_assert(true)

TEST(Numpy, DecodesPackedExportsToTheDenseTwin) {
  QAD_REQUIRE_PYTHON(python, "numpy, safetensors");
  const testing::TemporaryFolder folder;
  testing::TinyStudent student(testing::small_config(false), testing::quantize_blocks("nvfp4", "nvfp4"));
  const ExportModel model = student.exported();
  write_export(folder / "modelopt", exporter("modelopt"), model, {}, 4000);  // in shards
  for (const char* layout : {"compressed_tensors", "dense"}) write_export(folder / layout, exporter(layout), model, {});
  for (const char* packed : {"modelopt", "compressed_tensors"}) {
    const Outcome outcome = run_script(python, "decode_with_numpy.py", folder / packed, folder / "dense");
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    // Embedding, head, last norm; in each layer two norms and seven matrices.
    EXPECT_NE(outcome.output.find("21 tensors agree, 14 of them from codes"), std::string::npos) << outcome.output;
  }
}

TEST(GgufPackage, ReadsExportsAsTheDenseTwin) {
  QAD_REQUIRE_PYTHON(python, "gguf, numpy, safetensors");
  struct Case {
    const char* family;
    bool tied, norms, biases;
    const char* expected;
  };
  for (const Case& test : {Case{"llama", true, false, false, "20 tensors agree, 14 of them in NVFP4"},
                           Case{"llama", false, false, true, "29 tensors agree, 14 of them in NVFP4"},
                           Case{"qwen3", false, true, false, "25 tensors agree, 14 of them in NVFP4"}}) {
    const testing::TemporaryFolder folder;
    ModelConfig config = testing::small_config(test.tied);
    config.model_type = test.family;
    config.hidden_size = 64;
    config.intermediate_size = 192;
    config.qk_norm = test.norms;
    config.attention_bias = config.attention_output_bias = test.biases;
    testing::TinyStudent student(config, testing::quantize_blocks("nvfp4", "nvfp4"));
    for (const char* layout : {"gguf", "dense"})
      write_export(folder / layout, exporter(layout), student.exported(), {});
    const Outcome outcome = run_script(python, "compare_gguf.py", folder / "gguf", folder / "dense");
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_NE(outcome.output.find(test.expected), std::string::npos) << outcome.output;
  }
}

}  // namespace
}  // namespace qad
