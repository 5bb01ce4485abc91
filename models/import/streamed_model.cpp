#include "models/import/streamed_model.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <utility>

#include "autograd/base/error.h"
#include "data/files/hash.h"
#include "data/files/mapped_file.h"
#include "models/families/registry.h"
#include "models/import/model_folder.h"

namespace qad {
namespace {

// Addresses that nobody may touch, and no memory.
class Nowhere {
 public:
  explicit Nowhere(std::size_t bytes) : bytes_(bytes) {
    address_ = ::mmap(nullptr, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~Nowhere() { ::munmap(address_, bytes_); }
  Nowhere(const Nowhere&) = delete;
  Nowhere& operator=(const Nowhere&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(address_), bytes_}; }

 private:
  void* address_;
  std::size_t bytes_;
};

// All of them lie in the same place.
Tensor nowhere(const Shape& shape) {
  static std::shared_ptr<const Nowhere> place;
  const std::size_t bytes = static_cast<std::size_t>(shape.size()) * bytes_of(DType::f32);
  if (place == nullptr || bytes > place->bytes().size())
    place = std::make_shared<const Nowhere>(std::max<std::size_t>(2 * bytes, std::size_t{1} << 20));
  return Tensor::borrow(place->bytes().first(bytes), place, shape, DType::f32);
}

}  // namespace

StreamedModel::StreamedModel(const std::filesystem::path& folder, WeightType type)
    : folder_(folder), config_(plain_config_of(folder)), type_(type), weights_(folder, config_) {
  model_ = make_model(config_, [&](const ParameterSpec& spec) {
    stored_[spec.name] = {spec, weights_.bytes_of(spec)};
    return make_parameter(spec.name, nowhere(spec.shape), false);
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
                 .hint = "put the file back and begin again: what is done is kept"});
  const WeightType own = kept_type(spec.role, DType::bf16) == DType::f32 ? WeightType::f32 : type_;
  Tensor value = weights_.load(spec, own);
  if (as == As::masters) {
    value = value.to(DType::f32);
    forget_pages(bytes);
  }
  parameter.variable = Variable(std::move(value));
  parameter.changed();
  loaded_.insert(parameter.name);
}

void StreamedModel::unload(Parameter& parameter) {
  loaded_.erase(parameter.name);
  parameter.variable = Variable(nowhere(stored(parameter).spec.shape));
  parameter.changed();
  forget_pages(stored(parameter).bytes);
}

void StreamedModel::ask_for(const Parameter& parameter) const { ask_for_pages(stored(parameter).bytes); }

std::string StreamedModel::fingerprint() const {
  constexpr std::size_t kSamples = 64, kSample = 4096;
  Hasher128 hasher;
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
      if (!read_pages(sample)) continue;  // who loads it says so
      hasher.add(sample);
      forget_pages(sample);
    }
  }
  return hex(hasher.hash());
}

std::uint64_t StreamedModel::stored_bytes(const Parameter& parameter) const { return stored(parameter).bytes.size(); }

}  // namespace qad
