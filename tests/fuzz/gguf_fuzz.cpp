// libFuzzer: any bytes as a GGUF file are read or refused by an Error, and what is read lies within the file.
#include "autograd/base/error.h"
#include "data/files/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    for (const qad::GgufInfo& tensor :
         qad::parse_gguf({reinterpret_cast<const std::byte*>(data), size}, "fuzz").tensors)
      QAD_ASSERT(tensor.begin <= size && tensor.bytes <= size - tensor.begin);
  } catch (const qad::Error&) {
  }
  return 0;
}
