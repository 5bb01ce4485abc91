// Text that the teacher writes itself, from prompts or from its start token: made once and kept in the run's folder.
#pragma once

#include <filesystem>

#include "data/text/data_config.h"
#include "data/text/documents.h"
#include "data/tokenizer/tokenizer.h"
#include "models/language_model.h"

namespace qad {

/// Reads `file` if it is there, else lets the teacher write and puts it there. `format` says how prompts are laid out.
/// The tokenizer is needed for prompts and, where the model's config names no start token, for that; it may be null
/// otherwise. Stopped leaves nothing behind.
[[nodiscard]] Documents teacher_text(const TeacherTextConfig& config, const TextFormat& format, LanguageModel& teacher,
                                     const Tokenizer* tokenizer, const std::filesystem::path& file);

}  // namespace qad
