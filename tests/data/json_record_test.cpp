// Records with what JSON does not know: harmless where nobody reads it, an error with file, line and key where somebody
// does.
#include "data/text/json_record.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/support/error_of.h"

namespace qad {
namespace {

using testing::error_of;
using testing::expect_mentions;

JsonRecord record(std::string_view line) { return {line, "a.jsonl:7"}; }

std::string text_of(std::string_view line, const char* key = "text") {
  return record(line).find(key)->get<std::string>();
}

TEST(JsonRecord, WhatNobodyReadsMayBeAnything) {
  for (const char* value :
       {"NaN", "Infinity", "-Infinity", "1e999", "-1e999", "123456789012345678901234567890", "-9223372036854775809",
        R"("\ud800")", R"("a\udc00b")", R"("\ud800\ud800")", R"({"a": 1, "a": 2})", R"([[NaN], {"b": [Infinity]}])",
        R"({"k\ud800": 1})", "1e-999", "0.1", "18446744073709551615"}) {
    const std::string line = std::string(R"({"before": 1, "score": )") + value + R"(, "text": "abc"})";
    EXPECT_EQ(text_of(line), "abc") << line;
    EXPECT_TRUE(record(line).has("score"));
  }
  const std::string deep(1000, '['), shallow(1000, ']');
  EXPECT_EQ(text_of("{\"deep\": " + deep + "1" + shallow + ", \"text\": \"abc\"}"), "abc");
  EXPECT_EQ(text_of(R"({"score": 1, "score": 2, "text": "abc"})"), "abc");
  EXPECT_EQ(text_of(R"({"\ud800": 1, "text": "abc"})"), "abc");
}

TEST(JsonRecord, WhatIsReadMayNot) {
  const auto refusal = [](const std::string& value) {
    return error_of([&] { static_cast<void>(record("{\"text\": " + value + ", \"other\": NaN}").find("text")); });
  };
  EXPECT_EQ(refusal("NaN"), "a.jsonl:7: text: expected text, or a number that is finite, got NaN");
  EXPECT_EQ(refusal("[{\"content\": -Infinity}]"),
            "a.jsonl:7: text: expected text, or a number that is finite, got -Infinity");
  EXPECT_EQ(refusal("[[NaN]]"), "a.jsonl:7: text: expected text, or a number that is finite, got NaN");
  EXPECT_EQ(refusal("1e999"), "a.jsonl:7: text: expected numbers of at most 64 bits, got 1e999");
  EXPECT_EQ(refusal("[18446744073709551616]"),
            "a.jsonl:7: text: expected numbers of at most 64 bits, got 18446744073709551616");
  EXPECT_EQ(refusal(R"("ab\ud83dcd")"),
            "a.jsonl:7: text: expected characters, got half of one, the lone surrogate \\ud83d");
  EXPECT_EQ(refusal(R"({"a": {"b": 1, "b": 2}})"),
            "a.jsonl:7: text: expected every key once, got 'b' twice in one object");
  EXPECT_EQ(refusal(R"("a", "text": "b")"), "a.jsonl:7: text: expected every key once, got 'text' twice in one object");
  EXPECT_EQ(refusal(std::string(65, '[') + std::string(65, ']')),
            "a.jsonl:7: text: expected JSON nested at most 64 deep, got more");
  EXPECT_EQ(error_of([&] { static_cast<void>(record(R"({"te\u0078t": NaN})").find("text")); }),
            "a.jsonl:7: text: expected text, or a number that is finite, got NaN");
}

TEST(JsonRecord, DeepInAValueTheyAreNumbers) {
  const JsonRecord some = record(
      R"({"m": [{"a": "x,[{", "s\u0063ore": NaN}, {"p": [1, [2, -Infinity], {"q": 1e999}], "content": "c"}], "n": 1})");
  const nlohmann::ordered_json& messages = *some.find("m");
  EXPECT_TRUE(std::isnan(messages[0]["score"].get<double>()));
  EXPECT_EQ(messages[1]["p"][1][1].get<double>(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(messages[1]["p"][2]["q"].get<double>(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(messages[1]["p"][0], 1);
  EXPECT_EQ(messages[1]["content"], "c");
}

TEST(JsonRecord, KeepsWhatIsRight) {
  EXPECT_EQ(text_of(R"({"text": "NaN, Infinity: 1e999 \\ud800 \ud83d\ude00 \"NaN\""})"),
            "NaN, Infinity: 1e999 \\ud800 \xf0\x9f\x98\x80 \"NaN\"");
  EXPECT_EQ(*record(R"({"n": [9223372036854775807, 18446744073709551615, -9223372036854775808, 1.5]})").find("n"),
            nlohmann::ordered_json::parse("[9223372036854775807, 18446744073709551615, -9223372036854775808, 1.5]"));
  const JsonRecord some = record(R"({"b": null, "a": {"z": 1, "y": 2}})");
  EXPECT_EQ(some.find("b"), nullptr);
  EXPECT_EQ(some.find("c"), nullptr);
  EXPECT_EQ(some.find("a")->dump(), R"({"z":1,"y":2})");
  EXPECT_EQ(some.keys(), "b, a");
}

TEST(JsonRecord, SaysWhereALineIsNoJson) {
  const auto refusal = [](const std::string& line) { return error_of([&] { record(line); }); };
  expect_mentions(refusal(R"({"text": )"), {"a.jsonl:7:9: expected JSON"});
  expect_mentions(refusal(R"({"x": NaN, "text": nan})"), {"a.jsonl:7:21: expected JSON"});  // NaN moves nothing
  expect_mentions(refusal(R"({"text": "a"},)"), {"a.jsonl:7:14: expected JSON", "without commas between them"});
  expect_mentions(refusal("[1]"), {"a.jsonl:7: expected a JSON object, got array"});
  expect_mentions(refusal("NaN"), {"a.jsonl:7: expected a JSON object, got number"});
  for (const char* broken : {"", "{", "{\"", "{\"a", "{\"a\\", "{\"a\\u", "{\"\\ud800", "-", "{\"a\":-}", "\"",
                             "{\"a\":1e}", "{\"a\":+1}", "{\"a\":NaNNaN}", "{\"a\":-NaN}", "}", "]", "\\"})
    EXPECT_NE(refusal(broken).find("a.jsonl:7"), std::string::npos) << broken;
}

}  // namespace
}  // namespace qad
