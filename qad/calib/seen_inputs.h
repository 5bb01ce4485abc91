// What the algorithms see of the inputs of linear layers: as the block gives them, and as the layers will read them.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "qad/calib/by_block.h"

namespace qad {

/// Layers of those asked for that read the same.
using ReadersOfOne = std::vector<const LinearQuantizers*>;
/// x [T, K], and what `readers` will make of it: rounded where their inputs are, else x itself.
using SeeRead = std::function<void(const ReadersOfOne& readers, const Tensor& x_TK, const Tensor& rounded_TK)>;
void show_read(std::span<const LinearQuantizers* const> linears, const ShowInputs& show_inputs, const SeeRead& see);

/// In a dry run memory of so many doubles, which a plan counts as long as this is kept; else nothing.
[[nodiscard]] Tensor planned_doubles(std::int64_t count);

/// "a, b, c": the first dozen of them.
[[nodiscard]] std::string first_names(const std::vector<std::string>& names);

}  // namespace qad
