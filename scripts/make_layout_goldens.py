#!/usr/bin/env python3
"""Writes tests/layouts/golden/layers.json: small layers, as the packages whose layouts they are pack and decode them.

Needs torch, compressed-tensors and bitsandbytes (the committed file: 2.15, 0.20, 0.50). All tensors are hexadecimal
bytes: `weight` what is packed, `tensors` what a checkpoint stores of it, `decoded` what the package makes of that.
"""
import json
import pathlib

import bitsandbytes.functional as bnb
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

FILE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "exporters" / "golden" / "layers.json"


def hexadecimal(tensor):
    return bytes(tensor.contiguous().view(torch.uint8).flatten().tolist()).hex()


def weights(rows, cols):
    x = torch.randn(rows, cols) * torch.logspace(-3, 1, rows)[:, None]
    x[0, :2] = 0
    return x


def stored(weight, tensors, decoded):
    return {"shape": list(weight.shape), "weight": hexadecimal(weight),
            "tensors": {name: hexadecimal(tensor) for name, tensor in tensors.items()}, "decoded": hexadecimal(decoded)}


def compressed(weight, packing, scale, **arguments):
    """By the compressor that its readers have, under a scale of ours: observers choose others."""
    compressor = BaseCompressor.get_value_from_registry(packing)
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(symmetric=True, **arguments))
    tensors = compressor.compress({"weight": weight, "weight_scale": scale.float()}, scheme)
    decoded = compressor.decompress(dict(tensors), scheme)["weight"]
    return stored(weight, {**tensors, "weight_scale": scale}, decoded)


def int4_g128():
    weight = weights(3, 256)
    scale = (weight.reshape(3, 2, 128).abs().amax(-1) / 7).bfloat16()
    return compressed(weight, "pack-quantized", scale, num_bits=4, type="int", strategy="group", group_size=128)


def int8():  # rows that do not fill their last word
    weight = weights(3, 38)
    scale = weight.abs().amax(-1, keepdim=True) / 127
    return compressed(weight, "pack-quantized", scale, num_bits=8, type="int", strategy="channel")


def fp8_channel():
    weight = weights(3, 38)
    scale = weight.abs().amax(-1, keepdim=True) / 448
    return compressed(weight, "naive-quantized", scale, num_bits=8, type="float", strategy="channel")


def nf4_g64():
    weight = weights(3, 128)
    packed, state = bnb.quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=False)
    tensors = {"weight": packed, **{f"weight.{name}": tensor for name, tensor in state.as_dict(packed=True).items()}}
    return stored(weight, tensors, bnb.dequantize_4bit(packed, state))


def main():
    torch.manual_seed(1)
    layers = {make.__name__: make() for make in (int4_g128, int8, fp8_channel, nf4_g64)}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(layers, indent=1) + "\n")


if __name__ == "__main__":
    main()
