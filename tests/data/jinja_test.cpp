// The interpreter of Jinja: small pieces are equal to what Python's jinja2 makes of them, numbers are Python's, and
// what is refused is refused with its line.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "data/jinja/evaluator.h"
#include "data/jinja/json.h"
#include "data/jinja/parser.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad::jinja {
namespace {

using testing::error_of;
using testing::expect_mentions;

std::string run(const std::string& source, std::string_view variables = "{}") {
  const Environment environment{"t", *read_json(variables, "variables").dict(), "2025-03-09", {}};
  return run_template(parse_template(source, "t"), environment).text;
}

std::string message(const std::string& source) {
  return error_of([&] { run("one\ntwo\n" + source); });
}

TEST(Jinja, PiecesEqualPythons) {
  const auto golden =
      nlohmann::json::parse(read_file(testing::source_dir() / "tests/data/golden/chat_templates.json", "goldens"));
  const std::string variables = golden.at("variables");
  for (const auto& piece : golden.at("pieces")) {
    const std::string source = piece.at("source");
    std::string text;
    const std::string error = error_of([&] { text = run(source, variables); });
    if (piece.at("text").is_null()) EXPECT_NE(error, "no error") << source << "\n" << text;
    else EXPECT_EQ(error == "no error" ? text : error, piece.at("text").get<std::string>()) << source;
  }
}

TEST(Jinja, IntegersHaveNoBound) {
  const auto shown = [](const std::string& number) {
    return run("{{ n }} {{ n | tojson }} {{ [n] }} {{ n ~ '' }}", R"({"n": )" + number + "}");
  };
  for (const std::string number :
       {"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
        "18446744073709551615", "18446744073709551616", "12345678901234567890123", "-98765432109876543210987654321"}) {
    EXPECT_EQ(shown(number), number + ' ' + number + " [" + number + "] " + number);
    EXPECT_EQ(run("{{ " + number + " }}"), number);
  }
  expect_mentions(error_of([&] { shown("1E400"); }), {"variables: expected JSON", "number overflow"});
}

TEST(Jinja, FloatsArePythons) {
  EXPECT_EQ(run("{{ n }} {{ n | tojson }}", R"({"n": [1e22, 1e+16, 123456789.0, -0.0, 1e-7, 0.1, 5e-324, 1E5]})"),
            "[1e+22, 1e+16, 123456789.0, -0.0, 1e-07, 0.1, 5e-324, 100000.0] "
            "[1e+22, 1e+16, 123456789.0, -0.0, 1e-07, 0.1, 5e-324, 100000.0]");
  EXPECT_EQ(run("{{ 'inf' | float }} {{ ['-inf' | float, 'nan' | float] | tojson }}"), "inf [-Infinity, NaN]");
  EXPECT_EQ(run("{{ n }}", R"({"n": -0})"), "0");
}

TEST(Jinja, ArithmeticBeyond64BitsIsRefused) {
  expect_mentions(message("{{ 9223372036854775807 + 1 }}"), {"t:3: expected a result of + within 64 bits"});
  expect_mentions(message("{{ 2 ** 63 }}"), {"a result of ** within 64 bits"});
  expect_mentions(message("{{ 10 ** 10 ** 10 }}"), {"a result of ** within 64 bits"});
  expect_mentions(message("{{ 99999999999999999999 + 1 }}"), {"integers within 64 bits for +"});
  expect_mentions(message("{{ (-9223372036854775807 - 1) // -1 }}"), {"a result of // within 64 bits"});
  expect_mentions(message("{{ 9007199254740993 / 2 }}"), {"integers within 53 bits for /"});
  EXPECT_EQ(run("{{ 2 ** 62 }} {{ (-2) ** 63 }} {{ 1 ** 99999999999 }} {{ -99999999999999999999 }}"),
            "4611686018427387904 -9223372036854775808 1 -99999999999999999999");
  expect_mentions(message("{{ '" + std::string(5000, '1') + "' | length }}{{ " + std::string(5000, '1') + " }}"),
                  {"t:3", "an integer of at most 4300 digits", "5000"});
}

TEST(Jinja, KeysMayBeNone) {
  EXPECT_EQ(
      run("{{ {none: 1, true: 2, 3: none} }} {{ {none: 1}[none] }} {{ {none: 1} | tojson }} {{ {none: 1}.get(none) }}"),
      R"({None: 1, True: 2, 3: None} 1 {"null": 1} 1)");
  EXPECT_EQ(
      run("{{ d.k is none }} {{ d.z is defined }} {{ d.k or 'x' }} {{ d.z or 'y' }} {{ d }}", R"({"d": {"k": null}})"),
      "True False x y {'k': None}");
}

TEST(Jinja, ANamespaceMayHoldItself) {
  EXPECT_EQ(run("{% set ns = namespace(n=1) %}{% set ns.self = [ns] %}{{ ns.self[0].n }}"), "1");
  EXPECT_EQ(
      run("{% set ns = namespace() %}{% macro f() %}{{ ns.f is defined }}{% endmacro %}{% set ns.f = f %}{{ f() }}"),
      "True");
  EXPECT_EQ(run("{% for i in [1, 2] %}{% macro f() %}{{ i }}{% endmacro %}{% set g = f %}{{ loop.changed([loop, g]) }}"
                "{{ g() }}{% endfor %}"),
            "True1True2");
}

TEST(Jinja, RefusesWithLineAndWord) {
  expect_mentions(message("{% include 'x' %}"), {"t:3: expected a tag among for", "'include'", "part of Jinja"});
  expect_mentions(message("{{ 'a' | wordwrap }}"), {"t:3: expected a filter among abs", "'wordwrap'"});
  expect_mentions(message("{% if true %}{{ 'a' | wordwrap }}{% endif %}"), {"t:3: expected a filter among abs"});
  EXPECT_EQ(run("{% if false %}{{ 'a' | wordwrap }}{% endif %}b"), "b");
  expect_mentions(message("{{ 'a' is odder }}"), {"t:3: expected a test among", "'odder'"});
  expect_mentions(message("\n{{ 'a'.translate(3) }}"), {"t:4: the method 'translate' of text is not supported"});
  expect_mentions(message("{{ lipsum() }}"), {"t:3", "a function among cycler", "'lipsum' is undefined"});
  expect_mentions(message("{{ [].append(1) }}"), {"t:3: access to attribute 'append' of 'list' object is unsafe"});
  expect_mentions(message("{{ missing.x }}"), {"t:3: 'missing' is undefined"});
  expect_mentions(message("{{ {}.x.y }}"), {"t:3: 'dict object' has no attribute 'x'"});
  expect_mentions(message("{{ raise_exception('Roles must\\nalternate') }}"), {"t:3: Roles must alternate"});
  expect_mentions(message("{% if true %}\nx"), {"t:3", "endif", "'if'"});
  expect_mentions(message("{% break %}"), {"t:3", "'break'"});
  expect_mentions(message("{% endif %}"), {"t:3", "'endif'"});
  expect_mentions(message("{{ 'abc }}"), {"t:3", "an end of the string"});
  expect_mentions(message("{# abc"), {"t:3", "#}"});
  expect_mentions(message("{% raw %} abc"), {"t:3", "endraw"});
  expect_mentions(message("{{ (1]) }}"), {"t:3", "']' without its '['"});
  expect_mentions(message("{{ '\u03a3' | lower }}"), {"t:3", "sigma"});
  expect_mentions(message("{{ '\u00e9'.isalpha() }}"), {"t:3", "ASCII"});
  expect_mentions(message("{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}"),
                  {"t:3", "arguments that the macro 'f' takes, got 2"});
  expect_mentions(message("{% macro f(a) %}{% endmacro %}{{ f(b=1) }}"), {"t:3", "'b'"});
  expect_mentions(message("{{ range(3) | map('upper') }}"), {"t:3", "a value that can be printed, got generator"});
  expect_mentions(message("{{ {[1]: 2} }}"), {"t:3", "a key that can be looked up", "list"});
  expect_mentions(message("{{ strftime_now('%9999d') }}"), {"t:3", "a directive of dates"});
}

TEST(Jinja, ReadsWhatIsNoTemplateAsText) {
  EXPECT_EQ(run(std::string("a\0b{ % } {} }} %} #}", 20)), std::string("a\0b{ % } {} }} %} #}", 20));
  expect_mentions(message("\xff"), {"t: expected UTF-8 text", "0xff"});
  expect_mentions(message(std::string("{{ \0 }}", 7)), {"t:3", "an expression"});
}

}  // namespace
}  // namespace qad::jinja
