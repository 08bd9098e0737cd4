"""The files below a folder, without looking at every one again when some come or go."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_TICK_NS = 100_000_000
"""File systems keep time in ticks: what changes within the tick of a look is not noticed."""
_State = tuple[int, int, int]
_GONE = 0, 0, 0


@dataclass
class _Folder:
    """What was there at the last look: what changes of a folder when a name in it does (None: look
    again), and for each of its names, in their order, a folder or what was made of a file."""

    state: _State | None = None
    inner: dict[str, _Folder | str] = field(default_factory=dict)


class FolderTree:
    """Remembers the files of all folders below one, and what was made of each.

    Args:
        folder: links to folders in it are not followed, and hidden ones left out.
        made_of: what to remember of a file, given its path within the folder; None leaves it out.
        failed: called with the error of a folder that cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        made_of: Callable[[str], str | None],
        failed: Callable[[OSError], object] = lambda error: None,
    ) -> None:
        self.folder, self._made_of, self._failed = str(folder), made_of, failed
        self._root = _Folder()

    def changed(self) -> bool:
        """Whether a name has come, gone or changed since the last call; True at the first."""
        return self._look(self._root, "")

    def files(self) -> Iterator[tuple[str, str]]:
        """The path of each file within the folder, and what was made of it, in order."""
        return self._files(self._root, "")

    def _look(self, known: _Folder, inner: str) -> bool:
        state = _state(os.path.join(self.folder, inner))
        new = state != known.state
        if new:
            settled = max(state[:2]) < time.time_ns() - _TICK_NS
            known.state = state if settled else None
            known.inner = self._names(known, inner)
        for name, each in known.inner.items():
            if isinstance(each, _Folder):
                new = self._look(each, os.path.join(inner, name)) or new
        return new

    def _names(self, known: _Folder, inner: str) -> dict[str, _Folder | str]:
        try:
            with os.scandir(os.path.join(self.folder, inner)) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._failed(error)
            return {}
        names: dict[str, _Folder | str] = {}
        for entry in listed:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                before = known.inner.get(entry.name)
                names[entry.name] = before if isinstance(before, _Folder) else _Folder()
            elif (made := self._made_of(os.path.join(inner, entry.name))) is not None:
                names[entry.name] = made
        return names

    def _files(self, known: _Folder, inner: str) -> Iterator[tuple[str, str]]:
        for name, each in known.inner.items():
            path = os.path.join(inner, name)
            if isinstance(each, _Folder):
                yield from self._files(each, path)
            else:
                yield path, each


def _state(path: str) -> _State:
    """What changes of a folder when a name in it or who may read it does, and when another takes
    its place."""
    try:
        found = Path(path).stat()
    except OSError:
        return _GONE
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino
