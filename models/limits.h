// What a config.json may say at most: any number can stand in it, and work grows with these before a weight is looked
// at. No model comes near.
#pragma once

#include <cstdint>

namespace qad {

inline constexpr std::int64_t kMostLayers = 10'000;
inline constexpr std::int64_t kMostExperts = 100'000;               ///< of all layers together
inline constexpr std::int64_t kMostHead = 1 << 16;                  ///< width of an attention head
inline constexpr std::int64_t kMostTaps = 1024;                     ///< of a short convolution
inline constexpr std::int64_t kMostState = std::int64_t{1} << 22;   ///< numbers of state of one head
inline constexpr std::int64_t kMostStates = std::int64_t{1} << 28;  ///< of all heads of a layer: 1 GiB a sequence

}  // namespace qad
