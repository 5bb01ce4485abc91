#include "qad/layouts/export_marker.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/output_folder.h"
#include "autograd/base/place.h"
#include "autograd/base/version.h"
#include "data/files/json_file.h"
#include "qad/layouts/layout_files.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMarker = "qad_export.json";
constexpr const char* kAsWritten = "the file that the export wrote";
constexpr const char* kExportAgainHint = "export again; if you changed it yourself, remove qad_export.json";
constexpr const char* kMoveAwayHint =
    "an export that was changed is not replaced: move it away and give the command again";

[[noreturn]] void damaged_marker(const fs::path& file) {
  throw Error({.who = file.string(), .expected = kAsWritten, .got = "another one", .hint = kExportAgainHint});
}

Hash128 hash_from(const std::string& digits, const fs::path& who) {
  Hash128 hash;
  const char* const text = digits.data();
  const auto number = [&](int begin, std::uint64_t& value) {
    const auto [end, error] = std::from_chars(text + begin, text + begin + 16, value, 16);
    return error == std::errc() && end == text + begin + 16;
  };
  if (digits.size() != 32 || !number(0, hash.high) || !number(16, hash.low)) damaged_marker(who);
  return hash;
}

// All but `self`, without the end: what `self` is the hash of.
std::string begun(const OrderedJson& json) {
  const std::string text = json.dump(2);
  return text.substr(0, text.size() - 2);  // "\n}"
}

std::string sealed(const OrderedJson& json) {
  const std::string text = begun(json);
  return text + ",\n  \"self\": \"" + hex(hash128(text)) + "\"\n}\n";
}

bool lists_no_files(const OrderedJson& json) {
  return json.size() == 3 && json.contains("layout") && json.contains("program") && json.contains("version");
}

std::string text_in(const OrderedJson& json, const char* key) { return json.at(key).get<std::string>(); }

std::string name_in(const fs::path& folder, const fs::path& file) {
  return file.lexically_relative(folder).generic_string();
}

// In subfolders too, such as additional_chat_templates; hidden ones are nobody's.
std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && !entry.path().filename().string().starts_with(".")) files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

// Those of the marker that are there, each as it was; the first that is not is an Error.
std::set<std::string> unchanged_files(const fs::path& folder, const ExportMarker& marker, const char* hint) {
  std::vector<fs::path> paths;
  std::set<std::string> names;
  for (const auto& [name, written] : marker.files) {
    const fs::path file = folder / name;
    if (place_at(file) == Place::nothing) continue;
    if (std::error_code error; !fs::is_regular_file(file, error) || fs::file_size(file, error) != written.bytes)
      throw Error(
          {file.string(), fmt::format("{}, of {} bytes", kAsWritten, written.bytes),
           fs::is_regular_file(file, error) ? fmt::format("one of {}", fs::file_size(file, error)) : what_is_at(file),
           hint});
    names.insert(name);
    paths.push_back(file);
  }
  const std::vector<FileHash> found = hash_files(paths);
  for (std::size_t i = 0; i < paths.size(); ++i)
    if (found[i] != marker.files.at(name_in(folder, paths[i])))
      throw Error({.who = paths[i].string(),
                   .expected = kAsWritten,
                   .got = "another one of its size (is the file damaged?)",
                   .hint = hint});
  return names;
}

[[noreturn]] void unfinished(const fs::path& folder) {
  throw Error({.who = folder.string(),
               .expected = "a whole export",
               .got = "one that was not finished",
               .hint = "export again to the same place"});
}

}  // namespace

void write_export_marker(const fs::path& folder, const std::string& layout, const std::string& run,
                         const std::map<std::string, FileHash>& known) {
  const std::vector<fs::path> paths = files_below(folder);
  std::vector<fs::path> others;
  for (const fs::path& path : paths)
    if (!known.contains(name_in(folder, path))) others.push_back(path);
  std::map<std::string, FileHash> hashes = known;
  const std::vector<FileHash> of_others = hash_files(others);
  for (std::size_t i = 0; i < others.size(); ++i) hashes[name_in(folder, others[i])] = of_others[i];
  OrderedJson json = {{"layout", layout}, {"program", "qad"}, {"version", kVersion}, {"run", run}};
  OrderedJson& files = json["files"] = OrderedJson::object();
  for (const fs::path& path : paths) {
    const std::string name = name_in(folder, path);
    files[name] = {{"bytes", hashes.at(name).bytes}, {"xxh3", hex(hashes.at(name).hash)}};
  }
  write_file_atomically(folder / kMarker, sealed(json));
}

std::optional<ExportMarker> read_export_marker(const fs::path& folder) {
  const fs::path file = folder / kMarker;
  if (place_at(file) == Place::nothing) return std::nullopt;
  const std::string text = read_file(file, "what an export wrote");
  OrderedJson json = OrderedJson::parse(text, nullptr, false);
  if (!json.is_object()) damaged_marker(file);
  try {
    if (lists_no_files(json)) return ExportMarker{text_in(json, "layout"), text_in(json, "version"), "", {}};
    json.erase("self");
    if (text != sealed(json)) damaged_marker(file);
    ExportMarker marker{text_in(json, "layout"), text_in(json, "version"), text_in(json, "run"), {}};
    for (const auto& [name, written] : json.at("files").items())
      marker.files[name] = {written.at("bytes").get<std::uint64_t>(),
                            hash_from(written.at("xxh3").get<std::string>(), file)};
    return marker;
  } catch (const nlohmann::json::exception&) {
    damaged_marker(file);
  }
}

std::size_t check_export(const fs::path& folder) {
  if (place_at(folder) != Place::folder) return 0;
  const auto marker = read_export_marker(folder);
  const bool interrupted = is_unfinished_output(folder, kLastExportFile);
  if (!marker && interrupted) unfinished(folder);
  if (!marker) return 0;
  for (const auto& [name, written] : marker->files)
    if (place_at(folder / name) == Place::nothing) {
      if (interrupted) unfinished(folder);
      throw Error(
          {.who = (folder / name).string(), .expected = kAsWritten, .got = "nothing there", .hint = kExportAgainHint});
    }
  return unchanged_files(folder, *marker, kExportAgainHint).size();
}

void check_exported_file(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  auto marker = read_export_marker(folder);
  if (!marker) return;
  const auto listed = marker->files.find(file.filename().string());
  if (listed == marker->files.end()) return;
  marker->files = {*listed};
  static_cast<void>(unchanged_files(folder, *marker, kExportAgainHint));
}

ExportState state_of_export(const fs::path& folder, const std::string& layout) {
  if (place_at(folder) == Place::nothing || holds_nothing(folder)) return ExportState::absent;
  const auto marker = read_export_marker(folder);
  if (!marker || marker->layout != layout) return ExportState::unfinished;
  const bool is_whole = unchanged_files(folder, *marker, kMoveAwayHint).size() == marker->files.size();
  return is_whole && !is_unfinished_output(folder, kLastExportFile) ? ExportState::whole : ExportState::unfinished;
}

std::set<std::string> replaceable_export(const fs::path& folder, const std::string& run) {
  const auto refuse = [&](const std::string& got) {
    throw Error({.who = folder.string(),
                 .expected = "a new or empty folder, or an earlier export of this run",
                 .got = got,
                 .hint = "choose another --out, or remove it"},
                ExitCode::usage);
  };
  const auto marker = read_export_marker(folder);
  if (!marker) refuse("a folder with other files");
  if (marker->version.empty() || (marker->files.empty() && marker->run.empty())) refuse("an export of an older qad");
  if (marker->run != run) refuse("an export of another run");
  std::set<std::string> names = unchanged_files(folder, *marker, kMoveAwayHint);
  names.insert(kMarker);
  return names;
}

}  // namespace qad
