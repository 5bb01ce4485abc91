// NVFP4 and MXFP4 matrices as llama.cpp's blocks, the same codes and scales in another order.
//
// NVFP4 (type 40), 36 bytes for 64 columns: 4 scales, then 4 groups of 8 bytes, one group for 16 columns.
// MXFP4 (type 39), 17 bytes for 32 columns: a scale, then 16 bytes.
// Byte j of a group of n columns holds column j in its low nibble and column j + n/2 in its high one.
//
// Source: llama.cpp v0.5.0, ggml/src/ggml-common.h and ggml-quants.c.
#pragma once

#include <string>
#include <string_view>

#include "qad/formats/quantized_tensor.h"

namespace qad {

/// GGUF's name for a number format: NVFP4 or MXFP4; empty if it has none.
[[nodiscard]] std::string_view gguf_block_type(const BlockFormat& format);

/// u8 [rows, bytes a row]. The columns must be a multiple of the type's block.
[[nodiscard]] Tensor pack_gguf_blocks(const QuantizedTensor& weight);
/// The inverse. Throws, naming the tensor, for block scales that are negative or NaN.
[[nodiscard]] QuantizedTensor unpack_gguf_blocks(std::string_view type, const Tensor& blocks, float tensor_scale,
                                                 const std::string& name);

}  // namespace qad
