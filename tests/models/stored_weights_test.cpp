// The weights of model folders that other programs wrote: their names, types and values, and what is there besides.
#include "models/import/stored_weights.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>
#include <map>

#include "autograd/base/atomic_file.h"
#include "autograd/base/log.h"
#include "data/files/safetensors_writer.h"
#include "models/families/hf_config.h"
#include "tests/support/bytes.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

using testing::error_of;
using testing::expect_mentions;
constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kNorm = "model.norm.weight";

struct Stored {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;
};
using Files = std::map<std::string, Stored>;

template <class T>
Stored stored(const std::string& dtype, const Tensor& values) {
  const auto extents = values.shape().extents();
  Stored result{dtype, {extents.begin(), extents.end()}, std::vector<std::byte>(values.span().size() * sizeof(T))};
  for (std::int64_t i = 0; i < values.size(); ++i) {
    const T value = static_cast<T>(values.data()[i]);
    std::memcpy(result.bytes.data() + static_cast<std::size_t>(i) * sizeof value, &value, sizeof value);
  }
  return result;
}

// A folder of a small model, whose weights a test changes before they are written.
class StoredWeightsTest : public ::testing::Test {
 protected:
  void make(
      bool tied, const std::function<void(Files&)>& change = [](Files&) {}) {
    made_ = initialize_model(testing::small_config(tied), 1);
    Files files;
    for (const ParameterPointer& parameter : made_->parameters())
      files[parameter->name] = stored<float>("F32", parameter->value());
    change(files);
    std::vector<SafetensorsEntry> entries;
    for (const auto& [name, one] : files) entries.push_back({name, one.dtype, one.shape, one.bytes});
    write_safetensors(folder_ / "model.safetensors", entries);
    write_file_atomically(folder_ / "config.json", to_hf_config(made_->config(), "float32"));
  }
  void expect_made_weights(WeightType type = WeightType::file) {
    const auto loaded = load_model(folder_.path(), type);
    const auto made = made_->parameters(), got = loaded->parameters();
    ASSERT_EQ(made.size(), got.size());
    for (std::size_t i = 0; i < made.size(); ++i) {
      EXPECT_EQ(made[i]->name, got[i]->name);
      const Tensor& value = got[i]->value();
      EXPECT_TRUE(testing::same_bits(made[i]->value().to(value.dtype()), value)) << made[i]->name;
    }
  }
  std::string refusal(WeightType type = WeightType::file) {
    return error_of([&] { static_cast<void>(load_model(folder_.path(), type)); });
  }
  // What loading logs.
  std::string told() {
    const auto log = folder_ / "log.txt";
    log_to_file(log);
    static_cast<void>(load_model(folder_.path(), WeightType::file));
    log_to_file({});
    return std::filesystem::exists(log) ? read_file(log, "a log") : "";
  }

  testing::TemporaryFolder folder_;
  std::unique_ptr<LanguageModel> made_;
};

void rename_all(Files& files, const std::function<std::string(const std::string&)>& renamed) {
  Files result;
  for (auto& [name, one] : files) result[renamed(name)] = std::move(one);
  files = std::move(result);
}
std::string without_model(const std::string& name) { return name.starts_with("model.") ? name.substr(6) : name; }

TEST_F(StoredWeightsTest, NamesOfTheBaseModelAreKnown) {
  for (const bool tied : {true, false}) {
    make(tied, [](Files& files) { rename_all(files, without_model); });
    expect_made_weights();
    EXPECT_NO_THROW(check_model(folder_.path()));
    EXPECT_EQ(told(), "");
  }
}

TEST_F(StoredWeightsTest, NamesThatAWrapperChangedAreRefusedWithAHint) {
  const std::map<std::string, const char*> hints = {{"module.", "wrapper of several devices"},
                                                    {"_orig_mod.", "saved compiled"},
                                                    {"base_model.model.", "merge_and_unload"},
                                                    {"language_model.", "part of a larger model"},
                                                    {"transformer.", "transformers' own names"}};
  for (const auto& [prefix, hint] : hints) {
    make(true, [p = prefix](Files& files) { rename_all(files, [&](const std::string& name) { return p + name; }); });
    expect_mentions(refusal(),
                    {"expected a tensor 'model.embed_tokens.weight', got '", (prefix + kEmbedding).c_str(), hint});
  }
}

TEST_F(StoredWeightsTest, OneWeightUnderTwoNamesIsRefused) {
  make(true, [](Files& files) { files["norm.weight"] = files[kNorm]; });
  expect_mentions(refusal(), {"one tensor for 'model.norm.weight', got 'model.norm.weight' and 'norm.weight'"});
}

TEST_F(StoredWeightsTest, AModelWithoutAHeadIsRefusedByName) {
  make(false, [](Files& files) { files.erase("lm_head.weight"); });
  expect_mentions(refusal(), {"expected a tensor 'lm_head.weight', got none", "config.json does not tie one"});
}

TEST_F(StoredWeightsTest, ATiedHeadMayBeStoredAgainButNotAnother) {
  make(true, [](Files& files) { files["lm_head.weight"] = files[kEmbedding]; });
  expect_made_weights();
  EXPECT_EQ(told(), "");
  make(true, [](Files& files) {
    files["lm_head.weight"] = files[kEmbedding];
    files["lm_head.weight"].bytes[0] ^= std::byte{1};
  });
  expect_mentions(refusal(),
                  {"lm_head.weight: expected the embedding's own values", "set tie_word_embeddings to false"});
  make(true, [](Files& files) {
    files["lm_head.weight"] = files[kEmbedding];
    files.erase(kEmbedding);
  });
  expect_made_weights();
}

TEST_F(StoredWeightsTest, DoublesAreReadAsFloats) {
  make(false, [](Files& files) {
    for (auto& [name, one] : files) {
      Tensor values(Shape(std::span<const std::int64_t>(one.shape)));
      std::memcpy(values.raw(), one.bytes.data(), one.bytes.size());
      one = stored<double>("F64", values);
    }
  });
  for (const WeightType type : {WeightType::file, WeightType::f32, WeightType::bf16}) expect_made_weights(type);
}

TEST_F(StoredWeightsTest, NumbersThatTheTypeInMemoryDoesNotHoldAreRefused) {
  const auto with_norm = [&](auto value, const char* dtype) {
    make(true, [&](Files& files) {
      files[kNorm] = stored<decltype(value)>(dtype, Tensor::full(Shape{32}, 1.0f));
      std::memcpy(files[kNorm].bytes.data() + 5 * sizeof value, &value, sizeof value);
    });
  };
  with_norm(3.4e38f, "F32");
  EXPECT_EQ(refusal(WeightType::file), "no error");
  EXPECT_EQ(refusal(WeightType::f32), "no error");
  expect_mentions(refusal(WeightType::bf16),
                  {"model.norm.weight: expected weights that BF16 holds, got 3.4", "index 5", "teacher.weights: file"});
  with_norm(3.38953e38f, "F32");  // BF16's largest
  EXPECT_EQ(refusal(WeightType::bf16), "no error");
  with_norm(-1e300, "F64");
  for (const WeightType type : {WeightType::file, WeightType::f32, WeightType::bf16})
    expect_mentions(refusal(type), {"model.norm.weight: expected weights that FP32 holds, got -1e+300 at index 5"});
  with_norm(3.4e38, "F64");
  EXPECT_EQ(refusal(WeightType::file), "no error");
  expect_mentions(refusal(WeightType::bf16), {"BF16 holds"});
  with_norm(std::numeric_limits<double>::infinity(), "F64");
  expect_mentions(refusal(), {"expected finite weights, got an infinity or NaN at index 5"});
}

TEST_F(StoredWeightsTest, WhatTheModelHasNoPlaceForIsTold) {
  make(true);
  EXPECT_EQ(told(), "");
  make(true, [](Files& files) {
    files["model.layers.0.self_attn.rotary_emb.inv_freq"] = files[kNorm];  // of old checkpoints
    for (int i = 0; i < 5; ++i) files["model.layers." + std::to_string(i) + ".self_attn.q_proj.bias"] = files[kNorm];
  });
  const std::string log = told();
  expect_mentions(log, {"2 tensors that the model of config.json has no place for",
                        "model.layers.0.self_attn.q_proj.bias, ", "3 tensors for several tokens at once or of layers",
                        "only go along into exports: model.layers.2.self_attn.q_proj.bias"});
  EXPECT_EQ(log.find("inv_freq"), std::string::npos);
}

TEST_F(StoredWeightsTest, FilesThatAreNotReadAreTold) {
  make(true);
  write_safetensors(folder_ / "model-00002-of-00002.safetensors", {});
  write_file_atomically(folder_ / "model.safetensors.index.json", "{}");
  expect_mentions(told(), {"weights are not read from model-00002-of-00002.safetensors, model.safetensors.index.json"});
  write_file_atomically(folder_ / "adapter_config.json", "{}");
  expect_mentions(refusal(), {"adapter_config.json: expected a model without an adapter", "merge it"});
}

TEST_F(StoredWeightsTest, WhatIsSavedInBf16IsHeldByIt) {
  make(true);
  made_->parameters().back()->value().data()[3] = 3.4e38f;
  expect_mentions(error_of([&] { save_model(folder_ / "saved", *made_, DType::bf16); }),
                  {"model.norm.weight: expected weights that BF16 holds", "at index 3"});
  EXPECT_NO_THROW(save_model(folder_ / "saved", *made_, DType::f32));
}

}  // namespace
}  // namespace qad
