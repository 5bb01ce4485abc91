#!/usr/bin/env python3
"""The training step of bench/step for models with experts or recurrences, with transformers' own modules under PyTorch
on a CPU; bench/compare_hybrids runs both.

    bench_step --workload N --dump DIR; hybrid_step.py DIR [--precision bf16] [--experts grouped_mm]

Reads what bench_step dumped: the teacher as a model folder, the tokens, the tensor scales. Prints JSON lines of the same
form. The models are AutoModelForCausalLM's. What is put around them: each step quantizes every weight once and gives the
model all of them by functional_call; hooks quantize the inputs of linear layers, once for layers that read the same one;
experts go through one of transformers' implementations, or through the loop over experts that its classes have, with
their inner values quantized. What is done for speed: the teacher's weights are expanded to FP32 once; with --precision
bf16 (autocast) they stay as they are stored and the student's are given in BF16, so that no product casts them; SDPA
attention, fused AdamW, KL as one autograd function, denormals flushed.
"""
import argparse
import ctypes
import json
import logging
import os
import re
import statistics
import sys
import time

import h5py
import torch
import torch.nn.functional as F
import transformers
from torch_step import Bf16, KL, bytes_of, fake_quantize, forget_peak, machine, print_line, status_bytes
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS


class StraightThrough(torch.autograd.Function):
    """As NVFP4 holds it; `scale` is one tensor scale, or one for each row."""

    @staticmethod
    def forward(ctx, x, scale, dtype):
        rows = x.reshape(-1, x.shape[-1])
        if scale.numel() > 1:
            scale = scale.view(-1, 1).expand(-1, x.shape[-1] // 16).reshape(-1, 1)
        return fake_quantize(rows.float(), scale).view_as(x).to(dtype)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.float(), None, None


def quantized(x, scale):
    return StraightThrough.apply(x, scale, x.dtype)


# The names of the files, and those of transformers' modules.
RENAMED = [(r"^backbone\.", "model."), (r"\.block_sparse_moe\.", ".mlp."), (r"\.(f_[ab]_proj)$", r".forget_gate.\1"),
           (r"(\.experts\.\d+)\.w1$", r"\1.gate_proj"), (r"(\.experts\.\d+)\.w3$", r"\1.up_proj"),
           (r"(\.experts\.\d+)\.w2$", r"\1.down_proj")]


def scales_by_module(step_facts):
    """(module -> its two scales, experts -> projection -> the scales of each expert)."""
    linears, experts = {}, {}
    for layer, scales in step_facts["tensor_scales"].items():
        for pattern, name in RENAMED:
            layer = re.sub(pattern, name, layer)
        match = re.fullmatch(r"(.*\.experts)\.(\d+)\.(\w+)", layer)
        if match:
            experts.setdefault(match[1], {}).setdefault(match[3], {})[int(match[2])] = scales
        else:
            linears[layer] = scales
    return linears, experts


def experts_in_turn(self, hidden_states, top_k_index, top_k_weights):
    """The loop of transformers' own classes (experts_implementation eager), whose inner values can be quantized."""
    result = torch.zeros_like(hidden_states)
    with torch.no_grad():
        mask = F.one_hot(top_k_index, num_classes=self.num_experts).permute(2, 1, 0)
        hit = torch.greater(mask.sum(dim=(-1, -2)), 0).nonzero().flatten().tolist()
    for expert in hit:
        position, token = torch.where(mask[expert])
        if self.has_gate:
            inner = self._apply_gate(F.linear(hidden_states[token], self.gate_up_proj[expert]))
        else:
            inner = self.act_fn(F.linear(hidden_states[token], self.up_proj[expert]))
        output = F.linear(inner, self.down_proj[expert]) * top_k_weights[token, position, None]
        result.index_add_(0, token, output.to(result.dtype))
    return result


ALL_EXPERTS_FUNCTIONS.register("in_turn", experts_in_turn)


class QuantizedInputs:
    """Hooks that quantize the inputs of linear layers; the last one is kept for layers that read the same tensor."""

    def __init__(self):
        self.last, self.last_scale, self.last_result = None, None, None

    def of(self, x, scale):
        if self.last is not x or self.last_scale != scale.item():
            self.last, self.last_scale, self.last_result = x, scale.item(), quantized(x, scale)
        return self.last_result

    def hook(self, scale):
        return lambda module, inputs: (self.of(inputs[0], scale), *inputs[1:])

    def forget(self):
        self.last = self.last_result = None


class Student:
    def __init__(self, model, step_facts, bf16):
        self.model, self.bf16, self.inputs = model, bf16, QuantizedInputs()
        self.unquantized_bf16 = step_facts["unquantized"] == "bf16"
        self.weight_scales = {}  # by name of the parameter
        linears, experts = scales_by_module(step_facts)
        modules = dict(model.named_modules())
        for name, scales in linears.items():
            assert isinstance(modules[name], torch.nn.Linear), name
            self.weight_scales[name + ".weight"] = torch.tensor(scales["weight"])
            modules[name].register_forward_pre_hook(self.inputs.hook(torch.tensor(scales["input"])))
        for name, projections in experts.items():
            self.quantize_experts(name, modules[name], projections)
        found = {n + ".weight" for n, m in modules.items() if isinstance(m, torch.nn.Linear)} - {"lm_head.weight"}
        assert found <= set(self.weight_scales), f"not quantized: {found - set(self.weight_scales)}"

    def quantize_experts(self, name, module, projections):
        def scale_of(projection, key):
            return torch.tensor([projections[projection][e][key] for e in range(module.num_experts)])

        def one_scale(projection):
            scales = scale_of(projection, "input")
            assert (scales == scales[0]).all(), f"{name}: experts' inputs of {projection} have several scales"
            return scales[0]

        def by_row(scales, rows):
            return scales.repeat_interleave(rows)

        first = "gate_up_proj" if module.has_gate else "up_proj"
        self.weight_scales[f"{name}.{first}"] = by_row(scale_of("up_proj", "weight"), getattr(module, first).shape[1])
        self.weight_scales[f"{name}.down_proj"] = by_row(scale_of("down_proj", "weight"), module.down_proj.shape[1])
        module.register_forward_pre_hook(self.inputs.hook(one_scale("up_proj")))
        inner_scale = one_scale("down_proj")
        if module.has_gate:
            assert (scale_of("gate_proj", "weight") == scale_of("up_proj", "weight")).all()
            gate = module._apply_gate
            module._apply_gate = lambda gate_up: quantized(gate(gate_up), inner_scale)
        else:
            activation = module.act_fn
            del module.act_fn
            module.act_fn = lambda x: quantized(activation(x), inner_scale)

    def weights(self):
        """What this step's forward reads."""
        dtype = torch.bfloat16 if self.bf16 else torch.float32
        result = {}
        for name, parameter in self.model.named_parameters():
            if name in self.weight_scales:
                result[name] = StraightThrough.apply(parameter, self.weight_scales[name], dtype)
            else:
                result[name] = Bf16.apply(parameter) if self.unquantized_bf16 else parameter
        return result

    def logits(self, ids):
        result = torch.func.functional_call(self.model, self.weights(), (ids,), {"use_cache": False}).logits
        self.inputs.forget()
        return result


def load(folder, config, dtype, experts):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=dtype,
                                                              attn_implementation="sdpa", experts_implementation=experts)
    for module in model.modules():
        if hasattr(module, "time_step_limit"):
            module.time_step_limit = (0.0, float("inf"))  # no bound in training or decoding elsewhere
    return model


def rows_of(logits):
    return logits.reshape(-1, logits.shape[-1]).float()


def train(options):
    folder = os.path.join(options.folder, "teacher")
    config = transformers.AutoConfig.from_pretrained(folder)
    config.pad_token_id = None  # by default one of the published vocabulary
    transformers.AutoModelForCausalLM._model_mapping[type(config)]  # imports its file: no part of a model's memory
    process = status_bytes("VmRSS")
    step_facts = json.load(open(os.path.join(options.folder, "step.json")))
    batch, length = step_facts["batch"], step_facts["length"]
    with h5py.File(os.path.join(options.folder, "tokens.h5")) as file:
        batches = torch.from_numpy(file["ids"][:].astype("int64")).view(-1, batch, length)
    bf16 = options.precision == "bf16"
    teacher = load(folder, config, torch.bfloat16 if bf16 else torch.float32, options.experts).requires_grad_(False)
    model = load(folder, config, torch.float32, options.experts).train()
    student = Student(model, step_facts, bf16)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in parameters if p.dim() > 1], "weight_decay": step_facts["weight_decay"]},
         {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0}],
        lr=step_facts["lr"], betas=(step_facts["beta1"], step_facts["beta2"]), eps=step_facts["epsilon"], fused=True)

    def step(ids):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            with torch.no_grad():
                teacher_logits = rows_of(teacher(ids, use_cache=False).logits)
            student_logits = rows_of(student.logits(ids))
        loss = KL.apply(student_logits, teacher_logits) / ids.numel()
        loss.backward()
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True).item()
        if norm > step_facts["clip_norm"] > 0:
            torch._foreach_mul_(gradients, step_facts["clip_norm"] / norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item(), norm

    ctypes.CDLL(None).malloc_trim(0)  # what loading left
    forget_peak()
    losses, times = [], []
    for number in range(options.warmup + options.steps):
        begun = time.perf_counter()
        loss, norm = step(batches[number % len(batches)])
        seconds = time.perf_counter() - begun
        losses.append(loss)
        if number >= options.warmup:
            times.append(seconds)
        print_line({"event": "step", "step": number + 1, "loss": loss, "grad_norm": norm, "seconds": seconds})
    peak, teacher_bytes, student_bytes = status_bytes("VmHWM"), bytes_of(teacher), bytes_of(model)
    result = {"event": "result", "peer": "transformers", "precision": options.precision, "experts": options.experts,
              "workload": step_facts["workload"], **machine(), "transformers": transformers.__version__,
              "parameters": sum(p.numel() for p in model.parameters()), "tokens": batch * length, "losses": losses,
              "memory": {"peak": peak, "process": process, "teacher": teacher_bytes, "student": student_bytes,
                         "gradients": student_bytes, "optimizer": 2 * student_bytes,
                         "beyond": peak - process - teacher_bytes - 4 * student_bytes}}
    if times:
        result["step_seconds"] = statistics.median(times)
        result["tokens_per_second"] = batch * length / result["step_seconds"]
    print_line(result)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="what bench_step --dump wrote")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of matrix products")
    parser.add_argument("--experts", choices=["in_turn", "grouped_mm", "batched_mm"], default="grouped_mm",
                        help="transformers' implementation of experts; in_turn: the one it calls eager")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=5, help="steps that are timed")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    train(options)


if __name__ == "__main__":
    sys.exit(main())
