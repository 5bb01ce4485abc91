#include "bench/step/quantizer_rates.h"

#include <cstring>

#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "bench/step/clock.h"
#include "qad/formats/quantize.h"

namespace qad::bench {

std::vector<QuantizerRate> quantizer_rates(std::int64_t bytes) {
  constexpr std::int64_t kCols = 1024;
  const std::int64_t rows = bytes / (kCols * static_cast<std::int64_t>(sizeof(float)));
  const Tensor x({rows, kCols}), values({rows, kCols});
  Random random(1, stream_of("bench values"));
  for (std::int64_t i = 0; i < x.size(); ++i)
    x.data()[i] = i < 65536 ? static_cast<float>(random.normal()) : x.data()[i % 65521];
  values.fill(0);
  const BlockFormat& format = block_format("nvfp4");
  const float scale = tensor_scale_from_amax(format, amax(x.data(), x.size()), TensorScaleRound::pow2);
  QuantizedTensor codes = QuantizedTensor::allocate(format, rows, kCols, scale);

  const auto size = static_cast<double>(x.size());
  const double code_bytes = format.bits_per_weight(kCols) / 8;
  std::vector<QuantizerRate> rates;
  const auto measure = [&](const char* what, double bytes_per_value, auto&& body) {
    rates.push_back({what, bytes, bytes_per_value, size / median_seconds(body)});
  };
  measure("copy", 8, [&] {
    parallel_for(x.size(), (x.size() + threads() - 1) / threads(), [&](std::int64_t begin, std::int64_t end) {
      std::memcpy(values.data() + begin, x.data() + begin, static_cast<std::size_t>(end - begin) * sizeof(float));
    });
  });
  measure("quantize", 4 + code_bytes, [&] { static_cast<void>(quantize(x.data(), codes)); });
  measure("decode", code_bytes + 4, [&] { dequantize_rows(codes, 0, rows, values.data()); });
  measure("quantize_and_decode", 4 + code_bytes + 4,
          [&] { static_cast<void>(quantize(x.data(), codes, values.data())); });
  return rates;
}

}  // namespace qad::bench
