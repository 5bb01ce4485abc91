// libFuzzer: any bytes as a safetensors file are read or refused by an Error, and what is read lies within the file.
#include "autograd/base/error.h"
#include "data/files/safetensors_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  try {
    const qad::SafetensorsHeader header = qad::parse_safetensors_header(file, "fuzz");
    for (const qad::SafetensorsInfo& tensor : header.tensors)
      QAD_ASSERT(tensor.begin <= tensor.end && tensor.end <= size - header.data_begin);
  } catch (const qad::Error&) {
  }
  return 0;
}
