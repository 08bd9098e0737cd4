"""Handlers of the training engines: learning rate and end, pictures, log."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, cast

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from PIL import Image
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from xr2mri_core.errors import TrainingError
from xr2mri_core.training.batches import Batch, to_device
from xr2mri_core.training.ema import EMA

logger = logging.getLogger("xr2mri")


class Schedule:
    """Learning rate over the progress of a training that ends by steps or by the clock.

    The rate rises linearly over `warmup` steps, is constant (the paper), and over the last `decay`
    share of the progress falls to zero along a half cosine. Progress is the larger of
    step / steps and minutes / max_minutes; the minutes of earlier, interrupted runs count.

    A training that is resumed from the checkpoint of a finished one does no step.

    Args:
        optimizer: its groups' rates at construction are the constant ones.
        steps: greatest number of steps.
        warmup: steps of the rise (the paper: 100).
        decay: share of the progress over which the rate falls, in [0, 1]; 0: never, 1: all along.
        max_minutes: minutes of training at most; None: no limit, and the run is reproducible.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps: int,
        warmup: int = 100,
        decay: float = 0.0,
        max_minutes: float | None = None,
    ) -> None:
        if not 0 <= decay <= 1:
            raise TrainingError(f"decay must lie in [0, 1], got {decay}")
        self.optimizer, self.steps, self.warmup, self.decay = optimizer, steps, warmup, decay
        self.seconds = max_minutes * 60 if max_minutes else math.inf
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.elapsed = 0.0
        self._engine: Engine | None = None
        self._clock: float | None = None

    def attach(self, engine: Engine) -> None:
        self._engine = engine
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_STARTED, self._stay_finished)
        engine.add_event_handler(Events.ITERATION_STARTED, self._set_rate)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._end)

    @property
    def step(self) -> int:
        """Steps that the training has done, those of earlier runs too."""
        return 0 if self._engine is None else self._engine.state.iteration

    def progress(self, step: int) -> float:
        """Share of the training that is done after `step` steps, in [0, 1]."""
        return min(1.0, max(step / self.steps, self.elapsed / self.seconds))

    def end(self, step: int) -> int:
        """The step that the training ends at, as far as `step` steps tell."""
        done = self.progress(step)
        return self.steps if done <= step / self.steps else math.ceil(step / done)

    def seconds_left(self, step: int) -> float | None:
        """Seconds to the end at the speed so far, of earlier runs too; None before the first."""
        done = self.progress(step)
        return self.elapsed * (1 - done) / done if self.elapsed and done else None

    def factor(self, step: int) -> float:
        """What multiplies the constant rate at 0-based `step`."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        left = 1 - self.progress(step)
        if left >= self.decay:
            return rise
        return rise * 0.5 * (1 - math.cos(math.pi * left / self.decay))

    def _start(self) -> None:
        self._clock = time.monotonic()

    def _stay_finished(self, engine: Engine) -> None:
        """End before the first step; at a start, the checkpoint may not be loaded yet."""
        if self.progress(engine.state.iteration) >= 1:
            logger.info("the training is finished at step %d: no more", engine.state.iteration)
            engine.terminate()

    def _set_rate(self, engine: Engine) -> None:
        factor = self.factor(engine.state.iteration - 1)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def _end(self, engine: Any) -> None:
        now = time.monotonic()
        self.elapsed += now - (self._clock or now)
        self._clock = now
        if self.seconds < math.inf and idist.get_world_size() > 1:
            self.elapsed = float(cast(float, idist.broadcast(self.elapsed, src=0)))
        if self.progress(engine.state.iteration) >= 1:
            engine.state.max_epochs = engine.state.epoch
            if engine.state.iteration % engine.state.epoch_length:
                engine.terminate_epoch()

    def state_dict(self) -> dict[str, float]:
        return {"elapsed": self.elapsed}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self.elapsed = state["elapsed"]


class Pictured(Protocol):
    """A stage that can show what it has learnt."""

    training: bool

    def picture(self, batch: Batch) -> Tensor:
        """A picture (1, H, W) in [0, 1] of what is made of a batch."""

    def eval(self) -> object:
        """As in `nn.Module`."""

    def train(self, mode: bool = True) -> object:
        """As in `nn.Module`."""


class Pictures:
    """Every `every` epochs writes `stage.picture(batch)` as a PNG and to TensorBoard.

    The stage carries the averaged weights then. A failing picture is logged; training goes on.

    Args:
        stage: the stage that draws the pictures.
        batch: a function that returns the batch to show.
        ema: moving average, whose weights are put in.
        writer: writer of TensorBoard's files.
        folder: folder of the PNG files, named by step.
        every: epochs between pictures.
    """

    def __init__(
        self,
        stage: Pictured,
        batch: Callable[[], Batch],
        ema: EMA,
        writer: SummaryWriter,
        folder: str | Path,
        every: int = 1,
    ) -> None:
        self.stage, self.batch, self.ema = stage, batch, ema
        self.writer, self.folder, self.every = writer, Path(folder), every

    def attach(self, engine: Engine) -> None:
        if idist.get_rank() == 0:
            engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.every), self)

    def __call__(self, engine: Any) -> None:
        device = engine.state.device
        training = self.stage.training
        self.stage.eval()
        try:
            with self.ema.applied():
                picture = self.stage.picture(to_device(self.batch(), device))
        except Exception:  # hours of training are worth more than a picture
            logger.exception("no sample picture at step %d", engine.state.iteration)
            return
        finally:
            self.stage.train(training)
        self.writer.add_image("samples", picture, engine.state.iteration)
        self.folder.mkdir(parents=True, exist_ok=True)
        pixels = (picture[0] * 255).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).save(self.folder / f"step-{engine.state.iteration:07d}.png")


# MONAI's StatsHandler would leave all of this to be written (its hooks are handed the engine, and
# neither the time of the steps alone nor the schedule), and logs each error a second time. So would
# TensorBoardStatsHandler: its own writer takes the losses alone, by their bare names, which are
# those of the validation too, and knows neither the rate nor the time of a step.
class Log:
    """Every `every` steps: losses to the log and to TensorBoard, with the rate and the speed.

    `ms_per_step` is the mean time since the last entry that a batch took to be drawn and trained
    on; validations, pictures and checkpoints in between do not count.

    Args:
        writer: writer of TensorBoard's files.
        optimizer: optimizer, whose learning rate is reported.
        every: steps between entries.
        schedule: knows the last step and the time left, which stand in each entry.
    """

    def __init__(
        self,
        writer: SummaryWriter,
        optimizer: Optimizer,
        every: int = 50,
        schedule: Schedule | None = None,
    ) -> None:
        self.writer, self.optimizer, self.every = writer, optimizer, every
        self.schedule = schedule
        self._seconds, self._steps, self._started = 0.0, 0, 0.0

    def attach(self, engine: Engine) -> None:
        if idist.get_rank() == 0:
            engine.add_event_handler(Events.GET_BATCH_STARTED, self._start)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._stop)
            engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.every), self)

    def _start(self) -> None:
        self._started = time.monotonic()

    def _stop(self) -> None:
        self._seconds += time.monotonic() - self._started
        self._steps += 1

    def __call__(self, engine: Any) -> None:
        step = engine.state.iteration
        scalars = {name: float(value) for name, value in engine.state.output.items()}
        scalars["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        scalars["ms_per_step"] = 1000 * self._seconds / max(self._steps, 1)
        self._seconds, self._steps = 0.0, 0
        for name, value in scalars.items():
            self.writer.add_scalar(f"train/{name}", value, step)
        text = "  ".join(f"{name} {value:.4g}" for name, value in scalars.items())
        logger.info("step %s  %s", standing(step, self.schedule), text)


def standing(step: int, schedule: Schedule | None) -> str:
    """How far a training is, in words: `"500 of 20000, 1:02:03 left"`."""
    if schedule is None:
        return str(step)
    left = schedule.seconds_left(step)
    time_left = f", {timedelta(seconds=round(left))} left" if left is not None else ""
    return f"{step} of {schedule.end(step)}{time_left}"


# MONAI's two handlers, one for each target, write metrics by their bare names alone, so that a
# validation's `loss` would go on the training's curve; with writers of ours, this is all of them.
class ValidationLog:
    """Metrics of an evaluator's pass to the log and to TensorBoard, at the trainer's step.

    Args:
        writer: writer of TensorBoard's files.
        schedule: knows the trainer's step; an epoch may be cut short by the clock.
    """

    def __init__(self, writer: SummaryWriter, schedule: Schedule) -> None:
        self.writer, self.schedule = writer, schedule

    def attach(self, engine: Engine) -> None:
        if idist.get_rank() == 0:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        step = self.schedule.step
        for name, value in engine.state.metrics.items():
            self.writer.add_scalar(f"validation/{name}", float(value), step)
        text = "  ".join(f"{name} {float(v):.4f}" for name, v in engine.state.metrics.items())
        logger.info("validation after epoch %d  %s", engine.state.epoch, text)
