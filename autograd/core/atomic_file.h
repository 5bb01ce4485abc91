// Files appear whole or not at all: written under a temporary name beside the target, synced, renamed, folder synced.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace qad {

/// Calls `write` with a temporary path in the target's folder (made if missing), then puts the file in place.
/// If `write` throws, the temporary is removed and whatever stood at `target` is untouched.
void write_atomically(const std::filesystem::path& target,
                      const std::function<void(const std::filesystem::path&)>& write);
/// The same for bytes in memory.
void write_file_atomically(const std::filesystem::path& target, std::string_view contents);
/// Appends a line and flushes it to the system; throws on a full disk.
void append_line(const std::filesystem::path& file, std::string_view line);
/// The whole file; throws with the system's reason and `what` (for example "a recipe") when it can't be read.
[[nodiscard]] std::string read_file(const std::filesystem::path& file, std::string_view what);
void create_folders(const std::filesystem::path& folder);
/// fsync of a file or folder.
void sync_path(const std::filesystem::path& path);

}  // namespace qad
