// A config struct lists its fields once; parsing, validation, overrides, `qad recipes explain`, printing and the
// checkpoint's manifest all follow from that list. Nothing here knows YAML.
//
//     enum class Schedule { constant, cosine };
//     inline constexpr auto enum_names(Schedule) {
//       return std::to_array<EnumName<Schedule>>({{Schedule::constant, "constant"}, {Schedule::cosine, "cosine"}});
//     }
//     struct TrainConfig {
//       std::int64_t steps = 400;
//       Schedule schedule = Schedule::cosine;
//       template <class Visitor>
//       void visit_fields(Visitor&& visit) {
//         visit(Field{"steps", "optimizer steps"}.at_least(1), steps);
//         visit(Field{"schedule", "how the learning rate falls"}, schedule);
//       }
//     };
//
// Field types: bool, std::int64_t, double, std::string, enums with enum_names, structs with visit_fields, and
// std::optional and std::vector of these. Defaults are the member initialisers. Non-goals: maps, unions, inheritance.
#pragma once

#include <array>
#include <concepts>
#include <limits>
#include <string_view>

namespace qad {

template <class E>
struct EnumName {
  E value;
  std::string_view name;
};

template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E e) {
  enum_names(e);
};

template <NamedEnum E>
constexpr std::string_view enum_name(E value) {
  for (const auto& entry : enum_names(value))
    if (entry.value == value) return entry.name;
  return "?";
}

struct Field {
  std::string_view name;
  std::string_view help;  ///< one line
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool above_min = false;  ///< the minimum itself is out of range
  bool below_max = false;  ///< the maximum itself is out of range
  bool is_required = false;
  bool is_path = false;             ///< a file or folder, relative to the working directory
  std::string_view path_word = {};  ///< of a path: a word that may stand in its place
  bool may_change = false;          ///< in a run that goes on; of a section, with all that is in it
  bool repeats_keys = false;  ///< of a list: its items have keys that stand around it too, so help tells them once

  constexpr Field(std::string_view field_name, std::string_view field_help) : name(field_name), help(field_help) {}
  constexpr Field at_least(double low) const {
    return with([&](Field& f) { f.min = low; });
  }
  constexpr Field above(double low) const {
    return with([&](Field& f) { f.min = low, f.above_min = true; });
  }
  constexpr Field at_most(double high) const {
    return with([&](Field& f) { f.max = high; });
  }
  constexpr Field below(double high) const {
    return with([&](Field& f) { f.max = high, f.below_max = true; });
  }
  constexpr Field between(double low, double high) const { return at_least(low).at_most(high); }
  constexpr Field required() const {
    return with([](Field& f) { f.is_required = true; });
  }
  constexpr Field path(std::string_view or_word = {}) const {
    return with([&](Field& f) { f.is_path = true, f.path_word = or_word; });
  }
  constexpr Field changeable() const {
    return with([](Field& f) { f.may_change = true; });
  }
  constexpr Field repeating_keys() const {
    return with([](Field& f) { f.repeats_keys = true; });
  }

 private:
  template <class Change>
  constexpr Field with(Change change) const {
    Field copy = *this;
    change(copy);
    return copy;
  }
};

struct AnyVisitor {
  template <class T>
  void operator()(const Field&, T&) {}
};

template <class T>
concept HasFields = requires(T& config, AnyVisitor visitor) {
  config.visit_fields(visitor);
};

}  // namespace qad
