// Rotary positions: every rule in both dialects of config.json against transformers' logits
// (scripts/make_rope_goldens.py), what is written back, and what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "models/families/hf_config.h"
#include "models/families/registry.h"
#include "models/layers/rotary.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;
using testing::error_of;
using testing::expect_mentions;

// The weights of make_rope_goldens.py, by name and index.
ParameterPointer numbered_parameter(const ParameterSpec& spec) {
  std::int64_t seed = 0;
  for (std::size_t i = 0; i < spec.name.size(); ++i) seed += static_cast<std::int64_t>(i + 1) * spec.name[i];
  const Tensor values(spec.shape);
  for (std::int64_t i = 0; i < values.size(); ++i) {
    const double value = static_cast<double>((i * 7919 + seed % 65521 * 104729) % 257 - 128) / 320;
    values.data()[i] = static_cast<float>(spec.name.ends_with("norm.weight") ? 1 + value / 4 : value);
  }
  return make_parameter(spec.name, values, false);
}

TokenBatch one_document(std::int32_t tokens) {
  TokenBatch batch;
  for (std::int32_t t = 0; t < tokens; ++t) {
    batch.ids.push_back((t * 7 + 3) % 32);
    batch.positions.push_back(t);
    batch.labels.push_back(kNoLabel);
    batch.valid.push_back(1);
  }
  batch.segments = {{0, tokens}};
  batch.document = {0};
  return batch;
}

void expect_last_logits(const ModelConfig& config, const Json& expected, const std::string& name) {
  const auto model = make_model(config, numbered_parameter);
  const Tensor logits = logits_of(*model, model->hidden_states(one_document(48)).value());
  const float* const last = logits.data() + 47 * logits.cols();
  for (std::int64_t i = 0; i < logits.cols(); ++i)
    EXPECT_NEAR(last[i], expected[static_cast<std::size_t>(i)].get<float>(), 1e-5) << name << ", token " << i;
}

TEST(Rope, LogitsAreThoseOfTransformersAlsoThroughAWrittenConfig) {
  const Json cases = Json::parse(read_file(testing::source_dir() / "tests/models/golden/rope.json", "goldens"));
  for (const Json& one : cases) {
    const std::string name = one["name"].get<std::string>();
    const ModelConfig config = parse_hf_config(one["config"].dump(), name);
    expect_last_logits(config, one["logits"], name);
    const std::string written = to_hf_config(config, "float32");
    const ModelConfig again = parse_hf_config(written, name);
    EXPECT_EQ(again.rope_scaling, config.rope_scaling) << written;
    EXPECT_EQ(again.rope_theta, config.rope_theta) << written;
  }
}

TEST(Rope, DynamicReadsNothingBeyondTheContext) {
  ModelConfig config = testing::small_config();
  config.max_position_embeddings = 48;
  config.rope_scaling.rope_type = RopeScalingKind::dynamic;
  const auto model = initialize_model(config, 1);
  EXPECT_NO_THROW(static_cast<void>(model->hidden_states(one_document(48))));
  expect_mentions(error_of([&] { static_cast<void>(model->hidden_states(one_document(49))); }),
                  {"rope_scaling dynamic: expected sequences of at most 48 tokens, got 49"});
}

TEST(Rope, YarnTurnsGradientsBackAsItTurnsForward) {
  ModelConfig config = testing::small_config();
  config.rope_scaling = {.rope_type = RopeScalingKind::yarn, .factor = 4.0, .original_max_position_embeddings = 8};
  EXPECT_NEAR(rotary_magnitude(config.rope_scaling), 0.1 * std::log(4.0) + 1, 1e-12);
  const RotaryTable table = rotary_table(config, 12);
  for (std::int64_t i = 0; i < table.cosines.size(); ++i)
    EXPECT_NEAR(std::hypot(table.cosines.data()[i], table.sines.data()[i]), 0.1 * std::log(4.0) + 1, 1e-6);
  // rope is linear in x and its gradient is its transpose: <rope(x), y> = <x, rope'(y)>.
  const auto positions = std::make_shared<const std::vector<std::int32_t>>(std::vector<std::int32_t>{0, 5, 11});
  const auto numbered = [](float step) {
    const Tensor x({3, 16});
    for (std::int64_t i = 0; i < x.size(); ++i) x.data()[i] = std::sin(step * static_cast<float>(i + 1));
    return x;
  };
  const ParameterPointer x = make_parameter("x", numbered(0.7f), true);
  const Variable turned = rope(x->variable, 8, positions, table);
  const Tensor y = numbered(1.3f);
  double forward = 0, transposed = 0;
  for (std::int64_t i = 0; i < y.size(); ++i) forward += double{turned.value().data()[i]} * double{y.data()[i]};
  backward(turned, y);
  const Tensor gradient = x->variable.sink()->gradient();
  for (std::int64_t i = 0; i < y.size(); ++i) transposed += double{x->value().data()[i]} * double{gradient.data()[i]};
  EXPECT_NEAR(forward, transposed, 1e-4);
}

std::string refusal(const Json& keys) {
  Json json = {
      {"model_type", "llama"}, {"hidden_size", 32}, {"num_attention_heads", 4}, {"max_position_embeddings", 64}};
  json.update(keys);
  return error_of([&] { static_cast<void>(parse_hf_config(json.dump(), "config.json")); });
}
std::string section_refusal(const Json& section) {
  const std::string old = refusal({{"rope_scaling", section}}), today = refusal({{"rope_parameters", section}});
  std::string renamed = today;
  if (const auto at = renamed.find("rope_parameters"); at != std::string::npos) renamed.replace(at, 15, "rope_scaling");
  EXPECT_EQ(old, renamed) << "the dialects differ";
  return old;
}

TEST(RopeRefusals, ThetaThatTurnsNothing) {
  for (const Json& theta : {Json(0), Json(-1.0), Json(0.5), Json(1e308), Json(true), Json("10000"), Json(nullptr)})
    expect_mentions(refusal({{"rope_theta", theta}}), {"config.json: expected a", "for rope_theta"});
  EXPECT_EQ(refusal({{"rope_theta", 1}}), "no error");
}

TEST(RopeRefusals, RulesThatAreNotHere) {
  for (const char* type : {"longrope", "proportional", "su", "mrope", "ntk"})
    expect_mentions(
        section_refusal({{"rope_type", type}, {"factor", 2}}),
        {"config.json: rope_scaling: expected a rope_type among default, linear, dynamic, yarn, llama3, got", type});
  expect_mentions(section_refusal({{"rope_type", "linear"}, {"type", "yarn"}, {"factor", 2}}),
                  {"rope_type and type to agree, got linear and yarn"});
  expect_mentions(section_refusal({{"rope_type", nullptr}}), {"rope_type", "null"});
  expect_mentions(refusal({{"rope_scaling", "linear"}}), {"an object for rope_scaling", "\"linear\""});
}

TEST(RopeRefusals, NumbersThatMakeNoFrequencies) {
  const Json llama3 = {{"rope_type", "llama3"},
                       {"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 32}};
  const Json yarn = {{"rope_type", "yarn"}, {"factor", 2.0}};
  const auto with = [](Json section, const char* key, const Json& value) {
    section[key] = value;
    return section_refusal(section);
  };
  EXPECT_EQ(section_refusal(llama3), "no error");
  EXPECT_EQ(section_refusal(yarn), "no error");
  for (const Json& value : {Json(0), Json(-8), Json(0.5), Json("8"), Json(true), Json(nullptr), Json(1e308)})
    expect_mentions(with(llama3, "factor", value), {"config.json: rope_scaling", "factor, got"});
  for (const Json& value : {Json(0), Json(-1), Json("1"), Json(nullptr)}) {
    expect_mentions(with(llama3, "low_freq_factor", value), {"low_freq_factor"});
    expect_mentions(with(llama3, "high_freq_factor", value), {"high_freq_factor"});
    expect_mentions(with(llama3, "original_max_position_embeddings", value), {"original_max_position_embeddings"});
  }
  expect_mentions(with(llama3, "high_freq_factor", 1.0), {"a number above 1 that FP32 holds for high_freq_factor"});
  for (const Json& value : {Json(0), Json(-1), Json("1")})
    expect_mentions(with(yarn, "attention_factor", value), {"attention_factor"});
  expect_mentions(with(yarn, "beta_fast", 0.5), {"beta_fast of at least beta_slow, 1, got 0.5"});
  expect_mentions(with(yarn, "beta_slow", -1), {"beta_slow"});
  expect_mentions(with(yarn, "truncate", "no"), {"true or false for truncate"});
  expect_mentions(refusal({{"rope_theta", 1.0}, {"rope_scaling", yarn}}), {"rope_theta above 1 for yarn"});
  expect_mentions(section_refusal({{"rope_type", "linear"}}), {"the key factor for linear"});
}

TEST(RopeRefusals, KeysThatARuleDoesNotRead) {
  expect_mentions(section_refusal({{"rope_type", "default"}, {"factor", 2.0}}), {"factor to be 1, got 2"});
  expect_mentions(section_refusal({{"factor", 2.0}}), {"factor to be 1"});
  expect_mentions(section_refusal({{"rope_type", "linear"}, {"factor", 2.0}, {"attention_factor", 2}}),
                  {"attention_factor to be 1"});
  expect_mentions(section_refusal({{"rope_type", "yarn"}, {"factor", 2.0}, {"partial_rotary_factor", 0.5}}),
                  {"partial_rotary_factor to be 1"});
  expect_mentions(section_refusal({{"rope_type", "dynamic"}, {"factor", 2.0}, {"alpha", 1000}}),
                  {"no alpha beside rope_type dynamic"});
  expect_mentions(section_refusal({{"full_attention", {{"rope_type", "default"}}}}), {"no full_attention beside"});
  expect_mentions(
      section_refusal({{"rope_type", "dynamic"}, {"factor", 2.0}, {"original_max_position_embeddings", 32}}),
      {"original_max_position_embeddings as max_position_embeddings, 64, got 32"});
  EXPECT_EQ(section_refusal({{"rope_type", "default"}, {"factor", 1.0}, {"partial_rotary_factor", 1}}), "no error");
}

TEST(RopeRefusals, SectionsThatDisagreeAreBothNamed) {
  const Json two = {{"rope_type", "linear"}, {"factor", 2.0}}, four = {{"rope_type", "linear"}, {"factor", 4.0}};
  EXPECT_EQ(refusal({{"rope_scaling", two}, {"rope_parameters", two}}), "no error");
  EXPECT_EQ(refusal({{"rope_scaling", nullptr}, {"rope_parameters", two}}), "no error");
  expect_mentions(refusal({{"rope_scaling", two}, {"rope_parameters", four}}),
                  {"config.json: expected rope_scaling and rope_parameters that agree", "2.0} and ", "4.0}"});
  const Json theta = {{"rope_type", "default"}, {"rope_theta", 500.0}};
  EXPECT_EQ(refusal({{"rope_parameters", theta}, {"rope_theta", 500}}), "no error");
  expect_mentions(refusal({{"rope_parameters", theta}, {"rope_theta", 10000}}),
                  {"config.json: rope_parameters: expected rope_theta as in the config, 10000, got 500"});
  const Json yarn = {{"rope_type", "yarn"}, {"factor", 2.0}, {"original_max_position_embeddings", 32}};
  EXPECT_EQ(refusal({{"rope_scaling", yarn}, {"original_max_position_embeddings", 32}}), "no error");
  expect_mentions(refusal({{"rope_scaling", yarn}, {"original_max_position_embeddings", 16}}),
                  {"original_max_position_embeddings as in the config, 16, got 32"});
}

}  // namespace
}  // namespace qad
