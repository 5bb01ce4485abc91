"""docs/accuracy.md: what lowers a student's KL at the same bytes, from the comparisons of recipes/accuracy and
recipes/prune."""
import json
import statistics

from pages.runs import Page, exact, fail, table

PAGE = Page("accuracy")
# Recipe, heading, the arm that the others are held against.
PARTS = [("accuracy/stories", "The story model, 656 thousand parameters", "qad"),
         ("accuracy/stories_parts", "Weights alone, inputs alone", None),
         ("accuracy/stories_long", "Four times the tokens", "qad"),
         ("accuracy/paper", "The paper's teacher", "qad"),
         ("prune/stories", "Pruned: what stays of the story model", "importance"),
         ("prune/choice", "Pruned: what stays of half of the paper's teacher", "importance"),
         ("prune/two_thirds", "Pruned to two thirds: depth, width, both", "width"),
         ("prune/half", "Pruned to a half: depth, width, both", "width"),
         ("prune/staged", "Pruned, distilled, then quantized", "width")]
# What is to be said behind a table.
WORDS = {"prune/half": """At equal size width keeps more than depth, by far, and both together lie between: so says the report of Minitron too, of models with
many more layers to choose from (here six). It also says that depth makes the faster model, which holds here for answers of one sequence.
"""}


def kept_name(recipe):
    """Of a run's folder, since two recipes are called stories."""
    return recipe.removeprefix("accuracy/").replace("/", "_")


def over_seeds(values):
    """Mean, and its standard error over seeds where there are several."""
    mean = statistics.fmean(values)
    return f"{mean:.4f}" + (f" ± {statistics.stdev(values) / len(values) ** 0.5:.4f}" if len(values) > 1 else "")


def decode_cells(comparison, name):
    """Size and speed of one export, where some were measured."""
    speeds = comparison.kept.get("decode", {})
    if len(speeds) < 2:
        return []
    one = speeds.get(name)
    return [f"{one['bytes'] / 1e6:.2f}", f"{one['tokens_per_second']:,}"] if one else ["", ""]


def size_cells(comparison, runs):
    """Thousands of parameters, where arms differ in them."""
    sizes = {run.get("parameters") for run in comparison.kept["runs"]}
    return [f"{runs[0]['parameters'] / 1e3:.0f}"] if len(sizes) > 1 or comparison.kept.get("decode") else []


def rows_of(comparison, against):
    base = comparison.arm(against)["eval"]["kl_mean"] if against else None
    rows = []
    for arm in comparison.kept["arms"]:
        if not arm.get("folders"):
            if arm.get("problems") and "decode" in comparison.kept:  # the teacher
                rows.append([arm["name"], "", "", "", "", "", f"{arm['bits_per_weight']:.2f}", "", "",
                             *decode_cells(comparison, arm["name"]), exact(arm["problems"]["mean"])])
            continue
        runs = comparison.best_runs(arm["name"])
        figures = arm["eval"]
        row = [arm["name"], f"{arm['before']['kl_mean']:.4f}" if arm.get("before") else "", over_seeds([run["eval"]["kl_mean"] for run in runs]),
               f"{figures['kl_mean'] / base:.3f}" if base else "", f"{figures['kl_p99']:.3f}",
               f"{100 * figures['top1_agreement']:.1f}", f"{arm['bits_per_weight']:.2f}",
               f"{statistics.fmean(run['seconds'] for run in runs) / 60:.1f}", *size_cells(comparison, runs),
               *decode_cells(comparison, arm["name"])]
        if arm.get("problems"):
            row.append(exact(arm["problems"]["mean"]))
        rows.append(row)
    return rows


def peer_part(kept):
    """NVIDIA's own quantizers under PyTorch, as bench/compare_modelopt measured them."""
    best = min(statistics.fmean(one["kl_mean"] for one in runs) for name, runs in kept["arms"].items()
               if name.startswith("ModelOpt"))
    rows = [[name, over_seeds(kls := [one["kl_mean"] for one in runs]), f"{statistics.fmean(kls) / best:.3f}",
             f"{statistics.fmean(one['kl_p99'] for one in runs):.3f}",
             f"{100 * statistics.fmean(one['top1_agreement'] for one in runs):.1f}"] for name, runs in kept["arms"].items()]
    return f"""## Beside NVIDIA's own quantizers

`{kept['command']}`: ModelOpt's quantizers under PyTorch and ours, on the same teacher, tokens, order, optimizer and {kept['steps']} steps; a
seed is an order of the text. `qad eval` measures both from the bytes of their exports.

{table(["", "KL", "over ModelOpt's best", "KL p99", "top-1, %"], rows)}"""


def write():
    parts = ["""# A better student at the same bytes

Held-out KL of a student to its teacher, every layer but the head in NVFP4 (weights and inputs) unless an arm says otherwise; the
exports are plain NVFP4 all the same. ± is the standard error over seeds. `scripts/paper_page --of accuracy` writes this page from finished runs;
nothing in it is typed by hand but the words. An arm's name says what it changes; its recipe says how. Minutes are those of a run as it was, on a
machine that also did other work; bits a weight count every parameter, embedding and head among them. Arms of kind prune are
not quantized.
"""]
    for recipe, title, against in PARTS:
        comparison = PAGE.load(kept_name(recipe))
        if comparison is None:
            continue
        head = ["arm", "KL before", "KL", f"over {against}" if against else "", "KL p99", "top-1, %", "bits a weight", "minutes"]
        head += ["thousand parameters"] if size_cells(comparison, comparison.kept["runs"][:1]) else []
        head += ["MB", "tokens/s, one sequence"] if decode_cells(comparison, None) else []
        if any(arm.get("problems") for arm in comparison.kept["arms"]):
            head.append("mean exact match, %")
        parts.append(f"""## {title}

`qad compare recipes/{recipe}.yaml` ({comparison.kept['machine']}).

{table(head, rows_of(comparison, against))}
{WORDS.get(recipe, "")}""".rstrip() + "\n")
    if (PAGE.kept / "modelopt.json").exists():
        parts.append(peer_part(json.loads((PAGE.kept / "modelopt.json").read_text())))
    if len(parts) == 1:
        fail("nothing kept in docs/accuracy: run recipes/accuracy/stories.yaml, then scripts/paper_page --of accuracy collect")
    PAGE.write(parts)
