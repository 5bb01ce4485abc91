#include "models/import/unread_values.h"

#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <new>

namespace qad {
namespace {

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

}  // namespace

Tensor unread_values(const Shape& shape) {
  static std::shared_ptr<const Nowhere> place;
  const std::size_t bytes = static_cast<std::size_t>(shape.size()) * bytes_of(DType::f32);
  if (place == nullptr || bytes > place->bytes().size())
    place = std::make_shared<const Nowhere>(std::max<std::size_t>(2 * bytes, std::size_t{1} << 20));
  return Tensor::borrow(place->bytes().first(bytes), place, shape, DType::f32);
}

}  // namespace qad
