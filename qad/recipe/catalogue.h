// The recipes that come along with the program: where they lie, what they are called, how a name becomes a file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace qad {

/// Where recipes are looked for, in this order: where $QAD_RECIPES says, and then nowhere else; `recipes` and
/// `share/qad/recipes` in the program's folder and in every folder above it; where `cmake --install` puts them.
[[nodiscard]] std::vector<std::filesystem::path> recipes_places();
/// The first of these places that has recipes; empty when none has. What $QAD_RECIPES names is taken as it is.
[[nodiscard]] std::filesystem::path recipes_folder();
/// The same; throws Error (usage) that says where it looked.
[[nodiscard]] std::filesystem::path require_recipes_folder();
/// "looked in A, B; QAD_RECIPES can name it", for who found none.
[[nodiscard]] std::string looked_in_places();

/// The recipes of a folder by name, sorted: their paths in it without ".yaml".
[[nodiscard]] std::vector<std::string> recipe_names(const std::filesystem::path& folder);

/// The catalogue's recipe of this name, with or without ".yaml".
[[nodiscard]] std::optional<std::filesystem::path> find_in_catalogue(const std::string& name);
/// Whether a file is one of the catalogue's, or lies where they do.
[[nodiscard]] bool is_in_catalogue(const std::filesystem::path& file);
/// `given` where it is a file, or else the catalogue's recipe of this name. Throws Error (usage) that tells the nearest
/// name, or where it looked.
[[nodiscard]] std::filesystem::path find_recipe(const std::filesystem::path& given);

}  // namespace qad
