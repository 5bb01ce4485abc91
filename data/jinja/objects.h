// Values that change or can be called. Each may hold others and be held by them, so whoever runs the template keeps the
// namespaces, and the scopes that macros see, and clears them in the end (Evaluator).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "data/jinja/sequences.h"
#include "data/jinja/syntax.h"
#include "data/jinja/value.h"

namespace qad::jinja {

struct Scope {
  std::map<std::string, Value, std::less<>> names;
  std::shared_ptr<Scope> parent;
  bool kept = false;  ///< by the evaluator, for a macro or a loop that calls itself
};
using ScopePointer = std::shared_ptr<Scope>;

class Namespace final : public Object {
 public:
  explicit Namespace(Dict dict) : attributes(std::move(dict)) {}
  [[nodiscard]] std::string_view type() const override { return "namespace"; }
  [[nodiscard]] Value attribute(std::string_view name) const override;

  Dict attributes;
};
/// Throws Failure for a name that a namespace may not have: one that begins with _, as in transformers.
void check_attribute(const Value& name);

/// `loop`: where a loop is.
class Loop final : public Object {
 public:
  Loop(Items items, int depth0, const Statement* recursive, ScopePointer scope);
  [[nodiscard]] std::string_view type() const override { return "loop"; }
  [[nodiscard]] bool callable() const override { return recursive != nullptr; }
  [[nodiscard]] Value attribute(std::string_view name) const override;
  [[nodiscard]] bool has_method(std::string_view name) const override { return name == "cycle" || name == "changed"; }

  Items items;
  std::size_t index0 = 0;
  int depth0;
  const Statement* recursive;         ///< null if it doesn't call itself
  ScopePointer scope;                 ///< around it, if it calls itself
  std::optional<Value> last_changed;  ///< what `changed` was last told; none once the loop is over
  bool is_over = false;
};

class Cycler final : public Object {
 public:
  explicit Cycler(List list) : Object(one_deeper(list.depth)), items(std::move(list)) {}
  [[nodiscard]] std::string_view type() const override { return "cycler"; }
  [[nodiscard]] Value attribute(std::string_view name) const override;
  [[nodiscard]] bool has_method(std::string_view name) const override { return name == "next" || name == "reset"; }

  List items;
  std::size_t at = 0;
};

class Joiner final : public Object {
 public:
  explicit Joiner(Value value) : Object(one_deeper(value.depth())), separator(std::move(value)) {}
  [[nodiscard]] std::string_view type() const override { return "joiner"; }
  [[nodiscard]] bool callable() const override { return true; }

  Value separator;
  bool used = false;
};

/// A function of the environment, known by its name.
class Function final : public Object {
 public:
  explicit Function(std::string name) : name_(std::move(name)) {}
  [[nodiscard]] std::string_view type() const override { return "function"; }
  [[nodiscard]] bool callable() const override { return true; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
};

/// A method that was asked for without being called.
class Method final : public Object {
 public:
  Method(Value value, std::string name)
      : Object(one_deeper(value.depth())), receiver_(std::move(value)), name_(std::move(name)) {}
  [[nodiscard]] std::string_view type() const override { return "method"; }
  [[nodiscard]] bool callable() const override { return true; }
  [[nodiscard]] const Value& receiver() const { return receiver_; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  Value receiver_;
  std::string name_;
};

/// A macro, or the body of a call block, which is `caller` in what it calls.
class Macro final : public Object {
 public:
  Macro(const Statement& definition, ScopePointer scope) : definition_(definition), scope_(std::move(scope)) {}
  [[nodiscard]] std::string_view type() const override { return "macro"; }
  [[nodiscard]] bool callable() const override { return true; }
  [[nodiscard]] Value attribute(std::string_view name) const override;
  [[nodiscard]] const Statement& definition() const { return definition_; }
  [[nodiscard]] const ScopePointer& scope() const { return scope_; }

 private:
  const Statement& definition_;
  ScopePointer scope_;
};

}  // namespace qad::jinja
