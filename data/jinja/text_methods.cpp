// Methods of texts, by Python's names.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "data/files/utf8.h"
#include "data/jinja/failure.h"
#include "data/jinja/formatting.h"
#include "data/jinja/letters.h"
#include "data/jinja/methods.h"
#include "data/jinja/sequences.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

// A call of a method: the text, what the method is called and given.
struct Call {
  const Text& text;
  const std::string& name;
  const Arguments& arguments;
  Budget& budget;

  void only(std::initializer_list<std::string_view> names, std::size_t required = 0) const {
    arguments.check(name, names, required);
  }
  [[nodiscard]] const std::string& text_at(std::size_t i, std::string_view called) const {
    return text_of(*arguments.find(i, called), called);
  }
  // A text made of this one, and safe as it is.
  [[nodiscard]] Value made(std::string text_made) const { return Value(std::move(text_made), text.safe); }
  [[nodiscard]] Value part(std::string_view part) const { return make_text(part, budget, text.safe); }
  // As it goes into this text, which may be for HTML.
  void add_escaped(const Value& value, Writer& out) const {
    const std::string& bytes = text_of(value, name);
    if (text.safe && !value.text()->safe) escape_html(bytes, out);
    else out.add(bytes);
  }
};
using TextMethod = Value (*)(const Call&);

template <void (*change)(std::string_view, Writer&)>
Value letters(const Call& call) {
  call.only({});
  std::string text;
  Writer out(text, call.budget);
  change(call.text.bytes, out);
  return call.made(std::move(text));
}

template <Side side>
Value stripped(const Call& call) {
  call.only({"chars"});
  const auto chars = optional_text(call.arguments.find(0, "chars"), "chars");
  call.budget.work(chars ? chars->size() : 0);
  const std::string_view rest = strip(call.text.bytes, chars, side);
  call.budget.work(call.text.bytes.size() - rest.size());
  return call.part(rest);
}

template <Side side>
Value split_at(const Call& call) {
  call.only({"sep", "maxsplit"});
  const auto separator = optional_text(call.arguments.find(0, "sep"), "sep");
  if (separator && separator->empty()) throw Failure{"a separator", "an empty one"};
  const std::int64_t most = integer_or(call.arguments.find(1, "maxsplit"), -1, "maxsplit");
  ListBuilder parts(call.budget);
  split(call.text.bytes, separator, most, side, call.budget,
        [&](std::string_view part) { parts.add_text(part, call.text.safe); });
  List list = parts.take();
  if (side == Side::right) std::ranges::reverse(list.items);
  return list;
}

Value lines(const Call& call) {
  call.only({"keepends"});
  call.budget.read(8 * call.text.bytes.size());
  ListBuilder parts(call.budget);
  split_lines(call.text.bytes, is_true(call.arguments.find(0, "keepends")),
              [&](std::string_view part) { parts.add_text(part, call.text.safe); });
  return parts.take();
}

template <bool from_left>
Value partition(const Call& call) {
  call.only({"sep"}, 1);
  const std::string &text = call.text.bytes, &separator = call.text_at(0, "sep");
  if (separator.empty()) throw Failure{"a separator", "an empty one"};
  const std::size_t at = from_left ? find_text(text, separator, call.budget) : find_last(text, separator, call.budget);
  const bool found = at != std::string::npos;
  const std::string_view whole = text;
  ListBuilder parts(call.budget, Shape::tuple);
  parts.add_text(found ? whole.substr(0, at) : from_left ? whole : "", call.text.safe);
  parts.add_text(found ? separator : "", call.text.safe);
  parts.add_text(found ? whole.substr(at + separator.size()) : from_left ? "" : whole, call.text.safe);
  return parts.take();
}

// The part that optional arguments `start` and `end` leave to search in, and in `begin` its first character's index.
std::optional<std::string_view> searched(const Call& call, std::int64_t& begin) {
  const auto size = static_cast<std::int64_t>(call.text.characters);
  const auto bound = [&](std::size_t i, std::string_view name, std::int64_t otherwise) {
    const std::int64_t at = integer_or(call.arguments.find(i, name), otherwise, name);
    return at < 0 ? std::max<std::int64_t>(at < -size ? 0 : at + size, 0) : at;
  };
  begin = bound(1, "start", 0);
  const std::int64_t end = std::min(bound(2, "end", size), size);
  if (begin > end) return std::nullopt;
  if (begin == 0 && end == size) return call.text.bytes;
  call.budget.read(call.text.bytes.size());
  const std::size_t first = byte_of(call.text.bytes, static_cast<std::size_t>(begin));
  const std::string_view rest = std::string_view(call.text.bytes).substr(first);
  return rest.substr(0, byte_of(rest, static_cast<std::size_t>(end - begin)));
}

// startswith and endswith take one text or several.
template <bool at_start>
Value has_end(const Call& call) {
  call.only({"ends", "start", "end"}, 1);
  std::int64_t begin = 0;
  const auto text = searched(call, begin);
  const auto fits = [&](const Value& end) {
    const std::string& part = text_of(end, call.name);
    call.budget.read(part.size());
    return text && (at_start ? text->starts_with(part) : text->ends_with(part));
  };
  const Value& ends = *call.arguments.find(0, "ends");
  const List* list = ends.list();
  if (list != nullptr && list->shape != Shape::tuple) throw Failure{"text, or a tuple of texts", ends.type()};
  return list != nullptr ? std::ranges::any_of(list->items, fits) : fits(ends);
}

template <bool from_left, bool must_be_there>
Value place(const Call& call) {
  call.only({"sub", "start", "end"}, 1);
  std::int64_t begin = 0;
  const std::string& part = call.text_at(0, "sub");
  const auto text = searched(call, begin);
  std::size_t at = std::string::npos;
  if (text) at = from_left ? find_text(*text, part, call.budget) : find_last(*text, part, call.budget);
  if (at != std::string::npos) return begin + length(text->substr(0, at));
  if (must_be_there) throw Failure{"a text that is in the other", "none of it"};
  return std::int64_t{-1};
}

Value times(const Call& call) {
  call.only({"sub", "start", "end"}, 1);
  std::int64_t begin = 0;
  const auto text = searched(call, begin);
  return text ? count_text(*text, call.text_at(0, "sub"), call.budget) : std::int64_t{0};
}

Value replaced(const Call& call) {
  call.only({"old", "new", "count"}, 2);
  const Value& with = *call.arguments.find(1, "new");
  std::string escaped, text;
  Writer escape(escaped, call.budget), out(text, call.budget);
  call.add_escaped(with, escape);
  replace_text(call.text.bytes, call.text_at(0, "old"), escaped,
               integer_or(call.arguments.find(2, "count"), -1, "count"), out);
  return call.made(std::move(text));
}

template <bool at_start>
Value without_end(const Call& call) {
  call.only({"end"}, 1);
  const std::string& end = call.text_at(0, "end");
  std::string_view text = call.text.bytes;
  if (at_start && text.starts_with(end)) text.remove_prefix(end.size());
  if (!at_start && text.ends_with(end)) text.remove_suffix(end.size());
  return call.part(text);
}

Value joined(const Call& call) {
  call.only({"iterable"}, 1);
  std::string text;
  Writer out(text, call.budget);
  bool first = true;
  const Items items = items_of(*call.arguments.find(0, "iterable"), call.budget);
  for (const Value& value : items.all) {
    call.budget.work();
    if (!first) out.add(call.text.bytes);
    call.add_escaped(value, out);
    first = false;
  }
  return call.made(std::move(text));
}

// center, ljust, rjust and zfill.
Value padded(const Call& call) {
  const bool zeros = call.name == "zfill";
  call.only(zeros ? std::initializer_list<std::string_view>{"width"}
                  : std::initializer_list<std::string_view>{"width", "fillchar"},
            1);
  const Value* fill = zeros ? nullptr : call.arguments.find(1, "fillchar");
  std::string by = zeros ? "0" : " ";
  if (fill != nullptr) {
    by.clear();
    Writer out(by, call.budget);
    call.add_escaped(*fill, out);
    if (length(by) != 1) throw Failure{"one character to fill with", "other text"};
  }
  const std::int64_t size = static_cast<std::int64_t>(call.text.characters);
  const std::int64_t width = integer_of(*call.arguments.find(0, "width"), "width");
  const std::int64_t space = std::max(width, size) - size;
  std::int64_t left = call.name == "ljust" ? 0 : space;
  if (call.name == "center") left = space / 2 + (space & width & 1);  // as CPython has it
  std::string text;
  Writer out(text, call.budget);
  call.budget.make(static_cast<std::size_t>(space) * by.size());
  std::string_view rest = call.text.bytes;
  if (zeros && !rest.empty() && (rest[0] == '+' || rest[0] == '-')) {
    out.add(rest.substr(0, 1));
    rest.remove_prefix(1);
  }
  for (std::int64_t i = 0; i < left; ++i) text += by;
  out.add(rest);
  for (std::int64_t i = left; i < space; ++i) text += by;
  return call.made(std::move(text));
}

Value tabs_expanded(const Call& call) {
  call.only({"tabsize"});
  const std::int64_t size = integer_or(call.arguments.find(0, "tabsize"), 8, "tabsize");
  std::string text;
  Writer out(text, call.budget);
  std::int64_t column = 0;
  for (std::size_t at = 0; at < call.text.bytes.size();) {
    const std::size_t length = utf8_length(call.text.bytes[at]);
    const std::string_view c = std::string_view(call.text.bytes).substr(at, length);
    const std::int64_t spaces = c == "\t" && size > 0 ? size - column % size : 0;
    if (c == "\t") out.add(static_cast<std::size_t>(spaces), ' ');
    else out.add(c);
    column = c == "\n" || c == "\r" ? 0 : column + (c == "\t" ? spaces : 1);
    at += length;
    call.budget.work();
  }
  return call.made(std::move(text));
}

Value is_of(const Call& call) {
  call.only({});
  call.budget.read(call.text.bytes.size());
  return is_of_kind(call.text.bytes, call.name);
}

Value formatted(const Call& call) {
  std::string text;
  Writer out(text, call.budget);
  if (call.name == "format") {
    format_braces(call.text, call.arguments, out);
  } else {
    call.only({"mapping"}, 1);
    format_braces(call.text, named_by(*call.arguments.find(0, "mapping")), out);
  }
  return call.made(std::move(text));
}

Value refused(const Call& call) {
  throw Failure{"", fmt::format("the method '{}' of text is not supported", call.name), kPart};
}

const std::map<std::string_view, TextMethod>& text_methods() {
  static const std::map<std::string_view, TextMethod> table = {
      {"capitalize", letters<capitalize>},
      {"casefold", refused},
      {"center", padded},
      {"count", times},
      {"encode", refused},
      {"endswith", has_end<false>},
      {"expandtabs", tabs_expanded},
      {"find", place<true, false>},
      {"format", formatted},
      {"format_map", formatted},
      {"index", place<true, true>},
      {"isalnum", is_of},
      {"isalpha", is_of},
      {"isascii", is_of},
      {"isdecimal", is_of},
      {"isdigit", is_of},
      {"isidentifier", refused},
      {"islower", is_of},
      {"isnumeric", is_of},
      {"isprintable", is_of},
      {"isspace", is_of},
      {"istitle", refused},
      {"isupper", is_of},
      {"join", joined},
      {"ljust", padded},
      {"lower", letters<lower>},
      {"lstrip", stripped<Side::left>},
      {"maketrans", refused},
      {"partition", partition<true>},
      {"removeprefix", without_end<true>},
      {"removesuffix", without_end<false>},
      {"replace", replaced},
      {"rfind", place<false, false>},
      {"rindex", place<false, true>},
      {"rjust", padded},
      {"rpartition", partition<false>},
      {"rsplit", split_at<Side::right>},
      {"rstrip", stripped<Side::right>},
      {"split", split_at<Side::left>},
      {"splitlines", lines},
      {"startswith", has_end<true>},
      {"strip", stripped<Side::both>},
      {"swapcase", letters<swap_case>},
      {"title", letters<title>},
      {"translate", refused},
      {"upper", letters<upper>},
      {"zfill", padded},
  };
  return table;
}

}  // namespace

bool has_text_method(std::string_view name) { return text_methods().contains(name); }

Value call_text_method(const Value& value, const std::string& name, const Arguments& arguments, Budget& budget) {
  budget.work();
  return text_methods().at(name)({*value.text(), name, arguments, budget});
}

}  // namespace qad::jinja
