// The tests behind `is`.
#include <map>

#include "data/jinja/builtins.h"
#include "data/jinja/failure.h"

namespace qad::jinja {
namespace {

struct Test {
  bool takes_argument;
  bool (*passes)(const Value& value, const Value& argument);
};

std::int64_t remainder(const Value& value, const Value& divisor) {
  const Value rest = arithmetic("%", value, divisor);
  if (rest.integer() == nullptr) throw Failure{"integers", value.type()};
  return *rest.integer();
}

const std::map<std::string_view, Test>& tests() {
  const auto plain = [](bool (*passes)(const Value&, const Value&)) { return Test{false, passes}; };
  const auto binary = [](bool (*passes)(const Value&, const Value&)) { return Test{true, passes}; };
  const Test equal = binary([](const Value& v, const Value& a) { return v == a; });
  static const std::map<std::string_view, Test> table = {
      {"boolean", plain([](const Value& v, const Value&) { return v.is<bool>(); })},
      {"callable", plain([](const Value& v, const Value&) { return v.is<Function>(); })},
      {"defined", plain([](const Value& v, const Value&) { return !v.is<Undefined>(); })},
      {"divisibleby", binary([](const Value& v, const Value& a) { return remainder(v, a) == 0; })},
      {"eq", equal},
      {"equalto", equal},
      {"even", plain([](const Value& v, const Value&) { return remainder(v, std::int64_t{2}) == 0; })},
      {"false", plain([](const Value& v, const Value&) { return v.is<bool>() && !v.truth(); })},
      {"float", plain([](const Value& v, const Value&) { return v.is<double>(); })},
      {"in", binary([](const Value& v, const Value& a) { return contains(a, v); })},
      {"integer", plain([](const Value& v, const Value&) { return v.is<std::int64_t>(); })},
      {"iterable", plain([](const Value& v, const Value&) {
         return v.is<std::string>() || v.list() != nullptr || v.is<Undefined>() ||
                (v.dict() != nullptr && !v.dict()->is_namespace);
       })},
      {"mapping", plain([](const Value& v, const Value&) { return v.dict() != nullptr && !v.dict()->is_namespace; })},
      {"ne", binary([](const Value& v, const Value& a) { return !(v == a); })},
      {"none", plain([](const Value& v, const Value&) { return v.is<None>(); })},
      {"number", plain([](const Value& v, const Value&) { return v.is_number(); })},
      {"odd", plain([](const Value& v, const Value&) { return remainder(v, std::int64_t{2}) == 1; })},
      {"sequence", plain([](const Value& v, const Value&) {
         return v.is<std::string>() || (v.list() != nullptr && v.list()->shape <= Shape::tuple) || v.is<Undefined>() ||
                (v.dict() != nullptr && !v.dict()->is_namespace);
       })},
      {"string", plain([](const Value& v, const Value&) { return v.is<std::string>(); })},
      {"true", plain([](const Value& v, const Value&) { return v.is<bool>() && v.truth(); })},
      {"undefined", plain([](const Value& v, const Value&) { return v.is<Undefined>(); })},
  };
  return table;
}

}  // namespace

bool is_test(std::string_view name) { return tests().contains(name); }

bool test_takes_argument(std::string_view name) { return tests().at(name).takes_argument; }

std::string test_names() {
  std::string names;
  for (const auto& [name, test] : tests()) names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

bool apply_test(const std::string& name, const Value& value, const Value& argument) {
  return tests().at(name).passes(value, argument);
}

}  // namespace qad::jinja
