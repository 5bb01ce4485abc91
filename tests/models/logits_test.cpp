// Logits and greedy text of two real models against references that an independent float64 implementation made.
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "data/tokenizer/tokenizer.h"
#include "models/decode/generate.h"
#include "models/import/llama2c.h"
#include "models/import/model_folder.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using testing::shared_data;

std::vector<float> read_floats(const std::filesystem::path& file) {
  const std::string bytes = read_file(file, "reference logits");
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

nlohmann::json read_json(const std::filesystem::path& file) { return nlohmann::json::parse(read_file(file, "JSON")); }

TokenBatch labelled_segment(const std::vector<std::int32_t>& ids) {
  TokenBatch batch;
  batch.ids = ids;
  for (std::size_t i = 0; i < ids.size(); ++i) batch.positions.push_back(static_cast<std::int32_t>(i));
  batch.labels.assign(ids.size(), kNoLabel);
  batch.valid.assign(ids.size(), 1);
  batch.segments = {{0, static_cast<std::int32_t>(ids.size())}};
  batch.document = {0};
  return batch;
}

void expect_logits(LanguageModel& model, std::vector<std::int32_t> ids, const std::vector<float>& reference) {
  ids.resize(reference.size() / static_cast<std::size_t>(model.config().vocab_size));
  const Tensor logits = logits_of(model, model.hidden_states(labelled_segment(ids)).value());
  ASSERT_EQ(static_cast<std::size_t>(logits.size()), reference.size());
  double worst = 0;
  for (std::size_t i = 0; i < reference.size(); ++i)
    worst = std::max(worst, std::fabs(static_cast<double>(logits.data()[i]) - static_cast<double>(reference[i])));
  EXPECT_LT(worst, 1e-4);
}

TEST(Logits, Stories656K) {
  QAD_REQUIRE_SHARED_DATA();
  const auto folder = shared_data() / "tinystories-656k-hf";
  const auto expected = read_json(folder / "expected.json");
  // Stored as FP32, but every value is a BF16 number: the teacher's two bytes lose nothing.
  for (const WeightType type : {WeightType::file, WeightType::bf16}) {
    const auto model = load_model(folder, type);
    expect_logits(*model, expected["greedy_ids"].get<std::vector<std::int32_t>>(),
                  read_floats(folder / "logits32.f32"));
  }
}

TEST(Logits, Stories260K) {
  QAD_REQUIRE_SHARED_DATA();
  const auto folder = shared_data() / "tinyllamas-stories260k";
  const auto expected = read_json(folder / "expected.json");
  const auto model = load_llama2c(folder / "stories260K.bin");
  expect_logits(*model, expected["greedy_from_bos"].get<std::vector<std::int32_t>>(),
                read_floats(folder / "logits64.f32"));
}

TEST(GreedyText, Stories656K) {
  QAD_REQUIRE_SHARED_DATA();
  const auto folder = shared_data() / "tinystories-656k-hf";
  const auto expected = read_json(folder / "expected.json");
  const auto model = load_model(folder, WeightType::bf16);
  const auto tokenizer = load_tokenizer(folder);
  auto prompt = tokenizer->encode(expected["prompt"].get<std::string>());
  EXPECT_EQ(prompt, expected["prompt_ids"].get<std::vector<std::int32_t>>());
  GenerateConfig config;
  const auto ids = expected["greedy_ids"].get<std::vector<std::int32_t>>();
  config.max_tokens = static_cast<std::int64_t>(ids.size());
  const auto generated = generate(*model, {prompt}, config);
  EXPECT_EQ(generated[0].ids, ids);
  // The last token is a word with a space behind it, which the reference text was stripped of.
  EXPECT_EQ(tokenizer->decode(generated[0].ids), expected["greedy_text"].get<std::string>() + " ");
}

TEST(GreedyText, Stories260K) {
  QAD_REQUIRE_SHARED_DATA();
  const auto folder = shared_data() / "tinyllamas-stories260k";
  const auto expected = read_json(folder / "expected.json")["greedy_from_bos"];
  const auto model = load_llama2c(folder / "stories260K.bin");
  const auto ids = expected.get<std::vector<std::int32_t>>();
  GenerateConfig config;
  config.max_tokens = static_cast<std::int64_t>(ids.size());
  config.stop_at_eos = false;
  EXPECT_EQ(generate(*model, {{1}}, config)[0].ids, ids);
}

}  // namespace
}  // namespace qad
