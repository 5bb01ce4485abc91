// JSON of other programs: what is refused, where it is, and the numbers that Python writes and JSON does not have.
#include "data/files/json_file.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/error_of.h"

namespace qad {
namespace {

using testing::error_of;
using testing::expect_mentions;

std::string refusal(const std::string& text) {
  return error_of([&] { static_cast<void>(parse_json(text, "f.json")); });
}
std::string python_refusal(const std::string& text) {
  return error_of([&] { static_cast<void>(parse_python_json(text, "f.json")); });
}

TEST(Json, IsWhatTheLibraryMakesOfIt) {
  for (const char* text :
       {"null", "true", "-3", "18446744073709551615", "1e-3", "\"\\u00e9\\n\"", "[]", "{}", "[[],{},[1,[2]]]",
        R"({"b": [1, {"a": null}], "a": {"b": "x", "c": [true, 2.5]}, "": {}})"}) {
    EXPECT_EQ(parse_json(text, "f.json"), nlohmann::json::parse(text)) << text;
    EXPECT_EQ(parse_python_json(text, "f.json"), nlohmann::ordered_json::parse(text)) << text;
    EXPECT_EQ(parse_python_json(text, "f.json").dump(), nlohmann::ordered_json::parse(text).dump()) << text;
  }
}

TEST(Json, MistakesAreTold) {
  for (const auto& said : {refusal("{\"a\": 1,\n  oops}"), python_refusal("{\"a\": 1,\n  oops}")})
    expect_mentions(said, {"f.json:2:3: expected JSON, got"});
  for (const auto& said : {refusal(R"({"a": {"b": 1, "b": 2}})"), python_refusal(R"({"a": {"b": 1, "b": 2}})")})
    EXPECT_EQ(said, "f.json: expected every key once, got 'b' twice in one object");
  EXPECT_EQ(refusal(R"([{"a": 1}, {"a": {"a": 2}}])"), "no error");
  const std::string deep(64, '['), deeper(65, '[');
  EXPECT_EQ(refusal(deep + std::string(64, ']')), "no error");
  expect_mentions(refusal(deeper), {"nested at most 64 deep"});
  expect_mentions(python_refusal(std::string(100000, '{')), {"JSON"});
  for (const char* text : {"", "{", "[1,", "{\"a\": \"", "1 2", "\"\xff\"", "nul"}) {
    EXPECT_NE(refusal(text), "no error") << text;
    EXPECT_NE(python_refusal(text), "no error") << text;
  }
  expect_mentions(python_refusal("{\"a\": [1, "), {"is the file cut off?"});
}

TEST(Json, PythonsNumbersAreTagged) {
  const auto read = [](const char* text) { return parse_python_json(text, "f.json").dump(); };
  EXPECT_EQ(read("[NaN, Infinity, -Infinity]"),
            R"([{"__float__":"NaN"},{"__float__":"Infinity"},{"__float__":"-Infinity"}])");
  EXPECT_EQ(read("[1e999, -1e999, 1e308, 0.5, -7]"),
            R"([{"__float__":"Infinity"},{"__float__":"-Infinity"},1e+308,0.5,-7])");
  EXPECT_EQ(read(R"({"NaN": "Infinity \" NaN", "a": "\\"})"), R"({"NaN":"Infinity \" NaN","a":"\\"})");
  EXPECT_EQ(read("NaN"), R"({"__float__":"NaN"})");
  for (const char* text : {"[NaN", "[Infinityy]", "[+Infinity]", "[-NaN]", "[1 Infinity]", "[nan]", "{NaN: 1}"})
    EXPECT_NE(python_refusal(text), "no error") << text;
  expect_mentions(python_refusal("[NaN, Infinity, oops]"), {"f.json:1:17: expected JSON"});
  for (const char* text : {"[NaN]", "[Infinity]", "[1e999]"}) EXPECT_NE(refusal(text), "no error") << text;
}

}  // namespace
}  // namespace qad
