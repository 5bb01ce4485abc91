#include "qad/layouts/stream_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "autograd/base/place.h"
#include "data/files/hash.h"
#include "data/files/safetensors_writer.h"
#include "models/import/side_files.h"
#include "qad/layouts/check_exportable.h"
#include "qad/layouts/export_marker.h"
#include "qad/layouts/verify_export.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

// Hidden, so that it is no file of the export. A line says whose it is, then one a piece: its number and its hash.
constexpr const char* kDone = ".qad_stream";
constexpr const char* kStateFolder = ".qad_stream_state";

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    lines.push_back(text.substr(at, end - at));
  return lines;  // what a killed process did not write to its end is none
}

// What a process that was killed at its end had begun: texts, copies, temporaries. They are made again.
void remove_all_but(const std::vector<PlannedFile>& files, const fs::path& folder) {
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(".") && std::ranges::find(files, name, &PlannedFile::name) == files.end())
      others.push_back(entry.path());
  }
  for (const fs::path& other : others) fs::remove_all(other);
}

}  // namespace

OutputFolder streamed_export_folder(const fs::path& folder, const std::string& run) {
  return OutputFolder(
      folder, [run](const fs::path& place) { return replaceable_export(place, run); }, OutputFolder::Left::kept);
}

StreamedExport::StreamedExport(OutputFolder& out, const Exporter& exporter, ExportPlan plan,
                               const std::string& identity, std::uint64_t shard_bytes)
    : out_(out), exporter_(exporter), plan_(std::move(plan)), shard_bytes_(shard_bytes), done_(plan_.pieces.size()) {
  const std::string whole_identity = identity + " " + std::string(exporter.name);
  const fs::path list = out_.path() / kDone;
  const std::string done = place_at(list) == Place::file ? read_file(list, "what is done") : "";
  const bool same = done.starts_with(whole_identity + "\n");
  if (same) {
    remove_all_but(plan_.files, out_.path());
  } else {
    if (!done.empty())
      log_warning(
          "{}: begins again, as what was there half done is of another model (or one whose files were touched), "
          "recipe, text or program",
          out_.target().string());
    out_.clear();
    append_line(list, whole_identity);
  }
  for (const PlannedFile& file : plan_.files) {
    files_.emplace_back(out_.path(), file);
    mapped_.push_back(std::make_shared<const MappedFile>(out_.path() / file.name, "a file of the export"));
    hashes_.emplace_back(file);
  }
  if (same) take_up(done);
}

// A piece counts where its bytes are those that were noted: after a loss of power they may not be.
void StreamedExport::take_up(const std::string& text) {
  const std::vector<std::string> lines = lines_of(text);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    throw_if_stopped();
    const std::size_t space = lines[i].find(' ');
    const std::size_t piece = space < 10 ? std::stoul("0" + lines[i].substr(0, space)) : done_.size();
    if (piece < done_.size() && !done_[piece] && lines[i].substr(space + 1) == hash_of(plan_.pieces[piece]))
      note(piece);
  }
  if (const std::size_t done = pieces_done(); done > 0)
    log_info("{}: goes on after {} of {} parts", out_.target().string(), done, done_.size());
}

fs::path StreamedExport::state_folder() const { return out_.path() / kStateFolder; }

std::size_t StreamedExport::pieces_done() const { return static_cast<std::size_t>(std::ranges::count(done_, true)); }

std::span<const std::byte> StreamedExport::written(const std::string& tensor) const {
  const PlannedPlace& place = plan_.places.at(tensor);
  const PlannedTensor& planned = plan_.files[place.file].tensors[place.index];
  return mapped_[place.file]->bytes().subspan(planned.begin, planned.bytes);
}

std::string StreamedExport::hash_of(const ExportPiece& piece) const {
  Hasher128 hasher;
  for (const std::string& name : piece.tensors) {
    const auto bytes = written(name);
    if (!read_pages(bytes)) return "";
    hasher.add(bytes);
  }
  return hex(hasher.hash());
}

void StreamedExport::note(std::size_t index) {
  done_[index] = true;
  for (const std::string& name : plan_.pieces[index].tensors) {
    const PlannedPlace& place = plan_.places.at(name);
    hashes_[place.file].add(plan_.files[place.file].tensors[place.index], mapped_[place.file]->bytes());
    forget_pages(written(name));
  }
}

Tensor StreamedExport::read_back(const std::string& tensor) const {
  const PlannedPlace& place = plan_.places.at(tensor);
  return Tensor::borrow(written(tensor), mapped_[place.file], place.shape, place.type);
}

void StreamedExport::write(std::size_t index, const ExportModel& part) {
  const ExportPiece& piece = plan_.pieces[index];
  check_part(part);
  ExportFiles packed;
  exporter_.pack_tensors(part, packed);
  for (const Passenger& one : part.passengers) packed.tensors.push_back({one.name, one.dtype, one.data});
  std::map<std::string, const FileTensor*> made;
  for (const FileTensor& tensor : packed.tensors) made[tensor.name] = &tensor;

  ExportFiles there{{}, plan_.texts, plan_.metadata, {}};
  for (const std::string& name : piece.tensors) {
    const auto found = made.find(name);
    QAD_ASSERT(found != made.end());
    const FileTensor& tensor = *found->second;
    const PlannedPlace& place = plan_.places.at(name);
    if (tensor.dtype != place.dtype || tensor.data.shape() != place.shape)
      throw Error({.who = name,
                   .expected = fmt::format("{} {}, as its place was made", place.dtype, place.shape.text()),
                   .got = fmt::format("{} {}", tensor.dtype, tensor.data.shape().text()),
                   .hint = "tensor_scale.round: pow2 has scales of one type"});
    files_[place.file].put(plan_.files[place.file].tensors[place.index], {tensor.data.raw(), tensor.data.bytes()});
    there.tensors.push_back({name, place.dtype, read_back(name)});
  }
  for (const PlannedFileWriter& file : files_) file.start_flush();
  std::erase_if(there.tensors, [&](const FileTensor& tensor) {
    return std::ranges::any_of(part.passengers, [&](const Passenger& one) { return one.name == tensor.name; });
  });
  if (!part.dense.empty() || !part.linears.empty()) verify_part(there, exporter_, part);
  append_line(out_.path() / kDone, fmt::format("{} {}", index, hash_of(piece)));
  note(index);
}

void StreamedExport::finish(const std::vector<KeyValueScale>& scales, const ExportExtras& extras) {
  QAD_ASSERT(pieces_done() == done_.size());
  const fs::path& folder = out_.path();
  const std::vector<PlannedFile> planned = plan_.files;
  set_cache_scales(plan_, exporter_, scales, shard_bytes_);
  for (std::size_t i = 0; i < files_.size(); ++i) {
    QAD_ASSERT(plan_.files[i].header.size() == planned[i].header.size() && plan_.files[i].bytes == planned[i].bytes);
    throw_if_stopped();
    files_[i].finish(plan_.files[i].header);
  }
  if (!plan_.index.empty()) write_file_atomically(folder / kSafetensorsIndex, plan_.index);
  for (const fs::path& side : extras.side_files) copy_side_files(side, folder);
  for (const auto& [name, text] : plan_.texts) write_file_atomically(folder / name, text);
  if (extras.add_files) extras.add_files(folder);
  throw_if_stopped();
  std::map<std::string, FileHash> known;
  for (std::size_t i = 0; i < files_.size(); ++i) known[plan_.files[i].name] = hashes_[i].hash(mapped_[i]->bytes());
  write_export_marker(folder, std::string(exporter_.name), extras.run, known);
  mapped_.clear();
  files_.clear();
  fs::remove_all(folder / kStateFolder);
  fs::remove(folder / kDone);
  out_.put_in_place(kLastExportFile);
}

}  // namespace qad
