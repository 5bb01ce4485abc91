#include "autograd/core/shape.h"

#include <algorithm>

#include "autograd/base/error.h"

namespace qad {

Shape::Shape(std::initializer_list<std::int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const std::int64_t> extents) : rank_(static_cast<int>(extents.size())) {
  QAD_ASSERT(extents.size() <= kMaxRank);
  QAD_ASSERT(std::ranges::all_of(extents, [](std::int64_t extent) { return extent >= 0; }));
  std::ranges::copy(extents, extents_.begin());
}

std::int64_t Shape::operator[](int axis) const {
  const int index = axis < 0 ? axis + rank_ : axis;
  QAD_ASSERT(index >= 0 && index < rank_);
  return extents_[static_cast<std::size_t>(index)];
}

std::int64_t Shape::size() const { return rows() * cols(); }

std::int64_t Shape::rows() const {
  std::int64_t product = 1;
  for (int axis = 0; axis + 1 < rank_; ++axis) product *= (*this)[axis];
  return product;
}

std::int64_t Shape::cols() const { return rank_ == 0 ? 1 : (*this)[rank_ - 1]; }

std::string Shape::text() const {
  std::string text = "[";
  for (const std::int64_t extent : extents()) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

bool operator==(const Shape& a, const Shape& b) { return std::ranges::equal(a.extents(), b.extents()); }

}  // namespace qad
