#include "qad/exporters/write_export.h"

#include <fcntl.h>
#include <stdio.h>  // renameat2

#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>
#include <system_error>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"
#include "autograd/core/interrupt.h"
#include "autograd/core/version.h"
#include "data/safetensors_writer.h"
#include "models/finite_values.h"
#include "models/model_folder.h"
#include "qad/exporters/gguf.h"
#include "qad/exporters/layout_files.h"
#include "qad/exporters/read_export.h"
#include "qad/exporters/verify_export.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMarker = "qad_export.json";

/// Whether a serving engine may run two fused layers as one.
bool share_scales(const ExportLinear& a, const ExportLinear& b) {
  const bool same_weight =
      !a.weight || (a.weight->format == b.weight->format && a.weight->tensor_scale == b.weight->tensor_scale);
  const bool same_input =
      !a.input || (a.input->format == b.input->format && a.input->tensor_scale == b.input->tensor_scale);
  return same_weight && same_input;
}

void check_target(const fs::path& folder) {
  if (!fs::exists(folder)) return;
  if (!fs::is_directory(folder))
    throw Error({folder.string(), "a new or empty folder, or an earlier export", "a file", "choose another --out"},
                ExitCode::usage);
  if (!fs::is_empty(folder) && !fs::exists(folder / kMarker))
    throw Error({folder.string(), "a new or empty folder, or an earlier export", "a folder with other files",
                 "choose another --out"},
                ExitCode::usage);
}

/// Removed unless it has been put in place.
class PartialFolder {
 public:
  explicit PartialFolder(const fs::path& target) : target_(fs::absolute(target).lexically_normal()) {
    if (!target_.has_filename()) target_ = target_.parent_path();  // "out/"
    path_ = target_.parent_path() / ("." + target_.filename().string().append(".partial"));
    std::error_code ignored;
    fs::remove_all(path_, ignored);  // of an export that was killed
    create_folders(target_.parent_path());
    create_folders(path_);
  }
  ~PartialFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }

  /// Changes places with what stood there, at once where the file system can; the old one is then removed.
  void put_in_place() {
    sync_path(path_);
    std::error_code error;
    if (!fs::exists(target_)) fs::rename(path_, target_, error);
    else if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) != 0) {
      if (errno != EINVAL && errno != ENOSYS) error = std::error_code(errno, std::generic_category());
      else {
        fs::remove_all(target_, error);
        if (!error) fs::rename(path_, target_, error);
      }
    }
    if (error) throw Error({target_.string(), "a folder that can be put in place", error.message(), ""});
    sync_path(target_.parent_path());
  }

 private:
  fs::path target_, path_;
};

void write_gguf_weights(const fs::path& folder, const ExportFiles& files) {
  std::vector<GgufEntry> entries;
  for (const FileTensor& tensor : files.tensors) {
    const GgufType& type = gguf_type(tensor.dtype);
    const auto extents = tensor.data.shape().extents();
    GgufEntry entry{tensor.name, &type, {extents.begin(), extents.end()}, {tensor.data.raw(), tensor.data.bytes()}};
    if (type.values > 1) entry.shape.back() = entry.shape.back() / type.bytes * type.values;
    entries.push_back(std::move(entry));
  }
  write_gguf(folder / kGgufFile, files.metadata, entries);
}

void write_weights(const fs::path& folder, const std::vector<FileTensor>& tensors, std::uint64_t shard_bytes) {
  std::vector<SafetensorsEntry> entries;
  for (const FileTensor& tensor : tensors) {
    const auto extents = tensor.data.shape().extents();
    entries.push_back(
        {tensor.name, tensor.dtype, {extents.begin(), extents.end()}, {tensor.data.raw(), tensor.data.bytes()}});
  }
  write_safetensors_folder(folder, entries, shard_bytes);
}

}  // namespace

void check_exportable(const ExportModel& student) {
  if (student.dense_type == DType::bf16)
    for (const NamedTensor& tensor : student.dense) check_fits_bf16(tensor.name, tensor.value);
  std::map<std::string, const ExportLinear*> first_of_group;
  for (const ExportLinear& linear : student.linears) {
    if (linear.input && !linear.weight)
      throw Error({linear.name, "quantized weights behind a quantized input", "plain ones", "exclude the layer whole"});
    const std::string& group = linear.group.empty() ? linear.name : linear.group;
    const ExportLinear& first = *first_of_group.try_emplace(group, &linear).first->second;
    if (linear.weight.has_value() != first.weight.has_value() || linear.input.has_value() != first.input.has_value())
      throw Error({group, "all its layers quantized alike", first.name + " and " + linear.name + " are not",
                   "serving engines run them as one"});
    if (!share_scales(linear, first))
      throw Error({group, "one weight scale and one input scale for all its layers",
                   "different ones at " + first.name + " and " + linear.name,
                   "serving engines run them as one; train with share_groups: true"});
  }
}

void write_export(const fs::path& folder, const Exporter& exporter, const ExportModel& student,
                  const std::vector<fs::path>& side_files, std::uint64_t shard_bytes) {
  check_target(folder);
  check_exportable(student);
  throw_if_stopped();
  const ExportFiles files = exporter.pack(student);

  PartialFolder partial(folder);
  if (!files.metadata.empty()) write_gguf_weights(partial.path(), files);
  else write_weights(partial.path(), files.tensors, shard_bytes);
  throw_if_stopped();
  for (const auto& [name, text] : files.texts) write_file_atomically(partial.path() / name, text);
  for (const fs::path& side : side_files) copy_side_files(side, partial.path());
  const OrderedJson marker = {{"layout", exporter.name}, {"program", "qad"}, {"version", kVersion}};
  write_file_atomically(partial.path() / kMarker, to_text(marker));

  verify_export(read_export_files(partial.path()), exporter, student);
  throw_if_stopped();
  partial.put_in_place();
}

}  // namespace qad
