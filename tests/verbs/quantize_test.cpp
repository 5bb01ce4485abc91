// `qad quantize` and `stream: true`: the bytes of `qad run`, from a model of which one part at a time is in memory;
// killed, stopped and out of room on the way.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "data/files/safetensors_writer.h"
#include "models/import/model_folder.h"
#include "tests/bad_input/refusal.h"
#include "tests/support/hybrid_models.h"
#include "tests/support/small_disk.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Arguments;
using testing::Outcome;
using testing::Workplace;

ModelConfig experts() {
  ModelConfig config = testing::wide_config();
  config.model_type = "qwen3_moe";
  config.qk_norm = true;
  config.initializer_range = 0.2;
  config.experts = ExpertsConfig{.num_experts = 6, .num_experts_per_tok = 2, .moe_intermediate_size = 128};
  return config;
}

// Text by file name; of qad_export.json what it says of the others.
std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().lexically_relative(folder).string(), text = read_file(entry.path(), "a file");
    files[name] = name == "qad_export.json" ? nlohmann::json::parse(text)["files"].dump() : text;
  }
  return files;
}

void expect_same_files(const fs::path& a, const fs::path& b) {
  const auto one = files_of(a), other = files_of(b);
  for (const auto& [name, text] : one) {
    ASSERT_TRUE(other.contains(name)) << name;
    EXPECT_TRUE(other.at(name) == text) << name;
  }
  EXPECT_EQ(one.size(), other.size());
}

class Quantize : public Workplace {
 public:
  using Workplace::Workplace;

  [[nodiscard]] Arguments text() const {
    return {"data.train={text: \"" + at("text.txt") + "\", separator: \"---\"}", "data.sequence_length=64",
            "calibrate.tokens=512"};
  }
  void run_whole(const std::string& preset, const std::string& layout, const std::string& out,
                 const Arguments& more = {}) const {
    Arguments arguments = {"run",
                           "presets/" + preset,
                           "--out",
                           at(out),
                           "kind=ptq",
                           "export=[" + layout + "]",
                           "teacher.model=" + at("teacher"),
                           "data.eval={text: \"" + at("held_out.txt") + "\", separator: \"---\", tokens: 200}"};
    for (const Arguments& some : {text(), more}) arguments.insert(arguments.end(), some.begin(), some.end());
    const Outcome outcome = start(arguments);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  [[nodiscard]] Arguments quantize(const std::string& preset, const std::string& layout, const std::string& out,
                                   const Arguments& more = {}) const {
    Arguments arguments = {"quantize", at("teacher"), "--preset", preset, "--layout", layout, "--out", at(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  // Both ways, and the same files.
  void same(const std::string& preset, const std::string& layout, const Arguments& more = {}) const {
    SCOPED_TRACE(preset + " " + layout);
    const std::string number = std::to_string(++count_), run = "run" + number, streamed = "streamed" + number;
    run_whole(preset, layout, run, more);
    Arguments with_text = text();
    with_text.insert(with_text.end(), more.begin(), more.end());
    const Outcome outcome = start(quantize(preset, layout, streamed, with_text));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    expect_same_files(path(run) / "export" / layout, path(streamed));
  }

 private:
  mutable int count_ = 0;
};

TEST(StreamedBytes, OfEveryPreset) {
  const Quantize dense(testing::wide_config()), routed(experts());
  const auto hybrid = [](const char* model_type) {
    ModelConfig config = testing::small_hybrid(model_type);
    config.vocab_size = testing::wide_config().vocab_size;
    return config;
  };
  const Quantize nemotron(hybrid("nemotron_h")), kimi(hybrid("kimi_linear")), qwen(hybrid("qwen3_5_text")),
      qwen_experts(hybrid("qwen3_5_moe_text"));
  struct Case {
    const char* preset;
    const Quantize& work;
    const char* layout;
  };
  std::set<std::string> tried, present;
  for (const auto& [preset, work, layout] :
       std::initializer_list<Case>{{"fp8", dense, "modelopt"},
                                   {"fp8_kv_fp8", dense, "modelopt"},
                                   {"int4_w4a16", dense, "compressed_tensors"},
                                   {"int8_w8a16", dense, "compressed_tensors"},
                                   {"kimi_linear_nvfp4", kimi, "modelopt"},
                                   {"moe_experts_nvfp4", routed, "compressed_tensors"},
                                   {"mxfp4_w4a16", dense, "compressed_tensors"},
                                   {"mxfp4_w4a4", dense, "compressed_tensors"},
                                   {"nemotron3_nano_nvfp4", nemotron, "modelopt"},
                                   {"nemotron3_super_mixed", nemotron, "compressed_tensors"},
                                   {"nf4_w4a16", dense, "bitsandbytes"},
                                   {"nvfp4_w4a16", dense, "gguf"},
                                   {"nvfp4_w4a4", dense, "gguf"},
                                   {"nvfp4_w4a4_best", dense, "modelopt"},
                                   {"nvfp4_w4a4_kv_fp8", dense, "gguf"},
                                   {"nvfp4_w4a4_mlp", dense, "modelopt"},
                                   {"qwen3_5_nvfp4", qwen, "modelopt"},
                                   {"qwen3_5_nvfp4", qwen_experts, "compressed_tensors"}}) {
    work.same(preset, layout);
    tried.insert(preset);
  }
  for (const auto& entry : fs::directory_iterator(fs::path(QAD_SOURCE_DIR) / "recipes/presets"))
    present.insert(entry.path().stem());
  EXPECT_EQ(tried, present);
}

TEST(StreamedBytes, OfEveryLayout) {
  const Quantize work(testing::wide_config());
  for (const char* layout : {"modelopt", "compressed_tensors"})
    for (const char* preset : {"nvfp4_w4a16", "nvfp4_w4a4"}) work.same(preset, layout);
  work.same("nvfp4_w4a16", "modelopt", {"calibrate.algorithm=mse", "teacher.weights=file"});
}

TEST(StreamedBytes, OfAlgorithmsThatGoByBlocks) {
  const Quantize work(testing::wide_config());
  for (const char* algorithm : {"gptq", "awq", "smoothquant", "local_hessian"})
    work.same("nvfp4_w4a4", "gguf",
              {std::string("calibrate.algorithm=") + algorithm,
               "quantize.rules=[{layers: \"*\", weights: nvfp4, inputs: nvfp4}]"});
}

TEST(StreamedBytes, OfExperts) {
  const Quantize work(experts());
  for (const char* layout : {"modelopt", "gguf"}) work.same("nvfp4_w4a16", layout);
  work.same("nvfp4_w4a4_kv_fp8", "compressed_tensors");
  work.same("nvfp4_w4a4", "gguf", {"calibrate.algorithm=gptq"});
}

TEST(StreamedRun, IsARunOfItsOwn) {
  const Quantize work(testing::wide_config());
  work.run_whole("nvfp4_w4a4", "modelopt", "whole");
  Arguments arguments = {"run",
                         "presets/nvfp4_w4a4",
                         "--out",
                         work.at("run"),
                         "kind=ptq",
                         "stream=true",
                         "export=[modelopt, compressed_tensors]",
                         "teacher.model=" + work.at("teacher")};
  for (const std::string& one : work.text()) arguments.push_back(one);
  const Outcome outcome = Workplace::start(arguments);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  expect_same_files(work.path("whole/export/modelopt"), work.path("run/export/modelopt"));
  EXPECT_TRUE(fs::exists(work.path("run/export/compressed_tensors/config.json")));
  const std::string report = read_file(work.path("run/report.html"), "a report");
  EXPECT_NE(report.find("compressed_tensors"), std::string::npos);
  EXPECT_EQ(report.find(">nan"), std::string::npos);
  fs::remove_all(work.path("run/export/modelopt"));
  const Outcome again = Workplace::start({"resume", work.at("run")});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  expect_same_files(work.path("whole/export/modelopt"), work.path("run/export/modelopt"));
}

ModelConfig large_enough_to_be_killed_in() {
  ModelConfig config = testing::wide_config();
  config.hidden_size = 256;
  config.intermediate_size = 512;
  config.num_hidden_layers = 6;
  return config;
}

std::ptrdiff_t parts_done(const fs::path& partial) {
  const fs::path list = partial / ".qad_stream";
  return fs::exists(list) ? std::ranges::count(read_file(list, "a list"), '\n') - 1 : 0;
}

// Stopped with some parts done and some not.
std::unique_ptr<testing::Process> stopped_halfway(const Quantize& work, const Arguments& arguments,
                                                  const std::string& out) {
  constexpr std::chrono::milliseconds kMoment(1), kUntilItStands(20);
  const fs::path partial = work.path("." + out + ".partial");
  for (int i = 0; i < 50; ++i) {
    auto process = std::make_unique<testing::Process>(arguments);
    while (process->running() && parts_done(partial) < 3) std::this_thread::sleep_for(kMoment);
    process->send(SIGSTOP);
    std::this_thread::sleep_for(kUntilItStands);
    if (parts_done(partial) > 0) return process;
    process->send(SIGCONT);
    process->wait();
    fs::remove_all(work.path(out));
  }
  ADD_FAILURE() << "it was always done already";
  return nullptr;
}

TEST(StreamedResume, KilledAtAnyMomentItGoesOn) {
  const Quantize work(large_enough_to_be_killed_in());
  for (const Arguments& more : {Arguments(), Arguments{"calibrate.algorithm=gptq"}}) {
    const std::string preset = more.empty() ? "nvfp4_w4a16" : "nvfp4_w4a4", out = "out-" + preset;
    Arguments all = work.text();
    all.insert(all.end(), more.begin(), more.end());
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(Workplace::start(work.quantize(preset, "modelopt", out + "-whole", all)).exit_code, 0);
    const auto whole = std::chrono::steady_clock::now() - begin;
    int kills = 0;
    for (int i = 0; i < 5; ++i) {
      Arguments arguments = work.quantize(preset, "modelopt", out, all);
      arguments.insert(arguments.end(), {"--quiet", "--threads", "1"});
      testing::Process process(arguments);
      std::this_thread::sleep_for(whole * (i + 1) / 7);
      if (process.running()) ++kills;
      process.send(SIGKILL);
      process.wait();
      if (fs::exists(work.path(out) / "config.json")) fs::remove_all(work.path(out));
    }
    EXPECT_GT(kills, 0);
    const Outcome outcome = Workplace::start(work.quantize(preset, "modelopt", out, all));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    expect_same_files(work.path(out + "-whole"), work.path(out));
    EXPECT_FALSE(fs::exists(work.path("." + out + ".partial")));
  }
}

// What half of the export was made from is gone: the whole of it is made again, and of one model.
TEST(StreamedResume, AfterAChangeOfTheModelItBeginsAgain) {
  const ModelConfig config = large_enough_to_be_killed_in();
  const Quantize work(config);
  const fs::path weights = work.teacher() / "model.safetensors", keys = work.teacher() / "config.json";
  // A value that no sample looks at, in the last tensor, and the file's time of writing as it was.
  const auto changes_a_weight = [&] {
    const auto time = fs::last_write_time(weights);
    std::fstream file(weights, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-100, std::ios::end);
    file.put('\x3a');
    file.close();
    fs::last_write_time(weights, time);
  };
  const auto replaces_weights = [&] {
    const auto other = initialize_model(config, 2);
    save_model(work.path("other"), *other, DType::bf16);
    fs::rename(work.path("other/model.safetensors"), weights);
  };
  const auto changes_the_config = [&] {
    nlohmann::ordered_json changed = nlohmann::ordered_json::parse(read_file(keys, "a config"));
    changed["rms_norm_eps"] = 0.5;
    write_file_atomically(keys, changed.dump());
  };
  const std::initializer_list<std::pair<const char*, std::function<void()>>> kChanges = {
      {"nothing", [] {}}, {"a value", changes_a_weight}, {"weights", replaces_weights}, {"config", changes_the_config}};
  for (const auto& [what, change] : kChanges) {
    SCOPED_TRACE(what);
    const std::string out = std::string("out of ") + what;
    Arguments arguments = work.quantize("nvfp4_w4a4", "modelopt", out, work.text());
    arguments.insert(arguments.end(), {"--threads", "1"});
    const auto process = stopped_halfway(work, arguments, out);
    ASSERT_NE(process, nullptr);
    process->send(SIGKILL);
    process->wait();
    change();
    const Outcome outcome = testing::run_program(arguments);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const bool is_same = std::string_view(what) == "nothing";
    EXPECT_EQ(outcome.err.find("goes on after") != std::string::npos, is_same) << outcome.err;
    EXPECT_EQ(outcome.err.find("begins again") != std::string::npos, !is_same) << outcome.err;
    ASSERT_EQ(Workplace::start(work.quantize("nvfp4_w4a4", "modelopt", out + " whole", work.text())).exit_code, 0);
    expect_same_files(work.path(out + " whole"), work.path(out));
  }
}

TEST(StreamedResume, ExportsOfARunAreOfOneModel) {
  const Quantize work(testing::wide_config());
  const Outcome first =
      Workplace::start({"run", "presets/nvfp4_w4a16", "--out", work.at("run"), "kind=ptq", "stream=true",
                        "export=[modelopt, compressed_tensors]", "teacher.model=" + work.at("teacher")});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const auto before = files_of(work.path("run/export/modelopt"));
  const auto other = initialize_model(testing::wide_config(), 2);
  save_model(work.teacher(), *other, DType::bf16);
  fs::remove_all(work.path("run/export/compressed_tensors"));
  work.refused({"resume", work.at("run")}, testing::kFailed, {"/run: ", "the model that its other exports are of"});
  EXPECT_EQ(files_of(work.path("run/export/modelopt")), before);
  fs::remove_all(work.path("run/export"));
  const Outcome again = Workplace::start({"resume", work.at("run")});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(files_of(work.path("run/export/modelopt")), before);
}

TEST(StreamedResume, AFullDiskIsOneLineAndWhatIsDoneStays) {
  const Quantize work(testing::wide_config());
  const testing::SmallDisk disk(work.path("disk"), "300k");
  if (!disk.mounted()) GTEST_SKIP() << "no right to mount";
  const Arguments arguments = work.quantize("nvfp4_w4a16", "modelopt", "disk/out");
  const Outcome full = Workplace::start(arguments);
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_EQ(std::ranges::count(full.err, '\n'), 1) << full.err;
  EXPECT_NE(full.err.find("free some space"), std::string::npos) << full.err;
  EXPECT_FALSE(fs::exists(work.path("disk/out")));
  disk.grow("20m");
  const Outcome outcome = Workplace::start(arguments);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  work.run_whole("nvfp4_w4a16", "modelopt", "run");
  expect_same_files(work.path("run/export/modelopt"), work.path("disk/out"));
}

TEST(StreamedPlan, SaysWhatItTakes) {
  const Quantize work(testing::wide_config());
  const Outcome outcome = Workplace::start({"plan", "presets/nvfp4_w4a16", "--json", "kind=ptq", "stream=true",
                                            "export=[modelopt]", "teacher.model=" + work.at("teacher")});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto row = nlohmann::json::parse(outcome.out)["exports"][0];
  EXPECT_GT(row["source_bytes"].get<int>(), row["bytes"].get<int>());
  EXPECT_GT(row["memory_bytes"].get<int>(), 0);
}

TEST(StreamedRefusals, NoRunWhereOneIsAboutToStand) {
  const Quantize work(large_enough_to_be_killed_in());
  Arguments arguments = work.quantize("nvfp4_w4a16", "modelopt", "out", {"--threads", "1"});
  const auto process = stopped_halfway(work, arguments, "out");
  ASSERT_NE(process, nullptr);
  work.run_refused({}, testing::kFailed, {"/out: ", "process ", "which makes it"});
  process->send(SIGCONT);
  const Outcome outcome = process->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(work.path("out/config.json")));
}

TEST(StreamedRefusals, OneLineEach) {
  const Quantize work(testing::wide_config());
  const auto quantize = [&](const std::string& preset, const std::string& layout, const Arguments& more = {}) {
    return work.quantize(preset, layout, "out", more);
  };
  work.refused(quantize("nvfp4_w4a4", "modelopt"), ExitCode::usage,
               {"qad: command line: calibrate.source: expected a text, as inputs are quantized",
                "got none (calibrate.source.text=FILE names it)"});
  Arguments nothing = quantize("nvfp4_w4a4", "modelopt");
  nothing[1] = "no/model";
  work.refused(nothing, ExitCode::usage, {"qad: no/model: expected a model's folder", "got nothing there"});
  work.refused(quantize("nvfp4_w4a16", "dense"), ExitCode::usage, {"dense", "part by part"});
  Arguments trained = work.text();
  trained.insert(trained.end(), {"kind=qad", "train.steps=1"});
  work.refused(quantize("nvfp4_w4a16", "modelopt", trained), ExitCode::usage, {"stream", "kind: ptq"});
  work.refused(quantize("int8_w8a16", "modelopt"), ExitCode::usage, {"no place"});
  work.refused(quantize("no_such_preset", "modelopt"), ExitCode::usage, {"no_such_preset"});

  work.run_whole("nvfp4_w4a16", "modelopt", "run");
  Arguments packed = quantize("nvfp4_w4a16", "modelopt");
  packed[1] = work.at("run/export/modelopt");
  work.refused(packed, ExitCode::usage, {"quantized already"});
  packed[1] = work.at("run");
  work.refused(packed, ExitCode::usage, {"a run's"});
  fs::create_directory(work.path("out"));
  work.write("out/mine.txt", "mine");
  work.refused(quantize("nvfp4_w4a16", "modelopt"), ExitCode::usage, {"a new or empty folder"});
}

TEST(StreamedRefusals, AMissingShardIsNamed) {
  const Quantize work(testing::wide_config());
  const auto model = load_model(work.teacher(), WeightType::file);
  std::vector<SafetensorsEntry> entries;
  for (const ParameterPointer& one : model->parameters()) entries.push_back(safetensors_entry(one->name, one->value()));
  fs::remove(work.path("teacher/model.safetensors"));
  write_safetensors_folder(work.teacher(), entries, 200'000);
  ASSERT_TRUE(fs::exists(work.path("teacher") / kSafetensorsIndex));
  std::vector<fs::path> shards;
  for (const auto& entry : fs::directory_iterator(work.teacher()))
    if (entry.path().extension() == ".safetensors") shards.push_back(entry.path());
  ASSERT_GT(shards.size(), 1u);
  fs::rename(shards[1], work.path("elsewhere"));
  work.refused(work.quantize("nvfp4_w4a16", "modelopt", "out"), ExitCode::usage, {shards[1].filename().string()});
  fs::rename(work.path("elsewhere"), shards[1]);
  EXPECT_EQ(Workplace::start(work.quantize("nvfp4_w4a16", "modelopt", "out")).exit_code, 0);
}

}  // namespace
}  // namespace qad
