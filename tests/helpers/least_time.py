"""Seconds that a call takes, without what the machine and the test process add."""

import gc
import time
from collections.abc import Callable


def least_seconds(call: Callable[[], object], limit: float, attempts: int = 4) -> float:
    """CPU time of the fastest of several attempts; the first under the limit is enough.

    A single measurement fails at random: a collection of the whole test process's garbage, a busy neighbour of the
    CPU's cache or the first use of a module falls into it.

    Args:
        call: What is measured.
        limit: Seconds under which no further attempt is made.
        attempts: Maximum number of attempts.
    """
    least = float("inf")
    for _ in range(attempts):
        gc.collect()
        start = time.process_time()
        call()
        least = min(least, time.process_time() - start)
        if least < limit:
            break
    return least
