// Runs a parsed template.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "data/jinja/syntax.h"
#include "data/jinja/value.h"

namespace qad::jinja {

/// Bytes [begin, end) of what a template printed, during one turn of a loop or in a {% generation %} block.
struct Span {
  std::size_t begin = 0, end = 0;
  const Dict* item = nullptr;  ///< what the loop was at; null for a generation block
};

struct Rendering {
  std::string text;
  std::vector<Span> spans;  ///< of turns of loops over dicts, and of generation blocks, in the order of their ends
};

struct Environment {
  std::string who;                  ///< the template's name in messages
  Dict variables{};                 ///< what the template finds set
  std::string date = "2024-07-26";  ///< YYYY-MM-DD, midnight: what strftime_now tells
  Limits limits{};
};

/// Throws Error naming the template's line: for what is not defined, of the wrong type or not supported, and with the
/// template's own words for raise_exception; Ended beyond the limits, Stopped when a signal asked for it.
[[nodiscard]] Rendering run_template(const Block& program, const Environment& environment);

}  // namespace qad::jinja
