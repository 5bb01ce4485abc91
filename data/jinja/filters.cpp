// Filters and the arguments of calls.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>

#include "data/jinja/builtins.h"
#include "data/jinja/failure.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

using Filter = Value (*)(const Value&, const Arguments&);

std::int64_t integer_of(const Value& value, std::string_view what) {
  const std::int64_t* number = value.integer();
  if (number == nullptr) throw Failure{fmt::format("an integer as {}", what), value.type()};
  return *number;
}

Value trim(const Value& value, const Arguments& arguments) {
  arguments.check("trim", {"chars"});
  const Value* chars = arguments.find(0, "chars");
  if (chars == nullptr || chars->is<None>()) return strip(value.text(), std::nullopt, Side::both);
  return strip(value.text(), chars->text(), Side::both);
}

Value tojson(const Value& value, const Arguments& arguments) {
  arguments.check("tojson", {"ensure_ascii", "indent"});
  const Value *ascii = arguments.find(0, "ensure_ascii"), *indent = arguments.find(1, "indent");
  if (ascii != nullptr && ascii->truth()) throw Failure{"tojson without ensure_ascii", "ensure_ascii=true"};
  return to_json(value, indent == nullptr || indent->is<None>() ? -1 : integer_of(*indent, "indent"));
}

Value default_value(const Value& value, const Arguments& arguments) {
  arguments.check("default", {"default_value", "boolean"});
  const Value *otherwise = arguments.find(0, "default_value"), *boolean = arguments.find(1, "boolean");
  const bool any_false = boolean != nullptr && boolean->truth();
  if (!value.is<Undefined>() && !(any_false && !value.truth())) return value;
  return otherwise != nullptr ? *otherwise : Value("");
}

/// item.a.b for the name "a.b"; a part in digits is an index.
Value path(Value value, const std::string& name) {
  for (const std::string& part : split(name, ".", -1)) {
    const bool digits = !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string::npos;
    value = item(value, digits ? Value(static_cast<std::int64_t>(std::atoi(part.c_str()))) : Value(part));
  }
  return value;
}

Value join(const Value& value, const Arguments& arguments) {
  arguments.check("join", {"d", "attribute"});
  const Value *separator = arguments.find(0, "d"), *attribute = arguments.find(1, "attribute");
  std::string text;
  bool first = true;
  for (const Value& entry : items_of(value)) {
    if (!first && separator != nullptr) text += separator->text();
    text += attribute != nullptr && !attribute->is<None>() ? path(entry, attribute->text()).text() : entry.text();
    first = false;
  }
  return text;
}

Value edge(const Value& value, bool first) {
  const List items = items_of(value);
  if (items.empty())
    return Undefined{first ? "No first item, sequence was empty." : "No last item, sequence was empty."};
  return first ? items.front() : items.back();
}

Value items_filter(const Value& value, const Arguments& arguments) {
  arguments.check("items", {});
  if (value.is<Undefined>()) return shaped(Shape::generator, {});
  if (value.dict() == nullptr) throw Failure{"a dict", value.type()};
  return shaped(Shape::generator, items_of(call_method(value, "items", {})));
}

Value to_int(const Value& value, const Arguments& arguments) {
  arguments.check("int", {"default"});
  if (const std::int64_t* number = value.integer()) return *number;
  if (const auto* number = value.as<double>(); number != nullptr && std::abs(*number) < 9e18)
    return static_cast<std::int64_t>(*number);
  if (const auto* text = value.as<std::string>()) {
    std::string_view digits = strip(*text, std::nullopt, Side::both);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    std::int64_t number = 0;
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (!digits.empty() && end.ec == std::errc() && end.ptr == digits.data() + digits.size()) return number;
    throw Failure{"digits for int", python_quoted(*text)};
  }
  const Value* otherwise = arguments.find(0, "default");
  return otherwise != nullptr ? *otherwise : Value(std::int64_t{0});
}

Value replace_filter(const Value& value, const Arguments& arguments) {
  arguments.check("replace", {"old", "new", "count"}, 2);
  const Value* count = arguments.find(2, "count");
  return replaced(value.text(), arguments.find(0, "old")->text(), arguments.find(1, "new")->text(),
                  count != nullptr && !count->is<None>() ? integer_of(*count, "count") : -1);
}

Arguments rest(const Arguments& arguments, std::size_t from) {
  Arguments others;
  for (std::size_t i = from; i < arguments.in_order.size(); ++i) others.in_order.push_back(arguments.in_order[i]);
  return others;
}

/// select, reject, selectattr, rejectattr: the items whose value, or attribute, passes a test or not.
Value select(const Value& value, const Arguments& arguments, bool by_attribute, bool keep) {
  if (!arguments.named.empty()) throw Failure{"arguments without names", arguments.named[0].first};
  if (by_attribute && arguments.in_order.empty()) throw Failure{"an attribute's name", "none"};
  const Arguments test = rest(arguments, by_attribute ? 1 : 0);
  const std::string name = test.in_order.empty() ? "" : test.in_order[0].text();
  if (!name.empty() && !is_test(name)) throw Failure{"a test among " + test_names(), '\'' + name + '\''};
  if (!name.empty() && test.in_order.size() != (test_takes_argument(name) ? 2u : 1u))
    throw Failure{"the arguments of the test '" + name + '\'', std::to_string(test.in_order.size() - 1)};
  List kept = shaped(Shape::generator, {});
  for (const Value& entry : items_of(value)) {
    const Value tested = by_attribute ? path(entry, arguments.in_order[0].text()) : entry;
    const bool passes =
        name.empty() ? tested.truth() : apply_test(name, tested, test.in_order.size() > 1 ? test.in_order[1] : Value());
    if (passes == keep) kept.push_back(entry);
  }
  return kept;
}

Value map(const Value& value, const Arguments& arguments) {
  List mapped = shaped(Shape::generator, {});
  if (const Value* name = arguments.find(SIZE_MAX, "attribute")) {
    const Value* otherwise = arguments.find(SIZE_MAX, "default");
    for (const Value& entry : items_of(value)) {
      const Value found = path(entry, name->text());
      mapped.push_back(otherwise != nullptr && found.is<Undefined>() ? *otherwise : found);
    }
    return mapped;
  }
  const std::string name = arguments.in_order.empty() ? "" : arguments.in_order[0].text();
  if (!is_filter(name) || name == "map") throw Failure{"a filter among " + filter_names(), '\'' + name + '\''};
  for (const Value& entry : items_of(value)) mapped.push_back(apply_filter(name, entry, rest(arguments, 1)));
  return mapped;
}

Value reverse(const Value& value, const Arguments& arguments) {
  arguments.check("reverse", {});
  if (!value.is<std::string>() && value.list() == nullptr) throw Failure{"a list or a text", value.type()};
  const Value reversed = slice(value, None(), None(), std::int64_t{-1});
  if (value.is<std::string>()) return reversed;
  return shaped(Shape::generator, items_of(reversed));
}

template <std::string (*change)(std::string_view)>
Value letters(const Value& value, const Arguments& arguments) {
  arguments.check("upper, lower and capitalize", {});
  return change(value.text());
}

const std::map<std::string_view, Filter>& filters() {
  static const std::map<std::string_view, Filter> table = {
      {"capitalize", letters<capitalize>},
      {"count", [](const Value& v, const Arguments&) -> Value { return length_of(v); }},
      {"d", default_value},
      {"default", default_value},
      {"first", [](const Value& v, const Arguments&) { return edge(v, true); }},
      {"int", to_int},
      {"items", items_filter},
      {"join", join},
      {"last", [](const Value& v, const Arguments&) { return edge(v, false); }},
      {"length", [](const Value& v, const Arguments&) -> Value { return length_of(v); }},
      {"list", [](const Value& v, const Arguments&) -> Value { return items_of(v); }},
      {"lower", letters<lower>},
      {"map", map},
      {"reject", [](const Value& v, const Arguments& a) { return select(v, a, false, false); }},
      {"rejectattr", [](const Value& v, const Arguments& a) { return select(v, a, true, false); }},
      {"replace", replace_filter},
      {"reverse", reverse},
      {"safe", [](const Value& v, const Arguments&) -> Value { return v.text(); }},
      {"select", [](const Value& v, const Arguments& a) { return select(v, a, false, true); }},
      {"selectattr", [](const Value& v, const Arguments& a) { return select(v, a, true, true); }},
      {"string", [](const Value& v, const Arguments&) -> Value { return v.text(); }},
      {"tojson", tojson},
      {"trim", trim},
      {"upper", letters<upper>},
  };
  return table;
}

}  // namespace

const Value* Arguments::find(std::size_t index, std::string_view name) const {
  if (index < in_order.size()) return &in_order[index];
  for (const auto& [key, value] : named)
    if (key == name) return &value;
  return nullptr;
}

void Arguments::check(std::string_view callee, std::initializer_list<std::string_view> names,
                      std::size_t required) const {
  if (in_order.size() > names.size())
    throw Failure{fmt::format("at most {} arguments for {}", names.size(), callee), std::to_string(in_order.size())};
  for (const auto& [key, value] : named) {
    const auto found = std::find(names.begin(), names.end(), key);
    if (found == names.end() || static_cast<std::size_t>(found - names.begin()) < in_order.size())
      throw Failure{fmt::format("arguments that {} has, each once", callee), '\'' + key + '\''};
  }
  for (std::size_t i = 0; i < required; ++i)
    if (find(i, names.begin()[i]) == nullptr)
      throw Failure{fmt::format("the argument '{}' of {}", names.begin()[i], callee), "none"};
}

bool is_filter(std::string_view name) { return filters().contains(name); }

std::string filter_names() {
  std::string names;
  for (const auto& [name, filter] : filters()) names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments) {
  return filters().at(name)(value, arguments);
}

}  // namespace qad::jinja
