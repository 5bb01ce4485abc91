#include "qad/layouts/write_export.h"

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "data/files/safetensors_writer.h"
#include "models/import/side_files.h"
#include "qad/layouts/check_exportable.h"
#include "qad/layouts/export_marker.h"
#include "qad/layouts/gguf.h"
#include "qad/layouts/read_export.h"
#include "qad/layouts/verify_export.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

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

void write_weights(const fs::path& folder, const std::vector<FileTensor>& tensors,
                   const std::vector<Passenger>& passengers, std::uint64_t shard_bytes) {
  std::vector<SafetensorsEntry> entries;
  const auto add = [&](const auto& tensor) {
    const auto extents = tensor.data.shape().extents();
    entries.push_back(
        {tensor.name, tensor.dtype, {extents.begin(), extents.end()}, {tensor.data.raw(), tensor.data.bytes()}});
  };
  for (const FileTensor& tensor : tensors) add(tensor);
  for (const Passenger& tensor : passengers) add(tensor);
  write_safetensors_folder(folder, entries, shard_bytes);
}

}  // namespace

OutputFolder export_folder(const fs::path& folder, const std::string& run) {
  return OutputFolder(folder, [run](const fs::path& place) { return replaceable_export(place, run); });
}

void write_export(OutputFolder& out, const Exporter& exporter, const ExportModel& student, const ExportExtras& extras) {
  if (!exporter.holds_passengers && !student.passengers.empty()) {
    log_info("{} has no place for {} tensors that only go along, {} the first", exporter.name,
             student.passengers.size(), student.passengers.front().name);
    ExportModel alone = student;
    alone.passengers.clear();
    write_export(out, exporter, alone, extras);
    return;
  }
  check_exportable(student);
  throw_if_stopped();
  const ExportFiles files = exporter.pack(student);

  const fs::path& folder = out.path();
  if (!files.metadata.empty()) write_gguf_weights(folder, files);
  else write_weights(folder, files.tensors, student.passengers, extras.shard_bytes);
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
