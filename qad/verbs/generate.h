// `qad generate`: text from a student, its teacher or any model folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>

#include "autograd/base/error.h"
#include "autograd/base/fields.h"
#include "qad/quant/decode_head.h"
#include "qad/run/checkpoint_choice.h"

namespace qad::verbs {

enum class Speaker { student, teacher };
inline constexpr auto enum_names(Speaker) {
  return std::to_array<EnumName<Speaker>>({{Speaker::student, "student"}, {Speaker::teacher, "teacher"}});
}

struct GenerateOptions {
  std::filesystem::path target;  ///< a run's folder or a model folder (or an export's model.gguf)
  std::string prompt;            ///< empty: begin at the start token; "-": what standard input gives
  std::optional<std::filesystem::path> prompt_file;  ///< instead of prompt: a text, perhaps compressed
  bool chat = false;                   ///< the prompt is a question, laid out by the model's chat template
  Speaker speaker = Speaker::student;  ///< of a run's folder
  CheckpointChoice checkpoint = CheckpointChoice::best;
  std::int64_t max_tokens = 256;  ///< new ones; an end token stops earlier
  /// Of these what is not given is as the model's generation_config.json has it if that samples; else greedy, all.
  std::optional<double> temperature;  ///< 0 is greedy
  std::optional<std::int64_t> top_k;  ///< 0: all
  std::optional<double> top_p;
  std::int64_t seed = 1;
  DecodeConfig decode{};
};

/// Writes prompt and text to `print` as they come; of a chat the answer alone.
ExitCode generate(const GenerateOptions& options, std::ostream& print);

}  // namespace qad::verbs
