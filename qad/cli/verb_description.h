// What a verb takes, in words: from here come `qad help VERB`, the man pages and the completions of shells.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qad::cli {

/// An argument by its place.
struct ArgumentDescription {
  std::string name;  ///< RECIPE; or the words it may be: list|show|explain|check
  std::string help;
  bool is_required = true;
  bool repeats = false;  ///< any number of them, the last place
};

struct OptionDescription {
  std::string name;        ///< without its dashes
  char letter = '\0';      ///< of the short form, if it has one
  std::string value_name;  ///< empty: a switch; FILE; or the words it may be: best|last
  std::string help;
  bool is_required = false;
};

struct VerbDescription {
  std::string name, summary;
  std::vector<ArgumentDescription> arguments;
  std::vector<OptionDescription> options;

  /// `qad run RECIPE [key.path=value ...] --out DIR`: what must be given.
  [[nodiscard]] std::string synopsis() const;
};

/// What a shell offers in the place of a value.
enum class Completion { nothing, files, recipes, presets, verbs, words };
/// From the value's name: FILE, MODEL, DIR and their like are files, RECIPE a name or a file, PRESET the same with
/// names below presets/, small letters the words themselves.
[[nodiscard]] Completion completion_of(std::string_view value_name);
/// `best|last` as its words.
[[nodiscard]] std::vector<std::string> words_of(std::string_view value_name);

}  // namespace qad::cli
