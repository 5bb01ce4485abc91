// Inside the HDF5 door only (hdf5_reader.cpp, hdf5_writer.cpp): handles that close, and errors that say why.
#pragma once

#include <hdf5.h>

#include <string>
#include <string_view>

#include "autograd/core/dtype.h"

namespace qad::hdf5 {

/// Before anything else in a thread: no handler at exit (1.10 crashes in it after a disk was full), nothing printed.
void initialise();

/// Throws "who: could not <action>: <the library's innermost reason>".
[[noreturn]] void fail(const std::string& who, const std::string& action);

/// The result of an HDF5 call, checked: hid_t, herr_t, htri_t, counts.
template <class T>
T check(T result, const std::string& who, const std::string& action) {
  if (result < 0) fail(who, action);
  return result;
}

/// An open object. `close` says whether closing worked, which is where HDF5 reports late write errors; the destructor
/// is for the way out of an error.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle(hid_t id, Close closer) : id_(id), close_(closer) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(Handle&& other) noexcept : id_(other.release()), close_(other.close_) {}
  Handle& operator=(Handle&&) = delete;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  [[nodiscard]] hid_t id() const { return id_; }
  /// Once: an id whose close failed must never be closed again.
  void close(const std::string& who, const std::string& action) { check(close_(release()), who, action); }

 private:
  hid_t release() {
    const hid_t id = id_;
    id_ = H5I_INVALID_HID;
    return id;
  }

  hid_t id_;
  Close close_;
};

/// How a tensor's elements look to HDF5; bf16 and f16 are 16-bit unsigned numbers with an attribute that says which.
[[nodiscard]] hid_t native_type(DType dtype);

/// The attribute that says what a dataset's numbers are: name_of(dtype), or "text".
inline constexpr const char* kDTypeAttribute = "dtype";
inline constexpr std::string_view kText = "text";

}  // namespace qad::hdf5
