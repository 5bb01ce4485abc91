#include "data/jinja/evaluator.h"

#include <fmt/format.h>

#include <map>
#include <optional>

#include "autograd/core/error.h"
#include "data/jinja/builtins.h"
#include "data/jinja/failure.h"
#include "data/jinja/functions.h"

namespace qad::jinja {
namespace {

enum class Flow { on, leave_loop, next_turn };

class Evaluator {
 public:
  explicit Evaluator(const Environment& environment) : environment_(environment), scopes_(1) {
    for (const auto& [name, value] : environment.variables.items) scopes_[0].insert_or_assign(name, value);
  }

  ~Evaluator() {  // one that was set within itself would never go
    for (const Value& space : namespaces_) space.dict()->items.clear();
  }
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  Rendering run(const Block& program) {
    static_cast<void>(run_block(program));
    return {std::move(outputs_.front()), std::move(spans_)};
  }

 private:
  using Scope = std::map<std::string, Value, std::less<>>;

  [[noreturn]] void fail(int line, const Failure& failure) const {
    throw Error({fmt::format("{}:{}", environment_.who, line), failure.expected, failure.got, failure.hint});
  }

  void count_steps(std::size_t steps = 1) {
    steps_ += static_cast<std::int64_t>(steps);
    if (steps_ > environment_.most_steps)
      throw Failure{"a template that comes to an end", fmt::format("{} steps of it", environment_.most_steps)};
  }

  static std::size_t weight(const Value& value) {
    if (const List* list = value.list()) return 1 + list->size() / 16;
    const auto* text = value.as<std::string>();
    return text != nullptr ? 1 + text->size() / 1024 : 1;
  }

  // ---- statements

  Flow run_block(const Block& block) {
    for (const Statement& statement : block)
      if (const Flow flow = run_one(statement); flow != Flow::on) return flow;
    return Flow::on;
  }

  Flow run_one(const Statement& statement) {
    try {
      count_steps();
      switch (statement.kind) {
        case StatementKind::text: outputs_.back() += statement.text; break;
        case StatementKind::output: outputs_.back() += evaluate(*statement.value).text(); break;
        case StatementKind::branch:
          return run_block(evaluate(*statement.value).truth() ? statement.body : statement.otherwise);
        case StatementKind::loop: return loop(statement);
        case StatementKind::assign: assign(statement.targets, evaluate(*statement.value)); break;
        case StatementKind::assign_in: assign_in(statement); break;
        case StatementKind::capture: capture(statement); break;
        case StatementKind::generation: return generation(statement);
        case StatementKind::leave_loop: return Flow::leave_loop;
        case StatementKind::next_turn: return Flow::next_turn;
      }
    } catch (const Failure& failure) {
      fail(statement.line, failure);
    }
    return Flow::on;
  }

  void assign(const std::vector<std::string>& targets, Value value) {
    if (targets.size() == 1) {
      scopes_.back().insert_or_assign(targets[0], std::move(value));
      return;
    }
    const List parts = items_of(value);
    if (parts.size() != targets.size())
      throw Failure{fmt::format("{} values for {} names", targets.size(), targets.size()),
                    std::to_string(parts.size())};
    for (std::size_t i = 0; i < parts.size(); ++i) scopes_.back().insert_or_assign(targets[i], parts[i]);
  }

  void assign_in(const Statement& statement) {
    const Value target = lookup(statement.targets[0]);
    Dict* dict = target.dict();
    if (dict == nullptr || !dict->is_namespace)
      throw Failure{"a namespace() whose attribute is set",
                    fmt::format("'{}', {}", statement.targets[0], target.type())};
    dict->set(statement.text, evaluate(*statement.value));
  }

  void capture(const Statement& statement) {
    outputs_.emplace_back();
    scopes_.emplace_back();
    static_cast<void>(run_block(statement.body));
    scopes_.pop_back();
    std::string text = std::move(outputs_.back());
    outputs_.pop_back();
    assign(statement.targets, std::move(text));
  }

  Flow generation(const Statement& statement) {
    const std::size_t begin = outputs_.back().size();
    scopes_.emplace_back();
    const Flow flow = run_block(statement.body);
    scopes_.pop_back();
    add_span(begin, nullptr);
    return flow;
  }

  /// What is captured has no place of its own in the text.
  void add_span(std::size_t begin, const Dict* item) {
    if (outputs_.size() == 1) spans_.push_back({begin, outputs_.back().size(), item});
  }

  // A turn has its own scope: what it sets is gone after it.
  Flow loop(const Statement& statement) {
    List items = items_of(evaluate(*statement.value));
    if (statement.condition != nullptr) {
      List kept;
      for (Value& item : items) {
        scopes_.emplace_back();
        assign(statement.targets, item);
        if (evaluate(*statement.condition).truth()) kept.push_back(std::move(item));
        scopes_.pop_back();
      }
      items = std::move(kept);
    }
    if (items.empty()) {
      scopes_.emplace_back();
      const Flow flow = run_block(statement.otherwise);
      scopes_.pop_back();
      return flow;
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
      count_steps();
      scopes_.emplace_back();
      assign(statement.targets, items[i]);
      scopes_.back().insert_or_assign("loop", loop_variable(items, i));
      const std::size_t begin = outputs_.back().size();
      const Flow flow = run_block(statement.body);
      if (const Dict* item = items[i].dict()) add_span(begin, item);
      scopes_.pop_back();
      if (flow == Flow::leave_loop) break;
    }
    return Flow::on;
  }

  static Value loop_variable(const List& items, std::size_t i) {
    const auto at = static_cast<std::int64_t>(i), size = static_cast<std::int64_t>(items.size());
    Dict loop;
    loop.items = {{"index", at + 1},
                  {"index0", at},
                  {"revindex", size - at},
                  {"revindex0", size - at - 1},
                  {"first", at == 0},
                  {"last", at + 1 == size},
                  {"length", size},
                  {"depth", std::int64_t{1}},
                  {"depth0", std::int64_t{0}},
                  {"previtem", i > 0 ? items[i - 1] : Value(Undefined{"there is no previous item"})},
                  {"nextitem", i + 1 < items.size() ? items[i + 1] : Value(Undefined{"there is no next item"})}};
    loop.is_namespace = true;  // neither printed nor gone through
    return loop;
  }

  // ---- expressions

  Value lookup(const std::string& name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
      if (const auto found = scope->find(name); found != scope->end()) return found->second;
    if (is_function(name)) return Function{name};
    return Undefined{'\'' + name + "' is undefined"};
  }

  Value evaluate(const Expr& expr) {
    try {
      Value value = value_of(expr);
      count_steps(weight(value));
      return value;
    } catch (const Failure& failure) {
      fail(expr.line, failure);
    }
  }

  Value part(const Expr& expr, std::size_t i) { return evaluate(*expr.parts[i]); }

  Value value_of(const Expr& expr) {
    switch (expr.kind) {
      case ExprKind::literal: return expr.value;
      case ExprKind::name: return lookup(expr.text);
      case ExprKind::list: {
        List list;
        for (const ExprPtr& entry : expr.parts) list.push_back(evaluate(*entry));
        return shaped(expr.text == "tuple" ? Shape::tuple : Shape::list, std::move(list));
      }
      case ExprKind::dict: return dict(expr);
      case ExprKind::attribute: return attribute_of(part(expr, 0), expr.text);
      case ExprKind::item: {
        const Value value = part(expr, 0);
        return item(value, part(expr, 1));
      }
      case ExprKind::slice: {
        const Value value = part(expr, 0), start = part(expr, 1), stop = part(expr, 2);
        return slice(value, start, stop, part(expr, 3));
      }
      case ExprKind::call: return call(expr);
      case ExprKind::method: {
        const Value value = part(expr, 0);
        return call_method(value, expr.text, arguments(expr, 1));
      }
      case ExprKind::filter: {
        const Value value = part(expr, 0);
        return apply_filter(expr.text, value, arguments(expr, 1));
      }
      case ExprKind::test: {
        const Value value = part(expr, 0);
        return apply_test(expr.text, value, expr.parts.size() > 1 ? part(expr, 1) : Value());
      }
      case ExprKind::negative: return arithmetic("-", std::int64_t{0}, part(expr, 0));
      case ExprKind::logical_not: return !part(expr, 0).truth();
      case ExprKind::logical_and: {
        Value left = part(expr, 0);
        return left.truth() ? part(expr, 1) : left;
      }
      case ExprKind::logical_or: {
        Value left = part(expr, 0);
        return left.truth() ? left : part(expr, 1);
      }
      case ExprKind::arithmetic: {
        const Value left = part(expr, 0);
        return arithmetic(expr.text, left, part(expr, 1));
      }
      case ExprKind::concat: {
        std::string text;
        for (const ExprPtr& each : expr.parts) text += evaluate(*each).text();
        return text;
      }
      case ExprKind::comparison: return comparison(expr);
      case ExprKind::conditional:
        if (part(expr, 1).truth()) return part(expr, 0);
        return expr.parts.size() > 2 ? part(expr, 2) : Undefined{"the expression has no else"};
    }
    return {};
  }

  static Value attribute_of(const Value& value, const std::string& name) {
    if (has_method(value, name))
      throw Failure{fmt::format("a call of the method '{}'", name), "no brackets after it",
                    fmt::format("a key of this name is read with ['{}']", name)};
    return attribute(value, name);
  }

  Value dict(const Expr& expr) {
    Dict dict;
    for (std::size_t i = 0; i < expr.parts.size(); i += 2) {
      const Value key = part(expr, i);
      if (!key.is<std::string>()) throw Failure{"text as a key", key.type()};
      dict.set(*key.as<std::string>(), part(expr, i + 1));
    }
    return dict;
  }

  Arguments arguments(const Expr& expr, std::size_t from) {
    Arguments all;
    const std::size_t first_named = expr.parts.size() - expr.names.size();
    for (std::size_t i = from; i < first_named; ++i) all.in_order.push_back(part(expr, i));
    for (std::size_t i = 0; i < expr.names.size(); ++i)
      all.named.emplace_back(expr.names[i], part(expr, first_named + i));
    return all;
  }

  Value call(const Expr& expr) {
    const Value callee = lookup(expr.text);
    if (const auto* undefined = callee.as<Undefined>())
      throw Failure{"a function among " + function_names(), undefined->why, "qad knows a part of Jinja"};
    const auto* function = callee.as<Function>();
    if (function == nullptr) throw Failure{"a function", fmt::format("'{}', {}", expr.text, callee.type())};
    Value result = call_function(function->name, arguments(expr, 0), environment_.date);
    if (const Dict* dict = result.dict(); dict != nullptr && dict->is_namespace) namespaces_.push_back(result);
    return result;
  }

  Value comparison(const Expr& expr) {
    Value left = part(expr, 0);
    for (std::size_t i = 0; i < expr.names.size(); ++i) {
      Value right = part(expr, i + 1);
      if (!compare(expr.names[i], left, right)) return false;
      left = std::move(right);
    }
    return true;
  }

  static bool compare(const std::string& op, const Value& left, const Value& right) {
    if (op == "==") return left == right;
    if (op == "!=") return !(left == right);
    if (op == "in") return contains(right, left);
    if (op == "not in") return !contains(right, left);
    if (op == "<" || op == "<=") return less(left, right, op == "<=");
    return less(right, left, op == ">=");
  }

  const Environment& environment_;
  std::vector<Scope> scopes_;
  std::vector<std::string> outputs_{""};  ///< the last one is printed to; others wait below a captured one
  std::vector<Span> spans_;
  std::vector<Value> namespaces_;
  std::int64_t steps_ = 0;
};

}  // namespace

Rendering run_template(const Block& program, const Environment& environment) {
  return Evaluator(environment).run(program);
}

}  // namespace qad::jinja
