"""How a training stands, for the person at the terminal and for other processes."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from xr2mri_core.training.engines import StageTrainer
from xr2mri_core.training.handlers import Schedule, standing
from xr2mri_core.training.record import write_record


class ProgressBar:
    """A bar with "step 500 of 20000" and the time left on a terminal; nothing elsewhere.

    Args:
        schedule: knows the end, by steps or by the clock.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self._open = ExitStack()
        self._bar: tqdm | None = None

    def attach(self, engine: Engine) -> None:
        if idist.get_rank() == 0 and sys.stderr.isatty():
            engine.add_event_handler(Events.EPOCH_STARTED, self._start)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self)
            engine.add_event_handler(Events.COMPLETED, self._end)

    def _start(self, engine: Engine) -> None:
        """Draw the bar once the checkpoint is loaded, at the step from which training goes on."""
        if self._bar is None:
            self._bar = self._open.enter_context(_bar(engine.state.iteration, self.schedule))

    def __call__(self, engine: Engine) -> None:
        if self._bar is not None:
            step = engine.state.iteration
            self._bar.total = self.schedule.end(step)
            self._bar.set_description_str(f"step {standing(step, self.schedule)}", refresh=False)
            self._bar.update(step - self._bar.n)

    def _end(self) -> None:
        self._open.close()
        self._bar = None


@contextmanager
def _bar(step: int, schedule: Schedule) -> Iterator[tqdm]:
    """A bar that lines of the log scroll above, not through."""
    bar_format = "{percentage:3.0f}%|{bar}| {desc}"
    with (
        tqdm(
            initial=step, total=schedule.end(step), bar_format=bar_format, dynamic_ncols=True
        ) as bar,
        logging_redirect_tqdm([logging.getLogger()]),
    ):
        yield bar


class ProgressFile:
    """Keeps a JSON file that tells another process how a training stands.

    `{"step", "steps", "progress" (share done, in [0, 1]), "seconds", "seconds_left" (or null),
    "skipped_steps", "losses": {name: value, null where not finite}, "validation": {name: value}}`;
    replaced atomically every `every` steps and after each epoch, and left as it is by a run without
    a step.

    Args:
        path: path of the file.
        schedule: knows how much is done.
        evaluator: its metrics are written.
        every: steps between updates.
    """

    def __init__(
        self, path: str | Path, schedule: Schedule, evaluator: Engine, every: int = 10
    ) -> None:
        self.path = Path(path)
        self.schedule, self.evaluator, self.every = schedule, evaluator, every

    def attach(self, engine: Engine) -> None:
        if idist.get_rank() == 0:
            events = Events.ITERATION_COMPLETED(every=self.every) | Events.EPOCH_COMPLETED
            engine.add_event_handler(events | Events.COMPLETED, self)

    def __call__(self, engine: StageTrainer) -> None:
        if engine.state.output is None and self.path.exists():
            return
        step = engine.state.iteration
        left = self.schedule.seconds_left(step)
        record = {
            "step": step,
            "steps": self.schedule.steps,
            "progress": round(self.schedule.progress(step), 4),
            "seconds": round(self.schedule.elapsed, 1),
            "seconds_left": None if left is None else round(left),
            "skipped_steps": engine.skipped_steps,
            "losses": _plain(engine.state.output),
            "validation": _plain(self.evaluator.state.metrics),
        }
        write_record(self.path, record)


def _plain(values: Mapping[str, Any] | None) -> dict[str, float | None]:
    """Numbers that JSON knows; it has no word for infinity."""
    numbers = {name: float(value) for name, value in (values or {}).items()}
    return {n: round(v, 6) if math.isfinite(v) else None for n, v in numbers.items()}
