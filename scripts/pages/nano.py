"""docs/nano.md: a hybrid of Mamba-2, attention and experts in four bits, from the comparisons of recipes/nano."""
from pages.runs import FAMILIES, Page, above, arm_table, exact, interval, mean, plot_accuracy, points, table

PAGE = Page("nano")
RECOVERY = 0.994  # of BF16's accuracy, what NVIDIA's articles say of its own NVFP4 Nemotron 3 Nano
KINDS = ["attention", "mamba", "experts", "shared-experts"]


def share(value, low, high):
    return f"{100 * value:.1f} % ({100 * low:.1f} … {100 * high:.1f})"


def claims(main):
    teacher = main.teacher
    rows = []
    for arm, layout in (("qad", "the published layout"), ("qad-all", "NVFP4 in every layer but the head")):
        if main.arm(arm) is None:
            continue
        kept = interval(lambda s, t: s / t if t > 0 else 0.0, main.scores(arm), teacher)
        rows.append([f"QAD keeps {100 * RECOVERY:.1f} % of BF16's mean exact match, {layout}", share(*kept),
                     above(*kept[1:], RECOVERY)])
        ptq = arm.replace("qad", "ptq")
        more = interval(lambda s, p: s - p, main.scores(arm), main.scores(ptq))
        rows.append([f"PTQ loses more than QAD, {layout}", f"QAD − PTQ {points(*more)} points", above(*more[1:])])
    below = interval(lambda s, q: s - q, main.scores("qad"), main.scores("qat"))
    rows.append(["QAT lands below QAD", f"QAD − QAT {points(*below)} points", above(*below[1:])])
    return table(["claim", "here", ""], rows)


def domain_table(main):
    rows = []
    for arm, runs in main.kept.get("domains", {}).items():
        if arm == "bf16":
            continue
        row = [arm]
        for family in FAMILIES:
            values = [run[family] for run in runs]
            half = sum(value[1] for value in values) / len(values)
            row.append(f"{sum(value[0] for value in values) / len(values):.4f} ± {half:.4f}")
        rows.append(row)
    return table(["KL", *(family.replace("_", " ") for family in FAMILIES)], rows)


def leave_out_table(left, main):
    """What each kind of layer in BF16 wins back, beside NVFP4 in all of them."""
    rows = []
    for method in ("ptq", "qad"):
        everything = main.arm(f"{method}-all")
        rows.append([method, "none", exact(everything["problems"]["mean"]), f"{everything['eval']['kl_mean']:.4f}", ""])
        for kind in KINDS:
            arm = left.arm(f"{method}-{kind}")
            if arm is None:
                continue
            gain = interval(lambda s, a: s - a, left.scores(arm["name"]), main.scores(f"{method}-all"))
            rows.append([method, kind.replace("-", " "), exact(arm["problems"]["mean"]), f"{arm['eval']['kl_mean']:.4f}",
                         points(*gain)])
    return table(["", "kept in BF16", "mean exact match, %", "KL", "against none, points"], rows)


def others_table(others):
    rows = [[name, f"{other.kept['parameters'] / 1e6:.2f} M", arm["name"], exact(arm["problems"]["mean"]),
             f"{arm['eval']['kl_mean']:.4f}", f"{100 * arm['eval']['top1_agreement']:.1f}"]
            for name, other in others for arm in other.kept["arms"]]
    return table(["model", "parameters", "arm", "mean exact match, %", "KL", "top-1, %"], rows)


def write():
    main = PAGE.main()
    count, seeds = main.problems(), main.seeds()
    plot_accuracy(PAGE.kept / "accuracy.svg", main)
    parts = [f"""# A hybrid reasoning model in four bits

Nemotron 3 Nano is Mamba-2, attention and experts in one model; NVIDIA ships it in NVFP4 by distillation, with attention, the Mamba
layer right before each attention layer and the head in BF16. This page does the same with a model of our own,
`recipes/nano/model` ({main.kept['parameters'] / 1e6:.2f} million parameters, [its README](../recipes/nano/model/README.md)), which went through
pretraining, SFT, reinforcement learning and merging. `scripts/paper_page --of nano` writes the page from finished runs; nothing in it is typed by
hand but the words.

Exact match over {count} test problems of each of four families, {main.kept['answers']} answers a problem (one greedy, the others at temperature 0.6, at
most 80 tokens); {seeds} seed{'s' if seeds > 1 else ''}. Brackets are 95 % intervals by bootstrap over problems, paired where two arms are compared. QAT and QAD
see the same text for the same number of steps, and each stands at the best of the same learning rates, chosen on validation text. `-all` is NVFP4 in every layer
but the head.

## The claims

{claims(main)}
*Holds* where the whole interval says so, *does not hold here* where the whole interval says the opposite, else *within noise*.

![accuracy by arm](nano/accuracy.svg)

## The comparison

`qad compare recipes/nano/{main.name}.yaml`: {main.kept['seconds'] / 60:.0f} minutes of training ({main.kept['machine']}). Of BF16's
{100 * mean(main.teacher):.1f} %:

{arm_table(main)}
KL to the teacher by family of problems, ± 95 % over documents:

{domain_table(main)}"""]
    left = PAGE.load("leave_out")
    if left is not None:
        parts.append(f"""## Which layers cost it

`qad compare recipes/nano/leave_out.yaml`: NVFP4 in every layer but the head and one kind.

{leave_out_table(left, main)}""")
    others = [(name, other) for name in ("kimi_linear", "qwen3_moe") if (other := PAGE.load(name)) is not None]
    if others:
        parts.append(f"""## Other families

A small Kimi Linear (`recipes/nano/others/kimi_linear.yaml`) and a small Qwen3-MoE (`qwen3_moe.yaml`, experts alone in NVFP4), each
distilled from its own BF16.

{others_table(others)}""")
    PAGE.write(parts)
