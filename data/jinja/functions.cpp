#include "data/jinja/functions.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <iomanip>
#include <locale>
#include <sstream>

#include "data/jinja/failure.h"

namespace qad::jinja {
namespace {

constexpr std::array<std::string_view, 5> kFunctions = {"dict", "namespace", "raise_exception", "range",
                                                        "strftime_now"};
constexpr std::int64_t kLongestRange = 100'000;  // of Jinja's sandbox, too

Value range(const Arguments& arguments) {
  arguments.check("range", {"start", "stop", "step"}, 1);
  if (!arguments.named.empty()) throw Failure{"arguments without names", arguments.named[0].first};
  std::array<std::int64_t, 3> bounds = {0, 0, 1};
  const std::size_t count = arguments.in_order.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t* number = arguments.in_order[i].integer();
    if (number == nullptr) throw Failure{"integers for range", arguments.in_order[i].type()};
    bounds[count == 1 ? 1 : i] = *number;
  }
  const auto [start, stop, step] = bounds;
  if (step == 0) throw Failure{"a range step other than 0", "0"};
  List list;
  for (std::int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (static_cast<std::int64_t>(list.size()) == kLongestRange) throw Failure{"a range of at most 100000", "more"};
    list.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return list;
}

Value dict(const Arguments& arguments, bool is_namespace) {
  Dict made;
  if (arguments.in_order.size() > 1) throw Failure{"at most one argument without a name", "more"};
  for (const Value& from : arguments.in_order) {
    if (from.dict() == nullptr) throw Failure{"a dict", from.type()};
    made = *from.dict();
  }
  for (const auto& [key, value] : arguments.named) made.set(key, value);
  made.is_namespace = is_namespace;
  return made;
}

Value strftime_now(const Arguments& arguments, const std::string& date) {
  arguments.check("strftime_now", {"format"}, 1);
  std::tm day{};
  std::istringstream in(date);
  in.imbue(std::locale::classic());
  in >> std::get_time(&day, "%Y-%m-%d");
  if (in.fail()) throw Failure{"a date as YYYY-MM-DD", '\'' + date + '\''};
  day.tm_isdst = 0;
  const std::time_t seconds = ::timegm(&day);  // fills in the day of the week
  ::gmtime_r(&seconds, &day);
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << std::put_time(&day, arguments.find(0, "format")->text().c_str());
  return out.str();
}

}  // namespace

bool is_function(std::string_view name) { return std::ranges::find(kFunctions, name) != kFunctions.end(); }

std::string function_names() {
  std::string names;
  for (const std::string_view name : kFunctions) names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

Value call_function(const std::string& name, const Arguments& arguments, const std::string& date) {
  if (name == "range") return range(arguments);
  if (name == "strftime_now") return strftime_now(arguments, date);
  if (name == "raise_exception") {
    arguments.check(name, {"message"}, 1);
    throw Failure{"", arguments.find(0, "message")->text()};
  }
  return dict(arguments, name == "namespace");
}

}  // namespace qad::jinja
