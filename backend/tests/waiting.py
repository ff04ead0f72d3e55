"""Waiting for a state, bounded by a deadline that only a broken program reaches."""

import time
from collections.abc import Callable

DEADLINE_SECONDS = 30


def until[T](ask: Callable[[], T], accept: Callable[[T], bool]) -> T:
    """Ask again until the answer is accepted, and return it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not accept(answer := ask()):
        assert time.monotonic() < deadline, f"still {answer}"
    return answer
