"""The run over the cases of a split: in processes or on a cluster; interrupted, it goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import rmtree
from typing import Any, Generic, TypeVar

from xr2mri_core import __version__
from xr2mri_core.bundle import digest
from xr2mri_core.datalist import PATHS
from xr2mri_core.evaluation.metrics import METRICS_VERSION
from xr2mri_core.files import append_line, check_writable, records_of
from xr2mri_core.processes import each_done
from xr2mri_core.progress import Progress

Case = TypeVar("Case")
Result = Mapping[str, Any]
"""What came of a case: what JSON can hold; ``files`` of it lie in the run's folder."""

_FOLDER, _JOURNAL = "unfinished", "cases.jsonl"


@contextmanager
def unfinished(out: Path | str, command: str) -> Iterator[Path]:
    """A folder in ``out`` for what a run has done; gone when the run is whole, or did nothing.

    Args:
        out: where the run writes its results.
        command: what runs: each has a folder of its own.

    Raises:
        OutputError: it cannot be made.
    """
    folder = Path(out).absolute() / _FOLDER / command
    made = not folder.parents[1].exists()
    check_writable(folder)
    try:
        yield folder
    except BaseException:
        if not (folder / _JOURNAL).is_file():
            _remove(folder)
            if made:
                with suppress(OSError):  # not empty: somebody else's
                    folder.parents[1].rmdir()
        raise
    _remove(folder)


def _remove(folder: Path) -> None:
    rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # not empty: another command's
        folder.parent.rmdir()


def of_each_case(
    work: Callable[[Case], Result],
    cases: Sequence[Case],
    doing: str,
    folder: Path,
    depends: Mapping[str, Any],
    items: Callable[[Case], Sequence[Mapping[str, Any]]],
    *,
    jobs: int,
    scheduler: str | None,
    progress: Progress,
) -> list[Result]:
    """``work(case)`` of every case, in the order of the cases.

    What an earlier run has left in ``folder`` is taken if the case, its files and the settings are
    the same.

    Args:
        work: a function of a module, or a partial of one; sent to the processes.
        cases: the cases, which can be pickled.
        doing, jobs, scheduler: see `xr2mri_core.processes.each_done`.
        folder: the folder that `unfinished` made.
        depends: settings that all results depend on, and the model.
        items: a case -> the items of a datalist that it reads.
        progress: told how many cases are done, in whatever order.
    """
    done: dict[int, Result] = {}
    earlier = _earlier(folder)
    known = [__version__, METRICS_VERSION, depends]
    one = _One(work, json.dumps(known, sort_keys=True, default=str), items)
    todo = [(n, case, earlier.get(n, {}).get("key", "")) for n, case in enumerate(cases)]
    progress(0, len(cases), "cases")
    with closing(
        each_done(one, todo, min(jobs, len(cases)), doing, scheduler=scheduler)
    ) as working:
        for index, key, result in working:
            if result is None:
                done[index] = earlier[index]["result"]
            else:
                done[index] = result
                row = {"index": index, "key": key, "result": result}
                append_line(folder / _JOURNAL, json.dumps(row))
            progress(len(done), len(cases), "cases")
    return [done[index] for index, _, _ in todo]


def _earlier(folder: Path) -> dict[int, dict[str, Any]]:
    """Number of a case -> what an earlier run has kept of it, its files too."""
    rows = {row["index"]: row for row in records_of(folder / _JOURNAL)}
    return {
        index: row
        for index, row in rows.items()
        if all((folder / name).is_file() for name in row["result"].get("files", ()))
    }


@dataclass(frozen=True)
class _One(Generic[Case]):
    """Does a case, or finds it done: its number, the digest of what it depends on, what is new."""

    work: Callable[[Case], Result]
    depends: str
    items: Callable[[Case], Sequence[Mapping[str, Any]]]

    def __call__(self, todo: tuple[int, Case, str]) -> tuple[int, str, Result | None]:
        index, case, known = todo
        key = self._key(case)
        if key == known:
            return index, key, None
        result = self.work(case)
        # as it is read again, so that tables are the same whether or not a run was interrupted
        return index, key, json.loads(json.dumps(result, default=lambda value: value.item()))

    def _key(self, case: Case) -> str:
        read = [_contents(item) for item in self.items(case)]
        return _digest([self.depends, repr(case), read])


def identity(item: Mapping[str, Any]) -> str:
    """A digest of all that a datalist says of a case, and of what is in its files.

    Where they lie does not matter. Each file is read once in a process, and again if it changes.
    """
    told = {name: value for name, value in item.items() if name not in (*PATHS, "split")}
    return _digest([told, _contents(item)])


def _contents(item: Mapping[str, Any]) -> dict[str, list[str]]:
    """The digests of a case's files; of a folder, such as a series, those of all that it holds."""
    found = {}
    for name in PATHS:
        path = Path(str(item.get(name) or ""))
        files = [path] if path.is_file() else path.rglob("*") if item.get(name) else []
        stats = [(file, file.stat()) for file in sorted(files) if file.is_file()]
        found[name] = [_digest_of(file, stat.st_size, stat.st_mtime_ns) for file, stat in stats]
    return found


@cache
def _digest_of(file: Path, size: int, changed: int) -> str:
    return digest(file)


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
