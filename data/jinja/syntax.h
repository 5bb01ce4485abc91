// A parsed template: statements with their bodies, expressions with their parts.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/jinja/value.h"

namespace qad::jinja {

enum class ExprKind {
  literal,      ///< value
  name,         ///< text
  list,         ///< parts; a tuple if text says so
  dict,         ///< parts: key, value, key, value, …
  attribute,    ///< parts[0].text
  item,         ///< parts[0][parts[1]]
  slice,        ///< parts[0][parts[1]:parts[2]:parts[3]]
  call,         ///< text(parts…, named…): a function
  method,       ///< parts[0].text(parts[1]…, named…)
  filter,       ///< parts[0] | text(parts[1]…, named…)
  test,         ///< parts[0] is text(parts[1]…)
  negative,     ///< -parts[0]
  logical_not,  ///< not parts[0]
  logical_and,
  logical_or,
  arithmetic,   ///< parts[0] text parts[1]
  concat,       ///< parts joined as text: a ~ b
  comparison,   ///< parts[0] names[0] parts[1] names[1] …, each pair compared as Python does
  conditional,  ///< parts[0] if parts[1] else parts[2]; without an else undefined
};

struct Expr {
  ExprKind kind = ExprKind::literal;
  int line = 1;
  std::string text{};
  Value value{};
  std::vector<std::unique_ptr<Expr>> parts{};
  std::vector<std::string>
      names{};  ///< of the last parts of a call, its named arguments; of a comparison its operators
};
using ExprPtr = std::unique_ptr<Expr>;

enum class StatementKind {
  text,        ///< text
  output,      ///< {{ value }}
  branch,      ///< if value: body, else: otherwise
  loop,        ///< for targets in value if condition: body, else: otherwise
  assign,      ///< set targets = value
  assign_in,   ///< set targets[0].text = value: of a namespace
  capture,     ///< set targets[0]: what body prints
  generation,  ///< body is what the assistant writes: Hugging Face's mark
  leave_loop,  ///< break
  next_turn,   ///< continue
};

struct Statement;
using Block = std::vector<Statement>;

struct Statement {
  StatementKind kind = StatementKind::text;
  int line = 1;
  std::string text{};
  std::vector<std::string> targets{};
  ExprPtr value{}, condition{};
  Block body{}, otherwise{};
};

}  // namespace qad::jinja
