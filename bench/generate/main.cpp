// Tokens a second of decoding with a key/value cache: a small byte-level model, many prompts, BF16 and NVFP4; and one
// sequence of a larger one, from its files.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>

#include "autograd/base/parallel.h"
#include "autograd/base/profile.h"
#include "autograd/base/random.h"
#include "bench/generate/one_sequence.h"
#include "bench/step/workload.h"
#include "models/decode/generate.h"
#include "qad/report/profile_table.h"

namespace {

using namespace qad;

std::vector<std::vector<std::int32_t>> random_prompts(std::int64_t count, std::int64_t vocabulary) {
  Random random(1, stream_of("bench prompts"));
  std::vector<std::vector<std::int32_t>> prompts(static_cast<std::size_t>(count));
  for (auto& prompt : prompts)
    for (std::int64_t i = 30 + random.below(20); i > 0; --i)
      prompt.push_back(static_cast<std::int32_t>(random.below(vocabulary)));
  return prompts;
}

void measure(const std::string& name, LanguageModel& model, std::int64_t count, std::int64_t batch, bool profile) {
  const auto prompts = random_prompts(count, model.config().vocab_size);
  GenerateConfig config;
  config.max_tokens = 128;
  config.temperature = 0.6;
  config.batch = batch;
  static_cast<void>(generate(model, {prompts.front()}, config));  // packs the weights
  std::optional<Profiler> profiler;
  if (profile) profiler.emplace();
  const auto began = std::chrono::steady_clock::now();
  std::int64_t written = 0, hash = 0;
  {
    const ProfilePhase phase("generate");
    const auto texts = generate(model, prompts, config);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      written += static_cast<std::int64_t>(texts[i].ids.size() - prompts[i].size());
      for (const std::int32_t id : texts[i].ids) hash = (hash * 31 + id) % 1000003;
    }
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fmt::print("{:8} {} prompts, {} tokens written, {:.2f} s: {:.0f} tokens/s (sum {})\n", name, count, written, seconds,
             static_cast<double>(written) / seconds, hash);
  if (profiler) fmt::print("{}", profile_text(*profiler));
}

}  // namespace

// bench_generate [prompts [threads [batch [profile]]]]
// bench_generate make FOLDER [tokenizer]: models for
// bench_generate open FOLDER [rounds [threads [head: as_is|bf16|fp8|nvfp4 [profile]]]]
int main(int argc, char** argv) {
  const std::string_view what = argc > 2 ? argv[1] : "";
  if (what == "make") return bench::make_decoding_models(argv[2], argc > 3 ? argv[3] : ""), 0;
  if (what == "open") {
    set_threads(argc > 4 ? std::atoi(argv[4]) : 0);
    std::optional<HeadFormat> head;
    for (const auto& entry : enum_names(HeadFormat{}))
      if (argc > 5 && entry.name == argv[5]) head = entry.value;
    return bench::measure_one_sequence(argv[2], argc > 3 ? std::atoi(argv[3]) : 5, head, argc > 6), 0;
  }
  const auto number = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  set_threads(number(2, 0));
  const bench::Workload load = bench::workload("P");
  const auto batches = bench::random_batches(load, 1);
  const bench::Models models = bench::make_models(load, true, batches);
  measure("bf16", *models.teacher, number(1, 256), number(3, 256), argc > 4);
  measure("nvfp4", *models.student, number(1, 256), number(3, 256), argc > 4);
}
