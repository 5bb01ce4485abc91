// '%s' % value.
#include <fmt/format.h>

#include <algorithm>

#include "data/files/utf8.h"
#include "data/jinja/failure.h"
#include "data/jinja/formatting.h"
#include "data/jinja/numbers.h"
#include "data/jinja/printing.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

class PercentFormat {
 public:
  PercentFormat(const Text& format, const Value& arguments, Writer& out)
      : rest_(format.bytes), safe_(format.safe), arguments_(arguments), out_(out) {}

  void run() {
    for (std::size_t mark = 0; (mark = rest_.find('%')) != std::string_view::npos;) {
      out_.budget().work();
      out_.add(rest_.substr(0, mark));
      rest_.remove_prefix(mark + 1);
      specifier();
    }
    out_.add(rest_);
    const List* list = arguments_.list();
    const bool many = list != nullptr && list->shape == Shape::tuple;
    const bool mapping =
        arguments_.dict() != nullptr || arguments_.is<Undefined>() || (list != nullptr && !many && list->has_indices());
    if (used_ < (many ? list->items.size() : 1) && !mapping)
      throw Failure{"as many % in the text as values", "more values"};
  }

 private:
  char take() {
    if (rest_.empty()) throw Failure{"a whole format behind %", "the text's end"};
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  Value next() {
    const List* list = arguments_.list();
    const bool many = list != nullptr && list->shape == Shape::tuple;
    if (used_ >= (many ? list->items.size() : 1)) throw Failure{"a value for each %", "fewer"};
    ++used_;
    return many ? list->items[used_ - 1] : arguments_;
  }

  std::int64_t number(bool precision) {
    if (!rest_.empty() && rest_.front() == '*') {
      rest_.remove_prefix(1);
      const std::int64_t given = integer_of(next(), "a width");
      if (given < 0 && !precision) field_.align = '<';
      return width_of(std::to_string(precision ? std::max<std::int64_t>(given, 0) : std::abs(given)));
    }
    const std::size_t end = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    const std::string_view digits = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return digits.empty() ? 0 : width_of(digits);
  }

  void specifier() {
    field_ = {};
    std::optional<Value> named;
    if (rest_.starts_with('(')) {
      const Dict* dict = arguments_.dict();
      if (dict == nullptr) throw Failure{"a dict for %(name)", arguments_.type()};
      std::size_t end = 1;
      for (int open = 1; open > 0; ++end) {
        if (end >= rest_.size()) throw Failure{"a ) behind %(", "the text's end"};
        open += rest_[end] == '(' ? 1 : rest_[end] == ')' ? -1 : 0;
      }
      const std::string_view key = rest_.substr(1, end - 2);
      const Value* found = dict->find(key);
      if (found == nullptr) throw Failure{"a key of the dict", fmt::format("'{}'", key)};
      named = *found;
      rest_.remove_prefix(end);
    }
    bool zeros = false;
    for (; !rest_.empty() && std::string_view("-+ #0").find(rest_.front()) != std::string_view::npos; take()) {
      const char flag = rest_.front();
      if (flag == '-') field_.align = '<';
      else if (flag == '#') field_.alternate = true;
      else if (flag == '0') zeros = true;
      else if (flag == '+' || field_.sign != '+') field_.sign = flag;
    }
    field_.width = number(/*precision=*/false);
    if (rest_.starts_with('.')) {
      take();
      field_.precision = number(/*precision=*/true);
    }
    if (!rest_.empty() && std::string_view("hlL").find(rest_.front()) != std::string_view::npos) take();
    const char type = take();
    if (type == '%') return out_.add("%");
    convert(named ? *named : next(), type, zeros && field_.align != '<');
  }

  void convert(const Value& value, char type, bool zeros) {
    if (type == 's' || type == 'r' || type == 'a' || type == 'c') return convert_text(value, type);
    if (std::string_view("diuxXoeEfFgG").find(type) == std::string_view::npos)
      throw Failure{"one of s r a c d i u o x X e E f F g G behind %", fmt::format("'{}'", type)};
    const bool decimal = type == 'd' || type == 'i' || type == 'u';
    const bool floating = std::string_view("eEfFgG").find(type) != std::string_view::npos;
    if (!value.is_number() || (!decimal && !floating && !value.is_integer()))
      throw Failure{fmt::format("a number for %{}", type), value.type()};
    const Value number = floating ? Value(to_double(value)) : value.is_integer() ? value : truncated(to_double(value));
    std::string digits = magnitude(number, decimal ? 'd' : type, field_), sign = sign_of(number, field_);
    if (!floating && field_.precision && static_cast<std::int64_t>(digits.size()) < *field_.precision)
      digits.insert(0, static_cast<std::size_t>(*field_.precision) - digits.size(), '0');
    if (!floating && field_.alternate && !decimal) sign.append("0").append(1, type);
    if (zeros) {
      field_.fill = "0";
      field_.align = '=';
    }
    pad_number(sign, digits, field_, out_);
  }

  void convert_text(const Value& value, char type) {
    std::string text;
    Writer writer(text, out_.budget());
    if (type == 'c') {
      character(value, writer);
      field_.precision.reset();
    } else if (type == 's') {
      print(value, writer);
    } else if (type == 'r') {
      print_repr(value, writer);
    } else {
      if (value.bytes() == nullptr) throw Failure{"text for %a", value.type(), kPart};
      print_quoted(*value.bytes(), writer, /*ascii=*/true);
    }
    if (safe_ && !(type == 's' && value.text() != nullptr && value.text()->safe)) {
      std::string escaped;
      Writer escape(escaped, out_.budget());
      escape_html(text, escape);
      text = std::move(escaped);
    }
    pad(cut(text, field_.precision), field_, out_);
  }

  static void character(const Value& value, Writer& writer) {
    const Text* text = value.text();
    const std::int64_t* code = value.integer();
    if (text != nullptr && text->characters == 1) return writer.add(text->bytes);
    if (code == nullptr || *code < 0 || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
      throw Failure{"a character or its number for %c", value.type()};
    append_utf8(writer.text(), static_cast<char32_t>(*code));
  }

  std::string_view rest_;
  bool safe_;
  const Value& arguments_;
  Writer& out_;
  std::size_t used_ = 0;
  Field field_;
};

}  // namespace

void format_percent(const Text& format, const Value& arguments, Writer& out) {
  PercentFormat(format, arguments, out).run();
}

}  // namespace qad::jinja
