// Damaged and lying model folders: config.json, safetensors, tokenizers. Each is named by file and tensor.
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::kFailed;
using testing::Workplace;
constexpr const char* kQuery = "model.layers.0.self_attn.q_proj.weight";
constexpr const char* kKey = "model.layers.0.self_attn.k_proj.weight";

// A safetensors file in its three parts, to lie with.
struct Safetensors {
  std::uint64_t header_bytes = 0;
  std::string header, data;

  static Safetensors read(const fs::path& file) {
    const std::string bytes = read_file(file, "weights");
    Safetensors parts;
    std::memcpy(&parts.header_bytes, bytes.data(), sizeof parts.header_bytes);
    parts.header = bytes.substr(sizeof parts.header_bytes, parts.header_bytes);
    parts.data = bytes.substr(sizeof parts.header_bytes + parts.header_bytes);
    return parts;
  }
  [[nodiscard]] std::string bytes() const {
    std::string length(sizeof header_bytes, '\0');
    std::memcpy(length.data(), &header_bytes, sizeof header_bytes);
    return length + header + data;
  }
  void edit(const std::function<void(json&)>& change) {
    json entries = json::parse(header);
    change(entries);
    header = entries.dump();
    header_bytes = header.size();
  }
};

class BadModel : public ::testing::Test {
 protected:
  // Writes the teacher's weights as `change` leaves them; `qad run` must refuse them.
  void refused(const std::function<void(Safetensors&)>& change, const std::vector<std::string>& words) {
    Safetensors parts = good_;
    change(parts);
    write_file_atomically(weights_, parts.bytes());
    work_.run_refused({}, kFailed, words);
  }
  void header_refused(const std::function<void(json&)>& change, const std::vector<std::string>& words) {
    refused([&](Safetensors& parts) { parts.edit(change); }, words);
  }
  void config_refused(const std::string& key, const json& value, const std::vector<std::string>& words,
                      ExitCode code = kFailed) {
    const std::string good = read_file(work_.teacher() / "config.json", "config");
    json config = json::parse(good);
    config[key] = value;
    work_.write("teacher/config.json", config.dump());
    work_.run_refused({}, code, words);
    work_.write("teacher/config.json", good);
  }

  Workplace work_;
  fs::path weights_ = work_.teacher() / "model.safetensors";
  Safetensors good_ = Safetensors::read(weights_);
  std::string file_ = weights_.string();
};

TEST_F(BadModel, CutOffFiles) {
  write_file_atomically(weights_, "");
  work_.run_refused({}, kFailed, {file_ + ": expected a safetensors file, got a file of 0 bytes"});
  refused([](Safetensors& parts) { parts.data.resize(parts.data.size() - 100); },
          {file_ + ": tensor '", "is the file cut off?"});
  refused([](Safetensors& parts) { parts.header.resize(100), parts.data.clear(); },
          {file_ + ": expected a header of ", "got a file of 108 bytes (is the file cut off?)"});
}

TEST_F(BadModel, LyingHeaders) {
  refused([](Safetensors& parts) { parts.header_bytes = 1'000'000; }, {file_ + ": expected a header of 1000000 bytes"});
  refused([](Safetensors& parts) { parts.header_bytes = std::uint64_t{1} << 63; }, {file_, "at most 100 MB"});
  refused([](Safetensors& parts) { parts.header[5] = '"'; }, {file_ + ": header:1:", "expected JSON"});
  header_refused([](json& header) { header[kQuery]["data_offsets"][1] = 1'000'000'000; },
                 {file_ + ": tensor '" + kQuery + "': expected its bytes within", "got an end at 1000000000"});
  header_refused([](json& header) { header[kQuery]["data_offsets"] = header[kKey]["data_offsets"]; },
                 {file_ + ": tensor '", "got an overlap at"});
  header_refused([](json& header) { header.erase(kQuery); }, {file_ + ": tensor '", "got a gap at"});
  header_refused([](json& header) { header[kQuery]["data_offsets"][0] = -5; }, {kQuery, "got -5"});
  header_refused([](json& header) { header[kQuery]["dtype"] = "F99"; }, {kQuery, "a dtype among BOOL", "got 'F99'"});
  header_refused([](json& header) { header[kQuery]["shape"] = {32, 31}; }, {kQuery, "bytes for BF16 [32, 31]"});
}

TEST_F(BadModel, WeightsOfAnotherModel) {
  header_refused(
      [](json& header) {
        header[kQuery]["shape"] = {16, 64};
      },
      {kQuery, "expected shape [32, 32], got [16, 64] (does config.json belong to these weights?)"});
  header_refused([](json& header) { header[kQuery]["dtype"] = "I16"; }, {kQuery, "got I16"});
  header_refused(
      [](json& header) {
        header["other"] = header[kQuery];
        header.erase(kQuery);
      },
      {std::string("expected a tensor '") + kQuery + "', got none"});
}

TEST_F(BadModel, NumbersThatAreNone) {
  refused(
      [](Safetensors& parts) {
        const json header = json::parse(parts.header);
        const auto begin = header["model.norm.weight"]["data_offsets"][0].get<std::size_t>();
        parts.data.replace(begin + 6, 2, "\xc0\x7f");  // NaN in BF16
      },
      {"model.norm.weight: expected finite weights, got an infinity or NaN at index 3"});
}

TEST_F(BadModel, NumbersThatBf16DoesNotHold) {
  refused(
      [](Safetensors& parts) {
        const auto as_f32 = [&](json& header) {
          const auto begin = header["model.norm.weight"]["data_offsets"][0].get<std::size_t>();
          std::string values;
          for (int i = 0; i < 32; ++i)
            values += i == 3 ? std::string("\x9e\xc9\x7f\x7f", 4) : std::string("\0\0\x80\x3f", 4);
          parts.data.replace(begin, 64, values);
          for (auto& [name, entry] : header.items()) {
            if (name == "__metadata__") continue;
            for (auto& offset : entry["data_offsets"])
              if (offset.get<std::size_t>() > begin) offset = offset.get<std::size_t>() + 64;
          }
          header["model.norm.weight"]["dtype"] = "F32";
        };
        parts.edit(as_f32);
      },
      {"model.norm.weight: expected weights that BF16 holds, got 3.4", "at index 3", "teacher.weights: file"});
}

TEST_F(BadModel, MissingFiles) {
  fs::remove(weights_);
  work_.run_refused({}, ExitCode::usage,
                    {work_.at("teacher") + ": expected model.safetensors or model.safetensors.index.json"});
  work_.write("teacher/model.safetensors.index.json", R"({"weight_map": {"a": "b.safetensors"}})");
  work_.run_refused({}, ExitCode::usage,
                    {"expected 'b.safetensors' beside it, which tensor 'a' is in, got no such file"});
  work_.write("teacher/model.safetensors.index.json", R"({"weight_map": {"a": "../x"}})");
  work_.run_refused({}, kFailed, {"expected the name of a file beside it for 'a', got \"../x\""});
  fs::remove(work_.teacher() / "config.json");
  work_.run_refused({}, ExitCode::usage,
                    {"teacher.model: expected a model's folder", "got a folder without config.json: "});
  fs::remove_all(work_.teacher());
  work_.run_refused({"teacher.model=meta-llama/Llama-3.2-1B"}, ExitCode::usage,
                    {"got nothing there: meta-llama/Llama-3.2-1B (if it is on the hub: hf download "
                     "meta-llama/Llama-3.2-1B --local-dir meta-llama/Llama-3.2-1B)"});
}

TEST_F(BadModel, Configs) {
  config_refused("model_type", "mamba", {"config.json: expected model_type to be one of deepseek_v2, ", "got 'mamba'"});
  config_refused("vocab_size", "many", {"config.json: ", "vocab_size, got \"many\""});
  config_refused("hidden_size", 0, {"config.json: expected a whole number from 1 up, below 2^31, for hidden_size"});
  config_refused("is_causal", false, {"config.json: expected is_causal to be true, got false"});
  config_refused("rope_theta", 0, {"config.json: expected a number from 1 up that FP32 holds for rope_theta, got 0"});
  config_refused("num_key_value_heads", 3,
                 {"config.json: expected num_key_value_heads that divides num_attention_heads"});
  config_refused("vocab_size", 100, {"model.embed_tokens.weight: expected shape [100, 32], got [258, 32]"});
  config_refused("rope_scaling", {{"rope_type", "longrope"}},
                 {"config.json: rope_scaling: expected a rope_type among default, ", "got longrope"});
  config_refused("quantization_config", {{"quant_method", "modelopt"}},
                 {"teacher.model: expected a BF16 or FP32 model, got one that is quantized already (by modelopt)"},
                 ExitCode::usage);  // told with the recipe's other mistakes
  work_.write("teacher/config.json", "{\"model_type\": ");
  work_.run_refused({}, kFailed, {"config.json:1:", "expected JSON", "is the file cut off?"});
}

TEST_F(BadModel, Tokenizers) {
  const std::string good = read_file(work_.teacher() / "tokenizer.json", "tokenizer");
  work_.write("teacher/tokenizer.json", good.substr(0, 300));
  work_.run_refused({}, kFailed, {work_.at("teacher/tokenizer.json") + ":", "expected JSON"});
  work_.write("teacher/tokenizer.json", "{}");
  work_.run_refused({}, kFailed, {"expected the layout of a Hugging Face tokenizer.json, got key 'model' not found"});
  json unigram = json::parse(good);
  unigram["model"]["type"] = "Unigram";
  work_.write("teacher/tokenizer.json", unigram.dump());
  work_.run_refused({}, kFailed, {"tokenizer.json: expected a model among BPE, got Unigram"});
  fs::remove(work_.teacher() / "tokenizer.json");
  work_.run_refused({}, kFailed,
                    {"expected a tokenizer, got none in " + work_.at("teacher") + " (set data.tokenizer)"});
}

TEST(BadTokenizer, HasMoreTokensThanTheModel) {
  ModelConfig config = testing::tiny_config();
  config.vocab_size = 200;
  config.bos_token_id = 1;
  config.eos_token_id = {2};
  const Workplace work(config);
  work.run_refused({}, kFailed, {"expected a tokenizer within the model's vocabulary of 200, got 258 tokens"});
  work.refused({"generate", work.at("teacher")}, kFailed, {"vocabulary of 200, got 258 tokens"});
  work.refused({"eval", work.at("teacher"), "--data", work.at("text.txt")}, kFailed, {"vocabulary of 200, got 258"});
}

}  // namespace
}  // namespace qad
