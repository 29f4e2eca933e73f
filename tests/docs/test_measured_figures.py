"""Measured figures in the prose are those of the files that commands write."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median

import pytest
from generators import confidences, demo, demo_scale, photographs
from generators.ablations import RESULTS

from verl_vision_r1.data.readers.sources import SOURCES
from verl_vision_r1.demo.ablation_results import MeasuredRun, Point
from verl_vision_r1.demo.ablation_table import time_table
from verl_vision_r1.demo.photograph_table import tried_runs

pytestmark = pytest.mark.verl

ROOT = Path(__file__).parents[2]
NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
WORDS = {1: "one seed", 2: "two seeds", 3: "three seeds", 4: "four seeds", 5: "five seeds"}


def prose(page: str) -> str:
    """A page on one line."""
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


def demo_runs() -> tuple[str, ...]:
    """Times the start, AP after, AP before, and the number of seeds."""
    before, runs = demo.start(), demo.results()
    after = fmean(run.ap for run in runs.values())
    return f"{after / before.ap:.1f}", f"{after:.1f}", f"{before.ap:.1f}", WORDS[len(runs)]


def mean(name: str, where: str = "shapes_others", measure: str = "negatives_refused", steps: int = 40) -> str:
    """Mean of a measure over the seeds of a variant, in percent."""
    runs = RESULTS.of(name, steps) if name != "start" else {0: RESULTS.start("never_refuses")}
    return f"{100 * fmean(run.measures[where][measure] for run in runs.values() if run):.1f}"


def ap(measured: MeasuredRun | Point) -> float:
    """AP with all categories, in percent."""
    return 100 * measured.measures["shapes_categories"]["AP"]


def both_ap(name: str) -> tuple[str, str]:
    """AP of the positive samples: all categories, one category."""
    return mean(name, "shapes_categories", "AP"), mean(name, "shapes_category", "AP")


def learnt_refusal() -> tuple[str, ...]:
    """What is refused, and AP with negative samples, without and at the start."""
    positives = mean("refusal", "shapes_categories", "positives_refused")
    reached = (*both_ap("refusal"), *both_ap("refusal_none"), *both_ap("start"))
    return WORDS[len(RESULTS.of("refusal", 40))], mean("refusal"), positives, *reached


def supervised_first() -> tuple[str, ...]:
    """AP after supervised training, then GRPO, and after GRPO alone; all categories, then one."""
    both = {name: both_ap(name) for name in ("supervised", "supervised_then_grpo", "robust")}
    pairs = zip(both["supervised"], both["supervised_then_grpo"], strict=True)
    seeds = WORDS[len(RESULTS.of("supervised_then_grpo", 40))]
    return (*(figure for pair in pairs for figure in pair), *both["robust"], seeds)


def refused_absent(where: str, measure: str) -> str:
    """What is refused after training with absent categories, in percent by seed."""
    percents = [f"{100 * run.measures[where][measure]:.0f}" for run in RESULTS.of("refusal_absent", 40).values()]
    return f"{', '.join(percents[:-1])} and {percents[-1]}"


def refusal_changes() -> list[float]:
    """Change of AP with all categories by negative samples, by seed, in percent."""
    found, without = RESULTS.of("refusal", 40), RESULTS.of("refusal_none", 40)
    return [ap(run) - ap(without[seed]) for seed, run in found.items()]


def drawn_by_difficulty() -> tuple[str, ...]:
    """AP with all categories by drop, by weight and in verl's order."""
    return tuple(mean(f"sampler_{name}", "shapes_categories", "AP") for name in ("drop", "weight", "off"))


BLIND = (
    *("vision_r1", "vision_r1_release_2025", "vision_r1_gdpo", "no_precision", "beginner_only", "kl"),
    *("halfway", "third", "when_ready"),
)
"""Variants whose reward does not depend on the label of a box."""
CHECKED = ("robust", "with_label", "gdpo", "vlm_r1_od_", "filter_", "sampler_")
"""Beginnings of the names of those whose reward does, from a start with the habit."""


def degraded(runs: list[MeasuredRun]) -> int:
    """Runs that end more than ten points of AP below their highest validation."""
    return sum(max(map(ap, run.points)) - ap(run) > 10 for run in runs)


def labels_degraded() -> tuple[str, ...]:
    """For 40 and 200 steps: runs that degrade if labels are not compared, and how many there are; then the others."""
    validated = [run for run in RESULTS.runs() if len(run.points) > 1]
    blind = [[run for run in validated if run.steps == steps and run.variant in BLIND] for steps in (40, 200)]
    others = [
        [run for run in validated if run.steps == steps and run.variant.startswith(CHECKED)] for steps in (40, 200)
    ]
    assert not any(map(degraded, others))
    start = RESULTS.start("vision_r1")
    assert start
    below = sum(ap(run) < ap(start) for run in blind[1])
    pairs = ((degraded(runs), len(runs)) for runs in blind)
    return tuple(map(str, (*(figure for pair in pairs for figure in pair), below, *map(len, others))))


def robust_against_vision_r1(steps: int) -> tuple[str, ...]:
    """How much higher AP with all categories is with `robust`, its interval, and the number of seeds."""
    robust, other = RESULTS.of("robust", steps), RESULTS.of("vision_r1", steps)
    changes = [ap(run) - ap(other[seed]) for seed, run in robust.items()]
    low, high = demo_scale.interval(changes)
    return f"{fmean(changes):.1f}", f"{low:.1f}", f"{high:.1f}", WORDS[len(changes)]


def labels_unlearnt() -> tuple[str, ...]:
    """The number of seeds of `vision_r1`, and of the worst of them AP at its end and at step 10."""
    runs = RESULTS.of("vision_r1", 40)
    points = {point.step: f"{ap(point):.1f}" for point in min(runs.values(), key=ap).points}
    return WORDS[len(runs)], points[40], points[10]


def other_rewards() -> tuple[str, ...]:
    """AP of VLM-R1's rewards, of their start and of `robust`; of `visual_rft` and its start, with one category."""
    alike = (mean(f"vlm_r1_od_{name}", "shapes_categories", "AP") for name in ("ap", "length"))
    vlm_r1, visual_rft = RESULTS.start("vlm_r1"), RESULTS.start("visual_rft")
    assert vlm_r1
    assert visual_rft
    one = 100 * visual_rft.measures["shapes_category"]["AP"]
    return (
        *alike,
        f"{ap(vlm_r1):.1f}",
        both_ap("robust")[0],
        f"{one:.1f}",
        mean("visual_rft", "shapes_category", "AP"),
    )


def refined() -> tuple[str, ...]:
    """AP after 200 steps without refinement and with each curriculum."""
    own = ("vision_r1", "beginner_only", "halfway", "third", "when_ready")
    names = ("robust", "robust_halfway", "robust_when_ready", *own)
    assert {len(RESULTS.of(name, 200)) for name in names} == {3}
    return tuple(mean(name, "shapes_categories", "AP", 200) for name in names)


def waited() -> tuple[str, ...]:
    """The steps at which the wait of a curriculum ended, and that of the clock."""
    return (*(since("robust_when_ready", seed) for seed in range(3)), since("robust_halfway", 0))


def latest() -> tuple[str, ...]:
    """The step at which the last stage began in every run with `vision_r1`."""
    assert len(RESULTS.of("when_ready", 200)) == 3
    return tuple({since("when_ready", seed) for seed in range(3)})


def since(name: str, seed: int) -> str:
    """The first step of the last stage in a run of 200 steps."""
    return str(RESULTS.of(name, 200)[seed].measures["training"]["stage_since"])


def filtered_by_acc() -> tuple[str, ...]:
    """Seeds that reach the final AP of the run without a filter, all seeds, and the steps with and without it."""
    table = time_table(RESULTS, 40)
    (row,) = (row for row in table.rows if row[0].endswith("filtered by acc"))
    found = dict(zip(table.heading, row, strict=True))
    steps = (f"{float(found[name].split()[0]):.0f}" for name in ("steps", "steps of the baseline"))
    return found["reached"], found["seeds"], *steps


def gap(stage: str) -> tuple[str, ...]:
    """F1 of a stage of the demo's model, and its boxes per scene of those that are there."""
    found = json.loads((ROOT / "docs" / "demo_model.json").read_text(encoding="utf-8"))[stage]
    percent = (f"{100 * found[name]:.1f}" for name in ("F1_50", "F1"))
    return (*percent, *(f"{found[name]:.2f}" for name in ("predicted", "objects")))


def seconds(name: str, figure: str = "step") -> float:
    """Median of a figure of the benchmark of the trainers."""
    rounds = json.loads((ROOT / "docs" / "benchmark_trainers.json").read_text(encoding="utf-8"))["rounds"]
    return median(made[name][figure] for made in rounds)


def recipes() -> tuple[str, ...]:
    """Number of recipes that train by GRPO on GPUs."""
    names = [path.stem for path in (ROOT / "verl_vision_r1" / "config" / "recipe").glob("*.yaml")]
    return (str(sum(not re.match("eval_|vision_r1_(cpu|sft)", name) for name in names)),)


GAP = rf" \| {NUMBER} \| {NUMBER} \| {NUMBER} of {NUMBER} \|"
"""A line of the table of the demo's model."""

CLAIMS: list[tuple[str, str, Callable[[], tuple[str, ...]]]] = [
    (
        "README.md",
        rf"AP on held-out scenes was {NUMBER} times the start, {NUMBER} from {NUMBER}, mean of (\w+ seeds?)",
        demo_runs,
    ),
    ("README.md", rf"There are {NUMBER} \[Recipes\]", recipes),
    ("docs/background/comparison.md", rf"for {NUMBER} named sources", lambda: (str(len(SOURCES)),)),
    ("docs/get_started/demo.md", rf"\| after the first stage{GAP}", lambda: gap("ability")),
    ("docs/get_started/demo.md", rf"\| after the second, where `make demo` starts{GAP}", lambda: gap("start")),
    (
        "docs/guides/refusal.md",
        rf"means of (\w+ seeds?): .* {NUMBER} % of the held-out ones are refused, and {NUMBER} % of the positive"
        rf" samples. AP of the positive samples is {NUMBER} with all categories and {NUMBER} with one, against"
        rf" {NUMBER} and {NUMBER} without negative samples and {NUMBER} and {NUMBER} at the start",
        learnt_refusal,
    ),
    (
        "docs/guides/supervised.md",
        rf"AP with all categories after twenty updates is {NUMBER}, and {NUMBER} after 40 steps of GRPO from there;"
        rf" with one category it is {NUMBER} and {NUMBER}. GRPO alone gets to {NUMBER} and {NUMBER}: means of"
        r" (\w+ seeds?)\.",
        supervised_first,
    ),
    (
        "docs/guides/refusal.md",
        rf"by seed it is between {NUMBER} points down and {NUMBER} up,",
        lambda: tuple(f"{abs(change):.0f}" for change in (min(refusal_changes()), max(refusal_changes()))),
    ),
    (
        "docs/guides/refusal.md",
        rf"\*\*Undivided advantages\*\* refuse {NUMBER} %, at an AP of {NUMBER} and {NUMBER}:",
        lambda: (mean("refusal_undivided"), *both_ap("refusal_undivided")),
    ),
    (
        "docs/guides/refusal.md",
        r"whether a category is there refused ([0-9, and]+) % of the absent ones, and ([0-9, and]+) % of the present",
        lambda: (
            refused_absent("shapes_absent", "negatives_refused"),
            refused_absent("shapes_category", "positives_refused"),
        ),
    ),
    (
        "docs/background/ablations.md",
        rf"in {NUMBER} of {NUMBER} runs of 40 steps and in {NUMBER} of {NUMBER} runs of 200, of which {NUMBER} ended"
        rf" below the initial model: .* Of the {NUMBER} runs of 40 steps and {NUMBER} of 200 whose reward depends on"
        r" the label, none did so",
        labels_degraded,
    ),
    (
        "docs/background/ablations.md",
        rf"After 200 steps AP with all categories is {NUMBER} points higher with `robust` than with `vision_r1`"
        rf" \(95 % CI {NUMBER} to {NUMBER}, (\w+ seeds?)\);",
        lambda: robust_against_vision_r1(200),
    ),
    (
        "docs/background/ablations.md",
        rf"after 40 steps it is {NUMBER} points higher \((-{NUMBER[1:-1]}) to {NUMBER}, (\w+ seeds?)\)",
        lambda: robust_against_vision_r1(40),
    ),
    (
        "docs/background/robust.md",
        rf"After 200 steps it is {NUMBER} points higher \(95 % CI {NUMBER} to {NUMBER}, (\w+ seeds?)\)",
        lambda: robust_against_vision_r1(200),
    ),
    (
        "docs/background/ablations.md",
        rf"With `robust` AP with all categories after 200 steps is {NUMBER} without refinement, {NUMBER} with"
        rf" `halfway` and {NUMBER} with `when_ready`, three seeds each. With `vision_r1` it is {NUMBER} without,"
        rf" {NUMBER} with `beginner_only`, {NUMBER} with `halfway`, {NUMBER} with `third` and {NUMBER} with"
        r" `when_ready`",
        refined,
    ),
    (
        "docs/background/ablations.md",
        rf"In the worst of the (\w+ seeds?) of `vision_r1` it fell to {NUMBER} within 40 steps, after {NUMBER} at"
        r" step 10",
        labels_unlearnt,
    ),
    (
        "docs/background/ablations.md",
        rf"is {NUMBER} with VLM-R1's AP of a single sample and {NUMBER} with its length penalty, from a start of"
        rf" their own at {NUMBER}, against {NUMBER} with `robust`. `visual_rft`, .* gets from {NUMBER} to {NUMBER}"
        r" with one category",
        other_rewards,
    ),
    (
        "docs/background/ablations.md",
        rf"no better than those of the sum: {NUMBER} with `robust`, against {NUMBER}\.",
        lambda: (both_ap("gdpo")[0], both_ap("robust")[0]),
    ),
    (
        "docs/background/ablations.md",
        rf"for about the time of GRPO, supervised training gets to {NUMBER}\.",
        lambda: (both_ap("supervised_long")[0],),
    ),
    (
        "docs/background/ablations.md",
        rf"the wait ended at step {NUMBER}, {NUMBER} and {NUMBER}, earlier than the clock's {NUMBER},",
        waited,
    ),
    (
        "docs/background/ablations.md",
        rf"in any of three seeds, and the stage began at its latest step, {NUMBER}\.",
        latest,
    ),
    (
        "docs/background/ablations.md",
        rf"in {NUMBER} of {NUMBER} seeds, after {NUMBER} steps instead of {NUMBER}, and not at all in the others",
        filtered_by_acc,
    ),
    (
        "docs/background/ablations.md",
        rf"AP after 40 steps is {NUMBER} and {NUMBER}, against {NUMBER} in verl's order",
        drawn_by_difficulty,
    ),
]
"""Page, pattern of the sentence with a group for each figure, and the figures."""


@pytest.mark.parametrize(
    ("page", "pattern", "figures"), CLAIMS, ids=[f"{page}-{index}" for index, (page, _, _) in enumerate(CLAIMS)]
)
def test_a_figure_is_that_of_its_file(page: str, pattern: str, figures: Callable[[], tuple[str, ...]]) -> None:
    found = re.search(pattern, prose(page))
    assert found, f"{page}: expected a sentence like {pattern!r}"
    assert found.groups() == figures(), f"{page}: the figures are not those of docs/*.json*"


def test_ap_by_log_probabilities_is_that_after_the_steps_of_the_page() -> None:
    runs = [run for own in confidences.measured().values() for run in own]
    assert "AP after 40 steps, in percent" in prose("docs/guides/confidences.md")
    assert runs
    assert {run.steps for run in runs} == {40}


def test_the_training_of_the_demo_takes_the_minutes_of_the_readme() -> None:
    """Forty steps of the benchmark, with the same samples, group size and batch."""
    minutes = 40 * seconds("verl-vision-r1") / 60
    assert f"After 40 steps, {minutes:.1f} minutes on two CPU cores," in prose("README.md")


def test_the_training_of_the_demo_beside_trl() -> None:
    ratio = seconds("verl-vision-r1") / seconds("TRL")
    later = seconds("verl-vision-r1", "to the first step") - seconds("TRL", "to the first step")
    page = prose("docs/guides/training.md")
    assert f"a step takes {ratio:.2f} times as long here" in page
    assert f"the first one comes {later:.0f} seconds later" in page


def on_photographs(name: str) -> dict[str, list[float]]:
    """AP of the three models of a dataset by seed, in percent, and the ends of the interval of the change by GRPO."""
    results, steps = photographs.RESULTS, photographs.STEPS
    variants = {
        "start": results.of(f"start/{name}", 0),
        **{k: results.of(f"{name}/{k}", steps) for k in ("grpo", "supervised")},
    }
    found = {key: [100 * run.measures[name]["AP"] for run in runs.values()] for key, runs in variants.items()}
    ends = {
        end: [run.measures[name][f"AP_change_{end}"] for run in variants["grpo"].values()] for end in ("low", "high")
    }
    assert {len(values) for values in found.values()} == {3}
    return found | ends


def test_grpo_on_photographs_missed_its_aim() -> None:
    """The factor was reached in one of six runs, and every interval contains zero; which training got further."""
    cells, raccoons = on_photographs("bccd"), on_photographs("raccoon")
    pairs = [pair for found in (cells, raccoons) for pair in zip(found["start"], found["grpo"], strict=True)]
    assert sum(after >= 1.2 * before for before, after in pairs) == 1
    assert all(
        low < 0 < high for found in (cells, raccoons) for low, high in zip(found["low"], found["high"], strict=True)
    )
    assert all(grpo > alone for grpo, alone in zip(raccoons["grpo"], raccoons["supervised"], strict=True))
    assert all(grpo < alone for grpo, alone in zip(cells["grpo"], cells["supervised"], strict=True))


def change_of_tried(settings: str) -> list[tuple[float, dict[str, float]]]:
    """The change of AP in points by other settings of GRPO, with the last measures, of each run."""
    runs = tried_runs(photographs.RESULTS, photographs.STEPS)
    return [(100 * (last["AP"] - first["AP"]), last) for _, tried, _, (first, last) in runs if tried == settings]


def eight_completions(rate: str, *, sampled: bool = False) -> str:
    """The settings of runs with 8 completions at a temperature of 1; AP of greedy completions or of sampled ones."""
    rollout = "actor_rollout_ref.rollout"
    validation = f" {rollout}.val_kwargs.do_sample=true {rollout}.val_kwargs.temperature=1"
    settings = f"{rollout}.n=8 {rollout}.temperature=1 actor_rollout_ref.actor.optim.lr={rate}"
    return settings + (validation if sampled else "")


def test_what_other_settings_of_grpo_did_on_photographs() -> None:
    fast = change_of_tried(eight_completions("2e-4"))
    assert len(fast) == 2
    assert all(change < 0 for change, _ in fast)
    assert [last["AP_change_high"] < 0 for _, last in fast] == [False, True]
    greedy, sampled = (
        [change for change, _ in change_of_tried(eight_completions("3e-5", sampled=sampled))]
        for sampled in (False, True)
    )
    assert len(greedy) == len(sampled) == 3
    found = on_photographs("bccd"), on_photographs("raccoon")
    now = [grpo - start for each in found for start, grpo in zip(each["start"], each["grpo"], strict=True)]
    assert [slower > change for slower, change in zip(greedy, (*now[:2], now[3]), strict=True)] == [True, True, False]
    expected = (
        f"In three runs GRPO raised AP of the sampled ones by {fmean(sampled):.1f} points on average, that of the"
        f" greedy ones by {fmean(greedy):.1f}."
    )
    assert expected in prose("docs/background/photographs.md")


def test_a_sign_needs_an_interval_that_excludes_zero() -> None:
    assert demo_scale.compared(1.0, *demo_scale.interval([5.0])) == "no difference shown"
    assert demo_scale.compared(1.0, *demo_scale.interval([5.0, 5.1, 5.2])) == "same"
    assert demo_scale.compared(-1.0, *demo_scale.interval([5.0, 5.1, 5.2])) == "other"
