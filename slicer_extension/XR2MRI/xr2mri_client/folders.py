"""Removes a folder of tens of thousands of files; also as a program by itself, whose argument is
the folder, and which prints how many files and folders are gone, of how many, now and then.

What fails is printed as a line of JSON, `[errno, message, file]`, and ends it with status 1. As a
program it imports nothing of ours, and runs in any Python.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

_WINDOWS = os.name == "nt"
_AT_ONCE = 32
_PAUSE = 0.1
"""Seconds between two words on how far it is."""


def remove_tree(folder: Path, progress: Callable[[int, int], None] = lambda *_: None) -> None:
    """Remove a folder with all that is in it, where it is there; links, not what they lead to.

    Args:
        folder: the folder to remove.
        progress: called with how many files and folders are gone, of how many; ends it by raising.

    Raises:
        OSError: of the first that cannot be removed.
    """
    levels: dict[int, list[tuple[str, list[str]]]] = {}
    total = done = 0
    for where, below, names in os.walk(folder):
        links = [name for name in below if _is_link(os.path.join(where, name))]
        below[:] = [name for name in below if name not in links]
        levels.setdefault(where.count(os.sep), []).append((where, [*names, *links]))
        total += len(names) + len(links) + 1
    last = 0.0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            for depth in sorted(levels, reverse=True):
                for gone in pool.map(_remove_folder, levels[depth]):
                    done += gone
                    if time.monotonic() >= last + _PAUSE:
                        progress(done, total)
                        last = time.monotonic()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _remove_folder(one: tuple[str, list[str]]) -> int:
    """Remove a folder whose folders have gone; how many files and folders that were."""
    folder, names = one
    for name in names:
        path = os.path.join(folder, name)
        try:
            _remove_file(path)
        except PermissionError:  # it is read-only, or on Windows a link to a folder
            os.chmod(folder, stat.S_IRWXU)
            if _WINDOWS and _is_link(path):
                os.rmdir(path)
            else:
                if _WINDOWS:
                    os.chmod(path, stat.S_IWRITE)
                _remove_file(path)
    with suppress(FileNotFoundError):
        os.rmdir(folder)
    return len(names) + 1


def _remove_file(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _is_link(path: str) -> bool:
    """Whether a folder is a link to one, or what Windows calls a junction."""
    if not _WINDOWS:
        return os.path.islink(path)
    junction = 0x400  # FILE_ATTRIBUTE_REPARSE_POINT
    return bool(getattr(os.lstat(path), "st_file_attributes", 0) & junction)


def _main(folder: str) -> int:
    try:
        remove_tree(Path(folder), lambda done, total: print(done, total, flush=True))
        return 0
    except OSError as error:
        print(json.dumps([error.errno, error.strerror, str(error.filename)]))
        return 1


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
