// What `qad inspect` says about each kind of file; inspect.cpp finds out which it is.
#pragma once

#include <filesystem>
#include <iosfwd>

namespace qad {

/// A checkpoint: where the run stood, all scales, all tensors.
void inspect_checkpoint(const std::filesystem::path& file, std::ostream& print);
/// One .safetensors file.
void inspect_safetensors(const std::filesystem::path& file, std::ostream& print);
/// One .gguf file that qad wrote.
void inspect_gguf(const std::filesystem::path& file, std::ostream& print);
/// A model folder: its sizes, for a packed export its quantized layers, all tensors.
void inspect_model(const std::filesystem::path& folder, std::ostream& print);

}  // namespace qad
