#include "data/jinja/tests.h"

#include <fmt/format.h>

#include <map>

#include "data/jinja/compare.h"
#include "data/jinja/failure.h"
#include "data/jinja/filters.h"
#include "data/jinja/letters.h"
#include "data/jinja/numbers.h"
#include "data/jinja/objects.h"
#include "data/jinja/printing.h"
#include "data/jinja/sequences.h"

namespace qad::jinja {
namespace {

struct Test {
  bool takes_argument;
  bool (*passes)(const Value& value, const Value& argument, Budget& budget);
};
using Ask = const Value&;

bool remainder_is(const Value& value, std::int64_t divisor, std::int64_t rest) {
  require_defined(value);
  if (!value.is_number()) throw Failure{"a number", value.type()};
  return compare_numbers(calculate("%", value, divisor), rest) == 0;
}

bool divisible(Ask value, Ask by, Budget&) {
  require_defined(value);
  require_defined(by);
  if (!value.is_number() || !by.is_number()) throw Failure{"numbers", value.type() + " and " + by.type()};
  return compare_numbers(calculate("%", value, by), std::int64_t{0}) == 0;
}

bool is_sequence(Ask value, Ask, Budget&) {
  const List* list = value.list();
  return value.text() != nullptr || value.dict() != nullptr || value.is<Undefined>() ||
         (list != nullptr && list->has_indices());
}

template <bool upper>
bool has_case(Ask value, Ask, Budget& budget) {
  return is_of_kind(printed(value, budget), upper ? "isupper" : "islower");
}

const std::map<std::string_view, Test>& tests() {
  using Passes = bool (*)(Ask, Ask, Budget&);
  const auto plain = [](Passes passes) { return Test{false, passes}; };
  const auto binary = [](Passes passes) { return Test{true, passes}; };
  const Test is_equal = binary([](Ask v, Ask a, Budget& b) { return equal(v, a, b); });
  const Test is_other = binary([](Ask v, Ask a, Budget& b) { return !equal(v, a, b); });
  const Test is_less = binary([](Ask v, Ask a, Budget& b) { return less(v, a, false, b); });
  const Test is_at_most = binary([](Ask v, Ask a, Budget& b) { return less(v, a, true, b); });
  const Test is_greater = binary([](Ask v, Ask a, Budget& b) { return less(a, v, false, b); });
  const Test is_at_least = binary([](Ask v, Ask a, Budget& b) { return less(a, v, true, b); });
  static const std::map<std::string_view, Test> table = {
      {"!=", is_other},
      {"<", is_less},
      {"<=", is_at_most},
      {"==", is_equal},
      {">", is_greater},
      {">=", is_at_least},
      {"boolean", plain([](Ask v, Ask, Budget&) { return v.is<bool>(); })},
      {"callable", plain([](Ask v, Ask, Budget&) {  // as for Jinja what is undefined is
         return v.is<Undefined>() || (v.object() != nullptr && v.object()->callable());
       })},
      {"defined", plain([](Ask v, Ask, Budget&) { return !v.is<Undefined>(); })},
      {"divisibleby", binary(divisible)},
      {"eq", is_equal},
      {"equalto", is_equal},
      {"escaped", plain([](Ask v, Ask, Budget&) { return v.text() != nullptr && v.text()->safe; })},
      {"even", plain([](Ask v, Ask, Budget&) { return remainder_is(v, 2, 0); })},
      {"false", plain([](Ask v, Ask, Budget&) { return v.is<bool>() && !v.truth(); })},
      {"filter", plain([](Ask v, Ask, Budget&) { return v.bytes() != nullptr && is_filter(*v.bytes()); })},
      {"float", plain([](Ask v, Ask, Budget&) { return v.is<double>(); })},
      {"ge", is_at_least},
      {"greaterthan", is_greater},
      {"gt", is_greater},
      {"in", binary([](Ask v, Ask a, Budget& b) { return contains(a, v, b); })},
      {"integer", plain([](Ask v, Ask, Budget&) { return v.is_integer() && !v.is<bool>(); })},
      {"iterable", plain([](Ask v, Ask, Budget&) { return can_be_gone_through(v); })},
      {"le", is_at_most},
      {"lessthan", is_less},
      {"lower", plain(has_case<false>)},
      {"lt", is_less},
      {"mapping", plain([](Ask v, Ask, Budget&) { return v.dict() != nullptr; })},
      {"ne", is_other},
      {"none", plain([](Ask v, Ask, Budget&) { return v.is<None>(); })},
      {"number", plain([](Ask v, Ask, Budget&) { return v.is_number(); })},
      {"odd", plain([](Ask v, Ask, Budget&) { return remainder_is(v, 2, 1); })},
      {"sameas", binary([](Ask v, Ask a, Budget&) { return v.is_same(a); })},
      {"sequence", plain(is_sequence)},
      {"string", plain([](Ask v, Ask, Budget&) { return v.text() != nullptr; })},
      {"test", plain([](Ask v, Ask, Budget&) { return v.bytes() != nullptr && is_test(*v.bytes()); })},
      {"true", plain([](Ask v, Ask, Budget&) { return v.is<bool>() && v.truth(); })},
      {"undefined", plain([](Ask v, Ask, Budget&) { return v.is<Undefined>(); })},
      {"upper", plain(has_case<true>)},
  };
  return table;
}

}  // namespace

bool is_test(std::string_view name) { return tests().contains(name); }

std::string test_names() {
  std::string names;
  for (const auto& [name, test] : tests()) names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

bool apply_test(std::string_view name, const Value& value, const Arguments& arguments, Budget& budget) {
  budget.work();
  const auto found = tests().find(name);
  if (found == tests().end()) throw Failure{"a test among " + test_names(), '\'' + std::string(name) + '\'', kPart};
  const std::size_t given = arguments.in_order.size() + arguments.named.size();
  if (given != (found->second.takes_argument ? 1u : 0u))
    throw Failure{found->second.takes_argument ? "an argument of the test" : "a test without arguments",
                  '\'' + std::string(name) + '\''};
  if (given == 0) return found->second.passes(value, Value(), budget);
  return found->second.passes(value, arguments.in_order.empty() ? arguments.named[0].second : arguments.in_order[0],
                              budget);
}

}  // namespace qad::jinja
