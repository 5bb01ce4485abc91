// The bytes behind tensors. Freed blocks are kept by size class and handed out again, so a training step allocates
// nothing after the first few: memory stays flat over a run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace qad {

/// Where a storage lives. Kernels are chosen by it (autograd/kernels/table.h).
enum class Device : std::uint8_t { cpu };

class Storage {
 public:
  /// `bytes` of uninitialised memory, aligned to 64 bytes.
  explicit Storage(std::size_t bytes, Device device = Device::cpu);
  /// Bytes of somebody else, for reading alone, at their own alignment; `owner` keeps them where they are.
  Storage(std::span<const std::byte> borrowed, std::shared_ptr<const void> owner);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] Device device() const { return device_; }
  [[nodiscard]] bool borrowed() const { return owner_ != nullptr; }  ///< and so not to be written to

 private:
  std::byte* data_;
  std::size_t bytes_;
  Device device_;
  bool is_dry_ = false;                // made in a dry run
  std::shared_ptr<const void> owner_;  // of borrowed bytes, else null
};

struct StorageStatistics {
  std::size_t in_use_bytes;  ///< held by live tensors, rounded up to size classes
  std::size_t cached_bytes;  ///< freed blocks that wait for their next use
  std::size_t peak_bytes;    ///< highest in_use + cached so far
  std::size_t allocations;   ///< blocks asked of the system so far
};
[[nodiscard]] StorageStatistics storage_statistics();
/// Gives cached blocks back to the system.
void release_cached_storage();

namespace detail {
/// Of a dry run (dry_run.h).
struct DryStorage {
  std::size_t held_bytes = 0;     ///< exact sizes
  std::size_t touched_bytes = 0;  ///< of every block the most that was ever used of it
};
[[nodiscard]] DryStorage dry_storage();
void forget_dry_storage();
}  // namespace detail

}  // namespace qad
