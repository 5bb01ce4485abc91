// Steps that only pretend, for predictions of memory: every op runs, but loops over elements do nothing, and storage
// takes addresses and no memory, in a ledger of its own.
#pragma once

#include <cstddef>

#include "autograd/base/parallel.h"

namespace qad {

/// One at a time, of the whole process. Tensors that are made while it lives must be gone before it; their values, and
/// all that follows from them, mean nothing.
class DryRun {
 public:
  DryRun();
  ~DryRun();
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;

  /// What tensors hold now, exact sizes.
  [[nodiscard]] std::size_t held_bytes() const;
  /// What the same tensors would have touched by now outside of a dry run: freed blocks wait for their next use, and
  /// the unused end of a block costs nothing.
  [[nodiscard]] std::size_t touched_bytes() const;
};

}  // namespace qad
