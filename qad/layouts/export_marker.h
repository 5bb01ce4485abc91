// qad_export.json: which run made an export, and what every file of it was, so that damage is found before the weights
// are used.
//
//     {"layout", "program", "version", "run", "files": {"config.json": {"bytes", "xxh3"}, …}, "self"}
//
// `run` says whose export it is: another run's is never replaced. `xxh3` is FileHash (data/files/file_hash.h), 32
// hexadecimal digits; `self` is the XXH3-128 of this file up to it. Files that are not listed are nobody's business.
// The markers of older exports end at `version`.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "data/files/file_hash.h"

namespace qad {

/// The file that makes an export whole when it is put in place last.
inline constexpr const char* kLastExportFile = "config.json";

struct ExportMarker {
  std::string layout, version;
  std::string run;                        ///< empty in older ones
  std::map<std::string, FileHash> files;  ///< empty in older ones
};

/// Lists all files of `folder`, which are read for it unless they are `known`, and writes the marker beside them.
void write_export_marker(const std::filesystem::path& folder, const std::string& layout, const std::string& run,
                         const std::map<std::string, FileHash>& known = {});
/// None if the folder has no marker; throws if it is damaged.
[[nodiscard]] std::optional<ExportMarker> read_export_marker(const std::filesystem::path& folder);

/// Throws, naming the file, if a folder that qad exported is not as it was written: a listed file is gone or has
/// changed by a bit, or the export was never finished. Reads every listed file once, over all cores. Returns how many
/// there are; none for other folders.
std::size_t check_export(const std::filesystem::path& folder);
/// The same for one file of an export, by its own path.
void check_exported_file(const std::filesystem::path& file);

/// What stands at a run's own place for an export.
enum class ExportState : std::uint8_t { absent, unfinished, whole };
/// `unfinished` if it was interrupted, files are gone or it has another layout; throws for what check_export finds in
/// those that are there.
[[nodiscard]] ExportState state_of_export(const std::filesystem::path& folder, const std::string& layout);

/// For OutputFolder: the listed files of an earlier export of the run that are there. Throws (usage) for a folder of
/// anything else, and where one of the files has been changed since.
[[nodiscard]] std::set<std::string> replaceable_export(const std::filesystem::path& folder, const std::string& run);

}  // namespace qad
