// The paths that a recipe names, wherever they stand in it.
#pragma once

#include <string>
#include <type_traits>

#include "qad/recipe/describe.h"

namespace qad {

/// A visitor of fields that puts change(path) in the place of each path. Words that a path's key knows stay, such as
/// `student.model: teacher`, and so does what is empty.
template <class Change>
struct PathChanger {
  Change change;

  template <class T>
  void operator()(const Field& field, T& value) const {
    if constexpr (detail::is_optional<T>) {
      if (value) (*this)(field, *value);
    } else if constexpr (detail::is_vector<T>) {
      for (auto& item : value) (*this)(field, item);
    } else if constexpr (HasFields<T>) {
      value.visit_fields(*this);
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (field.is_path && !value.empty() && value != field.path_word) value = change(value);
    }
  }
};
template <class Change>
PathChanger(Change) -> PathChanger<Change>;

}  // namespace qad
