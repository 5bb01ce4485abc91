// Checkpoints: bit for bit back, the same bytes for the same content, and no damage, cut or failed write that goes
// unnoticed or takes an older checkpoint with it.
#include "qad/checkpoint/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>

#include "autograd/base/atomic_file.h"
#include "autograd/base/random.h"
#include "data/files/hash.h"
#include "tests/support/bytes.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_mentions;
using testing::numbered;
using testing::TemporaryFolder;

CheckpointContent sample(std::uint64_t seed, std::int64_t rows = 3) {
  CheckpointContent content;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::i64, DType::i32, DType::u8}) {
    const std::string name = "model/layers.0." + std::string(name_of(dtype));
    content.tensors[name + ".weight"] = numbered({rows, 100, 2}, dtype, seed);
    content.tensors[name + ".scalar"] = numbered({}, dtype, seed);
    content.tensors[name + ".empty"] = Tensor({0, 4}, dtype);
  }
  content.texts["recipe"] = "kind: qad\nseed: " + std::to_string(seed) + "\n";
  content.texts["empty"] = "";
  content.numbers["step"] = static_cast<std::int64_t>(seed);
  content.numbers["random/state"] = std::numeric_limits<std::uint64_t>::max() - seed;
  content.numbers["best"] = std::bit_cast<double>(0x7ff4000000000123ull);
  content.numbers["tiny"] = std::numeric_limits<double>::denorm_min();
  content.numbers["minus_zero"] = -0.0;
  return content;
}

void expect_same(const CheckpointContent& a, const CheckpointContent& b) {
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) {
    EXPECT_TRUE(testing::same_bits(tensor, b.tensors.at(name))) << name;
  }
  EXPECT_EQ(a.texts, b.texts);
  ASSERT_EQ(a.numbers.size(), b.numbers.size());
  for (const auto& [name, number] : a.numbers) {
    ASSERT_EQ(number.index(), b.numbers.at(name).index()) << name;
    std::visit(
        [&, &key = name](auto value) {
          const auto other = std::get<decltype(value)>(b.numbers.at(key));
          EXPECT_EQ(std::bit_cast<std::uint64_t>(value), std::bit_cast<std::uint64_t>(other)) << key;
        },
        number);
  }
}

std::size_t entries_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

// "whole", "damaged" or the text of another error.
std::string verdict(const fs::path& file) {
  try {
    static_cast<void>(load_checkpoint(file));
    return "whole";
  } catch (const DamagedCheckpoint& damage) {
    EXPECT_NE(std::string(damage.what()).find(file.string()), std::string::npos) << damage.what();
    return "damaged";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Checkpoint, EverythingComesBackBitForBit) {
  const TemporaryFolder folder;
  save_checkpoint(folder / "new" / "a.h5", sample(1));
  const CheckpointContent loaded = load_checkpoint(folder / "new" / "a.h5");
  expect_same(sample(1), loaded);
  EXPECT_TRUE(loaded.program.starts_with("qad "));
  EXPECT_TRUE(has_seal(folder / "new" / "a.h5"));
  EXPECT_EQ(entries_in(folder / "new"), 1U);

  save_checkpoint(folder / "nothing.h5", {});
  expect_same({}, load_checkpoint(folder / "nothing.h5"));
}

TEST(Checkpoint, SameContentGivesTheSameBytes) {
  const TemporaryFolder folder;
  save_checkpoint(folder / "a.h5", sample(1, 2000));
  save_checkpoint(folder / "b.h5", sample(1, 2000));
  EXPECT_TRUE(read_file(folder / "a.h5", "") == read_file(folder / "b.h5", ""));
}

TEST(Checkpoint, NoFlippedBitIsSilent) {
  const TemporaryFolder folder;
  save_checkpoint(folder / "good.h5", sample(1));
  const std::string good = read_file(folder / "good.h5", "");
  Random random(7, stream_of("flips"));
  const auto expect_damage = [&](std::int64_t bit) {
    std::string file = good;
    file[static_cast<std::size_t>(bit / 8)] =
        static_cast<char>(file[static_cast<std::size_t>(bit / 8)] ^ (1 << bit % 8));
    std::ofstream(folder / "bad.h5", std::ios::binary) << file;
    ASSERT_EQ(verdict(folder / "bad.h5"), "damaged") << "bit " << bit;
  };
  for (int round = 0; round < 400; ++round) expect_damage(random.below(static_cast<std::int64_t>(good.size()) * 8));
  for (int round = 0; round < 200; ++round) expect_damage(random.below(512 * 8));
}

TEST(Checkpoint, NoCutIsSilent) {
  const TemporaryFolder folder;
  save_checkpoint(folder / "good.h5", sample(1));
  const std::string good = read_file(folder / "good.h5", "");
  std::vector<std::size_t> lengths = {0, 1, 16, 511, 512, 513, 520, 560, good.size() - 1};
  for (std::size_t length = 0; length < good.size(); length += good.size() / 100) lengths.push_back(length);
  for (const std::size_t length : lengths) {
    std::ofstream(folder / "bad.h5", std::ios::binary) << good.substr(0, length);
    ASSERT_EQ(verdict(folder / "bad.h5"), "damaged") << length;
    expect_mentions(error_of([&] { static_cast<void>(load_checkpoint(folder / "bad.h5")); }),
                    {length < 1 ? "after 0 bytes" : "cut off"});
  }
  std::ofstream(folder / "bad.h5", std::ios::binary) << good << '\0';
  EXPECT_EQ(verdict(folder / "bad.h5"), "damaged");
}

TEST(Checkpoint, ALaterFormatVersionIsNotDamage) {
  const TemporaryFolder folder;
  save_checkpoint(folder / "a.h5", sample(1));
  std::string file = read_file(folder / "a.h5", "");
  file[16] = static_cast<char>(kCheckpointFormatVersion + 1);
  const std::uint64_t hash = hash64(std::string_view(file).substr(0, 504));
  std::memcpy(file.data() + 504, &hash, sizeof hash);
  write_file_atomically(folder / "later.h5", file);
  expect_mentions(verdict(folder / "later.h5"), {"later.h5", "version 1 or before", "got version 2", "later qad"});
}

TEST(Checkpoint, OtherFilesAreNamed) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "text.h5", std::string(1000, 'x'));
  EXPECT_EQ(verdict(folder / "text.h5"), "damaged");
  EXPECT_FALSE(has_seal(folder / "text.h5"));
  expect_mentions(verdict(folder / "absent.h5"), {"absent.h5", "No such file"});
  expect_mentions(verdict(folder.path()), {"directory"});
}

// --- Writes that fail
// -------------------------------------------------------------------------------------------------

TEST(Checkpoint, AFolderThatCannotBeWrittenIsNamed) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", "x");
  expect_mentions(error_of([&] { save_checkpoint(folder / "file" / "a.h5", sample(1)); }), {"file", "Not a directory"});
  fs::create_directories(folder / "taken.h5" / "inside");
  expect_mentions(error_of([&] { save_checkpoint(folder / "taken.h5", sample(1)); }), {"taken.h5"});
  EXPECT_EQ(entries_in(folder.path()), 2U);
}

// While it lives, no file of this process grows beyond so many bytes: what a full disk does, wherever tests may run.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

// The old checkpoint is whole, nothing lies beside it, and the next save in this process works.
void expect_unharmed(const fs::path& file, std::uint64_t seed) {
  EXPECT_EQ(entries_in(file.parent_path()), 1U);
  expect_same(sample(seed), load_checkpoint(file));
}

TEST(Checkpoint, AWriteThatFailsAtAnyPlaceHarmsNothing) {
  const TemporaryFolder folder;
  const fs::path file = folder / "a.h5";
  save_checkpoint(file, sample(1));
  const CheckpointContent content = sample(2, 600);
  save_checkpoint(folder / "big.h5", content);
  const std::uint64_t size = fs::file_size(folder / "big.h5");
  fs::remove(folder / "big.h5");
  for (std::uint64_t limit = 0; limit < size; limit += size / 40) {
    {
      const FileSizeLimit full(limit);
      expect_mentions(error_of([&] { save_checkpoint(file, content); }), {"a.h5"});
    }
    expect_unharmed(file, 1);
  }
  save_checkpoint(file, content);
  expect_same(content, load_checkpoint(file));
}

TEST(Checkpoint, ADiskWithoutRoomIsToldBeforeWriting) {
  const TemporaryFolder folder;
  const fs::path disk = folder / "disk";
  fs::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=6m") != 0) GTEST_SKIP() << "no permission to mount a small disk";
  struct Unmount {
    fs::path path;
    ~Unmount() { ::umount(path.c_str()); }
  } const unmount{disk};

  const fs::path file = disk / "run" / "a.h5";
  save_checkpoint(file, sample(1));
  expect_mentions(error_of([&] { save_checkpoint(file, sample(2, 2000)); }),
                  {"a.h5", "MiB of room", "MiB free", "resume"});
  expect_unharmed(file, 1);

  save_checkpoint(file, sample(2, 300));
  expect_same(sample(2, 300), load_checkpoint(file));
}

}  // namespace
}  // namespace qad
