// One verb's command line: says which arguments and options there are, binds each to a member of the verb's options
// struct, parses, prints `qad VERB --help`; or only describes them (verb_description.h). The only door to
// Boost.Program_options is command_line.cpp.
//
// Every mistake is an Error (usage) that names the nearest known option or choice.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/base/fields.h"
#include "qad/cli/verb_description.h"

namespace qad::cli {

class CommandLine {
 public:
  CommandLine(std::string_view verb, std::string_view summary, std::vector<std::string> arguments);
  /// One that is only described: parse() is false and sets nothing.
  CommandLine(std::string_view verb, std::string_view summary);
  ~CommandLine();

  /// The next positional argument, which must be there. `name` is as in the synopsis: RECIPE.
  CommandLine& positional(std::string_view name, std::string_view help, std::filesystem::path& target);
  CommandLine& positional(std::string_view name, std::string_view help, std::string& target);
  /// The next one, which may be left out.
  CommandLine& optional(std::string_view name, std::string_view help, std::string& target);
  /// All further positional arguments.
  CommandLine& rest(std::string_view name, std::string_view help, std::vector<std::string>& target);
  /// `rest` for `key.path=value`, which every one of them must look like.
  CommandLine& overrides(std::vector<std::string>& target);

  /// --name VALUE. The target keeps its default when the option is not given; a bool is a switch without value.
  template <class T>
  CommandLine& option(std::string_view name, std::string_view value_name, std::string_view help, T& target);
  /// The same, and it must be given.
  template <class T>
  CommandLine& required(std::string_view name, std::string_view value_name, std::string_view help, T& target);

  /// Fills the targets, sets threads and the terminal's log level. False when --help was asked for and printed.
  [[nodiscard]] bool parse();
  /// --threads, or 0.
  [[nodiscard]] int threads() const { return threads_; }
  /// What has been said of the verb; whole once parse() has been called.
  [[nodiscard]] const VerbDescription& description() const { return described_; }

 private:
  using Setter = std::function<void(const std::string& who, const std::string& value)>;
  void add_option(std::string_view name, std::string_view value_name, std::string_view help, bool is_required,
                  Setter set);
  void add_switch(std::string_view name, std::string_view help, bool& target);
  void add_argument(ArgumentDescription argument, std::function<void(const std::string&)> set);
  void add_common_options();
  [[nodiscard]] std::string help_text() const;
  void set_positional(const std::vector<std::string>& given);

  struct Options;  // in Boost's terms

  VerbDescription described_;
  std::optional<std::vector<std::string>> arguments_;                  // none: only described
  std::vector<std::function<void(const std::string&)>> set_argument_;  // one for each described argument
  bool rest_is_overrides_ = false;
  std::unique_ptr<Options> options_;
  std::int64_t wanted_threads_ = 0;
  bool help_ = false, quiet_ = false, verbose_ = false;
  int threads_ = 0;
};

namespace detail {

void convert(const std::string& who, const std::string& text, std::string& value);
void convert(const std::string& who, const std::string& text, std::filesystem::path& value);
void convert(const std::string& who, const std::string& text, std::int64_t& value);  ///< not negative
void convert(const std::string& who, const std::string& text, double& value);        ///< not negative
/// The index among `names`.
[[nodiscard]] std::size_t convert_choice(const std::string& who, const std::string& text,
                                         const std::vector<std::string_view>& names);

template <NamedEnum E>
void convert(const std::string& who, const std::string& text, E& value) {
  std::vector<std::string_view> names;
  for (const auto& entry : enum_names(E{})) names.push_back(entry.name);
  value = enum_names(E{})[convert_choice(who, text, names)].value;
}
template <class T>
void convert(const std::string& who, const std::string& text, std::optional<T>& value) {
  convert(who, text, value.emplace());
}

}  // namespace detail

template <class T>
CommandLine& CommandLine::option(std::string_view name, std::string_view value_name, std::string_view help, T& target) {
  if constexpr (std::is_same_v<T, bool>) add_switch(name, help, target);
  else
    add_option(name, value_name, help, false,
               [&target](const std::string& who, const std::string& text) { detail::convert(who, text, target); });
  return *this;
}

template <class T>
CommandLine& CommandLine::required(std::string_view name, std::string_view value_name, std::string_view help,
                                   T& target) {
  add_option(name, value_name, help, true,
             [&target](const std::string& who, const std::string& text) { detail::convert(who, text, target); });
  return *this;
}

}  // namespace qad::cli
