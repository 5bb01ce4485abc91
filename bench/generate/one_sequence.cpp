#include "bench/generate/one_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "autograd/base/atomic_file.h"
#include "autograd/base/parallel.h"
#include "autograd/base/profile.h"
#include "autograd/base/random.h"
#include "autograd/kernels/table.h"
#include "bench/step/workload.h"
#include "data/files/safetensors_writer.h"
#include "data/tokenizer/tokenizer.h"
#include "models/decode/decoding_layout.h"
#include "models/decode/generate.h"
#include "models/families/hf_config.h"
#include "qad/layouts/from_student.h"
#include "qad/layouts/registry.h"
#include "qad/layouts/write_export.h"
#include "qad/report/machine.h"
#include "qad/report/profile_table.h"
#include "qad/run/any_model.h"

namespace qad::bench {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

double file_bytes(const fs::path& folder) {
  double bytes = 0;
  for (const fs::directory_entry& file : fs::directory_iterator(folder))
    if (file.path().extension() == ".safetensors" || file.path().extension() == ".gguf")
      bytes += static_cast<double>(file.file_size());
  return bytes;
}

// All parameters but the embedding; the head, even if it is that.
double bytes_of_a_token(LanguageModel& model) {
  const ParameterPointer head = model.head().members.front().weight;
  auto bytes = static_cast<double>(head->bytes());
  for (const ParameterPointer& parameter : model.parameters())
    if (parameter->role != Role::embedding && parameter != head) bytes += static_cast<double>(parameter->bytes());
  return bytes;
}

double reading_gbps(double bytes) {
  const auto words = static_cast<std::int64_t>(bytes / 8);
  const std::vector<std::uint64_t> memory(static_cast<std::size_t>(words), 1);
  std::vector<std::uint64_t> sums(64);
  const std::int64_t chunk = (words + 63) / 64;
  std::vector<double> seconds;
  for (int round = 0; round < 7; ++round) {
    const auto began = Clock::now();
    parallel_for(words, chunk, [&](std::int64_t begin, std::int64_t end) {
      sums[static_cast<std::size_t>(begin / chunk)] +=
          std::accumulate(memory.begin() + begin, memory.begin() + end, std::uint64_t{0});
    });
    seconds.push_back(since(began));
  }
  if (std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}) == 1) fmt::print("\n");  // the sums are wanted
  return bytes / median(seconds) * 1e-9;
}

}  // namespace

void make_decoding_models(const fs::path& folder, const fs::path& tokenizer) {
  const Workload load = workload("D");
  const Models models = make_models(load, true, random_batches(load, 1));
  create_folders(folder / "bf16");
  std::vector<SafetensorsEntry> entries;
  for (const ParameterPointer& parameter : models.teacher->parameters())
    entries.push_back(safetensors_entry(parameter->name, parameter->value()));
  write_safetensors(folder / "bf16" / "model.safetensors", entries);
  write_file_atomically(folder / "bf16" / "config.json", to_hf_config(load.model, "bfloat16"));
  ExportModel student = export_model_of(*models.student, models.quantizers, {});
  write_export(folder / "modelopt", exporter("modelopt"), student, {});
  if (tokenizer.empty()) return;
  student.tokenizer = load_tokenizer(tokenizer.string());
  write_export(folder / "gguf", exporter("gguf"), student, {});
}

void measure_one_sequence(const fs::path& folder, int rounds, std::optional<HeadFormat> head, bool profile) {
  constexpr std::int64_t kLongest = 512, kTokens = 48;
  auto began = Clock::now();
  const auto model = load_any_model(folder);
  const DecodeHead decode_head(*model, head);
  lay_out_for_decoding(*model);
  const double load_seconds = since(began);
  const std::int64_t length = std::min(kLongest, model->config().max_position_embeddings - 1);
  Random random(1, stream_of("bench prompt"));
  std::vector<std::int32_t> prompt;
  for (std::int64_t i = 0; i < length; ++i)
    prompt.push_back(static_cast<std::int32_t>(random.below(model->config().vocab_size)));
  GenerateConfig config;
  config.stop_at_eos = false;
  config.max_tokens = 0;
  config.max_new_tokens = 1;
  static_cast<void>(generate(*model, {{prompt[0]}}, config));  // pages are there, threads awake
  const std::int64_t resident_bytes = peak_rss_bytes();
  std::vector<double> prompts, tokens;
  for (int round = 0; round < rounds; ++round) {
    config.max_new_tokens = 1;
    began = Clock::now();
    static_cast<void>(generate(*model, {prompt}, config));
    prompts.push_back(static_cast<double>(length) / since(began));
    config.max_new_tokens = kTokens + 1;
    std::vector<Clock::time_point> times;
    const GenerateHooks hooks{.token_done = [&](std::int32_t) { times.push_back(Clock::now()); }, .progress = {}};
    static_cast<void>(generate(*model, {{prompt.begin(), prompt.begin() + 16}}, config, 0, hooks));
    tokens.push_back(kTokens / std::chrono::duration<double>(times.back() - times.front()).count());
  }
  if (profile) {
    const Profiler profiler;
    {
      const ProfilePhase phase("a token");
      static_cast<void>(generate(*model, {{prompt.begin(), prompt.begin() + 16}}, config));
    }
    fmt::print("{}", profile_text(profiler));
  }
  const double bytes = bytes_of_a_token(*model);
  const nlohmann::ordered_json json = {{"folder", folder.string()},
                                       {"kernels", kernel_description()},
                                       {"threads", threads()},
                                       {"file_bytes", file_bytes(folder)},
                                       {"resident_bytes", resident_bytes},
                                       {"load_seconds", load_seconds},
                                       {"prompt_tokens_per_second", median(prompts)},
                                       {"tokens_per_second", median(tokens)},
                                       {"weight_bytes", bytes},
                                       {"reading_gbps", reading_gbps(bytes)}};
  fmt::print("{}\n", json.dump());
}

}  // namespace qad::bench
