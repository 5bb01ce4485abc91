// Readers that this project did not write: Python's safetensors with numpy and ml_dtypes to decode, and PyPI's gguf;
// and the rules of engines that need a GPU.
#include <gtest/gtest.h>

#include "qad/layouts/registry.h"
#include "qad/layouts/write_export.h"
#include "tests/layouts/expert_student.h"
#include "tests/support/paths.h"
#include "tests/support/python.h"

namespace qad {
namespace {

using testing::Outcome;

Outcome run_script(const std::string& script, const testing::Arguments& folders) {
  testing::Arguments arguments = folders;
  arguments.insert(arguments.begin(), script);
  return testing::run_python(arguments);
}

TEST(Numpy, DecodesPackedExportsToTheDenseTwin) {
  QAD_REQUIRE_PYTHON("ml_dtypes, numpy, safetensors");
  const testing::TemporaryFolder folder;
  testing::TinyStudent student(testing::small_config(false), testing::quantize_blocks("nvfp4", "nvfp4"));
  const ExportModel model = student.exported();
  write_export(folder / "modelopt", exporter("modelopt"), model, {}, 4000);  // in shards
  for (const char* layout : {"compressed_tensors", "dense"}) write_export(folder / layout, exporter(layout), model, {});
  for (const char* packed : {"modelopt", "compressed_tensors"}) {
    const Outcome outcome = run_script("tests/clients/decode_with_numpy.py", {folder / packed, folder / "dense"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    // Embedding, head, last norm; in each layer two norms and seven matrices.
    EXPECT_NE(outcome.out.find("21 tensors agree, 14 of them from codes"), std::string::npos) << outcome.out;
  }
}

TEST(Numpy, DecodesIntegersAndNf4ToTheDenseTwin) {
  QAD_REQUIRE_PYTHON("ml_dtypes, numpy, safetensors");
  ModelConfig config = testing::small_config(false);
  config.hidden_size = config.intermediate_size = 128;
  for (const auto& [format, layout] : {std::pair{"int4_g128", "compressed_tensors"},
                                       std::pair{"int8", "compressed_tensors"}, std::pair{"nf4_g64", "bitsandbytes"}}) {
    const testing::TemporaryFolder folder;
    testing::TinyStudent student(config, testing::quantize_blocks(format, "none"));
    for (const char* name : {layout, "dense"}) write_export(folder / name, exporter(name), student.exported(), {});
    const Outcome outcome = run_script("tests/clients/decode_with_numpy.py", {folder / layout, folder / "dense"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("21 tensors agree, 14 of them from codes"), std::string::npos) << format << outcome.out;
  }
}

TEST(GgufPackage, ReadsExportsAsTheDenseTwin) {
  QAD_REQUIRE_PYTHON("gguf, numpy, safetensors");
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
    const Outcome outcome = run_script("tests/clients/compare_gguf.py", {folder / "gguf", folder / "dense"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_NE(outcome.out.find(test.expected), std::string::npos) << outcome.out;
  }
}

TEST(GgufPackage, ReadsStackedExpertsAsTheDenseTwin) {
  QAD_REQUIRE_PYTHON("gguf, numpy, safetensors");
  for (const ModelConfig& config : {testing::qwen3_moe_config(), testing::mixtral_config()}) {
    const testing::TemporaryFolder folder;
    testing::TinyStudent student(config, testing::quantize_blocks("nvfp4", "nvfp4"));
    for (const char* layout : {"gguf", "dense"})
      write_export(folder / layout, exporter(layout), student.exported(), {});
    const Outcome outcome = run_script("tests/clients/compare_gguf.py", {folder / "gguf", folder / "dense"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("44 of them in NVFP4"), std::string::npos) << outcome.out;
  }
}

// vLLM, SGLang and TensorRT-LLM need a GPU: scripts/check_engine_rules.py restates what their loaders ask for.
TEST(EngineRules, AreKeptByExports) {
  QAD_REQUIRE_PYTHON("json");
  const testing::TemporaryFolder folder;
  testing::Arguments folders;
  for (const bool tied : {true, false}) {
    for (const char* inputs : {"nvfp4", "none"}) {
      testing::TinyStudent student(testing::small_config(tied), testing::quantize_blocks("nvfp4", inputs));
      for (const char* layout : {"modelopt", "compressed_tensors"}) {
        folders.push_back(folder / (std::string(layout) + inputs + (tied ? "-tied" : "")));
        write_export(folders.back(), exporter(layout), student.exported(), {});
      }
    }
  }
  ModelConfig config = testing::small_config();
  config.hidden_size = config.intermediate_size = 128;
  for (const char* format : {"int4_g128", "int8"}) {
    testing::TinyStudent student(config, testing::quantize_blocks(format, "none"));
    folders.push_back(folder / format);
    write_export(folders.back(), exporter("compressed_tensors"), student.exported(), {});
  }
  for (const ModelConfig& experts :
       {testing::qwen3_moe_config(), testing::mixtral_config(), testing::deepseek_v3_config()}) {
    testing::TinyStudent student(experts, testing::quantize_blocks("nvfp4", "nvfp4"));
    for (const char* layout : {"modelopt", "compressed_tensors"}) {
      folders.push_back(folder / (experts.model_type + layout));
      write_export(folders.back(), exporter(layout), student.exported(), {});
    }
  }
  const Outcome outcome = run_script("scripts/check_engine_rules.py", folders);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out;
  EXPECT_NE(outcome.out.find("of 16 exports, 0 broken"), std::string::npos) << outcome.out;
}

}  // namespace
}  // namespace qad
