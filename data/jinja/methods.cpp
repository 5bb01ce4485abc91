// Methods of strings, dicts and lists.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "data/jinja/builtins.h"
#include "data/jinja/failure.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

constexpr const char* kPart = "qad knows a part of Jinja";

// Python's own, those that we don't have included: a template that asks for one must not get a key of that name, or
// nothing, instead.
constexpr auto kTextMethods = std::to_array<std::string_view>(
    {"capitalize", "casefold",     "center",       "count",     "encode",     "endswith", "expandtabs",   "find",
     "format",     "format_map",   "index",        "isalnum",   "isalpha",    "isascii",  "isdecimal",    "isdigit",
     "islower",    "isnumeric",    "isprintable",  "isspace",   "istitle",    "isupper",  "isidentifier", "join",
     "ljust",      "lower",        "lstrip",       "maketrans", "partition",  "replace",  "rfind",        "rindex",
     "rjust",      "removeprefix", "removesuffix", "rstrip",    "rpartition", "rsplit",   "split",        "splitlines",
     "startswith", "strip",        "swapcase",     "title",     "translate",  "upper",    "zfill"});
constexpr auto kDictMethods = std::to_array<std::string_view>(
    {"clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"});
constexpr auto kListMethods = std::to_array<std::string_view>(
    {"append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"});

const std::string& text_argument(const Value* value, std::string_view callee) {
  if (value == nullptr || !value->is<std::string>())
    throw Failure{fmt::format("text for {}", callee), value == nullptr ? "nothing" : value->type()};
  return *value->as<std::string>();
}

std::int64_t integer_argument(const Value* value, std::int64_t otherwise) {
  if (value == nullptr) return otherwise;
  if (value->integer() == nullptr) throw Failure{"an integer", value->type()};
  return *value->integer();
}

std::optional<std::string_view> optional_text(const Value* value, std::string_view callee) {
  if (value == nullptr || value->is<None>()) return std::nullopt;
  return text_argument(value, callee);
}

/// startswith and endswith take one text or several.
bool any_end(const std::string& text, const Value& ends, bool at_start, std::string_view callee) {
  const auto fits = [&](const Value& end) {
    const std::string& part = text_argument(&end, callee);
    return at_start ? text.starts_with(part) : text.ends_with(part);
  };
  const List* list = ends.list();
  return list != nullptr ? std::any_of(list->begin(), list->end(), fits) : fits(ends);
}

List texts(std::vector<std::string> parts) {
  List list;
  for (std::string& part : parts) list.emplace_back(std::move(part));
  return list;
}

std::string joined(const std::string& separator, const Value& values) {
  std::string text;
  bool first = true;
  for (const Value& value : items_of(values)) {
    if (!first) text += separator;
    text += text_argument(&value, "join");
    first = false;
  }
  return text;
}

Value text_method(const std::string& text, const std::string& name, const Arguments& arguments) {
  const auto only = [&](std::initializer_list<std::string_view> names, std::size_t required = 0) {
    arguments.check(name, names, required);
  };
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    only({"chars"});
    const Side side = name == "strip" ? Side::both : name == "lstrip" ? Side::left : Side::right;
    return strip(text, optional_text(arguments.find(0, "chars"), name), side);
  }
  if (name == "split") {
    only({"sep", "maxsplit"});
    const auto separator = optional_text(arguments.find(0, "sep"), name);
    if (separator && separator->empty()) throw Failure{"a separator", "an empty one"};
    return texts(split(text, separator, integer_argument(arguments.find(1, "maxsplit"), -1)));
  }
  if (name == "startswith" || name == "endswith") {
    only({"ends"}, 1);
    return any_end(text, *arguments.find(0, "ends"), name == "startswith", name);
  }
  if (name == "replace") {
    only({"old", "new", "count"}, 2);
    return replaced(text, text_argument(arguments.find(0, "old"), name), text_argument(arguments.find(1, "new"), name),
                    integer_argument(arguments.find(2, "count"), -1));
  }
  if (name == "removeprefix" || name == "removesuffix") {
    only({"end"}, 1);
    const std::string& end = text_argument(arguments.find(0, "end"), name);
    if (name == "removeprefix") return text.starts_with(end) ? text.substr(end.size()) : text;
    return text.ends_with(end) ? text.substr(0, text.size() - end.size()) : text;
  }
  if (name == "find" || name == "count") {
    only({"sub"}, 1);
    const std::string& part = text_argument(arguments.find(0, "sub"), name);
    if (name == "count") {
      if (part.empty()) return length(text) + 1;
      return static_cast<std::int64_t>(split(text, part, -1).size()) - 1;
    }
    const std::size_t at = text.find(part);
    return at == std::string::npos ? std::int64_t{-1} : length(std::string_view(text).substr(0, at));
  }
  if (name == "join") {
    only({"iterable"}, 1);
    return joined(text, *arguments.find(0, "iterable"));
  }
  using Change = std::string (*)(std::string_view);
  const Change change = name == "lower"        ? lower
                        : name == "upper"      ? upper
                        : name == "title"      ? title
                        : name == "capitalize" ? capitalize
                                               : Change(nullptr);
  if (change == nullptr)
    throw Failure{
        "a method of text among strip, lstrip, rstrip, split, startswith, endswith, replace, removeprefix, "
        "removesuffix, find, count, join, lower, upper, title and capitalize",
        '\'' + name + '\'', kPart};
  only({});
  return change(text);
}

Value dict_method(const Dict& dict, const std::string& name, const Arguments& arguments) {
  if (name == "get") {
    arguments.check(name, {"key", "default"}, 1);
    const Value *key = arguments.find(0, "key"), *otherwise = arguments.find(1, "default");
    const Value* found = key->is<std::string>() ? dict.find(*key->as<std::string>()) : nullptr;
    return found != nullptr ? *found : otherwise != nullptr ? *otherwise : Value();
  }
  if (name != "items" && name != "keys" && name != "values")
    throw Failure{"a method of a dict among get, items, keys and values", '\'' + name + '\'', kPart};
  arguments.check(name, {});
  List list = shaped(Shape::view, {});
  for (const auto& [key, value] : dict.items) {
    if (name == "items") list.emplace_back(shaped(Shape::tuple, {key, value}));
    else list.push_back(name == "keys" ? Value(key) : value);
  }
  return list;
}

}  // namespace

bool has_method(const Value& value, std::string_view name) {
  const auto among = [&](const auto& names) { return std::find(names.begin(), names.end(), name) != names.end(); };
  if (value.is<std::string>()) return among(kTextMethods);
  if (value.list() != nullptr) return among(kListMethods);
  return value.dict() != nullptr && !value.dict()->is_namespace && among(kDictMethods);
}

Value call_method(const Value& value, const std::string& name, const Arguments& arguments) {
  if (const auto* undefined = value.as<Undefined>()) throw Failure{"", undefined->why};
  if (has_method(value, name)) {
    if (const auto* text = value.as<std::string>()) return text_method(*text, name, arguments);
    if (const Dict* dict = value.dict()) return dict_method(*dict, name, arguments);
    if (const List* list = value.list(); list != nullptr && name == "count") {
      arguments.check(name, {"value"}, 1);
      return static_cast<std::int64_t>(std::count(list->begin(), list->end(), *arguments.find(0, "value")));
    }
  }
  throw Failure{fmt::format("a method of a {}", value.type()), '\'' + name + '\'', kPart};
}

}  // namespace qad::jinja
