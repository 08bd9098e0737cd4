"""Time that Slicer itself takes, set apart from the time of a module's handlers.

A module asks Slicer to show another layout, to load a file, to draw: what it then does is C++ of
Slicer's, its Qt widgets and the graphics card. Here the same is Python, and drawing is the CPU's. A
handler that asks for it is not to be blamed for what only the harness takes.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

_spent = [0.0]
_depth = [0]


def of_slicer() -> float:
    """CPU seconds of this thread in Slicer's own work so far; for differences."""
    return _spent[0]


def slicers_own(function: Callable) -> Callable:
    """Decorate what is Slicer's own work."""

    @functools.wraps(function)
    def timed(*arguments: Any, **options: Any) -> Any:
        began, _depth[0] = time.thread_time(), _depth[0] + 1
        try:
            return function(*arguments, **options)
        finally:
            _depth[0] -= 1
            if not _depth[0]:  # of nested ones the outermost counts
                _spent[0] += time.thread_time() - began

    return timed
