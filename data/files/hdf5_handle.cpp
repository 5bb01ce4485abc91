#include "data/files/hdf5_handle.h"

#include <cstring>

#include "autograd/base/error.h"

namespace qad::hdf5 {
namespace {

// Called from the innermost failure outwards; keeps the first that says anything. The file drivers' text is long and
// has the system's reason in the middle: "…, errno = 28, error message = 'No space left on device', buf = …".
herr_t keep_innermost(unsigned, const H5E_error2_t* entry, void* reason) {
  auto& text = *static_cast<std::string*>(reason);
  if (!text.empty() || entry->desc == nullptr) return 0;
  text = entry->desc;
  constexpr std::string_view kMessage = "error message = '";
  if (const std::size_t begin = text.find(kMessage); begin != std::string::npos) {
    const std::size_t from = begin + kMessage.size();
    text = text.substr(from, text.find('\'', from) - from);
  }
  return 0;
}

std::string_view hint_for(const std::string& reason) {
  if (reason.find(std::strerror(ENOSPC)) != std::string::npos) return "free some space and resume";
  if (reason.find("lock") != std::string::npos)
    return "another program has it open, or the file system has no locks: then set HDF5_USE_FILE_LOCKING=FALSE";
  return "";
}

}  // namespace

void initialise() {
  [[maybe_unused]] static const herr_t once = H5dont_atexit();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

void fail(const std::string& who, const std::string& action) {
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, &keep_innermost, &reason);
  H5Eclear2(H5E_DEFAULT);
  throw Error({.who = who,
               .got = "could not " + action + (reason.empty() ? "" : ": " + reason),
               .hint = std::string(hint_for(reason))});
}

hid_t native_type(DType dtype) {
  switch (dtype) {
    case DType::f32: return H5T_NATIVE_FLOAT;
    case DType::bf16:
    case DType::f16: return H5T_NATIVE_UINT16;
    case DType::i64: return H5T_NATIVE_INT64;
    case DType::i32: return H5T_NATIVE_INT32;
    case DType::u8: return H5T_NATIVE_UINT8;
  }
  return H5I_INVALID_HID;
}

}  // namespace qad::hdf5
