#include "data/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/jinja/failure.h"
#include "data/jinja/numbers.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

constexpr std::size_t kOverhead = 64;           // bytes that a text, list or dict takes without what it holds
constexpr std::size_t kEntry = 160;             // bytes that an entry of a dict takes, its place in the index included
constexpr std::size_t kSmall = 16;              // entries that are as well looked through
constexpr std::size_t kLongestTuple = 100'000;  // bytes of a tuple that is a key

void name_of(const Value& key, std::string& name) {
  if (const std::string* text = key.bytes()) {
    name.append("s").append(*text);
  } else if (key.is<None>()) {
    name += 'n';
  } else if (key.is<Undefined>()) {
    name += 'u';
  } else if (key.is_number()) {
    name.append("i").append(number_name(key));
  } else if (const List* list = key.list(); list != nullptr && list->shape == Shape::tuple) {
    name += '(';
    for (const Value& part : list->items) {
      std::string inner;
      name_of(part, inner);
      name.append(std::to_string(inner.size())).append(":").append(inner);
      if (name.size() > kLongestTuple) throw Failure{"a tuple that may be a key", "a very large one"};
    }
    name += ')';
  } else if (key.object() != nullptr) {
    name += fmt::format("o{}", static_cast<const void*>(key.object()));
  } else {
    throw Failure{"a key that can be looked up, such as text", key.type()};
  }
}

std::shared_ptr<const Text> shared_text(std::string text, bool safe) {
  const auto count = static_cast<std::size_t>(length(text));
  return std::make_shared<const Text>(Text{std::move(text), count, safe});
}

}  // namespace

std::string key_name(const Value& key) {
  std::string name;
  name_of(key, name);
  return name;
}

int one_deeper(int depth) {
  if (depth >= kDeepest) throw Failure{fmt::format("lists and dicts nested at most {} deep", kDeepest), "more"};
  return depth + 1;
}

void List::add(Value value) {
  depth = std::max(depth, one_deeper(value.depth()));
  items.push_back(std::move(value));
}

const Value* Dict::find(std::string_view key) const {
  if (!index_.empty()) {
    const auto found = index_.find("s" + std::string(key));
    return found == index_.end() ? nullptr : &entries_[found->second].second;
  }
  for (const auto& [name, value] : entries_)
    if (const std::string* text = name.bytes(); text != nullptr && *text == key) return &value;
  return nullptr;
}

const Value* Dict::find_key(const Value& key) const {
  if (const std::string* text = key.bytes()) return find(std::string_view(*text));
  const std::string name = key_name(key);
  if (!index_.empty()) {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &entries_[found->second].second;
  }
  for (const auto& [other, value] : entries_)
    if (other.bytes() == nullptr && key_name(other) == name) return &value;
  return nullptr;
}

void Dict::set(const Value& key, Value value) {
  depth_ = std::max(depth_, one_deeper(std::max(key.depth(), value.depth())));
  if (const Value* found = find_key(key)) {
    *const_cast<Value*>(found) = std::move(value);
    return;
  }
  entries_.emplace_back(key, std::move(value));
  if (entries_.size() <= kSmall) return;
  for (std::size_t i = index_.size(); i < entries_.size(); ++i) index_.emplace(key_name(entries_[i].first), i);
}

Value Object::attribute(std::string_view name) const {
  return Undefined(fmt::format("'{}' has no attribute '{}'", type(), name));
}

Value::Value(std::string text, bool safe) : data_(shared_text(std::move(text), safe)) {}
Value::Value(List list) : data_(std::make_shared<const List>(std::move(list))) {}
Value::Value(Dict dict) : data_(std::make_shared<const Dict>(std::move(dict))) {}

const Text* Value::text() const {
  const auto* shared = as<std::shared_ptr<const Text>>();
  return shared != nullptr ? shared->get() : nullptr;
}

const std::string* Value::bytes() const {
  const Text* text = this->text();
  return text != nullptr ? &text->bytes : nullptr;
}

const List* Value::list() const {
  const auto* shared = as<std::shared_ptr<const List>>();
  return shared != nullptr ? shared->get() : nullptr;
}

const Dict* Value::dict() const {
  const auto* shared = as<std::shared_ptr<const Dict>>();
  return shared != nullptr ? shared->get() : nullptr;
}

Object* Value::object() const {
  const auto* shared = as<std::shared_ptr<Object>>();
  return shared != nullptr ? shared->get() : nullptr;
}

const std::int64_t* Value::integer() const {
  static constexpr std::int64_t kTruths[] = {0, 1};
  if (const auto* truth = as<bool>()) return &kTruths[*truth ? 1 : 0];
  return as<std::int64_t>();
}

bool Value::truth() const {
  if (is<Undefined>() || is<None>()) return false;
  if (const std::int64_t* number = integer()) return *number != 0;
  if (const auto* number = as<double>()) return *number != 0;
  if (const std::string* text = bytes()) return !text->empty();
  if (const List* entries = list()) return !entries->items.empty() || entries->shape == Shape::generator;
  if (const Dict* entries = dict()) return entries->size() > 0;
  return true;
}

std::string Value::type() const {
  if (is<Undefined>()) return "undefined";
  if (is<None>()) return "None";
  if (is<bool>()) return "bool";
  if (is_integer()) return "int";
  if (is<double>()) return "float";
  if (text() != nullptr) return "str";
  if (dict() != nullptr) return "dict";
  if (const List* entries = list()) {
    static constexpr const char* kNames[] = {"list",        "tuple",      "range",    "dict_keys",
                                             "dict_values", "dict_items", "generator"};
    return kNames[static_cast<int>(entries->shape)];
  }
  return std::string(object()->type());
}

int Value::depth() const {
  if (const List* entries = list()) return entries->depth;
  if (const Dict* entries = dict()) return entries->depth();
  return object() != nullptr ? object()->depth() : 0;
}

bool Value::is_same(const Value& other) const {
  if (data_.index() != other.data_.index()) return false;
  if (is<None>()) return true;
  if (const auto* truth = as<bool>()) return *truth == *other.as<bool>();
  // Python keeps small integers once.
  if (const auto* number = as<std::int64_t>())
    return *number == *other.as<std::int64_t>() && *number >= -5 && *number <= 256;
  return (list() != nullptr && list() == other.list()) || (dict() != nullptr && dict() == other.dict()) ||
         (text() != nullptr && text() == other.text()) || (object() != nullptr && object() == other.object());
}

void ListBuilder::add_text(std::string_view text, bool safe) { add(make_text(text, *budget_, safe)); }

Value make_text(std::string_view text, Budget& budget, bool safe) {
  budget.make(text.size() + kOverhead);
  return Value(std::string(text), safe);
}

void add_entry(Dict& dict, const Value& key, Value value, Budget& budget) {
  const std::string* text = key.bytes();
  budget.work(2);
  budget.make(kEntry + (text != nullptr ? text->size() : 0));
  dict.set(key, std::move(value));
}

}  // namespace qad::jinja
