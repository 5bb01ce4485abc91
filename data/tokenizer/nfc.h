// Unicode normalization form C (UAX #15): characters and their accents become one code point where there is one.
#pragma once

#include <string>
#include <string_view>

namespace qad {

/// NFC of valid UTF-8 text.
[[nodiscard]] std::string to_nfc(std::string_view text);

}  // namespace qad
