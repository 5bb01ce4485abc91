// Every key of a config struct in words: what `qad recipes explain` prints.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/base/fields.h"
#include "qad/recipe/yaml_fields.h"

namespace qad {

struct KeyDescription {
  std::string key;            ///< `train.lr`, `arms[].name`
  std::string type;           ///< `integer`, `kl | mse`, `list of text`, `section`
  std::string default_value;  ///< `required`, `none` for an absent optional
  std::string range;          ///< `at least 1`; empty when anything goes
  std::string help;
  bool may_change = false;  ///< in a run that goes on
};

/// `above 0, at most 1`; empty without limits.
[[nodiscard]] std::string range_text(const Field& field);

/// The keys of T in their order, a section before its own keys. `key` is put before each.
template <HasFields T>
[[nodiscard]] std::vector<KeyDescription> describe_fields(const T& defaults = T{}, const std::string& key = "");

/// A table of columns that fit; with few keys each gets a paragraph.
[[nodiscard]] std::string description_text(const std::vector<KeyDescription>& keys);

namespace detail {

[[nodiscard]] std::string choices_text(const std::vector<std::string_view>& names);
[[nodiscard]] std::string default_text(const YamlNode& value);

template <class T>
[[nodiscard]] std::string type_name(const Field& field) {
  if constexpr (is_optional<T>) return type_name<typename T::value_type>(field);
  else if constexpr (is_text_list<T>) return field.is_path ? "path or list of paths" : "list of text";
  else if constexpr (is_vector<T>) return "list of " + type_name<typename T::value_type>(field);
  else if constexpr (HasFields<T>) return "section";
  else if constexpr (NamedEnum<T>) return choices_text(choices<T>());
  else if constexpr (std::is_same_v<T, bool>) return "true | false";
  else if constexpr (std::is_same_v<T, std::int64_t>) return "integer";
  else if constexpr (std::is_same_v<T, double>) return "number";
  else return field.is_path ? "path" : "text";
}

struct FieldDescriber {
  const std::string& parent;
  std::vector<KeyDescription>& keys;

  template <class T>
  void operator()(const Field& field, const T& value) {
    const std::string key = join_key(parent, field.name);
    keys.push_back({key, type_name<T>(field), default_of(field, value), range_text(field), std::string(field.help),
                    field.may_change});
    const std::size_t before = keys.size();
    describe_inside(key, value);
    if (!field.repeats_keys) return;
    const auto is_told = [&](const KeyDescription& inner) {
      const std::string around = join_key(parent, std::string_view(inner.key).substr(key.size() + 3));  // past `[].`
      return std::any_of(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(before),
                         [&](const KeyDescription& k) { return k.key == around; });
    };
    keys.erase(std::remove_if(keys.begin() + static_cast<std::ptrdiff_t>(before), keys.end(), is_told), keys.end());
  }

  template <class T>
  static std::string default_of(const Field& field, const T& value) {
    if (field.is_required) return "required";
    if constexpr (is_optional<T>) return value ? default_of(field, *value) : "none";
    else if constexpr (HasFields<T>) return "";
    else return default_text(FieldWriter::write(value));
  }

  template <class T>
  void describe_inside(const std::string& key, const T& value) {
    if constexpr (is_optional<T>) describe_inside(key, value.value_or(typename T::value_type{}));
    else if constexpr (is_vector<T>) describe_inside(key + "[]", typename T::value_type{});
    else if constexpr (HasFields<T>) {
      for (KeyDescription& inner : describe_fields(value, key)) keys.push_back(std::move(inner));
    }
  }
};

}  // namespace detail

template <HasFields T>
std::vector<KeyDescription> describe_fields(const T& defaults, const std::string& key) {
  std::vector<KeyDescription> keys;
  T copy = defaults;
  copy.visit_fields(detail::FieldDescriber{key, keys});
  return keys;
}

}  // namespace qad
