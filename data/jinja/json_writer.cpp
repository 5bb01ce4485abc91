#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/files/utf8.h"
#include "data/jinja/compare.h"
#include "data/jinja/failure.h"
#include "data/jinja/json.h"
#include "data/jinja/numbers.h"

namespace qad::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Writer& out) : style_(style), out_(out) {}

  void write(const Value& value) {
    out_.budget().work();
    if (const std::string* text = value.bytes()) quote(*text);
    else if (value.is<None>() || value.is<bool>() || value.is_number()) out_.add(scalar(value));
    else if (const List* list = value.list(); list != nullptr && list->shape <= Shape::tuple) write_list(*list);
    else if (const Dict* dict = value.dict()) write_dict(*dict);
    else throw Failure{"a value that JSON has", value.type()};
  }

 private:
  static std::string scalar(const Value& value) {
    if (value.is<None>()) return "null";
    if (const auto* truth = value.as<bool>()) return *truth ? "true" : "false";
    const auto* number = value.as<double>();
    if (number == nullptr || std::isfinite(*number)) return number_text(value);
    return std::isnan(*number) ? "NaN" : *number > 0 ? "Infinity" : "-Infinity";
  }

  void write_list(const List& list) {
    out_.add("[");
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      next(i == 0);
      ++depth_;
      write(list.items[i]);
      --depth_;
    }
    end(list.items.empty(), "]");
  }

  void write_dict(const Dict& dict) {
    out_.add("{");
    std::vector<const Dict::Entry*> entries;
    out_.budget().make(8 * dict.size());
    for (const Dict::Entry& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys)
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
        return less(a->first, b->first, /*or_equal=*/false, out_.budget());
      });
    for (std::size_t i = 0; i < entries.size(); ++i) {
      next(i == 0);
      write_key(entries[i]->first);
      out_.add(style_.after_key);
      ++depth_;
      write(entries[i]->second);
      --depth_;
    }
    end(entries.empty(), "}");
  }

  void write_key(const Value& key) {
    if (const std::string* text = key.bytes()) return quote(*text);
    if (!key.is<None>() && !key.is_number()) throw Failure{"keys that JSON has", key.type()};
    out_.add("\"");
    out_.add(scalar(key));
    out_.add("\"");
  }

  void next(bool first) {
    if (!first) out_.add(style_.between);
    line(depth_ + 1);
  }

  void end(bool empty, std::string_view close) {
    if (!empty) line(depth_);
    out_.add(close);
  }

  void line(int depth) {
    if (!style_.lines) return;
    out_.add("\n");
    for (int i = 0; i < depth; ++i) out_.add(style_.indent);
  }

  void quote(std::string_view text) {
    out_.add("\"");
    std::size_t plain = 0;  // from here on nothing was escaped
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t begin = at;
      const auto c = static_cast<unsigned char>(text[at]);
      const char32_t code = next_code_point(text, at);
      if (c != '"' && c != '\\' && c >= 0x20 && (code < 0x7f || !style_.ascii)) continue;
      out_.add(text.substr(plain, begin - plain));
      plain = at;
      out_.add(escaped(code));
    }
    out_.add(text.substr(plain));
    out_.add("\"");
  }

  static std::string escaped(char32_t c) {
    constexpr std::string_view kLetters = "\"\\\n\r\t\b\f", kNames = "\"\\nrtbf";
    if (c < 0x80)
      if (const std::size_t simple = kLetters.find(static_cast<char>(c)); simple != std::string_view::npos)
        return {'\\', kNames[simple]};
    const auto code = static_cast<std::uint32_t>(c);
    if (code < 0x10000) return fmt::format("\\u{:04x}", code);
    return fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
  }

  const JsonStyle& style_;
  Writer& out_;
  int depth_ = 0;
};

}  // namespace

void write_json(const Value& value, const JsonStyle& style, Writer& out) { JsonWriter(style, out).write(value); }

}  // namespace qad::jinja
