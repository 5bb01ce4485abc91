// qad_export.json finds any change of a listed file, and says which folders an export may replace.
#include "qad/layouts/export_marker.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/random.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::error_of;

class Marker : public ::testing::Test {
 protected:
  Marker() {
    write("config.json", "{\n  \"model_type\": \"llama\"\n}\n");
    write("model.safetensors", std::string(100'000, 'w'));
    write("empty.txt", "");
    write_export_marker(out_, "dense", "this run");
  }
  void write(const std::string& name, const std::string& text) { write_file_atomically(out_ / name, text); }
  [[nodiscard]] std::string read(const std::string& name) const { return read_file(out_ / name, "a file"); }
  [[nodiscard]] std::string check() const {
    return error_of([&] { check_export(out_); });
  }
  [[nodiscard]] std::string replace(const std::string& run) const {
    return error_of([&] { static_cast<void>(replaceable_export(out_, run)); });
  }

  testing::TemporaryFolder folder_;
  fs::path out_ = folder_ / "out";
};

TEST_F(Marker, ListsAllFiles) {
  const auto marker = read_export_marker(out_);
  ASSERT_TRUE(marker.has_value());
  EXPECT_EQ(marker->layout, "dense");
  EXPECT_EQ(marker->run, "this run");
  ASSERT_EQ(marker->files.size(), 3u);
  EXPECT_EQ(marker->files.at("model.safetensors").bytes, 100'000u);
  EXPECT_EQ(marker->files.at("model.safetensors").hash, hash128(read("model.safetensors")));
  EXPECT_EQ(check_export(out_), 3u);
  EXPECT_EQ(state_of_export(out_, "dense"), ExportState::whole);
  EXPECT_EQ(state_of_export(out_, "modelopt"), ExportState::unfinished);
  const auto json = nlohmann::json::parse(read("qad_export.json"));  // by the words of its header
  const std::string text = read("qad_export.json");
  EXPECT_EQ(json["self"], hex(hash128(text.substr(0, text.find(",\n  \"self\"")))));
}

TEST_F(Marker, FindsEveryFlippedBit) {
  Random random(3, 0);
  for (const char* name : {"config.json", "model.safetensors", "qad_export.json"}) {
    const std::string good = read(name);
    const bool all = good.size() < 2000;
    for (std::size_t i = 0; i < (all ? good.size() * 8 : 200); ++i) {
      const std::size_t bit =
          all ? i : static_cast<std::size_t>(random.below(static_cast<std::int64_t>(good.size()) * 8));
      std::string bad = good;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
      std::ofstream(out_ / name, std::ios::binary) << bad;
      const std::string message = check();
      ASSERT_NE(message.find(out_ / name), std::string::npos) << "bit " << bit << ": " << message;
      ASSERT_EQ(message.find('\n'), std::string::npos) << message;
    }
    write(name, good);
  }
  EXPECT_EQ(check(), "no error");
}

TEST_F(Marker, FindsWhatIsGoneOrLongerOrNoFile) {
  write("model.safetensors", read("model.safetensors") + "w");
  EXPECT_NE(
      check().find("model.safetensors: expected the file that the export wrote, of 100000 bytes, got one of 100001"),
      std::string::npos)
      << check();
  fs::remove(out_ / "model.safetensors");
  EXPECT_NE(check().find("model.safetensors: expected the file that the export wrote, got nothing there"),
            std::string::npos);
  EXPECT_EQ(state_of_export(out_, "dense"), ExportState::unfinished);
  fs::create_directories(out_ / "model.safetensors");
  EXPECT_NE(check().find("got a folder"), std::string::npos);
  for (const char* text : {"", "{", "[]", "3", "{\"layout\": 3, \"program\": 1, \"version\": 2}", "{\"files\": {}}"}) {
    write("qad_export.json", text);
    EXPECT_NE(check().find("qad_export.json: expected the file that the export wrote, got another one"),
              std::string::npos)
        << text << check();
  }
}

TEST_F(Marker, LeavesOtherFilesAndFoldersToTheirOwners) {
  write("README.md", "mine");
  EXPECT_EQ(check_export(out_), 3u);
  write("qad_export.json", "{\n  \"layout\": \"dense\",\n  \"program\": \"qad\",\n  \"version\": \"0.1.0\"\n}\n");
  EXPECT_EQ(check_export(out_), 0u) << "an older marker lists nothing";
  EXPECT_EQ(state_of_export(out_, "dense"), ExportState::whole);
  fs::remove(out_ / "qad_export.json");
  EXPECT_EQ(check_export(out_), 0u);
  EXPECT_EQ(state_of_export(out_, "dense"), ExportState::unfinished);
  EXPECT_EQ(state_of_export(folder_ / "none", "dense"), ExportState::absent);
}

TEST_F(Marker, SaysWhatMayBeReplaced) {
  write("README.md", "mine");
  EXPECT_EQ(replaceable_export(out_, "this run"),
            (std::set<std::string>{"config.json", "empty.txt", "model.safetensors", "qad_export.json"}));
  EXPECT_NE(replace("another run")
                .find("out: expected a new or empty folder, or an earlier export of this run, got an "
                      "export of another run"),
            std::string::npos)
      << replace("another run");
  fs::remove(out_ / "empty.txt");
  EXPECT_FALSE(replaceable_export(out_, "this run").contains("empty.txt"));
  write("config.json", "{ \"model_type\": \"llama\"}         \n");
  testing::expect_mentions(replace("this run"),
                           {"config.json: expected the file that the export wrote", "move it away"});
  fs::remove(out_ / "qad_export.json");
  EXPECT_NE(replace("this run").find("got a folder with other files"), std::string::npos);
}

TEST_F(Marker, AnUnfinishedExportIsNamed) {
  write_file_atomically(out_ / ".qad_partial/weights", "half");
  EXPECT_EQ(check(), "no error") << "the one that is there is still whole";
  fs::remove(out_ / "config.json");
  EXPECT_NE(check().find("out: expected a whole export, got one that was not finished"), std::string::npos) << check();
  fs::remove(out_ / "qad_export.json");
  EXPECT_NE(check().find("got one that was not finished"), std::string::npos);
  write_file_atomically(folder_ / ".out.partial/.qad_partial", "");
  write_file_atomically(folder_ / ".out.partial/config.json", "{}");
  EXPECT_NE(error_of([&] { check_export(folder_ / ".out.partial"); }).find("got one that was not finished"),
            std::string::npos);
}

}  // namespace
}  // namespace qad
