// Predicts what autograd/core/storage.h will have asked of the system: tensors are held and dropped by their sizes
// alone, freed blocks wait in their size class, and only what a class lacks is new.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace qad {

class StorageLedger {
 public:
  void hold(std::int64_t bytes);
  void drop(std::int64_t bytes);

  /// Memory that was ever touched: blocks are never given back, and the unused end of a block costs nothing.
  [[nodiscard]] std::int64_t resident() const;

 private:
  struct Class {
    std::int64_t in_use = 0, blocks = 0;
    std::int64_t largest = 0;  ///< bytes used of a block
  };
  std::map<std::size_t, Class> classes_;
};

/// Tensors that live until the end of a scope, as locals of a function do.
class HeldStorage {
 public:
  explicit HeldStorage(StorageLedger& ledger) : ledger_(ledger) {}
  HeldStorage(HeldStorage&& other) noexcept : ledger_(other.ledger_), held_(std::exchange(other.held_, {})) {}
  ~HeldStorage() { drop_all(); }
  HeldStorage(const HeldStorage&) = delete;
  HeldStorage& operator=(const HeldStorage&) = delete;
  HeldStorage& operator=(HeldStorage&&) = delete;

  /// `count` tensors of this size.
  HeldStorage& hold(std::int64_t bytes, std::int64_t count = 1);
  void drop_all();
  [[nodiscard]] std::int64_t bytes() const;  ///< exact sizes, not blocks

 private:
  StorageLedger& ledger_;
  std::vector<std::int64_t> held_;
};

}  // namespace qad
