"""`vision-r1 estimate`: estimates GPU memory, CPU cores, disk and time of a run, with its assumptions.

The model is built on torch's `meta` device, which allocates no memory, and its parameters are counted; the rest is
arithmetic. Every figure states its assumptions.
"""

from collections.abc import Iterator

from verl_vision_r1.preflight.estimate import report
from verl_vision_r1.preflight.estimate.figure import Figure, Section
from verl_vision_r1.preflight.estimate.plan import Assumptions, Plan, make_plan

__all__ = ["Assumptions", "Figure", "Plan", "Section", "estimate", "make_plan", "report"]


def estimate(plan: Plan) -> list[Section]:
    """Estimate the resources of a run.

    Args:
        plan: The run, from `make_plan`.

    Returns:
        The figures by subject.

    Raises:
        ValueError: The memory of the training engine or the size of a dtype is not known.
    """
    from verl_vision_r1.preflight.estimate import generation, prompts, schedule, speed, training, workers

    return [
        Section("Model", tuple(_model(plan))),
        Section("Prompts", tuple(prompts.figures(plan))),
        Section("Memory per GPU: training", tuple(training.figures(plan))),
        Section("Memory per GPU: generation", tuple(generation.figures(plan))),
        Section("CPU", tuple(workers.figures(plan))),
        Section("Steps and disk", tuple(schedule.figures(plan))),
        Section("Time", tuple(speed.figures(plan))),
    ]


def _model(plan: Plan) -> Iterator[Figure]:
    built = f"{plan.model.config.model_type}, built without weights; {plan.model.source}"
    yield Figure("parameters", plan.model.parameters, "", built)
    yield Figure("trainable parameters", plan.model.trained, "", "parameters with a gradient")
