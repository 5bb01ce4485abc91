// Pipes, devices, folders and endless files where a model's or a run's file should be: told in one line, without
// waiting for a writer that never comes. Text may come through a pipe.
#include <sys/stat.h>

#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Arguments;
using testing::kFailed;
using testing::Outcome;
using testing::Workplace;
class IrregularFile : public ::testing::Test {
 protected:
  // `file` as a pipe, a device, a folder and a hole of a terabyte in turn; `command` must name it.
  void refused(const std::string& file, const Arguments& command) const {
    const fs::path path = work_.path(file), aside = work_.path("aside");
    if (fs::exists(path)) fs::rename(path, aside);
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    starts(path, command, "got a pipe");
    fs::remove(path);
    fs::create_symlink("/dev/zero", path);
    starts(path, command, "got a device");
    fs::remove(path);
    fs::create_directories(path);
    starts(path, command, "");
    fs::remove(path);
    work_.write(file, "");
    fs::resize_file(path, std::uint64_t{1} << 40);
    if (path.extension() == ".json") starts(path, command, "1099511627776");
    fs::remove(path);
    if (fs::exists(aside)) fs::rename(aside, path);
  }
  static void starts(const fs::path& path, const Arguments& command, const std::string& words) {
    Arguments arguments = command;
    arguments.insert(arguments.begin() + 1, {"--quiet", "--threads", "1"});
    const Outcome outcome = testing::run_program(arguments, {}, std::chrono::seconds(30));
    EXPECT_TRUE(outcome.exit_code == 1 || outcome.exit_code == 2) << outcome.signal << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_NE(outcome.err.find(path.string()), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
  }

  Workplace work_;
};

TEST_F(IrregularFile, OfAModel) {
  const Arguments generate = {"generate", work_.at("teacher"), "--max-tokens", "1"};
  for (const char* file : {"config.json", "tokenizer.json", "model.safetensors"})
    refused("teacher/" + std::string(file), generate);
  fs::remove(work_.path("teacher/model.safetensors"));
  refused("teacher/model.safetensors.index.json", generate);
  EXPECT_EQ(Workplace::start({"inspect", "/dev/zero"}).exit_code, 1);
}

TEST_F(IrregularFile, OfARun) {
  work_.run(work_.recipe(), "run", {"export=[dense]"});
  const Arguments inspect = {"inspect", work_.at("run")};
  refused("run/summary.json", inspect);
  refused("run/checkpoints/best.h5", {"eval", work_.at("run")});
  refused("run/export/dense/qad_export.json", {"inspect", work_.at("run/export/dense")});
  refused("run/export/dense/config.json", {"inspect", work_.at("run/export/dense")});
}

TEST_F(IrregularFile, OfTokens) {
  const Arguments eval = {"eval", work_.at("teacher"), "--data", work_.at("tokens.h5")};
  ASSERT_EQ(::mkfifo(work_.at("tokens.h5").c_str(), 0600), 0);
  starts(work_.path("tokens.h5"), eval, "got a pipe");
  const std::string source = "data.eval={text: null, token_file: " + work_.at("tokens.h5") + "}";
  work_.run_refused({source}, kFailed, {"tokens.h5: expected a file of token ids, got a pipe"});
}

TEST_F(IrregularFile, ATextMayComeThroughAPipe) {
  const std::string command = "cat \"" + work_.at("text.txt") + "\" | \"$0\" eval \"" + work_.at("teacher") +
                              "\" --quiet --threads 1 --json --data ";
  const auto eval = [&](const std::string& data) {
    const Outcome outcome = testing::Process({"-c", command + data, QAD_PROGRAM}, {}, "/bin/sh").wait();
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out;
  };
  EXPECT_EQ(eval("/dev/stdin"), eval(work_.at("text.txt")));
  const Outcome outcome = Workplace::start({"eval", work_.at("teacher"), "--data", "/dev/zero"});
  EXPECT_NE(outcome.err.find("/dev/zero: expected a text, got a device"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace qad
