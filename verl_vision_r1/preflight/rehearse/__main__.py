"""A process of a rehearsal: `python -m verl_vision_r1.preflight.rehearse`.

It takes the steps that come on standard input, one line each, and writes the line of each result to standard output.
"""

import gc
import os
import sys

from verl_vision_r1.preflight.rehearse.step import as_line, attempt, read_spec


def main() -> None:
    """Take steps until standard input ends."""
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # What verl, vLLM and Ray print goes to the log.
    for line in sys.stdin:
        print(as_line(attempt(read_spec(line))), file=results, flush=True)
        gc.collect()  # Models are circles of references.


if __name__ == "__main__":
    main()
