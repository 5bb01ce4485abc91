#include "data/jinja/functions.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <iomanip>
#include <locale>
#include <sstream>

#include "data/jinja/failure.h"
#include "data/jinja/objects.h"
#include "data/jinja/printing.h"
#include "data/jinja/sequences.h"

namespace qad::jinja {
namespace {

constexpr std::array<std::string_view, 7> kFunctions = {
    "cycler", "dict", "joiner", "namespace", "range", "raise_exception", "strftime_now"};

Value range(const Arguments& arguments, Budget& budget) {
  arguments.check("range", {"start", "stop", "step"}, 1);
  if (!arguments.named.empty()) throw Failure{"arguments without names", arguments.named[0].first};
  std::array<std::int64_t, 3> bounds = {0, 0, 1};
  const std::size_t count = arguments.in_order.size();
  for (std::size_t i = 0; i < count; ++i)
    bounds[count == 1 ? 1 : i] = integer_of(arguments.in_order[i], "a range's bound");
  return make_range(bounds[0], bounds[1], bounds[2], budget);
}

// What dict() of Python makes: of a dict, or of pairs of key and value, and of named arguments.
Dict dict(const Arguments& arguments, Budget& budget) {
  Dict made;
  if (arguments.in_order.size() > 1) throw Failure{"at most one argument without a name", "more"};
  for (const Value& from : arguments.in_order) {
    if (const Dict* other = from.dict()) {
      for (const auto& [key, value] : other->entries()) add_entry(made, key, value, budget);
      continue;
    }
    const Items pairs = items_of(from, budget);
    for (const Value& pair : pairs.all) {
      const Items parts = items_of(pair, budget);
      if (parts.all.size() != 2) throw Failure{"pairs of a key and a value", pair.type()};
      add_entry(made, parts.all[0], parts.all[1], budget);
    }
  }
  for (const auto& [key, value] : arguments.named) add_entry(made, key, value, budget);
  return made;
}

Value make_namespace(const Arguments& arguments, Budget& budget) {
  Dict attributes = dict(arguments, budget);
  for (const auto& [key, value] : attributes.entries()) check_attribute(key);
  return Value(std::make_shared<Namespace>(std::move(attributes)));
}

std::tm day_of(const std::string& date) {
  std::tm day{};
  std::istringstream in(date);
  in.imbue(std::locale::classic());
  in >> std::get_time(&day, "%Y-%m-%d");
  if (in.fail()) throw Failure{"a date as YYYY-MM-DD", '\'' + date + '\''};
  day.tm_isdst = 0;
  const std::time_t seconds = ::timegm(&day);  // fills in the day of the week
  ::gmtime_r(&seconds, &day);
  return day;
}

// Python's strftime is the C library's, one directive after the other; of its flags we have those of glibc.
Value strftime_now(const Arguments& arguments, const std::string& date, Budget& budget) {
  arguments.check("strftime_now", {"format"}, 1);
  const std::tm day = day_of(date);
  std::string_view format = text_of(*arguments.find(0, "format"), "a format of dates");
  std::string text;
  Writer out(text, budget);
  for (std::size_t mark = 0; (mark = format.find('%')) != std::string_view::npos;) {
    budget.work(20);
    out.add(format.substr(0, mark));
    format.remove_prefix(mark);
    const std::size_t end = format.find_first_not_of("-_0^#EO", 1);
    if (end == std::string_view::npos) break;  // as it stands
    const std::string directive(format.substr(0, end + 1));
    if (directive.size() > 4 || directive.back() == 's' || directive.find('\0') != std::string::npos ||
        std::string_view("123456789").find(format[end]) != std::string_view::npos)
      throw Failure{"a directive of dates, such as %d", one_line(directive), kPart};
    std::array<char, 200> part{};
    const std::size_t size = directive == "%f" ? 0 : std::strftime(part.data(), part.size(), directive.c_str(), &day);
    out.add(directive == "%f"                        ? "000000"
            : directive == "%Z" || directive == "%z" ? ""
                                                     : std::string_view(part.data(), size));
    format.remove_prefix(end + 1);
  }
  out.add(format);
  return text;
}

}  // namespace

bool is_function(std::string_view name) { return std::ranges::find(kFunctions, name) != kFunctions.end(); }

std::string function_names() {
  std::string names;
  for (const std::string_view name : kFunctions) names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

Value call_function(const std::string& name, const Arguments& arguments, const std::string& date, Budget& budget) {
  budget.work();
  budget.make(256);  // the object, if it makes one
  if (name == "range") return range(arguments, budget);
  if (name == "strftime_now") return strftime_now(arguments, date, budget);
  if (name == "dict") return dict(arguments, budget);
  if (name == "namespace") return make_namespace(arguments, budget);
  if (name == "raise_exception") {
    arguments.check(name, {"message"}, 1);
    throw Failure{"", printed(*arguments.find(0, "message"), budget)};
  }
  if (name == "joiner") {
    arguments.check(name, {"sep"});
    const Value* separator = arguments.find(0, "sep");
    return Value(std::make_shared<Joiner>(separator != nullptr ? *separator : Value(", ")));
  }
  if (!arguments.named.empty() || arguments.in_order.empty()) throw Failure{"items to cycle through", "none"};
  ListBuilder items(budget);
  for (const Value& each : arguments.in_order) items.add(each);
  return Value(std::make_shared<Cycler>(items.take()));
}

}  // namespace qad::jinja
