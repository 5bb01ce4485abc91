// A place in the graph that says when backward has come past it.
#pragma once

#include <functional>

#include "autograd/tape/variable.h"

namespace qad {

/// x itself. In backward `passed` is called when everything that was made from it has given its gradients: those of
/// parameters that only come in later are whole. Never called where nothing needs a gradient.
[[nodiscard]] Variable gradient_mark(const Variable& x, std::function<void()> passed);

}  // namespace qad
