// What a template's expressions evaluate to: Python's values as far as templates meet them. Lists and dicts are shared,
// as in Python, and nothing but a namespace ever changes.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace qad::jinja {

/// A name, key or attribute that is not there; `why` is what an operation on it complains of.
struct Undefined {
  std::string why;
};
struct None {};
/// A function of the environment, known by its name.
struct Function {
  std::string name;
};

struct List;
struct Dict;

class Value {
 public:
  using Data = std::variant<Undefined, None, bool, std::int64_t, double, std::string, std::shared_ptr<const List>,
                            std::shared_ptr<Dict>, Function>;

  Value(None none = {}) : data_(none) {}
  Value(Undefined undefined) : data_(std::move(undefined)) {}
  template <std::same_as<bool> T>  // pointers are no truths
  Value(T truth) : data_(truth) {}
  Value(std::int64_t number) : data_(number) {}
  Value(double number) : data_(number) {}
  Value(std::string text) : data_(std::move(text)) {}
  Value(std::string_view text) : data_(std::string(text)) {}
  Value(const char* text) : data_(std::string(text)) {}
  Value(List list);
  Value(Dict dict);
  Value(Function function) : data_(std::move(function)) {}

  /// Null where the value is of another kind.
  template <class T>
  [[nodiscard]] const T* as() const {
    return std::get_if<T>(&data_);
  }
  template <class T>
  [[nodiscard]] bool is() const {
    return std::holds_alternative<T>(data_);
  }
  [[nodiscard]] const List* list() const;
  [[nodiscard]] Dict* dict() const;
  /// An integer or a truth, which Python counts among them.
  [[nodiscard]] const std::int64_t* integer() const;
  [[nodiscard]] bool is_number() const { return is<std::int64_t>() || is<double>() || is<bool>(); }

  [[nodiscard]] bool truth() const;
  /// What {{ }} prints: str() of Python; nothing for what is undefined.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::string repr() const;
  /// Python's name of the type.
  [[nodiscard]] std::string type() const;
  friend bool operator==(const Value& a, const Value& b);

 private:
  Data data_;
};

enum class Shape {
  list,
  tuple,
  view,       ///< a dict's keys, values or items: has a length, but no indices
  generator,  ///< what map and select give: true even if empty, without length and indices
};

struct List : std::vector<Value> {
  using std::vector<Value>::vector;
  Shape shape = Shape::list;
};
[[nodiscard]] List shaped(Shape shape, List list);

/// In the order of its making, as in Python. Keys are strings.
struct Dict {
  std::vector<std::pair<std::string, Value>> items;
  bool is_namespace = false;

  [[nodiscard]] const Value* find(std::string_view key) const;
  void set(std::string_view key, Value value);
};

[[nodiscard]] Value from_json(const nlohmann::ordered_json& json);
/// json.dumps(value, ensure_ascii=False, indent=indent); an indent below 0 is none.
[[nodiscard]] std::string to_json(const Value& value, std::int64_t indent);

/// What a loop goes through, as a list, or Failure: a list's items, a dict's keys, a string's characters, nothing of
/// the undefined.
[[nodiscard]] List items_of(const Value& value);
[[nodiscard]] std::int64_t length_of(const Value& value);
/// `needle in haystack`.
[[nodiscard]] bool contains(const Value& haystack, const Value& needle);
/// value[key] and value.key: undefined where there is no such thing, Failure for what is itself undefined.
[[nodiscard]] Value item(const Value& value, const Value& key);
[[nodiscard]] Value attribute(const Value& value, const std::string& name);
/// value[start:stop:step]; None leaves a bound out.
[[nodiscard]] Value slice(const Value& value, const Value& start, const Value& stop, const Value& step);
/// The operators + - * / // % and the comparisons < <= > >=, with Python's types.
[[nodiscard]] Value arithmetic(std::string_view op, const Value& left, const Value& right);
[[nodiscard]] bool less(const Value& left, const Value& right, bool or_equal);

}  // namespace qad::jinja
