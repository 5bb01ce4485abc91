// The name of this machine, for messages and locks.
#pragma once

#include <string>

namespace qad {

[[nodiscard]] std::string host_name();

}  // namespace qad
