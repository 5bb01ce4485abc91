#!/usr/bin/env python3
"""Writes tests/data/golden/chat_templates.json: what Python's jinja2, set up as transformers does, makes of the chat
templates in tests/data/golden/chat and of small pieces of Jinja.

usage: make_chat_goldens.py [CONVERSATIONS]    (random ones more than those that are written here; default 12)
Needs the Python package jinja2. The templates are ours, in the style of those that the model families publish.
"""

import datetime
import json
import random
import sys
from pathlib import Path

import jinja2.ext
from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

DATE = datetime.datetime(2025, 3, 9)
FOLDER = Path(__file__).parent.parent / "tests" / "data" / "golden"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


class Generation(jinja2.ext.Extension):
    """{% generation %}, of which the text is all that matters here."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise TemplateError(message)


def environment():
    jinja = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    jinja.filters["tojson"] = lambda x, ensure_ascii=False, indent=None, separators=None, sort_keys=False: json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    jinja.globals["raise_exception"] = raise_exception
    jinja.globals["strftime_now"] = DATE.strftime
    return jinja


TOOL = {"type": "function", "function": {"name": "weather", "description": "Today's \"weather\" <at> a place & more.", "parameters": {
    "type": "object", "properties": {"place": {"type": "string", "items": 1.5}, "days": {"type": "integer", "enum": [1, 2, None, True]}}, "required": []}}}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": {"place": "Zürich \U0001F600", "days": 2}}}


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


def fixed():
    user, assistant, system = (lambda text, role=role: turn(role, text) for role in ("user", "assistant", "system"))
    yield {"messages": [user("Hello")]}
    yield {"messages": [system("Be brief."), user("Hi"), assistant("Hello!")]}
    yield {"messages": [user(" one \n"), assistant("\n\ntwo \n"), user("three\t"), assistant(" four")]}
    yield {"messages": [user("Grüße, 你好 \u3000"), assistant("'quotes' \"double\" \\ back"), user("<|im_end|> {{ x }} {% if %}")]}
    yield {"messages": [user("2+2?"), assistant("<think>\nIt is four.\n</think>\n\n4"), user("3+3?"), assistant("<think>\nSix.\n</think>\n\n6")]}
    yield {"messages": [user("2+2?"), turn("assistant", "4", reasoning_content="\nfour\n"), user("and?"), turn("assistant", "5", reasoning_content="")]}
    yield {"messages": [user("a"), user("b")]}
    yield {"messages": [assistant("I begin"), user("b")]}
    yield {"messages": [system("/no_think Be kind."), user("q"), assistant("a")]}
    yield {"messages": [system("X /think"), user("q"), assistant("a"), user("r")]}
    yield {"messages": [system("Just this /system_override"), user("q"), assistant("")]}
    yield {"messages": [user("Weather?")], "tools": [TOOL]}
    yield {"messages": [system("S"), user("Weather?"), assistant("Where?"), user("Zürich")], "tools": [TOOL, TOOL]}
    yield {"messages": [user("Weather?"), turn("assistant", "", tool_calls=[CALL]), turn("tool", "rain", tool_call_id="abcdefghi"),
                        assistant("It rains.")], "tools": [TOOL]}
    yield {"messages": [user("Weather?"), turn("assistant", None, tool_calls=[CALL, CALL]), turn("tool", {"content": 3.0}, tool_call_id="abcdefghi"),
                        turn("tool", [1, "a", None], tool_call_id="abcdefghi"), assistant("It rains."), user("Thanks")]}
    yield {"messages": [user("x"), turn("narrator", "y")]}


def conversations(count):
    yield from fixed()
    dice = random.Random(7)
    words = ["code", "  ", "\n", "é", "漢字", "a'b", '"', "\\n", "</think>", "<think>", "\U0001F642", "\t", "\u00a0", "x = {1: 2}", "/think", "1.5"]
    text = lambda: "".join(dice.choice(words) for _ in range(dice.randint(0, 6)))
    for _ in range(count):
        messages = [turn("system", text())] if dice.random() < 0.5 else []
        for i in range(dice.randint(1, 5)):
            role = ("user", "assistant")[i % 2] if dice.random() < 0.93 else dice.choice(["user", "assistant", "tool", "system"])
            messages.append(turn(role, text()))
            if role == "assistant" and dice.random() < 0.2:
                messages[-1]["tool_calls"] = [CALL] * dice.randint(1, 2)
            if role == "assistant" and dice.random() < 0.2:
                messages[-1]["reasoning_content"] = text()
        yield {"messages": messages} | ({"tools": [TOOL]} if dice.random() < 0.2 else {})


def rendered(template, variables):
    try:
        return template.render(**variables)
    except (TemplateError, TypeError, ValueError, AttributeError):
        return None


PIECES = r"""
a{%- if true -%}  b  {%- endif -%} c
  {% if true %}
  x
  {% endif %}
y
  {%+ if true %}x{% endif +%}
y
a {{- 1 -}} b {{ 2 }} c
{# one #}
two {#- three -#} four
  {# alone #}
five
{{ "a" "b" ~ 1 ~ none ~ true ~ 1.0 ~ missing }}
{{ 'it\'s' }}{{ "\x41\u00e9\t|" }}
{{ 1 + 2 * 3 - 4 // 3 % 2 }} {{ 7 / 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7.5 // 2 }} {{ 'ab' * 2 }} {{ 1e3 if false else 2.50 }}
{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 'a' < 'b' }} {{ 1 == 1.0 }} {{ true == 1 }} {{ '1' == 1 }} {{ none == none }} {{ missing == none }}
{{ 1 in [1, 2] }} {{ 3 not in [1, 2] }} {{ 'a' in 'cat' }} {{ 'k' in {'k': 1} }} {{ 'x' in missing }}
{{ not true or false and true }} {{ 0 or 'x' }} {{ 1 and '' }}|{{ not 1 == 2 }}
{{ 'yes' if x else 'no' }} {{ 'only' if false }}|{{ (1 if false) is undefined }}
{{ text[0] }} {{ text[-1] }} {{ text[1:3] }} {{ text[::-1] }} {{ text[:-1] }} {{ text[10:] }}|{{ list[1:] }} {{ list[::2] }} {{ list[-2:] }} {{ list[5] }}|
{{ text | length }} {{ list | length }} {{ dict | length }} {{ missing | length }}
{{ "  a b  " | trim }}|{{ "xxaxx" | trim("x") }}|{{ "  a b  ".strip() }}|{{ "abca".strip("ac") }}|{{ " a ".lstrip() }}|{{ " a ".rstrip() }}|{{ "\n\na\n".lstrip("\n") }}
{{ "a,b,,c".split(",") }} {{ " a  b ".split() }} {{ "a,b,c".split(",", 1) }} {{ " a b  c ".split(none, 1) }} {{ "x".split("x") }}
{{ "abc".startswith("ab") }} {{ "abc".endswith(("x", "c")) }} {{ "aXbX".replace("X", "yy") }} {{ "aXbX" | replace("X", "", 1) }}
{{ "abc" | upper }} {{ "ABC" | lower }} {{ "hello wORLD" | capitalize }} {{ "it's a title".title() }} {{ "abc".upper() }} {{ "ABC".lower() }}
{{ [1, "a", none, true, 1.5, {"k": [1]}] }} {{ {} }} {{ [] }} {{ ["it's", 'a"b', "it's \"x\"", "tab\t", "\\", "é", "\x01"] }}
{{ [1, "a", none, true, 1.5, {"k": [1], "é": "\n\"\\/\t"}] | tojson }} {{ {} | tojson }} {{ [] | tojson(indent=2) }}
{{ {"a": [1, {"b": none}], "c": {}} | tojson(indent=2) }}
{{ 1e16 | default(3) if false else 10000000000000000.0 }} {{ 0.1 }} {{ 123456.789 }} {{ 0.00001 }} {{ 100.0 }} {{ [1.0] | tojson }}
{{ missing | default("d") }} {{ none | default("d") }} {{ "" | default("d", true) }} {{ none | d("e", boolean=true) }} {{ 0 | default(1) }}
{{ list | join(", ") }} {{ "abc" | join("-") }} {{ [{"a": 1}, {"a": 2}] | join("+", attribute="a") }}
{{ list | first }} {{ list | last }} {{ [] | first }}|{{ "abc" | first }} {{ "abc" | last }} {{ [] | last is undefined }}
{{ [3, 1, 2] | reverse | list }} {{ "abc" | reverse }} {{ "abc" | list }} {{ dict | list }} {{ dict | items | list }} {{ 5 | string + "x" }}
{{ "12" | int + 1 }} {{ 3.9 | int }} {{ true | int }} {{ none | int(7) }} {{ " -5 " | int }}
{{ people | selectattr("age", "defined") | map(attribute="name") | join(",") }} {{ people | rejectattr("age") | map(attribute="name") | list }}
{{ people | selectattr("name", "equalto", "Bo") | list }} {{ [1, 2, 3, 4] | select("even") | list }} {{ [1, 0, 2] | select | list }} {{ [1, 2, 3] | reject("odd") | list }}
{{ ["a", "b"] | map("upper") | list }} {{ people | map(attribute="age", default="?") | list }} {{ [" a "] | map("trim") | list }}
{{ x is defined }} {{ missing is defined }} {{ missing is undefined }} {{ none is none }} {{ x is not none }} {{ missing is none }}
{{ "a" is string }} {{ 1 is string }} {{ dict is mapping }} {{ list is mapping }} {{ list is iterable }} {{ "a" is iterable }} {{ 1 is iterable }} {{ none is iterable }}
{{ list is sequence }} {{ dict is sequence }} {{ 1 is number }} {{ true is number }} {{ 1.0 is float }} {{ true is integer }} {{ 3 is integer }} {{ false is boolean }}
{{ true is true }} {{ 1 is true }} {{ false is false }} {{ 0 is false }} {{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is in [1] }} {{ 1 is eq 1 }} {{ 1 is ne(1) }}
{{ dict.k }} {{ dict['k'] }} {{ dict.nope }}|{{ dict.get('k') }} {{ dict.get('z', 9) }} {{ dict.get('z') }} {{ dict.keys() | list }} {{ dict.values() | list }}
{{ x.foo }}|{{ text.foo }}|{{ list.foo }}|{{ none.foo }}|{{ dict[1] }}|{{ list['a'] }}|
{% for i in range(3) %}{{ i }}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}
{% for i in [] %}x{% else %}empty{% endfor %}|{% for i in missing %}x{% else %}nothing{% endfor %}
{% for i in range(10) if i % 3 == 0 %}{{ i }}:{{ loop.length }} {% endfor %}{% for c in "héy" %}{{ c }}.{% endfor %}
{% for k, v in dict.items() %}{{ k }}={{ v }};{% endfor %}{% for k in dict %}{{ k }}{% endfor %}{% for (a, b) in [(1, 2), [3, 4]] %}{{ a + b }} {% endfor %}
{% for i in range(6) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% for i in list %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}
{% for i in range(2) %}{% for j in range(2) %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}{{ loop }}|
{% set y = 1 %}{% for i in range(3) %}{% set y = y + i %}{{ y }}{% endfor %}{{ y }}
{% set ns = namespace(n=0, s="") %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% set ns.s = ns.s ~ i %}{% endfor %}{{ ns.n }} {{ ns.s }} {{ ns.zip }}
{% set a, b = 1, [2] %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c | length }}
{% set block %}  text {{ x }}
{% endset %}[{{ block }}]
{% if x > 3 %}big{% elif x == 3 %}three{% else %}small{% endif %}{% if missing %}no{% endif %}{% if list and dict %}both{% endif %}
{% if true %}{% set z = 5 %}{% endif %}{{ z }}
{{ strftime_now("%d %b %Y, %A %Y-%m-%d %j") }}
{{ range(5, 1, -2) | list }} {{ range(2, 4) | list }}
{{ ("a", "b") | join }} {{ (1) }} {{ [1, 2,] }} {{ {'a': 1,} }} {{ 'a' in ('a', 'b') }}
{{ "a" + 1 }}
{{ missing.foo }}
{{ missing + "a" }}
{{ none | length }}
{{ 1 < "a" }}
{{ "abc".nope() }}
{{ nofunction() }}
{{ raise_exception("stop") }}
{{ none + 1 }}
{% for i in none %}{% endfor %}
{{ "a" in 3 }}
{{ missing | tojson }}
{{ dict.k | default('x') }} {{ "%s" }}
{{ "a b c".split()[1] }} {{ "abc"[1:][0] }} {{ people[0].name[0] | lower }} {{ people[-1]['name'] ~ '!' }}
{{ text.count("o") }} {{ text.find("l") }} {{ text.find("zz") }} {{ "-".join(["a", "b"]) }} {{ "prefix-x".removeprefix("prefix-") }}
{{ true and 'a' or 'b' }} {{ none is none and 1 }} {{ x is number and x > 2 }} {{ [] or {} or 0 }} {{ not [] }}
{{ 1 if 0 else 2 if 0 else 3 }} {{ -x }} {{ -x | string }} {{ - 2 + 5 }} {{ 'a' ~ 1 + 2 }} {{ 2 ** 3 if false else '' }}
{{ "x" if list[0] == 1 and not list[1] == 1 else "y" }}{{ [[1, 2], [3]][0][1] }}{{ {"a": {"b": "c"}}.a.b }}{{ {"a": {"b": "c"}}["a"]["b"] }}
{% generation %}kept {{ x }}{% set inner = 1 %}{% endgeneration %}|{{ inner }}|
"""
VARIABLES = {"x": 3, "text": "hello wörld", "list": [1, 2, 3], "dict": {"k": "v", "n": 2}, "people": [{"name": "Al", "age": 3}, {"name": "Bo"}]}


def pieces():
    """Lines of PIECES; one that begins a tag which the next line ends goes on there."""
    lines = PIECES.strip("\n").split("\n")
    joined = {("  {% if true %}", 5), ("  {%+ if true %}x{% endif +%}", 2), ("{# one #}", 2), ("  {# alone #}", 2), ("{% set block %}  text {{ x }}", 2)}
    while lines:
        count = next((n for first, n in joined if lines[0] == first), 1)
        yield "\n".join(lines[:count])
        del lines[:count]


def main():
    jinja = environment()
    chats = list(conversations(int(sys.argv[1]) if len(sys.argv) > 1 else 12))
    groups = []
    for file in sorted((FOLDER / "chat").glob("*.jinja")):
        template = jinja.from_string(file.read_text())
        texts = []
        for i, chat in enumerate(chats):
            variables = {"tools": None, "documents": None, "add_generation_prompt": i % 2 == 0, **TOKENS, **chat}
            texts.append(rendered(template, variables))
        groups.append({"template": file.name, "texts": texts})
    small = [{"source": piece, "text": rendered(jinja.from_string(piece), VARIABLES)} for piece in pieces() if "**" not in piece]
    line = lambda value: json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    rows = lambda values: "[\n" + ",\n".join(line(value) for value in values) + "\n]"
    (FOLDER / "chat_templates.json").write_text(
        f'{{"variables":{line(VARIABLES)},\n"pieces":{rows(small)},\n"chats":{rows(chats)},\n"groups":{rows(groups)}}}\n')


main()
