// Copied rows: fast against definition, of every element size.
#include <gtest/gtest.h>

#include "autograd/kernels/rows.h"
#include "autograd/ops/rows.h"
#include "autograd/reference/rows.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

// Each of 0 … count-1 once, in another order.
std::vector<std::int64_t> mixed(std::int64_t count, std::int64_t step) {
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < count; ++i) rows.push_back((i * step + 3) % count);
  return rows;
}

template <class T>
void expect_copied(std::int64_t rows, std::int64_t cols) {
  std::vector<T> from;
  for (std::int64_t i = 0; i < rows * cols; ++i) from.push_back(static_cast<T>(i * 7 + 1));
  std::vector<T> got(from.size() + static_cast<std::size_t>(cols)), expected(got);
  const std::vector<std::int64_t> picked = mixed(rows, 1), placed = mixed(rows + 1, rows + 2);
  kernels::copy_rows(rows, static_cast<std::size_t>(cols) * sizeof(T), reinterpret_cast<const std::byte*>(from.data()),
                     picked.data(), reinterpret_cast<std::byte*>(got.data()), placed.data());
  reference::copy_rows(cols, from, picked, expected, std::vector<std::int64_t>(placed.begin(), placed.begin() + rows));
  EXPECT_EQ(got, expected) << rows << " x " << cols;
}

TEST(KernelsRows, EqualTheDefinition) {
  for (const std::int64_t rows : {0, 1, 5, 1000})
    for (const std::int64_t cols : {1, 3, 64, 1030}) {
      expect_copied<float>(rows, cols);
      expect_copied<std::uint16_t>(rows, cols);
      expect_copied<std::uint8_t>(rows, cols);
    }
}

TEST(Rows, ComeBackFromWhereTheyWerePut) {
  const Tensor x = Tensor::from(normal_floats(5 * 6, 1.0, 1), {5, 6}).to(DType::bf16);
  const Tensor table = Tensor::zeros({9, 6}, DType::bf16);
  const std::vector<std::int64_t> rows = {8, 0, 3, 4, 1};
  scatter_rows(x, rows, table);
  const Tensor back = gather_rows(table, rows);
  EXPECT_TRUE(std::ranges::equal(back.span<std::uint16_t>(), x.span<std::uint16_t>()));
  EXPECT_EQ(table.data<std::uint16_t>()[2 * 6], 0);  // a row that nobody put
}

}  // namespace
}  // namespace qad::testing
