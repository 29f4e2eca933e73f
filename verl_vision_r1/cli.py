"""The command line: `vision-r1 prepare | validate | view | evaluate | attacks | conformance | doctor | demo | ...`.

Each command imports what it needs when it runs, so that `vision-r1 --help` answers at once.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from verl_vision_r1.data import MAX_PIXELS, MIN_PIXELS


class _Commands(TyperGroup):
    """Shows what a person got wrong as one line instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, OSError) as error:
            typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
            raise typer.Exit(1) from error


app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def vision_r1() -> None:
    """Reinforcement fine-tuning of vision-language models for seeing, with verl."""


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="The data set (coco, voc, ...), or mix.", show_default=False)],
    source: Annotated[str, typer.Option(help="Its folder, its name on the hub, or the YAML file of a mix.")],
    out: Annotated[Path, typer.Option(help="Folder for train.parquet and val.parquet.")],
    split: Annotated[str | None, typer.Option(help="One part alone.", show_default="train and val")] = None,
    ask: Annotated[
        str, typer.Option(help="Of boxes: categories, category, referring, class or count.")
    ] = "categories",
    negatives: Annotated[float, typer.Option(help="Questions about what is not there, for each other one.")] = 0.0,
    whole: Annotated[
        bool, typer.Option("--whole", help="For evaluation: images without objects too, and crowds.")
    ] = False,
    existence: Annotated[
        Path | None, typer.Option(help="JSON file of the categories to ask each image about.", show_default="no list")
    ] = None,
    rows: Annotated[int | None, typer.Option(help="At most so many rows to train on.", show_default="all")] = None,
    limit: Annotated[int | None, typer.Option(help="Take at most so many images.", show_default="all")] = None,
    min_boxes: Annotated[int, typer.Option(help="Leave out images with fewer, but not those with none.")] = 1,
    max_boxes: Annotated[int | None, typer.Option(help="Leave out images with more.", show_default="no limit")] = None,
    hard_share: Annotated[
        float | None, typer.Option(help="Share of images with more than 10 boxes.", show_default="as it is")
    ] = None,
    difficulty: Annotated[Path | None, typer.Option(help="JSON {image_id: number} to choose by.")] = None,
    difficulty_range: Annotated[tuple[float, float], typer.Option(help="Keep images within.")] = (0.0, 1.0),
    prompt: Annotated[str, typer.Option(help="Words of the questions, of vision_r1/prompt.")] = "vision_r1",
    alias: Annotated[str | None, typer.Option(help="Name in data_source.", show_default="NAME")] = None,
    validation_share: Annotated[float, typer.Option(help="Share of the images that go to val.parquet; 1: all.")] = 0.2,
    max_pixels: Annotated[int, typer.Option(help="Largest area an image is resized to.")] = MAX_PIXELS,
    min_pixels: Annotated[int, typer.Option(help="Smallest area an image is resized to.")] = MIN_PIXELS,
    seed: Annotated[int, typer.Option(help="Decides the choice, the split and the order.")] = 0,
    images: Annotated[str, typer.Option(help="Look at images: decode, header or none.")] = "decode",
    embed: Annotated[bool, typer.Option("--embed", help="Rows hold the images, not their paths.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict/--skip-bad", help="Stop at defects, or leave out what has one.")
    ] = True,
) -> None:
    """Turn a data set into the rows that verl trains on.

    vision-r1 prepare coco --source /data/coco --out data --negatives 0.1
    """
    from verl_vision_r1.data.mix import read_mix
    from verl_vision_r1.data.plan import Source, Writing
    from verl_vision_r1.data.prepare import prepare as run
    from verl_vision_r1.data.selection import Selection

    writing = Writing(prompt, validation_share, seed, min_pixels, max_pixels, images, embed, strict)
    if name == "mix":
        wanted = read_mix(Path(source))
    else:
        chosen = Selection(min_boxes, max_boxes, hard_share, difficulty, difficulty_range, limit)
        wanted = [Source(name, source, split, ask, negatives, rows, chosen, alias, whole, existence)]
    prepared = run(wanted, out, writing)
    for account in prepared.accounts:
        _print_table({"": account.source, "images": account.images} | _account_lines(account))
    typer.echo(", ".join(f"{out / file}.parquet: {count} rows" for file, count in prepared.rows.items()))
    if prepared.defects:
        typer.echo(f"{prepared.defects} bad boxes and images left out, listed in {out / 'defects.txt'}")


def _account_lines(account: Any) -> dict[str, Any]:
    lines = {f"rows for {file}": count for file, count in account.rows.items()}
    lines |= {"boxes": account.boxes, "rows whose answer is nothing": account.negatives}
    return lines | {f"left out: {reason}": count for reason, count in account.left_out.items()}


@app.command()
def validate(
    source: Annotated[Path, typer.Argument(help="Folder of rows, or a file of them.")],
    model: Annotated[
        str | None, typer.Option(help="Folder of the model whose processor measures the prompts.")
    ] = None,
    max_prompt_length: Annotated[int, typer.Option(help="Tokens above which a prompt is a defect.")] = 1024,
    prompt: Annotated[str, typer.Option(help="Words that the run asks in, of vision_r1/prompt.")] = "as_prepared",
    images: Annotated[str, typer.Option(help="Look at images: decode, header or none.")] = "decode",
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Say what is wrong with rows, and what is in them; exit status 1 if anything is wrong.

    vision-r1 validate data
    """
    from verl_vision_r1.data.images import CHECKS
    from verl_vision_r1.data.validate import validate as run

    if images not in CHECKS:
        raise ValueError(f"images: expected one of {', '.join(CHECKS)}, got {images!r}")
    report = run(source, images=images, lengths=_lengths(model, prompt), max_prompt_length=max_prompt_length)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        from verl_vision_r1.data.validate_table import show

        show(report)
    if report.defects:
        raise typer.Exit(1)


def _lengths(model: str | None, prompt: str) -> Any:
    if model is None:
        return None
    from transformers import AutoProcessor

    from verl_vision_r1.data.prompt_length import PromptLength, processor_bounds
    from verl_vision_r1.presets import load_prompts

    processor = AutoProcessor.from_pretrained(model)
    return PromptLength(processor, load_prompts(prompt), processor_bounds(processor), {})


@app.command()
def view(
    source: Annotated[Path, typer.Argument(help="Folder of rows, or a file of them.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the sheets.", show_default="view/ beside the rows")
    ] = None,
    count: Annotated[int, typer.Option(help="Rows of each file to draw.", min=1)] = 24,
    seed: Annotated[int, typer.Option(help="Decides which.")] = 0,
) -> None:
    """Draw rows with their boxes on contact sheets.

    vision-r1 view data --count 48
    """
    from verl_vision_r1.data.validate import files_of_rows
    from verl_vision_r1.data.view import view as run

    for file in files_of_rows(source):
        for sheet in run(file, out or file.parent / "view", count=count, seed=seed):
            typer.echo(sheet)


@app.command()
def attacks(
    preset: Annotated[list[str] | None, typer.Option(help="A preset, or a YAML file.", show_default="all")] = None,
    curriculum: Annotated[str, typer.Option(help="Score under the last stage of this curriculum.")] = "off",
    as_json: Annotated[bool, typer.Option("--json", help="Print the shares as JSON.")] = False,
) -> None:
    """What each preset pays for answers that cheat, as a share of what it pays for a perfect one."""
    from verl_vision_r1.attacks import PRESETS, shares, table
    from verl_vision_r1.presets import load_curriculum

    stage = load_curriculum(curriculum).stages[-1]
    names = preset or PRESETS
    typer.echo(json.dumps(shares(names, stage), indent=2) if as_json else table(names, stage))


@app.command()
def conformance(
    files: Annotated[list[Path], typer.Argument(help="Files of recorded cases.", metavar="FILE.json ...")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Score recorded cases and say which scores are as recorded; exit status 1 if any differs."""
    from verl_vision_r1.conformance import check_file, lines, summary

    reports = [check_file(path) for path in files]
    if as_json:
        typer.echo(json.dumps(summary(reports), indent=2))
    else:
        typer.echo("\n".join(line for report in reports for line in lines(report)))
    if not all(report.conforms for report in reports):
        raise typer.Exit(1)


@app.command()
def evaluate(
    dump: Annotated[Path, typer.Argument(help="verl's validation dump: STEP.jsonl, or a folder that holds only it.")],
    annotations: Annotated[Path, typer.Option(help="COCO JSON, or the file of rows that was asked.")],
    protocol: Annotated[str, typer.Option(help="vision_r1, visual_rft, qwen3_vl or plain.")],
    against: Annotated[
        Path | None, typer.Option(help="Dump of another run, to compare with as the one before.")
    ] = None,
    existence: Annotated[
        Path | None, typer.Option(help="JSON file of the categories that each image was asked about.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Measure a dump that does not answer all of the annotations.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for results.", show_default="STEP-PROTOCOL beside the dump")
    ] = None,
    orders: Annotated[int, typer.Option(help="Other orders of the boxes to measure AP in.", min=0)] = 5,
    resamples: Annotated[int, typer.Option(help="Draws of the images for the intervals.", min=10)] = 1000,
    seed: Annotated[int, typer.Option(help="Decides orders and draws.", min=0)] = 0,
    library: Annotated[str, typer.Option(help="faster-coco-eval or pycocotools.")] = "faster-coco-eval",
    figures: Annotated[bool, typer.Option(help="Draw figures and the worst images.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of tables.")] = False,
) -> None:
    """Measure a model's answers by a protocol that says what it assumes.

    vision-r1 evaluate evaluation/eval_coco --annotations instances_val2017.json --protocol vision_r1
    """
    from rich.console import Console

    from verl_vision_r1.evaluation import output
    from verl_vision_r1.evaluation.compare import compare
    from verl_vision_r1.evaluation.evaluate import evaluate as run
    from verl_vision_r1.evaluation.measure import Effort
    from verl_vision_r1.evaluation.table import show

    effort = Effort(orders, seed, library)
    found = run(dump, annotations, protocol, existence=existence, partial=partial, effort=effort)
    other = None
    if against is not None:
        less = Effort(0, seed, library)
        before = run(against, annotations, protocol, existence=existence, partial=partial, effort=less)
        other = output.Against(before, compare(before, found, resamples, seed), resamples)
    out = out or output.folder_of(found.dump, protocol)
    written = output.write_results(out, found, other)
    if as_json:
        typer.echo(written[0].read_text(encoding="utf-8"), nl=False)
    else:
        show(output.tables(found, other), Console())
        typer.echo("\n".join(output.sentences(found, other)))
    # Last: the numbers are there whatever becomes of the pictures.
    if figures:
        written += output.draw_results(out, found, other)
    if not as_json:
        typer.echo(f"written: {out}/ {', '.join(str(path.relative_to(out)) for path in written)}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def doctor(
    run: Annotated[
        list[str] | None, typer.Argument(help="A run, as verl takes it.", metavar="[+recipe=NAME KEY=VALUE ...]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
    ray: Annotated[bool, typer.Option("--ray/--no-ray", help="Look into Ray's workers too.")] = True,
) -> None:
    """Check this installation, or exactly the run that is given; exit status 1 if anything is wrong.

    vision-r1 doctor +recipe=vision_r1_qwen7b data.train_files=data/train.parquet vision_r1/reward=robust
    """
    from verl_vision_r1.doctor import diagnose, report

    checks = diagnose(run or (), ray=ray)
    if as_json:
        known = list(checks)
        typer.echo(report.as_json(known))
        right = all(check.ok is not False for check in known)
    else:
        right = report.show(checks)
    if not right:
        raise typer.Exit(1)


@app.command()
def demo(
    data: Annotated[
        Path | None, typer.Option(help="COCO or VOC folder.", show_default="coloured shapes, drawn here")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for all that the demo makes.")] = Path("demo"),
    steps: Annotated[int, typer.Option(help="Steps of reinforcement.", min=1)] = 40,
    seed: Annotated[int, typer.Option(help="Of the scenes, their order and the rollouts.", min=0)] = 0,
    teaching_steps: Annotated[int, typer.Option(help="With --data: supervised steps before.", min=1)] = 150,
) -> None:
    """Train a tiny model on this machine's CPU through verl's own trainer, and show what changed."""
    from verl_vision_r1.demo.run import run_demo
    from verl_vision_r1.demo.training import Demo

    name = "shapes" if data is None else data.resolve().name
    run_demo(Demo((out / name).absolute(), steps, seed, teaching_steps), data)


@app.command()
def ablations(
    out: Annotated[Path, typer.Option(help="Folder for the runs; those that are there are not made again.")] = Path(
        "demo/ablations"
    ),
    steps: Annotated[int, typer.Option(help="Steps of reinforcement of each run.", min=1)] = 40,
    seeds: Annotated[int, typer.Option(help="Runs of each variant.", min=1)] = 3,
    only: Annotated[str, typer.Option(help="Variants, comma-separated.", show_default="all")] = "",
) -> None:
    """Run the demo with one thing changed at a time, hours of it, and write table.md with means and intervals."""
    from rich.console import Console

    from verl_vision_r1.demo.ablation_table import ablation_table
    from verl_vision_r1.demo.ablations import Ablations, run_ablations
    from verl_vision_r1.evaluation.table import markdown, show

    names = tuple(name.strip() for name in only.split(",") if name.strip())
    plan, console = Ablations(out.absolute(), steps, seeds, names), Console()
    try:
        run_ablations(plan, console)
    finally:  # What is there is shown, also of a run that was cut short.
        table = ablation_table(plan)
        show([table], console)
        (out / "table.md").write_text(markdown(table) + "\n", encoding="utf-8")


def _print_table(rows: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False)
    table.add_column(overflow="fold")
    table.add_column(justify="right")
    for label, value in rows.items():
        table.add_row(label, str(value))
    Console().print(table)


def main() -> None:
    """Run the command line; the entry point `vision-r1`."""
    app()
