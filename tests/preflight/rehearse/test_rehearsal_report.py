"""What a rehearsal prints: the verdict first, then the steps; or JSON."""

import io
import json

from rich.console import Console

from verl_vision_r1.preflight.rehearse.report import as_json, line, show, verdict, would_run
from verl_vision_r1.preflight.rehearse.step import Step

PASSED = Step(True, "vLLM accepts: TP 2", "8 GPUs", figures={"engines": 4.0})
SKIPPED = Step(None, "Megatron-Core has no CPU path")
FAILED = Step(False, "95.2 GiB of 80.0 GiB at the peak", "80.0 GiB of a GPU", "vision_r1/engine=fsdp2_offload")


def printed(steps: dict[str, Step], width: int = 160) -> list[str]:
    output = io.StringIO()
    show(steps, Console(file=output, width=width))
    return output.getvalue().splitlines()


def test_a_run_whose_steps_pass_would_run() -> None:
    assert verdict({"rollout engine": PASSED}) == "would run"
    assert would_run({"rollout engine": PASSED})


def test_skipped_steps_are_named() -> None:
    steps = {"rollout engine": PASSED, "training": SKIPPED, "weight transfer": SKIPPED}
    assert verdict(steps) == "would run, as far as rehearsed; skipped: training, weight transfer"
    assert would_run(steps)


def test_the_first_failed_step_is_the_verdict() -> None:
    steps = {"training": SKIPPED, "weight transfer": FAILED, "placement": Step(False, "no node")}
    expected = "would not run: weight transfer: 95.2 GiB of 80.0 GiB at the peak; try vision_r1/engine=fsdp2_offload"
    assert verdict(steps) == expected
    assert verdict({"placement": Step(False, "no node")}) == "would not run: placement: no node"
    assert not would_run(steps)


def test_progress_is_one_line_per_step() -> None:
    assert line("training", SKIPPED) == "training: skipped: Megatron-Core has no CPU path"
    assert line("training", FAILED) == "training: FAILED: 95.2 GiB of 80.0 GiB at the peak"


def test_the_table_follows_the_verdict() -> None:
    lines = printed({"rollout engine": PASSED, "training": FAILED})
    assert lines[0].startswith("would not run: training: 95.2 GiB of 80.0 GiB at the peak; try ")
    assert lines[1].split() == ["step", "result", "found", "limit"]
    assert [text.split()[:3] for text in lines[2:4]] == [["rollout", "engine", "ok"], ["training", "FAILED", "95.2"]]
    assert lines[-1].startswith("Not shown: kernels, NCCL, speed, fragmentation")


def test_the_verdict_stays_on_one_line_of_a_narrow_terminal() -> None:
    assert printed({"training": FAILED}, width=40)[0].endswith("try vision_r1/engine=fsdp2_offload")


def test_control_characters_of_messages_are_escaped() -> None:
    text = "\n".join(printed({"placement": Step(False, "node \x1b[31m", "limit \x07")}))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "node \\x1b[31m" in text


def test_json_has_the_verdict_and_the_figures() -> None:
    found = json.loads(as_json({"rollout engine": PASSED, "training": FAILED}))
    assert found["would_run"] is False
    assert found["verdict"].startswith("would not run: training")
    assert found["steps"]["rollout engine"] == {
        "ok": True,
        "found": "vLLM accepts: TP 2",
        "limit": "8 GPUs",
        "advice": "",
        "figures": {"engines": 4.0},
    }
