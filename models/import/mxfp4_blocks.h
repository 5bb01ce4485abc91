// Weights that a file keeps in MXFP4 as gpt-oss does (OCP Microscaling Formats v1.0: 32 E2M1 codes under one E8M0
// scale): NAME_blocks [..., rows, columns / 32, 16], two codes a byte, the low half first, beside NAME_scales [...,
// rows, columns / 32]. Every such value is a BF16 number, so they are read as a BF16 tensor NAME [..., rows, columns].
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "data/files/safetensors.h"

namespace qad {

inline constexpr std::string_view kMxfp4Blocks = "_blocks", kMxfp4Scales = "_scales";

/// NAME in the files of what a model calls `name`: itself, or without ".weight". None if it is not kept so.
[[nodiscard]] std::optional<std::string> mxfp4_name(const SafetensorsFolder& files, const std::string& name);

/// Throws unless both tensors of NAME are there, of bytes, and of the shapes that belong to `shape`.
void check_mxfp4(const SafetensorsFolder& files, const std::string& name, const Shape& shape);

/// Rows [first, first + shape.rows()) of all rows of NAME, in `shape`. A scale that is NaN gives NaN.
[[nodiscard]] Tensor mxfp4_rows(const SafetensorsFolder& files, const std::string& name, std::int64_t first,
                                const Shape& shape);

}  // namespace qad
