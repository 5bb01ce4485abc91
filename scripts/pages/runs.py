"""What a page keeps of finished comparisons, its statistics, tables and plots.

A comparison's figures stand in docs/PAGE/NAME.json, NAME being that of the run's folder. A verdict is a paired bootstrap
over problems (95 %): both sides answered the same ones.
"""
import json
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
QAD = ROOT / "build/release/qad"
BENCH = ROOT / "build/release/bench/bench_generate"
RESAMPLES = 2000
FAMILIES = ["arithmetic", "word_problems", "symbols", "programs"]
HOLDS, FAILS, NOISE = "**holds**", "**does not hold here**", "within noise"


def fail(text):
    sys.exit(f"paper_page: {text}")


# What is kept of a comparison: its arms, every run with its rate, figures and curve, and for each problem how many of
# the run's answers were right, as one digit.


def scores_of(folder):
    scores = {}
    if not (folder / "answers.jsonl").exists():
        return scores
    for line in (folder / "answers.jsonl").read_text().splitlines():
        answered = json.loads(line)
        right = int(answered["right"]) + answered["samples_right"]
        scores.setdefault(answered["family"], []).append(right)
    return {family: "".join(map(str, values)) for family, values in scores.items()}


def answers_in(folder):
    """Answers to each problem, greedy and sampled; 0 where none were asked."""
    if not (folder / "answers.jsonl").exists():
        return 0
    with open(folder / "answers.jsonl") as lines:
        return 1 + json.loads(next(lines))["samples"]


def run_in(folder):
    summary = json.loads((folder / "summary.json").read_text())
    recipe = (folder / "recipe.yaml").read_text()
    curve = []
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        if "eval" in record:
            curve.append([record["tokens"], record["eval"].get("kl_mean"), record["eval"].get("cross_entropy")])
    rate = re.search(r"^train:(?:\n  .*)*?\n  lr: (\S+)", recipe, re.M)
    return {"name": folder.name, "kind": summary["kind"], "lr": float(rate.group(1)) if rate else None,
            "parameters": summary["parameters"], "steps": summary["steps"], "tokens": summary["tokens"], "seconds": round(summary["seconds"], 1),
            "eval": summary["eval"], "problems": summary.get("problems"), "curve": curve, "scores": scores_of(folder)}


def kl_by_family(run):
    """Held-out KL on the text of each family alone, beside the 95 % half-width over documents."""
    found = {}
    for family in FAMILIES:
        say = subprocess.run([QAD, "eval", run, f"data.eval.problems.families=[{family}]", "--json"], stdout=subprocess.PIPE,
                             text=True, check=True, cwd=ROOT)
        figures = json.loads(say.stdout)
        found[family] = [figures["kl_mean"], 1.96 * figures["kl_mean_stderr"]]
    return found


def decode_speed(model):
    """Of one sequence, with the size of its file; on an idle machine, please."""
    say = subprocess.run([BENCH, "open", model, "15"], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    figures = json.loads(say.stdout.splitlines()[-1])
    return {"bytes": round(figures["file_bytes"]), "tokens_per_second": round(figures["tokens_per_second"])}


def decode_speeds(folder, arms):
    """Of the teacher, and of the first export of each arm's run."""
    teacher = re.search(r"^teacher:\n  model: (\S+)", (folder / "recipe.yaml").read_text(), re.M).group(1)
    speeds = {"bf16": decode_speed(teacher)}
    for arm in arms:
        exports = sorted((folder / arm["folders"][0] / "export").glob("*")) if arm.get("folders") else []
        if exports:
            speeds[arm["name"]] = decode_speed(exports[0])
    return speeds


# Statistics: a model's score is, family by family, the share of right answers to each problem.


def shares(runs, answers):
    """The mean over runs (seeds) of each problem's share of right answers."""
    families = []
    for family in runs[0]:
        columns = [[int(digit) for digit in run[family]] for run in runs]
        families.append([statistics.fmean(column) / answers for column in zip(*columns)])
    return families


def mean(families):
    return statistics.fmean(statistics.fmean(family) for family in families)


def resamples(sizes, kept={}):
    """The same draws of problems, family by family, for every model: comparisons are paired."""
    if not kept:
        draw = random.Random(1)
        kept[0] = [[draw.choices(range(size), k=size) for size in sizes] for _ in range(RESAMPLES)]
    return kept[0]


def resampled_means(model, kept={}):
    if id(model) not in kept:
        draws = resamples([len(family) for family in model])
        kept[id(model)] = model, [statistics.fmean(sum(map(family.__getitem__, pick)) / len(pick)
                                                   for family, pick in zip(model, picks)) for picks in draws]
    return kept[id(model)][1]


def interval(statistic, *models):
    """statistic(means of the models) and its 95 % interval."""
    values = sorted(statistic(*means) for means in zip(*map(resampled_means, models)))
    low, high = values[int(0.025 * RESAMPLES)], values[int(0.975 * RESAMPLES) - 1]
    return statistic(*(mean(model) for model in models)), low, high


def points(value, low, high):
    return f"{100 * value:+.1f} ({100 * low:+.1f} … {100 * high:+.1f})"


def percent(value, low, high):
    return f"{100 * value:.0f} % ({100 * low:.0f} … {100 * high:.0f})"


def above(low, high, bound=0.0):
    """The verdict on 'more than bound'."""
    return HOLDS if low > bound else FAILS if high < bound else NOISE


class Comparison:
    def __init__(self, file):
        self.name = file.stem
        self.kept = json.loads(file.read_text())
        self.runs = {run["name"]: run for run in self.kept["runs"]}
        self.teacher = shares([self.kept["teacher_scores"]], self.kept["answers"]) if self.kept["answers"] else []

    def problems(self):
        """Of each family."""
        return self.kept["arms"][0]["problems"]["arithmetic"]["problems"]

    def seeds(self):
        return max(len(arm.get("folders", [])) for arm in self.kept["arms"])

    def cpu(self):
        return self.kept["machine"].split(",")[0]

    def arm(self, name):
        return next((arm for arm in self.kept["arms"] if arm["name"] == name), None)

    def scores(self, name):
        return shares([run["scores"] for run in self.best_runs(name)], self.kept["answers"])

    def best_runs(self, name):
        return [self.runs[pathlib.PurePath(folder).name] for folder in self.arm(name)["folders"]]

    def rate(self, name):
        return self.best_runs(name)[0]["lr"]

    def runs_of(self, arm):
        """{learning rate: runs, one a seed} of an arm with a sweep."""
        found = {}
        for run in self.kept["runs"]:
            if re.fullmatch(re.escape(arm) + r"(-lr[^-]+(-\d+)?)?(-seed\d+)?", run["name"]):
                found.setdefault(run["lr"], []).append(run)
        return dict(sorted(found.items()))


class Page:
    """docs/NAME.md, whose comparisons are recipes/NAME."""

    def __init__(self, name):
        self.name = name
        self.kept = ROOT / "docs" / name
        self.file = ROOT / "docs" / f"{name}.md"

    def load(self, name):
        file = self.kept / f"{name}.json"
        return Comparison(file) if file.exists() else None

    def main(self):
        """The comparison that the page is about."""
        found = self.load("full") or self.load("main")
        if found is None:
            option = "" if self.name == "paper" else f" --of {self.name}"
            fail(f"nothing kept in docs/{self.name}: run recipes/{self.name}/main.yaml, then scripts/paper_page{option} collect")
        return found

    def collect(self, folders, domains=False):
        self.kept.mkdir(exist_ok=True)
        for folder in folders:
            summary = json.loads((folder / "summary.json").read_text())
            if "arms" not in summary:
                fail(f"{folder}: expected a finished comparison, got kind: {summary['kind']}")
            kept = {"version": summary["version"], "machine": summary["machine"], "seconds": round(summary["seconds"], 1),
                    "parameters": summary["parameters"], "arms": summary["arms"], "answers": answers_in(folder),
                    "teacher_scores": scores_of(folder),
                    "runs": [run_in(run) for run in sorted((folder / "arms").iterdir())]}
            if domains:
                kept["domains"] = {arm["name"]: [kl_by_family(folder / run) for run in arm["folders"]]
                                   for arm in summary["arms"] if arm.get("folders")}
            if folder.resolve().name.startswith("prune_"):
                kept["decode"] = decode_speeds(folder, summary["arms"])
            file = self.kept / f"{folder.resolve().name}.json"
            file.write_text(json.dumps(kept, indent=1) + "\n")
            print(f"kept {file.relative_to(ROOT)}")

    def write(self, parts):
        notes = self.kept / "notes.md"
        if notes.exists():
            parts.append("## Where it differs, and why\n\n" + notes.read_text())
        self.file.write_text("\n".join(parts))
        print(f"wrote {self.file.relative_to(ROOT)}")


# How they are written.


def exact(figures):
    return f"{100 * figures['exact_match']:.1f} ({100 * figures['exact_match_low']:.1f} … {100 * figures['exact_match_high']:.1f})"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def arm_table(comparison, against=None):
    rows = []
    families = [name for name in comparison.kept["arms"][0]["problems"] if name != "mean"]
    for arm in comparison.kept["arms"]:
        problems, figures = arm["problems"], arm["eval"]
        rate = f"{comparison.rate(arm['name']):g}" if arm["steps"] else ""
        rows.append([arm["name"], rate, *(f"{100 * problems[f]['exact_match']:.1f}" for f in families),
                     exact(problems["mean"]), f"{figures['kl_mean']:.4f}", f"{figures['kl_p99']:.3f}",
                     f"{figures['cross_entropy']:.3f}", f"{100 * figures['top1_agreement']:.1f}",
                     f"{100 * problems['mean'].get('right_to_wrong', 0):.1f} / {100 * problems['mean'].get('wrong_to_right', 0):.1f}",
                     f"{problems['mean']['mean_tokens']:.1f}", f"{100 * problems['mean']['cut']:.1f}"])
    return table(["", "rate", *(name.replace("_", " ") for name in families), "mean exact match, %", "KL", "KL p99",
                  "cross-entropy", "top-1, %", "flips →wrong / →right, %", "tokens an answer", "cut, %"], rows)


def plot(file, commands, blocks):
    if shutil.which("gnuplot") is None:
        fail("gnuplot is needed for the plots (Debian: gnuplot-nox)")
    data = "".join(f"${key} << EOD\n" + "".join(" ".join(map(str, row)) + "\n" for row in rows) + "EOD\n"
                   for key, rows in blocks.items())
    script = (f"set terminal svg size 720,400 font 'sans,12' background rgb 'white'\nset output '{file}'\n"
              + data + commands)
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def plot_accuracy(file, comparison):
    bars = [[i, f'"{arm["name"]}"', *(100 * arm["problems"]["mean"][k] for k in
                                       ("exact_match", "exact_match_low", "exact_match_high"))]
            for i, arm in enumerate(comparison.kept["arms"])]
    plot(file, "set ylabel 'mean exact match, %'\nset yrange [0:*]\nset boxwidth 0.6\nset style fill solid 0.5\n"
         "unset key\nplot $bars using 1:3:xtic(2) with boxes, $bars using 1:3:4:5 with yerrorbars lc black\n", {"bars": bars})
