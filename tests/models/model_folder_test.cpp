// Loading: weights stay in the mapped files, wherever they lie in them, and what is no number is found.
#include "models/import/model_folder.h"

#include <gtest/gtest.h>

#include <cstring>

#include "autograd/base/atomic_file.h"
#include "models/import/side_files.h"
#include "tests/support/bytes.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

using testing::same_bits;
using testing::TemporaryFolder;

class ModelFolder : public ::testing::Test {
 protected:
  ModelFolder() { save_model(folder_.path(), *made_, DType::bf16); }

  // The model's weights as the folder gives them, against those that were saved.
  void expect_saved_weights(LanguageModel& loaded) {
    const auto made = made_->parameters(), got = loaded.parameters();
    ASSERT_EQ(made.size(), got.size());
    for (std::size_t i = 0; i < made.size(); ++i) {
      EXPECT_EQ(made[i]->name, got[i]->name);
      EXPECT_TRUE(same_bits(made[i]->value().to(DType::bf16).to(got[i]->value().dtype()), got[i]->value()));
    }
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_ / "model.safetensors";
  std::unique_ptr<LanguageModel> made_ = initialize_model(testing::small_config(), 1);
};

TEST_F(ModelFolder, WeightsOfTheWantedTypeAreNotCopied) {
  const auto added_bytes = [&](WeightType type) {
    const std::size_t before = storage_statistics().in_use_bytes;
    const auto model = load_model(folder_.path(), type);
    const std::size_t added = storage_statistics().in_use_bytes - before;
    std::filesystem::rename(folder_.path(), folder_.path().string() + "-moved");  // the mapping stays
    expect_saved_weights(*model);
    std::filesystem::rename(folder_.path().string() + "-moved", folder_.path());
    return added;
  };
  EXPECT_EQ(added_bytes(WeightType::bf16), 0U);
  EXPECT_EQ(added_bytes(WeightType::file), 0U);
  EXPECT_GT(added_bytes(WeightType::f32), std::filesystem::file_size(file_));
}

TEST_F(ModelFolder, WeightsMayLieAtOddPlaces) {
  std::string bytes = read_file(file_, "weights");
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  bytes.insert(sizeof header + header, " ");  // the format allows spaces behind the header; every weight moves by one
  ++header;
  std::memcpy(bytes.data(), &header, sizeof header);
  write_file_atomically(file_, bytes);
  expect_saved_weights(*load_model(folder_.path(), WeightType::bf16));
}

TEST(SideFiles, AllChatTemplatesAreAmongThem) {
  const testing::TemporaryFolder from, to;
  create_folders(from / "additional_chat_templates");
  const std::vector<std::string> names = {"additional_chat_templates/rag.jinja",
                                          "additional_chat_templates/tool_use.jinja", "chat_template.jinja"};
  for (const std::string& name : names) write_file_atomically(from / name, name);
  copy_side_files(from.path(), to.path());
  for (const std::string& name : names) EXPECT_EQ(read_file(to / name, "a copy"), name);
}

TEST_F(ModelFolder, NumbersThatAreNoneAreFoundInEveryType) {
  struct Case {
    DType dtype;
    std::uint32_t bits;
  };
  for (const auto& [dtype, bits] : {Case{DType::bf16, 0xff80}, Case{DType::bf16, 0x7fc0}, Case{DType::f32, 0x7f800000},
                                    Case{DType::f32, 0xffc00001}}) {
    save_model(folder_.path(), *made_, dtype);
    std::string bytes = read_file(file_, "weights");
    const auto size = static_cast<std::ptrdiff_t>(bytes_of(dtype));
    std::memcpy(&*(bytes.end() - size), &bits, static_cast<std::size_t>(size));  // the last value of the last tensor
    write_file_atomically(file_, bytes);
    testing::expect_mentions(
        testing::error_of([&] { static_cast<void>(load_model(folder_.path(), WeightType::file)); }),
        {"finite weights", "index 31"});
  }
}

}  // namespace
}  // namespace qad
