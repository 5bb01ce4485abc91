// A parsed template: statements with their bodies, expressions with their parts.
#pragma once

#include <algorithm>
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
  call,         ///< parts[0](arguments)
  filter,       ///< parts[0] | text(arguments)
  test,         ///< parts[0] is text(arguments)
  negative,     ///< -parts[0]
  positive,     ///< +parts[0]
  logical_not,  ///< not parts[0]
  logical_and,
  logical_or,
  arithmetic,   ///< parts[0] text parts[1]
  concat,       ///< parts joined as text: a ~ b
  comparison,   ///< parts[0] operators[0] parts[1] operators[1] …, each pair compared as Python does
  conditional,  ///< parts[0] if parts[1] else parts[2]; without an else undefined
  captured,     ///< what the body of a filter block printed
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

/// How an argument stands in a call: f(value), f(name=value), f(*value), f(**value).
enum class Spread { none, list, dict };
struct Argument {
  std::string name;
  Spread spread = Spread::none;
  ExprPtr value;
};

struct Expr {
  ExprKind kind = ExprKind::literal;
  int line = 1;
  int depth = 1;  ///< of expressions within expressions
  std::string text{};
  Value value{};
  std::vector<ExprPtr> parts{};
  std::vector<Argument> arguments{};
  std::vector<std::string> operators{};
};

enum class StatementKind {
  text,        ///< text
  output,      ///< {{ value }}
  branch,      ///< the first of arms whose condition among values holds, else otherwise
  loop,        ///< for targets[0] in value if condition: body, else: otherwise
  assign,      ///< set targets[0] = value
  capture,     ///< set targets[0] = value, of what body prints
  filtered,    ///< value, of what body prints, is printed
  scope,       ///< with targets = values: body
  macro,       ///< text(parameters): body
  call_block,  ///< value, a call, to which body with parameters is `caller`
  generation,  ///< body is what the assistant writes: Hugging Face's mark
  leave_loop,  ///< break
  next_turn,   ///< continue
};

struct Statement;
using Block = std::vector<Statement>;

/// What is set: a name, an attribute of the namespace with this name, or parts that are each set.
struct Target {
  std::string name;
  std::string attribute{};
  std::vector<Target> parts{};
};
struct Parameter {
  std::string name;
  ExprPtr otherwise;
};

struct Statement {
  StatementKind kind = StatementKind::text;
  int line = 1;
  std::string text{};
  std::vector<Target> targets{};
  ExprPtr value{}, condition{};
  std::vector<ExprPtr> values{};
  Block body{}, otherwise{};
  std::vector<Block> arms{};
  std::vector<Parameter> parameters{};
  bool recursive = false;  ///< a loop that can be called
  /// Which of a macro's special names its body reads.
  bool reads_caller = false, reads_varargs = false, reads_kwargs = false;
};

}  // namespace qad::jinja
