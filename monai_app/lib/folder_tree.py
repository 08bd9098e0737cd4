"""Whether anything has come or gone below a folder, without looking at every file again."""

from __future__ import annotations

import os
import time
from pathlib import Path

_TICK_NS = 100_000_000
"""File systems keep time in ticks: what changes within the tick of a look is not noticed."""


class FolderTree:
    """Remembers the times of all folders below one: they change with the names in them.

    Args:
        folder: links in it are not followed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._times: dict[str, int] = {}

    def changed(self) -> bool:
        """Whether a name has come, gone or changed since the last call; True at the first."""
        if self._times and all(_time(path) == then for path, then in self._times.items()):
            return False
        newest = time.time_ns() - _TICK_NS
        times = {path: _time(path) for path, _, _ in os.walk(self.folder)}
        self._times = {path: then if then < newest else -1 for path, then in times.items()}
        return True


def _time(path: str) -> int:
    """When the names in a folder changed last, ns; 0 where it is gone."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
