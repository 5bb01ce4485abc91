// The table of filters, and those of no particular kind.
#include "data/jinja/filters.h"

#include <fmt/format.h>

#include <array>
#include <map>

#include "data/jinja/failure.h"
#include "data/jinja/json.h"
#include "data/jinja/methods.h"
#include "data/jinja/printing.h"
#include "data/jinja/sequences.h"

namespace qad::jinja {
namespace {

Value tojson(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = is_true(arguments.find(0, "ensure_ascii"));
  style.sort_keys = is_true(arguments.find(3, "sort_keys"));
  if (const Value* indent = arguments.find(1, "indent"); indent != nullptr && !indent->is<None>()) {
    style.lines = true;
    style.between = ",";
    const std::int64_t spaces = indent->bytes() != nullptr ? 0 : integer_of(*indent, "indent");
    budget.make(static_cast<std::size_t>(std::max<std::int64_t>(spaces, 0)));
    style.indent = indent->bytes() != nullptr
                       ? *indent->bytes()
                       : std::string(static_cast<std::size_t>(std::max<std::int64_t>(spaces, 0)), ' ');
  }
  if (const Value* separators = arguments.find(2, "separators"); separators != nullptr && !separators->is<None>()) {
    const List* list = separators->list();
    if (list == nullptr || list->items.size() != 2) throw Failure{"two separators", separators->type()};
    style.between = text_of(list->items[0], "a separator");
    style.after_key = text_of(list->items[1], "a separator");
  }
  std::string text;
  Writer out(text, budget);
  write_json(value, style, out);
  return text;
}

Value default_value(const Value& value, const Arguments& arguments, Budget&) {
  arguments.check("default", {"default_value", "boolean"});
  const Value* otherwise = arguments.find(0, "default_value");
  const bool any_false = is_true(arguments.find(1, "boolean"));
  if (!value.is<Undefined>() && !(any_false && !value.truth())) return value;
  return otherwise != nullptr ? *otherwise : Value("");
}

Value items(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("items", {});
  List pairs;
  if (!value.is<Undefined>()) {
    if (value.dict() == nullptr) throw Failure{"a dict", value.type()};
    pairs = *call_method(value, "items", {}, budget).list();
  }
  pairs.shape = Shape::generator;
  return pairs;
}

Value attr(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("attr", {"name"}, 1);
  const std::string& name = text_of(*arguments.find(0, "name"), "an attribute's name");
  if (value.dict() == nullptr || has_method(value, name)) return attribute(value, name, budget);
  return Undefined(fmt::format("'dict object' has no attribute '{}'", name.substr(0, 100)));
}

Value length_of(const Value& value, const Arguments& arguments, Budget&) {
  arguments.check("length", {});
  return length_of(value);
}

constexpr auto kOthers = std::to_array<Filter>({
    {"attr", attr},
    {"count", length_of},
    {"d", default_value},
    {"default", default_value},
    {"items", items},
    {"length", length_of},
    {"tojson", tojson},
});

const std::map<std::string_view, Filter>& filters() {
  static const std::map<std::string_view, Filter> table = [] {
    std::map<std::string_view, Filter> all;
    for (const auto& kind :
         {std::span<const Filter>(kOthers), choosing_filters(), list_filters(), number_filters(), text_filters()})
      for (const Filter& filter : kind) all.emplace(filter.name, filter);
    return all;
  }();
  return table;
}

}  // namespace

bool is_filter(std::string_view name) { return filters().contains(name); }

std::string filter_names() {
  std::string names;
  for (const auto& [name, filter] : filters()) names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

Value apply_filter(std::string_view name, const Value& value, const Arguments& arguments, Budget& budget) {
  budget.work();
  const auto found = filters().find(name);
  if (found == filters().end())
    throw Failure{"a filter among " + filter_names(), '\'' + std::string(name) + '\'', kPart};
  return found->second.apply(value, arguments, budget);
}

}  // namespace qad::jinja
