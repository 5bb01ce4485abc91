// Which rank owns which values of each parameter: it finishes their gradient, keeps their moments and moves them (ZeRO,
// stages 1 and 2: Rajbhandari et al., 2020, https://arxiv.org/abs/1910.02054).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "autograd/nn/parameter.h"
#include "autograd/ranks/communicator.h"

namespace qad {

/// Values [begin, end) of a parameter, in the order of its memory.
using Slice = Share;

/// That of `rank` among `size` ranks, of the `index`-th parameter with `values` values: whole chunks of kSumChunk
/// (autograd/kernels/elementwise.h), so that sums over chunks don't depend on who owns them. Small parameters go to one
/// rank after the other.
[[nodiscard]] Slice slice_of(std::int64_t values, std::size_t index, int rank, int size);
[[nodiscard]] std::vector<Slice> slices_of(const ParameterList& parameters, int rank, int size);

/// Lets all ranks have what each has in its slices of `values`, one tensor a parameter of the list; an undefined one
/// takes no part, on any rank.
void gather_slices(const ParameterList& parameters, const std::vector<Tensor>& values, const std::string& what);

/// Σ x² of all of them, `gradients` being this rank's slices (undefined: none on any rank), summed over fixed chunks in
/// order: the same bits for any number of ranks.
[[nodiscard]] double squared_norm(const ParameterList& parameters, const std::vector<Tensor>& gradients);

}  // namespace qad
