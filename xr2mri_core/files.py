"""Files that appear whole or not at all.

They are written under temporary names beside their destination and renamed once everything is on
the disk.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EISDIR
from pathlib import Path
from shutil import copyfile, rmtree
from typing import Any
from uuid import uuid4

from xr2mri_core.errors import OutputError

log = logging.getLogger("xr2mri")


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Write one file whole or not at all, with errors as they come.

    Args:
        path: path of the file; its folder is created if needed.

    Yields:
        A path beside it to write to, with the same suffixes, for writers choose formats by them.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def keep(path: Path, name: Path) -> None:
    """Give a file that is never written in place a second, lasting name.

    It is a copy where the system has no links, or refuses them: so does Linux those to another
    user's file (`fs.protected_hardlinks`), such as root's after an update.
    """
    with whole_file(name) as part:
        try:
            os.link(path, part)
        except OSError:
            copyfile(path, part)


@contextmanager
def whole_folder(path: Path | str, resumable: bool = False) -> Iterator[Path]:
    """Make one folder whole or not at all, with errors as they come.

    Where another process has made it meanwhile, that one stays.

    Args:
        path: path of the folder; the one that it lies in is created if needed.
        resumable: whether a failure leaves what was made so far, as ``<name>.partial``, to be
            handed out again the next time; if not, it leaves nothing, and several processes may
            make the same folder at once.

    Yields:
        A folder beside it to fill.
    """
    path = Path(path)
    name = f"{path.name}.partial" if resumable else f".{path.name}.{uuid4().hex[:8]}.part"
    part = path.with_name(name)
    part.mkdir(parents=True, exist_ok=resumable)
    try:
        yield part
        try:
            os.replace(part, path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        if not resumable:
            rmtree(part, ignore_errors=True)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process holds a lock, a file; one that dies lets go of it."""
    from filelock import FileLock, Timeout

    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        log.warning("waiting for another process, which prepares the same in %s", lock.parent)
        held.acquire()
    except OSError as error:  # a file system without locks, as some clusters' are
        log.warning("%s: no lock; prepare the same from one process only", error)
    try:
        yield
    finally:
        held.release()


def _beside(path: Path) -> Path:
    return path.with_name(f".{uuid4().hex[:8]}.part.{path.name}")


class AtomicFiles:
    """Files under construction: `path` hands out temporary names, renamed at the end."""

    def __init__(self) -> None:
        self._pending: dict[Path, Path] = {}

    def path(self, final: Path) -> Path:
        """A temporary path beside ``final``; same suffixes, for writers choose formats by them."""
        self._pending[final] = _beside(final)
        return self._pending[final]

    def commit(self) -> None:
        for final in self._pending:  # before the first is renamed: all of them or none
            if final.is_dir():
                raise IsADirectoryError(EISDIR, f"'{final.name}' is a folder", str(final))
        for final, temporary in self._pending.items():
            os.replace(temporary, final)

    def discard(self) -> None:
        for temporary in self._pending.values():
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_files(folder: Path | str) -> Iterator[AtomicFiles]:
    """Write several files into ``folder`` (created if needed), all of them or none.

    Raises:
        OutputError: the folder or a file cannot be written (permissions, full disk, not a folder).
    """
    folder = Path(folder)
    files = AtomicFiles()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield files
        files.commit()
    except (OSError, RuntimeError) as error:  # ITK reports a failed write as RuntimeError
        files.discard()
        raise _output_error(folder, error) from error
    except BaseException:  # also a keyboard interrupt leaves nothing behind
        files.discard()
        raise


def _output_error(folder: Path, error: BaseException) -> OutputError:
    reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1:] or ["failed"]
    text = reason if isinstance(reason, str) else reason[0]
    return OutputError(
        f"cannot write to '{folder}': {text}; choose a folder that you may write to "
        "and that has free space",
        option="out",
    )


def check_writable(folder: Path | str) -> Path:
    """Create ``folder`` and prove that a file can be written there, before hours are spent.

    Raises:
        OutputError: no file can be written there.
    """
    folder = Path(folder)
    probe = folder / f".{uuid4().hex[:8]}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _output_error(folder, error) from error
    return folder


def check_file(path: Path | str) -> Path:
    """Prove that a file can be written at ``path``, whose folder is made, before hours are spent.

    Raises:
        OutputError: no file can be written there.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder; give the name of a file")
    check_writable(path.parent)
    return path


def append_line(path: Path | str, line: str, errors: str = "strict") -> None:
    """Add a line to a text file in UTF-8, with errors as they come.

    Where a killed program left half a line at the end, that ends first, so that it takes no whole
    one with it.

    Args:
        path: the file; its folder is created if needed.
        line: without its end.
        errors: how characters that UTF-8 cannot write are handled; see `str.encode`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                file.write(b"\n")
        file.write(line.encode("utf-8", errors) + b"\n")


def records_of(path: Path | str) -> Iterator[Any]:
    """The lines of JSON that `append_line` wrote, read; nothing where there is no file.

    What is no text is replaced, and half a line, which a killed program left, is passed over. Only
    its own line ends count: `str.splitlines` also ends a line where a name has U+2028 in it.
    """
    path = Path(path)
    text = path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
    for line in text.split("\n"):
        with suppress(ValueError):
            yield json.loads(line)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    path = Path(path)
    with atomic_files(path.parent) as files:
        files.path(path).write_text(text, encoding="utf-8")
