#include "qad/plan/storage_ledger.h"

#include <algorithm>
#include <numeric>

#include "autograd/base/error.h"
#include "autograd/core/storage.h"

namespace qad {

void StorageLedger::hold(std::int64_t bytes) {
  Class& blocks = classes_[storage_block_bytes(static_cast<std::size_t>(bytes))];
  blocks.blocks = std::max(blocks.blocks, ++blocks.in_use);
  blocks.largest = std::max(blocks.largest, bytes);
}

void StorageLedger::drop(std::int64_t bytes) {
  Class& blocks = classes_[storage_block_bytes(static_cast<std::size_t>(bytes))];
  QAD_ASSERT(blocks.in_use > 0);
  --blocks.in_use;
}

std::int64_t StorageLedger::resident() const {
  std::int64_t bytes = 0;
  for (const auto& [size, blocks] : classes_) bytes += blocks.blocks * blocks.largest;
  return bytes;
}

HeldStorage& HeldStorage::hold(std::int64_t bytes, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    ledger_.hold(bytes);
    held_.push_back(bytes);
  }
  return *this;
}

void HeldStorage::drop_all() {
  for (const std::int64_t bytes : held_) ledger_.drop(bytes);
  held_.clear();
}

std::int64_t HeldStorage::bytes() const { return std::accumulate(held_.begin(), held_.end(), std::int64_t{0}); }

}  // namespace qad
