#include "data/jinja/arguments.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/jinja/failure.h"

namespace qad::jinja {

const Value* Arguments::find(std::size_t index, std::string_view name) const {
  if (index < in_order.size()) return &in_order[index];
  for (const auto& [key, value] : named)
    if (key == name) return &value;
  return nullptr;
}

void Arguments::check(std::string_view callee, std::initializer_list<std::string_view> names,
                      std::size_t required) const {
  if (in_order.size() > names.size())
    throw Failure{fmt::format("at most {} arguments for {}", names.size(), callee), std::to_string(in_order.size())};
  for (const auto& [key, value] : named) {
    const auto found = std::find(names.begin(), names.end(), key);
    if (found == names.end() || static_cast<std::size_t>(found - names.begin()) < in_order.size())
      throw Failure{fmt::format("arguments that {} has, each once", callee), '\'' + key + '\''};
  }
  for (std::size_t i = 0; i < required; ++i)
    if (find(i, names.begin()[i]) == nullptr)
      throw Failure{fmt::format("the argument '{}' of {}", names.begin()[i], callee), "none"};
}

Arguments Arguments::behind(std::size_t count) const {
  const auto from = in_order.begin() + static_cast<std::ptrdiff_t>(std::min(count, in_order.size()));
  return {{from, in_order.end()}, named};
}

std::int64_t integer_of(const Value& value, std::string_view what) {
  const std::int64_t* number = value.integer();
  if (number == nullptr) throw Failure{fmt::format("an integer as {}", what), value.type()};
  return *number;
}

std::int64_t integer_or(const Value* value, std::int64_t otherwise, std::string_view what) {
  return value == nullptr || value->is<None>() ? otherwise : integer_of(*value, what);
}

const std::string& text_of(const Value& value, std::string_view what) {
  const std::string* text = value.bytes();
  if (text == nullptr) throw Failure{fmt::format("text as {}", what), value.type()};
  return *text;
}

std::optional<std::string_view> optional_text(const Value* value, std::string_view what) {
  if (value == nullptr || value->is<None>()) return std::nullopt;
  return text_of(*value, what);
}

}  // namespace qad::jinja
