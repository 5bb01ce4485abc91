// Memory that is a nameless file's: its values outlive the pages that were let go, and a full disk is one error.
#include "autograd/base/scratch_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "autograd/base/mapped_pages.h"
#include "tests/support/error_of.h"
#include "tests/support/process.h"
#include "tests/support/small_disk.h"

namespace qad {
namespace {

TEST(ScratchFile, KeepsWhatIsNotInMemory) {
  const testing::TemporaryFolder folder;
  const ScratchFile file(folder.path(), 1 << 20, "numbers");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "it has a name";
  ASSERT_EQ(file.bytes().size(), std::size_t{1} << 20);
  EXPECT_EQ(std::ranges::count(file.bytes(), std::byte{0}), 1 << 20);
  for (std::size_t i = 0; i < file.bytes().size(); ++i) file.bytes()[i] = static_cast<std::byte>(i * 31 % 251);
  forget_pages(file.bytes());
  forget_pages(file.bytes().subspan(5000, 100000));
  for (std::size_t i = 0; i < file.bytes().size(); ++i)
    ASSERT_EQ(file.bytes()[i], static_cast<std::byte>(i * 31 % 251)) << i;
}

TEST(ScratchFile, MayBeEmpty) { EXPECT_TRUE(ScratchFile("nowhere", 0, "nothing").bytes().empty()); }

TEST(ScratchFile, WithoutRoomItIsAnErrorAndNothingIsLeft) {
  const testing::TemporaryFolder folder;
  testing::expect_mentions(testing::error_of([&] { const ScratchFile file(folder / "nowhere", 1 << 20, "numbers"); }),
                           {"nowhere: expected 1.0 MiB of room for numbers, got No such file or directory"});
  const testing::SmallDisk disk(folder / "disk", "1m");
  if (!disk.mounted()) GTEST_SKIP() << "no right to mount a small disk";
  testing::expect_mentions(testing::error_of([&] { const ScratchFile file(folder / "disk", 2 << 20, "numbers"); }),
                           {"expected 2.0 MiB of room for numbers, got No space left on device (free some space)"});
  EXPECT_NO_THROW(ScratchFile(folder / "disk", 1 << 19, "numbers"));
}

}  // namespace
}  // namespace qad
