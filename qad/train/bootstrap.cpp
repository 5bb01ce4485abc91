#include "qad/train/bootstrap.h"

#include <algorithm>
#include <cmath>

#include "autograd/base/random.h"

namespace qad {

Interval bootstrap_interval(const std::vector<std::size_t>& sizes,
                            const std::function<double(const Resample&)>& statistic) {
  constexpr std::size_t kResamples = 2000;
  constexpr std::uint64_t kSeed = 1;
  if (sizes.empty() || std::ranges::count(sizes, std::size_t{0}) > 0) return {};
  Resample drawn;
  for (const std::size_t size : sizes) drawn.emplace_back(size);
  Random random(kSeed, stream_of("bootstrap"));
  std::vector<double> values;
  for (std::size_t i = 0; i < kResamples; ++i) {
    for (std::vector<std::size_t>& members : drawn)
      for (std::size_t& member : members)
        member = static_cast<std::size_t>(random.below(static_cast<std::int64_t>(members.size())));
    values.push_back(statistic(drawn));
    if (!std::isfinite(values.back())) return {};
  }
  std::ranges::sort(values);
  return {values[kResamples / 40 - 1], values[kResamples - kResamples / 40 - 1]};  // nearest rank
}

}  // namespace qad
