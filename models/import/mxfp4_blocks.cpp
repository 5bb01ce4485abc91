#include "models/import/mxfp4_blocks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"

namespace qad {
namespace {

constexpr std::int64_t kBlock = 32, kBlockBytes = kBlock / 2;
constexpr std::array<float, 8> kE2M1Values = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
constexpr int kE8M0Bias = 127;
constexpr std::uint8_t kE8M0NaN = 255;

std::string codes_of(const std::string& name) { return name + std::string(kMxfp4Blocks); }
std::string scales_of(const std::string& name) { return name + std::string(kMxfp4Scales); }

void check_bytes(const SafetensorsFolder& files, const std::string& stored, const std::vector<std::int64_t>& wanted) {
  const std::string who = files.path().string() + ": " + stored;
  if (!files.has(stored))
    throw Error({.who = who, .expected = "a tensor beside the other half of an MXFP4 weight", .got = "none"});
  const SafetensorsInfo& info = files.info(stored);
  const std::vector<std::int64_t> shape(info.shape.begin(), info.shape.end());
  if (info.dtype != "U8") throw Error({.who = who, .expected = "U8", .got = info.dtype});
  if (shape != wanted)
    throw Error({.who = who,
                 .expected = fmt::format("shape [{}]", fmt::join(wanted, ", ")),
                 .got = fmt::format("[{}]", fmt::join(shape, ", ")),
                 .hint = "does config.json belong to these weights?"});
}

}  // namespace

std::optional<std::string> mxfp4_name(const SafetensorsFolder& files, const std::string& name) {
  constexpr std::string_view kWeight = ".weight";
  std::vector<std::string> names = {name};
  if (name.ends_with(kWeight)) names.push_back(name.substr(0, name.size() - kWeight.size()));
  for (std::string& one : names)
    if (files.has(codes_of(one)) || files.has(scales_of(one))) return std::move(one);
  return std::nullopt;
}

void check_mxfp4(const SafetensorsFolder& files, const std::string& name, const Shape& shape) {
  if (shape.cols() % kBlock != 0)
    throw Error({.who = files.path().string() + ": " + codes_of(name),
                 .expected = fmt::format("columns in blocks of {}", kBlock),
                 .got = fmt::format("{} columns by config.json", shape.cols())});
  std::vector<std::int64_t> wanted(shape.extents().begin(), shape.extents().end());
  wanted.back() /= kBlock;
  check_bytes(files, scales_of(name), wanted);
  wanted.push_back(kBlockBytes);
  check_bytes(files, codes_of(name), wanted);
}

Tensor mxfp4_rows(const SafetensorsFolder& files, const std::string& name, std::int64_t first, const Shape& shape) {
  const std::int64_t blocks = shape.cols() / kBlock;
  const auto* const codes = reinterpret_cast<const std::uint8_t*>(files.bytes(codes_of(name)).data());
  const auto* const scales = reinterpret_cast<const std::uint8_t*>(files.bytes(scales_of(name)).data());
  Tensor result(shape, DType::bf16);
  auto* const values = result.data<std::uint16_t>();
  parallel_for(shape.rows() * blocks, 1 << 12, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::uint8_t exponent = scales[first * blocks + i];
      const float scale = exponent == kE8M0NaN ? std::numeric_limits<float>::quiet_NaN()
                                               : std::ldexp(1.0f, static_cast<int>(exponent) - kE8M0Bias);
      for (std::int64_t j = 0; j < kBlock; ++j) {
        const int code = codes[(first * blocks + i) * kBlockBytes + j / 2] >> (j % 2 == 0 ? 0 : 4) & 15;
        const float magnitude = kE2M1Values[static_cast<std::size_t>(code & 7)] * scale;
        values[i * kBlock + j] = f32_to_bf16(code >= 8 ? -magnitude : magnitude);
      }
    }
  });
  return result;
}

}  // namespace qad
