// Ids and texts equal those of Hugging Face's `tokenizers` over 12,000 lines: prose, code, numbers, many scripts, marks
// to compose, emoji, control characters and special tokens. The tokenizers are those of the shared data, and stand-ins
// of Llama 3, Qwen 2 and 3 (as a tokenizer.json, and as GPT-2's pair of files), SmolLM and Mistral that
// make_tokenizer_cases.py trains, and the tokenizer.json that an import of a llama2.c model writes.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "data/tokenizer/tokenizer.h"
#include "tests/support/paths.h"
#include "tests/support/python.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

nlohmann::json json_file(const fs::path& path) { return nlohmann::json::parse(read_file(path, "test data")); }

// Counts the lines on which a tokenizer differs, and tells the first.
int differing_lines(const fs::path& folder, const nlohmann::json& lines) {
  const auto tokenizer =
      load_tokenizer(fs::exists(folder / "path") ? fs::path(read_file(folder / "path", "a path")) : folder);
  const nlohmann::json cases = json_file(folder / "cases.json");
  int differing = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto ids = tokenizer->encode(lines[i].get<std::string>());
    const nlohmann::json decoded = tokenizer->decode(ids, false);
    const nlohmann::json& their_ids = cases.at("ids").at(i);
    const nlohmann::json& theirs = cases.contains("decoded") ? cases.at("decoded").at(i) : decoded;
    if ((ids != their_ids.get<std::vector<std::int32_t>>() || decoded != theirs) && ++differing == 1)
      ADD_FAILURE() << lines[i].dump(-1, ' ', true) << "\n ours   " << nlohmann::json(ids).dump() << "\n theirs "
                    << their_ids.dump() << "\n ours   " << decoded.dump(-1, ' ', true) << "\n theirs "
                    << theirs.dump(-1, ' ', true);
  }
  return differing;
}

TEST(Tokenizers, GiveTheSameIdsAndTexts) {
  QAD_REQUIRE_SHARED_DATA();
  QAD_REQUIRE_PYTHON("tokenizers");
  const testing::TemporaryFolder folder;
  const auto scored = testing::shared_data() / "tinyllamas-stories260k" / "tok512.bin";
  load_tokenizer(scored)->save(folder / "llama2.c");
  const testing::Outcome made = testing::run_python(
      {"tests/clients/make_tokenizer_cases.py", testing::shared_data(), testing::source_dir(), folder.path()});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const nlohmann::json lines = json_file(folder / "lines.json");
  EXPECT_GE(lines.size(), 10000U);
  int count = 0;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    if (!entry.is_directory()) continue;
    const int differing = differing_lines(entry.path(), lines);
    EXPECT_EQ(differing, 0);
    std::printf("%s: %d of %zu lines differ\n", entry.path().filename().c_str(), differing, lines.size());
    ++count;
  }
  EXPECT_EQ(count, 11);
  write_file_atomically(folder / "llama2.c" / "path", scored.string());  // and read as it was
  EXPECT_EQ(differing_lines(folder / "llama2.c", lines), 0);
}

}  // namespace
}  // namespace qad
