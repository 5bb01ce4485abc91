// '{}'.format(value).
#include <fmt/format.h>

#include <algorithm>

#include "data/files/utf8.h"
#include "data/jinja/failure.h"
#include "data/jinja/formatting.h"
#include "data/jinja/numbers.h"
#include "data/jinja/printing.h"
#include "data/jinja/sequences.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

// What stands behind the colon of a field.
struct Spec {
  Field field;
  bool aligned = false;  // by itself, and not as its type is
  bool zeros = false;
  char grouping = 0;  // , or _
  char type = 0;
};

Spec parse_spec(std::string_view text) {
  const std::string whole(text.substr(0, 40));
  Spec spec;
  const auto take = [&](std::string_view set) -> char {
    if (text.empty() || !is_one_of(text.front(), set)) return 0;
    const char c = text.front();
    text.remove_prefix(1);
    return c;
  };
  const auto number = [&] {
    const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
    const std::string_view digits = text.substr(0, end);
    text.remove_prefix(end);
    return digits;
  };
  const std::size_t first = text.empty() ? 0 : utf8_length(text.front());
  if (text.size() > first && is_one_of(text[first], "<>=^")) {
    spec.field.fill = text.substr(0, first);
    text.remove_prefix(first);
    spec.aligned = true;
  }
  if (const char align = take("<>=^")) {
    spec.field.align = align;
    spec.aligned = true;
  }
  if (const char sign = take("+- ")) spec.field.sign = sign;
  spec.field.alternate = take("#") != 0;
  spec.zeros = take("0") != 0;
  if (const std::string_view digits = number(); !digits.empty()) spec.field.width = width_of(digits);
  spec.grouping = take(",_");
  if (take(".") != 0) spec.field.precision = width_of(number());
  if (!text.empty()) spec.type = take("bcdeEfFgGnosxX%");
  if (!text.empty()) throw Failure{"a format such as >10 or .2f behind the colon", fmt::format("'{}'", whole)};
  if (spec.zeros && !spec.aligned) {
    spec.field.fill = "0";
    spec.field.align = '=';
    spec.aligned = true;
  }
  return spec;
}

void group(std::string& digits, char by) {
  const std::size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
  for (std::size_t at = whole; at > 3; at -= 3) digits.insert(at - 3, 1, by);
}

void format_number(const Value& given, Spec spec, std::string_view text, Writer& out) {
  const auto refuse = [&] { throw Failure{"a format that we have for a number", fmt::format("'{}'", text), kPart}; };
  Value number = given;
  std::string after;
  if (spec.type == '%') {
    number = to_double(number) * 100;
    spec.type = 'f';
    after = "%";
  }
  const bool whole = number.is_integer() && (spec.type == 0 || is_one_of(spec.type, "dxXob"));
  if (is_one_of(spec.type, "cns") || (!whole && is_one_of(spec.type, "dxXob"))) refuse();
  if (whole && spec.field.precision) refuse();
  if (spec.type == 0 && !whole && (spec.field.precision || spec.field.alternate)) refuse();
  if (spec.grouping != 0 && (spec.field.fill == "0" || is_one_of(spec.type, "xXob"))) refuse();
  if (!whole && number.is_integer()) number = to_double(number);

  const char type = spec.type == 0 ? 'd' : spec.type;
  std::string digits = whole || spec.type != 0 ? magnitude(number, type, spec.field) : shortest(*number.as<double>());
  if (digits.starts_with('-')) digits.erase(0, 1);
  if (spec.grouping != 0) group(digits, spec.grouping);
  std::string sign = sign_of(number, spec.field);
  if (whole && spec.field.alternate && type != 'd') sign.append("0").append(1, type);
  pad_number(sign, digits + after, spec.field, out);
}

void format_text(std::string_view value, Spec spec, std::string_view text, Writer& out) {
  if ((spec.type != 0 && spec.type != 's') || spec.grouping != 0 || spec.field.alternate || spec.field.sign != '-' ||
      (spec.aligned && spec.field.align == '=' && !spec.zeros))
    throw Failure{"a format for text", fmt::format("'{}'", text)};
  if (!spec.aligned || spec.field.align == '=') spec.field.align = '<';
  pad(cut(value, spec.field.precision), spec.field, out);
}

// format() of Python.
void format_value(const Value& value, std::string_view text, Writer& out) {
  if (text.empty()) return print(value, out);
  if (value.is_number()) return format_number(value, parse_spec(text), text, out);
  if (const std::string* bytes = value.bytes()) return format_text(*bytes, parse_spec(text), text, out);
  throw Failure{"a number or text where the field has a format", value.type()};
}

class BraceFormat {
 public:
  BraceFormat(const Arguments& arguments, bool safe, Writer& out)
      : arguments_(arguments), safe_(safe), budget_(out.budget()) {}

  // Fields may have fields in their format, and these once more.
  void run(std::string_view format, int depth, Writer& out) {
    if (depth > 2) throw Failure{"fields within fields at most 2 deep", "more"};
    for (std::size_t mark = 0; (mark = format.find_first_of("{}")) != std::string_view::npos;) {
      budget_.work();
      out.add(format.substr(0, mark));
      const char brace = format[mark];
      format.remove_prefix(mark + 1);
      if (format.starts_with(brace)) {
        out.add(std::string_view(&brace, 1));
        format.remove_prefix(1);
        continue;
      }
      if (brace == '}') throw Failure{"{ before }", "a single }"};
      std::size_t end = 0;
      for (int open = 1; open > 0; ++end) {
        if (end >= format.size()) throw Failure{"} behind {", "the text's end"};
        open += format[end] == '{' ? 1 : format[end] == '}' ? -1 : 0;
      }
      field(format.substr(0, end - 1), depth, out);
      format.remove_prefix(end);
    }
    out.add(format);
  }

 private:
  void field(std::string_view text, int depth, Writer& out) {
    // A colon or ! within brackets belongs to a key.
    std::size_t name_end = 0;
    for (bool bracket = false; name_end < text.size() && (bracket || !is_one_of(text[name_end], ":!")); ++name_end)
      bracket = text[name_end] == '[' || (bracket && text[name_end] != ']');
    Value value = find(text.substr(0, name_end));
    std::string_view rest = text.substr(name_end);
    if (rest.starts_with('!')) {
      if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':'))
        throw Failure{"r, s or a behind !", std::string(rest)};
      value = converted(value, rest[1]);
      rest.remove_prefix(2);
    }
    if (!rest.empty()) rest.remove_prefix(1);
    std::string spec, made;
    Writer spec_out(spec, budget_), value_out(made, budget_);
    run(rest, depth + 1, spec_out);
    format_value(value, spec, value_out);
    if (safe_ && !(value.text() != nullptr && value.text()->safe)) escape_html(made, out);
    else out.add(made);
  }

  Value converted(const Value& value, char how) {
    std::string text;
    Writer out(text, budget_);
    if (how == 's') print(value, out);
    else if (how == 'r') print_repr(value, out);
    else if (how == 'a' && value.bytes() != nullptr) print_quoted(*value.bytes(), out, /*ascii=*/true);
    else throw Failure{"r, s or a behind !", fmt::format("'{}'", how)};
    return text;
  }

  Value find(std::string_view name) {
    const std::size_t first_end = std::min(name.find_first_of(".["), name.size());
    Value value = first(name.substr(0, first_end));
    std::string_view rest = name.substr(first_end);
    while (!rest.empty()) {
      budget_.work();
      if (rest.front() == '.') {
        const std::size_t end = std::min(rest.find_first_of(".[", 1), rest.size());
        value = attribute(value, std::string(rest.substr(1, end - 1)), budget_);
        rest.remove_prefix(end);
        continue;
      }
      const std::size_t end = rest.find(']');
      if (rest.front() != '[' || end == std::string_view::npos) throw Failure{"] behind [", std::string(name)};
      const std::string_view key = rest.substr(1, end - 1);
      const bool digits = !key.empty() && key.find_first_not_of("0123456789") == std::string_view::npos;
      value = item(value, digits ? integer_from_digits(key) : make_text(key, budget_), budget_);
      rest.remove_prefix(end + 1);
    }
    return value;
  }

  Value first(std::string_view name) {
    const bool digits = name.find_first_not_of("0123456789") == std::string_view::npos;
    if (!digits) {
      const Value* found = arguments_.find(SIZE_MAX, name);
      if (found == nullptr) throw Failure{"an argument for each field", fmt::format("none named '{}'", name)};
      return *found;
    }
    if (by_number_ && *by_number_ == name.empty()) throw Failure{"fields all with numbers or all without", "both"};
    by_number_ = !name.empty();
    const std::int64_t index = name.empty() ? next_++ : width_of(name);
    if (static_cast<std::size_t>(index) >= arguments_.in_order.size())
      throw Failure{"an argument for each field", std::to_string(arguments_.in_order.size())};
    return arguments_.in_order[static_cast<std::size_t>(index)];
  }

  const Arguments& arguments_;
  bool safe_;
  Budget& budget_;
  std::optional<bool> by_number_;
  std::int64_t next_ = 0;
};

}  // namespace

void format_braces(const Text& format, const Arguments& arguments, Writer& out) {
  BraceFormat(arguments, format.safe, out).run(format.bytes, 0, out);
}

Arguments named_by(const Value& mapping) {
  if (mapping.dict() == nullptr) throw Failure{"a dict", mapping.type()};
  Arguments arguments;
  for (const auto& [key, value] : mapping.dict()->entries())
    if (key.bytes() != nullptr) arguments.named.emplace_back(*key.bytes(), value);
  return arguments;
}

}  // namespace qad::jinja
