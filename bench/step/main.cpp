// bench_step: a training step of W4A4 QAD as a run does it, against the floor that its matrix products set. Prints one
// JSON object a line: a step's loss as it comes, at last the result. bench/compare_step runs it beside PyTorch,
// bench/compare_ranks as several ranks under mpirun.
#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "autograd/base/parallel.h"
#include "autograd/base/profile.h"
#include "autograd/kernels/table.h"
#include "autograd/ranks/communicator.h"
#include "autograd/ranks/launch.h"
#include "bench/step/clock.h"
#include "bench/step/gemm_floor.h"
#include "bench/step/planned.h"
#include "bench/step/quantizer_rates.h"
#include "bench/step/workload.h"
#include "qad/plan/plan_memory.h"
#include "qad/quant/bf16_rounding.h"
#include "qad/report/machine.h"
#include "qad/report/profile_table.h"
#include "qad/train/step.h"

namespace qad::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kMomentSeed = 1;  // of what rounds BF16 moments
constexpr std::int64_t kBatches = 4;      // the steps take them in turn

struct Options {
  std::string workload = "S";
  std::string dump;
  int threads = 0;
  std::int64_t steps = 5, warmup = 2, layers = -1, micro_batch = 0, batch = 0, length = 0, shards = 1;
  std::string precision = "fp32";
  std::string moments = "fp32", moments_in = "memory";
  bool no_quantizers = false, no_floor = false, checkpointing = false, profile = false, plan = false;
};

void print(const Json& line) { std::cout << line.dump() << std::endl; }

Json facts() {
  return {{"machine", text_of(this_machine())}, {"kernels", kernel_description()}, {"threads", threads()}};
}

void run_quantizer() {
  for (const std::int64_t bytes : {std::int64_t{1} << 20, std::int64_t{256} << 20}) {
    double copy = 0;
    for (const QuantizerRate& rate : quantizer_rates(bytes)) {
      if (rate.what == "copy") copy = rate.bytes_per_second();
      print({{"event", "quantizer"},
             {"what", rate.what},
             {"bytes", rate.bytes},
             {"threads", threads()},
             {"values_per_second_and_core", rate.values_per_second / threads()},
             {"bytes_per_value", rate.bytes_per_value},
             {"bytes_per_second", rate.bytes_per_second()},
             {"share_of_copy", rate.bytes_per_second() / copy}});
    }
  }
}

std::int64_t weight_bytes(LanguageModel& model) {
  std::int64_t bytes = 0;
  for (const ParameterPointer& parameter : model.parameters())
    bytes += static_cast<std::int64_t>(parameter->value().bytes());
  return bytes;
}

// `beyond` is what the figures of memory mean: the peak without weights, gradients, optimizer state and the
// process as it was before there was a model.
Json memory(std::int64_t process, Models& models, const AdamW& optimizer) {
  const std::int64_t peak = peak_rss_bytes(), teacher = weight_bytes(*models.teacher),
                     student = weight_bytes(*models.student);
  std::int64_t moments = 0;
  for (const AdamW::State& state : optimizer.states())
    moments += static_cast<std::int64_t>(state.first.bytes() + state.second.bytes());
  return {{"peak", peak},
          {"process", process},
          {"teacher", teacher},
          {"student", student},
          {"gradients", student},
          {"optimizer", moments},
          {"beyond", peak - process - teacher - 2 * student - moments}};
}

Json json_of(const Product& product) {
  Json json = {{"role", product.role},
               {"m", product.m},
               {"n", product.n},
               {"k", product.k},
               {"count", product.count},
               {"seconds", product.seconds},
               {"gflops", product.operations() / product.seconds * 1e-9},
               {"fastest", product.fastest}};
  if (product.of_codes > 0)
    json.update({{"of_codes", product.of_codes},
                 {"codes_seconds", product.codes_seconds},
                 {"codes_gflops", product.operations() / product.codes_seconds * 1e-9}});
  return json;
}

// Seconds of a step by operation, over all phases: forward of the teacher, of the student, backward, optimizer.
Json json_of(const Profiler& profiler) {
  std::map<std::string, double> seconds;
  for (const ProfileRow& row : profiler.rows()) seconds[std::string(row.operation)] += row.seconds;
  for (auto& [operation, its_seconds] : seconds) its_seconds /= static_cast<double>(profiler.rounds());
  return seconds;
}

// Into micro-batches of `sequences`, each of `length` tokens; 0: the batch as it is.
std::vector<TokenBatch> cut(const TokenBatch& batch, std::int64_t length, std::int64_t sequences) {
  if (sequences == 0) return {batch};
  std::vector<TokenBatch> parts;
  const auto all = static_cast<std::int64_t>(batch.segments.size());
  for (std::int64_t begin = 0; begin < all; begin += sequences) {
    const std::int64_t end = std::min(all, begin + sequences);
    const auto tokens = [&](const auto& values) {
      return std::decay_t<decltype(values)>(values.begin() + begin * length, values.begin() + end * length);
    };
    // All sequences are as long, so the first ones' places serve in every part.
    parts.push_back({tokens(batch.ids),
                     tokens(batch.positions),
                     tokens(batch.labels),
                     tokens(batch.valid),
                     {batch.segments.begin(), batch.segments.begin() + (end - begin)},
                     {batch.document.begin() + begin, batch.document.begin() + end}});
  }
  return parts;
}

void run_step(const Options& options) {
  const std::int64_t process = resident_bytes_now();
  Workload load = workload(options.workload);
  if (options.layers >= 0) load.model.num_hidden_layers = options.layers;
  if (options.batch > 0) load.batch = options.batch;
  if (options.length > 0) load.length = options.length;
  TrainConfig config = train_config(load);
  config.shards = options.shards;
  config.forward = config.backward = options.precision == "bf16" ? Precision::bf16 : Precision::fp32;
  config.adamw.moments = options.moments == "bf16" ? Precision::bf16 : Precision::fp32;
  config.adamw.moments_in = options.moments_in == "file" ? MomentsIn::file : MomentsIn::memory;
  if (options.checkpointing || load.is_large) config.activation_checkpointing = ActivationCheckpointing::block;
  const std::vector<TokenBatch> batches = random_batches(load, kBatches);
  Models models = make_models(load, !options.no_quantizers && load.model.num_hidden_layers > 0, batches);
  if (!options.dump.empty()) dump(options.dump, load, models, batches);
  models.student->activation_checkpointing = config.activation_checkpointing;
  for (LanguageModel* model : {models.teacher.get(), models.student.get()})
    set_input_precision(*model, config.backward);
  const ParameterList trained = models.student->parameters();
  AdamW optimizer(config.adamw, trained, std::vector<AdamWOptions>(trained.size()), kMomentSeed,
                  std::filesystem::temp_directory_path());

  const auto batch_size = static_cast<std::int64_t>(batches.front().segments.size());
  const std::int64_t of_shard = batch_size / options.shards;
  std::int64_t micro_batch = options.micro_batch > 0 ? options.micro_batch : load.is_large ? 1 : 0;
  if (options.shards > 1) micro_batch = micro_batch > 0 ? std::min(micro_batch, of_shard) : of_shard;
  if (batch_size % options.shards != 0 || (options.shards > 1 && of_shard % micro_batch != 0))
    throw Error({.who = "--shards", .expected = "a divisor of the batch", .got = std::to_string(options.shards)});
  const ShardSizes shards(static_cast<std::size_t>(options.shards),
                          options.shards > 1 ? static_cast<std::size_t>(of_shard / micro_batch) : 0);
  const MemoryPlan plan =
      options.plan ? planned_memory(load, config, micro_batch > 0 ? micro_batch : of_shard, process) : MemoryPlan();
  std::int64_t sent = 0;
  double waited = 0;

  std::vector<double> times;
  Json losses = Json::array(), resident;
  std::optional<Profiler> profiler;
  for (std::int64_t step = 1; step <= options.warmup + options.steps; ++step) {
    const std::vector<TokenBatch> parts =
        cut(batches[static_cast<std::size_t>((step - 1) % kBatches)], load.length, micro_batch);
    if (step == options.warmup + 1) {
      sent = ranks().bytes_sent();
      waited = ranks().seconds_waited();
    }
    if (options.profile && step == options.warmup + 1) profiler.emplace();
    StepResult result;
    const double seconds = seconds_of([&] {
      const ProfilePhase phase("step");
      result = train_step(config, {}, step, *models.student, models.teacher.get(), optimizer, parts,
                          options.shards > 1 ? shards : ShardSizes());
    });
    if (result.skipped) throw Error({.who = fmt::format("step {}", step), .got = result.reason});
    print({{"event", "step"},
           {"step", step},
           {"loss", result.loss},
           {"grad_norm", result.gradient_norm},
           {"seconds", seconds}});
    losses.push_back(result.loss);
    if (step > options.warmup) times.push_back(seconds);
    if (step == options.warmup) resident.push_back(resident_bytes_now());
  }
  resident.push_back(resident_bytes_now());
  Json operation_seconds;
  if (profiler) {
    std::cerr << profile_text(*profiler);
    operation_seconds = json_of(*profiler);
  }
  profiler.reset();

  Json result = {{"event", "result"}, {"peer", "qad"}, {"workload", load.name}};
  result.update(facts());
  result.update({{"quantizers", !models.quantizers.empty()},
                 {"layers", load.model.num_hidden_layers},
                 {"parameters", parameter_count(*models.student)},
                 {"tokens", load.tokens()},
                 {"steps", options.steps},
                 {"losses", losses},
                 {"shards", options.shards},
                 {"ranks", ranks().size()},
                 {"bytes_sent_per_step", (ranks().bytes_sent() - sent) / std::max<std::int64_t>(1, options.steps)},
                 {"seconds_waited_per_step",
                  (ranks().seconds_waited() - waited) / static_cast<double>(std::max<std::int64_t>(1, options.steps))},
                 {"resident_after_warmup_and_end", resident},
                 {"memory", memory(process, models, optimizer)}});
  if (options.plan) {
    const std::int64_t peak = result["memory"]["peak"].get<std::int64_t>();
    result["memory"]["planned"] = plan.total();
    result["memory"]["planned_over_peak"] = static_cast<double>(plan.total()) / static_cast<double>(peak);
  }
  if (!operation_seconds.empty()) result["operation_seconds"] = operation_seconds;
  if (!times.empty()) {
    result["step_seconds"] = median(times);
    result["tokens_per_second"] = static_cast<double>(load.tokens()) / median(times);
  }
  if (!options.no_floor) {
    std::vector<Product> products = products_of(load, *models.student, !models.quantizers.empty());
    models = {};
    time_products(products, config.backward);
    const double floor = floor_seconds(products, false);
    double operations = 0;
    for (const Product& product : products) operations += static_cast<double>(product.count) * product.operations();
    result["floor_seconds"] = floor;
    result["floor_gflops"] = operations / floor * 1e-9;
    result["fp32_floor_seconds"] = floor_seconds(products, true);
    if (!times.empty()) result["floor_over_step"] = floor / median(times);
    for (const Product& product : products) result["products"].push_back(json_of(product));
  }
  print(result);
}

Options parse(int argc, char** argv, bool& help) {
  namespace po = boost::program_options;
  Options options;
  po::options_description all(
      "bench_step [options]: a training step of W4A4 QAD against the floor of its matrix products", 100);
  all.add_options()("workload", po::value(&options.workload)->value_name("NAME"),
                    "S, M, V, L, XL, N, K, E, R, X, Xdense: a training step (workload.h); Q: the quantizer alone")(
      "threads", po::value(&options.threads)->value_name("N"), "0: one a core")(
      "steps", po::value(&options.steps)->value_name("N"), "steps that are timed, 5")(
      "warmup", po::value(&options.warmup)->value_name("N"), "steps before them, 2")(
      "batch", po::value(&options.batch)->value_name("N"), "sequences a step, other than the workload's")(
      "length", po::value(&options.length)->value_name("N"), "tokens of each, other than the workload's")(
      "micro-batch", po::value(&options.micro_batch)->value_name("N"), "sequences a forward; 0: all")(
      "shards", po::value(&options.shards)->value_name("N"), "train.shards; under mpirun ranks share them")(
      "precision", po::value(&options.precision)->value_name("fp32|bf16"),
      "of products: teacher.compute, train.forward and train.backward")(
      "moments", po::value(&options.moments)->value_name("fp32|bf16"), "train.adamw.moments")(
      "moments-in", po::value(&options.moments_in)->value_name("memory|file"),
      "train.adamw.moments_in; a file on the disk of the temporary folder")(
      "no-quantizers", po::bool_switch(&options.no_quantizers), "the same step with a student in FP32")(
      "no-floor", po::bool_switch(&options.no_floor), "do not time the matrix products alone")(
      "checkpointing", po::bool_switch(&options.checkpointing), "activation_checkpointing: block")(
      "plan", po::bool_switch(&options.plan), "what qad plan says of the memory, beside the peak")(
      "profile", po::bool_switch(&options.profile), "the timed steps by phase and operation, to standard error")(
      "layers", po::value(&options.layers)->value_name("N"), "other than the workload's; 0: head and loss alone")(
      "dump", po::value(&options.dump)->value_name("DIR"),
      "write teacher, tokens and scales for another implementation")("help,h", "this text");
  po::variables_map values;
  try {
    po::store(po::command_line_parser(argc, argv).options(all).run(), values);
    po::notify(values);
  } catch (const po::error& error) {
    throw Error({.who = "options", .got = error.what(), .hint = "see bench_step --help"}, ExitCode::usage);
  }
  if (options.precision != "fp32" && options.precision != "bf16")
    throw Error({.who = "--precision", .expected = "fp32 | bf16", .got = options.precision}, ExitCode::usage);
  if (options.moments != "fp32" && options.moments != "bf16")
    throw Error({.who = "--moments", .expected = "fp32 | bf16", .got = options.moments}, ExitCode::usage);
  if (options.moments_in != "memory" && options.moments_in != "file")
    throw Error({.who = "--moments-in", .expected = "memory | file", .got = options.moments_in}, ExitCode::usage);
  help = values.count("help") != 0;
  if (help) std::cout << all;
  return options;
}

int guarded_main(int argc, char** argv) {
  try {
    install_stop_signals();
    start_ranks();
    bool help = false;
    const Options options = parse(argc, argv, help);
    if (help) return 0;
    set_threads(options.threads);
    set_terminal_log_level(LogLevel::warning);
    if (options.workload == "Q") run_quantizer();
    else run_step(options);
    return static_cast<int>(end_ranks(ExitCode::done, ""));
  } catch (const Error& error) {
    return static_cast<int>(end_ranks(error.code(), error.what()));
  }
}

}  // namespace
}  // namespace qad::bench

int main(int argc, char** argv) { return qad::bench::guarded_main(argc, argv); }
