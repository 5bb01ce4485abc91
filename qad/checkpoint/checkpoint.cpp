#include "qad/checkpoint/checkpoint.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "autograd/base/atomic_file.h"
#include "autograd/base/mapped_pages.h"
#include "autograd/base/version.h"
#include "data/files/hash.h"
#include "data/files/hdf5_file.h"
#include "data/files/json_file.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr const char* kTensors = "tensors/";
constexpr const char* kTexts = "texts/";
constexpr const char* kNumbers = "numbers/";
constexpr const char* kManifest = "manifest";

// --- The manifest: what must be in the file, in the order of the names
// ------------------------------------------------

json describe(const Tensor& tensor) {
  const std::span<const std::byte> bytes(tensor.raw(), tensor.bytes());
  json description = {
      {"dtype", name_of(tensor.dtype())}, {"shape", tensor.shape().extents()}, {"xxh3", hex(hash64(bytes))}};
  forget_pages(bytes);  // of moments that are a file's
  return description;
}

json describe(const std::string& text) { return {{"bytes", text.size()}, {"xxh3", hex(hash64(text))}}; }

json manifest_of(const CheckpointContent& content) {
  json manifest = {{"program", fmt::format("qad {}", kVersion)},
                   {"tensors", json::object()},
                   {"texts", json::object()},
                   {"numbers", json::object()}};
  for (const auto& [name, tensor] : content.tensors) manifest["tensors"][name] = describe(tensor);
  for (const auto& [name, text] : content.texts) manifest["texts"][name] = describe(text);
  for (const auto& [name, number] : content.numbers)  // to be read by people: the dataset has the bits
    std::visit([&entry = manifest["numbers"][name]](auto value) { entry = value; }, number);
  return manifest;
}

// --- Content to HDF5 and back
// -----------------------------------------------------------------------------------------

void write_content(const fs::path& file, const CheckpointContent& content) {
  Hdf5Writer writer(file, kSealBytes);
  for (const auto& [name, tensor] : content.tensors) {
    writer.write_tensor(kTensors + name, tensor);
    forget_pages({tensor.raw(), tensor.bytes()});
  }
  for (const auto& [name, text] : content.texts) writer.write_text(kTexts + name, text);
  for (const auto& [name, number] : content.numbers) writer.write_number(kNumbers + name, number);
  writer.write_text(kManifest, manifest_of(content).dump(1));
  writer.close();
}

// Hands each tensor over as soon as it is read and checked, so that verifying a file needs memory for one of them only.
CheckpointContent read_content(const fs::path& file,
                               const std::function<void(const std::string& name, const Tensor&)>& take_tensor) {
  const Hdf5Reader reader(file, "a checkpoint");
  const std::string who = file.string();
  const auto check = [&](const std::string& name, const json& found, const json& expected) {
    if (found != expected)
      throw DamagedCheckpoint({who + ": " + name, expected.dump() + " as in the manifest", found.dump(), ""});
  };
  CheckpointContent content;
  try {
    const json manifest = parse_json(reader.read_text(kManifest), who + ": " + kManifest);
    content.program = manifest.at("program").get<std::string>();
    for (const auto& [name, expected] : manifest.at("tensors").items()) {
      const Tensor tensor = reader.read_tensor(kTensors + name);
      check(name, describe(tensor), expected);
      take_tensor(name, tensor);
    }
    for (const auto& [name, expected] : manifest.at("texts").items()) {
      std::string text = reader.read_text(kTexts + name);
      check(name, describe(text), expected);
      content.texts.emplace(name, std::move(text));
    }
    for (const auto& [name, value] : manifest.at("numbers").items())
      content.numbers.emplace(name, reader.read_number(kNumbers + name));
  } catch (const json::exception& error) {
    throw DamagedCheckpoint({who + ": " + kManifest, "the manifest of a checkpoint", error.what(), ""});
  }
  return content;
}

// --- Room on the disk
// -------------------------------------------------------------------------------------------------

std::uint64_t estimated_bytes(const CheckpointContent& content) {
  std::uint64_t payload = 0;
  for (const auto& [name, tensor] : content.tensors) payload += tensor.bytes();
  for (const auto& [name, text] : content.texts) payload += text.size();
  const std::uint64_t items = content.tensors.size() + content.texts.size() + content.numbers.size();
  return payload + payload / 100 + items * 2048 + (std::uint64_t{64} << 10);
}

// Early and cheap: a disk that fills up meanwhile is found by the writer.
void check_room(const fs::path& file, std::uint64_t needed) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0 || status.f_blocks == 0) return;  // a file system that does not say
  const std::uint64_t available = static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
  const auto mebibytes = [](std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  if (available < needed)
    throw Error({.who = file.string(),
                 .expected = fmt::format("{:.1f} MiB of room for the checkpoint", mebibytes(needed)),
                 .got = fmt::format("{:.1f} MiB free", mebibytes(available)),
                 .hint = "free some space and resume"});
}

// Which file has a name: a run that goes on may put a newer one in its place while the older one is being read.
using Identity = std::pair<dev_t, ino_t>;
Identity identity_of(const fs::path& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 ? Identity{status.st_dev, status.st_ino} : Identity{};
}

}  // namespace

void save_checkpoint(const fs::path& file, const CheckpointContent& content) {
  if (file.has_parent_path()) create_folders(file.parent_path());
  check_room(file, estimated_bytes(content));
  write_atomically(file, [&](const fs::path& temporary) {
    write_content(temporary, content);
    static_cast<void>(read_content(temporary, [](const std::string&, const Tensor&) {}));
    write_seal(temporary, kCheckpointFormatVersion);
  });
}

CheckpointContent load_checkpoint(const fs::path& file) {
  for (;;) {
    const Identity before = identity_of(file);
    try {
      static_cast<void>(check_seal(file, kCheckpointFormatVersion));
      std::map<std::string, Tensor> tensors;
      CheckpointContent content =
          read_content(file, [&](const std::string& name, const Tensor& tensor) { tensors.emplace(name, tensor); });
      content.tensors = std::move(tensors);
      return content;
    } catch (const Error&) {
      if (identity_of(file) == before) throw;
    }
  }
}

}  // namespace qad
