"""docs/paper.md: the paper's claims, from the comparisons of recipes/paper."""
import statistics

from pages.runs import FAILS, HOLDS, Page, above, arm_table, exact, interval, mean, percent, plot, plot_accuracy, points, shares, table

PAGE = Page("paper")


def main_claims(main):
    teacher, ptq, qat, qad = main.teacher, main.scores("ptq"), main.scores("qat"), main.scores("qad")
    rows = []

    def claim(text, paper, ours, verdict):
        rows.append([text, paper, ours, verdict])

    lost = interval(lambda t, p: t - p, teacher, ptq)
    claim("NVFP4 PTQ costs accuracy", "AceReason 7B, AIME25: 63.5 → 58.7",
          f"{points(*(-v for v in (lost[0], lost[2], lost[1])))} points", above(*lost[1:]))
    back = interval(lambda s, p, t: (s - p) / (t - p) if t > p else 0.0, qad, ptq, teacher)
    claim("QAD wins back most of it", "56 to 86 % on the same", percent(*back), above(*back[1:], 0.5))
    down = interval(lambda p, s: p - s, ptq, qat)
    claim("QAT on SFT data undoes RL: it lands below PTQ", "AIME25: PTQ 58.7, QAT 46.1",
          f"QAT − PTQ {points(*(-v for v in (down[0], down[2], down[1])))} points", above(*down[1:]))
    gain = interval(lambda s, q: s - q, qad, qat)
    claim("QAD is above QAT", "AIME25: 62.0 against 46.1", f"{points(*gain)} points", above(*gain[1:]))
    kl_qat, kl_qad = (main.arm(name)["eval"]["kl_mean"] for name in ("qat", "qad"))
    claim("QAT leaves the teacher's distribution, QAD keeps it", "KL 0.311 against 0.004 (Super 49B)",
          f"KL {kl_qat:.3f} against {kl_qad:.4f}: {kl_qat / kl_qad:.1f} times", HOLDS if kl_qat > 3 * kl_qad else FAILS)
    shared = [rate for rate in main.runs_of("qat") if rate in main.runs_of("qad")]
    for rate in shared:
        one, other = (statistics.fmean(run["eval"]["kl_mean"] for run in main.runs_of(name)[rate]) for name in ("qat", "qad"))
        claim(f"the same at the common rate {rate:g}", "", f"KL {one:.3f} against {other:.4f}: {one / other:.1f} times",
              HOLDS if one > 3 * other else FAILS)
    labels = {name: main.arm(name)["eval"]["cross_entropy"] for name in ("bf16", "qat", "qad")}
    claim("QAT reaches the BF16 loss on labels all the same", "0.408 and 0.408; QAD 0.416",
          "BF16 {bf16:.3f}, QAT {qat:.3f}, QAD {qad:.3f}".format(**labels),
          HOLDS if labels["qat"] <= 1.02 * labels["bf16"] else FAILS)
    return table(["claim", "the paper", "here", ""], rows)


# Ablations: recipe, question, the paper's answer. Every arm is held against PTQ of the main comparison and against its
# QAD arm at the same rate (at its best where there is none).
ABLATIONS = [
    (["data_generated", "data_right", "data_free", "data_random", "data_one_family"], "Data",
     "QAD is robust; random tokens near PTQ; one domain carries over to the others"),
    (["loss"], "Loss", "KL best"),
    (["learning_rate"], "Learning rate over three decades", "RL-heavy models stand more"),
    (["larger_teacher"], "A larger teacher", "does not help"),
    (["qat_data"], "QAT on SFT data against QAT on the teacher's right answers", "QAT undoes RL"),
    (["keep_layers"], "Layers that stay BF16", "first two, last two and attention in one of the models"),
    (["formats"], "Formats", "blocks of 16 with two scales beat blocks of 32"),
    (["serve_w4a4"], "Trained with weights only, served W4A4", "disputed"),
]


def ablation_rows(names, main):
    rows = []
    ptq, best, by_rate = main.scores("ptq"), main.scores("qad"), main.runs_of("qad")
    at_rate = {rate: shares([run["scores"] for run in runs], main.kept["answers"]) for rate, runs in by_rate.items()}
    for comparison in filter(None, map(PAGE.load, names)):
        for arm in comparison.kept["arms"][1:]:
            scores = comparison.scores(arm["name"])
            against_ptq = interval(lambda s, p: s - p, scores, ptq)
            against_qad = interval(lambda s, q: s - q, scores, at_rate.get(comparison.rate(arm["name"]), best))
            rows.append([arm["name"], f"{comparison.rate(arm['name']):g}" if arm["steps"] else "",
                         exact(arm["problems"]["mean"]), f"{arm['eval']['kl_mean']:.4f}", points(*against_ptq),
                         points(*against_qad)])
    return rows


def plots(main, rates):
    plot_accuracy(PAGE.kept / "accuracy.svg", main)
    curves = {name: main.best_runs(name)[0]["curve"] for name in ("qat", "qad")}
    plot(PAGE.kept / "kl.svg", "set logscale y\nset xlabel 'tokens'\nset ylabel 'held-out KL to the teacher'\nset format x '%.1s%c'\n"
         "plot $qat using 1:2 with linespoints title 'QAT', $qad using 1:2 with linespoints title 'QAD'\n", curves)
    sweep = {}
    for comparison in filter(None, [main, rates]):
        for run in comparison.kept["runs"]:
            if run["steps"] and run["kind"] in ("qat", "qad"):
                sweep.setdefault(run["kind"], {}).setdefault(run["lr"], []).append(run["problems"]["mean"]["exact_match"])
    blocks = {kind: [[rate, 100 * statistics.fmean(values)] for rate, values in sorted(by_rate.items())]
              for kind, by_rate in sweep.items()}
    lines = ", ".join(f"{100 * main.arm(name)['problems']['mean']['exact_match']} title '{name.upper()}' dt 2"
                      for name in ("bf16", "ptq"))
    plot(PAGE.kept / "rates.svg", "set logscale x\nset xlabel 'peak learning rate'\nset ylabel 'mean exact match, %'\nset format x '%.0e'\n"
         "set key left bottom\nplot $qat with linespoints title 'QAT', $qad with linespoints title 'QAD', " + lines + "\n",
         blocks)


def write():
    main = PAGE.main()
    count, seeds = main.problems(), main.seeds()
    plots(main, PAGE.load("learning_rate"))
    parts = [f"""# The paper's claims on a laptop

NVIDIA's report on quantization-aware distillation (arXiv 2601.20088) says that a model which went through SFT, RL and merging
keeps its abilities in NVFP4 through QAD, and loses them through QAT on the data at hand. This page holds those claims against the
teacher in `recipes/paper/model` ({main.kept['parameters'] / 1e6:.2f} million parameters), which went through the same stages
([its README](../recipes/paper/model/README.md)). `scripts/paper_page` writes the page from finished runs; nothing in it is typed by hand
but the words.

Exact match over {count} test problems of each of four families, {main.kept['answers']} answers a problem (one greedy, the others at temperature 0.6, at
most 80 tokens); {seeds} seed{'s' if seeds > 1 else ''}. Brackets are 95 % intervals by bootstrap over problems, paired where two arms are compared. QAT and QAD see the
same text for the same number of steps, and each stands at the best of the same learning rates, chosen on validation text.

## The claims

{main_claims(main)}
*Holds* where the whole interval says so, *does not hold here* where the whole interval says the opposite, else *within noise*.

![accuracy by arm](paper/accuracy.svg)

## The comparison

`qad compare recipes/paper/{main.name}.yaml`: {main.kept['seconds'] / 60:.0f} minutes of training ({main.kept['machine']}).

{arm_table(main)}
![KL over tokens](paper/kl.svg)

Every learning rate of the sweep:

{table(['arm', 'rate', 'mean exact match, %', 'KL', 'cross-entropy'],
       [[name, f'{rate:g}', ' '.join(f"{100 * run['problems']['mean']['exact_match']:.1f}" for run in runs),
         ' '.join(f"{run['eval']['kl_mean']:.4f}" for run in runs),
         ' '.join(f"{run['eval']['cross_entropy']:.3f}" for run in runs)]
        for name in ('qat', 'qad') for rate, runs in main.runs_of(name).items()])}
![accuracy over learning rate](paper/rates.svg)

## Ablations

The last two columns are the difference in mean exact match, in points, to PTQ and to QAD of the comparison above, at the
same rate: {", ".join(f"{100 * mean(shares([run['scores'] for run in runs], main.kept['answers'])):.1f} at {rate:g}" for rate, runs in main.runs_of('qad').items())}
(at its best for an arm without a rate, or with one that the comparison does not have).
"""]
    for names, title, paper in ABLATIONS:
        rows = ablation_rows(names, main)
        if rows:
            recipes = ", ".join(f"`{found.name}.yaml`" + ("" if found.cpu() == main.cpu() else f" (on {found.cpu()})")
                                for found in filter(None, map(PAGE.load, names)))
            parts.append(f"### {title}\n\n{recipes}. The paper: {paper}.\n\n" +
                         table(["arm", "rate", "mean exact match, %", "KL", "against PTQ", "against QAD"], rows))
    PAGE.write(parts)
