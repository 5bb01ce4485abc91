// How report.html looks: light and dark as the reader's system has it. Tables keep within the window: first cells wrap
// and errors stand below their figures; a table with more columns than a narrow window has room for shows each row as a
// card (html_table.cpp says which); what is still too wide moves in a box of its own, with a shadow where it goes on.
#pragma once

#include <string>

namespace qad {

/// Rows of a table of class `cards` are cards, of class `cards-600` (`cards-980`) in windows of at most so many pixels.
[[nodiscard]] std::string report_style();

}  // namespace qad
