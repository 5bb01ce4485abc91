#include "qad/formats/quantize.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <type_traits>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/base/profile.h"
#include "qad/formats/in_order_product.h"
#include "qad/formats/integer_product.h"
#include "qad/formats/quantize_reference.h"
#include "qad/formats/quantize_simd.h"

namespace qad {
namespace {

constexpr std::uint32_t kInfinityBits = 0x7f800000u;
constexpr std::int64_t kChunkValues =
    1 << 14;  // a loop's chunk: 64 KiB of floats, so that every pass finds them in cache

std::int64_t chunk_rows(std::int64_t cols) {
  return std::max<std::int64_t>(1, kChunkValues / std::max<std::int64_t>(1, cols));
}

// The bytes of one row, wherever the tensor keeps them.
std::uint8_t* row_codes(const QuantizedTensor& tensor, std::int64_t row) {
  return tensor.codes.data<std::uint8_t>() + row * tensor.codes.cols();
}
std::byte* row_scales(const QuantizedTensor& tensor, std::int64_t row) {
  if (!tensor.scales.defined()) return nullptr;
  return tensor.scales.raw() + row * tensor.scales.cols() * static_cast<std::int64_t>(bytes_of(tensor.scales.dtype()));
}

// Of rows as codes and scales and as values of so many bytes: what their profile counts.
double bytes_of_rows(const QuantizedTensor& tensor, std::int64_t rows, std::size_t value_bytes) {
  const std::size_t scales = tensor.scales.defined() ? bytes_of(tensor.scales.dtype()) : 0;
  const auto blocks = static_cast<double>(tensor.scales.defined() ? tensor.scales.cols() : 0);
  return static_cast<double>(rows) * (static_cast<double>(tensor.codes.cols()) + blocks * static_cast<double>(scales) +
                                      static_cast<double>(tensor.cols) * static_cast<double>(value_bytes));
}

// Returns the bits of the row's largest magnitude.
std::uint32_t code_row(const float* x, QuantizedTensor& out, std::int64_t row) {
  reference::code_row(*out.format, out.tensor_scale, x, out.cols, row_scales(out, row), row_codes(out, row), nullptr);
  return simd::amax_bits(x, out.cols);
}

// The same, choosing scales on the way.
std::uint32_t quantize_row(const float* x, QuantizedTensor& out, std::int64_t row, float* values, bool stream) {
  std::uint8_t* codes = row_codes(out, row);
  std::byte* scales = row_scales(out, row);
  if (const auto fast = out.format->fast.quantize)
    return fast(x, out.cols, out.tensor_scale, codes, reinterpret_cast<std::uint8_t*>(scales), values, stream);
  reference::quantize_row(*out.format, out.tensor_scale, x, out.cols, codes, scales, values);
  return simd::amax_bits(x, out.cols);
}

// Values that no cache will hold until they are read are written past it.
bool worth_streaming(const void* values, std::int64_t size) {
  constexpr std::int64_t kManyValues = 1 << 24;
  return size >= kManyValues && reinterpret_cast<std::uintptr_t>(values) % 64 == 0;
}

QuantizeStatistics count(const float* x, std::int64_t size, float limit) {
  QuantizeStatistics result;
  for (std::int64_t i = 0; i < size; ++i) {
    if (!std::isfinite(x[i])) ++result.non_finite;
    else if (std::abs(x[i]) > limit) ++result.saturated;
  }
  return result;
}

// A row of values on its way to memory: floats go there at once; BF16 gets the upper halves of floats, which are all of
// them where BF16 is exact, from a row that stays in cache.
class RowTarget {
 public:
  RowTarget(float* values, std::int64_t cols) : floats_(values), cols_(cols) {}
  RowTarget(std::uint16_t* values, std::int64_t cols)
      : halves_(values), buffer_(values ? static_cast<std::size_t>(cols) : 0), cols_(cols) {}

  [[nodiscard]] float* begin(std::int64_t row) {
    if (halves_ != nullptr) return buffer_.data();
    return floats_ != nullptr ? floats_ + row * cols_ : nullptr;
  }
  void end(std::int64_t row) const {
    if (halves_ != nullptr) simd::upper_halves(buffer_.data(), cols_, halves_ + row * cols_);
  }

 private:
  float* floats_ = nullptr;
  std::uint16_t* halves_ = nullptr;
  std::vector<float> buffer_;
  std::int64_t cols_;
};

// Calls code(row of x, its number, a row for values) for every row, which returns the bits of its largest magnitude.
template <class T, class Code>
QuantizeStatistics for_each_row(const float* x, const QuantizedTensor& out, T* values, Code&& code) {
  const ProfileScope scope(values ? "quantize and decode" : "quantize", 0,
                           bytes_of_rows(out, out.rows, sizeof(float) + (values ? sizeof(T) : 0)));
  const float limit = out.format->saturation_limit(out.tensor_scale);
  std::atomic<std::int64_t> saturated = 0, non_finite = 0;
  parallel_for(out.rows, chunk_rows(out.cols), [&](std::int64_t begin, std::int64_t end) {
    RowTarget target(values, out.cols);
    for (std::int64_t row = begin; row < end; ++row) {
      const float* source = x + row * out.cols;
      const std::uint32_t largest = code(source, row, target.begin(row));
      target.end(row);
      if (largest < kInfinityBits && std::bit_cast<float>(largest) <= limit) continue;
      const QuantizeStatistics counted = count(source, out.cols, limit);
      saturated += counted.saturated;
      non_finite += counted.non_finite;
    }
  });
  return {saturated, non_finite};
}

template <class T>
QuantizeStatistics quantize_rows(const float* x, QuantizedTensor& out, T* values) {
  const bool stream = std::is_same_v<T, float> && worth_streaming(values, out.rows * out.cols);
  return for_each_row(x, out, values, [&](const float* source, std::int64_t row, float* target) {
    return quantize_row(source, out, row, target, stream);
  });
}

template <class T>
void dequantize_rows_to(const QuantizedTensor& tensor, std::int64_t begin, std::int64_t end, T* out) {
  QAD_ASSERT(0 <= begin && begin <= end && end <= tensor.rows);
  const ProfileScope scope("decode", 0, bytes_of_rows(tensor, end - begin, sizeof(T)));
  parallel_for(end - begin, chunk_rows(tensor.cols), [&](std::int64_t first, std::int64_t last) {
    RowTarget target(out, tensor.cols);
    for (std::int64_t row = first; row < last; ++row) {
      dequantize_row(tensor, begin + row, target.begin(row));
      target.end(row);
    }
  });
}

QuantizeStatistics quantize_with_given_scales(const float* x, QuantizedTensor& out) {
  return for_each_row(x, out, static_cast<float*>(nullptr),
                      [&](const float* source, std::int64_t row, float*) { return code_row(source, out, row); });
}

float largest_magnitude(const float* x, std::int64_t count) {
  const ProfileScope scope("amax", 0, static_cast<double>(sizeof(float)) * static_cast<double>(count));
  std::atomic<std::uint32_t> largest = 0;
  parallel_for(count, 4 * kChunkValues, [&](std::int64_t begin, std::int64_t end) {
    const std::uint32_t bits = simd::amax_bits(x + begin, end - begin);
    std::uint32_t seen = largest;
    while (seen < bits && !largest.compare_exchange_weak(seen, bits)) {
    }
  });
  return std::bit_cast<float>(largest.load());
}

constexpr FormatKernels kCpu = {quantize_rows<float>,
                                quantize_rows<std::uint16_t>,
                                quantize_with_given_scales,
                                dequantize_rows_to<float>,
                                dequantize_rows_to<std::uint16_t>,
                                largest_magnitude,
                                cpu::interleaved,
                                cpu::separated,
                                cpu::integer_product,
                                cpu::in_order_product,
                                cpu::in_order_product};

}  // namespace

const FormatKernels& format_kernels(Device device) {
  QAD_ASSERT(device == Device::cpu);
  return kCpu;
}

QuantizedTensor QuantizedTensor::allocate(const BlockFormat& format, std::int64_t rows, std::int64_t cols,
                                          float tensor_scale) {
  QAD_ASSERT(rows >= 0 && cols > 0 && cols % format.block_size(cols) == 0);
  QAD_ASSERT(format.has_tensor_scale ? tensor_scale >= kSmallestScale : tensor_scale == 1.0f);
  QuantizedTensor result{&format, rows,        cols, Tensor({rows, format.code_bytes_per_row(cols)}, DType::u8),
                         {},      tensor_scale};
  if (format.scale) result.scales = Tensor({rows, format.blocks_per_row(cols)}, format.scale_dtype());
  return result;
}

std::size_t QuantizedTensor::bytes() const { return codes.bytes() + (scales.defined() ? scales.bytes() : 0); }

QuantizeStatistics quantize(const float* x, QuantizedTensor& out, float* values) {
  return format_kernels(out.codes.device()).quantize(x, out, values);
}
QuantizeStatistics quantize(const float* x, QuantizedTensor& out, std::uint16_t* bf16_values) {
  QAD_ASSERT(out.format->exact_in_bf16(out.tensor_scale));
  return format_kernels(out.codes.device()).quantize_bf16(x, out, bf16_values);
}

QuantizeStatistics quantize_with_scales(const float* x, QuantizedTensor& out) {
  return format_kernels(out.codes.device()).quantize_with_scales(x, out);
}

void dequantize_rows(const QuantizedTensor& tensor, std::int64_t begin, std::int64_t end, float* out) {
  format_kernels(tensor.codes.device()).dequantize_rows(tensor, begin, end, out);
}
void dequantize_rows(const QuantizedTensor& tensor, std::int64_t begin, std::int64_t end, std::uint16_t* bf16_out) {
  QAD_ASSERT(tensor.format->exact_in_bf16(tensor.tensor_scale));
  format_kernels(tensor.codes.device()).dequantize_rows_bf16(tensor, begin, end, bf16_out);
}

void dequantize_row(const QuantizedTensor& tensor, std::int64_t row, float* out) {
  const std::uint8_t* codes = row_codes(tensor, row);
  const std::byte* scales = row_scales(tensor, row);
  if (const auto fast = tensor.format->fast.dequantize)
    fast(codes, reinterpret_cast<const std::uint8_t*>(scales), tensor.cols, tensor.tensor_scale, out);
  else reference::dequantize_row(*tensor.format, tensor.tensor_scale, codes, scales, tensor.cols, out);
}

float amax(const float* x, std::int64_t count, Device device) { return format_kernels(device).amax(x, count); }

}  // namespace qad
