"""`vision-r1 estimate`: what a run needs in memory, processors, disk and time, before a GPU is touched.

The model is built without memory, on torch's `meta` device, and counted; the rest is arithmetic. Every figure says
what it rests on.
"""

from collections.abc import Iterator

from verl_vision_r1.preflight.estimate import report
from verl_vision_r1.preflight.estimate.figure import Figure, Section
from verl_vision_r1.preflight.estimate.plan import Assumptions, Plan, make_plan

__all__ = ["Assumptions", "Figure", "Plan", "Section", "estimate", "make_plan", "report"]


def estimate(plan: Plan) -> list[Section]:
    """Estimate what a run needs.

    Args:
        plan: The run, from `make_plan`.

    Returns:
        The figures, subject by subject.

    Raises:
        ValueError: The run uses an engine or a type of numbers whose memory is not known here.
    """
    from verl_vision_r1.preflight.estimate import generation, prompts, schedule, speed, training, workers

    return [
        Section("Model", tuple(_model(plan))),
        Section("Prompts", tuple(prompts.figures(plan))),
        Section("Memory of one GPU: training", tuple(training.figures(plan))),
        Section("Memory of one GPU: generation", tuple(generation.figures(plan))),
        Section("Processor", tuple(workers.figures(plan))),
        Section("Steps and disk", tuple(schedule.figures(plan))),
        Section("Time", tuple(speed.figures(plan))),
    ]


def _model(plan: Plan) -> Iterator[Figure]:
    yield Figure(
        "parameters",
        plan.model.parameters,
        "",
        f"{plan.model.config.model_type} built without memory; {plan.model.source}",
    )
    yield Figure("trained parameters", plan.model.trained, "", "those with a gradient")
