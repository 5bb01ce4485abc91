// The GGUF container: bytes as written out by hand, what is written comes back, and damage is told.
#include "data/files/gguf.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/random.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using testing::error_of;
using testing::expect_mentions;

std::span<const std::byte> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

std::string number(std::uint64_t value, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(&value), sizeof value);
  bytes.resize(size);
  return bytes;
}

const std::array<float, 3> kThree = {1.0f, -2.0f, 0.5f};
const std::string kBlocks(72, '\x21');  // two rows of 64 values in NVFP4

std::vector<GgufEntry> entries() {
  return {{"three", &gguf_type("F32"), {3}, std::as_bytes(std::span(kThree))},
          {"blocks", &gguf_type("NVFP4"), {2, 64}, bytes_of(kBlocks)}};
}
const GgufMetadata kMetadata = {{"a", 7u},
                                {"b", 1.5f},
                                {"c", true},
                                {"d", std::string("text")},
                                {"e", std::vector<std::int32_t>{-1, 2}},
                                {"f", std::vector<float>{0.25f}},
                                {"g", std::vector<std::string>{"x", ""}}};

std::string written(const GgufMetadata& metadata, const std::vector<GgufEntry>& tensors) {
  const testing::TemporaryFolder folder;
  write_gguf(folder / "model.gguf", metadata, tensors);
  return read_file(folder / "model.gguf", "a GGUF file");
}

TEST(GgufFile, IsWhatTheFormatSays) {
  std::string expected = "GGUF" + number(3, 4) + number(2, 8) + number(2, 8);
  expected += number(1, 8) + "k" + number(4, 4) + number(7, 4);
  expected += number(4, 8) + "list" + number(9, 4) + number(8, 4) + number(1, 8) + number(2, 8) + "hi";
  expected += number(5, 8) + "three" + number(1, 4) + number(3, 8) + number(0, 4) + number(0, 8);
  expected += number(6, 8) + "blocks" + number(2, 4) + number(64, 8) + number(2, 8) + number(40, 4) + number(32, 8);
  expected.resize((expected.size() + 31) / 32 * 32);
  expected.append(reinterpret_cast<const char*>(kThree.data()), 12);
  expected.resize((expected.size() + 31) / 32 * 32);
  expected += kBlocks;
  expected.resize((expected.size() + 31) / 32 * 32);
  EXPECT_EQ(written({{"k", 7u}, {"list", std::vector<std::string>{"hi"}}}, entries()), expected);
}

TEST(GgufFile, ComesBack) {
  const std::string file = written(kMetadata, entries());
  const GgufContents contents = parse_gguf(bytes_of(file), "file");
  EXPECT_EQ(contents.metadata, kMetadata);
  ASSERT_EQ(contents.tensors.size(), 2u);
  EXPECT_EQ(contents.tensors[1].name, "blocks");
  EXPECT_EQ(contents.tensors[1].shape, (std::vector<std::int64_t>{2, 64}));
  EXPECT_EQ(contents.tensors[1].type->name, "NVFP4");
  EXPECT_EQ(file.substr(contents.tensors[1].begin, contents.tensors[1].bytes), kBlocks);
}

TEST(GgufFile, WhatDoesNotFitIsNotWritten) {
  auto tensors = entries();
  tensors[1].name = "three";
  expect_mentions(error_of([&] { written({}, tensors); }), {"tensor 'three'", "taken"});
  tensors[1].name = std::string(64, 'n');
  expect_mentions(error_of([&] { written({}, tensors); }), {"63 bytes"});
  tensors = entries();
  tensors[1].shape = {2, 48};
  expect_mentions(error_of([&] { written({}, tensors); }), {"a multiple of 64 values in NVFP4", "48"});
  tensors[1].shape = {1, 64};
  expect_mentions(error_of([&] { written({}, tensors); }), {"36 bytes", "72"});
}

TEST(GgufFile, CutOffAnywhereIsTold) {
  const std::string file = written(kMetadata, entries());
  for (std::size_t size = 0; size < file.size() - 24; ++size)  // the last 24 bytes are padding
    EXPECT_THROW(static_cast<void>(parse_gguf(bytes_of(file).first(size), "file")), Error) << size;
}

TEST(GgufFile, DamageIsReadOrTold) {
  const std::string file = written(kMetadata, entries());
  const auto header = static_cast<std::int64_t>(file.find(kBlocks));
  Random random(7, stream_of("gguf"));
  for (int i = 0; i < 20000; ++i) {
    std::string damaged = file;
    for (std::int64_t flips = 1 + random.below(4); flips > 0; --flips)
      damaged[static_cast<std::size_t>(random.below(header))] = static_cast<char>(random.below(256));
    try {
      for (const GgufInfo& info : parse_gguf(bytes_of(damaged), "file").tensors)
        ASSERT_LE(info.begin + info.bytes, damaged.size());
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace qad
