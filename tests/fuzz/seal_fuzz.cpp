// libFuzzer: no bytes pass for a checkpoint unless they were sealed as one, and one flipped bit breaks the seal. What
// passes it goes to the HDF5 library, which trusts its files.
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "autograd/base/error.h"
#include "qad/checkpoint/seal.h"

namespace {

void write(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

bool passes(const std::filesystem::path& file) {
  try {
    static_cast<void>(qad::check_seal(file, 1));
    return true;
  } catch (const qad::Error&) {
    return false;
  }
}

std::string contents_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("qad-seal-fuzz-" + std::to_string(std::hash<const void*>()(&file)));
  std::string bytes(reinterpret_cast<const char*>(data), size);
  write(file, bytes);
  static_cast<void>(passes(file));  // either way, without a crash: the fuzzer may find no seal of its own
  if (bytes.size() <= qad::kSealBytes) return 0;
  qad::write_seal(file, 1);
  if (!passes(file)) std::abort();
  bytes = contents_of(file);
  std::uint32_t at = 0;
  std::memcpy(&at, data, sizeof at);
  bytes[at / 8 % bytes.size()] ^= static_cast<char>(1 << at % 8);
  write(file, bytes);
  if (passes(file)) std::abort();
  return 0;
}
