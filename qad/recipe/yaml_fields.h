// Between YAML nodes and config structs (autograd/base/fields.h): read_fields fills a struct and reports what does not
// fit, write_fields gives the tree that reads back to the same struct.
//
// Types are strict. An integer is decimal without a leading zero; a number is an integer or has a point or an exponent
// and is finite; a truth value is `true` or `false`; what stands in quotes is text. `${NAME}` and `${NAME:-default}` in
// the value of a path field are taken from the environment, and `${QAD_RECIPES}` is the folder of recipes
// (catalogue.h) in any case. Where a list of paths is wanted, one path is a list of one, and is written so. Null is the
// absence of an optional field and wrong elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/base/fields.h"
#include "qad/recipe/yaml_node.h"

namespace qad {

namespace detail {

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_text_list = std::is_same_v<T, std::vector<std::string>>;

[[nodiscard]] std::string join_key(std::string_view parent, std::string_view key);
template <NamedEnum E>
[[nodiscard]] std::vector<std::string_view> choices() {
  std::vector<std::string_view> names;
  for (const auto& entry : enum_names(E{})) names.push_back(entry.name);
  return names;
}

// Each leaves `value` as it is when the node does not fit.
void read_value(const YamlNode& node, const Field& field, const std::string& key, bool& value, YamlProblems& problems);
void read_value(const YamlNode& node, const Field& field, const std::string& key, std::int64_t& value,
                YamlProblems& problems);
void read_value(const YamlNode& node, const Field& field, const std::string& key, double& value,
                YamlProblems& problems);
void read_value(const YamlNode& node, const Field& field, const std::string& key, std::string& value,
                YamlProblems& problems);
/// The index of the choice, or nothing.
[[nodiscard]] std::optional<std::size_t> read_choice(const YamlNode& node, const std::string& key,
                                                     std::span<const std::string_view> names, YamlProblems& problems);
[[nodiscard]] bool expect_kind(const YamlNode& node, YamlNode::Kind kind, const std::string& key,
                               YamlProblems& problems);
void report_missing(const YamlNode& map, const Field& field, const std::string& key, YamlProblems& problems);
void report_unknown_keys(const YamlNode& map, std::string_view key, std::span<const std::string_view> known,
                         YamlProblems& problems);

[[nodiscard]] YamlNode write_value(bool value);
[[nodiscard]] YamlNode write_value(std::int64_t value);
[[nodiscard]] YamlNode write_value(double value);
[[nodiscard]] YamlNode write_value(const std::string& value);

}  // namespace detail

/// Fills `config` from a map; keys that are not there leave their field alone. `key` is the map's own path in the
/// recipe.
template <HasFields T>
void read_fields(const YamlNode& map, T& config, YamlProblems& problems, const std::string& key = "");

template <HasFields T>
[[nodiscard]] YamlNode write_fields(const T& config);

namespace detail {

struct FieldReader {
  const YamlNode& map;
  const std::string& key;
  YamlProblems& problems;
  std::vector<std::string_view> known = {};

  template <class T>
  void operator()(const Field& field, T& value) {
    known.push_back(field.name);
    const YamlNode* node = map.find(field.name);
    if (node != nullptr) read(*node, field, join_key(key, field.name), value);
    else if (field.is_required) report_missing(map, field, key, problems);
  }

  template <class T>
  void read(const YamlNode& node, const Field& field, const std::string& path, T& value) {
    if constexpr (is_optional<T>) {
      if (node.kind == YamlNode::Kind::null) return value.reset();
      read(node, field, path, value.emplace());
    } else if constexpr (is_vector<T>) {
      if constexpr (is_text_list<T>) {
        if (field.is_path && node.kind == YamlNode::Kind::scalar) {
          value.assign(1, "");
          return read_value(node, field, path, value.front(), problems);
        }
      }
      if (!expect_kind(node, YamlNode::Kind::sequence, path, problems)) return;
      value.clear();
      for (const YamlNode& item : node.items) {
        typename T::value_type element{};
        read(item, field, path + "[" + std::to_string(value.size()) + "]", element);
        value.push_back(std::move(element));
      }
    } else if constexpr (HasFields<T>) {
      read_fields(node, value, problems, path);
    } else if constexpr (NamedEnum<T>) {
      if (const auto index = read_choice(node, path, choices<T>(), problems)) value = enum_names(T{})[*index].value;
    } else {
      read_value(node, field, path, value, problems);
    }
  }
};

struct FieldWriter {
  YamlNode& map;

  template <class T>
  void operator()(const Field& field, const T& value) {
    if constexpr (is_optional<T>) {
      if (value) (*this)(field, *value);
    } else {
      map.add(std::string(field.name), write_field(field, value));
    }
  }

  template <class T>
  static YamlNode write_field(const Field& field, const T& value) {
    if constexpr (is_text_list<T>)
      if (field.is_path && value.size() == 1) return write_value(value.front());
    return write(value);
  }

  template <class T>
  static YamlNode write(const T& value) {
    if constexpr (is_vector<T>) {
      YamlNode list;
      list.kind = YamlNode::Kind::sequence;
      for (const auto& item : value) list.items.push_back(write(item));
      return list;
    } else if constexpr (HasFields<T>) {
      return write_fields(value);
    } else if constexpr (NamedEnum<T>) {
      return YamlNode::plain(std::string(enum_name(value)));
    } else {
      return write_value(value);
    }
  }
};

}  // namespace detail

template <HasFields T>
void read_fields(const YamlNode& map, T& config, YamlProblems& problems, const std::string& key) {
  if (!detail::expect_kind(map, YamlNode::Kind::map, key, problems)) return;
  detail::FieldReader reader{map, key, problems};
  config.visit_fields(reader);
  detail::report_unknown_keys(map, key, reader.known, problems);
}

template <HasFields T>
YamlNode write_fields(const T& config) {
  YamlNode map;
  map.kind = YamlNode::Kind::map;
  T copy = config;  // visit_fields is not const, as readers need it
  copy.visit_fields(detail::FieldWriter{map});
  return map;
}

}  // namespace qad
