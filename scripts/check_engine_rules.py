#!/usr/bin/env python3
"""Would vLLM, SGLang and TensorRT-LLM load these exports? The rules of their loaders, restated.

    scripts/check_engine_rules.py FOLDER...    folders that hold exports (modelopt, compressed_tensors), or exports

Standard library alone. Each rule names who asks for it. Prints what is broken, one line each, and a last line with the
count; exit code 1 if anything is.
"""
import fnmatch
import json
import math
import pathlib
import re
import struct
import sys

# By the end of their parent's name.
FUSED = [(r"self_attn", ("q_proj", "k_proj", "v_proj")), (r"mlp|experts\.\d+|shared_experts?", ("gate_proj", "up_proj")),
         (r"experts\.\d+", ("w1", "w3"))]
EXPERT = re.compile(r"(.*\.experts)\.\d+\.(\w+)")
# What compressed-tensors' QuantizationScheme and QuantizationArgs know; they forbid any other key.
SCHEME_KEYS = {"targets", "weights", "input_activations", "output_activations", "format"}
ARGS_KEYS = {"num_bits", "type", "symmetric", "group_size", "strategy", "block_structure", "dynamic", "actorder", "scale_dtype",
             "zp_dtype", "observer", "observer_kwargs"}


class Tensors:
    """The tensors of model.safetensors: (dtype, shape) by name, and their bytes."""

    def __init__(self, folder):
        self.data = (folder / "model.safetensors").read_bytes()
        (length,) = struct.unpack("<Q", self.data[:8])
        header = json.loads(self.data[8:8 + length])
        header.pop("__metadata__", None)
        self.start = 8 + length
        self.entries = header

    def __contains__(self, name):
        return name in self.entries

    def kind(self, name):
        entry = self.entries.get(name)
        return (entry["dtype"], entry["shape"]) if entry else None

    def bytes(self, name):
        begin, end = self.entries[name]["data_offsets"]
        return self.data[self.start + begin:self.start + end]

    def number(self, name):
        (value,) = struct.unpack("<f", self.bytes(name))
        return value

    def layers(self, suffix):
        return sorted(name[:-len(suffix)] for name in self.entries if name.endswith(suffix))

    def plain_linears(self):
        """Layers with an ordinary matrix, which a loader takes for quantized unless it is told."""
        names = [name[:-len(".weight")] for name, entry in self.entries.items()
                 if name.endswith(".weight") and len(entry["shape"]) == 2 and entry["dtype"] in ("BF16", "F16", "F32")]
        return [name for name in names if "embed" not in name]


class Checker:
    def __init__(self):
        self.broken, self.checked = [], 0

    def check(self, holds, text):
        self.checked += 1
        if not holds:
            self.broken.append(text)


def check_scales(rules, tensors, layer, codes, scale, inner):
    dtype, shape = tensors.kind(layer + codes)
    rules.check(dtype == "U8" and len(shape) == 2, f"{layer}{codes}: all: U8 [N, K/2], got {dtype} {shape}")
    rules.check(2 * shape[1] % 16 == 0, f"{layer}: vLLM: K is a multiple of 16, got {2 * shape[1]}")
    wanted = ("F8_E4M3", [shape[0], 2 * shape[1] // 16])
    rules.check(tensors.kind(layer + scale) == wanted, f"{layer}{scale}: all: {wanted}, got {tensors.kind(layer + scale)}")
    if layer + scale in tensors:
        worst = max(tensors.bytes(layer + scale), default=0)
        rules.check(worst <= 0x7E, f"{layer}{scale}: all: positive E4M3 scales, got byte {worst:#x}")
    for name, dims in inner:
        kind = tensors.kind(layer + name)
        rules.check(kind == ("F32", dims), f"{layer}{name}: F32 {dims}, got {kind}")
        if kind == ("F32", dims):
            value = tensors.number(layer + name)
            rules.check(math.isfinite(value) and value > 0, f"{layer}{name}: a positive number, got {value}")


def check_fused(rules, tensors, layers, names):
    """TensorRT-LLM asserts that fused layers share these; vLLM and SGLang take the largest and decode the others wrongly."""
    for layer in layers:
        for parent, members in FUSED:
            if not re.search(rf"\.(?:{parent})\.{members[0]}$", layer):
                continue
            base = layer[:-len(members[0])]
            for name in names:
                values = {tensors.bytes(base + member + name) for member in members if base + member + name in tensors}
                rules.check(len(values) <= 1, f"{base}*{name}: TensorRT-LLM: the same for {', '.join(members)}")


def check_inputs_of_experts(rules, tensors, layers, name):
    """vLLM takes the largest input scale of a layer's experts for all of them."""
    values = {}
    for layer in layers:
        if (found := EXPERT.fullmatch(layer)) and layer + name in tensors:
            values.setdefault((found[1], found[2] in ("down_proj", "w2")), set()).add(tensors.bytes(layer + name))
    for (experts, _), different in values.items():
        rules.check(len(different) == 1, f"{experts}*{name}: vLLM: the same for all experts")


def check_modelopt(rules, folder, config):
    tensors = Tensors(folder)
    layers = tensors.layers(".weight_scale_2")
    quantization = json.loads((folder / "hf_quant_config.json").read_text())["quantization"]
    algorithm = quantization.get("quant_algo")
    rules.check(bool(layers), "no quantized layer")
    rules.check(algorithm in ("NVFP4", "W4A16_NVFP4"), f"hf_quant_config.json: all: quant_algo NVFP4 or W4A16_NVFP4, got {algorithm}")
    for key in ("group_size", "kv_cache_quant_algo", "exclude_modules"):
        rules.check(key in quantization, f"hf_quant_config.json: vLLM: the key {key}")
    flat = config["quantization_config"]
    rules.check(flat.get("quant_method") == "modelopt", "config.json: all: quant_method modelopt")
    rules.check(flat.get("quant_algo") == algorithm, "config.json: SGLang reads it first: the same quant_algo as hf_quant_config.json")
    excluded = quantization.get("exclude_modules", [])
    rules.check(sorted(flat.get("ignore", [])) == sorted(excluded), "config.json: SGLang: ignore equal to exclude_modules")
    inner = [(".weight_scale_2", [])] + ([(".input_scale", [])] if algorithm == "NVFP4" else [])
    for layer in layers:
        check_scales(rules, tensors, layer, ".weight", ".weight_scale", inner)
        hit = [pattern for pattern in excluded if pattern in layer or fnmatch.fnmatch(layer, pattern)]
        rules.check(not hit, f"{layer}: vLLM takes an exclude as a substring: {hit} would leave it out")
    check_fused(rules, tensors, layers, [".weight_scale_2", ".input_scale"])
    check_inputs_of_experts(rules, tensors, layers, ".input_scale")
    for layer in tensors.plain_linears():
        listed = any(fnmatch.fnmatch(layer, pattern) or fnmatch.fnmatch(layer, pattern + ".*") for pattern in excluded)
        rules.check(listed, f"{layer}: all: not quantized, so in exclude_modules")


# What vLLM knows a format of compressed-tensors by. Lists: any of these.
NVFP4 = {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "tensor_group", "group_size": 16}
PACKED_INTEGERS = {"num_bits": [4, 8], "type": "int", "symmetric": True, "strategy": ["channel", "group"], "actorder": None}


def check_arguments(rules, name, arguments, wanted, dynamic):
    rules.check(set(arguments) <= ARGS_KEYS, f"{name}: compressed-tensors forbids {set(arguments) - ARGS_KEYS}")
    for key, value in wanted.items():
        got = arguments.get(key)
        rules.check(got in value if isinstance(value, list) else got == value, f"{name}: vLLM: {key} {value}, got {got}")
    rules.check(arguments.get("dynamic") == dynamic, f"{name}: vLLM: dynamic {dynamic}")


def check_integers(rules, tensors, layer, arguments):
    """vLLM's CompressedTensorsWNA16."""
    per_word = 32 // arguments["num_bits"]
    dtype, (rows, words) = tensors.kind(layer + ".weight_packed")
    cols = words * per_word
    rules.check(dtype == "I32", f"{layer}.weight_packed: all: I32 [N, K/{per_word}], got {dtype}")
    rules.check(tensors.kind(layer + ".weight_shape") == ("I64", [2]), f"{layer}.weight_shape: all: I64 [2]")
    shape = list(struct.unpack("<2q", tensors.bytes(layer + ".weight_shape")))
    rules.check(shape == [rows, cols], f"{layer}: vLLM: whole words in a row: {shape}, packed for {[rows, cols]}")
    groups = cols // arguments["group_size"] if arguments["strategy"] == "group" else 1
    dtype, shape = tensors.kind(layer + ".weight_scale") or ("none", [])
    rules.check(dtype in ("BF16", "F16", "F32") and shape == [rows, groups],
                f"{layer}.weight_scale: all: a float [{rows}, {groups}], got {dtype} {shape}")


def check_compressed_tensors(rules, folder, config):
    tensors = Tensors(folder)
    layers = tensors.layers(".weight_packed")
    rules.check(bool(layers), "no quantized layer")
    flat = config["quantization_config"]
    integers = flat.get("format") == "pack-quantized"
    for key, value in (("quant_method", "compressed-tensors"), ("quantization_status", "compressed"),
                       ("format", "pack-quantized" if integers else "nvfp4-pack-quantized")):
        rules.check(flat.get(key) == value, f"config.json: vLLM: {key} {value}, got {flat.get(key)}")
    weights = {}
    quantizes_inputs = False
    for name, group in flat.get("config_groups", {}).items():
        rules.check(set(group) <= SCHEME_KEYS, f"{name}: compressed-tensors forbids {set(group) - SCHEME_KEYS}")
        weights = group["weights"]
        check_arguments(rules, f"{name}.weights", weights, PACKED_INTEGERS if integers else NVFP4, False)
        if group.get("input_activations"):
            quantizes_inputs = True
            check_arguments(rules, f"{name}.input_activations", group["input_activations"], NVFP4, "local")
    inner = [(".weight_global_scale", [1])] + ([(".input_global_scale", [1])] if quantizes_inputs else [])
    ignored = flat.get("ignore", [])
    for layer in layers:
        if integers:
            check_integers(rules, tensors, layer, weights)
        else:
            check_scales(rules, tensors, layer, ".weight_packed", ".weight_scale", inner)
        hit = [one for one in ignored if one == layer or one.startswith("re:") and re.match(one[3:], layer)]
        rules.check(not hit, f"{layer}: quantized, yet ignored by {hit}")
    check_fused(rules, tensors, layers, [".weight_global_scale", ".input_global_scale"])
    check_inputs_of_experts(rules, tensors, layers, ".input_global_scale")
    for layer in tensors.plain_linears():
        rules.check(layer in ignored, f"{layer}: all: not quantized, so in ignore by its exact name")


def check_config(rules, config):
    for key in ("architectures", "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "rope_theta"):
        rules.check(key in config, f"config.json: v4 readers: the key {key}")


CHECKS = {"modelopt": check_modelopt, "compressed-tensors": check_compressed_tensors}


def exports_in(folder):
    here = [folder] if (folder / "config.json").exists() else sorted(path.parent for path in folder.glob("*/config.json"))
    for place in here:
        config = json.loads((place / "config.json").read_text())
        method = config.get("quantization_config", {}).get("quant_method")
        if method in CHECKS:
            yield place, method, config


def main():
    rules, folders = Checker(), 0
    for argument in sys.argv[1:]:
        for folder, method, config in exports_in(pathlib.Path(argument)):
            before = len(rules.broken)
            check_config(rules, config)
            CHECKS[method](rules, folder, config)
            rules.broken[before:] = [f"{folder.name}: {line}" for line in rules.broken[before:]]
            folders += 1
    rules.check(folders > 0, "no export found")
    print("\n".join(rules.broken))
    print(f"{rules.checked} checks of {folders} exports, {len(rules.broken)} broken")
    sys.exit(1 if rules.broken else 0)


if __name__ == "__main__":
    main()
