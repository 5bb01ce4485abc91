// Filters that apply a test or a filter to each item: select, reject, map and their kin.
#include <array>

#include "data/jinja/failure.h"
#include "data/jinja/filters.h"
#include "data/jinja/sequences.h"
#include "data/jinja/tests.h"

namespace qad::jinja {
namespace {

// The items whose value, or attribute, passes a test or not.
template <bool by_attribute, bool keep>
Value select(const Value& value, const Arguments& arguments, Budget& budget) {
  constexpr std::size_t kTest = by_attribute ? 1 : 0;  // where the test's name stands
  if (by_attribute && arguments.in_order.empty()) throw Failure{"an attribute's name", "none"};
  const bool tests = arguments.in_order.size() > kTest;
  const std::string name = tests ? text_of(arguments.in_order[kTest], "a test's name") : "";
  const Arguments others = arguments.behind(kTest + 1);
  ListBuilder kept(budget, Shape::generator);
  if (!value.truth()) return kept.take();  // None too
  const Items items = items_of(value, budget);
  for (const Value& entry : items.all) {
    const Value tested = by_attribute ? item_at_path(entry, arguments.in_order[0], budget) : entry;
    if ((tests ? apply_test(name, tested, others, budget) : tested.truth()) == keep) kept.add(entry);
  }
  return kept.take();
}

Value map(const Value& value, const Arguments& arguments, Budget& budget) {
  ListBuilder mapped(budget, Shape::generator);
  if (!value.truth()) return mapped.take();  // None too
  const Value* path = arguments.in_order.empty() ? arguments.find(SIZE_MAX, "attribute") : nullptr;
  if (path != nullptr) {
    arguments.check("map", {"attribute", "default"});
    const Value* otherwise = arguments.find(SIZE_MAX, "default");
    if (otherwise != nullptr && otherwise->is<None>()) otherwise = nullptr;
    const Items items = items_of(value, budget);
    for (const Value& entry : items.all) mapped.add(item_at_path(entry, *path, budget, otherwise));
    return mapped.take();
  }
  if (arguments.in_order.empty()) throw Failure{"the name of a filter, or attribute=", "neither"};
  const std::string& name = text_of(arguments.in_order[0], "a filter's name");
  if (name == "map" || name.starts_with("select") || name.starts_with("reject"))
    throw Failure{"a filter that is no loop itself", '\'' + name + '\'', kPart};  // they would nest without end
  const Arguments others = arguments.behind(1);
  const Items items = items_of(value, budget);
  for (const Value& entry : items.all) mapped.add(apply_filter(name, entry, others, budget));
  return mapped.take();
}

}  // namespace

std::span<const Filter> choosing_filters() {
  static constexpr auto kFilters = std::to_array<Filter>({
      {"map", map},
      {"reject", select<false, false>},
      {"rejectattr", select<true, false>},
      {"select", select<false, true>},
      {"selectattr", select<true, true>},
  });
  return kFilters;
}

}  // namespace qad::jinja
