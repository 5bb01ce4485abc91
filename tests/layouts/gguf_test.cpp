// GGUF byte for byte: blocks against bytes of another program and over all codes, names and sizes as llama.cpp asks for
// them, the order of q and k, and what is refused. Readers that are not ours are in tests/clients.
#include "qad/layouts/gguf.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "autograd/base/atomic_file.h"
#include "qad/layouts/gguf_blocks.h"
#include "qad/layouts/registry.h"
#include "qad/layouts/write_export.h"
#include "tests/layouts/tiny_student.h"
#include "tests/support/bytes.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::quantize_blocks;
using testing::TemporaryFolder;
using testing::TinyStudent;

ModelConfig config_of(const std::string& family, bool tied = true) {
  ModelConfig config = testing::small_config(tied);
  config.model_type = family;
  config.hidden_size = 64;
  config.intermediate_size = 128;
  config.num_hidden_layers = 1;
  config.qk_norm = family == "qwen3";
  config.attention_bias = family == "qwen2";
  return config;
}

Tensor stored_bytes(const std::string& bytes, const Shape& shape) {
  const Tensor tensor(shape, DType::u8);
  EXPECT_EQ(bytes.size(), tensor.bytes());
  std::memcpy(tensor.raw(), bytes.data(), std::min(bytes.size(), tensor.bytes()));
  return tensor;
}

TEST(GgufBlocks, AreThoseOfAnotherProgram) {
  QAD_REQUIRE_SHARED_DATA();
  const fs::path golden = testing::shared_data() / "nvfp4-interop-golden";
  const auto read = [&](const char* name) { return read_file(golden / name, "golden bytes"); };
  const QuantizedTensor weight{&block_format("nvfp4"),
                               1,
                               512,
                               stored_bytes(read("weight_packed.bin"), {1, 256}),
                               stored_bytes(read("weight_scale.bin"), {1, 32}),
                               1.0f};
  const Tensor blocks = pack_gguf_blocks(weight);
  EXPECT_EQ(testing::bytes_of(blocks), read("gguf_type40.bin"));
  const QuantizedTensor again = unpack_gguf_blocks("NVFP4", blocks, 1.0f, "p");
  EXPECT_EQ(testing::bytes_of(again.codes), testing::bytes_of(weight.codes));
  EXPECT_EQ(testing::bytes_of(again.scales), testing::bytes_of(weight.scales));
}

// What llama.cpp's table and exponents say of a byte.
float value_of(std::uint32_t code) {
  constexpr float kValues[] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  return (code & 8u) != 0 ? -kValues[code & 7u] : kValues[code & 7u];
}
float nvfp4_scale(std::uint8_t byte) {
  const int exponent = byte >> 3, mantissa = byte & 7;
  return exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                       : std::ldexp(1.0f + static_cast<float>(mantissa) / 8.0f, exponent - 7);
}

TEST(GgufBlocks, EveryCodeUnderEveryScaleStandsWhereLlamaCppLooks) {
  constexpr std::int64_t kRows = 126, kCols = 128;  // scales 0x01 to 0x7e in turn
  auto weight = QuantizedTensor::allocate(block_format("nvfp4"), kRows, kCols, 1.0f);
  for (std::size_t i = 0; i < weight.codes.bytes(); ++i)
    weight.codes.span<std::uint8_t>()[i] = static_cast<std::uint8_t>(i * 37 + i / 256);
  for (std::size_t i = 0; i < weight.scales.bytes(); ++i)
    weight.scales.span<std::uint8_t>()[i] = static_cast<std::uint8_t>(1 + i % 126);
  const Tensor blocks = pack_gguf_blocks(weight), values = dequantized(weight);
  ASSERT_EQ(blocks.shape(), (Shape{kRows, 72}));
  for (std::int64_t row = 0; row < kRows; ++row)
    for (std::int64_t col = 0; col < kCols; ++col) {
      const std::uint8_t* const block = blocks.data<std::uint8_t>() + row * 72 + col / 64 * 36;
      const std::int64_t group = col % 64 / 16, j = col % 16;
      const std::uint32_t code = (block[4 + 8 * group + j % 8] >> (j / 8 * 4)) & 15u;
      ASSERT_EQ(values.data()[row * kCols + col], value_of(code) * nvfp4_scale(block[group])) << row << ", " << col;
    }
  EXPECT_EQ(testing::bytes_of(unpack_gguf_blocks("NVFP4", blocks, 1.0f, "p").codes), testing::bytes_of(weight.codes));
}

TEST(GgufBlocks, Mxfp4) {
  auto weight = QuantizedTensor::allocate(block_format("mxfp4"), 3, 64, 1.0f);
  for (std::size_t i = 0; i < weight.codes.bytes(); ++i)
    weight.codes.span<std::uint8_t>()[i] = static_cast<std::uint8_t>(i * 37);
  for (std::size_t i = 0; i < weight.scales.bytes(); ++i)
    weight.scales.span<std::uint8_t>()[i] = static_cast<std::uint8_t>(120 + i);
  const Tensor blocks = pack_gguf_blocks(weight), values = dequantized(weight);
  ASSERT_EQ(blocks.shape(), (Shape{3, 34}));
  for (std::int64_t row = 0; row < 3; ++row)
    for (std::int64_t col = 0; col < 64; ++col) {
      const std::uint8_t* const block = blocks.data<std::uint8_t>() + row * 34 + col / 32 * 17;
      const std::int64_t j = col % 32;
      const std::uint32_t code = (block[1 + j % 16] >> (j / 16 * 4)) & 15u;
      ASSERT_EQ(values.data()[row * 64 + col], std::ldexp(value_of(code), block[0] - 127)) << row << ", " << col;
    }
}

std::vector<std::string> listing(const ExportFiles& files) {
  std::vector<std::string> lines;
  for (const FileTensor& tensor : files.tensors)
    lines.push_back(tensor.name + " " + tensor.dtype + " " + tensor.data.shape().text());
  return lines;
}
const Tensor& data_of(const ExportFiles& files, const std::string& name) {
  for (const FileTensor& tensor : files.tensors)
    if (tensor.name == name) return tensor.data;
  throw std::out_of_range(name);
}

TEST(Gguf, NamesTypesAndShapesOfATiedLlama) {
  TinyStudent student(config_of("llama"), quantize_blocks("nvfp4", "nvfp4"));
  const ExportFiles files = exporter("gguf").pack(student.exported());
  std::vector<std::string> expected = {"token_embd.weight BF16 [64, 64]", "blk.0.attn_norm.weight F32 [64]",
                                       "blk.0.ffn_norm.weight F32 [64]"};
  struct Matrix {
    std::string name;
    int rows, cols;
  };
  for (const auto& [name, rows, cols] :
       {Matrix{"attn_q", 64, 64}, Matrix{"attn_k", 32, 64}, Matrix{"attn_v", 32, 64}, Matrix{"attn_output", 64, 64},
        Matrix{"ffn_gate", 128, 64}, Matrix{"ffn_up", 128, 64}, Matrix{"ffn_down", 64, 128}}) {
    const std::string blocks = "[" + std::to_string(rows) + ", " + std::to_string(cols / 64 * 36) + "]";
    for (const std::string& line :
         {".weight NVFP4 " + blocks, std::string(".scale F32 [1]"), std::string(".input_scale F32 [1]")})
      expected.push_back("blk.0." + name + line);
  }
  expected.push_back("output_norm.weight F32 [64]");
  EXPECT_EQ(listing(files), expected);

  const auto number = [&](const char* key) { return *find_metadata<std::uint32_t>(files.metadata, key); };
  EXPECT_EQ(*find_metadata<std::string>(files.metadata, "general.architecture"), "llama");
  EXPECT_EQ(number("general.file_type"), 39u);
  EXPECT_EQ(number("general.quantization_version"), 2u);
  EXPECT_EQ(number("llama.block_count"), 1u);
  EXPECT_EQ(number("llama.context_length"), 512u);
  EXPECT_EQ(number("llama.embedding_length"), 64u);
  EXPECT_EQ(number("llama.feed_forward_length"), 128u);
  EXPECT_EQ(number("llama.attention.head_count"), 4u);
  EXPECT_EQ(number("llama.attention.head_count_kv"), 2u);
  EXPECT_EQ(number("llama.attention.key_length"), 16u);
  EXPECT_EQ(number("llama.attention.value_length"), 16u);
  EXPECT_EQ(number("llama.rope.dimension_count"), 16u);
  EXPECT_EQ(number("llama.vocab_size"), 64u);
  EXPECT_EQ(*find_metadata<float>(files.metadata, "llama.attention.layer_norm_rms_epsilon"), 1e-6f);
  EXPECT_EQ(*find_metadata<float>(files.metadata, "llama.rope.freq_base"), 10000.0f);
  EXPECT_EQ(*find_metadata<std::string>(files.metadata, "tokenizer.ggml.model"), "no_vocab");
  EXPECT_EQ(files.texts.size(), 1u);
}

TEST(Gguf, FamiliesAndHeads) {
  TinyStudent mistral(config_of("mistral", false), quantize_blocks("nvfp4", "none"));
  const ExportFiles files = exporter("gguf").pack(mistral.exported());
  EXPECT_EQ(*find_metadata<std::string>(files.metadata, "general.architecture"), "llama");
  EXPECT_EQ(listing(files).back(), "output.weight BF16 [64, 64]");
  QuantizeConfig with_head = quantize_blocks("nvfp4", "none");
  with_head.rules.pop_back();
  TinyStudent qwen3(config_of("qwen3", false), with_head);
  const ExportFiles more = exporter("gguf").pack(qwen3.exported());
  EXPECT_EQ(*find_metadata<std::string>(more.metadata, "general.architecture"), "qwen3");
  EXPECT_EQ(listing(more).back(), "output.scale F32 [1]");
  EXPECT_EQ(data_of(more, "blk.0.attn_q_norm.weight").shape(), Shape{16});
}

// Rows of q in heads of 16: llama.cpp's llama has rows i and i + 8 of the hub's order as neighbours.
TEST(Gguf, RowsOfQAndKTurnAsNeighboursInLlamaOnly) {
  for (const char* family : {"llama", "qwen2"}) {
    ModelConfig config = config_of(family);
    config.attention_bias = true;
    config.attention_output_bias = config.model_type == "llama";
    QuantizeConfig attention = quantize_blocks("nvfp4", "none");
    attention.rules.push_back({"*mlp*", "none", "none"});
    TinyStudent student(config, attention);
    const ExportModel model = student.exported();
    const ExportFiles files = exporter("gguf").pack(model);
    const bool neighbours = config.model_type == "llama";
    for (const auto& [module, name] :
         {std::pair{"q_proj", "attn_q"}, std::pair{"k_proj", "attn_k"}, std::pair{"v_proj", "attn_v"}}) {
      Tensor bias;
      for (const NamedTensor& tensor : model.dense)
        if (tensor.name == std::string("model.layers.0.self_attn.") + module + ".bias")
          bias = as_stored(as_stored(tensor.value, DType::bf16), DType::f32);
      const auto linear =
          std::ranges::find(model.linears, std::string("model.layers.0.self_attn.") + module, &ExportLinear::name);
      const Tensor rows = pack_gguf_blocks(*linear->weight);
      const Tensor& stored = data_of(files, "blk.0." + std::string(name) + ".weight");
      const Tensor& stored_bias = data_of(files, "blk.0." + std::string(name) + ".bias");
      const bool turned = neighbours && module != std::string("v_proj");
      for (std::int64_t row = 0; row < rows.rows(); ++row) {
        const std::int64_t in_head = row % 16;
        const std::int64_t to = turned ? row - in_head + in_head % 8 * 2 + in_head / 8 : row;
        EXPECT_EQ(testing::bytes_of(stored.slice(to, to + 1)), testing::bytes_of(rows.slice(row, row + 1)))
            << name << " " << row;
        EXPECT_EQ(stored_bias.data()[to], bias.data()[row]);
      }
    }
  }
}

TEST(Gguf, StretchedFrequenciesAreATensor) {
  ModelConfig config = config_of("llama");
  config.rope_scaling.rope_type = RopeScalingKind::llama3;
  config.rope_scaling.original_max_position_embeddings = 64;
  TinyStudent student(config, quantize_blocks("nvfp4", "none"));
  const Tensor factors = data_of(exporter("gguf").pack(student.exported()), "rope_freqs.weight");
  ASSERT_EQ(factors.shape(), Shape{8});
  for (int i = 0; i < 8; ++i) {  // as llama.cpp's converter has it
    const double wavelength = 2 * M_PI * std::pow(10000.0, i / 8.0);
    const double smooth = (64 / wavelength - 1.0) / (4.0 - 1.0);
    const double expected = wavelength < 64 / 4.0   ? 1.0
                            : wavelength > 64 / 1.0 ? 8.0
                                                    : 1.0 / ((1 - smooth) / 8.0 + smooth);
    EXPECT_FLOAT_EQ(factors.data()[i], static_cast<float>(expected)) << i;
  }
  const TemporaryFolder folder;
  EXPECT_NO_THROW(write_export(folder / "out", exporter("gguf"), student.exported(), {}));
}

TEST(Gguf, OtherRulesAreMetadataThatLlamaCppReads) {
  ModelConfig config = config_of("qwen3");
  const auto metadata = [&] {
    TinyStudent student(config, quantize_blocks("nvfp4", "none"));
    const ExportFiles files = exporter("gguf").pack(student.exported());
    EXPECT_TRUE(std::ranges::none_of(files.tensors, [](const auto& t) { return t.name == "rope_freqs.weight"; }));
    return files.metadata;
  };
  const auto number = [](const GgufMetadata& of, const char* key) {
    const float* const value = find_metadata<float>(of, std::string("qwen3.rope.scaling.") + key);
    return value != nullptr ? *value : -1.0f;
  };
  config.rope_scaling.rope_type = RopeScalingKind::linear;
  config.rope_scaling.factor = 2.5;
  const GgufMetadata linear = metadata();
  EXPECT_EQ(*find_metadata<std::string>(linear, "qwen3.rope.scaling.type"), "linear");
  EXPECT_EQ(number(linear, "factor"), 2.5f);
  EXPECT_EQ(find_metadata<std::uint32_t>(linear, "qwen3.rope.scaling.original_context_length"), nullptr);

  config.rope_scaling.rope_type = RopeScalingKind::yarn;
  config.rope_scaling.original_max_position_embeddings = 64;
  const GgufMetadata yarn = metadata();
  EXPECT_EQ(*find_metadata<std::string>(yarn, "qwen3.rope.scaling.type"), "yarn");
  EXPECT_EQ(*find_metadata<std::uint32_t>(yarn, "qwen3.rope.scaling.original_context_length"), 64U);
  EXPECT_EQ(number(yarn, "attn_factor"), -1.0f);
  config.rope_scaling.attention_factor = 0.75;
  const GgufMetadata changed = metadata();
  EXPECT_FLOAT_EQ(number(changed, "attn_factor"), static_cast<float>(0.75 / (0.1 * std::log(2.5) + 1)));
  const TemporaryFolder folder;
  TinyStudent student(config, quantize_blocks("nvfp4", "none"));
  EXPECT_NO_THROW(write_export(folder / "out", exporter("gguf"), student.exported(), {}));
}

std::string gguf_refusal(const ModelConfig& config, const QuantizeConfig& quantize) {
  TinyStudent student(config, quantize);
  return testing::error_of([&] { static_cast<void>(exporter("gguf").pack(student.exported())); });
}

TEST(GgufRefusals, NameTensorNumberAndKey) {
  using testing::expect_mentions;
  const QuantizeConfig nvfp4 = quantize_blocks("nvfp4", "nvfp4");
  ModelConfig config = config_of("llama");
  config.intermediate_size = 96;
  expect_mentions(gguf_refusal(config, nvfp4),
                  {"gguf: *.down_proj: expected an inner dimension that is a multiple "
                   "of 64, the width of GGUF's blocks, got 96 (exclude by a last rule {layers: "
                   "\"*.down_proj\""});
  expect_mentions(gguf_refusal(config_of("llama"), quantize_blocks("fp8", "fp8")),
                  {"(7 layers): expected nvfp4 weights", "fp8"});
  expect_mentions(gguf_refusal(config_of("llama"), quantize_blocks("mxfp4", "mxfp4")), {"mxfp4 inputs"});
  expect_mentions(gguf_refusal(config_of("llama"), quantize_blocks("none", "none")), {"a quantized layer"});
  config = config_of("nemotron-nas");
  config.intermediate_size = 256;
  expect_mentions(gguf_refusal(config, nvfp4),
                  {"config.json: model_type: expected ", ", llama, ", ", got nemotron-nas (qad has no names"});
  config = config_of("mistral");
  config.sliding_window = 100;
  expect_mentions(gguf_refusal(config, nvfp4), {"config.json: sliding_window", "100"});
  config.sliding_window = 512;  // the whole context
  EXPECT_EQ(gguf_refusal(config, nvfp4), "no error");
  config = config_of("qwen3");
  config.attention_bias = config.attention_output_bias = true;
  expect_mentions(gguf_refusal(config, nvfp4), {"config.json: attention_bias"});
  config = config_of("qwen2");
  expect_mentions(gguf_refusal(config, nvfp4),
                  {"*.gate_proj, *.up_proj, *.down_proj (3 layers): expected no nvfp4 in the mlp of "
                   "qwen2"});
  config.rope_scaling.rope_type = RopeScalingKind::llama3;
  expect_mentions(gguf_refusal(config, nvfp4), {"config.json: rope_scaling"});
  config = config_of("llama");
  config.rope_scaling.rope_type = RopeScalingKind::dynamic;
  expect_mentions(gguf_refusal(config, nvfp4),
                  {"config.json: rope_scaling: expected linear, yarn, llama3 or none, got dynamic"});
  config.rope_scaling.rope_type = RopeScalingKind::yarn;
  config.rope_scaling.truncate = false;
  expect_mentions(gguf_refusal(config, nvfp4), {"config.json: rope_scaling: expected truncate true for yarn"});
  config.rope_scaling.beta_slow = 0.5;
  expect_mentions(gguf_refusal(config, nvfp4), {"rope_scaling: expected beta_fast 32 and beta_slow 1, got 32 and 0.5"});
  config = config_of("llama");
  config.mlp_bias = true;
  expect_mentions(gguf_refusal(config, nvfp4), {"*.gate_proj", "expected no nvfp4 where mlp_bias is true"});
}

}  // namespace
}  // namespace qad
