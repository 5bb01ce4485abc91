// Warnings about files that one command may read several times.
#pragma once

#include <string>

namespace qad {

/// Logs a warning, unless the same one was logged before.
void warn_once(const std::string& text);

}  // namespace qad
