// The whole way on weights that none of us made: the 656K story model calibrated, exported, read back and run; and real
// NVFP4 bytes of two other containers through our readers.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "models/families/hf_config.h"
#include "qad/layouts/read_export.h"
#include "qad/layouts/registry.h"
#include "qad/layouts/write_export.h"
#include "tests/layouts/tiny_student.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

// Any ids will do: it is the bits that must agree.
TokenBatch story_batch() {
  TokenBatch batch;
  for (std::int32_t t = 0; t < 64; ++t) {
    batch.ids.push_back(t == 0 ? 1 : (t * 131 + 40) % 2048);
    batch.positions.push_back(t);
    batch.labels.push_back(kNoLabel);
    batch.valid.push_back(1);
  }
  batch.segments = {{0, 64}};
  batch.document = {0};
  return batch;
}

std::vector<float> logits(LanguageModel& model) {
  const NoGradScope no_grad;
  const Tensor result = logits_of(model, model.hidden_states(story_batch()).value());
  return {result.span().begin(), result.span().end()};
}

TEST(StoryModel, PtqExportRunsAsTheStudentDoes) {
  QAD_REQUIRE_SHARED_DATA();
  const fs::path teacher_folder = testing::shared_data() / "tinystories-656k-hf";
  const auto teacher = load_model(teacher_folder, WeightType::bf16);
  const auto student = trainable_copy(*teacher);
  QuantizeConfig quantize = testing::quantize_blocks("nvfp4", "nvfp4");
  quantize.kv_cache = "fp8";
  QuantizerSet quantizers = attach_quantizers(*student, quantize);
  calibrate(*student, quantizers, {story_batch()}, {TensorScaleSource::calibration});
  const ExportModel model = export_model_of(*student, quantizers, teacher_folder);
  const std::vector<float> of_student = logits(*student);
  EXPECT_NE(of_student, logits(*teacher));

  const testing::TemporaryFolder folder;
  const BlockFormat* const nvfp4 = &block_format("nvfp4");
  for (const Exporter& exporter : exporters()) {
    if (!exporter.holds({nvfp4, nvfp4})) continue;
    SCOPED_TRACE(exporter.name);
    const fs::path out = folder / exporter.name;
    write_export(out, exporter, model, {teacher_folder});
    for (const char* name : {"generation_config.json", "tokenizer.json", "tokenizer_config.json"})
      EXPECT_EQ(read_file(out / name, "a file"), read_file(teacher_folder / name, "a file"));
    const auto config = nlohmann::json::parse(read_file(out / "config.json", "a file"));
    EXPECT_EQ(config["torch_dtype"], "bfloat16");
    EXPECT_EQ(config["transformers_version"], "4.41.2");
    if (exporter.stores_codes) EXPECT_EQ(logits(*make_exported_model(read_export(out))), of_student);
    else EXPECT_NO_THROW(static_cast<void>(load_model(out, WeightType::file)));
  }
}

Tensor read_tensor(const fs::path& file, const Shape& shape, DType dtype) {
  const std::string bytes = read_file(file, "golden bytes");
  const Tensor tensor(shape, dtype);
  EXPECT_EQ(bytes.size(), tensor.bytes());
  std::memcpy(tensor.raw(), bytes.data(), std::min(bytes.size(), tensor.bytes()));
  return tensor;
}

TEST(InteropGolden, BytesOfAnotherProgramDecodeToItsWeights) {
  QAD_REQUIRE_SHARED_DATA();
  const fs::path golden = testing::shared_data() / "nvfp4-interop-golden";
  const Tensor codes = read_tensor(golden / "weight_packed.bin", {1, 256}, DType::u8);
  const Tensor scales = read_tensor(golden / "weight_scale.bin", {1, 32}, DType::u8);
  const Tensor expected = read_tensor(golden / "dequant_f32.bin", {1, 512}, DType::f32);
  const Tensor multiplier = Tensor::full(Shape(), std::bit_cast<float>(0x391e4cadu));
  const Tensor divisor = Tensor::full(Shape{1}, 1.0f / multiplier.item());
  const std::map<std::string, std::string> config = {{"config.json", "{}"}};
  const ExportModel modelopt = exporter("modelopt")
                                   .unpack({{{"p.weight", "U8", codes},
                                             {"p.weight_scale", "F8_E4M3", scales},
                                             {"p.weight_scale_2", "F32", multiplier}},
                                            config});
  const Tensor values = dequantized(*modelopt.linears.at(0).weight);
  EXPECT_EQ(std::memcmp(values.raw(), expected.raw(), expected.bytes()), 0);

  // The reciprocal of a reciprocal may be one unit in the last place off, and so may the weights.
  const std::map<std::string, std::string> groups = {{"config.json", R"({"quantization_config": {"config_groups": {
      "group_0": {"targets": ["re:.*p$"], "weights": {"num_bits": 4, "type": "float", "strategy": "tensor_group",
                                                      "group_size": 16}, "input_activations": null}}}})"}};
  const ExportModel compressed = exporter("compressed_tensors")
                                     .unpack({{{"p.weight_packed", "U8", codes},
                                               {"p.weight_scale", "F8_E4M3", scales},
                                               {"p.weight_global_scale", "F32", divisor}},
                                              groups});
  const Tensor close = dequantized(*compressed.linears.at(0).weight);
  for (std::size_t i = 0; i < 512; ++i) EXPECT_FLOAT_EQ(close.span()[i], expected.span()[i]);
}

}  // namespace
}  // namespace qad
