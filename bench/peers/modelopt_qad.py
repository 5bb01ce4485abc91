#!/usr/bin/env python3
"""QAD with ModelOpt's quantizers under PyTorch on a CPU, exported by ModelOpt; bench/compare_modelopt runs it beside qad.

    modelopt_qad.py --teacher MODEL --tokens train.h5 --calibration calibration.h5 --recipe max --steps 400 --out DIR
    qad eval DIR --teacher MODEL --data held_out.h5

As in qad's recipe accuracy/peer are the teacher, rounded to BF16 and frozen; the token file's documents in order, packed
as there; forward KL over all positions; AdamW without weight decay, clipped to a norm of 1, cosine to zero after a
warm-up; FP32 masters, of which the forward reads in BF16 what is not quantized; NVFP4 weights and inputs in all linear
layers but the head. ModelOpt's (0.47) are configs, calibration, straight-through gradients, scales and export: `max` is
its NVFP4_DEFAULT_CFG, `mse` and `local_hessian` the configs of these names, `mse_dual_lsq` its recipe
qad/nvfp4_dual_lsq-mse_init but for the KV cache. With `max` it gives layers that engines fuse one tensor scale only when
it exports, so that a trained student is rounded anew; `max_shared` has it do so before the training. Prints a JSON line
a step, and at the end what the export must come to (with --held-out).

Needs torch, transformers, h5py and nvidia-modelopt. Three of ModelOpt's kernels need a GPU; here they are the same
arithmetic in PyTorch. Its export reads no learned scales: before it weights become what their codes say and the scales
that are stored become the quantizers', which gives the same codes and scales again.
"""
import argparse
import copy
import json
import math
import time
import types
import warnings

import h5py
import torch
import torch.nn.functional as F
import transformers

warnings.filterwarnings("ignore")  # of GPUs and extensions that aren't there

import modelopt.torch.quantization as mtq
from modelopt.torch.export import export_hf_checkpoint
from modelopt.torch.export.unified_export_hf import requantize_resmooth_fused_llm_layers
from modelopt.torch.quantization import tensor_quant
from modelopt.torch.quantization.nn import StaticBlockScaleQuantizer

DUAL_LSQ = {"method": "lsq", "learnable_amax": ["pre", "post"], "tied_amax": False, "quantize_pre_scale": False,
            "scale_algorithm": {"method": "mse", "fp8_scale_sweep": True}}
MSE = mtq.NVFP4_W4A4_WEIGHT_MSE_FP8_SWEEP_CFG
RECIPES = {"max": mtq.NVFP4_DEFAULT_CFG, "max_shared": mtq.NVFP4_DEFAULT_CFG, "mse": MSE,
           "mse_dual_lsq": {**MSE, "algorithm": DUAL_LSQ}, "local_hessian": mtq.NVFP4_W4A4_WEIGHT_LOCAL_HESSIAN_CFG}


# ModelOpt's kernels (modelopt/torch/kernels/quantization/gemm), by their names.
def static_blockwise_fp4_cast(x, out_dtype=None):
    """To the nearest of 0, 0.5, 1, 1.5, 2, 3, 4 and 6, ties to the even code."""
    size = x.float().abs().clamp(max=6)
    step = torch.where(size < 2, 0.5, torch.where(size < 4, 1.0, 2.0))
    return (torch.round(size / step) * step).copysign(x).to(out_dtype or x.dtype)


def static_blockwise_fp4_fake_quant(x, amax, global_amax, quantize_block_scales, fp8_max, out_dtype):
    assert quantize_block_scales and fp8_max == 448
    scale = tensor_quant.scaled_e4m3_impl(amax.float() / 6, global_amax.float() / 6).reshape(-1, 1)
    safe = torch.where(scale == 0, 1.0, scale)
    values = static_blockwise_fp4_cast(x.float().reshape(-1, 16) / safe) * scale
    return values.reshape(x.shape).to(out_dtype or x.dtype)


def fp4_fake_quant_block(x, global_amax):
    blocks, tensor_scale = x.float().reshape(-1, 16), global_amax.float() / (6 * 448)
    scale = (blocks.abs().amax(-1, keepdim=True) / (6 * tensor_scale)).clamp(max=448)
    scale = scale.to(torch.float8_e4m3fn).float() * tensor_scale
    scale = torch.where(scale >= 1e-5, scale, 1.0)
    return (static_blockwise_fp4_cast(blocks / scale) * scale).reshape(x.shape).to(x.dtype)


def dynamic_block_quantize(x, block_size, amax, *formats):
    assert block_size == 16 and formats == (4, 2, 8, 4)
    return fp4_fake_quant_block(x, amax)


tensor_quant.triton_kernel = types.SimpleNamespace(
    IS_AVAILABLE=True, static_blockwise_fp4_cast=static_blockwise_fp4_cast,
    static_blockwise_fp4_fake_quant=static_blockwise_fp4_fake_quant)
tensor_quant.dynamic_block_quantize_op = dynamic_block_quantize


def sequences_of(file, length):
    """Each a list of segments, as qad packs documents (data/text/packing.cpp)."""
    with h5py.File(file) as opened:
        ids, offsets = torch.from_numpy(opened["ids"][:].astype("int64")), opened["offsets"][:].tolist()
    sequences, room = [], 0
    for begin, end in zip(offsets, offsets[1:]):
        for segment in ids[begin:end].split(length):
            if len(segment) > room:
                sequences.append([])
                room = length
            sequences[-1].append(segment)
            room -= len(segment)
    return sequences


def rows_of(sequences):
    """(ids, whether a position is a segment's): a segment a row. What is padded stands behind all that counts."""
    segments = [segment for sequence in sequences for segment in sequence]
    valid = torch.nn.utils.rnn.pad_sequence([torch.ones_like(s, dtype=torch.bool) for s in segments], batch_first=True)
    return torch.nn.utils.rnn.pad_sequence(segments, batch_first=True), valid


def learning_rate(options, step):
    """autograd/optim/schedule.cpp."""
    if step <= options.warmup:
        return options.lr * step / options.warmup
    progress = min(1.0, (step - 1 - options.warmup) / max(1, options.steps - options.warmup))
    return options.lr * 0.5 * (1 + math.cos(math.pi * progress))


def kl_sum(teacher, student, sequences):
    """(sum over all valid positions, their number)."""
    ids, valid = rows_of(sequences)
    with torch.no_grad():
        expected = F.log_softmax(teacher(ids, use_cache=False).logits[valid], -1)
    given = F.log_softmax(student(ids, use_cache=False).logits[valid], -1)
    return F.kl_div(given, expected, log_target=True, reduction="sum"), len(given)


class Optimizer:
    """AdamW over FP32 masters. Parameters that are not quantized hold their masters rounded to BF16."""

    def __init__(self, student, options):
        self.pairs, groups = [], {1.0: [], options.scale_lr_factor: []}
        for name, parameter in student.named_parameters():
            master = parameter.detach().clone().requires_grad_()
            rounded = "_amax_" not in name and not name.endswith("_proj.weight")
            self.pairs.append((parameter, master, rounded))
            groups[options.scale_lr_factor if "_amax_" in name else 1.0].append(master)
        self.adamw = torch.optim.AdamW([{"params": params, "factor": factor} for factor, params in groups.items()],
                                       lr=0.0, betas=(0.9, options.beta2), eps=1e-8, weight_decay=0)
        self.show()

    @torch.no_grad()
    def show(self):
        for parameter, master, rounded in self.pairs:
            parameter.copy_(master.bfloat16() if rounded else master)

    def step(self, rate):
        norm = math.sqrt(sum(float(p.grad.double().square().sum()) for p, _, _ in self.pairs))
        for parameter, master, _ in self.pairs:
            master.grad, parameter.grad = parameter.grad.mul_(min(1.0, 1.0 / norm)), None
        for group in self.adamw.param_groups:
            group["lr"] = rate * group["factor"]
        self.adamw.step()
        self.show()
        return norm


@torch.no_grad()
def fold_learned_scales(student):
    for module in student.modules():
        quantizer = getattr(module, "weight_quantizer", None)
        if not isinstance(quantizer, StaticBlockScaleQuantizer) or not quantizer._lsq:
            continue
        module.weight.copy_(quantizer(module.weight))
        stored = quantizer.amax_post.detach().clone()
        quantizer._lsq = False
        del quantizer._amax_pre, quantizer._amax_post
        quantizer.register_buffer("_amax", stored.clamp(min=0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True, help="model folder")
    parser.add_argument("--tokens", required=True, help="HDF5 with ids and offsets, the documents of training in order")
    parser.add_argument("--calibration", required=True, help="the same, of which calibration sees every document")
    parser.add_argument("--recipe", required=True, choices=RECIPES)
    parser.add_argument("--steps", type=int, default=400, help="0: calibration alone")
    parser.add_argument("--batch", type=int, default=8, help="sequences a step")
    parser.add_argument("--length", type=int, default=256, help="most tokens of a sequence")
    parser.add_argument("--lr", type=float, default=1e-3, help="peak learning rate")
    parser.add_argument("--warmup", type=int, default=20, help="steps")
    parser.add_argument("--beta2", type=float, default=0.999)
    parser.add_argument("--scale-lr-factor", type=float, default=1.0, help="of learned scales, times the learning rate")
    parser.add_argument("--held-out", help="the same, for the student's KL before the export")
    parser.add_argument("--out", required=True, help="folder of the export")
    options = parser.parse_args()

    transformers.utils.logging.disable_progress_bar()
    teacher = transformers.AutoModelForCausalLM.from_pretrained(options.teacher, dtype=torch.bfloat16).float().eval()
    teacher.requires_grad_(False)
    student = copy.deepcopy(teacher).requires_grad_(True)
    student.config.dtype = torch.float32  # masters are packed as they are
    training, calibration = (sequences_of(f, options.length) for f in (options.tokens, options.calibration))

    @torch.no_grad()
    def calibrate(model):
        for segment in (segment for sequence in calibration for segment in sequence):
            model(segment[None], use_cache=False)

    mtq.quantize(student, copy.deepcopy(RECIPES[options.recipe]), calibrate)
    if options.recipe == "max_shared":
        requantize_resmooth_fused_llm_layers(student)
    optimizer = Optimizer(student, options)
    for step in range(1, options.steps + 1):
        began = time.perf_counter()
        first = (step - 1) * options.batch
        batch = [training[i % len(training)] for i in range(first, first + options.batch)]
        total, tokens = kl_sum(teacher, student, batch)
        loss = total / tokens
        loss.backward()
        rate = learning_rate(options, step)
        norm = optimizer.step(rate)
        print(json.dumps({"event": "step", "step": step, "loss": loss.item(), "grad_norm": norm, "lr": rate,
                          "seconds": round(time.perf_counter() - began, 4)}), flush=True)
    result = {"event": "result", "recipe": options.recipe, "steps": options.steps}
    if options.held_out:
        sequences = sequences_of(options.held_out, options.length)
        with torch.no_grad():
            sums = [kl_sum(teacher, student, sequences[i : i + 16]) for i in range(0, len(sequences), 16)]
        result["kl_before_export"] = float(sum(total for total, _ in sums)) / sum(tokens for _, tokens in sums)
    fold_learned_scales(student)
    export_hf_checkpoint(student, export_dir=options.out)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
