// The extents of a tensor, outermost first. At most four of them; rank 0 is a scalar with one element.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace qad {

class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents);
  explicit Shape(std::span<const std::int64_t> extents);

  [[nodiscard]] int rank() const { return rank_; }
  /// Negative `axis` counts from the end.
  [[nodiscard]] std::int64_t operator[](int axis) const;
  /// Product of the extents; 1 for a scalar.
  [[nodiscard]] std::int64_t size() const;
  /// Product of all extents but the last: the rows of the matrix that a kernel sees; 1 for a scalar.
  [[nodiscard]] std::int64_t rows() const;
  /// The last extent; 1 for a scalar.
  [[nodiscard]] std::int64_t cols() const;
  [[nodiscard]] std::span<const std::int64_t> extents() const {
    return {extents_.data(), static_cast<std::size_t>(rank_)};
  }
  [[nodiscard]] std::string text() const;  ///< "[2048, 128]"

  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<std::int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

}  // namespace qad
