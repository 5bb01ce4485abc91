#!/usr/bin/env python3
"""Writes tests/calib/golden/layers.json: what ModelOpt and llm-compressor find for two layers, for tests/calib.

    make_calibration_goldens.py STORY_MODEL_FOLDER

Needs torch, safetensors, nvidia-modelopt and llmcompressor (the committed file: 2.10, 0.47.0, 0.14.0.1). One layer is rows
of the story model's q_proj, the other an expert's size and seldom reached; inputs are drawn, and go together. `weight` and
`inputs` are BF16, all bytes hexadecimal; errors are sums over outputs of the squared difference that rounding makes.
"""
import json
import pathlib
import sys
import types

import modelopt.torch.quantization as mtq
import torch
from compressed_tensors.quantization import QuantizationArgs
from llmcompressor.modifiers.gptq.gptq_quantize import quantize_weight
from llmcompressor.modifiers.transform.awq.base import AWQModifier
from modelopt.torch.quantization import tensor_quant
from safetensors.torch import load_file

FILE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "calib" / "golden" / "layers.json"
OTHER = [{"quantizer_name": "*", "enable": False}]
WEIGHT = {"num_bits": (2, 1), "block_sizes": {-1: 16, "type": "static", "scale_bits": (4, 3)}}


def hexadecimal(tensor):
    return bytes(tensor.reshape(-1).contiguous().view(torch.uint8).tolist()).hex()


def by_modelopt(weight, inputs, algorithm):
    """The layer after ModelOpt's algorithm, weights alone quantized."""
    model = torch.nn.Sequential(torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False))
    model[0].weight.data.copy_(weight)
    config = {"quant_cfg": [*OTHER, {"quantizer_name": "*weight_quantizer", "cfg": WEIGHT}], "algorithm": algorithm}
    return mtq.quantize(model, config, lambda m: m(inputs))[0]


def scale_bytes(layer, tensor_scale):
    amax = layer.weight_quantizer._amax.reshape(layer.weight.shape[0], -1).float()
    return (amax / 6 / tensor_scale).to(torch.float8_e4m3fn)


def rounded(weight, scales, tensor_scale):
    """NVFP4 values of a weight under block scales."""
    step = (scales.float() * tensor_scale).repeat_interleave(16, 1)
    grid = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    # Nearest; a tie goes to the even code.
    ratio = (weight / step).abs().clamp(max=6).unsqueeze(-1)
    distance = (ratio - grid).abs() + torch.tensor([0, 1, 0, 1, 0, 1, 0, 1]) * 1e-7
    return grid[distance.argmin(-1)] * weight.sign() * step


def fake_quant(x, amax, global_amax, quantize_block_scales, fp8_max, out_dtype):
    """In place of ModelOpt's kernel of this name, which needs a GPU."""
    assert quantize_block_scales and fp8_max == 448
    tensor_scale = global_amax.float() / (6 * fp8_max)
    scales = (amax.float().reshape(-1, 1) / 6 / tensor_scale).clamp(max=fp8_max).to(torch.float8_e4m3fn)
    return rounded(x.float().reshape(-1, 16), scales, tensor_scale).reshape(x.shape).to(out_dtype or x.dtype)


tensor_quant.triton_kernel = types.SimpleNamespace(IS_AVAILABLE=True, static_blockwise_fp4_fake_quant=fake_quant)


def error(weight, quantized, inputs):
    return float(((quantized.double() - weight.double()) @ inputs.double().T).square().sum())


def by_llmcompressor(weight, inputs, scales, tensor_scale):
    args = QuantizationArgs(num_bits=4, type="float", strategy="tensor_group", group_size=16, symmetric=True, actorder=None,
                            scale_dtype=torch.float8_e4m3fn)
    hessian = 2 * inputs.T @ inputs / inputs.shape[0]
    quantized, _, fell_back = quantize_weight(
        weight.clone()[None], hessian[None], scales[None].float(), torch.zeros_like(scales.float())[None],
        torch.tensor([[1 / tensor_scale]]), args)
    assert not fell_back.any()
    return quantized[0]


def awq(weight, inputs, tensor_scale_of):
    """llm-compressor's grid for a layer that is its own parent: its factors, with rounding by max scales."""
    modifier = AWQModifier()
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data.copy_(weight)
    layer.quantization_scheme = type("Scheme", (), {"weights": QuantizationArgs(
        num_bits=4, type="float", strategy="tensor_group", group_size=16, symmetric=True)})()
    w_mean = AWQModifier._compute_layer_means([layer])
    x_mean = inputs.abs().mean(0)
    errors = []
    for ratio, duo in modifier._get_grid_search_params():
        s = (x_mean.pow(ratio) / (w_mean.pow(1 - ratio) + 1e-4)).clamp(min=1e-4) if duo else x_mean.pow(ratio).clamp(min=1e-4)
        s = s / (s.max() * s.min()).sqrt()
        scaled = weight * s
        tensor_scale = tensor_scale_of(scaled)
        scales = (scaled.reshape(len(scaled), -1, 16).abs().amax(-1) / 6 / tensor_scale).to(torch.float8_e4m3fn)
        errors.append(error(weight, rounded(scaled, scales, tensor_scale) / s, inputs))
    return errors


def layer(name, weight, inputs):
    tensor_scale_of = lambda w: (w.abs().max() / torch.tensor(2688.0)).float()
    weight, inputs = weight.bfloat16(), inputs.bfloat16()
    out = {"name": name, "rows": weight.shape[0], "cols": weight.shape[1], "tokens": inputs.shape[0],
           "weight": hexadecimal(weight), "inputs": hexadecimal(inputs)}
    weight, inputs = weight.float(), inputs.float()
    tensor_scale = tensor_scale_of(weight)
    out["tensor_scale"] = hexadecimal(tensor_scale)
    for kind in ("mse", "local_hessian"):
        found = by_modelopt(weight, inputs, {"method": kind, "fp8_scale_sweep": True})
        out[kind] = hexadecimal(scale_bytes(found, tensor_scale))
    largest = (weight.reshape(len(weight), -1, 16).abs().amax(-1) / 6 / tensor_scale).to(torch.float8_e4m3fn)
    compensated = by_modelopt(weight, inputs, {"method": "gptq"}).weight.data.float()
    out["gptq"] = {"modelopt": error(weight, rounded(compensated, largest, tensor_scale), inputs),
                   "llmcompressor": error(weight, by_llmcompressor(weight, inputs, largest, tensor_scale), inputs),
                   "nearest": error(weight, rounded(weight, largest, tensor_scale), inputs)}
    out["awq"] = awq(weight, inputs, tensor_scale_of)
    print(name, out["gptq"], min(range(20), key=out["awq"].__getitem__), file=sys.stderr)
    return out


def drawn_inputs(tokens, cols, random):
    """Some directions are common to all, and some columns stand out."""
    x = torch.randn(tokens, 12, generator=random) @ torch.randn(12, cols, generator=random) * 0.4
    x += torch.randn(tokens, cols, generator=random)
    return x * torch.exp(0.8 * torch.randn(cols, generator=random))


def main():
    random = torch.Generator().manual_seed(1)
    story = load_file(pathlib.Path(sys.argv[1]) / "model.safetensors")["model.layers.0.self_attn.q_proj.weight"][:32].float()
    expert = torch.randn(32, 64, generator=random) * 0.05
    expert *= torch.exp(0.5 * torch.randn(32, 64, generator=random))
    layers = [layer("story", story, drawn_inputs(192, story.shape[1], random)),
              layer("expert", expert, drawn_inputs(48, 64, random))]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("[" + ",\n".join(json.dumps(one, indent=0) for one in layers) + "]\n")


if __name__ == "__main__":
    main()
