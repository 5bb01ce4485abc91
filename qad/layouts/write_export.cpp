#include "qad/layouts/write_export.h"

#include <map>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "data/files/safetensors_writer.h"
#include "models/finite_values.h"
#include "models/import/side_files.h"
#include "qad/layouts/export_marker.h"
#include "qad/layouts/gguf.h"
#include "qad/layouts/read_export.h"
#include "qad/layouts/verify_export.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

// Whether a serving engine may run two fused layers as one.
bool share_scales(const ExportLinear& a, const ExportLinear& b) {
  const bool same_weight =
      !a.weight || (a.weight->format == b.weight->format && a.weight->tensor_scale == b.weight->tensor_scale);
  const bool same_input =
      !a.input || (a.input->format == b.input->format && a.input->tensor_scale == b.input->tensor_scale);
  return same_weight && same_input;
}

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

OutputFolder export_folder(const fs::path& folder, const std::string& run) {
  return OutputFolder(folder, [run](const fs::path& place) { return replaceable_export(place, run); });
}

void check_exportable(const ExportModel& student) {
  if (student.dense_type == DType::bf16)
    for (const NamedTensor& tensor : student.dense)
      if (kept_type(tensor.role, DType::bf16) == DType::bf16) check_fits_bf16(tensor.name, tensor.value);
  std::map<std::string, const ExportLinear*> first_of_group;
  for (const ExportLinear& linear : student.linears) {
    if (linear.input && !linear.weight)
      throw Error({.who = linear.name,
                   .expected = "quantized weights behind a quantized input",
                   .got = "plain ones",
                   .hint = "exclude the layer whole"});
    const std::string& group = linear.group.empty() ? linear.name : linear.group;
    const ExportLinear& first = *first_of_group.try_emplace(group, &linear).first->second;
    if (linear.weight.has_value() != first.weight.has_value() || linear.input.has_value() != first.input.has_value())
      throw Error({.who = group,
                   .expected = "all its layers quantized alike",
                   .got = first.name + " and " + linear.name + " are not",
                   .hint = "serving engines run them as one"});
    if (!share_scales(linear, first))
      throw Error({.who = group,
                   .expected = "one weight scale and one input scale for all its layers",
                   .got = "different ones at " + first.name + " and " + linear.name,
                   .hint = "serving engines run them as one; train with share_groups: true"});
  }
}

void write_export(OutputFolder& out, const Exporter& exporter, const ExportModel& student, const ExportExtras& extras) {
  check_exportable(student);
  throw_if_stopped();
  const ExportFiles files = exporter.pack(student);

  const fs::path& folder = out.path();
  if (!files.metadata.empty()) write_gguf_weights(folder, files);
  else write_weights(folder, files.tensors, extras.shard_bytes);
  throw_if_stopped();
  for (const fs::path& side : extras.side_files) copy_side_files(side, folder);
  for (const auto& [name, text] : files.texts) write_file_atomically(folder / name, text);
  if (extras.add_files) extras.add_files(folder);

  verify_export(read_export_files(folder), exporter, student);
  throw_if_stopped();
  write_export_marker(folder, std::string(exporter.name), extras.run);
  out.put_in_place(kLastExportFile);
}

void write_export(const fs::path& folder, const Exporter& exporter, const ExportModel& student,
                  const std::vector<fs::path>& side_files, std::uint64_t shard_bytes) {
  OutputFolder out = export_folder(folder, "");
  write_export(out, exporter, student, {"", side_files, shard_bytes, {}});
}

}  // namespace qad
