// Statements.
#include "data/jinja/evaluator.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/jinja/interpreter.h"
#include "data/jinja/printing.h"

namespace qad::jinja {
namespace {

// Of statements and expressions within each other, macros that call themselves included. Each takes up to 1 KiB of
// the stack, of which threads have 2 MiB at least.
constexpr int kDeepestRun = 1000;

ScopePointer scope_within(ScopePointer parent) {
  auto scope = std::make_shared<Scope>();
  scope->parent = std::move(parent);
  return scope;
}

void add_names(const Target& target, std::vector<std::string>& names) {
  if (target.parts.empty()) names.push_back(target.name);
  for (const Target& part : target.parts) add_names(part, names);
}

}  // namespace

Interpreter::Deeper::Deeper(Interpreter& interpreter) : interpreter_(interpreter) {
  if (++interpreter.depth_ > kDeepestRun) {
    --interpreter.depth_;
    throw Failure{fmt::format("tags, expressions and macros within each other at most {} deep", kDeepestRun), "more"};
  }
}

Interpreter::Interpreter(const Environment& environment)
    : environment_(environment), budget_(environment.limits), scope_(std::make_shared<Scope>()) {
  for (const auto& [name, value] : environment.variables.entries())
    if (name.bytes() != nullptr) scope_->names.insert_or_assign(*name.bytes(), value);
}

Interpreter::~Interpreter() {
  for (const ScopePointer& scope : kept_) scope->names.clear();
  for (const Value& space : namespaces_) space.object_as<Namespace>()->attributes = {};
}

Rendering Interpreter::run(const Block& program) {
  static_cast<void>(run_block(program));
  return {std::move(outputs_.front()), std::move(spans_)};
}

void Interpreter::fail(int line, const Failure& failure) const {
  const Problem problem{fmt::format("{}:{}", environment_.who, line), failure.expected, one_line(failure.got),
                        failure.hint};
  if (failure.is_end) throw Ended(problem, failure.code);
  throw Error(problem, failure.code);
}

Flow Interpreter::run_block(const Block& block) {
  const Deeper deeper(*this);
  for (const Statement& statement : block)
    if (const Flow flow = run_one(statement); flow != Flow::on) return flow;
  return Flow::on;
}

Flow Interpreter::run_one(const Statement& statement) {
  try {
    budget_.work();
    switch (statement.kind) {
      case StatementKind::text:
        Writer(outputs_.back(), budget_).add(statement.text);
        check_size();
        break;
      case StatementKind::output: print_out(evaluate(*statement.value)); break;
      case StatementKind::branch: return branch(statement);
      case StatementKind::loop: return loop(statement);
      case StatementKind::assign: assign(statement.targets[0], evaluate(*statement.value)); break;
      case StatementKind::capture:
      case StatementKind::filtered: return captured(statement);
      case StatementKind::scope: return with_scope(statement);
      case StatementKind::macro: scope_->names.insert_or_assign(statement.text, make_macro(statement)); break;
      case StatementKind::call_block: {
        const Value caller = make_macro(statement);
        print_out(call(*statement.value, &caller));
        break;
      }
      case StatementKind::generation: return generation(statement);
      case StatementKind::leave_loop: return Flow::leave_loop;
      case StatementKind::next_turn: return Flow::next_turn;
    }
  } catch (const Failure& failure) {
    fail(statement.line, failure);
  }
  return Flow::on;
}

void Interpreter::print_out(const Value& value) {
  Writer out(outputs_.back(), budget_);
  print(value, out);
  check_size();
}

void Interpreter::check_size() const {
  if (static_cast<std::int64_t>(outputs_.front().size()) > budget_.limits().text)
    throw Failure{fmt::format("a template that prints at most {} bytes of text", budget_.limits().text), "more", "",
                  /*is_end=*/true};
}

Flow Interpreter::branch(const Statement& statement) {
  for (std::size_t i = 0; i < statement.arms.size(); ++i)
    if (evaluate(*statement.values[i]).truth()) return run_block(statement.arms[i]);
  return run_block(statement.otherwise);
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.parts.empty()) {
    const Items parts = items_of(value, budget_);
    if (parts.all.size() != target.parts.size())
      throw Failure{fmt::format("{} values for {} names", target.parts.size(), target.parts.size()),
                    std::to_string(parts.all.size())};
    for (std::size_t i = 0; i < target.parts.size(); ++i) assign(target.parts[i], parts.all[i]);
    return;
  }
  if (target.attribute.empty()) {
    scope_->names.insert_or_assign(target.name, value);
    return;
  }
  const Value owner = lookup(target.name);
  auto* space = owner.object_as<Namespace>();
  if (space == nullptr)
    throw Failure{"a namespace() whose attribute is set", fmt::format("'{}', {}", target.name, owner.type())};
  const Value name = target.attribute;
  check_attribute(name);
  if (space->attributes.find(target.attribute) == nullptr) add_entry(space->attributes, name, value, budget_);
  else space->attributes.set(name, value);
}

// What the body prints becomes a value, which is set or printed.
Flow Interpreter::captured(const Statement& statement) {
  outputs_.emplace_back();
  Flow flow = Flow::on;
  {
    const InScope scope(*this, scope_within(scope_));
    flow = run_block(statement.body);
  }
  std::string text = std::move(outputs_.back());
  outputs_.pop_back();
  if (flow != Flow::on) return flow;
  captured_.emplace_back(std::move(text));
  const Value value = evaluate(*statement.value);
  captured_.pop_back();
  if (statement.kind == StatementKind::capture) {
    assign(statement.targets[0], value);
    return Flow::on;
  }
  if (value.text() == nullptr) throw Failure{"text from the filters of a block", value.type()};
  print_out(value);
  return Flow::on;
}

Flow Interpreter::with_scope(const Statement& statement) {
  std::vector<Value> values;  // each as it is outside
  for (const ExprPtr& value : statement.values) values.push_back(evaluate(*value));
  const InScope scope(*this, scope_within(scope_));
  for (std::size_t i = 0; i < values.size(); ++i) assign(statement.targets[i], values[i]);
  return run_block(statement.body);
}

Flow Interpreter::generation(const Statement& statement) {
  const std::size_t begin = outputs_.back().size();
  const InScope scope(*this, scope_within(scope_));
  const Flow flow = run_block(statement.body);
  add_span(begin, nullptr);
  return flow;
}

// What is captured has no place of its own in the text.
void Interpreter::add_span(std::size_t begin, const Dict* item) {
  if (outputs_.size() != 1) return;
  budget_.make(2 * sizeof(Span));
  spans_.push_back({begin, outputs_.back().size(), item});
}

Flow Interpreter::loop(const Statement& statement) {
  return loop_over(statement, items_of(evaluate(*statement.value), budget_), 0);
}

Items Interpreter::filtered(const Statement& statement, const Items& items) {
  ListBuilder kept(budget_);
  for (const Value& item : items.all) {
    const InScope scope(*this, scope_within(scope_));
    assign(statement.targets[0], item);
    if (evaluate(*statement.condition).truth()) kept.add(item);
  }
  const auto made = std::make_shared<const List>(kept.take());
  return {made, made->items};
}

// A turn has its own scope, which is that of the turn before without what it set, unless somebody keeps that.
void Interpreter::clear_turn(ScopePointer& turn, const std::vector<std::string>& kept) const {
  if (turn == nullptr || turn.use_count() > 1) {
    turn = scope_within(scope_);
  } else if (turn->names.size() > kept.size()) {
    std::erase_if(turn->names, [&](const auto& entry) { return std::ranges::find(kept, entry.first) == kept.end(); });
  }
}

Flow Interpreter::loop_over(const Statement& statement, Items items, int depth0) {
  const Deeper deeper(*this);
  const List& given = *items.owner;
  if (statement.condition != nullptr) items = filtered(statement, items);
  if (items.all.empty()) {
    const InScope scope(*this, scope_within(scope_));
    return run_block(statement.otherwise);
  }
  if (statement.recursive) keep(scope_);
  const auto state = std::make_shared<Loop>(items, depth0, statement.recursive ? &statement : nullptr,
                                            statement.recursive ? scope_ : nullptr);
  budget_.make(256);
  const Value loop(state);
  std::vector<std::string> set_anew = {"loop"};
  add_names(statement.targets[0], set_anew);
  ScopePointer turn;
  for (std::size_t i = 0; i < items.all.size(); ++i) {
    budget_.work(2);
    state->index0 = i;
    clear_turn(turn, set_anew);
    const InScope scope(*this, turn);
    assign(statement.targets[0], items.all[i]);
    scope_->names.insert_or_assign("loop", loop);
    const std::size_t begin = outputs_.back().size();
    const Flow flow = run_block(statement.body);
    if (const Dict* item = items.all[i].dict()) add_span(begin, item);
    if (flow != Flow::leave_loop) continue;
    // A generator has the rest yet.
    if (given.shape == Shape::generator && statement.condition == nullptr) given.taken -= items.all.size() - i - 1;
    break;
  }
  state->is_over = true;
  state->last_changed.reset();
  return Flow::on;
}

Rendering run_template(const Block& program, const Environment& environment) {
  return Interpreter(environment).run(program);
}

}  // namespace qad::jinja
