"""Lines of results: the memory of a run, and the processes that make them.

What the file of lines holds is not computed again, so that an interrupted run goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xr2mri_core.files import append_line, records_of
from xr2mri_core.processes import each_done


class Lines:
    """Results as lines of JSON, appended as they come.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = list(records_of(path))

    def find(self, **key: Any) -> dict[str, Any] | None:
        """The newest line with these entries."""
        for row in reversed(self.rows):
            if all(row.get(name) == value for name, value in key.items()):
                return row
        return None

    def add(self, row: dict[str, Any]) -> None:
        """Keep a line, on disk at once."""
        plain = json.loads(json.dumps(row))
        self.rows.append(plain)
        append_line(self.path, json.dumps(plain))


@dataclass(frozen=True)
class Workers:
    """Where volumes are made and measured; see `xr2mri_core.processes.each_done`.

    Attributes:
        jobs: processes.
        scheduler: a Dask scheduler instead.
    """

    jobs: int = 1
    scheduler: str | None = None

    def done(
        self,
        work: Callable[[Any], dict[str, Any]],
        todo: Sequence[Any],
        lines: Lines,
        there: int = 0,
    ) -> Iterator[int]:
        """Keep ``work(one)`` of all that is to be done; yields how many lines there are by then.

        Args:
            work: what makes a line; it is sent to the processes.
            todo: what it is given, one after the other.
            lines: the file to which they are added.
            there: lines of an earlier run, which count, too.
        """
        jobs = min(self.jobs, len(todo))
        made = each_done(work, todo, jobs, "measures volumes", scheduler=self.scheduler)
        with closing(made):
            for count, line in enumerate(made, there + 1):
                lines.add(line)
                yield count
