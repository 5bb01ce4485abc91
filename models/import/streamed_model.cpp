#include "models/import/streamed_model.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <utility>

#include "autograd/base/error.h"
#include "data/files/hash.h"
#include "data/files/mapped_file.h"
#include "models/families/registry.h"
#include "models/import/model_folder.h"
#include "models/import/unread_values.h"

namespace qad {

StreamedModel::StreamedModel(const std::filesystem::path& folder, WeightType type)
    : folder_(folder), config_(plain_config_of(folder)), type_(type), weights_(folder, config_) {
  model_ = make_model(config_, [&](const ParameterSpec& spec) {
    stored_[spec.name] = {spec, weights_.bytes_of(spec)};
    return make_parameter(spec.name, unread_values(spec.shape), false);
  });
  weights_.check_tied_head();
  weights_.tell_unused();
  model_->label = folder.string();
}

void StreamedModel::load(Parameter& parameter, As as) {
  const auto& [spec, bytes] = stored(parameter);
  if (!read_pages(bytes))
    throw Error({.who = folder_.string() + ": " + parameter.name,
                 .expected = "bytes that can be read",
                 .got = "none at its place (was the file cut off, or is the disk damaged?)",
                 .hint = "put the file back and begin again"});
  const WeightType own = kept_type(spec.role, DType::bf16) == DType::f32 ? WeightType::f32 : type_;
  Tensor value = weights_.load(spec, own);
  if (as == As::masters) {
    value = value.to(DType::f32);
    forget_pages(bytes);
  }
  lend(parameter, value);
}

void StreamedModel::lend(Parameter& parameter, const Tensor& value) {
  parameter.variable = Variable(value);
  parameter.changed();
  loaded_.insert(parameter.name);
}

void StreamedModel::unload(Parameter& parameter) {
  let_go(parameter);
  forget(parameter);
}

void StreamedModel::let_go(Parameter& parameter) {
  loaded_.erase(parameter.name);
  parameter.variable = Variable(unread_values(stored(parameter).spec.shape));
  parameter.changed();
}

void StreamedModel::forget(const Parameter& parameter) const { forget_pages(stored(parameter).bytes); }

void StreamedModel::ask_for(const Parameter& parameter) const { ask_for_pages(stored(parameter).bytes); }

// A file that was written to or replaced has other times, also where its time of writing was set back.
std::string StreamedModel::fingerprint() const {
  constexpr std::size_t kSamples = 64, kSample = 4096;
  Hasher128 hasher;
  for (const SafetensorsFile& file : weights_.files().files()) {
    struct stat now {};
    if (::stat(file.path().c_str(), &now) != 0) continue;  // who loads from it says so
    const std::array<std::int64_t, 5> facts{now.st_size, now.st_mtim.tv_sec, now.st_mtim.tv_nsec, now.st_ctim.tv_sec,
                                            now.st_ctim.tv_nsec};
    hasher.add(std::span<const std::int64_t>(facts));
  }
  for (const SafetensorsFile& file : weights_.files().files())
    for (const SafetensorsInfo& info : file.tensors()) {
      hasher.add(std::span<const char>(info.name));
      hasher.add(std::span<const char>(info.dtype));
      hasher.add(std::span<const std::int64_t>(info.shape));
    }
  for (const SafetensorsFile& file : weights_.files().files()) {
    const std::size_t count = file.tensors().size(), step = std::max<std::size_t>(1, count / kSamples);
    for (std::size_t i = 0; i < count; i += step) {
      const auto bytes = file.bytes(file.tensors()[i].name);
      const auto sample = bytes.first(std::min(bytes.size(), kSample));
      if (!read_pages(sample)) continue;
      hasher.add(sample);
      forget_pages(sample);
    }
  }
  return hex(hasher.hash());
}

std::uint64_t StreamedModel::stored_bytes(const Parameter& parameter) const { return stored(parameter).bytes.size(); }

}  // namespace qad
