// Templates are programs from strangers: whatever they do, they end with a result or an Error, within their limits and
// a small stack.
#include <gtest/gtest.h>
#include <pthread.h>

#include <functional>

#include "autograd/base/interrupt.h"
#include "data/jinja/evaluator.h"
#include "data/jinja/failure.h"
#include "data/jinja/json.h"
#include "data/jinja/parser.h"
#include "data/text/chat_template.h"
#include "tests/support/error_of.h"

namespace qad::jinja {
namespace {

using testing::error_of;
using testing::expect_mentions;

std::string run_limited(const std::string& source, const Limits& limits = {}) {
  const Environment environment{"t", *read_json(R"({"m": [{"role": "user", "content": "hi"}]})", "v").dict(),
                                "2025-03-09", limits};
  return run_template(parse_template(source, "t"), environment).text;
}

std::string times(int count, const std::string& text) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

// 2 MiB of stack, as some threads have; sanitizers take more, and longer for a step.
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
constexpr std::size_t kStack = std::size_t{32} << 20;
constexpr std::int64_t kEnoughSteps = 100'000;
#else
constexpr std::size_t kStack = std::size_t{2} << 20;
constexpr std::int64_t kEnoughSteps = 1'000'000;
#endif

void on_small_stack(const std::function<void()>& action) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, kStack), 0);
  pthread_t thread{};
  const auto start = [](void* given) -> void* {
    (*static_cast<const std::function<void()>*>(given))();
    return nullptr;
  };
  std::function<void()> held = action;
  ASSERT_EQ(pthread_create(&thread, &attributes, start, &held), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

struct Hostile {
  const char* name;
  std::string source;
  const char* refusal;  // part of the message; "" if it ends well
};

constexpr const char* kSteps = "a template that comes to an end";
constexpr const char* kBytes = "bytes of texts and lists";
constexpr const char* kPrinted = "bytes of text, got more";
constexpr const char* kDeepValues = "lists and dicts nested at most 200 deep";
constexpr const char* kDeepRun = "within each other at most 1000 deep";
constexpr const char* kLinks = "expressions of at most 200 links";
constexpr const char* kBrackets = "expressions nested at most 100 deep";

std::vector<Hostile> hostile_templates() {
  const std::string ns = "{% set ns = namespace(x=['a'], y=['a']) %}", big = "{% set x = 'a' * 16000000 %}";
  const auto many = [](const std::string& body, const std::string& count = "100000") {
    return "{% for i in range(" + count + ") %}" + body + "{% endfor %}";
  };
  return {
      // Without end.
      {"loops", "{% set r = range(99999) %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}", kSteps},
      {"loops over new lists", many(many("")), kBytes},
      {"range", "{{ range(10**12) }}", "a range of at most 100000"},
      {"range backwards", "{{ range(10**12, 0, -1) | length }}", "a range of at most 100000"},
      {"macro", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", kDeepRun},
      {"macro in default", "{% macro f(a=f()) %}{% endmacro %}{{ f() }}", kDeepRun},
      {"two macros", "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}", kDeepRun},
      {"caller", "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}", kDeepRun},
      {"macro tree", "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
       kSteps},
      {"loop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", kDeepRun},
      {"loop tree",
       "{% set l = [1, 2] %}{% for x in l recursive %}{% if loop.depth < 60 %}{{ loop(l) }}{% endif %}{% endfor %}",
       kSteps},
      {"in a large text", big + many("{% if 'b' in x %}{% endif %}"), kSteps},
      {"the end of a large text", big + many("{{ x.rfind('b') }}"), kBytes},
      {"search", "{% set x = 'a' * 4000000 %}{% set y = 'a' * 200000 ~ 'b' %}" + many("{% if y in x %}{% endif %}"),
       kSteps},
      {"count", big + many("{% set n = x.count('a') %}"), kSteps},
      {"strip", big + many("{% set n = x.strip('abc') %}"), kSteps},
      {"strip spaces", "{% set x = ' ' * 16000000 %}" + many("{% set n = x.split() %}"), kSteps},
      {"compare", "{% set x = 'a' * 8000000 %}{% set y = 'a' * 8000000 %}" + many("{% if x == y %}{% endif %}"),
       kSteps},
      {"sort", "{% set x = range(50000) | map('string') | list %}" + many("{% set y = x | sort %}"), kSteps},
      {"dates", "{{ strftime_now('%c' * 4000000) }}", kSteps},
      {"escapes", big + "{{ x | urlencode }}", kSteps},
      // Much.
      {"times", "{{ 'a' * 10**12 }}", kBytes},
      {"times of a list", "{{ [1] * 10**12 }}", kBytes},
      {"doubled text", ns + many("{% set ns.x = ns.x ~ ns.x %}", "60"), kBytes},
      {"doubled sum", "{% set ns = namespace(x='aaaa') %}" + many("{% set ns.x = ns.x + ns.x %}", "60"), kBytes},
      {"doubled list", ns + many("{% set ns.x = ns.x + ns.x %}", "60"), kBytes},
      {"join", big + "{{ range(100000) | join(x) }}", kBytes},
      {"join method", big + "{{ x.join(['b'] * 1000) }}", kBytes},
      {"replace", big + "{{ x | replace('', x) }}", kBytes},
      {"replace method", "{% set x = 'a' * 1000000 %}{{ x.replace('a', x) }}", kBytes},
      {"map", "{% set x = 'a' * 1000000 %}{{ range(100000) | map('string') | map('replace', '1', x) | join }}", kBytes},
      {"characters", big + "{{ x | list }}", kBytes},
      {"characters of a loop", big + "{% for c in x %}{% endfor %}", kBytes},
      {"words", "{% set x = 'a ' * 8000000 %}{{ x.split() }}", kBytes},
      {"lines", "{% set x = '\\n' * 16000000 %}{{ x.splitlines() }}", kBytes},
      {"lists kept", ns + many("{% set ns.x = ns.x + [['b'] * 1000] %}"), kBytes},
      {"texts kept", ns + many("{% set ns.x = ns.x + ['a' * 16000000] %}"), kBytes},
      {"names", "{% set ns = namespace() %}{% set x = 'a' * 1000 %}" + many("{% set ns.x = [ns.y, x ~ i] %}"), kBytes},
      {"capture", many("{% set x %}" + std::string(100'000, 'A') + "{% endset %}"), kBytes},
      {"macros kept", ns + many("{% macro f() %}{% endmacro %}{% set ns.x = f %}"), kBytes},
      {"text of the template", many(std::string(100'000, 'A')), kPrinted},
      {"print", big + "{{ x }}", kPrinted},
      {"width", "{{ '%1000000000d' % 1 }}", "a width of at most 100000"},
      {"width of braces", "{{ '{:1000000000d}'.format(1) }}", "a width of at most 100000"},
      {"width that is given", "{{ '%*d' % (10**9, 1) }}", "a width of at most 100000"},
      {"decimals", "{{ '%.99999f' % 1.5 }}", "at most 500 decimals"},
      {"widths", "{{ ('%100000d' * 10000) % ((1,) * 10000) }}", kBytes},
      {"center", "{{ 'a' | center(10**12) }}", kBytes},
      {"zfill", "{{ 'a'.zfill(10**12) }}", kBytes},
      {"ljust", "{{ 'a'.ljust(10**18) }}", kBytes},
      {"tabs", "{{ '\\t'.expandtabs(10**12) }}", kBytes},
      {"indent", "{{ 'a\\nb' | indent(10**12) }}", kBytes},
      {"indent of JSON", "{{ m | tojson(indent=10**12) }}", kBytes},
      {"batch", "{{ [1] | batch(10**12, 0) | list }}", kBytes},
      {"slice", "{{ [1] | slice(10**12) | list }}", kBytes},
      {"digits", "{{ 10 ** 10 ** 10 }}", "a result of ** within 64 bits"},
      {"digits of a float", "{{ 10.0 ** 400 }}", "a power that is a float"},
      {"shared list printed", ns + many("{% set ns.x = [ns.x, ns.x] %}", "60") + "{{ ns.x }}", kSteps},
      {"shared list as JSON", ns + many("{% set ns.x = [ns.x, ns.x] %}", "60") + "{{ ns.x | tojson }}", kSteps},
      {"shared dict as JSON",
       ns + many("{% set ns.x = {'a': ns.x, 'b': ns.x} %}", "60") + "{{ ns.x | tojson(indent=80) }}", kBytes},
      {"shared lists compared",
       ns + many("{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}", "60") + "{{ ns.x == ns.y }}", kSteps},
      {"shared list looked for",
       ns + many("{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}", "60") + "{{ ns.x in [ns.y] }}", kSteps},
      {"shared lists in order",
       ns + many("{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}", "60") + "{{ [ns.x, ns.y] | sort }}",
       kSteps},
      {"shared tuple as key",
       "{% set ns = namespace(x=()) %}" + many("{% set ns.x = (ns.x, ns.x) %}", "60") + "{{ {ns.x: 1} }}",
       "a tuple that may be a key"},
      // Deep.
      {"lists", ns + many("{% set ns.x = [ns.x] %}"), kDeepValues},
      {"dicts", ns + many("{% set ns.x = {'a': ns.x} %}"), kDeepValues},
      {"tuples", ns + many("{% set ns.x = (ns.x,) %}"), kDeepValues},
      {"sums of lists", ns + many("{% set ns.x = [1] + [ns.x] %}"), kDeepValues},
      {"dict()", ns + many("{% set ns.x = dict(a=ns.x) %}"), kDeepValues},
      {"batches", ns + many("{% set ns.x = [ns.x] | batch(1) | list %}"), kDeepValues},
      {"loops in loops", ns + many("{% for j in [ns.x] %}{% set ns.x = loop %}{% endfor %}"), kDeepValues},
      {"methods", ns + many("{% set ns.x = [ns.x.index] %}"), kDeepValues},
      {"cyclers", ns + many("{% set ns.x = cycler(ns.x) %}"), kDeepValues},
      {"joiners", ns + many("{% set ns.x = joiner(ns.x) %}"), kDeepValues},
      {"namespaces", ns + many("{% set ns.x = namespace(y=ns.x) %}", "50000") + "ok", ""},
      {"macros", ns + many("{% set y = ns.x %}{% macro f() %}{{ y }}{% endmacro %}{% set ns.x = f %}", "10000") + "ok",
       ""},
      {"callers",
       "{% macro f() %}{% endmacro %}" + ns + many("{% set y = ns.x %}{% call f(**{}) %}{% endcall %}", "20") + "ok",
       "arguments that the macro 'f' takes"},
      {"parentheses", "{{ " + times(20'000, "(") + "1" + times(20'000, ")") + " }}", kBrackets},
      {"brackets", "{{ " + times(20'000, "[") + times(20'000, "]") + " }}", kBrackets},
      {"braces", "{{ " + times(20'000, "{1:") + "1" + times(20'000, "}") + " }}", kBrackets},
      {"calls", "{{ " + times(20'000, "range(") + "1" + times(20'000, ")") + " }}", kBrackets},
      {"indices", "{{ " + times(20'000, "m[") + "0" + times(20'000, "]") + " }}", kBrackets},
      {"targets", "{% set " + times(20'000, "(") + "a" + times(20'000, ")") + " = 1 %}", kBrackets},
      {"not", "{{ " + times(20'000, "not ") + "1 }}", kBrackets},
      {"minus", "{{ " + times(20'000, "-") + "1 }}", kBrackets},
      {"conditions", "{{ " + times(20'000, "1 if 1 else ") + "1 }}", kBrackets},
      {"sum", "{{ 1" + times(20'000, "+1") + " }}", kLinks},
      {"product", "{{ 1" + times(20'000, "*1") + " }}", kLinks},
      {"power", "{{ 1" + times(20'000, "**1") + " }}", kLinks},
      {"and", "{{ 1" + times(20'000, " and 1") + " }}", kLinks},
      {"or", "{{ 0" + times(20'000, " or 0") + " }}", kLinks},
      {"attributes", "{{ m" + times(20'000, ".a") + " }}", kLinks},
      {"items", "{{ m" + times(20'000, "[0]") + " }}", kLinks},
      {"calls of calls", "{{ m" + times(20'000, "()") + " }}", kLinks},
      {"filters", "{{ m" + times(20'000, "|trim") + " }}", kLinks},
      {"tests", "{{ m" + times(20'000, " is none") + " }}", "one test; brackets can join several"},
      {"ifs", "{{ 1" + times(20'000, " if 1") + " }}", kLinks},
      {"block of filters", "{% filter trim" + times(20'000, "|trim") + " %}{% endfilter %}", kLinks},
      {"many operands", "{{ 1" + times(20'000, "~1") + " }}", ""},
      {"many comparisons", "{{ 1" + times(20'000, "<=1") + " }}", ""},
      {"many elif", "{% if 0 %}" + times(20'000, "{% elif 0 %}") + "{% else %}ok{% endif %}", ""},
      {"tags", times(20'000, "{% if 1 %}") + times(20'000, "{% endif %}"), "tags nested at most 100 deep"},
      {"tags without end", times(20'000, "{% for i in m %}"), "tags nested at most 100 deep"},
      {"large template", std::string(2'000'000, 'a'), "a template of at most 1 MiB"},
      // Odd.
      {"comment", "{#" + std::string(1'000'000, '{'), "an end #} of the comment"},
      {"tag", "{% if " + std::string(10'000, 'a'), "an end %} of the tag"},
      {"a namespace in itself", "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns.x.x.x }}",
       "a value that can be printed"},
      {"a list with itself", "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x == ns.x }}", ""},
      {"bounds",
       "{{ 'abc'[-9223372036854775807:9223372036854775807:-9223372036854775807] }}{{ 'abc'[::9223372036854775807] }}",
       ""},
      {"slice of a range", "{{ range(0, 9223372036854775807, 9223372036854775806)[::9223372036854775807] }}",
       "bounds within 64 bits"},
      {"dates", "{{ strftime_now('%') }}{{ strftime_now('%E') }}{{ strftime_now('%O%Q') }}x", ""},
      {"date width", "{{ strftime_now('%10000000000d') }}", "a directive of dates"},
      {"long message", "{{ raise_exception('a' * 1000000) }}", "aaa…"},
      {"long key", "{{ {}['a' * 1000000].b }}", "has no attribute"},
      {"many keys", "{{ dict(" + times(20'000, "a=1,") + ") | length }}", ""},
      {"equal numbers as keys", "{{ {" + times(2'000, "1: 1, 1.0: 2, true: 3,") + "} }}", ""},
      {"values that have no order", "{{ ['nan' | float, 1, 'nan' | float, 0] | sort | length }}", ""},
  };
}

TEST(JinjaLimits, HostileTemplatesEndWithAMessage) {
  on_small_stack([] {
    for (const Hostile& hostile : hostile_templates()) {
      std::string text;
      Limits limits;
      if (std::string_view(hostile.refusal) == kSteps) limits.steps = kEnoughSteps;
      const std::string error = error_of([&] { text = run_limited(hostile.source, limits); });
      if (*hostile.refusal == '\0') EXPECT_EQ(error, "no error") << hostile.name;
      else expect_mentions(std::string(hostile.name) + ": " + error, {hostile.refusal});
      EXPECT_EQ(error.find('\n'), std::string::npos) << hostile.name;
      EXPECT_LT(error.size(), 1000u) << hostile.name;
    }
  });
}

// A text of that many digits is no integer, and is gone through again as a number with a point.
TEST(JinjaLimits, EveryPassOverATextIsCharged) {
  for (const char* filter : {"int", "float"}) {
    Limits limits;
    limits.steps = 700'000;  // one pass over 4,000,000 bytes takes 62,500
    const std::string once = std::string("{% set x = '9' * 4000000 %}{{ (x | ") + filter + ") is number }}";
    EXPECT_EQ(run_limited(once, limits), "True") << filter;
    limits.steps = 500'000;
    expect_mentions(error_of([&] { static_cast<void>(run_limited(once, limits)); }), {kSteps});
  }
}

TEST(JinjaLimits, StepsAndBytesAreLimits) {
  const std::string endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
  for (const std::int64_t most : {1, 1000, 100'000}) {
    Limits limits;
    limits.steps = most;
    expect_mentions(error_of([&] { run_limited(endless, limits); }),
                    {"t:1", ("more than " + std::to_string(most) + " steps").c_str()});
  }
  Limits small;
  small.bytes = 1000;
  EXPECT_EQ(run_limited("{% set x = 'a' * 900 %}x", small), "x");
  expect_mentions(error_of([&] { run_limited("{% set x = 'a' * 1100 %}x", small); }),
                  {"at most 1000 bytes of texts and lists"});
  small = {};
  small.text = 10;
  EXPECT_EQ(run_limited("{{ 'a' * 10 }}", small), "aaaaaaaaaa");
  expect_mentions(error_of([&] { run_limited("{{ 'a' * 11 }}", small); }), {"at most 10 bytes of text"});
  EXPECT_LE(Limits().steps, 10'000'000);               // a second or two
  EXPECT_LE(Limits().bytes, std::int64_t{100} << 20);  // twice that for a moment, while a text grows
  EXPECT_GT(Limits::for_conversation(1 << 20).steps, Limits().steps);
}

TEST(JinjaLimits, ALongConversationIsWithinThem) {
  const ChatTemplate chat(
      "{% for m in messages %}{{ '<|' ~ m.role ~ '|>' ~ m.content | trim ~ '\\n' if m.content is string }}{% endfor %}",
      "t", {}, "2025-03-09");
  std::string record = R"({"messages": [)";
  for (int i = 0; i < 20'000; ++i) record += std::string(i > 0 ? "," : "") + R"({"role": "user", "content": "a"})";
  EXPECT_EQ(chat.lay_out_json(record + "]}").text.size(), 20'000u * 10);
  const std::string large = R"({"messages": [{"role": "user", "content": ")" + std::string(8 << 20, 'a') + R"("}]})";
  EXPECT_EQ(chat.lay_out_json(large).text.size(), (8u << 20) + 9);
}

TEST(JinjaLimits, ATemplateThatNeverEndsIsNotLoaded) {
  const auto load = [](const std::string& source) {
    return error_of([&] { static_cast<void>(ChatTemplate(source, "t", {}, "2025-03-09")); });
  };
  expect_mentions(load("{% set r = range(9999) %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}"),
                  {"t:1", "comes to an end"});
  EXPECT_EQ(load("{{ raise_exception('not this conversation') }}"), "no error");
}

TEST(JinjaLimits, ASignalEndsARendering) {
  request_stop();
  try {
    run_limited("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}");
    ADD_FAILURE() << "it ended";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::interrupted) << error.what();
    EXPECT_STREQ(error.what(), "stopped by a signal");
  }
  EXPECT_THROW(ChatTemplate("{{ messages }}", "t", {}, "2025-03-09"), Stopped);
  request_stop(false);
  EXPECT_EQ(run_limited("a"), "a");
}

}  // namespace
}  // namespace qad::jinja
