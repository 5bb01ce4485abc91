#!/usr/bin/env python3
"""Writes tests/data/golden/chat_templates.json: what transformers and Python's jinja2 make of the chat templates in
tests/data/golden/chat and of small pieces of Jinja.

usage: make_chat_goldens.py [CONVERSATIONS]    (random ones more than those that are written here; default 12)
Needs the Python package transformers, whose own environment renders. The templates are ours, in the style of those that
the model families publish.
"""

import datetime
import json
import random
import sys
from pathlib import Path

from jinja2.exceptions import TemplateError
from transformers.utils import chat_template_utils

FOLDER = Path(__file__).parent.parent / "tests" / "data" / "golden"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


class Day(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime(2025, 3, 9)


chat_template_utils.datetime = Day
JINJA = chat_template_utils._compile_jinja_template("").environment


TOOL = {"type": "function", "function": {"name": "weather", "description": "Today's \"weather\" <at> a place & more.", "parameters": {
    "type": "object", "properties": {"place": {"type": "string", "items": 1.5}, "days": {"type": "integer", "enum": [1, 2, None, True]}}, "required": []}}}
NESTED = {"type": "function", "function": {"name": "plan", "description": " Plans.\n", "parameters": {"type": "object", "required": ["steps"], "properties": {
    "steps": {"type": "array", "description": "What to do", "items": {"type": "object", "properties": {"at": {"type": "number"}, "what": {"type": ["string", "null"]}}}},
    "Budget": {"type": "number", "maximum": 12345678901234567890123, "default": 1e22}, "mode": {"type": "string", "enum": ["fast", "slow"]}}}}}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": {"place": "Zürich \U0001F600", "days": 2}}}
LARGE = {"id": "123456789", "type": "function", "function": {"name": "plan", "arguments": {
    "steps": [{"at": -0.0, "what": None}, {"at": 1e-7, "what": "it's \"quoted\" <&>"}], "Budget": 123456789012345678901234567890, "flag": True, "empty": {}}}}


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
    yield {"messages": [user("Plan!"), turn("assistant", None, tool_calls=[LARGE], thinking="Let me see."), turn("tool", "done", tool_call_id="123456789"),
                        turn("assistant", "Done.", reasoning="All well.")], "tools": [NESTED, TOOL]}
    yield {"messages": [turn("user", "n", name=None, number=12345678901234567890123, float=1e22), turn("assistant", "m", tool_calls=None, reasoning_content=None, thinking="t")]}
    yield {"messages": [turn("user", [{"type": "text", "text": "What is this?"}, {"type": "image"}, {"type": "text", "text": "And \u200bthat?"}]), assistant("A \"cat\".")]}
    yield {"messages": [turn("developer", "D"), turn("user", "u", name="A & \"B\""), assistant("v")], "tools": []}


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


VARIABLES = {
    "x": 3, "text": "hello wörld", "list": [1, 2, 3], "dict": {"k": "v", "n": 2}, "people": [{"name": "Al", "age": 3}, {"name": "Bo"}],
    "big": 12345678901234567890123, "neg": -12345678901234567890123, "f": 1e22, "nz": -0.0, "nul": None, "t": True,
    "mixed": {"b": 1, "A": [1, {"z": None}], "c": "é"}, "emoji": "\U0001F468\u200D\U0001F469\u200D\U0001F467 ok", "lines": "a\nb\n\nc",
    "deep": {"a": {"b": [{"c": 1}, {"c": 2}]}}, "tools": [NESTED]}


def text_or_none(render):
    """None for what Python refuses."""
    try:
        return render()
    except Exception:
        return None


def laid_out(source, chat, add_generation_prompt):
    messages = chat_template_utils._normalize_chat_messages(chat["messages"])
    texts, _ = chat_template_utils.render_jinja_template(
        [messages], tools=chat.get("tools"), chat_template=source, add_generation_prompt=add_generation_prompt, **TOKENS)
    return texts[0]


def main():
    chats = list(conversations(int(sys.argv[1]) if len(sys.argv) > 1 else 12))
    groups = []
    for file in sorted((FOLDER / "chat").glob("*.jinja")):
        texts = [text_or_none(lambda: laid_out(file.read_text(), chat, i % 2 == 0)) for i, chat in enumerate(chats)]
        groups.append({"template": file.name, "texts": texts})
    pieces = (FOLDER / "jinja_pieces.txt").read_text().removesuffix("\n").split("\n====\n")
    small = [{"source": piece, "text": text_or_none(lambda: JINJA.from_string(piece).render(**json.loads(json.dumps(VARIABLES))))} for piece in pieces]
    line = lambda value: json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    rows = lambda values: "[\n" + ",\n".join(line(value) for value in values) + "\n]"
    # Variables and chats are JSON within JSON: readers that keep no more than 64 bits must not touch their numbers.
    (FOLDER / "chat_templates.json").write_text(
        f'{{"variables":{line(line(VARIABLES))},\n"pieces":{rows(small)},\n"chats":{rows([line(chat) for chat in chats])},\n"groups":{rows(groups)}}}\n')


main()
