// What a template's expressions evaluate to: Python's values as far as templates meet them. Texts, lists and dicts are
// shared, as in Python, and never change once they are made; what does change is an Object.
//
// A list or dict knows how deep it nests, and none may nest deeper than kDeepest: whatever goes through values, down to
// their destructors, may recurse.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "data/jinja/budget.h"

namespace qad::jinja {

inline constexpr int kDeepest = 200;  ///< lists and dicts in each other; JSON may nest 64 deep

/// A name, key or attribute that is not there; `why` is what an operation on it complains of.
struct Undefined {
  explicit Undefined(std::string reason) : why(std::make_shared<const std::string>(std::move(reason))) {}
  std::shared_ptr<const std::string> why;
};
struct None {};
/// An integer beyond 64 bits: its decimal digits, behind a minus if it is negative.
struct BigInteger {
  std::shared_ptr<const std::string> digits;
};
struct Text {
  std::string bytes;           ///< UTF-8
  std::size_t characters = 0;  ///< code points
  bool safe = false;           ///< `| safe`: what is added to it with + is escaped for HTML, as in Jinja
};
struct List;
class Dict;
class Object;

class Value {
 public:
  Value(None none = {}) : data_(none) {}
  Value(Undefined undefined) : data_(std::move(undefined)) {}
  template <std::same_as<bool> T>  // pointers are no truths
  Value(T truth) : data_(truth) {}
  Value(std::int64_t number) : data_(number) {}
  Value(double number) : data_(number) {}
  Value(BigInteger number) : data_(std::move(number)) {}
  /// Whoever makes text, lists or dicts has the budget charged for them; Writer and ListBuilder do it as they grow.
  Value(std::string text, bool safe = false);
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(List list);
  Value(Dict dict);
  Value(std::shared_ptr<const List> list) : data_(std::move(list)) {}
  Value(std::shared_ptr<Object> object) : data_(std::move(object)) {}

  /// Null where the value is of another kind.
  template <class T>
  [[nodiscard]] const T* as() const {
    return std::get_if<T>(&data_);
  }
  template <class T>
  [[nodiscard]] bool is() const {
    return std::holds_alternative<T>(data_);
  }
  [[nodiscard]] const Text* text() const;
  [[nodiscard]] const std::string* bytes() const;  ///< of a text
  [[nodiscard]] const List* list() const;
  [[nodiscard]] const std::shared_ptr<const List>* shared_list() const { return as<std::shared_ptr<const List>>(); }
  [[nodiscard]] const Dict* dict() const;
  [[nodiscard]] Object* object() const;
  template <class T>
  [[nodiscard]] T* object_as() const {
    return dynamic_cast<T*>(object());
  }
  /// An integer within 64 bits or a truth, which Python counts among them.
  [[nodiscard]] const std::int64_t* integer() const;
  [[nodiscard]] bool is_integer() const { return integer() != nullptr || is<BigInteger>(); }
  [[nodiscard]] bool is_number() const { return is_integer() || is<double>(); }

  [[nodiscard]] bool truth() const;
  /// Python's name of the type.
  [[nodiscard]] std::string type() const;
  /// 0 for what holds no other values.
  [[nodiscard]] int depth() const;
  /// Whether both are one and the same object.
  [[nodiscard]] bool is_same(const Value& other) const;

 private:
  std::variant<Undefined, None, bool, std::int64_t, double, BigInteger, std::shared_ptr<const Text>,
               std::shared_ptr<const List>, std::shared_ptr<const Dict>, std::shared_ptr<Object>>
      data_;
};

enum class Shape {
  list,
  tuple,
  range,
  keys,  ///< views of a dict: have a length, but no indices
  values,
  items,
  generator,  ///< what map and select give: true even if empty, without length and indices, gone through once
};

struct List {
  std::vector<Value> items;
  Shape shape = Shape::list;
  int depth = 1;
  std::array<std::int64_t, 3> bounds{};  ///< of a range: start, stop, step
  mutable std::size_t taken = 0;         ///< how many items of a generator are gone
  bool is_group = false;                 ///< a tuple of `groupby`: its two parts have names

  /// Throws Failure if it would nest too deep.
  void add(Value value);
  [[nodiscard]] bool has_indices() const { return shape <= Shape::range; }
};

/// In the order of its making, as in Python.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;

  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] const Value* find(std::string_view key) const;
  /// Throws Failure for what Python can't look up, such as a list.
  [[nodiscard]] const Value* find_key(const Value& key) const;
  /// Throws Failure for such a key, and if it would nest too deep.
  void set(const Value& key, Value value);
  [[nodiscard]] int depth() const { return depth_; }

 private:
  std::vector<Entry> entries_;
  std::map<std::string, std::size_t> index_;  ///< of a large dict: key_name and place
  int depth_ = 1;
};

/// What changes or can be called: a namespace, a loop, a macro (data/jinja/objects.h).
class Object {
 public:
  explicit Object(int depth = 1) : depth_(depth) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  [[nodiscard]] virtual std::string_view type() const = 0;
  [[nodiscard]] virtual bool callable() const { return false; }
  /// Undefined without one.
  [[nodiscard]] virtual Value attribute(std::string_view name) const;
  [[nodiscard]] virtual bool has_method(std::string_view) const { return false; }
  [[nodiscard]] int depth() const { return depth_; }

 private:
  int depth_;
};

/// A key as bytes that are equal for keys that Python takes for equal. Throws Failure for what it can't look up.
[[nodiscard]] std::string key_name(const Value& key);
/// The depth of what holds a value as deep as this; Failure beyond kDeepest.
[[nodiscard]] int one_deeper(int depth);

/// Text that grows at the budget's cost.
class Writer {
 public:
  Writer(std::string& text, Budget& budget) : text_(text), budget_(budget) {}
  void add(std::string_view more) {
    budget_.make(more.size());
    text_.append(more);
  }
  void add(std::size_t count, char c) {
    budget_.make(count);
    text_.append(count, c);
  }
  [[nodiscard]] std::string& text() { return text_; }
  [[nodiscard]] Budget& budget() { return budget_; }

 private:
  std::string& text_;
  Budget& budget_;
};

/// A list that grows at the budget's cost.
class ListBuilder {
 public:
  explicit ListBuilder(Budget& budget, Shape shape = Shape::list) : budget_(&budget) { list_.shape = shape; }
  void add(Value value) {
    budget_->work();
    budget_->make(2 * sizeof(Value));  // vectors grow by doubling
    list_.add(std::move(value));
  }
  /// A text of its own.
  void add_text(std::string_view text, bool safe = false);
  [[nodiscard]] std::size_t size() const { return list_.items.size(); }
  [[nodiscard]] List take() { return std::move(list_); }

 private:
  Budget* budget_;
  List list_;
};

/// A text of its own, charged for.
[[nodiscard]] Value make_text(std::string_view text, Budget& budget, bool safe = false);
/// Sets an entry of a dict that is being made, charged for.
void add_entry(Dict& dict, const Value& key, Value value, Budget& budget);

}  // namespace qad::jinja
