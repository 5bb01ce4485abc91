#include "data/jinja/value.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/jinja/failure.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

constexpr int kDeepest = 100;  ///< of nested lists and dicts

double as_double(const Value& value) {
  if (const auto* number = value.as<double>()) return *number;
  if (const auto* truth = value.as<bool>()) return *truth ? 1 : 0;
  return static_cast<double>(*value.as<std::int64_t>());
}

void append_json(const Value& value, std::int64_t indent, int depth, std::string& out) {
  if (depth > kDeepest) throw Failure{"values nested at most 100 deep", "more"};
  const auto line = [&](int at) {
    if (indent >= 0) out.append(1, '\n').append(static_cast<std::size_t>(indent) * static_cast<std::size_t>(at), ' ');
  };
  bool first = true;
  const auto next = [&] {
    if (!first) out += indent >= 0 ? "," : ", ";
    first = false;
    line(depth + 1);
  };
  if (const List* list = value.list(); list != nullptr && list->shape <= Shape::tuple) {
    out += '[';
    for (const Value& entry : *list) {
      next();
      append_json(entry, indent, depth + 1, out);
    }
    if (!first) line(depth);
    out += ']';
  } else if (const Dict* dict = value.dict(); dict != nullptr && !dict->is_namespace) {
    out += '{';
    for (const auto& [key, entry] : dict->items) {
      next();
      out += json_quoted(key) + ": ";
      append_json(entry, indent, depth + 1, out);
    }
    if (!first) line(depth);
    out += '}';
  } else if (const auto* text = value.as<std::string>()) {
    out += json_quoted(*text);
  } else if (value.is<None>()) {
    out += "null";
  } else if (const auto* truth = value.as<bool>()) {
    out += *truth ? "true" : "false";
  } else if (value.is_number()) {
    out += value.text();
  } else {
    throw Failure{"a value that JSON has", value.type()};
  }
}

}  // namespace

List shaped(Shape shape, List list) {
  list.shape = shape;
  return list;
}

Value::Value(List list) : data_(std::make_shared<const List>(std::move(list))) {}
Value::Value(Dict dict) : data_(std::make_shared<Dict>(std::move(dict))) {}

const List* Value::list() const {
  const auto* shared = as<std::shared_ptr<const List>>();
  return shared != nullptr ? shared->get() : nullptr;
}

Dict* Value::dict() const {
  const auto* shared = as<std::shared_ptr<Dict>>();
  return shared != nullptr ? shared->get() : nullptr;
}

const std::int64_t* Value::integer() const {
  static constexpr std::int64_t kTruths[] = {0, 1};
  if (const auto* truth = as<bool>()) return &kTruths[*truth ? 1 : 0];
  return as<std::int64_t>();
}

bool Value::truth() const {
  if (is<Undefined>() || is<None>()) return false;
  if (is_number()) return as_double(*this) != 0;
  if (const auto* text = as<std::string>()) return !text->empty();
  if (const List* entries = list()) return !entries->empty() || entries->shape == Shape::generator;
  if (const Dict* entries = dict()) return entries->is_namespace || !entries->items.empty();
  return true;
}

std::string Value::text() const {
  if (const auto* text = as<std::string>()) return *text;
  if (is<Undefined>()) return "";
  return repr();
}

std::string Value::repr() const {
  if (is<None>()) return "None";
  if (is<Undefined>()) return "Undefined";
  if (const auto* text = as<std::string>()) return python_quoted(*text);
  if (const auto* truth = as<bool>()) return *truth ? "True" : "False";
  if (const auto* number = as<std::int64_t>()) return std::to_string(*number);
  if (const auto* number = as<double>()) return shortest(*number);
  std::string out;
  if (const List* entries = list(); entries != nullptr && entries->shape <= Shape::tuple) {
    for (const Value& entry : *entries) out += (out.empty() ? "" : ", ") + entry.repr();
    if (entries->shape == Shape::list) return '[' + out + ']';
    return '(' + out + (entries->size() == 1 ? ",)" : ")");
  }
  if (const Dict* entries = dict(); entries != nullptr && !entries->is_namespace) {
    for (const auto& [key, entry] : entries->items)
      out += (out.empty() ? "" : ", ") + python_quoted(key) + ": " + entry.repr();
    return '{' + out + '}';
  }
  throw Failure{"a value that can be printed", type()};
}

std::string Value::type() const {
  if (is<Undefined>()) return "undefined";
  if (is<None>()) return "None";
  if (is<bool>()) return "bool";
  if (is<std::int64_t>()) return "int";
  if (is<double>()) return "float";
  if (is<std::string>()) return "str";
  if (is<Function>()) return "function";
  if (const List* entries = list()) {
    static constexpr const char* kNames[] = {"list", "tuple", "dict view", "generator"};
    return kNames[static_cast<int>(entries->shape)];
  }
  return dict()->is_namespace ? "namespace" : "dict";
}

bool operator==(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    const auto *left = a.integer(), *right = b.integer();
    return left != nullptr && right != nullptr ? *left == *right : as_double(a) == as_double(b);
  }
  if (a.data_.index() != b.data_.index()) return false;
  if (const auto* text = a.as<std::string>()) return *text == *b.as<std::string>();
  if (const List* list = a.list())
    return list->shape == b.list()->shape && std::equal(list->begin(), list->end(), b.list()->begin(), b.list()->end());
  if (const Dict* left = a.dict()) {
    const Dict* right = b.dict();
    return left == right || (left->items.size() == right->items.size() && !left->is_namespace &&
                             std::all_of(left->items.begin(), left->items.end(), [&](const auto& entry) {
                               const Value* other = right->find(entry.first);
                               return other != nullptr && *other == entry.second;
                             }));
  }
  if (const auto* function = a.as<Function>()) return function->name == b.as<Function>()->name;
  return true;
}

const Value* Dict::find(std::string_view key) const {
  const auto found = std::find_if(items.begin(), items.end(), [&](const auto& entry) { return entry.first == key; });
  return found == items.end() ? nullptr : &found->second;
}

void Dict::set(std::string_view key, Value value) {
  const auto found = std::find_if(items.begin(), items.end(), [&](const auto& entry) { return entry.first == key; });
  if (found != items.end()) found->second = std::move(value);
  else items.emplace_back(key, std::move(value));
}

Value from_json(const nlohmann::ordered_json& json) {
  if (json.is_null()) return None();
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) return json.get<double>();
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_array()) {
    List list;
    for (const auto& entry : json) list.push_back(from_json(entry));
    return list;
  }
  Dict dict;
  for (const auto& [key, entry] : json.items()) dict.items.emplace_back(key, from_json(entry));
  return dict;
}

std::string to_json(const Value& value, std::int64_t indent) {
  std::string out;
  append_json(value, std::min<std::int64_t>(indent, 80), 0, out);
  return out;
}

}  // namespace qad::jinja
