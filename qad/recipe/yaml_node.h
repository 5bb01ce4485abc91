// A YAML document as plain values: every node knows where it stands, keys keep their order. Reading text into it is
// yaml_tree.h, filling config structs from it yaml_fields.h, writing it yaml_text.h. The YAML library is not seen here.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace qad {

struct YamlPosition {
  std::string file;  ///< or `command line: "a.b=c"`, which has no line
  int line = 0;      ///< from 1; 0 where lines mean nothing
  int column = 0;    ///< from 1

  [[nodiscard]] std::string text() const;  ///< "file:12:3"
};

struct YamlNode {
  enum class Kind { null, scalar, sequence, map };
  struct Entry;

  Kind kind = Kind::null;
  YamlPosition at;
  std::string scalar;
  bool quoted = false;          ///< a quoted scalar is text, whatever it looks like
  std::vector<YamlNode> items;  ///< of a sequence
  std::vector<Entry> entries;   ///< of a map, in the order of the file

  [[nodiscard]] static YamlNode plain(std::string text);   ///< a number, true, an enum's name
  [[nodiscard]] static YamlNode string(std::string text);  ///< text; quoted when written, if it has to be
  /// The value of a map's key; null when absent or when this is no map.
  [[nodiscard]] const YamlNode* find(std::string_view key) const;
  /// The same along a dotted path, `train.lr` or `arms[1].name`.
  [[nodiscard]] const YamlNode* find_path(std::string_view dotted) const;
  /// Adds a key to a map.
  void add(std::string key, YamlNode value);
  /// What a message calls it: `a map`, `a list`, `nothing`, `"text"`.
  [[nodiscard]] std::string description() const;
};

struct YamlNode::Entry {
  std::string key;
  YamlPosition key_at;
  YamlNode value;
};

/// What is wrong with a recipe, collected so that all of it is told at once.
class YamlProblems {
 public:
  /// `key` is the dotted path at fault, or empty. The other three are those of qad::Problem.
  void add(const YamlPosition& at, std::string_view key, std::string expected, std::string got, std::string hint = "");
  /// What is allowed and may still be a mistake: nothing is thrown for it.
  void warn(const YamlPosition& at, std::string_view key, std::string_view text);
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }
  [[nodiscard]] bool empty() const { return problems_.empty(); }
  [[nodiscard]] std::size_t count() const { return problems_.size(); }
  /// Each a whole message, in the order of a file.
  [[nodiscard]] std::vector<std::string> lines() const;
  /// Throws one Error (ExitCode::usage) with a line for each of the first problems, if there are any. `what` names the
  /// recipe.
  void throw_if_any(std::string_view what) const;

 private:
  struct Problem {
    std::size_t file;  ///< in the order in which files were first at fault
    int line, column;
    std::string text;
  };
  std::vector<Problem> problems_;
  std::vector<std::string> warnings_;
  std::set<std::string, std::less<>> texts_;
  std::map<std::string, std::size_t, std::less<>> files_;
};

}  // namespace qad
