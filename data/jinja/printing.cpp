#include "data/jinja/printing.h"

#include <fmt/format.h>

#include "data/files/utf8.h"
#include "data/jinja/failure.h"
#include "data/jinja/letters.h"
#include "data/jinja/numbers.h"

namespace qad::jinja {
namespace {

// Between the items of a list, a comma.
class Comma {
 public:
  explicit Comma(Writer& out) : out_(out) {}
  void next() {
    if (!first_) out_.add(", ");
    first_ = false;
  }

 private:
  Writer& out_;
  bool first_ = true;
};

void print_list(const List& list, Writer& out) {
  if (list.shape == Shape::range) {
    const auto [start, stop, step] = list.bounds;
    out.add(step == 1 ? fmt::format("range({}, {})", start, stop)
                      : fmt::format("range({}, {}, {})", start, stop, step));
    return;
  }
  if (list.shape == Shape::generator) throw Failure{"a value that can be printed", "generator", "| list makes a list"};
  static constexpr std::string_view kOpen[] = {"[", "(", "", "dict_keys([", "dict_values([", "dict_items(["};
  static constexpr std::string_view kClose[] = {"]", ")", "", "])", "])", "])"};
  const auto shape = static_cast<std::size_t>(list.shape);
  out.add(kOpen[shape]);
  Comma comma(out);
  for (const Value& entry : list.items) {
    comma.next();
    print_repr(entry, out);
  }
  if (list.shape == Shape::tuple && list.items.size() == 1) out.add(",");
  out.add(kClose[shape]);
}

void print_dict(const Dict& dict, Writer& out) {
  out.add("{");
  Comma comma(out);
  for (const auto& [key, entry] : dict.entries()) {
    comma.next();
    print_repr(key, out);
    out.add(": ");
    print_repr(entry, out);
  }
  out.add("}");
}

}  // namespace

void print_quoted(std::string_view text, Writer& out, bool ascii) {
  const bool single = text.find('\'') == std::string_view::npos || text.find('"') != std::string_view::npos;
  const char32_t quote = single ? U'\'' : U'"';
  out.add(single ? "'" : "\"");
  std::size_t plain = 0;  // from here on nothing was escaped
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = next_code_point(text, at);
    const bool seen = is_printable(c) && (c < 0x80 || !ascii);
    if (seen && c != quote && c != U'\\') continue;
    out.add(text.substr(plain, begin - plain));
    plain = at;
    const auto code = static_cast<std::uint32_t>(c);
    if (seen) out.add(c == U'\\' ? "\\\\" : single ? "\\'" : "\\\"");
    else if (c == U'\n') out.add("\\n");
    else if (c == U'\r') out.add("\\r");
    else if (c == U'\t') out.add("\\t");
    else if (code < 0x100) out.add(fmt::format("\\x{:02x}", code));
    else out.add(code < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code));
  }
  out.add(text.substr(plain));
  out.add(single ? "'" : "\"");
}

void print(const Value& value, Writer& out) {
  if (const std::string* text = value.bytes()) out.add(*text);
  else if (!value.is<Undefined>()) print_repr(value, out);
}

std::string printed(const Value& value, Budget& budget) {
  std::string text;
  Writer out(text, budget);
  print(value, out);
  return text;
}

void print_repr(const Value& value, Writer& out) {
  out.budget().work();
  if (const Text* text = value.text()) {
    if (text->safe) out.add("Markup(");
    print_quoted(text->bytes, out);
    if (text->safe) out.add(")");
  } else if (value.is<None>()) {
    out.add("None");
  } else if (value.is<Undefined>()) {
    out.add("Undefined");
  } else if (value.is_number()) {
    out.add(number_text(value));
  } else if (const List* list = value.list()) {
    print_list(*list, out);
  } else if (const Dict* dict = value.dict()) {
    print_dict(*dict, out);
  } else {
    throw Failure{"a value that can be printed", value.type()};
  }
}

}  // namespace qad::jinja
