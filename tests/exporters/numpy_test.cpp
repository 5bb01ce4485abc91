// A reader that this project did not write: Python's safetensors, and numpy to decode.
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

TEST(Numpy, DecodesPackedExportsToTheDenseTwin) {
  const std::string python = environment("QAD_PYTHON", "python3");
  if (const Outcome found = run(python + " -c 'import numpy, safetensors'"); found.status != 0) {
    if (environment("CI", "") == "true") FAIL() << python << " can't import safetensors: " << found.output;
    GTEST_SKIP() << python << " can't import numpy and safetensors: set QAD_PYTHON";
  }
  const testing::TemporaryFolder folder;
  testing::TinyStudent student(testing::small_config(false), testing::quantize_blocks("nvfp4", "nvfp4"));
  const ExportModel model = student.exported();
  // modelopt in shards, the others in one file.
  for (const Exporter& exporter : exporters())
    write_export(folder / exporter.name, exporter, model, {}, exporter.name == "modelopt" ? 4000 : kDefaultShardBytes);
  const std::string script = (testing::source_dir() / "tests/exporters/decode_with_numpy.py").string();
  for (const char* packed : {"modelopt", "compressed_tensors"}) {
    const Outcome outcome =
        run(python + " '" + script + "' '" + (folder / packed).string() + "' '" + (folder / "dense").string() + "'");
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    // Embedding, head, last norm; in each layer two norms and seven matrices.
    EXPECT_NE(outcome.output.find("21 tensors agree, 14 of them from codes"), std::string::npos) << outcome.output;
  }
}

}  // namespace
}  // namespace qad
