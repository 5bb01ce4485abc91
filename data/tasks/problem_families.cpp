// The four families of data/tasks/problems.h.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "autograd/base/error.h"
#include "data/tasks/problem_writer.h"

namespace qad::problems {

using synthetic::counted;
using synthetic::Words;
using synthetic::Writer;

std::int64_t Work::step(std::string_view expression, std::int64_t value) {
  if (slips()) value += value % 10 == 9 ? -1 : value % 3 == 0 ? 10 : 1;
  steps += fmt::format(" {}={}", expression, value);
  return value;
}

void Work::step(std::string_view text) {
  steps += ' ';
  steps += text;
}

void write(ProblemFamily family, Writer& writer, Work& work) {
  switch (family) {
    case ProblemFamily::arithmetic: return arithmetic(writer, work);
    case ProblemFamily::word_problems: return word_problem(writer, work);
    case ProblemFamily::symbols: return symbols(writer, work);
    case ProblemFamily::programs: return program(writer, work);
  }
}

namespace {

// A result computed from two numbers, as a step "a*b=c".
std::int64_t times(Work& work, std::int64_t a, std::int64_t b) { return work.step(fmt::format("{}*{}", a, b), a * b); }
std::int64_t plus(Work& work, std::int64_t a, std::int64_t b) { return work.step(fmt::format("{}+{}", a, b), a + b); }
std::int64_t minus(Work& work, std::int64_t a, std::int64_t b) { return work.step(fmt::format("{}-{}", a, b), a - b); }

// Arithmetic as on paper: a column a step, from the right, with what is carried.

std::int64_t add_columns(Work& work, std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0, carry = 0, place = 1;
  for (; a > 0 || b > 0; a /= 10, b /= 10, place *= 10) {
    const std::string carried = carry == 0 ? "" : fmt::format("+{}", carry);
    const std::int64_t column = work.step(fmt::format("{}+{}{}", a % 10, b % 10, carried), a % 10 + b % 10 + carry);
    sum += column % 10 * place;
    carry = column / 10;
  }
  return sum + carry * place;
}

std::int64_t multiply_columns(Work& work, std::int64_t a, std::int64_t digit) {
  std::int64_t product = 0, carry = 0, place = 1;
  for (; a > 0; a /= 10, place *= 10) {
    const std::string carried = carry == 0 ? "" : fmt::format("+{}", carry);
    const std::int64_t column = work.step(fmt::format("{}*{}{}", a % 10, digit, carried), a % 10 * digit + carry);
    product += column % 10 * place;
    carry = column / 10;
  }
  return product + carry * place;
}

void addition(Writer& w, Work& work) {
  const std::int64_t a = w.number(100, 99999), b = w.number(100, 9999);
  work.question = fmt::format("{}+{}", a, b);
  work.answer = std::to_string(add_columns(work, a, b));
}

// What a column borrows from the next stands in its first number: 13-7, then one less.
void subtraction(Writer& w, Work& work) {
  std::int64_t a = w.number(1000, 99999), b = w.number(100, a - 1);
  work.question = fmt::format("{}-{}", a, b);
  std::int64_t difference = 0, borrowed = 0, place = 1;
  for (; a > 0; a /= 10, b /= 10, place *= 10) {
    std::int64_t digit = a % 10 - borrowed;
    borrowed = digit < b % 10 ? 1 : 0;
    digit += 10 * borrowed;
    difference += minus(work, digit, b % 10) * place;
  }
  work.answer = std::to_string(difference);
}

void short_multiplication(Writer& w, Work& work) {
  const std::int64_t a = w.number(100, 9999), digit = w.number(3, 9);
  work.question = fmt::format("{}*{}", a, digit);
  work.answer = std::to_string(multiply_columns(work, a, digit));
}

void long_multiplication(Writer& w, Work& work) {
  const std::int64_t a = w.number(12, 99), b = w.number(12, 99);
  work.question = fmt::format("{}*{}", a, b);
  const std::int64_t ones = multiply_columns(work, a, b % 10);
  const std::int64_t tens = multiply_columns(work, a, b / 10);
  work.answer = std::to_string(ones % 10 + 10 * add_columns(work, ones / 10, tens));
}

}  // namespace

void arithmetic(Writer& w, Work& work) {
  using Maker = void (*)(Writer&, Work&);
  constexpr std::array<Maker, 4> kMakers = {addition, subtraction, short_multiplication, long_multiplication};
  w.any(std::span<const Maker>(kMakers))(w, work);
}

void word_problem(Writer& w, Work& work) {
  const std::string name = w.word(w.chance(0.5) ? Words::girls : Words::boys);
  const std::string thing = w.word(w.chance(0.5) ? Words::things : Words::foods);
  const std::string_view box = w.any({"bags", "tins", "sacks", "jars", "boxes"});
  std::int64_t have = w.number(5, 40);  // what is true decides what is asked
  std::int64_t written = have;          // and this, with its slip, is what the steps say
  work.question = fmt::format("{} has {}", name, counted(have, thing));
  for (std::int64_t i = w.number(2, 3); i > 0; --i) {
    const std::int64_t n = w.number(2, 9), each = w.number(2, 9), few = w.number(2, 30);
    const std::int64_t event = w.number(0, 3);
    if (event == 0) {
      work.question += fmt::format(", buys {} {} of {}", n, box, each);
      have += n * each;
      written = plus(work, written, times(work, n, each));
    } else if (event == 1 && few < have) {
      work.question += fmt::format(", loses {}", few);
      have -= few;
      written = minus(work, written, few);
    } else if (event == 2 && have < 60) {
      work.question += ", doubles them";
      have *= 2;
      written = times(work, written, 2);
    } else {
      work.question += fmt::format(", gets {} more", few);
      have += few;
      written = plus(work, written, few);
    }
  }
  work.question += ". How many?";
  work.answer = std::to_string(written);
}

namespace {

void sort_numbers(Writer& w, Work& work) {
  std::vector<std::int64_t> list;
  for (std::int64_t i = w.number(4, 7); i > 0; --i) list.push_back(w.number(10, 99));
  work.question = fmt::format("sort {}", fmt::join(list, " "));
  std::sort(list.begin(), list.end());
  if (work.slips()) std::swap(list[1], list[2]);
  work.answer = fmt::format("{}", fmt::join(list, " "));
}

std::string letters(Writer& w, std::int64_t count, std::string_view alphabet) {
  std::string text;
  for (; count > 0; --count)
    text += alphabet[static_cast<std::size_t>(w.number(0, static_cast<std::int64_t>(alphabet.size()) - 1))];
  return text;
}

void reverse_letters(Writer& w, Work& work) {
  std::string text = letters(w, w.number(6, 12), "abcdefghijklmnopqrstuvwxyz");
  work.question = "reverse " + text;
  std::reverse(text.begin(), text.end());
  if (work.slips()) std::swap(text[2], text[3]);
  work.answer = text;
}

// Every letter with how often the one that is asked for has come.
void count_letter(Writer& w, Work& work) {
  const std::string text = letters(w, w.number(10, 18), "abcd");
  const char wanted = text[static_cast<std::size_t>(w.number(0, 9))];
  work.question = fmt::format("count {} in {}", wanted, text);
  std::string tally;
  int count = 0;
  for (const char letter : text) tally += fmt::format("{}{}", letter, count += letter == wanted && !work.slips());
  work.step(tally);
  work.answer = std::to_string(count);
}

// Which brackets close what is open, found by striking out pairs.
void close_brackets(Writer& w, Work& work) {
  constexpr std::string_view kOpen = "([{<", kClose = ")]}>";
  std::string text, open;
  for (std::int64_t i = w.number(6, 12); i > 0; --i) {
    if (!open.empty() && w.chance(0.4)) {
      text += kClose[kOpen.find(open.back())];
      open.pop_back();
    } else {
      open += letters(w, 1, kOpen);
      text += open.back();
    }
  }
  if (open.empty()) text += '(';
  work.question = "close " + text;
  for (;;) {  // pairs that touch, all at once
    std::string left;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const std::size_t kind = kOpen.find(text[i]);
      if (kind != std::string_view::npos && i + 1 < text.size() && text[i + 1] == kClose[kind]) ++i;
      else left += text[i];
    }
    if (left == text) break;
    text = left;
    if (work.slips()) text.pop_back();
    work.step(text);
  }
  std::reverse(text.begin(), text.end());
  for (char& bracket : text) {
    const std::size_t kind = kOpen.find(bracket);
    if (kind != std::string_view::npos) bracket = kClose[kind];
  }
  work.answer = text;
}

}  // namespace

void symbols(Writer& w, Work& work) {
  using Maker = void (*)(Writer&, Work&);
  constexpr std::array<Maker, 4> kMakers = {sort_numbers, reverse_letters, count_letter, close_brackets};
  w.any(std::span<const Maker>(kMakers))(w, work);
}

namespace {

// A line of the program with its numbers put in, then its value: "c=4*7=28".
void assignments(Writer& w, Work& work) {
  std::array<std::int64_t, 3> values{};   // what is true decides what is asked
  std::array<std::int64_t, 3> written{};  // and these, with their slip, are what the steps say
  const auto name = [](std::size_t i) { return static_cast<char>('a' + i); };
  for (std::size_t i = 0; i < 2; ++i) {
    values[i] = written[i] = w.number(2, 20);
    work.question += fmt::format("{}={};", name(i), values[i]);
  }
  std::size_t defined = 2, to = 0;
  for (std::int64_t line = w.number(2, 4); line > 0; --line) {
    const auto known = [&] { return static_cast<std::size_t>(w.number(0, static_cast<std::int64_t>(defined) - 1)); };
    const std::size_t from = known(), other = known();
    to = static_cast<std::size_t>(w.number(0, 2));
    const std::int64_t n = w.number(2, 9);
    const auto assign = [&](char sign, const std::string& right, std::int64_t put_in, std::int64_t said,
                            std::int64_t value) {
      work.question += fmt::format("{}={}{}{};", name(to), name(from), sign, right);
      written[to] = work.step(fmt::format("{}={}{}{}", name(to), written[from], sign, put_in), said);
      values[to] = value;
    };
    const std::string number = std::to_string(n), variable(1, name(other));
    const std::int64_t x = written[from], y = written[other];
    if (w.chance(0.3) && values[from] < 20) assign('*', number, n, x * n, values[from] * n);
    else if (w.chance(0.4)) assign('+', variable, y, x + y, values[from] + values[other]);
    else if (w.chance(0.5) && values[from] > values[other])
      assign('-', variable, y, x - y, values[from] - values[other]);
    else assign('+', number, n, x + n, values[from] + n);
    defined = std::max(defined, to + 1);
  }
  work.question += fmt::format("print({})", name(to));
  work.answer = std::to_string(written[to]);
}

void loop(Writer& w, Work& work) {
  std::int64_t value = w.number(2, 99);
  const std::int64_t count = w.number(3, 6), add = w.number(2, 39);
  work.question = fmt::format("x={};repeat {}:x=x+{};print(x)", value, count, add);
  for (std::int64_t i = 0; i < count; ++i) value = plus(work, value, add);
  work.answer = std::to_string(value);
}

void branch(Writer& w, Work& work) {
  const std::int64_t a = w.number(2, 40), b = w.number(2, 40), m = w.number(2, 5), n = w.number(2, 20);
  const bool more = w.chance(0.5);
  work.question = fmt::format("a={};b={};c=a+b;if a{}b:c=c*{};else:c=c+{};print(c)", a, b, more ? '>' : '<', m, n);
  const std::int64_t c = plus(work, a, b);
  work.step(fmt::format("{}{}{}", a, a > b ? '>' : a < b ? '<' : '=', b));
  work.answer = std::to_string((more ? a > b : a < b) ? times(work, c, m) : plus(work, c, n));
}

}  // namespace

void program(Writer& w, Work& work) {
  using Maker = void (*)(Writer&, Work&);
  constexpr std::array<Maker, 4> kMakers = {assignments, assignments, loop, branch};
  w.any(std::span<const Maker>(kMakers))(w, work);
}

}  // namespace qad::problems
