// Makes a synthetic model of a given size in a folder, for bench/stream_model: a Llama of random weights in shards of
// 5 GB, written tensor by tensor.
//
//     bench_stream DIR GIGABYTES
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/random.h"
#include "data/files/safetensors_writer.h"
#include "models/families/hf_config.h"
#include "models/families/registry.h"

namespace {

using namespace qad;
namespace fs = std::filesystem;

// As many layers of a 7B as come to about so many bytes.
ModelConfig config_of(double gigabytes) {
  ModelConfig config;
  config.vocab_size = 32000;
  config.hidden_size = 4096;
  config.intermediate_size = 14336;
  config.num_attention_heads = 32;
  config.num_key_value_heads = 8;
  config.tie_word_embeddings = false;
  constexpr double kLayer = 2.0 * (4096.0 * (4096 + 1024 + 1024 + 4096) + 3 * 4096.0 * 14336);
  config.num_hidden_layers =
      std::max<std::int64_t>(1, static_cast<std::int64_t>((1e9 * gigabytes - 4.0 * 32000 * 4096) / kLayer));
  return config;
}

// Values from one pool, each tensor from another place on.
class Values {
 public:
  Values() : pool_({std::int64_t{1} << 24}) {
    Random random(1, stream_of("bench stream"));
    for (float& value : pool_.span()) value = static_cast<float>(0.02 * random.normal());
    bits_ = pool_.to(DType::bf16);
  }
  void put(const PlannedFileWriter& file, const PlannedTensor& tensor) {
    std::vector<std::byte> bytes(tensor.bytes);
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t count = std::min(bytes.size() - at, bits_.bytes() - from_);
      std::memcpy(bytes.data() + at, bits_.raw() + from_, count);
      at += count;
      from_ = (from_ + count + 2 * 7919) % bits_.bytes();
    }
    file.put(tensor, bytes);
  }

 private:
  Tensor pool_, bits_;
  std::size_t from_ = 0;
};

void make(const fs::path& folder, double gigabytes) {
  const ModelConfig config = config_of(gigabytes);
  std::vector<SafetensorsSpec> specs;
  static_cast<void>(make_model(config, [&](const ParameterSpec& spec) {
    const auto extents = spec.shape.extents();
    specs.push_back({spec.name, "BF16", {extents.begin(), extents.end()}});
    return make_parameter(spec.name, Tensor(spec.shape, DType::bf16), false);  // never touched
  }));
  create_folders(folder);
  const SafetensorsFolderPlan plan = plan_safetensors_folder(specs, 5'000'000'000, folder.string());
  Values values;
  std::uint64_t bytes = 0;
  for (const PlannedFile& planned : plan.files) {
    const PlannedFileWriter file(folder, planned);
    for (const PlannedTensor& tensor : planned.tensors) values.put(file, tensor);
    file.finish(planned.header);
    bytes += planned.bytes;
  }
  if (!plan.index.empty()) write_file_atomically(folder / kSafetensorsIndex, plan.index);
  write_file_atomically(folder / "config.json", to_hf_config(config, "bfloat16"));
  fmt::print("{} bytes in {} layers\n", bytes, config.num_hidden_layers);
}

}  // namespace

int main(int argc, char** argv) {
  double gigabytes = 0;
  if (argc != 3 || std::from_chars(argv[2], argv[2] + std::strlen(argv[2]), gigabytes).ec != std::errc()) {
    fmt::print(stderr, "usage: bench_stream DIR GIGABYTES\n");
    return 2;
  }
  try {
    make(argv[1], gigabytes);
    return 0;
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
