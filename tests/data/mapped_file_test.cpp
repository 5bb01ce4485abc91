// Pages of a mapped file that were let go come back as they were; memory of any other kind is left alone.
#include "data/files/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <vector>

#include "autograd/base/atomic_file.h"
#include "tests/support/process.h"

namespace qad {
namespace {

std::size_t resident_pages(std::span<const std::byte> bytes) {
  std::vector<unsigned char> pages(bytes.size() / 4096);
  EXPECT_EQ(::mincore(const_cast<std::byte*>(bytes.data()), bytes.size(), pages.data()), 0);
  return static_cast<std::size_t>(std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; }));
}

TEST(MappedFile, ForgottenPagesComeBack) {
  const testing::TemporaryFolder folder;
  std::string contents(1 << 20, ' ');
  for (std::size_t i = 0; i < contents.size(); ++i) contents[i] = static_cast<char>(i * 31 % 251);
  write_file_atomically(folder / "file", contents);
  const MappedFile file(folder / "file", "a file");
  const auto as_text = [&] { return std::string(reinterpret_cast<const char*>(file.bytes().data()), contents.size()); };
  ASSERT_EQ(as_text(), contents);
  forget_pages(file.bytes().subspan(100, 500000));
  EXPECT_EQ(as_text(), contents);
  EXPECT_GT(resident_pages(file.bytes()), 0u);
}

TEST(MappedFile, OtherMemoryIsLeftAlone) {
  const std::vector<std::byte> memory(1 << 20, std::byte{7});
  forget_pages(memory);
  EXPECT_EQ(std::ranges::count(memory, std::byte{7}), 1 << 20);
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "file", std::string(8192, 'x'));
  const MappedFile file(folder / "file", "a file");
  forget_pages({file.bytes().data(), 3 * file.bytes().size()});  // more than there is: nothing
  forget_pages(memory);
  EXPECT_EQ(std::ranges::count(memory, std::byte{7}), 1 << 20);
}

}  // namespace
}  // namespace qad
