// The HDF5 door: everything comes back bit for bit, the same content gives the same bytes, and files that others wrote
// (or that a full disk or a prankster left) are refused by name.
#include "data/files/hdf5_file.h"

#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/mount.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/random.h"
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

std::vector<Tensor> samples() {
  std::vector<Tensor> tensors;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::i64, DType::i32, DType::u8})
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{0, 3}, Shape{7, 5}, Shape{2, 1, 3, 2}})
      tensors.push_back(numbered(shape, dtype, tensors.size()));
  tensors.push_back(numbered({16, 16}, DType::f32, 3));  // the largest that lies in its header, and the next
  tensors.push_back(numbered({257}, DType::f32, 4));
  // Chunks that do not divide the shape, along the first and along a later axis.
  tensors.push_back(numbered({5, 1 << 19}, DType::u8, 1));
  tensors.push_back(numbered({2, 1, 1'500'001}, DType::u8, 2));
  return tensors;
}

void write_samples(const fs::path& file, const std::vector<Tensor>& tensors, std::uint64_t user_block = 0) {
  Hdf5Writer writer(file, user_block);
  for (std::size_t i = 0; i < tensors.size(); ++i)
    writer.write_tensor("group/deep er/t" + std::to_string(i), tensors[i]);
  writer.write_text("text", std::string("a\0b\n\xff", 5));
  writer.write_text("empty", "");
  writer.write_number("n/i", std::numeric_limits<std::int64_t>::min());
  writer.write_number("n/u", std::numeric_limits<std::uint64_t>::max());
  writer.write_number("n/d", std::bit_cast<double>(0x7ff4000000000123ull));  // a signalling NaN with a payload
  writer.close();
}

TEST(Hdf5File, EverythingComesBackBitForBit) {
  const TemporaryFolder folder;
  const std::vector<Tensor> tensors = samples();
  for (const std::uint64_t user_block : {0u, 512u}) {
    write_samples(folder / "a.h5", tensors, user_block);
    const Hdf5Reader reader(folder / "a.h5", "a test");
    for (std::size_t i = 0; i < tensors.size(); ++i)
      EXPECT_TRUE(same_bits(reader.read_tensor("group/deep er/t" + std::to_string(i)), tensors[i])) << i;
    EXPECT_EQ(reader.read_text("text"), std::string("a\0b\n\xff", 5));
    EXPECT_EQ(reader.read_text("empty"), "");
    EXPECT_EQ(std::get<std::int64_t>(reader.read_number("n/i")), std::numeric_limits<std::int64_t>::min());
    EXPECT_EQ(std::get<std::uint64_t>(reader.read_number("n/u")), std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(std::bit_cast<std::uint64_t>(std::get<double>(reader.read_number("n/d"))), 0x7ff4000000000123ull);
    EXPECT_TRUE(reader.has("group/deep er/t0"));
    EXPECT_FALSE(reader.has("group/deeper/t0"));
  }
}

TEST(Hdf5File, NothingStaysOpen) {
  const TemporaryFolder folder;
  const ssize_t before = H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL);
  write_samples(folder / "a.h5", samples());
  {
    const Hdf5Reader reader(folder / "a.h5", "a test");
    static_cast<void>(reader.read_tensor("group/deep er/t3"));
    static_cast<void>(reader.read_number("n/d"));
    static_cast<void>(error_of([&] { static_cast<void>(reader.read_tensor("n/d")); }));
    static_cast<void>(error_of([&] { static_cast<void>(reader.read_tensor("absent")); }));
  }
  EXPECT_EQ(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), before);
}

TEST(Hdf5File, SameContentGivesTheSameBytes) {
  const TemporaryFolder folder;
  const std::vector<Tensor> tensors = samples();
  write_samples(folder / "a", tensors);
  // A heap full of other bytes, and another second on the clock.
  for (int fill = 0; fill < 3; ++fill) {
    std::vector<std::vector<char>> blocks;
    for (std::size_t size = 64; size < (4u << 20); size *= 2)
      blocks.emplace_back(size + 40, static_cast<char>(0xa5 + fill));
  }
  ::timespec second{1, 100'000'000};
  ::nanosleep(&second, nullptr);
  write_samples(folder / "b", tensors);
  EXPECT_TRUE(read_file(folder / "a", "") == read_file(folder / "b", ""));
}

TEST(Hdf5File, WrongQuestionsAreNamed) {
  const TemporaryFolder folder;
  write_samples(folder / "a.h5", samples());
  const Hdf5Reader reader(folder / "a.h5", "a test");
  const auto tensor = [&](const char* name) { return error_of([&] { static_cast<void>(reader.read_tensor(name)); }); };
  expect_mentions(tensor("absent/x"), {"a.h5", "'absent/x'", "none"});
  expect_mentions(tensor("group"), {"a.h5: group", "dataset"});
  expect_mentions(tensor("n/d"), {"a.h5: n/d", "another type"});
  expect_mentions(error_of([&] { static_cast<void>(reader.read_text("n/d")); }), {"n/d", "text"});
  expect_mentions(error_of([&] { static_cast<void>(reader.read_number("text")); }), {"text", "f64"});
  expect_mentions(error_of([&] { static_cast<void>(reader.integer_count("n/d")); }), {"n/d", "whole numbers"});
  expect_mentions(error_of([&] { const Hdf5Reader r(folder / "absent.h5", "a test"); }),
                  {"absent.h5", "a test", "No such file"});
  write_file_atomically(folder / "text.h5", "not HDF5");
  expect_mentions(error_of([&] { const Hdf5Reader r(folder / "text.h5", "a test"); }), {"text.h5", "a test"});
}

TEST(Hdf5File, WritersErrorsSayWhy) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", "x");
  expect_mentions(error_of([&] { const Hdf5Writer w(folder / "file" / "a.h5"); }),
                  {"a.h5", "could not create", "Not a directory"});
  Hdf5Writer writer(folder / "a.h5");
  writer.write_number("x", std::int64_t{1});
  expect_mentions(error_of([&] { writer.write_number("x", std::int64_t{2}); }),
                  {"a.h5: x", "could not create", "exists"});
}

std::int64_t open_files() { return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()); }

// HDF5 1.10 itself says of some of these that all went well, and reads zeros from the holes.
TEST(Hdf5File, AFullDiskIsNoticedWhereverItFillsUp) {
  const TemporaryFolder folder;
  const fs::path disk = folder / "disk";
  fs::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=8m") != 0) GTEST_SKIP() << "no permission to mount a small disk";
  struct Unmount {
    fs::path path;
    ~Unmount() { ::umount(path.c_str()); }
  } const unmount{disk};

  const std::vector<Tensor> tensors = samples();
  write_samples(disk / "a.h5", tensors);
  const std::uint64_t size = fs::file_size(disk / "a.h5");
  const std::uint64_t all = fs::space(disk).available + size;
  const std::int64_t open_before = open_files();
  int failures = 0;
  for (std::uint64_t room = 0; room < size + (64 << 10); room += 97 << 10) {
    fs::remove(disk / "a.h5");
    write_file_atomically(disk / "filler", std::string(all - room, 'f'));
    const std::string message = error_of([&] { write_samples(disk / "a.h5", tensors); });
    if (message == "no error") {
      const Hdf5Reader reader(disk / "a.h5", "a test");
      for (std::size_t i = 0; i < tensors.size(); ++i)
        ASSERT_TRUE(same_bits(reader.read_tensor("group/deep er/t" + std::to_string(i)), tensors[i])) << room;
    } else {
      ++failures;
      expect_mentions(message, {"a.h5", "No space left on device", "free some space"});
    }
    fs::remove(disk / "filler");
  }
  EXPECT_EQ(open_files(), open_before);  // a file that stays open keeps its room, even when it was removed
  EXPECT_GE(failures, static_cast<int>(size / (97 << 10)));
  write_samples(disk / "a.h5", tensors);  // and this process can go on
}

// A file as other programs write them: library defaults, any type, any link.
class ForeignFile {
 public:
  explicit ForeignFile(const fs::path& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {}
  ~ForeignFile() { H5Fclose(file_); }
  ForeignFile(const ForeignFile&) = delete;
  ForeignFile& operator=(const ForeignFile&) = delete;
  [[nodiscard]] hid_t id() const { return file_; }

  void add(const char* name, hid_t type, hid_t memory_type, hsize_t count, const void* data,
           hid_t creation = H5P_DEFAULT) const {
    const hid_t space = H5Screate_simple(1, &count, nullptr);
    const hid_t dataset = H5Dcreate2(file_, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    if (data != nullptr) H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    H5Dclose(dataset);
    H5Sclose(space);
  }

 private:
  hid_t file_;
};

TEST(Hdf5File, WholeNumbersOfAnyWidthByRanges) {
  const TemporaryFolder folder;
  std::vector<std::int64_t> ids(1000);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int64_t>(i * 31 % 251);
  const hid_t zipped = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 100;
  H5Pset_chunk(zipped, 1, &chunk);
  H5Pset_deflate(zipped, 6);
  {
    const ForeignFile file(folder / "t.h5");
    file.add("u8", H5T_STD_U8LE, H5T_NATIVE_INT64, ids.size(), ids.data());
    file.add("u16", H5T_STD_U16BE, H5T_NATIVE_INT64, ids.size(), ids.data(), zipped);
    file.add("i32", H5T_STD_I32LE, H5T_NATIVE_INT64, ids.size(), ids.data());
    file.add("i64", H5T_STD_I64BE, H5T_NATIVE_INT64, ids.size(), ids.data());
    const std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();
    file.add("u64", H5T_STD_U64LE, H5T_NATIVE_UINT64, 1, &huge);
  }
  H5Pclose(zipped);
  const Hdf5Reader reader(folder / "t.h5", "tokens");
  for (const char* name : {"u8", "u16", "i32", "i64"}) {
    EXPECT_EQ(reader.integer_count(name), 1000);
    for (const auto& [begin, count] : {std::pair{0, 1000}, {99, 2}, {999, 1}, {500, 0}, {1000, 0}}) {
      std::vector<std::int64_t> values(static_cast<std::size_t>(count));
      reader.read_integers(name, begin, values);
      EXPECT_TRUE(std::equal(values.begin(), values.end(), ids.begin() + begin)) << name;
    }
  }
  std::vector<std::int64_t> two(2);
  expect_mentions(error_of([&] { reader.read_integers("u8", 999, two); }), {"t.h5: u8", "1000", "2 from 999"});
  expect_mentions(error_of([&] { reader.read_integers("u8", -1, two); }), {"u8", "from -1"});
  reader.read_integers("u64", 0, std::span(two).first(1));
  EXPECT_EQ(two[0], std::numeric_limits<std::int64_t>::max());
}

TEST(Hdf5File, ForeignFilesThatReachOutOrLieAreRefused) {
  const TemporaryFolder folder;
  const std::vector<std::int32_t> data(16, 7);
  write_file_atomically(folder / "secret", std::string(64, 's'));
  write_samples(folder / "other.h5", {});
  const hid_t outside = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(outside, (folder / "secret").c_str(), 0, 64);
  const hid_t sparse = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 1024;
  H5Pset_chunk(sparse, 1, &chunk);
  {
    const ForeignFile file(folder / "f.h5");
    file.add("good", H5T_STD_I32LE, H5T_NATIVE_INT32, 16, data.data());
    file.add("outside", H5T_STD_I32LE, H5T_NATIVE_INT32, 16, nullptr, outside);
    file.add("sparse", H5T_STD_I32LE, H5T_NATIVE_INT32, hsize_t{1} << 40, nullptr, sparse);
    file.add("unwritten", H5T_STD_I32LE, H5T_NATIVE_INT32, 16, nullptr);
    file.add("big_endian", H5T_IEEE_F32BE, H5T_NATIVE_INT32, 16, data.data());
    file.add("u16", H5T_STD_U16LE, H5T_NATIVE_INT32, 16, data.data());
    H5Lcreate_soft("/good", file.id(), "soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external((folder / "other.h5").c_str(), "/", file.id(), "external", H5P_DEFAULT, H5P_DEFAULT);
  }
  H5Pclose(outside);
  H5Pclose(sparse);
  const Hdf5Reader reader(folder / "f.h5", "a test");
  const auto verdict = [&](const char* name) { return error_of([&] { static_cast<void>(reader.read_tensor(name)); }); };
  EXPECT_EQ(verdict("good"), "no error");
  expect_mentions(verdict("soft"), {"f.h5: soft", "link"});
  expect_mentions(verdict("external/text"), {"f.h5: external", "link"});
  expect_mentions(verdict("outside"), {"f.h5: outside", "others"});
  expect_mentions(verdict("sparse"), {"f.h5: sparse", "0 stored"});
  expect_mentions(verdict("unwritten"), {"f.h5: unwritten", "0 stored"});
  expect_mentions(verdict("big_endian"), {"f.h5: big_endian", "another type"});
  expect_mentions(verdict("u16"), {"f.h5: u16", "another type"});
}

}  // namespace
}  // namespace qad
