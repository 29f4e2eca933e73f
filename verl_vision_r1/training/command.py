"""The command line of a run, without its secrets."""

import re
import shlex
from datetime import datetime, timezone
from typing import Final

MASK: Final = "***"
SECRET: Final = re.compile(r"token|key|password|secret|credential", re.IGNORECASE)
"""A word in the key of an override whose value is not shown. It hides some harmless values too."""
WITHIN: Final = re.compile(rf"(?:{SECRET.pattern})[\w\"']*\s*[:=]", re.IGNORECASE)
"""The same within a value, such as `{env_vars: {API_KEY: ...}}`."""
USER: Final = re.compile(r"(?<=//)[^/\s@]+(?=@)")
"""The user and password of a URL."""
ARGUMENT: Final = re.compile(r'"((?:\\.|[^"\\])*)"|(\S+)')
"""An argument as `subprocess.list2cmdline` writes it, as Ray does: with blanks, it is in double quotes."""
RECIPE: Final = re.compile(r"(?:^|\s)\+?recipe=([\w./-]+)")


def command_and_start() -> tuple[str, str]:
    """The command that started the Ray job of this process, masked, and when, as ISO 8601 in UTC; empty if unknown.

    A trainer runs in a worker of Ray, whose own command line is another. Of the driver, Ray alone knows it.
    """
    import ray

    if not ray.is_initialized():
        return "", ""
    try:
        from ray._private.state import jobs

        own = ray.get_runtime_context().get_job_id()
        job = next(job for job in jobs() if job["JobID"] == own)  # type: ignore[no-untyped-call]
        started = datetime.fromtimestamp(job["StartTime"] / 1000, timezone.utc)
        return masked(arguments(job["Entrypoint"])), started.isoformat(timespec="minutes")
    except (ImportError, AttributeError, LookupError, StopIteration, TypeError, ValueError):
        # A table of Ray that has no public form, and may change: the run does not depend on it.
        return "", ""


def arguments(command: str) -> list[str]:
    r"""The arguments of a command line as Ray writes it.

    Example:
        >>> arguments('python -m verl "a=[1, 2]" b=\'c\' d=\\"e\\"')
        ['python', '-m', 'verl', 'a=[1, 2]', "b='c'", 'd="e"']
    """
    found = (quoted or plain for quoted, plain in ARGUMENT.findall(command))
    return [argument.replace('\\"', '"') for argument in found]


def masked(command: list[str]) -> str:
    """A command line for the shell, with a mask for each value that may be a secret.

    Example:
        >>> masked(["python", "+recipe=a", "logger.api_key=abc", "b={env_vars: {HF_TOKEN: abc}}", "c=http://me:pw@x/"])
        "python +recipe=a 'logger.api_key=***' 'b=***' 'c=http://***@x/'"
    """
    return " ".join(shlex.quote(_masked(argument)) for argument in command)


def masked_again(command: str) -> str:
    """The output of `masked`, masked once more: of a file that somebody else wrote.

    Example:
        >>> masked_again("python 'a=[1, 2]' api_key=abc")
        "python 'a=[1, 2]' 'api_key=***'"
    """
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    return masked(words)


def _masked(argument: str) -> str:
    key, equals, value = argument.partition("=")
    if equals and (SECRET.search(key) or WITHIN.search(value)):
        return f"{key}={MASK}"
    return USER.sub(MASK, argument)


def recipe_of(command: str) -> str:
    """The recipe that a command line names; empty if none.

    Example:
        >>> recipe_of("python -m verl.trainer.main_ppo +recipe=vision_r1_qwen7b trainer.nnodes=2")
        'vision_r1_qwen7b'
    """
    found = RECIPE.search(command)
    return found[1] if found else ""
