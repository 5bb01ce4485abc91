#include "qad/cli/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>
#include <iostream>
#include <sstream>

#include "autograd/core/error.h"
#include "autograd/core/log.h"
#include "autograd/core/parallel.h"
#include "qad/recipe/nearest_name.h"

namespace qad::cli {

namespace po = boost::program_options;

namespace {

[[noreturn]] void usage_error(std::string who, std::string expected, std::string got, std::string hint = "") {
  throw Error({std::move(who), std::move(expected), std::move(got), std::move(hint)}, ExitCode::usage);
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

/// `recipes explain KEY` has no `=`; an override has one after a dotted key.
bool looks_like_override(const std::string& text) {
  const std::size_t equals = text.find('=');
  return equals != std::string::npos && equals > 0 && text.front() != '-';
}

}  // namespace

struct CommandLine::Description {
  po::options_description options;
  std::vector<std::pair<std::string, Setter>> setters;
  std::vector<std::string> required, names;
  std::vector<std::pair<std::string, bool*>> switches;
  std::string usage;  ///< of the required options, for the synopsis

  Description() : options("options", 100) {}
};

CommandLine::CommandLine(std::string_view verb, std::string_view summary, std::vector<std::string> arguments)
    : verb_(verb), summary_(summary), arguments_(std::move(arguments)), description_(std::make_unique<Description>()) {}
CommandLine::~CommandLine() = default;

CommandLine& CommandLine::positional(std::string_view name, std::string_view help, std::filesystem::path& target) {
  const std::string who(name);
  positional_.push_back(
      {who, std::string(help), [&target, who](const std::string& text) { detail::convert(who, text, target); }});
  return *this;
}

CommandLine& CommandLine::positional(std::string_view name, std::string_view help, std::string& target) {
  positional_.push_back({std::string(name), std::string(help), [&target](const std::string& text) { target = text; }});
  return *this;
}

CommandLine& CommandLine::rest(std::string_view name, std::string_view help, std::vector<std::string>& target) {
  rest_ =
      Positional{std::string(name), std::string(help), [&target](const std::string& text) { target.push_back(text); }};
  return *this;
}

CommandLine& CommandLine::overrides(std::vector<std::string>& target) {
  rest_is_overrides_ = true;
  return rest("key.path=value", "sets a key of the recipe (see `qad recipes explain`)", target);
}

void CommandLine::add_option(std::string_view name, std::string_view value_name, std::string_view help,
                             bool is_required, Setter set) {
  const std::string text(name), help_text(help);
  description_->options.add_options()(text.c_str(), po::value<std::string>()->value_name(std::string(value_name)),
                                      help_text.c_str());
  description_->setters.emplace_back(text, std::move(set));
  description_->names.push_back(text);
  if (!is_required) return;
  description_->required.push_back(text);
  description_->usage += fmt::format(" --{} {}", text, value_name);
}

void CommandLine::add_switch(std::string_view name, std::string_view help, bool& target) {
  const std::string text(name), help_text(help);
  description_->options.add_options()(text.c_str(), po::bool_switch(), help_text.c_str());
  const std::string long_name = text.substr(0, text.find(','));
  description_->names.push_back(long_name);
  description_->switches.emplace_back(long_name, &target);
}

std::string CommandLine::synopsis() const {
  std::string text = "qad " + verb_;
  for (const Positional& p : positional_) text += " " + p.name;
  if (rest_) text += fmt::format(" [{} ...]", rest_->name);
  return text + description_->usage;
}

std::string CommandLine::help_text() const {
  std::ostringstream text;
  text << "usage: " << synopsis() << " [options]\n\n" << summary_ << "\n\narguments:\n";
  for (const Positional& p : positional_) text << fmt::format("  {:<22} {}\n", p.name, p.help);
  if (rest_) text << fmt::format("  {:<22} {}\n", rest_->name, rest_->help);
  text << "\n" << description_->options;
  return text.str();
}

void CommandLine::set_positional(const std::vector<std::string>& given) {
  const std::string& who = verb_;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (i < positional_.size()) {
      positional_[i].set(given[i]);
    } else if (!rest_) {
      usage_error(who, "", fmt::format("one argument too many: \"{}\"", given[i]), "usage: " + synopsis());
    } else {
      if (rest_is_overrides_ && !looks_like_override(given[i]))
        usage_error(who, "key.path=value", fmt::format("\"{}\"", given[i]), "usage: " + synopsis());
      rest_->set(given[i]);
    }
  }
  if (given.size() < positional_.size())
    usage_error(who, "an argument " + positional_[given.size()].name, "none", "usage: " + synopsis());
}

bool CommandLine::parse() {
  std::int64_t wanted_threads = 0;
  option("threads", "N", "threads to use; 0: one a core. Results do not depend on it", wanted_threads);
  add_switch("quiet,q", "warnings and errors only", quiet_);
  add_switch("verbose,v", "more on the terminal", verbose_);
  add_switch("help,h", "this text", help_);

  const std::string& who = verb_;
  po::options_description all = {};
  all.add(description_->options).add_options()("-positional-", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("-positional-", -1);
  po::variables_map values;
  try {
    // Without guessing: `--out` must not mean `--output` on the day that one is added.
    const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(arguments_).options(all).positional(positional).style(style).run(), values);
  } catch (const po::unknown_option& error) {
    std::vector<std::string_view> known(description_->names.begin(), description_->names.end());
    std::string name = error.get_option_name();
    name = name.substr(0, name.find('='));
    name.erase(0, name.find_first_not_of('-'));
    const std::string_view nearest = nearest_name(name, known);
    usage_error(who, "", fmt::format("unknown option {}", error.get_option_name()),
                nearest.empty() ? fmt::format("see qad {} --help", who) : fmt::format("did you mean --{}?", nearest));
  } catch (const po::error& error) {
    usage_error(who, "", error.what(), fmt::format("see qad {} --help", who));
  }

  for (const auto& [name, target] : description_->switches) *target = values[name].as<bool>();
  if (help_) {
    std::cout << help_text();
    return false;
  }
  for (const auto& [name, set] : description_->setters)
    if (values.count(name) != 0) set("--" + name, values[name].as<std::string>());
  for (const std::string& name : description_->required)
    if (values.count(name) == 0) usage_error(who, "an option --" + name, "none", "usage: " + synopsis());
  const bool has_positional = values.count("-positional-") != 0;
  set_positional(has_positional ? values["-positional-"].as<std::vector<std::string>>() : std::vector<std::string>());

  if (wanted_threads > 4096) usage_error("--threads", "at most 4096", fmt::format("{}", wanted_threads));
  threads_ = static_cast<int>(wanted_threads);
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
