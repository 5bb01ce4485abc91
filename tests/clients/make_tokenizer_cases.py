"""Ids and texts of Python's `tokenizers` over thousands of varied lines, for the tokenizers of the shared data and for
stand-ins of the families that qad reads, trained here with the normalizers, pre-tokenizers and options of those.

    make_tokenizer_cases.py SHARED SOURCE OUT

OUT gets lines.json (a list of texts) and for each tokenizer a folder NAME with its files (or `path`, where they lie) and
cases.json: {"ids": [...], "decoded": [...]}, one entry a line; "decoded" is left out where that package errs. A folder that
lies in OUT already, with a tokenizer.json, gets its cases too.
"""

import json
import pathlib
import random
import sys
import unicodedata

from tokenizers import ByteLevelBPETokenizer, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LINES = 12000
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3, QWEN2 = (CONTRACTIONS + digits + REST for digits in (r"\p{N}{1,3}", r"\p{N}"))
SCRIPTS = [(0x21, 0x7E), (0xA1, 0x24F), (0x250, 0x2FF), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x58F), (0x591, 0x5F4),
           (0x600, 0x6FF), (0x900, 0x97F), (0x980, 0x9FF), (0xB80, 0xBFF), (0xE01, 0xE5B), (0x10A0, 0x10FF), (0x1200, 0x137C),
           (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x218B), (0x2190, 0x23FF), (0x2460, 0x27BF), (0x3000, 0x30FF),
           (0x3400, 0x34FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB50, 0xFDFF), (0xFF01, 0xFFEE),
           (0x10330, 0x1034A), (0x1D400, 0x1D7FF), (0x20000, 0x200FF)]
MARKS = [(0x300, 0x36F), (0x591, 0x5BD), (0x64B, 0x655), (0x93C, 0x94D), (0x1100, 0x11FF), (0x20D0, 0x20F0), (0x3099, 0x309A)]
EMOJI = [(0x1F300, 0x1F64F), (0x1F680, 0x1F6C5), (0x1F900, 0x1F9FF), (0x2600, 0x26FF)]
JOINERS = ["\u200d", "\ufe0f", "\U0001F3FD", "\u20e3", "\U0001F1E9\U0001F1EA", "\U000E0067"]
CONTROLS = [chr(c) for c in [*range(32), *range(0x7F, 0xA1)]] + list("\u00ad\u180e\u200b\u200c\u200e\u2028\u2029\u2060\u3000\ufeff\ufffc\ufffd\ue000\U0010FFFD")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|eot_id|>", "<think>", "</think>", "<s>",
           "</s>", "<unk>", "<repo_name>", "<0x41>", "<|", "|>"]


def assigned(ranges):
    """Characters of ranges; without those that came after the Unicode of this Python (14 in Debian 12), which the
    libraries on the two sides know differently."""
    return [chr(c) for a, b in ranges for c in range(a, b + 1) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


def random_lines(words, count):
    dice = random.Random(20)
    scripts = [assigned([one]) for one in SCRIPTS]
    marks, emoji = assigned(MARKS), assigned(EMOJI)

    def piece():
        kind = dice.randrange(8)
        several = lambda characters, most: "".join(dice.choice(characters) for _ in range(dice.randint(1, most)))
        if kind < 2:
            return several(dice.choice(scripts), 9)
        if kind == 2:
            return "".join(dice.choice(dice.choice(scripts)) + several(marks, 3) for _ in range(dice.randint(1, 4)))
        if kind == 3:
            return "".join(dice.choice(emoji) + dice.choice(["", *JOINERS]) for _ in range(dice.randint(1, 4)))
        if kind == 4:
            return several(CONTROLS, 3)
        if kind == 5:
            return several("0123456789", 9) + dice.choice(["", ".", ",", "%", "e-5", "²", "½", "٣٤"])
        if kind == 6:
            return dice.choice(["", " "]) + dice.choice(SPECIAL) + dice.choice(["", " ", "\n"])
        word = dice.choice(words)
        return dice.choice([word, word.upper(), word.capitalize(), word + "'" + dice.choice(["s", "LL", "ſ", "Ve", "d", "x"])])

    for _ in range(count):
        spaces = ["", "", " ", " ", "  ", "\n", "\t", "\r\n", " \n ", "   "]
        yield "".join(piece() + dice.choice(spaces) for _ in range(dice.randint(1, 9)))


def real_lines(shared, source):
    """Prose, problems, German and code."""
    for name in ("tinyshakespeare/input.txt", "tokenizer-gpt2/corpus.en", "tokenizer-gpt2/german.txt", "tokenizer-gpt2/address.txt"):
        yield from (shared / name).read_text().splitlines()
    for line in (shared / "gsm8k/test.jsonl").read_text().splitlines():
        yield from json.loads(line).values()
    yield from (shared / "tinystories-sample/tinystories_sample.txt").read_text()[:400000].split("<|endoftext|>")
    for pattern in ("qad/*/*.cpp", "data/*.h", "scripts/*.py", "recipes/*/*.yaml", "tests/data/golden/chat/*.jinja"):
        for path in sorted(source.glob(pattern)):
            yield from path.read_text().splitlines(keepends=True)


def add_tokens(root, tokens, special=True):
    for content in tokens:
        next_id = 1 + max([*root["model"]["vocab"].values(), *(token["id"] for token in root["added_tokens"])])
        root["added_tokens"].append({"id": next_id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                                     "normalized": False, "special": special})


def stand_in(texts, pre_tokenizer, normalizer=None, decoder=None, post=None, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    byte_level = [] if model.get("byte_fallback") else pre_tokenizers.ByteLevel.alphabet()
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))] if model.get("byte_fallback") else []
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=4000, initial_alphabet=byte_level, special_tokens=first,
                                                             show_progress=False))
    tokenizer.decoder = decoder or decoders.ByteLevel()
    if post:
        tokenizer.post_processor = post
    root = json.loads(tokenizer.to_str())
    root["added_tokens"] = root["added_tokens"][:3]  # of the first ones only those with no byte of their own
    return root


def stand_ins(texts):
    byte_level = lambda trim: pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=trim, use_regex=False)
    split = lambda regex: pre_tokenizers.Split(Regex(regex), "isolated")
    root = stand_in(texts, pre_tokenizers.Sequence([split(LLAMA3), byte_level(True)]), ignore_merges=True)
    add_tokens(root, ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"])
    begin = root["added_tokens"][0]["id"]
    template = processors.TemplateProcessing(single="<|begin_of_text|> $A", pair=None, special_tokens=[("<|begin_of_text|>", begin)])
    root["post_processor"] = {"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}, json.loads(template.__getstate__())]}
    yield "Llama 3", root

    for name, more in (("Qwen 2", []), ("Qwen 3", ["<tool_call>", "</tool_call>", "<think>", "</think>"])):
        root = stand_in(texts, pre_tokenizers.Sequence([split(QWEN2), byte_level(False)]), normalizers.NFC(),
                        decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
                        processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False))
        add_tokens(root, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
        add_tokens(root, more, special=False)
        root["model"].update(continuing_subword_prefix="", end_of_word_suffix="")  # as these files have it
        yield name, root

    root = stand_in(texts, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]))
    add_tokens(root, ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>"])
    yield "SmolLM", root

    # Llama 2 and Mistral: no word is split before the merges, which are of words all the same.
    root = stand_in(texts, pre_tokenizers.Metaspace(), None,
                    decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
                    processors.TemplateProcessing(single="<s> $A", pair=None, special_tokens=[("<s>", 1)]),
                    unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    root["pre_tokenizer"] = None
    root["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                                                             {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    yield "Mistral", root


def write_pair(folder, root):
    """vocab.json and merges.txt, with the added tokens beside them: Qwen2Tokenizer brings the rest."""
    (folder / "vocab.json").write_text(json.dumps(root["model"]["vocab"], ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join((m if isinstance(m, str) else " ".join(m)) + "\n"
                                                                     for m in root["model"]["merges"]))
    added = {str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in root["added_tokens"]}
    config = {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added, "eos_token": "<|im_end|>",
              "pad_token": "<|endoftext|>", "unk_token": None}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def main(shared, source, out):
    shared, source, out = map(pathlib.Path, (shared, source, out))
    real = list(real_lines(shared, source))
    words = sorted({word for line in real[:4000] for word in line.split()})
    dice = random.Random(10)
    lines = dice.sample(real, LINES // 2) + list(random_lines(words, LINES // 2))
    (out / "lines.json").write_text(json.dumps(lines))

    def write(name, tokenizer, path=None):
        folder = out / name
        folder.mkdir(exist_ok=True)
        if path:
            (folder / "path").write_text(str(path))
        ids = [encoding.ids for encoding in tokenizer.encode_batch(lines)]
        # Since 0.23 a special token marked `normalized` is decoded as its normalized form, "▁<unk>", and never skipped.
        sound = not any(token.normalized for token in tokenizer.get_added_tokens_decoder().values())
        decoded = {"decoded": tokenizer.decode_batch(ids, skip_special_tokens=False)} if sound else {}
        (folder / "cases.json").write_text(json.dumps({"ids": ids, **decoded}, separators=(",", ":")))

    for folder in [path for path in out.iterdir() if (path / "tokenizer.json").exists()]:
        write(folder.name, Tokenizer.from_file(str(folder / "tokenizer.json")))
    for name, root in stand_ins(real[::3]):
        text = json.dumps(root, ensure_ascii=False)
        write(name, Tokenizer.from_str(text))
        (out / name / "tokenizer.json").write_text(text)
        if name.startswith("Qwen"):  # the same in older files
            write(name + " in two files", Tokenizer.from_str(text))
            write_pair(out / (name + " in two files"), root)
    for name, path in (("GPT-NeoX", "tokenizer-neox20b/20B_tokenizer.json"), ("stories", "tinystories-656k-hf/tokenizer.json")):
        write(name, Tokenizer.from_file(str(shared / path)), shared / path)
    vocab = shared / "tokenizer-gpt2/gpt2_vocab.json"
    gpt2 = ByteLevelBPETokenizer(str(vocab), str(shared / "tokenizer-gpt2/gpt2_merges.txt"))
    gpt2.add_special_tokens(["<|endoftext|>"])
    write("GPT-2", gpt2, vocab)


if __name__ == "__main__":
    main(*sys.argv[1:])
