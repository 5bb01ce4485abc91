#!/usr/bin/env python3
"""Writes what other programs make of our own and of random text, for the tests of tests/data:
golden/tokenizers.json, by Hugging Face's `tokenizers`; golden/tokenizer_folders.json, by transformers, of folders whose
small files name tokens too.

usage: make_tokenizer_goldens.py FOLDER    (the shared data, for the tokenizers of GPT-2 and GPT-NeoX)
Needs the Python packages tokenizers and transformers. A group of cases names a file in FOLDER or carries a small
tokenizer of its own; a folder is one of three bases with changes.
"""

import json
import random
import sys
import tempfile
from pathlib import Path

import transformers
from tokenizers import ByteLevelBPETokenizer, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SENTENCES = """The quick brown fox jumps over the lazy dog. Distillation teaches a small student what a large teacher knows.
It's what they've said: we'll see, I'm sure, that 12 + 345 = 357 isn't 6789.
def scale(block):\n    return max(abs(x) for x in block) / 6\n\n\tif not block:\n\t\treturn 1.0
Straße, naïve, Ærø, Żółć, Привет мир, Ελληνικά, 你好世界, こんにちは, 한국어, שלום, مرحبا""".split("\n")
FIXED = SENTENCES + [
    "", " ", "  ", "\n", " \n \t ", "a", " a", "a ", "  two  spaces  ", "tabs\t\tand\r\nlines\n\n\nend", "1234567890 12 ²³½ ٣",
    "don't DON'T you'LL ſ's", "<|endoftext|>", "one<|endoftext|> two <|endoftext|>", "<tag> x<tag>y  <tag>  z", "e\u0301 \u1e9b\u0323 \u0344",
    "각\u1100\u1161\u11a8", "\U0001F600\U0001F468\u200d\U0001F469 ok", "\u00a0\u3000\u2028\u180e\x85", "\x00\x01\x7f", "▁a ▁▁ b", "<0x41>",
    "aaaaaaaaaaaaaaaa", "_snake_case camelCase x=1;", "price: $3.50!!! (50% off)...",
]


def random_texts(count):
    ranges = [(0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x391, 0x4FF), (0x4E00, 0x4FFF), (0xAC00, 0xAD00), (0x2000, 0x206F)]
    dice = random.Random(1)
    words = " ".join(SENTENCES).split(" ")
    for _ in range(count):
        text = ""
        for _ in range(dice.randint(1, 6)):
            kind = dice.random()
            if kind < 0.5:
                text += " " * dice.randint(0, 2) + dice.choice(words)
            else:
                text += "".join(chr(dice.randint(*dice.choice(ranges))) for _ in range(dice.randint(1, 4)))
        yield text


def trained(pre_tokenizer, decoder, normalizer=None, **model):
    """A tokenizer of our own, trained on the sentences."""
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    special = [model["unk_token"]] if "unk_token" in model else []
    tokenizer.train_from_iterator(SENTENCES, trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False))
    tokenizer.decoder = decoder
    root = json.loads(tokenizer.to_str())
    vocab = root["model"]["vocab"]
    if model.get("byte_fallback"):
        for byte in range(256):
            vocab[f"<0x{byte:02X}>"] = len(vocab)
    for content, strip in (("<|endoftext|>", False), ("<tag>", True)):
        next_id = 1 + max([*vocab.values(), *(token["id"] for token in root["added_tokens"])])
        root["added_tokens"].append({"id": next_id, "content": content, "single_word": False, "lstrip": strip,
                                     "rstrip": strip, "normalized": False, "special": not strip})
    return root


def own_tokenizers():
    llama3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
              r"|\s*[\r\n]+|\s+(?!\S)|\s+")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    regex = pre_tokenizers.Split(Regex(llama3), "isolated")
    yield "llama3 style", trained(pre_tokenizers.Sequence([regex, byte_level]), decoders.ByteLevel(), normalizers.NFC(), ignore_merges=True)
    fallback = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    metaspace = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    yield "metaspace by normalizer", trained(None, fallback, metaspace, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    yield "metaspace without bytes", trained(None, fallback, metaspace, unk_token="<unk>", fuse_unk=True)
    yield "metaspace by pre-tokenizer", trained(pre_tokenizers.Metaspace(prepend_scheme="first"),
                                                decoders.Metaspace(prepend_scheme="first"), unk_token="<unk>")


def group(name, model, texts, **where):
    cases = []
    for text in texts:
        ids = model.encode(text).ids
        cases.append({"text": text, "ids": ids, "decoded": model.decode(ids, skip_special_tokens=False)})
    return {"name": name, **where, "cases": cases}


# Patterns in which Oniguruma and other engines differ, or that match nothing.
PATTERNS = [r"(?=\d)", "x*", r"\b", "^", "$", ".", "(?m:.)", r"a*|b", r"\Bx", r"\h+", r"\w+", r"[\w-]+", r"\W", r"\s*", r"(?<=a)",
            r"(?=(\d{3})+(?!\d))", r"[^\S\n]+", r"\v", r"(?i)the", r"\p{Lu}?\p{Ll}*", "the$", r"(?:)", r"(?=\p{Lu})|\s"]
SPLIT_TEXTS = ["the\nThe axxb a12345 b", "x\n\n xx", "\u00b2\u00bd_\u00e9 \u6f22a-b", "\u180e\x0b\t 1", "aaab ABab", ""]


def split_groups():
    """A tokenizer of bytes without merges shows pieces only through what follows: one that puts a mark before each."""
    others = [("Removed", False), ("MergedWithNext", False), ("MergedWithPrevious", True), ("Contiguous", False)]
    for number, pattern in enumerate(PATTERNS):
        for behavior, invert in (("Isolated", False), others[number % len(others)]):
            root = json.loads(Tokenizer(models.BPE()).to_str())
            split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}
            marks = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": False}
            byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
            root["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, marks, byte_level]}
            root["model"]["vocab"] = {token: id for id, token in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
            tokenizer = Tokenizer.from_str(json.dumps(root))
            yield {"pattern": pattern, "behavior": behavior, "invert": invert,
                   "cases": [{"text": text, "ids": tokenizer.encode(text).ids} for text in SPLIT_TEXTS]}


# --- folders ----------------------------------------------------------------------------------------------------------

POOL = ["<x>", "<y>", "<|im_end|>", "<|im_start|>", "<pad>", "<s>", "</s>", "<unk>", "the", "a", "<|endoftext|>", "\u00e9", "th", " ",
        "  <z>", "<<", "word", "x", "\n", "\u2581x", "<|im_"]
FLAGS = ("special", "normalized", "single_word", "lstrip", "rstrip")


def token(content, **flags):
    return {"content": content, **{flag: False for flag in FLAGS}, **flags}


def byte_base():
    root = trained(pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [word for word in root["model"]["vocab"] if word not in alphabet][:24]
    merges = [m if isinstance(m, list) else m.split(" ") for m in root["model"]["merges"]]
    root["model"]["vocab"] = {word: id for id, word in enumerate(alphabet + words)}
    root["model"]["merges"] = [m for m in merges if {m[0], m[1], m[0] + m[1]} <= root["model"]["vocab"].keys()]
    root["added_tokens"] = []
    return root


def piece_base():
    words = ["\u2581", *"etaoinsrhlduxybzk<>|_mw", "\u2581t", "th", "the", "\u2581the", "\u2581a", "in", "an", "\u2581x"]
    vocab = {word: id for id, word in enumerate(["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *words])}
    merges = [["\u2581", "t"], ["t", "h"], ["th", "e"], ["\u2581t", "he"], ["\u2581", "a"], ["i", "n"], ["a", "n"], ["\u2581", "x"]]
    merges = [m for m in merges if m[1] in vocab]
    root = json.loads(Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True)).to_str())
    root["model"].update(vocab=vocab, merges=merges)
    root["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                                                             {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}
    root["decoder"] = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                                                       {"type": "ByteFallback"}, {"type": "Fuse"},
                                                       {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    return root


def pair_base(root):
    merges = "#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in root["model"]["merges"])
    return {"vocab.json": root["model"]["vocab"], "merges.txt": merges}


def chosen_folders():
    """Name, base, changes of tokenizer.json, other files; one for each thing that a file can say."""
    fast = {"tokenizer_class": "PreTrainedTokenizerFast"}
    config = lambda **more: {"tokenizer_config.json": {**fast, **more}}
    end, x = token("<|im_end|>", special=True), token("<x>")
    yield "nothing beside", "bytes", {}, {}
    yield "added_tokens_decoder", "bytes", {}, config(added_tokens_decoder={"280": end, "281": x})
    yield "added_tokens.json", "bytes", {}, {**config(eos_token="<|im_end|>"), "added_tokens.json": {"<|im_end|>": 280, "<x>": 281}}
    yield "additional_special_tokens", "bytes", {}, config(additional_special_tokens=["<|im_end|>", "<x>"])
    yield "extra_special_tokens by name", "bytes", {}, config(extra_special_tokens={"image_token": "<x>", "end": "<|im_end|>"})
    yield "special_tokens_map.json", "bytes", {}, {"special_tokens_map.json": {"additional_special_tokens": ["<|im_end|>"],
                                                                                "pad_token": "<x>"}}
    yield "the map goes before the config", "bytes", {}, {
        **config(eos_token="<x>", pad_token="<y>"),
        "special_tokens_map.json": {"eos_token": {**token("<|im_end|>", lstrip=True)}, "pad_token": None}}
    yield "the decoder hides the map", "bytes", {}, {**config(eos_token="<x>", added_tokens_decoder={}),
                                                     "special_tokens_map.json": {"eos_token": "<|im_end|>"}}
    yield "a token of another name", "bytes", {}, config(image_token="<x>", eot_token="<|im_end|>", add_bos_token=True)
    names = {"image_token": "<x>", "end": "<|im_end|>"}
    yield "model_specific_special_tokens", "bytes", {}, config(model_specific_special_tokens=names, eos_token="<y>")
    yield "a name of each kind", "bytes", {}, {**config(model_specific_special_tokens=names, image_token="<pad>"),
                                               "special_tokens_map.json": {"end_token": {**token("<y>")}, "eos_token": "<s>"}}
    yield "names in the map", "bytes", {}, {**config(model_specific_special_tokens=names),
                                            "special_tokens_map.json": {"extra_special_tokens": {"image_token": "<y>"}}}
    yield "GPT2Tokenizer's own tokens", "bytes", {}, {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer"}}
    yield "words of the vocabulary", "bytes", {}, config(eos_token="the", pad_token="a")
    yield "a flag that the decoder changes", "bytes", {"added_tokens": [{"id": 280, **x}]}, config(
        added_tokens_decoder={"280": token("<x>", lstrip=True, rstrip=True)})
    yield "an object with __type", "bytes", {}, config(eos_token={"__type": "AddedToken", **token("<x>", single_word=True)})
    yield "null and empty", "bytes", {}, config(eos_token=None, pad_token="", additional_special_tokens=[])
    yield "split_special_tokens", "bytes", {"added_tokens": [{"id": 280, **end}, {"id": 281, **x}]}, config(split_special_tokens=True)
    yield "padding", "bytes", {"padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                                           "pad_type_id": 0, "pad_token": "<pad>"}}, config()
    yield "add_bos_token without a template", "bytes", {}, config(bos_token="<x>", add_bos_token=True, add_eos_token=True)
    yield "one id twice", "bytes", {"added_tokens": [{"id": 299, **x}, {"id": 299, **token("<xx>")}]}, config()
    yield "one token twice", "bytes", {"added_tokens": [{"id": 280, **x}, {"id": 281, **token("<x>", special=True, rstrip=True)}]}, config()
    yield "gaps", "bytes", {"added_tokens": [{"id": 290, **x}, {"id": 300, **end}]}, config(added_tokens_decoder={"310": token("<y>")})
    yield "another id for a word", "bytes", {"added_tokens": [{"id": 285, **token("a")}]}, config()
    yield "no content", "bytes", {"added_tokens": [{"id": 280, **token("")}]}, config()
    yield "two ids of three files", "bytes", {"added_tokens": [{"id": 280, **x}]}, {
        **config(added_tokens_decoder={"280": token("<y>")}), "added_tokens.json": {"<|im_end|>": 280}}
    yield "Llama's own tokens", "pieces", {}, {"tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>",
                                                                          "bos_token": "<s>", "eos_token": "</s>"}}
    for family, kind in (("llama", "GPT2Tokenizer"), ("llama", "Qwen2TokenizerFast"), ("qwen2", None), ("qwen3", "GPT2TokenizerFast")):
        said = {"tokenizer_class": kind} if kind else {}
        base = {"config.json": {"model_type": family}}
        yield f"{kind} of {family}", "pair", {}, {**base, "tokenizer_config.json": said}
        yield f"{kind} of {family} with tokens", "pair", {}, {
            **base, "tokenizer_config.json": {**said, "eos_token": "<|im_end|>", "add_prefix_space": True, "add_bos_token": True},
            "special_tokens_map.json": {"pad_token": "<pad>", "additional_special_tokens": ["<x>"]},
            "added_tokens.json": {"<y>": 280, "<|im_end|>": 281}}


FAMILIES = ["deepseek_v2", "deepseek_v3", "kimi_linear", "llama", "mamba2", "mistral", "mixtral", "nemotron-nas", "nemotron_h", "qwen2",
            "qwen3", "qwen3_5_moe_text", "qwen3_5_text", "qwen3_moe", "qwen3_next"]
def family_folders():
    """Which class goes with a family, where the files name one and where they don't."""
    end = token("<|im_end|>", special=True)
    for family in FAMILIES:
        for kind in (None, "PreTrainedTokenizerFast", "GPT2Tokenizer"):
            yield f"{kind} for {family}", "bytes", {"added_tokens": [{"id": 280, **end}]}, {
                "config.json": {"model_type": family}, "tokenizer_config.json": {"tokenizer_class": kind} if kind else {}}


def random_folders(count):
    dice = random.Random(7)
    maybe = lambda chance: dice.random() < chance
    flags = lambda: {flag: maybe(0.3 if flag == "special" else 0.12) for flag in FLAGS if flag != "normalized"}
    one = lambda: token(dice.choice(POOL), **flags())
    said = lambda forms: {"text": lambda: dice.choice(POOL), "object": one, "type": lambda: {"__type": "AddedToken", **one()},
                          "null": lambda: None}[dice.choice(forms)]()
    for number in range(count):
        base = dice.choice(["bytes", "pieces"])
        size = {"bytes": 280, "pieces": 289}[base]
        added = [{"id": size + i, **one()} for i in range(dice.randint(0, 4))]
        config = {"tokenizer_class": "PreTrainedTokenizerFast"}
        config |= {role: said(["text", "text", "type", "null"]) for role in ("bos_token", "eos_token", "pad_token", "cls_token") if maybe(0.4)}
        if maybe(0.3):
            config["additional_special_tokens"] = [said(["text", "type"]) for _ in range(dice.randint(0, 3))]
        if maybe(0.4):
            config["added_tokens_decoder"] = {str(size + dice.randint(0, 6)): one() for _ in range(dice.randint(0, 4))}
        files = {"tokenizer_config.json": config}
        if maybe(0.4):
            files["special_tokens_map.json"] = {role: said(["text", "object", "null"]) for role in ("eos_token", "unk_token", "pad_token")}
        if maybe(0.3):
            files["added_tokens.json"] = {content: size + i for i, content in enumerate(dice.sample(POOL, 3))}
        yield f"random {number}", base, {"added_tokens": added}, files


def folder_texts():
    dice = random.Random(11)
    for _ in range(6):
        yield "".join(dice.choice(POOL + ["the ", " a", "hello", "  ", "1"]) + dice.choice(["", " "]) for _ in range(dice.randint(2, 7)))


def folders():
    """Only what every run of transformers answers alike: two tokens with one normal form are looked for in any order."""
    transformers.logging.set_verbosity_error()
    bases = {"bytes": byte_base(), "pieces": piece_base()}
    bases["pair"] = pair_base(bases["bytes"])
    cases = []
    for name, base, change, files in [*chosen_folders(), *random_folders(40), *family_folders()]:
        files.setdefault("config.json", {"model_type": "llama"})
        texts = [*folder_texts(), *(FIXED + list(random_texts(9)) if base == "pair" else [])]
        if " for " in name:
            texts = ["a<|endoftext|>b<|im_end|>"]
        with tempfile.TemporaryDirectory() as folder:
            for file, contents in {**({"tokenizer.json": bases[base] | change} if base != "pair" else bases[base]), **files}.items():
                (Path(folder) / file).write_text(contents if isinstance(contents, str) else json.dumps(contents))
            model = transformers.AutoTokenizer.from_pretrained(folder)
        # Since 0.23 tokenizers decodes a token marked `normalized` as its normal form, and never skips it.
        sound = not any(token.normalized for token in model.backend_tokenizer.get_added_tokens_decoder().values())
        decoded = lambda ids: {"decoded": model.decode(ids), "skipped": model.decode(ids, skip_special_tokens=True)} if sound else {}
        special = lambda role: getattr(model, f"{role}_id") if getattr(model, role) else None
        cases.append({"name": name, "base": base, "change": change, "files": files,
                      **{role: special(role) for role in ("bos_token", "eos_token", "pad_token")},
                      "named": model.special_tokens_map,  # as chat templates know them
                      "cases": [{"text": text, "ids": (ids := model(text)["input_ids"]), **decoded(ids)} for text in texts]})
    return {"bases": bases, "folders": cases}


def write(name, parts, around):
    lines = ",\n".join(json.dumps(part, ensure_ascii=True, separators=(",", ":")) for part in parts)
    out = Path(__file__).parent.parent / "tests" / "data" / "golden" / name
    out.write_text(around[0] + "\n" + lines + "\n" + around[1] + "\n")


def main():
    shared = Path(sys.argv[1])
    texts = FIXED + list(random_texts(60))
    groups = []
    for name, root in own_tokenizers():
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(root, file)
            file.flush()
            groups.append(group(name, Tokenizer.from_file(file.name), texts, tokenizer=root))
    neox = "tokenizer-neox20b/20B_tokenizer.json"
    groups.append(group("GPT-NeoX", Tokenizer.from_file(str(shared / neox)), texts, file=neox))
    vocab = "tokenizer-gpt2/gpt2_vocab.json"
    gpt2 = ByteLevelBPETokenizer(str(shared / vocab), str(shared / vocab.replace("vocab.json", "merges.txt")))
    gpt2.add_special_tokens(["<|endoftext|>"])
    groups.append(group("GPT-2", gpt2, texts, file=vocab))
    write("tokenizers.json", groups, "[]")
    write("splits.json", split_groups(), "[]")
    made = folders()
    bases = json.dumps(made["bases"], separators=(",", ":"))
    write("tokenizer_folders.json", made["folders"], ('{"bases":' + bases + ',"folders":[', "]}"))


main()
