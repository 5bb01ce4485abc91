// Methods of dicts, lists, loops and cyclers; those of texts are in text_methods.cpp.
#include "data/jinja/methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "data/jinja/compare.h"
#include "data/jinja/failure.h"
#include "data/jinja/objects.h"
#include "data/jinja/sequences.h"

namespace qad::jinja {
namespace {

constexpr auto kDictMethods = std::to_array<std::string_view>({"copy", "get", "items", "keys", "values"});
constexpr auto kListMethods = std::to_array<std::string_view>({"copy", "count", "index"});

Value dict_view(const Dict& dict, const std::string& name, Budget& budget) {
  const bool keys = name == "keys", values = name == "values";
  ListBuilder list(budget, keys ? Shape::keys : values ? Shape::values : Shape::items);
  for (const auto& [key, value] : dict.entries()) {
    if (keys || values) {
      list.add(keys ? key : value);
      continue;
    }
    ListBuilder pair(budget, Shape::tuple);
    pair.add(key);
    pair.add(value);
    budget.make(sizeof(List));
    list.add(pair.take());
  }
  return list.take();
}

Value dict_method(const Value& value, const std::string& name, const Arguments& arguments, Budget& budget) {
  const Dict& dict = *value.dict();
  if (name == "get") {
    arguments.check(name, {"key", "default"}, 1);
    if (!arguments.named.empty()) throw Failure{"arguments of get without names", arguments.named[0].first};
    const Value& key = arguments.in_order[0];
    budget.read(key.bytes() != nullptr ? key.bytes()->size() : 0);
    const Value *found = dict.find_key(key), *otherwise = arguments.find(1, "default");
    return found != nullptr ? *found : otherwise != nullptr ? *otherwise : Value();
  }
  arguments.check(name, {});
  return name == "copy" ? value : dict_view(dict, name, budget);
}

Value list_method(const Value& value, const std::string& name, const Arguments& arguments, Budget& budget) {
  if (name == "copy") {
    arguments.check(name, {});
    return value;
  }
  arguments.check(name, {"value"}, 1);
  const Value& wanted = *arguments.find(0, "value");
  std::int64_t count = 0, at = 0;
  for (const Value& entry : value.list()->items) {
    if (equal(entry, wanted, budget)) {
      if (name == "index") return at;
      ++count;
    }
    ++at;
  }
  if (name == "index") throw Failure{"a value that is in the list", "none of it"};
  return count;
}

Value loop_method(Loop& loop, const std::string& name, const Arguments& arguments, Budget& budget) {
  if (!arguments.named.empty()) throw Failure{"arguments without names", arguments.named[0].first};
  const std::vector<Value>& given = arguments.in_order;
  if (name == "cycle") {
    if (given.empty()) throw Failure{"items to cycle through", "none"};
    return given[loop.index0 % given.size()];
  }
  if (loop.is_over) throw Failure{"a loop that is not over", "one that is"};
  ListBuilder now(budget, Shape::tuple);
  for (const Value& value : given) now.add(value);
  Value told = now.take();
  if (loop.last_changed && equal(*loop.last_changed, told, budget)) return false;
  loop.last_changed = std::move(told);
  return true;
}

Value cycler_method(Cycler& cycler, const std::string& name, const Arguments& arguments) {
  arguments.check(name, {});
  if (name == "reset") {
    cycler.at = 0;
    return None();
  }
  Value now = cycler.items.items[cycler.at];
  cycler.at = (cycler.at + 1) % cycler.items.items.size();
  return now;
}

}  // namespace

bool has_method(const Value& value, std::string_view name) {
  if (value.text() != nullptr) return has_text_method(name);
  if (value.dict() != nullptr) return std::ranges::find(kDictMethods, name) != kDictMethods.end();
  if (const List* list = value.list())
    return list->has_indices() && std::ranges::find(kListMethods, name) != kListMethods.end() &&
           (name != "copy" || list->shape == Shape::list);
  return value.object() != nullptr && value.object()->has_method(name);
}

Value call_method(const Value& value, const std::string& name, const Arguments& arguments, Budget& budget) {
  if (value.text() != nullptr) return call_text_method(value, name, arguments, budget);
  if (value.dict() != nullptr) return dict_method(value, name, arguments, budget);
  if (value.list() != nullptr) return list_method(value, name, arguments, budget);
  if (auto* loop = value.object_as<Loop>()) return loop_method(*loop, name, arguments, budget);
  return cycler_method(*value.object_as<Cycler>(), name, arguments);
}

}  // namespace qad::jinja
