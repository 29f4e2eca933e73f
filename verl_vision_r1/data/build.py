"""The questions of one dataset: select images, ask, and verify prompts and images."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Final

from verl_vision_r1.data.account import UNCERTAIN, Account, Ledger
from verl_vision_r1.data.category_lists import ask_existing
from verl_vision_r1.data.hard_negatives import cooccurring, swapped
from verl_vision_r1.data.images import check_images
from verl_vision_r1.data.options import Source, Writing
from verl_vision_r1.data.parts import Files
from verl_vision_r1.data.questions import ask, ask_categories, negatives, uncertain_places, used
from verl_vision_r1.data.read import Dataset
from verl_vision_r1.data.readers.problems import OnProblem
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.data.selection import select
from verl_vision_r1.prompts import PLACEHOLDERS, Prompts
from verl_vision_r1.shown import shown

NONE_CERTAIN: Final = "every category with a crowd or a skipped box"


def build(
    dataset: Dataset, writing: Writing, prompts: Prompts, upright: Path, on_problem: OnProblem
) -> tuple[Files, Account]:
    """The questions of one dataset by file, with verified prompts and images, and its account.

    Args:
        dataset: The dataset, divided into files.
        writing: How samples are written.
        prompts: The prompt templates.
        upright: Folder for upright copies of rotated images.
        on_problem: Called with the error of each invalid prompt and image.
    """
    source, ledger, files = dataset.source, dataset.ledger, {}
    _note_shared(dataset.files, ledger)
    for file, samples in dataset.files.items():
        questions = _questions(source, samples, writing.seed, ledger)
        # Limited before the images are verified, which takes the longest.
        limit = source.max_samples if source.max_samples is not None and file != "val" else len(questions)
        ledger.leave_out(questions[limit:], "over max_samples")
        files[file] = _verified(questions[:limit], writing, prompts, upright, ledger, on_problem)
    asked = [question for questions in files.values() for question in questions]
    ledger.use(asked)
    account = Account(
        source=f"{source.alias or source.name} ({source.place})",
        images=len({sample.image for samples in dataset.files.values() for sample in samples}),
        samples={file: len(questions) for file, questions in files.items()},
        boxes=sum(len(question.target.boxes) for question in asked),
        negatives=sum(question.target.is_negative for question in asked),
        hard_negatives=ledger.hard_negatives,
        left_out={reason: count for reason, count in ledger.left_out.items() if count},
        annotations=ledger.lines(),
        clipped=ledger.reading.clipped,
        notes=tuple(ledger.reading.notes),
    )
    return files, account


def _note_shared(files: Files, ledger: Ledger) -> None:
    """Tell the user of images that are in train and in val."""
    train, val = ({sample.image for sample in files.get(file, ())} for file in ("train", "val"))
    if shared := sorted(train & val):
        ledger.reading.note(
            f"images in train and in val: {len(shared)}, such as {shared[0]}; validation is not on unseen images"
        )


def _questions(source: Source, samples: list[Sample], seed: int, ledger: Ledger) -> list[Sample]:
    if source.category_list is not None:
        questions = ask_existing(samples, source.category_list)
        asked = {question.image_id for question in questions}
        others = [sample for sample in samples if sample.image_id not in asked]
        ledger.leave_out(others, "not in the category list")
    else:
        questions = _selected_questions(source, samples, seed, ledger)
    random.Random(seed).shuffle(questions)
    return questions


def _selected_questions(source: Source, samples: list[Sample], seed: int, ledger: Ledger) -> list[Sample]:
    if source.keep_empty:
        samples, empty = [replace(sample, uncertain=frozenset()) for sample in samples], []
    else:
        samples = _certain(samples, source.ask, ledger)
        empty = [sample for sample in samples if _is_empty(sample)]
        samples = [sample for sample in samples if not _is_empty(sample)]
    selected, reasons = select(samples, source.selection, seed)
    for reason, others in reasons.items():
        ledger.leave_out(others, reason)
    questions = _answerable(ask(selected, source.ask), source.max_boxes_per_sample, ledger)
    added = _negatives(source, selected + empty, questions, seed, ledger)
    ledger.left_out["no boxes"] += len(empty) - sum(question.question == "categories" for question in added)
    return questions + added


def _answerable(questions: list[Sample], limit: int | None, ledger: Ledger) -> list[Sample]:
    """The questions whose answers have at most so many boxes."""
    if limit is None:
        return questions
    many = [question for question in questions if len(question.target.boxes) > limit]
    ledger.leave_out(many, f"more than {limit} boxes in a sample")
    return [question for question in questions if len(question.target.boxes) <= limit]


def _negatives(
    source: Source, samples: list[Sample], questions: list[Sample], seed: int, ledger: Ledger
) -> list[Sample]:
    """The negative samples to add to the questions."""
    count, generator = round(source.negatives * len(questions)), random.Random(seed)
    if source.hard_negatives == "none":
        return negatives(samples, source.ask, count, generator)
    if source.hard_negatives == "cooccurrence":
        added = cooccurring(samples, source.ask, count, generator)
    else:
        added = swapped(questions, count, generator)
    ledger.hard_negatives += len(added)
    if len(added) < count:
        ledger.reading.note(f"hard negatives ({source.hard_negatives}): {len(added)} of {count}, there are no more")
    return added


def _certain(samples: list[Sample], how: str, ledger: Ledger) -> list[Sample]:
    """The samples; if they are asked for all categories, without those of which a box may be missing."""
    found = []
    for sample in samples:
        if not sample.uncertain or sample.question != "categories":
            found.append(sample)
            continue
        ledger.drop(used(sample, uncertain_places(sample)), UNCERTAIN)
        asked = ask_categories(sample) if how == "categories" else [sample]
        ledger.left_out[NONE_CERTAIN] += not asked
        found += asked
    return found


def _is_empty(sample: Sample) -> bool:
    return sample.question == "categories" and not len(sample.target.boxes)


def _verified(
    questions: list[Sample],
    writing: Writing,
    prompts: Prompts,
    upright: Path,
    ledger: Ledger,
    on_problem: OnProblem,
) -> list[Sample]:
    valid = []
    for question in questions:
        if problem := _prompt_problem(question, prompts):
            on_problem(problem)
            ledger.drop(question.uses, "prompt with a placeholder")
        else:
            valid.append(question)
    checked = check_images(valid, upright, on_problem, writing.image_check)
    # An upright copy replaces the image of a question, but not its list of annotations.
    good = {id(question.uses) for question in checked}
    for question in valid:
        if id(question.uses) not in good:
            ledger.drop(question.uses, "image missing or defective")
    return checked


def _prompt_problem(question: Sample, prompts: Prompts) -> ValueError | None:
    """The error of a prompt that contains a placeholder, which verl would replace with an image."""
    prompt = prompt_of(question, prompts)
    found = [placeholder for placeholder in PLACEHOLDERS if placeholder in prompt]
    if not found:
        return None
    where = f"{question.image} ({question.image_id})"
    return ValueError(f"{where}: prompt: expected text without {found[0]}, got {shown(prompt)}")


def prompt_of(sample: Sample, prompts: Prompts) -> str:
    """The prompt of a sample, without `<image>`."""
    return prompts.text(sample.question, sample.target, sample.subject) if sample.prompt is None else sample.prompt
