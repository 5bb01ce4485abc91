// Files appear whole or not at all: written under a temporary name beside the target, synced, renamed, folder synced.
// A link stays a link: what it leads to is replaced. And files are read whole, within bounds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace qad {

/// Calls `write` with the path of an empty temporary file in the target's folder (made if missing), then puts it in
/// place with the permissions of the file that it replaces. If `write` throws, the temporary is removed and whatever
/// stood at `target` is untouched. Throws for what check_file_place (autograd/base/place.h) refuses: a device or a pipe
/// is never replaced.
void write_atomically(const std::filesystem::path& target,
                      const std::function<void(const std::filesystem::path&)>& write);
/// The same for bytes in memory.
void write_file_atomically(const std::filesystem::path& target, std::string_view contents);
/// Whether a name is that of such a temporary for the file `target`: what a killed process leaves.
[[nodiscard]] bool is_temporary_of(std::string_view target, std::string_view name);
/// Appends to a file, made if missing, and hands it to the system; throws on a full disk.
void append_bytes(const std::filesystem::path& file, std::string_view bytes);
void append_line(const std::filesystem::path& file, std::string_view line);

/// Larger files of a model's folder (tokenizers, indices) are not known.
inline constexpr std::uint64_t kMostFileBytes = std::uint64_t{256} << 20;
inline constexpr std::uint64_t kAnySize = UINT64_MAX;
/// The whole file; throws with the system's reason and `what` (for example "a recipe") when it can't be read. Only a
/// regular file of at most `most_bytes` is read: a folder, pipe, device or socket is refused without opening it.
[[nodiscard]] std::string read_file(const std::filesystem::path& file, std::string_view what,
                                    std::uint64_t most_bytes = kMostFileBytes);
/// The same for what users hand over as they like: also from a pipe, to its end.
[[nodiscard]] std::string read_file_or_pipe(const std::filesystem::path& file, std::string_view what,
                                            std::uint64_t most_bytes);
/// Throws if something other than a regular file is there; what opens a file by its name would hang on a pipe.
void refuse_irregular_file(const std::filesystem::path& file, std::string_view what);

void create_folders(const std::filesystem::path& folder);
/// fsync of a file or folder.
void sync_path(const std::filesystem::path& path);

}  // namespace qad
