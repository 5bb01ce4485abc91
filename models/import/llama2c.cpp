#include "models/import/llama2c.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "models/families/registry.h"

namespace qad {
namespace {

// Hands out the file's floats in order.
class Floats {
 public:
  Floats(std::string_view bytes, std::string who) : bytes_(bytes), who_(std::move(who)) {}
  Tensor take(const Shape& shape) {
    Tensor tensor(shape);
    if (bytes_.size() < tensor.bytes())
      throw Error({.who = who_,
                   .expected = "weights as its header says",
                   .got = "an early end of the file",
                   .hint = "is it cut off?"});
    std::memcpy(tensor.raw(), bytes_.data(), tensor.bytes());
    bytes_.remove_prefix(tensor.bytes());
    return tensor;
  }
  [[nodiscard]] std::size_t left() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
  std::string who_;
};

// Row 2i of each head becomes row i, row 2i+1 becomes row i + head_dim/2.
Tensor pairs_to_halves(const Tensor& weight, std::int64_t head_dim) {
  Tensor result(weight.shape());
  const std::int64_t cols = weight.cols();
  for (std::int64_t row = 0; row < weight.rows(); ++row) {
    const std::int64_t inside = row % head_dim;
    const std::int64_t target = row - inside + (inside % 2) * (head_dim / 2) + inside / 2;
    std::copy_n(weight.data() + row * cols, cols, result.data() + target * cols);
  }
  return result;
}

}  // namespace

std::unique_ptr<LanguageModel> load_llama2c(const std::filesystem::path& file) {
  const std::string contents = read_file(file, "a llama2.c checkpoint", kAnySize);
  std::array<std::int32_t, 7> header{};
  if (contents.size() < sizeof header)
    throw Error(
        {.who = file.string(), .expected = "a header of 28 bytes", .got = std::to_string(contents.size()) + " bytes"});
  std::memcpy(header.data(), contents.data(), sizeof header);
  const auto [dim, hidden, layers, heads, kv_heads, vocabulary, context] = header;
  for (const std::int32_t value : {dim, hidden, layers, heads, kv_heads, context})
    if (value <= 0 || value > (1 << 24))
      throw Error(
          {file.string(), "sizes above 0 in its header", std::to_string(value), "is this a llama2.c checkpoint?"});
  if (vocabulary == 0 || heads % kv_heads != 0 || dim % heads != 0)
    throw Error({.who = file.string(),
                 .expected = "sizes that fit together in its header",
                 .got = "others",
                 .hint = "is this a llama2.c checkpoint?"});

  ModelConfig config;
  config.vocab_size = std::abs(std::int64_t{vocabulary});  // below 0: a head of its own
  config.hidden_size = dim;
  config.intermediate_size = hidden;
  config.num_hidden_layers = layers;
  config.num_attention_heads = heads;
  config.num_key_value_heads = kv_heads;
  config.max_position_embeddings = context;
  config.rms_norm_eps = 1e-5;
  config.tie_word_embeddings = vocabulary > 0;
  config.bos_token_id = 1;
  config.eos_token_id = {2};

  Floats floats(std::string_view(contents).substr(sizeof header), file.string());
  std::map<std::string, Tensor> tensors;
  const auto per_layer = [&, layers = layers](const std::string& name, const Shape& shape, std::int64_t head_dim = 0) {
    for (std::int64_t i = 0; i < layers; ++i) {
      const Tensor tensor = floats.take(shape);
      tensors["model.layers." + std::to_string(i) + "." + name + ".weight"] =
          head_dim > 0 ? pairs_to_halves(tensor, head_dim) : tensor;
    }
  };
  const std::int64_t head_dim = config.head_size();
  const std::int64_t kv_width = head_dim * kv_heads;
  tensors["model.embed_tokens.weight"] = floats.take({config.vocab_size, dim});
  per_layer("input_layernorm", {dim});
  per_layer("self_attn.q_proj", {dim, dim}, head_dim);
  per_layer("self_attn.k_proj", {kv_width, dim}, head_dim);
  per_layer("self_attn.v_proj", {kv_width, dim});
  per_layer("self_attn.o_proj", {dim, dim});
  per_layer("post_attention_layernorm", {dim});
  per_layer("mlp.gate_proj", {hidden, dim});
  per_layer("mlp.down_proj", {dim, hidden});
  per_layer("mlp.up_proj", {hidden, dim});
  tensors["model.norm.weight"] = floats.take({dim});
  static_cast<void>(floats.take({context, head_dim}));  // cosines and sines that nothing reads any more
  if (!config.tie_word_embeddings) tensors["lm_head.weight"] = floats.take({config.vocab_size, dim});
  if (floats.left() != 0)
    throw Error({.who = file.string(),
                 .expected = "an end after the last weight",
                 .got = std::to_string(floats.left()) + " bytes more"});

  return make_model(config, [&](const ParameterSpec& spec) {
    const Tensor& tensor = tensors.at(spec.name);
    QAD_ASSERT(tensor.shape() == spec.shape);
    return make_parameter(spec.name, tensor, false);
  });
}

}  // namespace qad
