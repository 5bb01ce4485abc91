// Patterns against Oniguruma (golden/splits.json, made by scripts/make_tokenizer_goldens.py), and tokenizer files that
// ask for too much: they end in an error of one line, soon.
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/regex.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using Ids = std::vector<std::int32_t>;
using Json = nlohmann::json;
using testing::error_of;

Json byte_level(bool use_regex = false) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

// A tokenizer.json whose tokens are the bytes as characters.
Json byte_tokenizer() {
  std::vector<std::string> characters;
  for (int byte = 0; byte < 256; ++byte) characters.push_back(byte_character(static_cast<unsigned char>(byte)));
  std::ranges::sort(characters);
  Json root = {{"model", {{"type", "BPE"}, {"vocab", Json::object()}, {"merges", Json::array()}}}};
  for (std::size_t id = 0; id < characters.size(); ++id) root["model"]["vocab"][characters[id]] = id;
  root["pre_tokenizer"] = byte_level();
  root["decoder"] = {{"type", "ByteLevel"}};
  return root;
}

BpeTokenizer tokenizer_of(const Json& root) {
  return BpeTokenizer(parse_tokenizer_json(root.dump(), "tokenizer.json"));
}

std::string refusal(const Json& root) {
  return error_of([&] { static_cast<void>(tokenizer_of(root)); });
}
std::string refusal_of_text(const Json& root, const std::string& text) {
  const BpeTokenizer tokenizer = tokenizer_of(root);
  return error_of([&] { static_cast<void>(tokenizer.encode(text, false)); });
}

TEST(Patterns, CutAsOnigurumaDoes) {
  int groups = 0;
  for (const Json& group :
       Json::parse(read_file(testing::source_dir() / "tests/data/golden/splits.json", "test data"))) {
    Json root = byte_tokenizer();
    const Json split = {{"type", "Split"},
                        {"pattern", {{"Regex", group.at("pattern")}}},
                        {"behavior", group.at("behavior")},
                        {"invert", group.at("invert")}};
    const Json marks = {
        {"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "always"}, {"split", false}};
    root["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, marks, byte_level()}}};
    const BpeTokenizer tokenizer = tokenizer_of(root);
    for (const Json& one : group.at("cases"))
      EXPECT_EQ(tokenizer.encode(one.at("text").get<std::string>(), false), one.at("ids").get<Ids>())
          << group.at("pattern") << " " << group.at("behavior") << " " << one.at("text");
    ++groups;
  }
  EXPECT_GE(groups, 40);
}

TEST(Patterns, ThatMeanAnotherThingToPcreAreRefused) {
  for (const char* pattern : {"[a&&b]", "[a[bc]]", "[[:alpha:]]", "a{,2}", "a{1,2}+", "a{2}?", "\\Qa\\E", "[\\W]",
                              "[\\H]", "(?i:ss)", "(?i)first", "(", "(?<=a*)b", "\\p{IsAlpha}"})
    EXPECT_NE(error_of([&] { static_cast<void>(Regex(pattern, "x")); }).find("a regular expression"), std::string::npos)
        << pattern;
  for (const char* pattern : {"\\p{L}+", "\\p{N}{1,3}", "\\{a\\}+", "a{x}+", "[\\[a]", "[]a]", "(?i:'s|'t)", "(?<n>a)"})
    EXPECT_EQ(error_of([&] { static_cast<void>(Regex(pattern, "x")); }), "no error") << pattern;
}

TEST(Patterns, ThatGoAstrayEndInAnError) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string text(5000, 'a');
  for (const char* pattern :
       {"(a+)+[b-d]", "(a|a)*[b-d]", "(a*)*[b-d]", "((a+)*)+[b-d]", "(?:a?){40}a{40}[b-d]", "(.+)+\\d"}) {
    Json root = byte_tokenizer();
    const Json split = {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
    root["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, byte_level()}}};
    testing::expect_mentions(refusal_of_text(root, text), {"finds its way in a text of 5000 bytes", "match limit"});
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST(Patterns, OfRealTokenizersTakeLongRunsOfAnything) {
  constexpr const char* kLlama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  for (const char* pattern : {kLlama3, kGpt2Pattern.data(), "(?:a|[^a])+", "(\\w|\\W)+"}) {
    const Regex regex(pattern, "x");
    for (const char* unit : {"a", " ", "\n", "1", "!", "\u00e9", "\u0301", " \n", "a1", "'"}) {
      std::string text;
      while (text.size() < 200'000) text += unit;
      std::size_t at = 0;
      for (auto match = regex.find(text, at); match && match->end > at; match = regex.find(text, at)) at = match->end;
      EXPECT_GE(at + 4, text.size()) << pattern << " " << unit;
    }
  }
}

TEST(Stages, ThatFeedEachOtherEndInAnError) {
  const auto replace = [](const char* from, const std::string& to) {
    return Json{{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
  };
  const auto sequence = [](const char* parts, const Json& step, int times) {
    Json steps = Json::array();
    for (int i = 0; i < times; ++i) steps.push_back(step);
    return Json{{"type", "Sequence"}, {parts, steps}};
  };
  constexpr const char* kSaid = "expected stages that write at most 64 bytes for one of a text";
  Json root = byte_tokenizer();
  root["normalizer"] = sequence("normalizers", replace("a", std::string(10, 'a')), 30);
  testing::expect_mentions(refusal_of_text(root, "banana"), {"tokenizer.json: ", kSaid});
  root["normalizer"] = replace("a", std::string(1 << 20, 'b'));  // all at once
  testing::expect_mentions(refusal_of_text(root, std::string(100'000, 'a')), {kSaid});
  root["normalizer"] = sequence("normalizers", {{"type", "Prepend"}, {"prepend", std::string(1000, 'x')}}, 200);
  testing::expect_mentions(refusal_of_text(root, "a"), {kSaid});
  root["normalizer"] = sequence("normalizers", replace("", "xy"), 30);  // matches between all characters
  testing::expect_mentions(refusal_of_text(root, "a"), {kSaid});
  root["normalizer"] = nullptr;
  root["pre_tokenizer"] = sequence("pretokenizers", byte_level(), 60);
  testing::expect_mentions(refusal_of_text(root, "\u00e9"), {kSaid});
  root = byte_tokenizer();
  root["decoder"] = sequence("decoders", replace("a", std::string(10, 'a')), 30);
  testing::expect_mentions(
      error_of([&] { static_cast<void>(tokenizer_of(root).decode(tokenizer_of(root).encode("a", false), false)); }),
      {kSaid});
  // An added token that is looked for in the normalized text goes through the same steps.
  root = byte_tokenizer();
  root["normalizer"] = sequence("normalizers", replace("a", std::string(10, 'a')), 30);
  root["added_tokens"] = {{{"id", 256}, {"content", "a"}, {"normalized", true}}};
  testing::expect_mentions(refusal(root), {kSaid});
  // Steps that only cost time.
  root = byte_tokenizer();
  root["normalizer"] = sequence("normalizers", replace("a", "b"), 300);
  testing::expect_mentions(refusal(root), {"expected a normalizer of at most 256 steps, got 300"});
  Json nested = replace("a", "b");
  for (int i = 0; i < 100; ++i) nested = {{"type", "Sequence"}, {"normalizers", {nested}}};
  root["normalizer"] = nested;
  testing::expect_mentions(refusal(root), {"nested at most 64 deep"});
}

TEST(Vocabulary, HasEveryIdOnceAndBelowALimit) {
  Json root = byte_tokenizer();
  root["model"]["vocab"]["!!"] = 0;
  testing::expect_mentions(refusal(root), {"a vocabulary that gives an id once, got 0 twice"});
  root = byte_tokenizer();
  root["model"]["vocab"]["!!"] = std::int64_t{1} << 31;
  testing::expect_mentions(refusal(root), {"got 2147483648"});
  root = byte_tokenizer();
  root["added_tokens"] = {{{"id", std::int64_t{1} << 31}, {"content", "<x>"}}};
  testing::expect_mentions(refusal(root), {"got 2147483648"});
  root["model"]["vocab"] = {"a", "b"};
  testing::expect_mentions(refusal(root), {"a vocabulary with ids by token, got array"});
  root = byte_tokenizer();
  root["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "__"}};
  testing::expect_mentions(refusal(root), {"a replacement among single characters, got \"__\""});
}

TEST(Template, GoesAroundTheTextOnce) {
  const auto special = [](const char* name) { return Json{{"SpecialToken", {{"id", name}, {"type_id", 0}}}}; };
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const auto with = [&](const Json& single) {
    Json tokens;
    for (const auto& [name, id] : {std::pair{"s", 1}, std::pair{"t", 2}})
      tokens[name] = {{"id", name}, {"ids", {id}}, {"tokens", {name}}};
    return Json{
        {"type", "TemplateProcessing"}, {"single", single}, {"pair", Json::array()}, {"special_tokens", tokens}};
  };
  Json root = byte_tokenizer();
  const std::int32_t letter = root["model"]["vocab"]["a"].get<std::int32_t>();
  root["post_processor"] = {{"type", "Sequence"},
                            {"processors", {with({special("s"), text}), with({special("t"), text, special("s")})}}};
  EXPECT_EQ(tokenizer_of(root).encode("a", true), (Ids{2, 1, letter, 1}));
  root["post_processor"] = with(Json::array({special("s")}));
  testing::expect_mentions(refusal(root), {"a template among those with the text once"});
  root["post_processor"] = with(Json::array({text, text}));
  testing::expect_mentions(refusal(root), {"a template among those with the text once"});
}

TEST(AddedTokens, OfManyLengthsAreFoundInTimeThatGrowsWithTheText) {
  Json root = byte_tokenizer();
  for (int length = 1; length <= 400; ++length)
    root["added_tokens"].push_back(
        {{"id", 255 + length}, {"content", std::string(static_cast<std::size_t>(length), '<') + ">"}});
  const BpeTokenizer tokenizer = tokenizer_of(root);
  const std::string run(400, '<');
  EXPECT_EQ(tokenizer.encode(run + "><>", false), (Ids{655, 256}));
  std::string text;
  for (int i = 0; i < 500; ++i) text += run + "a";
  EXPECT_EQ(tokenizer.encode(text, false).size(), text.size());
}

}  // namespace
}  // namespace qad
