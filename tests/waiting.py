"""Waiting for something that other threads and processes do, with an end to it."""

import time
from collections.abc import Callable
from typing import Any


def until(condition: Callable[[], Any], seconds: float = 60, pause: float = 0.02) -> Any:
    """Ask until the answer is true, and return it; too late is a failure."""
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, f"not within {seconds} s"
        time.sleep(pause)
    return found


def until_state(
    ask: Callable[[], Any], *states: str, seconds: float = 60, pause: float = 0.02
) -> dict[str, Any]:
    """Ask a route for the state of a job or a training until it is one of these; return it whole.

    Args:
        ask: sends the request, e.g. ``lambda: client.get("/train/")``.
    """
    limit = time.monotonic() + seconds
    while (found := ask().json())["state"] not in states:
        assert time.monotonic() < limit, found
        time.sleep(pause)
    return found
