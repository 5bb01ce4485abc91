// safetensors: round trips, sharding, and every way in which a file can be cut off, damaged or lie.
#include "data/files/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/random.h"
#include "data/files/safetensors_writer.h"
#include "tests/support/bytes.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_mentions;
using testing::numbered;
using testing::same_bits;
using testing::TemporaryFolder;

std::span<const std::byte> bytes_of_text(const std::string& text) { return std::as_bytes(std::span(text)); }

// A file from a header and so many bytes of data.
std::string file_of(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + std::string(data_bytes, '\1');
}

// What the reader says to such a file; "no error" when it is content.
std::string verdict(const std::string& file) {
  return error_of([&] { static_cast<void>(parse_safetensors_header(bytes_of_text(file), "m.safetensors")); });
}

std::string verdict(const std::string& header, std::size_t data_bytes) { return verdict(file_of(header, data_bytes)); }

TEST(Safetensors, EveryTensorComesBackBitForBit) {
  const TemporaryFolder folder;
  std::vector<Tensor> tensors;
  std::vector<SafetensorsEntry> entries;
  const DType dtypes[] = {DType::u8, DType::f32, DType::bf16, DType::i64, DType::f16, DType::i32};
  for (const DType dtype : dtypes)
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 5}, Shape{0, 7}, Shape{2, 1, 3, 2}})
      tensors.push_back(numbered(shape, dtype, tensors.size()));
  for (std::size_t i = 0; i < tensors.size(); ++i)
    entries.push_back(safetensors_entry("t" + std::to_string(i), tensors[i]));
  const Tensor codes = numbered({16}, DType::u8, 99);
  entries.push_back({"scale \"é\"", "F8_E4M3", {1, 1, 2, 2, 4}, {codes.raw(), 16}});

  write_safetensors(folder / "a.safetensors", entries);
  const SafetensorsFile file(folder / "a.safetensors");
  EXPECT_EQ(file.metadata(), default_safetensors_metadata());
  ASSERT_EQ(file.tensors().size(), entries.size());
  for (std::size_t i = 0; i < tensors.size(); ++i)
    EXPECT_TRUE(same_bits(file.tensor(entries[i].name), tensors[i])) << i;
  EXPECT_EQ(file.info("scale \"é\"").shape, (std::vector<std::int64_t>{1, 1, 2, 2, 4}));
  EXPECT_EQ(std::memcmp(file.bytes("scale \"é\"").data(), codes.raw(), 16), 0);
  expect_mentions(error_of([&] { static_cast<void>(file.tensor("scale \"é\"")); }), {"scale", "four axes"});
  expect_mentions(error_of([&] { static_cast<void>(file.tensor("absent")); }), {"a.safetensors", "'absent'"});
}

TEST(Safetensors, FilesAreAlignedSortedAndTheSameWhateverTheOrder) {
  const TemporaryFolder folder;
  const Tensor bytes = numbered({3}, DType::u8, 1), half = numbered({5}, DType::bf16, 2),
               full = numbered({2}, DType::f32, 3);
  const std::vector<SafetensorsEntry> entries = {safetensors_entry("a", bytes), safetensors_entry("c", half),
                                                 safetensors_entry("b", half), safetensors_entry("z", full)};
  write_safetensors(folder / "1", entries);
  write_safetensors(folder / "2", {entries.rbegin(), entries.rend()});
  EXPECT_EQ(read_file(folder / "1", ""), read_file(folder / "2", ""));

  const SafetensorsFile file(folder / "1");
  std::string order;
  for (const SafetensorsInfo& tensor : file.tensors()) order += tensor.name;
  EXPECT_EQ(order, "zbca");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.bytes("z").data()) % 8, 0U);
}

TEST(Safetensors, WriterRefusesWhatNoReaderWouldTake) {
  const TemporaryFolder folder;
  const Tensor t = numbered({4}, DType::u8, 1);
  const auto refusal = [&](std::vector<SafetensorsEntry> entries) {
    return error_of([&] { write_safetensors(folder / "a", std::move(entries)); });
  };
  const std::span<const std::byte> four(t.raw(), 4);
  expect_mentions(refusal({{"x", "U8", {4}, four}, {"x", "U8", {4}, four}}), {"'x'", "taken"});
  expect_mentions(refusal({{"x", "U8", {5}, four}}), {"'x'", "5 bytes", "4"});
  expect_mentions(refusal({{"x", "NVFP4", {4}, four}}), {"'x'", "NVFP4", "BF16"});
  expect_mentions(refusal({{"x", "U8", {-4}, four}}), {"'x'", "-4"});
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(SafetensorsFolder, ShardsAtTheLimitAndKeepsAWeightWithItsScales) {
  const TemporaryFolder folder;
  std::vector<Tensor> tensors;
  std::vector<std::string> names;
  for (int layer = 0; layer < 4; ++layer)
    for (const char* part : {"weight", "weight_scale"}) {
      names.push_back("layers." + std::to_string(layer) + "." + part);
      tensors.push_back(numbered({10, 10}, DType::u8, tensors.size()));
    }
  std::vector<SafetensorsEntry> entries;
  for (std::size_t i = 0; i < tensors.size(); ++i) entries.push_back(safetensors_entry(names[i], tensors[i]));
  write_safetensors_folder(folder / "one", entries, 800);
  write_safetensors_folder(folder / "many", entries, 500);
  EXPECT_TRUE(fs::exists(folder / "one" / "model.safetensors"));
  EXPECT_TRUE(fs::exists(folder / "many" / "model-00002-of-00002.safetensors"));
  for (const char* name : {"one", "many"}) {
    const SafetensorsFolder reader(folder / name);
    EXPECT_EQ(reader.names(), names);
    for (std::size_t i = 0; i < tensors.size(); ++i) EXPECT_TRUE(same_bits(reader.tensor(names[i]), tensors[i]));
    for (std::size_t i = 0; i < tensors.size(); i += 2)
      EXPECT_EQ(reader.file_of(names[i]).path(), reader.file_of(names[i + 1]).path());
  }
  const SafetensorsFolder by_index(folder / "many" / "model.safetensors.index.json");
  EXPECT_EQ(by_index.names(), names);
  expect_mentions(error_of([&] { write_safetensors_folder(folder / "one", entries, 500); }),
                  {"model.safetensors", "another layout"});
}

TEST(SafetensorsFolder, IndexThatLiesIsNamed) {
  const TemporaryFolder folder;
  const Tensor t = numbered({4}, DType::u8, 1);
  write_safetensors(folder / "s1.safetensors", {safetensors_entry("a", t)});
  const auto message = [&](const std::string& index) {
    write_file_atomically(folder / "model.safetensors.index.json", index);
    return error_of([&] { const SafetensorsFolder reader(folder.path()); });
  };
  EXPECT_EQ(message(R"({"weight_map": {"a": "s1.safetensors"}})"), "no error");
  expect_mentions(message(R"({"weight_map": {"a": "s2.safetensors"}})"),
                  {"index.json", "s2.safetensors", "no such file"});
  expect_mentions(message(R"({"weight_map": {"b": "s1.safetensors"}})"), {"index.json", "'b'", "s1.safetensors"});
  expect_mentions(message(R"({"weight_map": {"a": "../s1.safetensors"}})"), {"beside it", "'a'"});
  expect_mentions(message(R"({"weight_map": {"a": ".."}})"), {"beside it"});
  expect_mentions(message(R"({"weight_map": {"a": 1}})"), {"beside it", "'a'"});
  expect_mentions(message(R"({"weight_map": [1]})"), {"weight_map"});
  expect_mentions(message(R"({"weight_map")"), {"index.json:1:", "JSON"});
  expect_mentions(message(""), {"index.json", "JSON"});
  expect_mentions(message("{\"a\": 1,\n \"a\": 2}"), {"'a' twice"});
  fs::remove(folder / "model.safetensors.index.json");
  expect_mentions(error_of([&] { const SafetensorsFolder reader(folder.path()); }), {"neither"});
  expect_mentions(error_of([&] { const SafetensorsFolder reader(folder / "absent"); }), {"absent", "No such file"});
}

TEST(SafetensorsFolder, ATensorIsInOneShard) {
  const TemporaryFolder folder;
  const Tensor t = numbered({4}, DType::u8, 1), u = numbered({4}, DType::u8, 2);
  const auto write_index = [&](const std::string& map) {
    write_file_atomically(folder / "model.safetensors.index.json", "{\"weight_map\": {" + map + "}}");
  };
  write_safetensors(folder / "model-1.safetensors", {safetensors_entry("a", t), safetensors_entry("b", t)});
  write_safetensors(folder / "model-2.safetensors", {safetensors_entry("c", u)});
  write_index(R"("a": "model-1.safetensors", "c": "model-2.safetensors")");
  const SafetensorsFolder whole(folder.path());
  EXPECT_EQ(whole.names(), (std::vector<std::string>{"a", "b", "c"}));  // also what the index leaves out
  EXPECT_TRUE(whole.unread_files().empty());
  write_index(R"("a": "model-1.safetensors")");
  EXPECT_EQ(SafetensorsFolder(folder.path()).unread_files(), std::vector<std::string>{"model-2.safetensors"});
  write_safetensors(folder / "model-2.safetensors", {safetensors_entry("b", u), safetensors_entry("c", u)});
  write_index(R"("a": "model-1.safetensors", "c": "model-2.safetensors")");
  expect_mentions(error_of([&] { const SafetensorsFolder reader(folder.path()); }),
                  {"tensor 'b' in one file", "model-1.safetensors and one in model-2.safetensors"});
  write_safetensors(folder / "model.safetensors", {safetensors_entry("a", t)});
  const std::vector<std::string> others = {"model-1.safetensors", "model-2.safetensors",
                                           "model.safetensors.index.json"};
  EXPECT_EQ(SafetensorsFolder(folder.path()).unread_files(), others);
}

TEST(SafetensorsFolder, SaysWhatToDoWithoutSafetensors) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "pytorch_model.bin", "");
  expect_mentions(error_of([&] { const SafetensorsFolder reader(folder.path()); }),
                  {"neither", "pytorch_model.bin is a pickle"});
}

// Each tensor costs the same however many there are: this took five minutes when it grew with their square.
TEST(SafetensorsHeader, EightyThousandTensors) {
  std::string header = "{";
  for (int i = 0; i < 80000; ++i)
    header += (i == 0 ? "" : ",") +
              ("\"layers." + std::to_string(i) + R"(.w":{"dtype":"U8","shape":[1],"data_offsets":[)") +
              std::to_string(i) + "," + std::to_string(i + 1) + "]}";
  const std::string file = file_of(header + "}", 80000);
  const SafetensorsHeader parsed = parse_safetensors_header(bytes_of_text(file), "m.safetensors");
  ASSERT_EQ(parsed.tensors.size(), 80000U);
  EXPECT_EQ(parsed.tensors[79999].name, "layers.79999.w");
}

TEST(SafetensorsHeader, LyingHeadersAreNamed) {
  EXPECT_EQ(verdict(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8), "no error");
  EXPECT_EQ(
      verdict(
          R"({"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]},"e":{"dtype":"U8","shape":[0],"data_offsets":[8,8]},)"
          R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   )",
          9),
      "no error");
  EXPECT_EQ(verdict("{}", 0), "no error");

  expect_mentions(verdict(""), {"m.safetensors", "0 bytes", "cut off"});
  expect_mentions(verdict("1234567"), {"7 bytes"});
  expect_mentions(verdict(std::string("\x10\0\0\0\0\0\0\0{}", 10)), {"16 bytes", "10 bytes", "cut off"});
  expect_mentions(verdict(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)), {"100 MB"});
  expect_mentions(verdict("", 0), {"starts with {"});
  expect_mentions(verdict(" {}", 0), {"starts with {"});
  expect_mentions(verdict(R"({"a")", 0), {"header:1:", "JSON"});
  expect_mentions(verdict("{\"\xff\":1}", 0), {"JSON", "UTF-8"});
  expect_mentions(verdict("{} x", 0), {"JSON"});
  expect_mentions(verdict("{\"a\":" + std::string(100000, '['), 0), {"nested"});
  expect_mentions(
      verdict(
          R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
          2),
      {"'a' twice"});
  expect_mentions(verdict(R"({"__metadata__":{"a":1}})", 0), {"__metadata__"});
  expect_mentions(verdict(R"({"__metadata__":"a"})", 0), {"__metadata__"});

  const auto tensor = [](const std::string& dtype, const std::string& shape, const std::string& offsets,
                         std::size_t data) {
    return verdict(R"({"w":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}", data);
  };
  expect_mentions(tensor("\"NVFP4\"", "[2]", "[0,8]", 8), {"m.safetensors: tensor 'w'", "'NVFP4'", "F8_E4M3"});
  expect_mentions(tensor("7", "[2]", "[0,8]", 8), {"'w'", "dtype"});
  expect_mentions(tensor("\"F32\"", "[3]", "[0,8]", 8), {"'w'", "12 bytes for F32 [3]", "got 8"});
  expect_mentions(tensor("\"F32\"", "[-2]", "[0,8]", 8), {"'w'", "-2"});
  expect_mentions(tensor("\"F32\"", "[2.0]", "[0,8]", 8), {"'w'", "2.0"});
  expect_mentions(tensor("\"F32\"", "2", "[0,8]", 8), {"'w'", "shape"});
  expect_mentions(tensor("\"F32\"", "[18446744073709551615]", "[0,8]", 8), {"'w'", "2^63"});
  expect_mentions(tensor("\"F32\"", "[99999999999999999999]", "[0,8]", 8), {"'w'", "extents"});
  expect_mentions(tensor("\"F32\"", "[4611686018427387905,4]", "[0,16]", 16), {"'w'", "2^64"});
  expect_mentions(tensor("\"F4\"", "[3]", "[0,2]", 2), {"'w'", "12 bits"});
  expect_mentions(tensor("\"F32\"", "[2]", "[0,12]", 8), {"'w'", "within the 8", "12", "cut off"});
  expect_mentions(tensor("\"F32\"", "[2]", "[8,0]", 8), {"'w'", "ascend"});
  expect_mentions(tensor("\"F32\"", "[2]", "[4,12]", 12), {"'w'", "a gap at 4"});
  expect_mentions(tensor("\"F32\"", "[2]", "[0]", 8), {"'w'", "data_offsets"});
  expect_mentions(tensor("\"F32\"", "[2]", "[-1,8]", 8), {"'w'", "-1"});
  expect_mentions(tensor("\"F32\"", "[2]", "[0,8]", 9), {"9 bytes"});
  expect_mentions(verdict(R"({"w":1})", 0), {"'w'"});
  expect_mentions(verdict(R"({"w":{"shape":[1]}})", 0), {"'w'", "'dtype'"});
  expect_mentions(
      verdict(
          R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
          6),
      {"'b'", "an overlap at 2"});
}

// Whatever the bytes are, the answer is an Error or a header whose every tensor lies in the file.
TEST(SafetensorsHeader, RandomDamageNeverEscapes) {
  const TemporaryFolder folder;
  const Tensor a = numbered({4, 3}, DType::f32, 1), b = numbered({7}, DType::bf16, 2), c = numbered({5}, DType::u8, 3);
  write_safetensors(folder / "a",
                    {safetensors_entry("a.weight", a), safetensors_entry("b", b), safetensors_entry("c", c)});
  const std::string good = read_file(folder / "a", "");
  Random random(2, stream_of("damage"));
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string file = good;
    for (std::int64_t edits = 1 + random.below(4); edits > 0 && !file.empty(); --edits) {
      const auto at = static_cast<std::size_t>(random.below(static_cast<std::int64_t>(file.size())));
      switch (random.below(5)) {
        case 0: file[at] = static_cast<char>(file[at] ^ (1 << random.below(8))); break;
        case 1: file[at] = "0123456789[]{},:\"-e."[random.below(20)]; break;
        case 2: file.erase(at, static_cast<std::size_t>(1 + random.below(8))); break;
        case 3:
          file.insert(at,
                      file.substr(static_cast<std::size_t>(random.below(static_cast<std::int64_t>(file.size()))), 12));
          break;
        default: file.resize(at); break;
      }
    }
    try {
      const SafetensorsHeader header = parse_safetensors_header(bytes_of_text(file), "m");
      ++accepted;
      for (const SafetensorsInfo& tensor : header.tensors) ASSERT_LE(header.data_begin + tensor.end, file.size());
    } catch (const Error&) {
    }
  }
  EXPECT_GT(accepted, 100);  // flips in names and in data are no business of the format
}

TEST(Safetensors, ReadsAModelThatOthersWrote) {
  QAD_REQUIRE_SHARED_DATA();
  const SafetensorsFolder model(testing::shared_data() / "tinystories-656k-hf");
  std::uint64_t bytes = 0;
  for (const std::string& name : model.names()) bytes += model.tensor(name).bytes();
  EXPECT_GT(bytes, 1'000'000U);
  EXPECT_EQ(model.info("model.norm.weight").shape.size(), 1U);
}

}  // namespace
}  // namespace qad
