#include "autograd/core/storage.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"

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

// Blocks of a dry run: addresses that nobody touches.
class DryPool {
 public:
  std::byte* take(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    auto& blocks = free_[size_class(bytes)];
    if (blocks.empty()) blocks.push_back(reserve(size_class(bytes)));
    std::byte* const block = blocks.back();
    blocks.pop_back();
    std::size_t& used = used_[block];
    if (bytes > used) ledger_.touched_bytes += bytes - std::exchange(used, bytes);
    ledger_.held_bytes += bytes;
    return block;
  }
  void give_back(std::byte* block, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    free_[size_class(bytes)].push_back(block);
    ledger_.held_bytes -= bytes;
  }
  [[nodiscard]] detail::DryStorage ledger() {
    const std::lock_guard lock(mutex_);
    return ledger_;
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    QAD_ASSERT(ledger_.held_bytes == 0);
    for (const std::span<std::byte> region : regions_) ::munmap(region.data(), region.size());
    regions_.clear();
    free_.clear();
    used_.clear();
    left_ = {};
    ledger_ = {};
  }

 private:
  std::byte* reserve(std::size_t block) {
    if (left_.size() < block) {
      constexpr std::size_t kRegion = std::size_t{1} << 30, kPage = 4096;
      const std::size_t size = std::max(kRegion, (block + kPage - 1) / kPage * kPage);
      void* const region =
          ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (region == MAP_FAILED) throw std::bad_alloc();
      left_ = {static_cast<std::byte*>(region), size};
      regions_.push_back(left_);
    }
    std::byte* const begin = left_.data();
    left_ = left_.subspan(block);
    return begin;
  }

  std::mutex mutex_;
  std::map<std::size_t, std::vector<std::byte*>> free_;
  std::unordered_map<std::byte*, std::size_t> used_;
  std::vector<std::span<std::byte>> regions_;
  std::span<std::byte> left_;
  detail::DryStorage ledger_;
};

DryPool& dry_pool() {
  static DryPool* const instance = new DryPool;
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
  is_dry_ = loops_are_dry();
  if (is_dry_) {
    data_ = dry_pool().take(bytes);
    return;
  }
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
  if (is_dry_) {
    dry_pool().give_back(data_, bytes_);
    return;
  }
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

detail::DryStorage detail::dry_storage() { return dry_pool().ledger(); }
void detail::forget_dry_storage() { dry_pool().forget(); }

void release_cached_storage() {
  const std::lock_guard lock(pool().mutex);
  free_cached(pool());
}

}  // namespace qad
