#include "autograd/core/storage.h"

#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "autograd/base/error.h"

namespace qad {
namespace {

constexpr std::size_t kAlignment = 64;

// Eight classes an octave: at most 1/8 of a block is unused, and ragged batches find each other's blocks.
std::size_t size_class(std::size_t bytes) {
  if (bytes <= kAlignment * 8) return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const std::size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

struct Pool {
  std::mutex mutex;
  std::map<std::size_t, std::vector<std::byte*>> free_blocks;
  StorageStatistics statistics{};
};

// Never destroyed: tensors in static storage may outlive any order of destruction.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

void free_cached(Pool& p) {
  for (auto& [block, pointers] : p.free_blocks)
    for (std::byte* pointer : pointers) std::free(pointer);
  p.free_blocks.clear();
  p.statistics.cached_bytes = 0;
}

}  // namespace

Storage::Storage(std::size_t bytes, Device device) : data_(nullptr), bytes_(bytes), device_(device) {
  if (bytes == 0) return;
  const std::size_t block = size_class(bytes);
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  p.statistics.in_use_bytes += block;
  if (auto& blocks = p.free_blocks[block]; !blocks.empty()) {
    data_ = blocks.back();
    blocks.pop_back();
    p.statistics.cached_bytes -= block;
    return;
  }
  data_ = static_cast<std::byte*>(std::aligned_alloc(kAlignment, block));
  if (data_ == nullptr) {  // perhaps what waits for its next use is what is missing
    free_cached(p);
    data_ = static_cast<std::byte*>(std::aligned_alloc(kAlignment, block));
    if (data_ == nullptr) throw std::bad_alloc();
  }
  ++p.statistics.allocations;
  p.statistics.peak_bytes = std::max(p.statistics.peak_bytes, p.statistics.in_use_bytes + p.statistics.cached_bytes);
}

Storage::Storage(std::span<const std::byte> borrowed, std::shared_ptr<const void> owner)
    : data_(const_cast<std::byte*>(borrowed.data())),
      bytes_(borrowed.size()),
      device_(Device::cpu),
      owner_(std::move(owner)) {
  QAD_ASSERT(owner_ != nullptr);
}

Storage::~Storage() {
  if (data_ == nullptr || borrowed()) return;
  const std::size_t block = size_class(bytes_);
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  p.free_blocks[block].push_back(data_);
  p.statistics.in_use_bytes -= block;
  p.statistics.cached_bytes += block;
}

StorageStatistics storage_statistics() {
  const std::lock_guard lock(pool().mutex);
  return pool().statistics;
}

std::size_t storage_block_bytes(std::size_t bytes) { return size_class(bytes); }

void release_cached_storage() {
  const std::lock_guard lock(pool().mutex);
  free_cached(pool());
}

}  // namespace qad
