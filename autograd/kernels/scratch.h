// Working memory that a thread keeps between calls, so that a kernel allocates only when a problem is larger than any
// before.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "autograd/base/parallel.h"

namespace qad::kernels {

/// Declare it thread_local. Contents are undefined after each get().
template <class T>
class Scratch {
 public:
  /// Room for `size` elements, aligned to a cache line; valid until the next get().
  T* get(std::int64_t size) {
    if (size > capacity_) {
      memory_.reset();
      memory_.reset(static_cast<T*>(::operator new(static_cast<std::size_t>(size) * sizeof(T), kAlignment)));
      capacity_ = size;
    }
    if (loops_are_dry()) std::fill_n(memory_.get(), size, T(0));  // nobody else will
    return memory_.get();
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(T* memory) const { ::operator delete(memory, kAlignment); }
  };
  std::unique_ptr<T, Free> memory_;
  std::int64_t capacity_ = 0;
};

}  // namespace qad::kernels
