// A model's logits in a file, so that another program's can be held against them.
#pragma once

#include <filesystem>
#include <span>

#include "data/text/batch.h"
#include "models/language_model.h"

namespace qad {

/// Writes safetensors with `ids` I32 [tokens], `begins` I64 [documents + 1] (where each starts; the last is tokens) and
/// `logits` F32 [tokens, vocabulary]: row t is what the model says of the token after t. All of it is held in memory.
/// Replaces a file that check_logits_place lets it.
void write_logits(LanguageModel& model, std::span<const TokenBatch> batches, const std::filesystem::path& file);

/// Before the work: throws (usage) for a file that is neither new nor empty and holds no logits of an earlier call, and
/// as check_file_place does.
void check_logits_place(const std::filesystem::path& file);

}  // namespace qad
