// Filters that go through lists, put them in order or take them apart.
#include <algorithm>
#include <array>
#include <set>

#include "data/jinja/arithmetic.h"
#include "data/jinja/compare.h"
#include "data/jinja/failure.h"
#include "data/jinja/filters.h"
#include "data/jinja/letters.h"
#include "data/jinja/methods.h"
#include "data/jinja/printing.h"
#include "data/jinja/sequences.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

// What items are compared by: text without regard to case, unless case matters.
Value comparable(const Value& value, bool case_sensitive, Budget& budget) {
  if (case_sensitive || value.text() == nullptr) return value;
  std::string text;
  Writer out(text, budget);
  lower(*value.bytes(), out);
  return text;
}

// Items and what they are compared by, which for `sort` and `groupby` puts them in order.
struct Keyed {
  Value key, entry;
};
using Pairs = std::vector<Keyed>;

void sort_by_key(Pairs& pairs, bool reverse, Budget& budget) {
  budget.work(4 * pairs.size());
  std::stable_sort(pairs.begin(), pairs.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? less(b.key, a.key, false, budget) : less(a.key, b.key, false, budget);
  });
}

Value sort(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("sort", {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = is_true(arguments.find(1, "case_sensitive"));
  const Value* attribute = arguments.find(2, "attribute");
  ListBuilder paths(budget);  // several with commas between
  if (attribute != nullptr && attribute->bytes() != nullptr)
    split(*attribute->bytes(), ",", -1, Side::left, budget, [&](std::string_view path) { paths.add_text(path); });
  else paths.add(attribute != nullptr ? *attribute : Value());
  const List by = paths.take();
  Pairs pairs;
  const Items items = items_of(value, budget);
  for (const Value& entry : items.all) {
    ListBuilder key(budget);
    for (const Value& path : by.items) key.add(comparable(item_at_path(entry, path, budget), case_sensitive, budget));
    budget.make(sizeof(List) + 2 * sizeof(Keyed));
    pairs.push_back({key.take(), entry});
  }
  sort_by_key(pairs, is_true(arguments.find(0, "reverse")), budget);
  ListBuilder sorted(budget);
  for (const Keyed& pair : pairs) sorted.add(pair.entry);
  return sorted.take();
}

Value dictsort(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("dictsort", {"case_sensitive", "by", "reverse"});
  require_defined(value);
  if (value.dict() == nullptr) throw Failure{"a dict", value.type()};
  const Value* by = arguments.find(1, "by");
  const std::string_view which = by != nullptr ? std::string_view(text_of(*by, "by")) : "key";
  if (which != "key" && which != "value") throw Failure{"key or value to sort a dict by", std::string(which)};
  Pairs pairs;
  const Value entries = call_method(value, "items", {}, budget);
  for (const Value& entry : entries.list()->items) {
    const Value& key = entry.list()->items[which == "key" ? 0 : 1];
    budget.make(2 * sizeof(Keyed));
    pairs.push_back({comparable(key, is_true(arguments.find(0, "case_sensitive")), budget), entry});
  }
  sort_by_key(pairs, is_true(arguments.find(2, "reverse")), budget);
  ListBuilder sorted(budget);
  for (const Keyed& pair : pairs) sorted.add(pair.entry);
  return sorted.take();
}

Value groupby(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("groupby", {"attribute", "default", "case_sensitive"}, 1);
  const Value &path = *arguments.find(0, "attribute"), *otherwise = arguments.find(1, "default");
  const bool case_sensitive = is_true(arguments.find(2, "case_sensitive"));
  if (otherwise != nullptr && otherwise->is<None>()) otherwise = nullptr;
  const auto key_of = [&](const Value& entry) { return item_at_path(entry, path, budget, otherwise); };
  Pairs pairs;
  const Items items = items_of(value, budget);
  for (const Value& entry : items.all) {
    budget.make(2 * sizeof(Keyed));
    pairs.push_back({comparable(key_of(entry), case_sensitive, budget), entry});
  }
  sort_by_key(pairs, false, budget);
  ListBuilder groups(budget);
  for (std::size_t i = 0; i < pairs.size();) {
    const Keyed& first = pairs[i];
    ListBuilder members(budget), group(budget, Shape::tuple);
    for (; i < pairs.size() && equal(pairs[i].key, first.key, budget); ++i) members.add(pairs[i].entry);
    budget.make(2 * sizeof(List));
    group.add(key_of(first.entry));
    group.add(members.take());
    List made = group.take();
    made.is_group = true;
    groups.add(std::move(made));
  }
  return groups.take();
}

Value unique(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("unique", {"case_sensitive", "attribute"});
  const Value* path = arguments.find(1, "attribute");
  std::set<std::string> seen;
  ListBuilder kept(budget, Shape::generator);
  const Items items = items_of(value, budget);
  for (const Value& entry : items.all) {
    const Value key = path != nullptr ? item_at_path(entry, *path, budget) : entry;
    std::string name = key_name(comparable(key, is_true(arguments.find(0, "case_sensitive")), budget));
    budget.make(name.size() + 64);
    if (seen.insert(std::move(name)).second) kept.add(entry);
  }
  return kept.take();
}

template <bool largest>
Value extreme(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check(largest ? "max" : "min", {"case_sensitive", "attribute"});
  const bool case_sensitive = is_true(arguments.find(0, "case_sensitive"));
  const Value* path = arguments.find(1, "attribute");
  const Items items = items_of(value, budget);
  if (items.all.empty()) return Undefined("No aggregated item, sequence was empty.");
  const auto key_of = [&](const Value& entry) {
    return comparable(path != nullptr ? item_at_path(entry, *path, budget) : entry, case_sensitive, budget);
  };
  const Value* best = &items.all[0];
  Value best_key = key_of(*best);
  for (const Value& entry : items.all.subspan(1)) {
    Value key = key_of(entry);
    if (!(largest ? less(best_key, key, false, budget) : less(key, best_key, false, budget))) continue;
    best = &entry;
    best_key = std::move(key);
  }
  return *best;
}

Value sum(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("sum", {"attribute", "start"});
  const Value *path = arguments.find(0, "attribute"), *start = arguments.find(1, "start");
  Value total = start != nullptr ? *start : Value(std::int64_t{0});
  if (total.text() != nullptr) throw Failure{"a start other than text; join adds texts", "text"};
  const Items items = items_of(value, budget);
  for (const Value& entry : items.all)
    total = arithmetic("+", total, path != nullptr ? item_at_path(entry, *path, budget) : entry, budget);
  return total;
}

Value join(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("join", {"d", "attribute"});
  const Value *separator = arguments.find(0, "d"), *path = arguments.find(1, "attribute");
  const std::string between = separator != nullptr ? printed(*separator, budget) : "";
  std::string text;
  Writer out(text, budget);
  bool first = true;
  const Items items = items_of(value, budget);
  for (const Value& entry : items.all) {
    budget.work();
    if (!first) out.add(between);
    print(path != nullptr ? item_at_path(entry, *path, budget) : entry, out);
    first = false;
  }
  return text;
}

Value first(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("first", {});
  const List* list = value.list();
  if (const Text* text = value.text(); text != nullptr && !text->bytes.empty())
    return item(value, std::int64_t{0}, budget);
  const Items items = items_of(value, budget);
  if (items.all.empty()) return Undefined("No first item, sequence was empty.");
  if (list != nullptr && list->shape == Shape::generator) list->taken -= items.all.size() - 1;  // takes one
  return items.all.front();
}

Value last(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("last", {});
  if (const List* list = value.list(); list != nullptr && list->shape == Shape::generator)
    throw Failure{"a list to take the last item of", "generator", "| list makes one"};
  if (const Text* text = value.text(); text != nullptr && !text->bytes.empty())
    return item(value, std::int64_t{-1}, budget);
  const Items items = items_of(value, budget);
  if (items.all.empty()) return Undefined("No last item, sequence was empty.");
  return items.all.back();
}

Value list(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("list", {});
  return list_of(items_of(value, budget), Shape::list, budget);
}

Value reverse(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("reverse", {});
  if (value.text() != nullptr) return slice(value, None(), None(), std::int64_t{-1}, budget);
  // Python can go through all but a generator backwards, of which it makes a list.
  const bool generator = value.list() != nullptr && value.list()->shape == Shape::generator;
  List reversed = list_of(items_of(value, budget), generator ? Shape::list : Shape::generator, budget);
  std::ranges::reverse(reversed.items);
  return reversed;
}

// Lists of so many items each.
Value batch(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("batch", {"linecount", "fill_with"}, 1);
  const std::int64_t count = integer_of(*arguments.find(0, "linecount"), "a count");
  const Value* fill = arguments.find(1, "fill_with");
  ListBuilder batches(budget, Shape::generator), now(budget);
  const auto next = [&] {
    budget.make(sizeof(List));
    batches.add(now.take());
    now = ListBuilder(budget);
  };
  const Items items = items_of(value, budget);
  for (const Value& entry : items.all) {
    if (static_cast<std::int64_t>(now.size()) == count) next();
    now.add(entry);
  }
  if (now.size() == 0) return batches.take();
  while (fill != nullptr && !fill->is<None>() && static_cast<std::int64_t>(now.size()) < count) now.add(*fill);
  next();
  return batches.take();
}

// So many lists of about as many items each.
Value slice_filter(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("slice", {"slices", "fill_with"}, 1);
  const std::int64_t slices = integer_of(*arguments.find(0, "slices"), "a number of slices");
  const Value* fill = arguments.find(1, "fill_with");
  if (slices == 0) throw Failure{"a number of slices", "0"};
  const Items items = items_of(value, budget);
  const auto size = static_cast<std::int64_t>(items.all.size());
  ListBuilder all(budget, Shape::generator);
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < slices; ++i) {
    const bool longer = i < size % slices;
    ListBuilder one(budget);
    for (const std::int64_t end = at + size / slices + (longer ? 1 : 0); at < end; ++at)
      one.add(items.all[static_cast<std::size_t>(at)]);
    if (fill != nullptr && !fill->is<None>() && !longer) one.add(*fill);
    budget.make(sizeof(List));
    all.add(one.take());
  }
  return all.take();
}

}  // namespace

std::span<const Filter> list_filters() {
  static constexpr auto kFilters = std::to_array<Filter>({
      {"batch", batch},
      {"dictsort", dictsort},
      {"first", first},
      {"groupby", groupby},
      {"join", join},
      {"last", last},
      {"list", list},
      {"max", extreme<true>},
      {"min", extreme<false>},
      {"reverse", reverse},
      {"slice", slice_filter},
      {"sort", sort},
      {"sum", sum},
      {"unique", unique},
  });
  return kFilters;
}

}  // namespace qad::jinja
