// Files of text as bytes, decompressed where they are compressed: gzip (zlib) and Zstandard (libzstd), told by their
// first bytes and not by their names. The one door to both libraries.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace qad {

/// The whole file, decompressed. Throws Error as read_file does, for a compressed file that is damaged or cut off, for
/// one compressed twice, and where the text would take more than half of the memory that is free (a small file may
/// hold any number of zeros).
[[nodiscard]] std::string read_perhaps_compressed(const std::filesystem::path& file, std::string_view what);

/// The same for bytes in memory; `who` names them, `most_bytes` is the longest text.
[[nodiscard]] std::string decompress(std::string bytes, const std::string& who, std::size_t most_bytes);

/// The first `bytes` of a text that is longer, at least of one whose file is, decompressed; empty for a shorter one and
/// for what is no regular file. Throws Error as above. No more than `bytes` of the file are read.
[[nodiscard]] std::string beginning_of(const std::filesystem::path& file, std::size_t bytes);

/// A file's name without an ending .gz or .zst: the ending before it says what is in it.
[[nodiscard]] std::filesystem::path without_compression_ending(const std::filesystem::path& file);

}  // namespace qad
