// Filters that make text.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "data/jinja/compare.h"
#include "data/jinja/failure.h"
#include "data/jinja/filters.h"
#include "data/jinja/formatting.h"
#include "data/jinja/letters.h"
#include "data/jinja/methods.h"
#include "data/jinja/printing.h"
#include "data/jinja/sequences.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

// The value as text, which stays safe if it is.
Value soft_text(const Value& value, Budget& budget) {
  if (value.text() != nullptr) return value;
  return printed(value, budget);
}

Value string(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("string", {});
  return soft_text(value, budget);
}

// A method of text as a filter.
template <const char* const& name>
Value by_method(const Value& value, const Arguments& arguments, Budget& budget) {
  return call_method(soft_text(value, budget), name, arguments, budget);
}
constexpr const char *kCapitalizeMethod = "capitalize", *kLowerMethod = "lower", *kUpperMethod = "upper";

Value trim(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("trim", {"chars"});
  const Value* chars = arguments.find(0, "chars");
  return call_method(soft_text(value, budget), "strip", chars != nullptr ? Arguments{{*chars}, {}} : Arguments(),
                     budget);
}

Value center(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("center", {"width"});
  const Value* width = arguments.find(0, "width");
  return call_method(soft_text(value, budget), "center", {{width != nullptr ? *width : Value(std::int64_t{80})}, {}},
                     budget);
}

// Words begin behind - and white space and an open bracket.
Value title_filter(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("title", {});
  const std::string text = printed(value, budget);
  std::string made;
  Writer out(made, budget);
  std::string_view rest = text;
  const auto begins_word = [&](std::string_view at) {
    const bool mark = std::string_view("-({[<").find(at.front()) != std::string_view::npos;
    return mark || strip(at, std::nullopt, Side::left).size() < at.size();
  };
  for (bool first = true; !rest.empty();) {
    budget.work();
    const std::string_view c = rest.substr(0, byte_of(rest, 1));
    const bool between = begins_word(rest.substr(0, c.size()));
    if (between) out.add(c);
    else if (first) upper(c, out);
    else lower(c, out);
    first = between;
    rest.remove_prefix(c.size());
  }
  return made;
}

Value replace_filter(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("replace", {"old", "new", "count"}, 2);
  const std::string old = printed(*arguments.find(0, "old"), budget), with = printed(*arguments.find(1, "new"), budget);
  std::string text;
  Writer out(text, budget);
  replace_text(printed(value, budget), old, with, integer_or(arguments.find(2, "count"), -1, "count"), out);
  return text;
}

Value format_filter(const Value& value, const Arguments& arguments, Budget& budget) {
  if (!arguments.named.empty() && !arguments.in_order.empty())
    throw Failure{"arguments of format all with names or all without", "both"};
  const Value format = soft_text(value, budget);
  Value values;
  if (!arguments.named.empty()) {
    Dict dict;
    for (const auto& [name, argument] : arguments.named) add_entry(dict, name, argument, budget);
    values = std::move(dict);
  } else {
    ListBuilder tuple(budget, Shape::tuple);
    for (const Value& argument : arguments.in_order) tuple.add(argument);
    values = tuple.take();
  }
  std::string text;
  Writer out(text, budget);
  format_percent(*format.text(), values, out);
  return Value(std::move(text), format.text()->safe);
}

Value indent(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("indent", {"width", "first", "blank"});
  require_defined(value);
  const Value* width = arguments.find(0, "width");
  std::string by = "    ";
  if (width != nullptr && width->bytes() != nullptr) {
    by = *width->bytes();
  } else if (width != nullptr) {
    const auto spaces = static_cast<std::size_t>(std::max<std::int64_t>(integer_of(*width, "a width"), 0));
    budget.make(spaces);
    by.assign(spaces, ' ');
  }
  const bool blank = is_true(arguments.find(2, "blank"));
  std::string made;
  Writer out(made, budget);
  if (is_true(arguments.find(1, "first"))) out.add(by);
  bool is_first = true;
  budget.make(value.bytes() != nullptr ? value.bytes()->size() : 0);
  split_lines(text_of(value, "what is indented") + "\n", /*keep_ends=*/false, [&](std::string_view line) {
    budget.work();
    if (!is_first) out.add("\n");
    if (!is_first && (blank || !line.empty())) out.add(by);
    out.add(line);
    is_first = false;
  });
  return Value(std::move(made), value.text()->safe);
}

Value truncate(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("truncate", {"length", "killwords", "end", "leeway"});
  const std::string text = text_of(value, "what is cut");
  const std::int64_t most = integer_or(arguments.find(0, "length"), 255, "length");
  const std::int64_t leeway = integer_or(arguments.find(3, "leeway"), 5, "leeway");
  const std::string end(optional_text(arguments.find(2, "end"), "end").value_or("..."));
  const std::int64_t kept = most - length(end);
  if (kept < 0 || leeway < 0) throw Failure{"a length that has room for the end", std::to_string(most)};
  budget.make(2 * text.size());
  if (length(text) - leeway <= most) return value;
  std::string_view part = std::string_view(text).substr(0, byte_of(text, static_cast<std::size_t>(kept)));
  if (!is_true(arguments.find(1, "killwords"))) part = part.substr(0, part.rfind(' '));
  return std::string(part) + end;
}

Value safe(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("safe", {});
  return Value(printed(value, budget), /*safe=*/true);
}

template <bool even_if_safe>
Value escape(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("escape", {});
  if (!even_if_safe && value.text() != nullptr && value.text()->safe) return value;
  std::string text;
  Writer out(text, budget);
  escape_html(printed(value, budget), out);
  return Value(std::move(text), /*safe=*/true);
}

void quote_url(std::string_view text, bool in_query, Writer& out) {
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || std::string_view("_.-~").find(c) != std::string_view::npos || (c == '/' && !in_query)) out.add(1, c);
    else if (c == ' ' && in_query) out.add("+");
    else out.add(fmt::format("%{:02X}", static_cast<unsigned char>(c)));
  }
  out.budget().work(text.size());
}

Value urlencode(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("urlencode", {});
  std::string text;
  Writer out(text, budget);
  if (value.text() != nullptr || !can_be_gone_through(value)) {
    quote_url(printed(value, budget), /*in_query=*/false, out);
    return text;
  }
  const Items pairs = items_of(value.dict() != nullptr ? call_method(value, "items", {}, budget) : value, budget);
  for (const Value& pair : pairs.all) {
    const List* parts = pair.list();
    if (parts == nullptr || parts->items.size() != 2) throw Failure{"pairs of a key and a value", pair.type()};
    if (!text.empty()) out.add("&");
    quote_url(printed(parts->items[0], budget), /*in_query=*/true, out);
    out.add("=");
    quote_url(printed(parts->items[1], budget), /*in_query=*/true, out);
  }
  return text;
}

}  // namespace

std::span<const Filter> text_filters() {
  static constexpr auto kFilters = std::to_array<Filter>({
      {"capitalize", by_method<kCapitalizeMethod>},
      {"center", center},
      {"e", escape<false>},
      {"escape", escape<false>},
      {"forceescape", escape<true>},
      {"format", format_filter},
      {"indent", indent},
      {"lower", by_method<kLowerMethod>},
      {"replace", replace_filter},
      {"safe", safe},
      {"string", string},
      {"title", title_filter},
      {"trim", trim},
      {"truncate", truncate},
      {"upper", by_method<kUpperMethod>},
      {"urlencode", urlencode},
  });
  return kFilters;
}

}  // namespace qad::jinja
