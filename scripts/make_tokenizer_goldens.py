#!/usr/bin/env python3
"""Writes tests/data/golden/tokenizers.json: what Hugging Face's `tokenizers` makes of our own and of random text.

usage: make_tokenizer_goldens.py FOLDER    (the shared data, for the tokenizers of GPT-2 and GPT-NeoX)
Needs the Python package tokenizers. A group of cases names a file in FOLDER or carries a small tokenizer of its own.
"""

import json
import random
import sys
import tempfile
from pathlib import Path

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
    out = Path(__file__).parent.parent / "tests" / "data" / "golden" / "tokenizers.json"
    out.write_text("[\n" + ",\n".join(json.dumps(g, ensure_ascii=True, separators=(",", ":")) for g in groups) + "\n]\n")


main()
