// Templates out of bytes: a fuzzer that changes bytes changes what a template does, and seldom whether it is one. The
// grammar has what made interpreters of templates hang, grow and overflow: long chains, deep nesting, loops that double
// values, and large numbers wherever a number may stand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace qad {

class TemplateGrammar {
 public:
  TemplateGrammar(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  std::string whole() {
    std::string text =
        "{% set ns = namespace(x=['a'], y='b') %}{% macro m(a, b=1) %}{{ a }}{{ b }}{{ varargs }}{% endmacro %}"
        "{% macro c(n) %}{% if n %}{{ caller(n) }}{% endif %}{% endmacro %}";
    while (at_ < size_ && text.size() < kLongest) text += statement(3);
    return text;
  }

 private:
  static constexpr std::size_t kLongest = 100'000;
  using Words = std::initializer_list<std::string_view>;

  std::size_t below(std::size_t count) { return at_ < size_ ? data_[at_++] % count : 0; }
  std::string one_of(Words words) { return std::string(words.begin()[below(words.size())]); }
  std::string many(std::string_view text) {
    static constexpr std::size_t kCounts[] = {1, 2, 3, 99, 101, 250, 3000};
    const std::size_t count = kCounts[below(std::size(kCounts))];
    std::string all;
    while (all.size() < text.size() * count && all.size() < kLongest / 2) all += text;
    return all;
  }

  std::string literal() {
    return one_of({"1",
                   "0",
                   "-1",
                   "2.5",
                   "'a'",
                   "'b c'",
                   "''",
                   "none",
                   "true",
                   "[]",
                   "{}",
                   "[1, 2]",
                   "(1, 'a')",
                   "()",
                   "{'a': 1, none: 2}",
                   "10**12",
                   "9223372036854775807",
                   "99999999999999999999",
                   "1e300",
                   "'\u00e9\U0001f642'",
                   "range(3)",
                   "range(100000)",
                   "'a' * 1000000",
                   "[0] * 100000",
                   "'%s'",
                   "'%99999d'",
                   "'{:>99999}'",
                   "'a\\nb'",
                   "x",
                   "ns",
                   "ns.x",
                   "ns.y",
                   "messages",
                   "messages[0]",
                   "loop",
                   "m",
                   "caller",
                   "missing",
                   "namespace()"});
  }

  std::string filter() {
    return one_of({"abs",
                   "attr('a')",
                   "batch",
                   "batch(2, 0)|list",
                   "capitalize",
                   "center",
                   "default",
                   "dictsort",
                   "e",
                   "first",
                   "float",
                   "format",
                   "groupby('role')",
                   "indent",
                   "int",
                   "items|list",
                   "join",
                   "last",
                   "length",
                   "list",
                   "lower",
                   "map('upper')|list",
                   "map(attribute='a.b.0')|list",
                   "map('join', ns.y)|list",
                   "max",
                   "min",
                   "reject('none')|list",
                   "replace('a', ns.y)",
                   "reverse",
                   "reverse|list",
                   "round",
                   "safe",
                   "select|list",
                   "selectattr('role', 'eq', 'user')|list",
                   "slice",
                   "sort",
                   "sort(attribute='role')",
                   "string",
                   "sum",
                   "title",
                   "tojson",
                   "tojson(indent=2)",
                   "trim",
                   "truncate",
                   "unique|list",
                   "upper",
                   "urlencode"});
  }

  std::string method() {
    return one_of({"capitalize", "center",     "copy",      "count",     "endswith",     "expandtabs", "find",
                   "format",     "get",        "index",     "isdigit",   "items",        "join",       "keys",
                   "ljust",      "lower",      "lstrip",    "partition", "removeprefix", "replace",    "rfind",
                   "rjust",      "rpartition", "rsplit",    "split",     "splitlines",   "startswith", "strip",
                   "swapcase",   "title",      "upper",     "values",    "zfill",        "cycle",      "changed",
                   "x",          "append",     "format_map"});
  }

  std::string arguments(int depth) {
    switch (below(5)) {
      case 0: return "()";
      case 1: return "(" + expression(depth) + ")";
      case 2: return "(" + expression(depth) + ", " + expression(depth) + ")";
      case 3: return "(*" + expression(depth) + ")";
      default:
        return "(" + one_of({"a", "width", "sep", "start", "indent", "attribute"}) + "=" + expression(depth) + ")";
    }
  }

  std::string expression(int depth) {
    if (depth <= 0) return literal();
    const auto inner = [&] { return "(" + expression(depth - 1) + ")"; };
    switch (below(16)) {
      case 0: return inner() + "|" + filter();
      case 1:
        return inner() + "|" +
               one_of({"center", "indent", "join", "replace('', 'x')|join", "format", "batch", "round", "truncate",
                       "default", "map", "select", "tojson"}) +
               arguments(depth - 1);
      case 2: return inner() + "." + method() + arguments(depth - 1);
      case 3: return inner() + one_of({" + ", " - ", " * ", " / ", " // ", " % ", " ** ", " ~ "}) + inner();
      case 4: return inner() + one_of({" == ", " < ", " >= ", " in ", " not in ", " != "}) + inner();
      case 5: return inner() + one_of({" and ", " or ", " if "}) + inner();
      case 6:
        return inner() + "[" + one_of({"", "-1", "10**9", "'a'", "none"}) + one_of({"", ":", "::"}) +
               one_of({"0", "-1", "2", "9223372036854775807"}) + "]";
      case 7: return inner() + one_of({".a", ".role", ".items", ".x", "['role']", "[none]", ".0"});
      case 8: return "[" + inner() + ", " + inner() + "]";
      case 9: return "{" + inner() + ": " + inner() + "}";
      case 10:
        return inner() + " is " + one_of({"", "not "}) +
               one_of({"defined", "none", "string", "odd", "eq 1", "in [1]", "upper"});
      case 11:
        return one_of({"m", "c", "dict", "range", "cycler", "joiner", "loop", "strftime_now", "namespace", "caller"}) +
               arguments(depth - 1);
      case 12:
        return literal() +
               many(one_of({" + 1", "|trim", ".a", " and 1", "[0]", " ~ 'a'", " < 1", "|string", "()", " is none"}));
      case 13: {
        const std::string pair = one_of({"()", "[]", "{}", "m("});
        const std::string open = many(pair == "{}" ? "{1:" : pair == "m(" ? "m(" : pair.substr(0, 1));
        const std::size_t count = open.size() / (pair == "{}" ? 3 : pair == "m(" ? 2 : 1);
        return open + "1" + std::string(count, pair == "m(" ? ')' : pair[1]);
      }
      case 14: return many(one_of({"not ", "-", "1 if 1 else "})) + "1";
      default: return literal();
    }
  }

  std::string body(int depth) {
    std::string text;
    for (std::size_t count = below(3); count > 0; --count) text += statement(depth - 1);
    return text;
  }

  std::string statement(int depth) {
    if (depth <= 0 || below(3) == 0) return "{{ " + expression(3) + " }}";
    switch (below(14)) {
      case 0: return "{% if " + expression(2) + " %}" + body(depth) + "{% else %}" + body(depth) + "{% endif %}";
      case 1:
        return "{% for i in " + expression(2) + one_of({"", " if i", " recursive"}) + " %}" + body(depth) +
               one_of({"", "{% break %}", "{{ loop(i) }}", "{{ loop.changed(loop) }}"}) + "{% endfor %}";
      case 2:
        return "{% for i in range(" + one_of({"3", "60", "2000", "100000"}) + ") %}" + body(depth) + "{% endfor %}";
      case 3:
        return "{% for i in range(" + one_of({"60", "300", "100000"}) + ") %}{% set ns.x = " +
               one_of({"[ns.x, ns.x]", "{'a': ns.x}", "ns.x ~ ns.x", "(ns.x,)", "ns.x + ns.x", "[loop, ns.x]",
                       "namespace(a=ns.x)", "cycler(ns.x)", "ns.x.index", "m", "ns.x|list", "[ns.x]|batch(1)|list"}) +
               " %}{% endfor %}{{ " +
               one_of({"ns.x", "ns.x|tojson", "ns.x == ns.x", "[ns.x] == [ns.x]", "ns.x|string|length",
                       "ns.x in [ns.x]", "{ns.x: 1}", "1"}) +
               " }}";
      case 4:
        return "{% set " + one_of({"x", "ns.x", "ns.y", "x, y", "(x, (y, z))", "loop"}) + " = " + expression(3) + " %}";
      case 5:
        return "{% set " + one_of({"x", "ns.y"}) + one_of({"", "|upper", "|trim|list"}) + " %}" + body(depth) +
               "{% endset %}";
      case 6: return "{% filter " + filter() + " %}" + body(depth) + "{% endfilter %}";
      case 7: return "{% with x = " + expression(2) + " %}" + body(depth) + "{% endwith %}";
      case 8:
        return "{% call" + one_of({"", "(x)", "(x=1)"}) + " " + one_of({"m", "c"}) + arguments(1) + " %}" +
               body(depth) + "{% endcall %}";
      case 9:
        return "{% macro " + one_of({"m", "c"}) + "(a, b=" + expression(1) + ") %}" + body(depth) +
               one_of({"", "{{ m(a) }}", "{{ caller() }}", "{% call c(a) %}{% endcall %}"}) + "{% endmacro %}";
      case 10: return "{% generation %}" + body(depth) + "{% endgeneration %}";
      case 11: return many(one_of({"{% if 1 %}", "{% for i in [1] %}", "{#", "a", "{% endif %}"}));
      case 12: return one_of({"\n", "  ", "{%- raw -%}{{ x {% endraw %}", "{#- c -#}", "{{", "%}", "\\"});
      default: return "{{ x }}";
    }
  }

  const std::uint8_t* data_;
  std::size_t size_, at_ = 0;
};

}  // namespace qad
