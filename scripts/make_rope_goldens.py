#!/usr/bin/env python3
"""Writes tests/models/golden/rope.json: the logits that transformers gives for tiny models of every family under every
rule that stretches rotary frequencies, in both dialects of config.json.

usage: make_rope_goldens.py
Needs the Python packages torch and transformers. Weights follow from a tensor's name and an element's index, so that
none are stored; of the logits only the last token's are, which all positions reach.
"""

import json
from pathlib import Path

import torch
import transformers

TARGET = Path(__file__).parent.parent / "tests" / "models" / "golden" / "rope.json"
TOKENS, VOCABULARY = 48, 32
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 64,
         "rms_norm_eps": 1e-5, "tie_word_embeddings": False}
FAMILIES = ["llama", "mistral", "qwen2", "qwen3"]

ORIGINAL = "original_max_position_embeddings"
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, ORIGINAL: 32}
YARN = {"rope_type": "yarn", "factor": 4.0, ORIGINAL: 16}
LONG_YARN = dict(YARN, **{ORIGINAL: 4096})
# name, rope_theta, section
SECTIONS = [
    ("none", 10000.0, None),
    ("another theta", 500.0, None),
    ("linear", 10000.0, {"rope_type": "linear", "factor": 2.5}),
    ("linear by its old name", 10000.0, {"type": "linear", "factor": 4}),
    ("dynamic", 10000.0, {"rope_type": "dynamic", "factor": 2.0}),
    ("llama3", 10000.0, LLAMA3),
    ("llama3, context of the model", 500000.0, {key: value for key, value in LLAMA3.items() if key != ORIGINAL}),
    ("yarn", 10000.0, YARN),
    ("yarn, context of the model", 10000.0, {"rope_type": "yarn", "factor": 2.0}),
    ("yarn, factor from the contexts", 10000.0, dict(YARN, factor=None)),
    ("yarn, own magnitude", 10000.0, dict(YARN, attention_factor=0.75)),
    ("yarn, scales", 10000.0, dict(YARN, mscale=0.707, mscale_all_dim=1.0)),
    ("yarn, equal scales", 10000.0, dict(YARN, mscale=0.707, mscale_all_dim=0.707)),
    ("yarn, one scale alone", 10000.0, dict(YARN, mscale=0.707)),
    ("yarn, bounds", 1000000.0, dict(YARN, beta_fast=4.0, beta_slow=0.5)),
    ("yarn, bounds of zero", 10000.0, dict(YARN, beta_fast=0, beta_slow=0)),
    ("yarn, truncated", 100.0, LONG_YARN),
    ("yarn, truncate null", 100.0, dict(LONG_YARN, truncate=None)),
    ("yarn, truncate false", 100.0, dict(LONG_YARN, truncate=False)),
    ("yarn, one bound for both", 10000.0, dict(LONG_YARN, beta_fast=64, beta_slow=64, truncate=False)),
]


def numbers(name, shape):
    seed = sum((place + 1) * byte for place, byte in enumerate(name.encode())) % 65521
    index = torch.arange(shape.numel(), dtype=torch.int64)
    values = ((index * 7919 + seed * 104729) % 257 - 128).double() / 320
    return (1 + values / 4 if name.endswith("norm.weight") else values).float().reshape(shape)


def last_logits(config):
    loaded = transformers.AutoConfig.for_model(**config)
    model = transformers.AutoModelForCausalLM.from_config(loaded, dtype=torch.float32).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(numbers(name, parameter.shape))
        ids = torch.tensor([[(7 * place + 3) % VOCABULARY for place in range(TOKENS)]])
        return [round(x, 6) for x in model(ids).logits[0, -1].tolist()]


def main():
    transformers.logging.set_verbosity_error()
    cases = []
    for place, (name, theta, section) in enumerate(SECTIONS):
        family = FAMILIES[place % len(FAMILIES)]
        config = dict(SIZES, model_type=family, hidden_act="swish" if place % 2 else "silu")
        if family == "mistral":
            config["sliding_window"] = None
        dialects = [("v4", {"rope_theta": theta, "rope_scaling": section}),
                    ("v5", {"rope_parameters": dict(section or {"rope_type": "default"}, rope_theta=theta)})]
        for dialect, keys in dialects:
            whole = json.loads(json.dumps(dict(config, **keys)))  # transformers writes into what it is given
            cases.append({"name": f"{family}, {dialect}: {name}", "config": dict(config, **keys),
                          "logits": last_logits(whole)})
    text = ",\n".join(" " + json.dumps(case) for case in cases)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(f"[\n{text}\n]\n")
    print(f"{TARGET}: {len(cases)} cases, transformers {transformers.__version__}")


if __name__ == "__main__":
    main()
