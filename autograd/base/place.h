// Where a path leads and what stands there: asked before the work whose result is to be written, so that a place that
// can't take it costs nothing. Writing files is autograd/base/atomic_file.h, folders that appear whole are
// autograd/base/output_folder.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace qad {

/// What stands at a path, links followed; `hidden` if the system doesn't tell.
enum class Place : std::uint8_t { nothing, file, folder, pipe, socket, device, hidden };
[[nodiscard]] Place place_at(const std::filesystem::path& path);
/// The same in words for a message: "nothing there", "a file", "a folder", "a pipe", "a socket", "a device", or the
/// system's reason.
[[nodiscard]] std::string what_is_at(const std::filesystem::path& path);

/// Of the files in a folder, without those in folders of it.
[[nodiscard]] std::int64_t bytes_in_folder(const std::filesystem::path& folder);

/// The path of what would be made or replaced: a link at its end is followed, also one whose target is not there yet.
/// It has a parent. Throws for an empty path, for links that lead nowhere in a circle, and for one that is an open file
/// of a process
/// (/dev/stdout and what else leads into /proc), which can't be replaced by another file.
[[nodiscard]] std::filesystem::path real_place(const std::filesystem::path& path);

/// Throws, before the work, unless write_atomically can put a file there: (usage) for a folder, pipe, device or socket,
/// for a mount point and for what the system lets nobody replace; (failed) for a folder that can't be written, which is
/// tried, since permissions alone do not tell.
void check_file_place(const std::filesystem::path& file);

namespace detail {
/// The part of check_file_place that looks at what stands at the real place itself.
void check_can_be_replaced(const std::filesystem::path& file, const std::filesystem::path& real);
/// A new empty file beside `real`, for what is to take its place.
[[nodiscard]] std::filesystem::path create_temporary(const std::filesystem::path& real);
/// At most `bytes` of a file's name, which ends with a whole character.
[[nodiscard]] std::string cut_name(std::string name, std::size_t bytes);
}  // namespace detail

}  // namespace qad
