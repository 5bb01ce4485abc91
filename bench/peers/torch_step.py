#!/usr/bin/env python3
"""The training step of bench/step in PyTorch on a CPU, as fast as we know how to write it; bench/compare_step runs both.

    bench_step --workload M --dump DIR; torch_step.py DIR [--compile] [--precision bf16]

Reads what bench_step dumped: the teacher's weights, the tokens, the tensor scales. Prints JSON lines of the same form.
What is done for speed, eager and compiled: q/k/v and gate/up are one matrix each; the teacher's weights are expanded to
FP32 once, so that no step converts them; straight-through quantizers, SwiGLU, rotary embedding and KL are autograd
functions that work in place and keep no more than they need; the gradient of the tied embedding's rows is added to that
of the head without a second dense matrix; SDPA attention, fused AdamW, denormals flushed. With --precision bf16 both
operands of each product are cast, forward and backward, and the teacher's weights stay as they are stored.
"""
import argparse
import json
import os
import statistics
import sys
import time

import h5py
import safetensors.torch
import torch
import torch.nn.functional as F


# Rounding to a grid without a table: adding 1.5·2^22·p and taking it away again rounds to multiples of p/2, nearest
# with ties to even, where p is the power of two below a value. 20 instead of 22 keeps two bits more.
def power_of_two_below(x, at_least):
    return (x.view(torch.int32) & 0x7F800000).view(torch.float32).clamp_min_(at_least)


def fake_quantize(x, tensor_scale):
    """x [rows, cols] as NVFP4 holds it: blocks of 16, E4M3 block scales, E2M1 codes by true division."""
    # The fastest of the ways to say it: torch.compile makes half the speed of x.abs().amax().
    amax = F.max_pool1d(x.abs(), 16).view(-1, 1)
    scale = amax.div_(6 * tensor_scale).clamp_max_(448)
    big = power_of_two_below(scale, 2.0**-6).mul_(1.5 * 2**20)
    # An all-zero block has another scale than ours, and the same zeros.
    scale = scale.add_(big).sub_(big).clamp_min_(2.0**-9).mul_(tensor_scale)
    codes = (x.view(-1, 16) / scale).clamp_(-6, 6)
    big = power_of_two_below(codes, 1.0).mul_(1.5 * 2**22)
    return codes.add_(big).sub_(big).mul_(scale).view_as(x)


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, tensor_scale):
        return fake_quantize(x, tensor_scale)

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


class Bf16(torch.autograd.Function):
    """What no rule quantizes, as it is exported."""

    @staticmethod
    def forward(ctx, parameter):
        return parameter.bfloat16().float()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class SwiGLU(torch.autograd.Function):
    """silu(gate)·up of gate_up [tokens, 2·ffn]."""

    @staticmethod
    def forward(ctx, gate_up):
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, -1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx, d):
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, -1)
        if torch.compiler.is_compiling():
            return torch.cat([torch.ops.aten.silu_backward(d * up, gate), d * F.silu(gate)], -1)
        gradient = torch.empty_like(gate_up)
        d_gate, d_up = gradient.chunk(2, -1)
        torch.mul(d, F.silu(gate), out=d_up)
        d_gate.copy_(torch.ops.aten.silu_backward(d * up, gate))
        return gradient


class Rope(torch.autograd.Function):
    """x [batch, length, heads, head size], cosine and sine [length, 1, head size / 2]."""

    @staticmethod
    def forward(ctx, x, cosine, sine):
        ctx.save_for_backward(cosine, sine)
        return Rope.turned(x, cosine, sine, 1)

    @staticmethod
    def backward(ctx, gradient):
        return Rope.turned(gradient, *ctx.saved_tensors, -1), None, None

    @staticmethod
    def turned(x, cosine, sine, sign):
        first, second = x.chunk(2, -1)
        if torch.compiler.is_compiling():
            return torch.cat([first * cosine - sign * second * sine, second * cosine + sign * first * sine], -1)
        result = torch.empty_like(x, memory_format=torch.contiguous_format)
        a, b = result.chunk(2, -1)
        torch.mul(first, cosine, out=a).addcmul_(second, sine, value=-sign)
        torch.mul(second, cosine, out=b).addcmul_(first, sine, value=sign)
        return result


class Bf16Product(torch.autograd.Function):
    """x·weightᵀ, both cast to BF16, and so in backward; gradients add up in FP32."""

    @staticmethod
    def forward(ctx, x, weight):
        x, weight = x.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight).float()

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        gradient = gradient.bfloat16()
        return (gradient @ weight).float(), (gradient.t() @ x).float() if ctx.needs_input_grad[1] else None


class KL(torch.autograd.Function):
    """Sum over the rows of KL(softmax(teacher) ‖ softmax(student)); its gradient is softmax(student) - softmax(teacher)."""

    @staticmethod
    def forward(ctx, student, teacher):
        q, p = torch.log_softmax(student, -1), torch.log_softmax(teacher, -1)
        weights = p.exp()
        loss = torch.dot(weights.view(-1), p.sub_(q).view(-1))
        ctx.save_for_backward(q.exp_().sub_(weights))
        return loss

    @staticmethod
    def backward(ctx, gradient):
        (difference,) = ctx.saved_tensors
        return difference * gradient if torch.compiler.is_compiling() else difference.mul_(gradient), None


class Linear(torch.nn.Module):
    """Layers that read the same input as one matrix, which they can be because they share both tensor scales."""

    def __init__(self, weights, scales, trained, product):
        super().__init__()
        self.product = product
        self.weight = torch.nn.Parameter(torch.cat(weights), requires_grad=trained)
        self.quantized = trained and bool(scales)
        if self.quantized:
            assert len({(s["weight"], s["input"]) for s in scales}) == 1
            self.register_buffer("weight_scale", torch.tensor(scales[0]["weight"]))
            self.register_buffer("input_scale", torch.tensor(scales[0]["input"]))

    def forward(self, x):
        if not self.quantized:
            return self.product(x, self.weight)
        return self.product(StraightThrough.apply(x, self.input_scale),
                            StraightThrough.apply(self.weight, self.weight_scale))


class Layer(torch.nn.Module):
    def __init__(self, config, tensors, index, scales, trained, read, numbers):
        super().__init__()
        self.read = read
        prefix = f"model.layers.{index}."

        def linear(*names):
            found = [scales[prefix + name] for name in names if prefix + name in scales]
            return Linear([numbers.stored(tensors[prefix + name + ".weight"], trained) for name in names], found, trained,
                          numbers.product)

        def norm(name):
            return torch.nn.Parameter(tensors[prefix + name + ".weight"].float(), requires_grad=trained)

        self.qkv = linear("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
        self.output = linear("self_attn.o_proj")
        self.gate_up = linear("mlp.gate_proj", "mlp.up_proj")
        self.down = linear("mlp.down_proj")
        self.norm, self.ffn_norm = norm("input_layernorm"), norm("post_attention_layernorm")
        self.has_qk_norm = prefix + "self_attn.q_norm.weight" in tensors
        if self.has_qk_norm:
            self.q_norm, self.k_norm = norm("self_attn.q_norm"), norm("self_attn.k_norm")
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.head_size, self.epsilon = config["head_size"], config["rms_norm_eps"]

    def forward(self, x, batch, cosine, sine):
        y = self.qkv(F.rms_norm(x, x.shape[-1:], self.read(self.norm), self.epsilon))
        y = y.view(batch, -1, self.heads + 2 * self.kv_heads, self.head_size)
        q, k, v = y.split([self.heads, self.kv_heads, self.kv_heads], 2)
        if self.has_qk_norm:
            q = F.rms_norm(q, q.shape[-1:], self.read(self.q_norm), self.epsilon)
            k = F.rms_norm(k, k.shape[-1:], self.read(self.k_norm), self.epsilon)
        q, k = Rope.apply(q, cosine, sine), Rope.apply(k, cosine, sine)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True,
                                           enable_gqa=True)
        x = x + self.output(y.transpose(1, 2).reshape(x.shape[0], -1))
        y = self.gate_up(F.rms_norm(x, x.shape[-1:], self.read(self.ffn_norm), self.epsilon))
        return x + self.down(SwiGLU.apply(y))


class Numbers:
    """How matrices are multiplied: fp32 or bf16."""

    def __init__(self, precision):
        self.bf16 = precision == "bf16"
        self.product = Bf16Product.apply if self.bf16 else F.linear

    def stored(self, weight, trained):
        return weight if self.bf16 and not trained else weight.float()


class Decoder(torch.nn.Module):
    """`unquantized`: bf16 or fp32, how the forward reads embedding and norms."""

    def __init__(self, config, tensors, scales, length, trained, numbers, unquantized="fp32"):
        super().__init__()
        self.product = numbers.product
        self.read = Bf16.apply if unquantized == "bf16" else lambda parameter: parameter
        self.embedding = torch.nn.Parameter(numbers.stored(tensors["model.embed_tokens.weight"], trained),
                                            requires_grad=trained)
        self.layers = torch.nn.ModuleList(
            [Layer(config, tensors, i, scales, trained, self.read, numbers) for i in range(config["num_hidden_layers"])])
        self.norm = torch.nn.Parameter(tensors["model.norm.weight"].float(), requires_grad=trained)
        self.epsilon = config["rms_norm_eps"]
        half = config["head_size"] // 2
        frequencies = config["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.outer(torch.arange(length, dtype=torch.float64), frequencies)[:, None]
        self.register_buffer("cosine", angles.cos().float())
        self.register_buffer("sine", angles.sin().float())

    def logits(self, x, batch):
        """x [tokens, hidden]: embedded tokens."""
        for layer in self.layers:
            x = layer(x, batch, self.cosine, self.sine)
        x = F.rms_norm(x, x.shape[-1:], self.read(self.norm), self.epsilon)
        return self.product(x, self.read(self.embedding))


class Distillation(torch.nn.Module):
    def __init__(self, student, teacher, batch):
        super().__init__()
        self.student, self.teacher, self.batch = student, teacher, batch

    def forward(self, ids, embedded):
        with torch.no_grad():
            teacher = self.teacher.logits(F.embedding(ids, self.teacher.embedding).float(), self.batch)
        return KL.apply(self.student.logits(embedded, self.batch), teacher) / ids.numel()


def status_bytes(key):
    """VmRSS, resident now, or VmHWM, its peak."""
    for line in open("/proc/self/status"):
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"torch_step: no {key} in /proc/self/status")


def forget_peak():
    """So that the peak is that of the steps and not of loading; where the kernel allows it."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def bytes_of(model):
    return sum(p.numel() * p.element_size() for p in model.parameters())


def print_line(line):
    print(json.dumps(line), flush=True)


def machine():
    return {"torch": torch.__version__, "capability": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads()}


def train(options):
    process = status_bytes("VmRSS")
    step_facts = json.load(open(os.path.join(options.folder, "step.json")))
    config = json.load(open(os.path.join(options.folder, "teacher", "config.json")))
    config.setdefault("head_size", config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
    if "rope_theta" not in config:
        config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    batch, length = step_facts["batch"], step_facts["length"]
    with h5py.File(os.path.join(options.folder, "tokens.h5")) as file:
        batches = torch.from_numpy(file["ids"][:].astype("int64")).view(-1, batch * length)
    tensors = safetensors.torch.load_file(os.path.join(options.folder, "teacher", "model.safetensors"))
    numbers = Numbers(options.precision)
    teacher = Decoder(config, tensors, {}, length, False, numbers)
    student = Decoder(config, tensors, step_facts.get("tensor_scales", {}), length, True, numbers,
                      step_facts["unquantized"])
    del tensors
    matrices = [p for p in student.parameters() if p.dim() > 1]
    vectors = [p for p in student.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": step_facts["weight_decay"]},
                                   {"params": vectors, "weight_decay": 0.0}],
                                  lr=step_facts["lr"], betas=(step_facts["beta1"], step_facts["beta2"]),
                                  eps=step_facts["epsilon"], fused=True)
    parameters = list(student.parameters())
    distillation = Distillation(student, teacher, batch)
    loss_of = torch.compile(distillation, mode=options.mode) if options.compile else distillation

    def step(ids):
        embedded = student.read(F.embedding(ids, student.embedding.detach())).requires_grad_()
        loss = loss_of(ids, embedded)
        loss.backward()
        student.embedding.grad.index_add_(0, ids, embedded.grad)
        gradients = [p.grad for p in parameters]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True).item()
        if norm > step_facts["clip_norm"] > 0:
            torch._foreach_mul_(gradients, step_facts["clip_norm"] / norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item(), norm

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
    peak, teacher_bytes, student_bytes = status_bytes("VmHWM"), bytes_of(teacher), bytes_of(student)
    result = {"event": "result", "peer": "torch compile" if options.compile else "torch eager",
              "precision": options.precision, "workload": step_facts["workload"], **machine(), "tokens": batch * length, "losses": losses,
              "memory": {"peak": peak, "process": process, "teacher": teacher_bytes, "student": student_bytes,
                         "gradients": student_bytes, "optimizer": 2 * student_bytes,
                         "beyond": peak - process - teacher_bytes - 4 * student_bytes}}
    if times:
        result["step_seconds"] = statistics.median(times)
        result["tokens_per_second"] = batch * length / result["step_seconds"]
    print_line(result)


def time_products(file):
    """The matrix products of bench_step's result on PyTorch's BLAS: seconds of each, median of three or more."""
    most_operations = 3e10  # a larger product is timed on a part of its longest side, as bench_step does
    seconds = []
    for product in json.load(open(file)):
        sides = {side: product[side] for side in "mnk"}
        whole = 2.0 * sides["m"] * sides["n"] * sides["k"]
        if whole > most_operations:
            longest = max(sides, key=sides.get)
            sides[longest] = max(1024, int(sides[longest] * most_operations / whole / 64) * 64)
        m, n, k = sides["m"], sides["n"], sides["k"]
        a = torch.randn(k, m).t() if product["role"] == "weight_gradient" else torch.randn(m, k)
        b = torch.randn(n, k).t() if product["role"] == "forward" else torch.randn(k, n)
        c = torch.empty(m, n)
        torch.mm(a, b, out=c)
        times, begun = [], time.perf_counter()
        while len(times) < 3 or time.perf_counter() - begun < 0.2:
            start = time.perf_counter()
            torch.mm(a, b, out=c)
            times.append(time.perf_counter() - start)
        seconds.append(statistics.median(times) * whole / (2.0 * m * n * k))
    print_line({"event": "products", **machine(), "seconds": seconds})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="what bench_step --dump wrote; with --products a JSON list of products")
    parser.add_argument("--compile", action="store_true", help="torch.compile loss and backward")
    parser.add_argument("--mode", default="default", help="of torch.compile")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of matrix products")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=5, help="steps that are timed")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them")
    parser.add_argument("--products", action="store_true", help="time matrix products only")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    if options.products:
        time_products(options.folder)
    else:
        train(options)


if __name__ == "__main__":
    sys.exit(main())
