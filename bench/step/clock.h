// Wall time and medians.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace qad::bench {

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class Body>
double seconds_of(Body&& body) {
  const double begun = seconds_now();
  body();
  return seconds_now() - begun;
}

inline double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// The median time of a body after one run to warm up: at least three runs, more while they are short.
template <class Body>
double median_seconds(Body&& body) {
  constexpr double kEnough = 0.2;
  body();
  std::vector<double> times;
  for (const double begun = seconds_now(); times.size() < 3 || seconds_now() - begun < kEnough;)
    times.push_back(seconds_of(body));
  return median(times);
}

}  // namespace qad::bench
