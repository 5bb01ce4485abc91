// The files of a model's folder that hold no weights: which of them go along with weights that are written anew.
#pragma once

#include <filesystem>

namespace qad {

/// Copies what a folder has besides weights and the configs that are written with these: tokenizer and processor files,
/// chat templates (those in additional_chat_templates too), generation settings, code that config.json names, licences.
/// Told by kind, so that files nobody here has heard of come too; a link counts as the file it leads to. Left behind
/// are hidden files, other subfolders, the README (the card of another model) and, with a warning, files above 64 MiB.
void copy_side_files(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace qad
