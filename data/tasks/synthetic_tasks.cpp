// The exact half of the synthetic texts: tasks that have one right answer, which stands in the text.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>

#include "data/tasks/synthetic_writer.h"

namespace qad::synthetic {
namespace {

// A number of one to four digits, every length alike.
std::int64_t any_length(Writer& w, std::int64_t most_digits) {
  constexpr std::array<std::int64_t, 5> kPowers = {1, 10, 100, 1000, 10000};
  const auto digits = static_cast<std::size_t>(w.number(1, most_digits));
  return w.number(digits == 1 ? 0 : kPowers[digits - 1], kPowers[digits] - 1);
}

std::string sums(Writer& w) {
  std::string text;
  while (text.size() < 90) {
    std::int64_t a = any_length(w, 4), b = any_length(w, 4);
    if (!text.empty()) text += "\n";
    switch (w.number(0, 3)) {
      case 0: text += fmt::format("{} * {} = {}", a % 100, b % 20, (a % 100) * (b % 20)); break;
      case 1:
        if (a < b) std::swap(a, b);
        text += fmt::format("{} - {} = {}", a, b, a - b);
        break;
      case 2: {
        const std::int64_t c = any_length(w, 2);
        text += fmt::format("{} + {} + {} = {}", a, b, c, a + b + c);
        break;
      }
      default: text += fmt::format("{} + {} = {}", a, b, a + b);
    }
  }
  return text;
}

// Addition digit by digit, with the carries.
std::string written_sum(Writer& w) {
  const std::int64_t a = w.number(100, 9999), b = w.number(100, 9999);
  std::string text = fmt::format("Add {} and {}.", a, b);
  std::int64_t x = a, y = b, carry = 0;
  while (x > 0 || y > 0) {
    const std::int64_t sum = x % 10 + y % 10 + carry;
    text += carry > 0 ? fmt::format(" {} + {} + {} = {}", x % 10, y % 10, carry, sum)
                      : fmt::format(" {} + {} = {}", x % 10, y % 10, sum);
    text += fmt::format(", write {}{}.", sum % 10, sum > 9 ? ", carry 1" : "");
    carry = sum / 10;
    x /= 10, y /= 10;
  }
  return text + fmt::format(" The sum is {}.", a + b);
}

std::string sorting(Writer& w) {
  if (w.chance(0.5)) {
    const Words kind = w.chance(0.5) ? Words::things : Words::animals;
    std::vector<std::string> list = w.different(kind, w.number(4, 8));
    const std::string given = fmt::format("{}", fmt::join(list, " "));
    std::sort(list.begin(), list.end());
    return fmt::format("sort: {}\nsorted: {}", given, fmt::join(list, " "));
  }
  std::vector<std::int64_t> list;
  for (std::int64_t i = w.number(6, 12); i > 0; --i) list.push_back(w.number(0, 99));
  const std::string given = fmt::format("{}", fmt::join(list, " "));
  std::sort(list.begin(), list.end());
  return fmt::format("sort: {}\nsorted: {}\nlargest: {}, smallest: {}", given, fmt::join(list, " "), list.back(),
                     list.front());
}

std::string reversing(Writer& w) {
  const Words kind = w.chance(0.5) ? Words::foods : Words::colours;
  std::vector<std::string> list = w.different(kind, w.number(4, 8));
  const std::string given = fmt::format("{}", fmt::join(list, " "));
  std::reverse(list.begin(), list.end());
  return fmt::format("list: {}\nreversed: {}\nlast: {}, first: {}", given, fmt::join(list, " "), list.front(),
                     list.back());
}

// Pairs, then questions about them in another order.
std::string recall(Writer& w) {
  const std::int64_t count = w.number(3, 5);
  const auto keys = w.different(w.chance(0.5) ? Words::girls : Words::boys, count);
  const bool with_numbers = w.chance(0.4);
  std::vector<std::string> values = w.different(w.chance(0.5) ? Words::things : Words::colours, count);
  if (with_numbers)
    for (std::string& value : values) value = std::to_string(w.number(100, 9999));
  std::string text;
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = 0; i < keys.size(); ++i)
    text += fmt::format("{}{} has {}", i == 0 ? "" : ", ", keys[i], values[i]);
  text += ".";
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(w.number(0, static_cast<std::int64_t>(i) - 1))]);
  for (const std::size_t i : order) text += fmt::format("\n{}? {}", keys[i], values[i]);
  return text;
}

std::string date_text(std::chrono::sys_days day) {
  constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                     "Thursday", "Friday", "Saturday"};
  constexpr std::array<std::string_view, 12> kMonths = {"January",   "February", "March",    "April",
                                                        "May",       "June",     "July",     "August",
                                                        "September", "October",  "November", "December"};
  const std::chrono::year_month_day date(day);
  return fmt::format("{} {} {} {}", kDays[std::chrono::weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                     kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()));
}

std::string calendar(Writer& w) {
  const std::chrono::sys_days start =
      std::chrono::sys_days(std::chrono::year(1990) / 1 / 1) + std::chrono::days(w.number(0, 14000));
  std::string text = fmt::format("Today is {}.", date_text(start));
  for (std::int64_t i = w.number(1, 3); i > 0; --i) {
    const std::int64_t days = w.number(1, 40);
    text += w.chance(0.7)
                ? fmt::format("\nIn {} it is {}.", counted(days, "day"), date_text(start + std::chrono::days(days)))
                : fmt::format("\n{} ago it was {}.", counted(days, "day"), date_text(start - std::chrono::days(days)));
  }
  return text;
}

// Assignments in Python, then what print shows.
std::string straight_program(Writer& w) {
  std::array<std::int64_t, 3> values{};
  constexpr std::array<char, 3> kNames = {'a', 'b', 'c'};
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = w.number(0, 20);
    text += fmt::format("{} = {}\n", kNames[i], values[i]);
  }
  for (std::int64_t line = w.number(2, 5); line > 0; --line) {
    const auto to = static_cast<std::size_t>(w.number(0, 2)), from = static_cast<std::size_t>(w.number(0, 2));
    const std::int64_t n = w.number(1, 9);
    switch (w.number(0, 3)) {
      case 0: text += fmt::format("{} = {} + {}\n", kNames[to], kNames[from], n), values[to] = values[from] + n; break;
      case 1: text += fmt::format("{} = {} - {}\n", kNames[to], kNames[from], n), values[to] = values[from] - n; break;
      case 2: text += fmt::format("{} = {}\n", kNames[to], kNames[from]), values[to] = values[from]; break;
      default: text += fmt::format("{0} = {0} + {1}\n", kNames[to], kNames[from]), values[to] += values[from];
    }
  }
  return text + fmt::format("print(a, b, c)\n# {}", fmt::join(values, " "));
}

std::string loop_program(Writer& w) {
  const std::int64_t start = w.number(0, 20), count = w.number(2, 6), step = w.number(1, 9);
  const std::string name(1, "snxt"[static_cast<std::size_t>(w.number(0, 3))]);
  std::string text =
      fmt::format("{0} = {1}\nfor i in range({2}):\n  {0} = {0} + {3}\n  print({0})\n", name, start, count, step);
  for (std::int64_t i = 1; i <= count; ++i) text += fmt::format("# {}\n", start + i * step);
  const bool is_big = start + count * step > 30;
  return text + fmt::format("if {} > 30: print('{}')\n# {}", name, "big", is_big ? "big" : "nothing");
}

// Words taken apart letter by letter.
std::string spelling(Writer& w) {
  constexpr std::array<Words, 4> kLists = {Words::things, Words::animals, Words::jobs, Words::foods};
  std::string text;
  while (text.size() < 80) {
    std::string word = w.word(w.any(std::span<const Words>(kLists)));
    if (!text.empty()) text += "\n";
    const char letter = word[static_cast<std::size_t>(w.number(0, static_cast<std::int64_t>(word.size()) - 1))];
    switch (w.number(0, 2)) {
      case 0: text += fmt::format("spell {}: {}", word, fmt::join(word, "-")); break;
      case 1:
        text += fmt::format("{} has {} letters, {} of them {}", word, word.size(),
                            std::count(word.begin(), word.end(), letter), letter);
        break;
      default: {
        const std::string given = word;
        std::reverse(word.begin(), word.end());
        text += fmt::format("{} backwards: {}", given, word);
      }
    }
  }
  return text;
}

// Arithmetic progressions and doublings, as long as they stay short.
std::string sequences(Writer& w) {
  std::string text;
  while (text.size() < 80) {
    if (!text.empty()) text += "\n";
    std::int64_t value = w.number(1, 60);
    const std::int64_t step = w.number(2, 15);
    const bool doubles = w.chance(0.25);
    text += doubles ? fmt::format("double: {}", value) : fmt::format("count by {}: {}", step, value);
    for (int i = 0; i < 7; ++i) {
      value = doubles ? 2 * value : value + step;
      text += fmt::format(" {}", value);
    }
  }
  return text;
}

std::string in_words(std::int64_t n) {
  constexpr std::array<std::string_view, 20> kSmall = {
      "zero", "one",    "two",    "three",    "four",     "five",    "six",     "seven",     "eight",    "nine",
      "ten",  "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
  constexpr std::array<std::string_view, 10> kTens = {"",      "",      "twenty",  "thirty", "forty",
                                                      "fifty", "sixty", "seventy", "eighty", "ninety"};
  const auto at = [](const auto& table, std::int64_t i) { return table[static_cast<std::size_t>(i)]; };
  const auto rest = [](std::int64_t part) { return part > 0 ? fmt::format(" {}", in_words(part)) : std::string(); };
  if (n >= 1000) return fmt::format("{} thousand{}", in_words(n / 1000), rest(n % 1000));
  if (n >= 100) return fmt::format("{} hundred{}", at(kSmall, n / 100), rest(n % 100));
  if (n >= 20)
    return fmt::format("{}{}{}", at(kTens, n / 10), n % 10 > 0 ? "-" : "", n % 10 > 0 ? at(kSmall, n % 10) : "");
  return std::string(at(kSmall, n));
}

std::string number_words(Writer& w) {
  std::string text;
  while (text.size() < 80) {
    const std::int64_t n = any_length(w, 4);
    if (!text.empty()) text += "\n";
    text += w.chance(0.5) ? fmt::format("{} is {}", n, in_words(n)) : fmt::format("{} is {}", in_words(n), n);
  }
  return text;
}

}  // namespace

std::string task(Writer& w) {
  using Maker = std::string (*)(Writer&);
  constexpr std::array<Maker, 13> kMakers = {sums,     sums,      written_sum, sorting,      reversing,
                                             recall,   recall,    calendar,    loop_program, straight_program,
                                             spelling, sequences, number_words};
  return w.any(std::span<const Maker>(kMakers))(w);
}

}  // namespace qad::synthetic
