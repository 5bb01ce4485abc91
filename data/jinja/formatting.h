// Python's two ways to put values into a text: '%s' % value and '{}'.format(value). Throws Failure where Python raises,
// and for the few things that nobody writes into templates.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "data/jinja/arguments.h"
#include "data/jinja/value.h"

namespace qad::jinja {

/// `arguments` is a tuple of values, a dict for %(name)s, or one value.
void format_percent(const Text& format, const Value& arguments, Writer& out);
void format_braces(const Text& format, const Arguments& arguments, Writer& out);
/// The entries of a dict as named arguments.
[[nodiscard]] Arguments named_by(const Value& mapping);

// What both ways share.

/// How a value stands in its field.
struct Field {
  std::string fill = " ";
  char align = '>';  ///< < > ^, or = for fill between a sign and the digits
  std::int64_t width = 0;
  char sign = '-';  ///< which numbers of 0 and above have: + or a space; - for none
  bool alternate = false;
  std::optional<std::int64_t> precision{};
};
/// A width or precision; Failure beyond what fits a line of text.
[[nodiscard]] std::int64_t width_of(std::string_view digits);
/// Text with fill around it.
void pad(std::string_view text, const Field& field, Writer& out);
/// A number in two parts, what stands before its digits and these, with fill around or between them.
void pad_number(std::string_view sign, std::string_view digits, const Field& field, Writer& out);
/// The digits of a number without its sign: `type` is one of d x X o b for integers and e E f F g G for floats.
[[nodiscard]] std::string magnitude(const Value& number, char type, const Field& field);
/// What stands before the digits of a number.
[[nodiscard]] std::string sign_of(const Value& number, const Field& field);
/// The first characters of a text.
[[nodiscard]] std::string_view cut(std::string_view text, const std::optional<std::int64_t>& characters);

}  // namespace qad::jinja
