#include "qad/cli/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>
#include <iostream>
#include <sstream>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/base/parallel.h"
#include "qad/recipe/nearest_name.h"

namespace qad::cli {

namespace po = boost::program_options;

namespace {

[[noreturn]] void usage_error(std::string who, std::string expected, std::string got, std::string hint = "") {
  throw Error({.who = std::move(who), .expected = std::move(expected), .got = std::move(got), .hint = std::move(hint)},
              ExitCode::usage);
}

template <class Number>
Number to_number(const std::string& who, const std::string& text, std::string_view kind) {
  Number number{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_whole = failure == std::errc() && end == text.data() + text.size();
  if (!is_whole || number < 0 || !std::isfinite(static_cast<double>(number)))
    usage_error(who, fmt::format("{} that is not negative", kind), fmt::format("\"{}\"", text));
  return number;
}

// `recipes explain KEY` has no `=`; an override has one after a dotted key.
bool looks_like_override(const std::string& text) {
  const std::size_t equals = text.find('=');
  return equals != std::string::npos && equals > 0 && text.front() != '-';
}

}  // namespace

struct CommandLine::Options {
  po::options_description all;
  std::vector<std::pair<std::string, Setter>> setters;
  std::vector<std::pair<std::string, bool*>> switches;

  Options() : all("options", 100) {}
};

CommandLine::CommandLine(std::string_view verb, std::string_view summary, std::vector<std::string> arguments)
    : CommandLine(verb, summary) {
  arguments_ = std::move(arguments);
}
CommandLine::CommandLine(std::string_view verb, std::string_view summary)
    : described_{std::string(verb), std::string(summary), {}, {}}, options_(std::make_unique<Options>()) {}
CommandLine::~CommandLine() = default;

void CommandLine::add_argument(ArgumentDescription argument, std::function<void(const std::string&)> set) {
  described_.arguments.push_back(std::move(argument));
  set_argument_.push_back(std::move(set));
}

CommandLine& CommandLine::positional(std::string_view name, std::string_view help, std::filesystem::path& target) {
  const std::string who(name);
  add_argument({who, std::string(help)},
               [&target, who](const std::string& text) { detail::convert(who, text, target); });
  return *this;
}

CommandLine& CommandLine::positional(std::string_view name, std::string_view help, std::string& target) {
  add_argument({std::string(name), std::string(help)}, [&target](const std::string& text) { target = text; });
  return *this;
}

CommandLine& CommandLine::optional(std::string_view name, std::string_view help, std::string& target) {
  add_argument({std::string(name), std::string(help), false}, [&target](const std::string& text) { target = text; });
  return *this;
}

CommandLine& CommandLine::rest(std::string_view name, std::string_view help, std::vector<std::string>& target) {
  add_argument({std::string(name), std::string(help), false, true},
               [&target](const std::string& text) { target.push_back(text); });
  return *this;
}

CommandLine& CommandLine::overrides(std::vector<std::string>& target) {
  rest_is_overrides_ = true;
  return rest("key.path=value", "sets a key of the recipe (see `qad recipes explain`)", target);
}

void CommandLine::add_option(std::string_view name, std::string_view value_name, std::string_view help,
                             bool is_required, Setter set) {
  const std::string text(name), help_text(help);
  options_->all.add_options()(text.c_str(), po::value<std::string>()->value_name(std::string(value_name)),
                              help_text.c_str());
  options_->setters.emplace_back(text, std::move(set));
  described_.options.push_back({text, '\0', std::string(value_name), help_text, is_required});
}

void CommandLine::add_switch(std::string_view name, std::string_view help, bool& target) {
  const std::string text(name), help_text(help);
  options_->all.add_options()(text.c_str(), po::bool_switch(), help_text.c_str());
  const std::size_t comma = text.find(',');
  const std::string long_name = text.substr(0, comma);
  options_->switches.emplace_back(long_name, &target);
  described_.options.push_back({long_name, comma == std::string::npos ? '\0' : text.back(), "", help_text, false});
}

void CommandLine::add_common_options() {
  option("threads", "N", "threads to use; 0: one a core. Results do not depend on it", wanted_threads_);
  add_switch("quiet,q", "warnings and errors only", quiet_);
  add_switch("verbose,v", "more on the terminal", verbose_);
  add_switch("help,h", "this text", help_);
}

std::string CommandLine::help_text() const {
  std::ostringstream text;
  text << "usage: " << described_.synopsis() << " [options]\n\n" << described_.summary << "\n";
  if (!described_.arguments.empty()) text << "\narguments:\n";
  for (const ArgumentDescription& argument : described_.arguments)
    text << fmt::format("  {:<22} {}\n", argument.name, argument.help);
  text << "\n" << options_->all;
  return text.str();
}

void CommandLine::set_positional(const std::vector<std::string>& given) {
  const std::string& who = described_.name;
  const std::vector<ArgumentDescription>& known = described_.arguments;
  const bool has_rest = !known.empty() && known.back().repeats;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (i >= known.size() && !has_rest)
      usage_error(who, "", fmt::format("one argument too many: \"{}\"", given[i]), "usage: " + described_.synopsis());
    const std::size_t place = std::min(i, known.size() - 1);
    if (known[place].repeats && rest_is_overrides_ && !looks_like_override(given[i]))
      usage_error(who, "key.path=value", fmt::format("\"{}\"", given[i]), "usage: " + described_.synopsis());
    set_argument_[place](given[i]);
  }
  if (given.size() < known.size() && known[given.size()].is_required)
    usage_error(who, "an argument " + known[given.size()].name, "none", "usage: " + described_.synopsis());
}

bool CommandLine::parse() {
  add_common_options();
  if (!arguments_) return false;

  const std::string& who = described_.name;
  po::options_description all = {};
  all.add(options_->all).add_options()("-positional-", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("-positional-", -1);
  po::variables_map values;
  try {
    // Without guessing: `--out` must not mean `--output` on the day that one is added.
    const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(*arguments_).options(all).positional(positional).style(style).run(), values);
  } catch (const po::unknown_option& error) {
    std::vector<std::string_view> known;
    for (const OptionDescription& option : described_.options) known.push_back(option.name);
    std::string name = error.get_option_name();
    name = name.substr(0, name.find('='));
    name.erase(0, name.find_first_not_of('-'));
    const std::string_view nearest = nearest_name(name, known);
    usage_error(who, "", fmt::format("unknown option {}", error.get_option_name()),
                nearest.empty() ? fmt::format("see qad {} --help", who) : fmt::format("did you mean --{}?", nearest));
  } catch (const po::error& error) {
    usage_error(who, "", error.what(), fmt::format("see qad {} --help", who));
  }

  for (const auto& [name, target] : options_->switches) *target = values[name].as<bool>();
  if (help_) {
    std::cout << help_text();
    return false;
  }
  for (const auto& [name, set] : options_->setters)
    if (values.count(name) != 0) set("--" + name, values[name].as<std::string>());
  for (const OptionDescription& option : described_.options)
    if (option.is_required && values.count(option.name) == 0)
      usage_error(who, "an option --" + option.name, "none", "usage: " + described_.synopsis());
  const bool has_positional = values.count("-positional-") != 0;
  set_positional(has_positional ? values["-positional-"].as<std::vector<std::string>>() : std::vector<std::string>());

  if (wanted_threads_ > 4096) usage_error("--threads", "at most 4096", fmt::format("{}", wanted_threads_));
  threads_ = static_cast<int>(wanted_threads_);
  set_threads(threads_);
  set_terminal_log_level(quiet_ ? LogLevel::warning : verbose_ ? LogLevel::debug : LogLevel::info);
  return true;
}

namespace detail {

void convert(const std::string&, const std::string& text, std::string& value) { value = text; }
void convert(const std::string& who, const std::string& text, std::filesystem::path& value) {
  if (text.empty()) usage_error(who, "a path", "an empty one");
  value = text;
}
void convert(const std::string& who, const std::string& text, std::int64_t& value) {
  value = to_number<std::int64_t>(who, text, "an integer");
}
void convert(const std::string& who, const std::string& text, double& value) {
  value = to_number<double>(who, text, "a number");
}

std::size_t convert_choice(const std::string& who, const std::string& text,
                           const std::vector<std::string_view>& names) {
  const auto found = std::find(names.begin(), names.end(), text);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  const std::string_view nearest = nearest_name(text, names);
  usage_error(who, fmt::format("{}", fmt::join(names, " | ")), fmt::format("\"{}\"", text),
              nearest.empty() ? "" : fmt::format("did you mean \"{}\"?", nearest));
}

}  // namespace detail
}  // namespace qad::cli
