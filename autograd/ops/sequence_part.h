// Which rows of a batch belong to one sequence, for ops that go along it.
#pragma once

#include <cstdint>

namespace qad {

/// Tokens [begin, end) of a batch that belong to one sequence. Where a model decodes, `cached` tokens of it went before
/// and are remembered in place `slot` of the layers' states.
struct SequencePart {
  std::int64_t begin = 0, end = 0;
  std::int64_t slot = 0;
  std::int64_t cached = 0;
};

}  // namespace qad
