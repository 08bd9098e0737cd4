"""Standard error: logging, progress bars, and signals that end a run cleanly."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

_asked_to_end = False


class Progress(Protocol):
    """What draws a bar: ``progress(done, total, stage)``."""

    def __call__(self, done: int, total: int, stage: str = ...) -> None: ...


def set_up(debug: bool) -> None:
    """Logging to stderr; quiet libraries; SIGTERM ends a run as cleanly as Ctrl-C does."""
    logging.basicConfig(stream=sys.stderr, format="xr2mri: %(levelname)s: %(message)s", force=True)
    logging.getLogger().setLevel(logging.INFO if debug else logging.WARNING)
    logging.addLevelName(logging.WARNING, "warning")
    if not debug:
        warnings.simplefilter("ignore")
    with suppress(ValueError):  # not the main thread: the caller handles signals
        signal.signal(signal.SIGTERM, _interrupt)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _interrupt)


def interrupted() -> bool:
    """Whether a signal has asked for the end, though a library may have swallowed the exception."""
    return _asked_to_end


def _interrupt(_number: int, _frame: object) -> None:
    global _asked_to_end
    _asked_to_end = True
    raise KeyboardInterrupt


@contextmanager
def progress_bar(title: str) -> Iterator[Progress | None]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def progress(done: int, total: int, stage: str = title) -> None:
            bar.update(task, completed=done, total=total, description=stage)

        yield progress
