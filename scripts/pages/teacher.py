"""The folder of a page's teacher: the model, and its stages' accuracies and curves beside it."""
import json
import shutil
import statistics
import subprocess

from pages.runs import QAD, ROOT, exact, plot, table

TITLES = {"paper": "The paper's teacher", "nano": "The hybrid teacher"}
STAGES = [("pretrain", "pretraining"), ("sft", "instruction"), ("grpo_a", "reinforcement a"), ("grpo_b", "reinforcement b"),
          ("merge", "merge")]
PROBLEMS = 500


def records_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def smooth(values, width):
    """Means of `width` values each, with the step in their middle."""
    return [[statistics.fmean(step for step, _ in values[i:i + width]), statistics.fmean(v for _, v in values[i:i + width])]
            for i in range(0, len(values), width)]


def write(page, folder):
    rows, tokens = [], 0
    for name, title in STAGES:
        say = subprocess.run([QAD, "eval", folder / name / "export/dense", "--problems", str(PROBLEMS),
                              "--json"], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
        problems = json.loads(say.stdout)
        summary = json.loads((folder / name / "summary.json").read_text())
        tokens += summary["tokens"]
        families = [family for family in problems if family != "mean"]
        rows.append([title, str(summary["steps"]), f"{summary['tokens'] / 1e6:.2f} M", f"{summary['seconds'] / 60:.0f} min",
                     *(exact(problems[family]) for family in families), exact(problems["mean"]),
                     f"{problems['mean']['mean_tokens']:.1f}"])
    model = ROOT / "recipes" / page.name / "model"
    model.mkdir(exist_ok=True)
    for file in sorted((folder / "merge/export/dense").iterdir()):
        shutil.copy(file, model / file.name)
    losses = {name: smooth([(r["step"], r["loss"]) for r in records_of(folder / name) if "loss" in r], width)
              for name, width in (("pretrain", 50), ("sft", 5))}
    rewards = {name: smooth([(r["step"], 100 * r["rollout"]["right"]) for r in records_of(folder / name) if "rollout" in r], 2)
               for name in ("grpo_a", "grpo_b")}
    plot(model / "losses.svg", "set logscale y\nset xlabel 'step'\nset ylabel 'training loss, nats a token'\n"
         "plot $pretrain with lines title 'pretraining', $sft with lines title 'instruction (answers only)'\n", losses)
    plot(model / "rewards.svg", "set xlabel 'step'\nset ylabel 'right answers, % of those sampled'\nset key bottom\n"
         "plot $grpo_a with lines title 'reinforcement a', $grpo_b with lines title 'reinforcement b'\n", rewards)
    (model / "README.md").write_text(f"""# {TITLES[page.name]}

The export of `recipes/{page.name}/teacher/merge.yaml`, after `pretrain`, `sft`, `grpo_a` and `grpo_b` of that folder, each started from the one
before: {tokens / 1e6:.0f} million tokens in all. `scripts/paper_page --of {page.name} teacher FOLDER` wrote this folder from those runs.

Exact match in % on {PROBLEMS} test problems of each family, greedy and four samples at temperature 0.6 (`qad eval MODEL --problems
{PROBLEMS}`); in brackets 95 % intervals. Pretraining saw problems as running text, never as questions.

{table(['stage', 'steps', 'tokens', 'time', *(family.replace('_', ' ') for family in families), 'mean', 'tokens an answer'], rows)}
![losses](losses.svg)
![rewards](rewards.svg)
""")
    print(f"wrote {model.relative_to(ROOT)}")
