// The synthetic texts: the same everywhere, right where they claim to be exact, varied, and of the promised shape.
#include "data/tasks/synthetic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace qad {
namespace {

const std::vector<std::string>& ten_thousand() {
  static const std::vector<std::string> kDocuments = synthetic_documents({});
  return kDocuments;
}

// Calls visit(match) for every match in every document and returns how many there were.
template <class Visit>
int for_each_match(const std::regex& pattern, Visit visit) {
  int count = 0;
  for (const std::string& text : ten_thousand())
    for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match, ++count)
      visit(*match);
  return count;
}

std::vector<std::string> split(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> out;
  for (std::string word; stream >> word;) out.push_back(word);
  return out;
}

TEST(Synthetic, SameTextsAsEver) {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (std::size_t i = 0; i < 1000; ++i)
    for (const char c : ten_thousand()[i] + "\n") hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  EXPECT_EQ(hash, 16937023511979081444u) << "the texts changed: a stored teacher was not trained on them";
}

TEST(Synthetic, ADocumentIsAFunctionOfSeedAndIndex) {
  EXPECT_EQ(synthetic_documents({.documents = 3, .first = 500}),
            std::vector<std::string>(ten_thousand().begin() + 500, ten_thousand().begin() + 503));
  EXPECT_EQ(synthetic_document(SyntheticMix::all, 1, 77), ten_thousand()[77]);
  EXPECT_NE(synthetic_document(SyntheticMix::all, 2, 77), ten_thousand()[77]);
}

TEST(Synthetic, ShortAsciiDocuments) {
  for (const std::string& text : ten_thousand()) {
    EXPECT_GE(text.size(), 60u);
    EXPECT_LE(text.size(), 250u);
    EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }))
        << text;
    EXPECT_EQ(text.find_first_of("{}"), std::string::npos) << text;
    EXPECT_EQ(text.find("  "), text.find("\n  ") == std::string::npos ? std::string::npos : text.find("\n  ") + 1)
        << text;
  }
}

TEST(Synthetic, Varied) {
  std::set<std::string> different(ten_thousand().begin(), ten_thousand().end()), types;
  EXPECT_GT(different.size(), 9'950u);
  const std::regex word("[A-Za-z]+");
  for_each_match(word, [&](const std::smatch& match) { types.insert(match.str()); });
  EXPECT_GT(types.size(), 900u);

  std::set<std::string> held_out;
  for (const std::string& text : synthetic_documents({.documents = 1000, .first = 1'000'000}))
    if (different.contains(text)) held_out.insert(text);
  EXPECT_LT(held_out.size(), 3u);
}

TEST(Synthetic, MixesAreWhatTheySay) {
  const std::regex task(
      R"(^(\d+ [-+*] \d|Add \d|sort:|list:|\w+ has \w+[,.]|Today is|[abcsnxt] = \d|spell |\w+ has \d+ letters|\w+ backwards|count by|double|\d+ is \w|[a-z -]+ is \d))");
  for (std::int64_t i = 0; i < 2000; ++i) {
    EXPECT_TRUE(std::regex_search(synthetic_document(SyntheticMix::tasks, 3, i), task))
        << synthetic_document(SyntheticMix::tasks, 3, i);
    EXPECT_FALSE(std::regex_search(synthetic_document(SyntheticMix::stories, 3, i), task))
        << synthetic_document(SyntheticMix::stories, 3, i);
  }
}

TEST(Synthetic, ArithmeticIsRight) {
  const std::regex equation(R"((\d+)((?: [-+*] \d+)+) = (-?\d+))"), term(R"( ([-+*]) (\d+))");
  const int count = for_each_match(equation, [&](const std::smatch& match) {
    std::int64_t value = std::stoll(match.str(1));
    const std::string rest = match.str(2);
    for (std::sregex_iterator next(rest.begin(), rest.end(), term), end; next != end; ++next) {
      const std::int64_t operand = std::stoll(next->str(2));
      if (next->str(1) == "+") value += operand;
      if (next->str(1) == "-") value -= operand;
      if (next->str(1) == "*") value *= operand;
    }
    EXPECT_EQ(value, std::stoll(match.str(3))) << match.str();
  });
  EXPECT_GT(count, 4000);
  EXPECT_GT(for_each_match(std::regex(R"(Add (\d+) and (\d+)\.[^]* The sum is (\d+)\.)"),
                           [](const std::smatch& match) {
                             EXPECT_EQ(std::stoll(match.str(1)) + std::stoll(match.str(2)), std::stoll(match.str(3)));
                           }),
            100);
}

TEST(Synthetic, StoriesCountRight) {
  const std::regex story(R"(^\w+ had (\d+) [^.]*\.(.*) Now \w+ has (\d+) \w)"),
      change(R"((bought|found|brought|gave|lost|took) (\d+))");
  const int count = for_each_match(story, [&](const std::smatch& match) {
    std::int64_t value = std::stoll(match.str(1));
    const std::string middle = match.str(2);
    for (std::sregex_iterator next(middle.begin(), middle.end(), change), end; next != end; ++next) {
      const bool gains = next->str(1) == "bought" || next->str(1) == "found" || next->str(1) == "brought";
      value += (gains ? 1 : -1) * std::stoll(next->str(2));
    }
    EXPECT_EQ(value, std::stoll(match.str(3))) << match.str();
  });
  EXPECT_GT(count, 300);
}

TEST(Synthetic, ThingsAreWhereTheyWerePutLast) {
  const std::regex story(R"(^\w+ put the [^]* Where is the (\w+)\? It is ([a-z ]+)\.$)");
  const int count = for_each_match(story, [&](const std::smatch& match) {
    const std::string text = match.str(), before = text.substr(0, text.find(" Where is"));
    const std::size_t named = before.rfind("the " + match.str(1) + " ");
    ASSERT_NE(named, std::string::npos) << text;
    EXPECT_NE(before.find(match.str(2) + ".", named), std::string::npos) << text;
    EXPECT_LT(before.find(match.str(2) + ".", named), before.find('.', named)) << text;
  });
  EXPECT_GT(count, 300);
}

TEST(Synthetic, ListsAreSortedAndReversed) {
  const int sorted = for_each_match(std::regex(R"(sort: (.*)\nsorted: (.*))"), [](const std::smatch& match) {
    auto given = split(match.str(1));
    const bool numbers = std::isdigit(static_cast<unsigned char>(given[0][0])) != 0;
    std::sort(given.begin(), given.end(), [&](const std::string& a, const std::string& b) {
      return numbers ? std::stoi(a) < std::stoi(b) : a < b;
    });
    EXPECT_EQ(given, split(match.str(2)));
  });
  const int reversed = for_each_match(std::regex(R"(list: (.*)\nreversed: (.*)\nlast: (\w+), first: (\w+))"),
                                      [](const std::smatch& match) {
                                        auto given = split(match.str(1));
                                        EXPECT_EQ(given.back(), match.str(3));
                                        EXPECT_EQ(given.front(), match.str(4));
                                        std::reverse(given.begin(), given.end());
                                        EXPECT_EQ(given, split(match.str(2)));
                                      });
  EXPECT_GT(std::min(sorted, reversed), 200);
}

TEST(Synthetic, RecallAnswersAreThePairs) {
  const std::regex pairs(R"((\w+ has \w+, )+\w+ has \w+\.)"), question(R"(\n(\w+)\? (\w+))");
  int questions = 0;
  for (const std::string& text : ten_thousand()) {
    const std::string first = text.substr(0, text.find('\n'));
    if (!std::regex_match(first, pairs)) continue;
    for (std::sregex_iterator next(text.begin(), text.end(), question), end; next != end; ++next, ++questions)
      EXPECT_NE(first.find(next->str(1) + " has " + next->str(2)), std::string::npos) << text;
  }
  EXPECT_GT(questions, 500);
}

TEST(Synthetic, ProgramsPrintWhatTheyCompute) {
  const std::regex line(R"(([abc]) = (?:([abc])|(\d+))(?: ([-+]) (?:([abc])|(\d+)))?\n)");
  const int count = for_each_match(
      std::regex(R"(^a = [^]*print\(a, b, c\)\n# (-?\d+) (-?\d+) (-?\d+)$)"), [&](const std::smatch& match) {
        std::map<std::string, std::int64_t> values;
        const std::string text = match.str();
        for (std::sregex_iterator next(text.begin(), text.end(), line), end; next != end; ++next) {
          const auto operand = [&](int name, int number) {
            return (*next)[static_cast<std::size_t>(name)].matched
                       ? values[next->str(static_cast<std::size_t>(name))]
                       : std::stoll(next->str(static_cast<std::size_t>(number)));
          };
          std::int64_t value = operand(2, 3);
          if (next->str(4) == "+") value += operand(5, 6);
          if (next->str(4) == "-") value -= operand(5, 6);
          values[next->str(1)] = value;
        }
        EXPECT_EQ(std::to_string(values["a"]) + " " + std::to_string(values["b"]) + " " + std::to_string(values["c"]),
                  match.str(1) + " " + match.str(2) + " " + match.str(3))
            << text;
      });
  EXPECT_GT(count, 200);
}

}  // namespace
}  // namespace qad
