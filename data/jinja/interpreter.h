// What runs a template, in three files: statements (evaluator.cpp), expressions.cpp, and calls.cpp for macros, loops
// that call themselves and what else can be called.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/jinja/arguments.h"
#include "data/jinja/evaluator.h"
#include "data/jinja/failure.h"
#include "data/jinja/objects.h"

namespace qad::jinja {

enum class Flow { on, leave_loop, next_turn };

class Interpreter {
 public:
  explicit Interpreter(const Environment& environment);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  Rendering run(const Block& program);

 private:
  /// While it lives, names are set in this scope.
  class InScope {
   public:
    InScope(Interpreter& interpreter, ScopePointer scope)
        : interpreter_(interpreter), before_(std::exchange(interpreter.scope_, std::move(scope))) {}
    ~InScope() { interpreter_.scope_ = std::move(before_); }
    InScope(const InScope&) = delete;
    InScope& operator=(const InScope&) = delete;

   private:
    Interpreter& interpreter_;
    ScopePointer before_;
  };
  /// Counts how deep running recurses while it lives.
  class Deeper {
   public:
    explicit Deeper(Interpreter& interpreter);
    ~Deeper() { --interpreter_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Interpreter& interpreter_;
  };

  [[noreturn]] void fail(int line, const Failure& failure) const;

  // Statements.
  Flow run_block(const Block& block);
  Flow run_one(const Statement& statement);
  Flow branch(const Statement& statement);
  Flow loop(const Statement& statement);
  Flow loop_over(const Statement& statement, Items items, int depth0);
  void clear_turn(ScopePointer& turn, const std::vector<std::string>& kept) const;
  Items filtered(const Statement& statement, const Items& items);
  Flow captured(const Statement& statement);
  Flow with_scope(const Statement& statement);
  Flow generation(const Statement& statement);
  void assign(const Target& target, const Value& value);
  void print_out(const Value& value);
  void add_span(std::size_t begin, const Dict* item);
  void check_size() const;

  // Expressions.
  Value evaluate(const Expr& expr);
  Value part(const Expr& expr, std::size_t i) { return evaluate(*expr.parts[i]); }
  Value value_of(const Expr& expr);
  Value lookup(const std::string& name);
  Value list(const Expr& expr);
  Value dict(const Expr& expr);
  Value item_of(const Expr& expr);
  Value slice_of(const Expr& expr);
  Value apply(const Expr& expr);
  Value arithmetic_of(const Expr& expr);
  Value logical(const Expr& expr);
  Value concat(const Expr& expr);
  Value comparison(const Expr& expr);
  Value conditional(const Expr& expr);

  // Calls.
  Arguments arguments(const Expr& expr);
  Value call(const Expr& expr, const Value* caller = nullptr);
  Value call_value(const Value& callee, const Arguments& arguments);
  Value call_macro(const Macro& macro, const Arguments& arguments);
  void bind(const Macro& macro, const Arguments& arguments);
  Value call_loop(const Loop& loop, const Arguments& arguments);
  Value make_macro(const Statement& statement);
  void keep(const ScopePointer& scope);

  const Environment& environment_;
  Budget budget_;
  ScopePointer scope_;
  std::vector<std::string> outputs_{""};  ///< the last one is printed to; others wait below a captured one
  std::vector<Span> spans_;
  std::vector<Value> captured_;  ///< what filters of blocks that are being run have for the block's text
  int depth_ = 0;
  std::map<std::string, Value> functions_;
  // What may hold itself; cleared in the end.
  std::vector<Value> namespaces_;
  std::vector<ScopePointer> kept_;
};

}  // namespace qad::jinja
