// Tensors over bytes that somebody else keeps.
#include "autograd/core/tensor.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

namespace qad {
namespace {

struct Bytes {
  alignas(64) std::array<std::byte, 32> data{};
  [[nodiscard]] std::span<const std::byte> from(std::size_t begin) const { return std::span(data).subspan(begin, 24); }
};

std::shared_ptr<Bytes> some_bytes() {
  auto bytes = std::make_shared<Bytes>();
  for (std::size_t i = 0; i < bytes->data.size(); ++i) bytes->data[i] = static_cast<std::byte>(i);
  return bytes;
}

TEST(BorrowedTensor, IsTheBytesAndKeepsThem) {
  auto bytes = some_bytes();
  const std::weak_ptr<Bytes> alive = bytes;
  const std::size_t in_use = storage_statistics().in_use_bytes;
  {
    const Tensor tensor = Tensor::borrow(bytes->from(8), bytes, {2, 3}, DType::f32);
    EXPECT_EQ(tensor.raw(), bytes->data.data() + 8);
    EXPECT_EQ(storage_statistics().in_use_bytes, in_use);
    bytes.reset();
    EXPECT_FALSE(alive.expired());
    EXPECT_EQ(std::memcmp(tensor.slice(1, 2).raw(), alive.lock()->data.data() + 20, 12), 0);
  }
  EXPECT_TRUE(alive.expired());
}

TEST(BorrowedTensor, IsNeverWrittenOver) {
  const auto bytes = some_bytes();
  const Tensor tensor = Tensor::borrow(bytes->from(0), bytes, {6}, DType::f32);
  EXPECT_FALSE(tensor.unique());
  EXPECT_NE(tensor.reusable().raw(), tensor.raw());
  const Tensor copy = tensor.clone();
  EXPECT_NE(copy.raw(), tensor.raw());
  EXPECT_TRUE(copy.unique());
}

TEST(BorrowedTensor, IsACopyWhereElementsAreNotAligned) {
  const auto bytes = some_bytes();
  for (const DType dtype : {DType::f32, DType::bf16, DType::u8}) {
    const auto size = static_cast<std::int64_t>(bytes_of(dtype));
    const Tensor tensor = Tensor::borrow(bytes->from(1), bytes, {24 / size}, dtype);
    EXPECT_EQ(tensor.raw() == bytes->data.data() + 1, dtype == DType::u8);
    EXPECT_EQ(std::memcmp(tensor.raw(), bytes->data.data() + 1, 24), 0);
  }
}

}  // namespace
}  // namespace qad
