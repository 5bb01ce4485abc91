// What it takes to open a model of 2.2 GB: its headers, its weights, its first token; cold, that is from the disk, and
// warm. Makes the model in a folder and removes it again.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "autograd/base/atomic_file.h"
#include "autograd/base/random.h"
#include "data/files/safetensors_writer.h"
#include "models/decode/generate.h"
#include "models/families/hf_config.h"
#include "models/families/registry.h"
#include "models/import/model_folder.h"
#include "qad/report/machine.h"

namespace {

using namespace qad;
namespace fs = std::filesystem;

// A Llama of 1.08 billion parameters.
ModelConfig model_config() {
  ModelConfig config;
  config.vocab_size = 258;
  config.hidden_size = 2048;
  config.intermediate_size = 5632;
  config.num_hidden_layers = 24;
  config.num_attention_heads = 16;
  config.num_key_value_heads = 4;
  config.tie_word_embeddings = true;
  return config;
}

// Random weights; those of one shape are the same, so that making them takes little time and memory.
void make_model_folder(const fs::path& folder) {
  const ModelConfig config = model_config();
  std::map<std::string, Tensor> by_shape;
  std::vector<SafetensorsEntry> entries;
  Random random(1, stream_of("bench load"));
  static_cast<void>(make_model(config, [&](const ParameterSpec& spec) {
    Tensor& values = by_shape[spec.shape.text()];
    if (!values.defined()) {
      const Tensor floats(spec.shape);
      for (float& value : floats.span()) value = static_cast<float>(0.02 * random.normal());
      values = floats.to(DType::bf16);
    }
    entries.push_back(safetensors_entry(spec.name, values));
    return make_parameter(spec.name, values, false);
  }));
  create_folders(folder);
  write_safetensors(folder / "model.safetensors", entries);
  write_file_atomically(folder / "config.json", to_hf_config(config, "bfloat16"));
}

// The next reader finds the file on the disk alone.
void forget_pages(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY);
  ::fsync(fd);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
}

class Stopwatch {
 public:
  [[nodiscard]] double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - began_).count();
    began_ = now;
    return seconds;
  }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

void measure(const std::string& name, const fs::path& folder) {
  Stopwatch watch;
  check_model(folder);
  const double headers = watch.lap();
  const auto model = load_model(folder, WeightType::bf16);
  const double weights = watch.lap();
  GenerateConfig config;
  config.max_tokens = 2;
  static_cast<void>(generate(*model, {{1}}, config));
  const double token = watch.lap();
  fmt::print("{:5} headers {:.3f} s, weights {:.3f} s, first token {:.3f} s\n", name, headers, weights, token);
}

}  // namespace

// bench_load FOLDER: a new one, on the disk that is meant
int main(int argc, char** argv) {
  if (argc != 2 || fs::exists(argv[1])) return fmt::print(stderr, "usage: bench_load NEW_FOLDER\n"), 2;
  const fs::path folder = argv[1];
  make_model_folder(folder);
  const fs::path file = folder / "model.safetensors";
  fmt::print("{}; {:.2f} GB\n", text_of(this_machine()), static_cast<double>(fs::file_size(file)) / 1e9);
  for (int round = 0; round < 3; ++round) {
    forget_pages(file);
    measure("cold", folder);
    measure("warm", folder);
  }
  fmt::print("peak resident memory {:.2f} GB\n", static_cast<double>(peak_rss_bytes()) / 1e9);
  fs::remove_all(folder);
}
