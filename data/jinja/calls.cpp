// Calls: of functions and methods, of macros, of loops that call themselves.
#include <fmt/format.h>

#include <algorithm>

#include "data/jinja/functions.h"
#include "data/jinja/interpreter.h"
#include "data/jinja/methods.h"
#include "data/jinja/sequences.h"

namespace qad::jinja {

Arguments Interpreter::arguments(const Expr& expr) {
  Arguments all;
  for (const Argument& argument : expr.arguments) {
    Value value = evaluate(*argument.value);
    if (argument.spread == Spread::list) {
      const Items items = items_of(value, budget_);
      budget_.make(2 * sizeof(Value) * items.all.size());
      all.in_order.insert(all.in_order.end(), items.all.begin(), items.all.end());
    } else if (argument.spread == Spread::dict) {
      if (value.dict() == nullptr) throw Failure{"a dict behind **", value.type()};
      for (const auto& [key, entry] : value.dict()->entries()) {
        budget_.make(128);
        if (key.bytes() == nullptr) throw Failure{"text as a name of an argument", key.type()};
        all.named.emplace_back(*key.bytes(), entry);
      }
    } else if (!argument.name.empty()) {
      all.named.emplace_back(argument.name, std::move(value));
    } else {
      all.in_order.push_back(std::move(value));
    }
  }
  return all;
}

Value Interpreter::call(const Expr& expr, const Value* caller) {
  const Expr& callee = *expr.parts[0];
  const auto given = [&] {
    Arguments all = arguments(expr);
    if (caller != nullptr) all.named.emplace_back("caller", *caller);
    return all;
  };
  if (callee.kind == ExprKind::attribute) {
    const Value receiver = part(callee, 0);
    if (has_method(receiver, callee.text)) return call_method(receiver, callee.text, given(), budget_);
    return call_value(attribute(receiver, callee.text, budget_), given());
  }
  const Value function = evaluate(callee);
  if (const auto* undefined = function.as<Undefined>(); undefined != nullptr && callee.kind == ExprKind::name)
    throw Failure{"a function among " + function_names(), *undefined->why, kPart};
  return call_value(function, given());
}

Value Interpreter::call_value(const Value& callee, const Arguments& arguments) {
  if (const auto* undefined = callee.as<Undefined>()) throw Failure{"", *undefined->why, kPart};
  if (const auto* function = callee.object_as<Function>()) {
    Value result = call_function(function->name(), arguments, environment_.date, budget_);
    if (result.object_as<Namespace>() != nullptr) namespaces_.push_back(result);
    return result;
  }
  if (const auto* method = callee.object_as<Method>())
    return call_method(method->receiver(), method->name(), arguments, budget_);
  if (const auto* macro = callee.object_as<Macro>()) return call_macro(*macro, arguments);
  if (const auto* loop = callee.object_as<Loop>()) return call_loop(*loop, arguments);
  if (auto* joiner = callee.object_as<Joiner>()) {
    arguments.check("joiner", {});
    return std::exchange(joiner->used, true) ? joiner->separator : Value("");
  }
  throw Failure{"a function", callee.type()};
}

Value Interpreter::make_macro(const Statement& statement) {
  keep(scope_);
  budget_.make(sizeof(Macro) + 64);
  return Value(std::make_shared<Macro>(statement, scope_));
}

void Interpreter::keep(const ScopePointer& scope) {
  for (ScopePointer each = scope; each != nullptr && !each->kept; each = each->parent) {
    each->kept = true;
    budget_.make(1024);  // with a few names
    kept_.push_back(each);
  }
}

Value Interpreter::call_macro(const Macro& macro, const Arguments& arguments) {
  const Deeper deeper(*this);
  outputs_.emplace_back();
  auto names = std::make_shared<Scope>();
  names->parent = macro.scope();
  const InScope scope(*this, std::move(names));
  bind(macro, arguments);
  static_cast<void>(run_block(macro.definition().body));
  std::string text = std::move(outputs_.back());
  outputs_.pop_back();
  budget_.make(64);
  return text;
}

// Sets a macro's parameters; what is left of the arguments is `varargs`, `kwargs` and `caller`, if the body reads
// them.
void Interpreter::bind(const Macro& macro, const Arguments& arguments) {
  const Statement& definition = macro.definition();
  const auto refuse = [&](const std::string& got) {
    throw Failure{fmt::format("arguments that the macro '{}' takes", definition.text), got};
  };
  std::map<std::string, Value, std::less<>>& names = scope_->names;
  std::vector<std::pair<std::string, Value>> named = arguments.named;
  const auto take = [&](std::string_view name) -> std::optional<Value> {
    budget_.work(named.size());
    const auto found = std::ranges::find(named, name, [](const auto& entry) { return std::string_view(entry.first); });
    if (found == named.end()) return std::nullopt;
    Value value = std::move(found->second);
    named.erase(found);
    return value;
  };
  const std::size_t count = definition.parameters.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::string& name = definition.parameters[i].name;
    if (i < arguments.in_order.size()) names.insert_or_assign(name, arguments.in_order[i]);
    else if (std::optional<Value> value = take(name)) names.insert_or_assign(name, std::move(*value));
  }
  if (definition.reads_caller) {
    std::optional<Value> caller = take("caller");
    names.insert_or_assign("caller", caller ? std::move(*caller) : Value(Undefined("No caller defined")));
  }
  for (const Parameter& parameter : definition.parameters) {
    if (names.contains(parameter.name)) continue;
    Value value = Undefined(fmt::format("parameter '{}' was not provided", parameter.name));
    if (parameter.otherwise != nullptr) value = evaluate(*parameter.otherwise);
    names.insert_or_assign(parameter.name, std::move(value));
  }
  if (definition.reads_kwargs) {
    Dict rest;
    for (const auto& [name, value] : named) add_entry(rest, name, value, budget_);
    names.insert_or_assign("kwargs", std::move(rest));
  } else if (!named.empty()) {
    refuse('\'' + named[0].first + '\'');
  }
  if (definition.reads_varargs) {
    ListBuilder rest(budget_, Shape::tuple);
    for (std::size_t i = count; i < arguments.in_order.size(); ++i) rest.add(arguments.in_order[i]);
    names.insert_or_assign("varargs", rest.take());
  } else if (arguments.in_order.size() > count) {
    refuse(std::to_string(arguments.in_order.size()));
  }
}

Value Interpreter::call_loop(const Loop& loop, const Arguments& arguments) {
  arguments.check("loop", {"iterable"}, 1);
  if (loop.recursive == nullptr) throw Failure{"a loop with the word 'recursive' to call", "one without"};
  Items items = items_of(*arguments.find(0, "iterable"), budget_);
  outputs_.emplace_back();
  const Statement& statement = *loop.recursive;
  const int depth0 = loop.depth0 + 1;
  {
    const InScope scope(*this, loop.scope);
    static_cast<void>(loop_over(statement, std::move(items), depth0));
  }
  std::string text = std::move(outputs_.back());
  outputs_.pop_back();
  budget_.make(64);
  return text;
}

}  // namespace qad::jinja
