// The files of a model's folder that hold no weights: which of them go along with weights that are written anew.
#pragma once

#include <filesystem>

namespace qad {

/// Copies what a folder has besides weights and the configs that are written with these: tokenizer and processor files,
/// chat templates, generation settings, code that config.json names, licences; the same of its subfolders
/// (additional_chat_templates, custom_generate, image_processor, packages of code). Told by kind, so that files nobody
/// here has heard of come too; a link counts as what it leads to. Left behind are hidden files, READMEs (the card of
/// another model), with a message subfolders that hold weights, a checkpoint, a run, more than 64 MiB or what may not
/// be read, and, with a warning, files above 64 MiB.
void copy_side_files(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace qad
