#!/usr/bin/env python3
"""Writes the token files that bench/compare_modelopt gives to qad and to its peer: train.h5, calibration.h5, held_out.h5.

    story_tokens.py MODEL TEXT FOLDER [--seed 1]

The stories of TEXT, each between the start and the end token. The first of them are held out, as many whole ones as
50,000 tokens hold. The others, from number 316 on, are shuffled once (seed); calibration has the first of these, as many
whole ones as 16,384 tokens hold.
"""
import argparse
import itertools
import pathlib
import random

import h5py
import tokenizers

TRAINED_FROM, HELD_OUT, CALIBRATION, START, END = 316, 50000, 16384, 1, 2


def beginning(documents, tokens):
    return [d for d, end in zip(documents, itertools.accumulate(map(len, documents))) if end <= tokens]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tokenizer = tokenizers.Tokenizer.from_file(str(options.model / "tokenizer.json"))
    stories = options.text.read_text(encoding="utf-8").split("<|endoftext|>")[:-1]  # the last one is cut off
    encoded = tokenizer.encode_batch([story.strip() for story in stories], add_special_tokens=False)

    documents = [[START, *one.ids, END] for one in encoded]
    training = documents[TRAINED_FROM:]
    random.Random(options.seed).shuffle(training)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, some in (("train", training), ("calibration", beginning(training, CALIBRATION)),
                       ("held_out", beginning(documents[:TRAINED_FROM], HELD_OUT))):
        with h5py.File(options.folder / f"{name}.h5", "w") as file:
            file["ids"] = [i for document in some for i in document]
            file["offsets"] = [0, *itertools.accumulate(map(len, some))]


if __name__ == "__main__":
    main()
