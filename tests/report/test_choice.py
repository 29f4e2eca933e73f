"""Completions are grouped by prompt, and a page shows complete prompts at evenly spaced steps."""

from hypothesis import given
from hypothesis import strategies as st
from run_on_disk import Run

from verl_vision_r1.report.prompts import choose, read_prompts, spaced
from verl_vision_r1.report.rollout_files import find_rollout_files
from verl_vision_r1.targets import Target

TARGET = Target([[10, 10, 110, 110]], ["cat"], width=400, height=300)


def filled(run: Run, prompts: int, rollouts: int, steps: int, kind: str = "training") -> Run:
    for step in range(1, steps + 1):
        for prompt in range(prompts):
            run.add(["[]"] * rollouts, TARGET, image="", image_id=str(prompt), step=step, kind=kind)
    return run


def test_rollouts_are_grouped_by_prompt_with_one_id_for_all_steps(run: Run) -> None:
    filled(run, prompts=3, rollouts=4, steps=2)
    for lines in run.lines.values():
        lines.sort(key=lambda line: line["score"])
        lines[:] = lines[::5] + [line for index, line in enumerate(lines) if index % 5]
    (folder,) = find_rollout_files(run.write())
    first, second = (read_prompts(folder.files[step], "training", step) for step in (1, 2))
    assert [len(prompt.lines) for prompt in first] == [4, 4, 4]
    assert [prompt.identity for prompt in first] == [prompt.identity for prompt in second]
    assert len({prompt.identity for prompt in first}) == 3


def test_all_completions_are_chosen_below_the_limit(run: Run) -> None:
    chosen = choose(find_rollout_files(filled(run, prompts=3, rollouts=4, steps=5).write()), limit=100)
    assert sum(len(prompt.lines) for prompt in chosen) == 60


def test_a_large_run_is_reduced_to_the_same_complete_prompts_at_every_step(run: Run) -> None:
    filled(filled(run, prompts=6, rollouts=8, steps=40), prompts=30, rollouts=1, steps=4, kind="validation")
    chosen = choose(find_rollout_files(run.write()), limit=200)
    assert sum(len(prompt.lines) for prompt in chosen) <= 200
    training = [prompt for prompt in chosen if prompt.kind == "training"]
    assert all(len(prompt.lines) == 8 for prompt in training)
    steps = sorted({prompt.step for prompt in training})
    assert (steps[0], steps[-1]) == (1, 40)
    shown = [{prompt.identity for prompt in training if prompt.step == step} for step in steps]
    assert all(one == shown[0] for one in shown)
    assert {prompt.step for prompt in chosen if prompt.kind == "validation"} == {1, 2, 3, 4}


def test_what_one_kind_does_not_use_is_left_for_the_other(run: Run) -> None:
    filled(filled(run, prompts=10, rollouts=8, steps=4), prompts=10, rollouts=1, steps=1, kind="validation")
    chosen = choose(find_rollout_files(run.write()), limit=290)
    counts = {kind: sum(len(p.lines) for p in chosen if p.kind == kind) for kind in ("training", "validation")}
    assert counts == {"training": 256, "validation": 10}  # 280 are left, 70 per step: eight prompts of 8.


def test_at_least_one_prompt_is_chosen_even_above_the_limit(run: Run) -> None:
    chosen = choose(find_rollout_files(filled(run, prompts=2, rollouts=64, steps=3).write()), limit=10)
    assert [(prompt.step, len(prompt.lines)) for prompt in chosen] == [(3, 64)]


@given(st.lists(st.integers(0, 10_000), min_size=1, unique=True).map(sorted), st.integers(1, 50))
def test_spaced_steps_keep_both_ends(values: list[int], count: int) -> None:
    found = spaced(values, count)
    assert len(found) == min(count, len(values))
    assert found == sorted(set(found))
    assert found[-1] == values[-1]
    assert len(found) == 1 or found[0] == values[0]
