// Texts, JSON lines and token files that can't be read or hold nothing to learn: named by file and byte, line or
// document.
#include <optional>

#include "data/files/hdf5_file.h"
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

using testing::kFailed;
using testing::Workplace;
class BadText : public ::testing::Test {
 protected:
  void refused(const std::string& source, const std::vector<std::string>& words) {
    work_.run_refused({"data.train=" + source}, kFailed, words);
  }
  std::string token_file(const std::string& name, const Tensor& ids, const std::vector<std::int64_t>& offsets,
                         const std::optional<Tensor>& mask = {}) {
    Hdf5Writer writer(work_.path(name));
    writer.write_tensor("ids", ids);
    const Tensor places({static_cast<std::int64_t>(offsets.size())}, DType::i64);
    std::copy(offsets.begin(), offsets.end(), places.data<std::int64_t>());
    writer.write_tensor("offsets", places);
    if (mask) writer.write_tensor("mask", *mask);
    writer.close();
    return "{text: null, token_file: " + work_.at(name) + "}";
  }
  static Tensor ids(std::int64_t count, std::int32_t last) {
    const Tensor tensor({count}, DType::i32);
    for (std::int64_t i = 0; i < count; ++i) tensor.data<std::int32_t>()[i] = static_cast<std::int32_t>(i % 250);
    tensor.data<std::int32_t>()[count - 1] = last;
    return tensor;
  }

  Workplace work_;
};

TEST_F(BadText, PlainText) {
  const std::string latin = work_.write("latin.txt", "Caf\xe9 au lait\n");
  refused("{text: " + latin + "}", {latin + ": expected UTF-8 text, got byte 0xe9 at offset 3"});
  const std::string empty = work_.write("empty.txt", "");
  refused("{text: " + empty + "}", {empty + ": expected a text, got an empty file"});
  const std::string blank = work_.write("blank.txt", " \n---\n \n");
  refused("{text: " + blank + ", separator: \"---\"}",
          {blank + ": expected at least one document with text, got none"});
  const std::string text = work_.at("text.txt");
  refused("{text: " + text + ", separator: \"---\", skip_documents: 500}", {text, "skip_documents"});
  work_.run_refused({"data.packing=concatenate", "data.sequence_length=100000"}, kFailed,
                    {work_.at("held_out.txt") + ": expected text for a sequence of 100000 tokens"});
}

TEST_F(BadText, JsonLines) {
  const auto lines = [&](const std::string& contents) {
    return "{text: null, jsonl: " + work_.write("lines.jsonl", contents) + "}";
  };
  const std::string file = work_.at("lines.jsonl");
  refused(lines("{\"text\": \"a\"}\n{\"text\": \n"), {file + ":2:9: expected JSON"});
  refused(lines("{\"text\": \"a\"}\n\n{\"txt\": \"a\"}\n"),
          {file + ":3: expected text under the key 'text', got no such key"});
  refused(lines("{\"text\": 3}\n"), {file + ":1: expected text under the key 'text', got number"});
  refused(lines("[1]\n"), {file + ": expected JSON lines, one object a line, got a JSON array (python3 -c "});
  refused(lines("{\"text\": \"a\", \"text\": \"b\"}\n"),
          {file + ":1: text: expected every key once, got 'text' twice"});
  refused(lines("{\"text\": \"\xff\"}\n"), {file + ": expected UTF-8 text, got byte 0xff at offset 10"});
  refused(lines(""), {file + ": expected JSON lines, got an empty file"});
  refused(lines("\n"), {file + ": expected at least one document with text, got none"});
}

TEST_F(BadText, TokenFiles) {
  refused(token_file("beyond.h5", ids(1000, 258), {0, 500}),
          {"beyond.h5: expected token ids from 0 to 257, the model's vocabulary, got 258 in document 1"});
  refused(token_file("below.h5", ids(1000, -1), {0}),
          {"below.h5: expected token ids from 0 to 257", "got -1 in document 0"});
  refused(token_file("order.h5", ids(1000, 1), {0, 700, 400}),
          {"order.h5: offsets: expected rising numbers from 0 to 1000"});
  refused(token_file("floats.h5", Tensor::zeros({100}), {0}), {"floats.h5: ids: expected whole numbers"});
  refused(token_file("table.h5", Tensor::zeros({10, 10}, DType::i32), {0}),
          {"table.h5: ids: expected one axis, got 2"});
  const auto masked = [&](const Tensor& mask) { return token_file("masked.h5", ids(1000, 1), {0}, mask); };
  refused(masked(Tensor::zeros({1000})), {"masked.h5: mask: expected whole numbers, got another type"});
  refused(masked(Tensor::zeros({999}, DType::u8)), {"masked.h5: mask: expected 1000 numbers", "got 999"});
  refused("{text: null, token_file: " + work_.at("text.txt") + "}",
          {"text.txt: could not open it as a file of token ids (HDF5)"});
  const std::string cut = read_file(work_.path("beyond.h5"), "tokens").substr(0, 1500);
  refused("{text: null, token_file: " + work_.write("cut.h5", cut) + "}",
          {"cut.h5: could not open it", "truncated file"});
}

TEST_F(BadText, WithoutALabel) {
  const std::string masked = token_file("masked.h5", ids(1000, 1), {0}, Tensor::zeros({1000}, DType::u8));
  const std::string file = work_.at("masked.h5");
  const auto nothing = [&](const std::string& use, const std::string& why) {
    return std::vector<std::string>{"data." + use + ": " + file + ": expected a token to predict, as " + why + " needs",
                                    "got none", "masked"};
  };
  for (const char* use : {"train", "eval"}) {
    const std::string source = std::string("data.") + use + "=" + masked;
    work_.run_refused({"kind=qat", "loss.kind=cross_entropy", source}, kFailed, nothing(use, "kind: qat"));
    const std::string recipe = work_.recipe("arms: [{name: a, kind: ptq}, {name: b, kind: qat}]\n").string();
    work_.refused({"compare", recipe, "kind=compare", source, "--out", work_.at("out")}, kFailed,
                  nothing(use, "kind: qat"));
  }
  work_.refused({"eval", work_.teacher().string(), "--data", file}, kFailed,
                nothing("eval", "an evaluation without a teacher"));
  work_.run(work_.recipe(), "qad", {"data.train=" + masked, "data.eval=" + masked});  // distillation needs no labels
}

TEST_F(BadText, PromptsOfTheTeacher) {
  const std::string empty = work_.write("empty.txt", "");
  refused("{text: null, teacher_text: {prompts: " + empty + ", documents: 1}}", {empty + ": ", "got an empty file"});
}

}  // namespace
}  // namespace qad
