#include "tests/support/same_run.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <regex>
#include <set>

#include "autograd/base/atomic_file.h"
#include "qad/checkpoint/checkpoint_folder.h"

namespace qad::testing {
namespace {

const std::set<std::string> kTimings = {"seconds", "last_step.tokens_per_second"};

std::uint64_t bits_of(const std::variant<std::int64_t, std::uint64_t, double>& number) {
  return std::visit([](auto value) { return std::bit_cast<std::uint64_t>(value); }, number);
}

std::string without(const std::filesystem::path& file, const std::string& pattern) {
  return std::regex_replace(read_file(file, "what a run wrote"), std::regex(pattern), "");
}

}  // namespace

void expect_same_checkpoint(const CheckpointContent& a, const CheckpointContent& b) {
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) {
    ASSERT_TRUE(b.tensors.contains(name)) << name;
    const Tensor& other = b.tensors.at(name);
    ASSERT_EQ(tensor.shape(), other.shape()) << name;
    EXPECT_EQ(std::memcmp(tensor.raw(), other.raw(), tensor.bytes()), 0) << name << " differs";
  }
  ASSERT_EQ(a.numbers.size(), b.numbers.size());
  for (const auto& [name, number] : a.numbers) {
    ASSERT_TRUE(b.numbers.contains(name)) << name;
    if (kTimings.contains(name)) continue;
    EXPECT_EQ(bits_of(number), bits_of(b.numbers.at(name))) << name << " differs";
  }
}

void expect_same_checkpoints(const std::filesystem::path& a, const std::filesystem::path& b) {
  const auto newest_a = CheckpointFolder(a, 1).newest_whole(), newest_b = CheckpointFolder(b, 1).newest_whole();
  ASSERT_TRUE(newest_a && newest_b) << a << " or " << b << " has no checkpoint";
  EXPECT_EQ(newest_a->file.filename(), newest_b->file.filename());
  expect_same_checkpoint(newest_a->content, newest_b->content);
  expect_same_checkpoint(load_checkpoint(a / "best.h5"), load_checkpoint(b / "best.h5"));
}

std::string metrics_but_timings(const std::filesystem::path& file) {
  return without(file, R"("tokens_per_second":[^,]*,)");
}

std::string summary_but_timings(const std::filesystem::path& file) {
  return without(file, R"raw("(seconds|peak_rss_bytes)": [^,]*,)raw");
}

void expect_same_run(const std::filesystem::path& a, const std::filesystem::path& b) {
  expect_same_checkpoints(a / "checkpoints", b / "checkpoints");
  EXPECT_EQ(metrics_but_timings(a / "metrics.jsonl"), metrics_but_timings(b / "metrics.jsonl"));
  EXPECT_EQ(summary_but_timings(a / "summary.json"), summary_but_timings(b / "summary.json"));
}

}  // namespace qad::testing
