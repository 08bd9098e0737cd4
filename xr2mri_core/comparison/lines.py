"""Lines of results: the memory of a run, filled by processes.

What the file of lines holds is not computed again, so that an interrupted run goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
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

    def fill(
        self, work: Callable[[Any], dict[str, Any]], todo: Sequence[Any], jobs: int
    ) -> Iterator[int]:
        """Add ``work(one)`` of all that is to be done, as it gets done; yields how many are.

        Args:
            work: what makes a line; it is sent to the processes.
            todo: what it is given.
            jobs: processes, with one thread each; see `xr2mri_core.processes.each_done`.
        """
        if not todo:
            return
        with closing(each_done(work, todo, min(jobs, len(todo)), "measures volumes")) as made:
            for count, line in enumerate(made, 1):
                self.add(line)
                yield count
