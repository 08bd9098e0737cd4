"""Checkpoints of a training: the last two, and the best."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver
from monai.engines import Evaluator
from torch import Tensor

from xr2mri_core.errors import WeightsError, shown
from xr2mri_core.files import keep
from xr2mri_core.training.batches import StepSampler
from xr2mri_core.training.engines import StageTrainer
from xr2mri_core.training.record import write_record

logger = logging.getLogger("xr2mri")


class _Saver(DiskSaver):
    """Replaces the last file atomically and keeps the one before it."""

    def __init__(self, folder: Path, previous: str) -> None:
        super().__init__(str(folder), create_dir=True, require_empty=False)
        self.previous = folder / previous
        self.refused = False

    def __call__(
        self,
        checkpoint: Mapping[str, Any],
        filename: str,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if idist.get_rank() == self.save_on_rank:
            damaged = [name for name, value in tensors(checkpoint) if not _finite(value)]
            self.refused = bool(damaged)
            if damaged:
                logger.error(
                    "no checkpoint is written, the last one stays: %d tensors are not finite, "
                    "such as %s", len(damaged), damaged[0],
                )  # fmt: skip
                return
            last = self.dirname / filename
            if last.exists():
                keep(last, self.previous)
        super().__call__(checkpoint, filename, metadata)

    def remove(self, filename: str) -> None:
        """Does nothing: the file was replaced already."""


class Checkpoints:
    """Saves everything that a training needs to go on exactly, at the end of every epoch.

    Three files in the folder, each replaced atomically:

    - `checkpoint.pt`, the last;
    - `checkpoint-previous.pt`, the one before it: training goes on from there when the last cannot
      be read (a full disk, a power cut);
    - `checkpoint-best.pt`, that of the lowest key metric of the evaluator, which
      `checkpoint-best.json` tells.

    Weights, averages or an optimizer's state that are not finite are never written.

    With `resume`, training starts from the last when it is there; a resumed training gives the
    same weights, to the bit on a CPU, as one never stopped.

    Args:
        folder: where the files lie.
        objects: objects to save, by name; the trainer and its loss scaler are added.
        sampler: sampler of the training loader; it is set to the step to go on with.
        resume: whether to look for the files.
        evaluator: validates after an epoch's checkpoint is written; None keeps no best.
    """

    FILES: ClassVar = {
        "last": "checkpoint.pt",
        "previous": "checkpoint-previous.pt",
        "best": "checkpoint-best.pt",
    }

    def __init__(
        self,
        folder: str | Path,
        objects: Mapping[str, Any],
        sampler: StepSampler,
        resume: bool = True,
        evaluator: Evaluator | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.objects, self.sampler, self.resume = dict(objects), sampler, resume
        self.evaluator: Any = evaluator
        self._best = self._known_best() if resume else math.inf

    def attach(self, engine: StageTrainer) -> None:
        objects = {**self.objects, "trainer": engine, "scaler": engine.grad_scaler}
        path = _readable(self.folder) if self.resume else None
        if path is not None:
            engine.add_event_handler(Events.STARTED, self._go_on, path, objects)
        self._saver = _Saver(self.folder, self.FILES["previous"])
        handler = Checkpoint(objects, self._saver, filename_pattern=self.FILES["last"])
        engine.add_event_handler(Events.EPOCH_COMPLETED, handler)
        if self.evaluator is not None and idist.get_rank() == 0:
            self.evaluator.add_event_handler(Events.COMPLETED, self._keep_best, engine)

    @classmethod
    def load(cls, folder: str | Path, which: str = "last", **objects: Any) -> int:
        """Fill some of the saved objects, outside of a training.

        Args:
            folder: folder of the training.
            which: "last", "previous" or "best".
            objects: objects by the names that they were saved under.

        Returns:
            The step.

        Raises:
            WeightsError: there is no such checkpoint, or it cannot be read.
        """
        if which not in cls.FILES:
            raise WeightsError(f"no checkpoint is called {shown(which)}: {', '.join(cls.FILES)}")
        path = Path(folder) / cls.FILES[which]
        if not path.exists():
            raise WeightsError(f"no checkpoint {path}: train first, or name its output_dir")
        state = _read(path)
        for name, value in objects.items():
            value.load_state_dict(state[name])
        return int(state["trainer"]["iteration"])

    def _go_on(self, engine: StageTrainer, path: Path, objects: Mapping[str, Any]) -> None:
        # MONAI's CheckpointLoader refuses a training that has done more than is asked for by now
        state = torch.load(path, map_location=engine.state.device, weights_only=True)
        Checkpoint.load_objects(objects, state)
        self.sampler.start = engine.state.iteration
        logger.info("resumed from %s at step %d", path, engine.state.iteration)

    def _keep_best(self, trainer: Engine) -> None:
        """The last checkpoint as the best: the evaluator has just seen its weights."""
        name = self.evaluator.state.key_metric_name
        value, last = self.evaluator.state.metrics[name], self.folder / self.FILES["last"]
        if self._saver.refused or not last.exists() or not value < self._best:  # NaN is not either
            return
        self._best = float(value)
        keep(last, self.folder / self.FILES["best"])
        record = {"step": trainer.state.iteration, "metric": name, "value": self._best}
        write_record(self._best_record, record)

    @property
    def _best_record(self) -> Path:
        return (self.folder / self.FILES["best"]).with_suffix(".json")

    def _known_best(self) -> float:
        try:
            return float(json.loads(self._best_record.read_text())["value"])
        except (OSError, ValueError, KeyError, TypeError):
            return math.inf


def tensors(state: Any, name: str = "") -> Iterable[tuple[str, Tensor]]:
    """The tensors in nested mappings and sequences, by their dotted names."""
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, Mapping):
        for key, value in state.items():
            yield from tensors(value, f"{name}.{key}" if name else str(key))
    elif isinstance(state, (list, tuple)):
        for index, value in enumerate(state):
            yield from tensors(value, f"{name}.{index}")


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value).all())


def _read(path: Path) -> dict[str, Any]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # damaged bytes can end in any of Python's errors
        raise WeightsError(f"{path} cannot be read: {type(error).__name__}: {error}") from error


def _readable(folder: Path) -> Path | None:
    """The last checkpoint, or the one before it when the last is damaged; None without any.

    Raises:
        WeightsError: there are some, and all are damaged.
    """
    failed: WeightsError | None = None
    for which in ("last", "previous"):
        path = folder / Checkpoints.FILES[which]
        if not path.exists():
            continue
        try:
            _read(path)
        except WeightsError as error:
            logger.warning("%s", error)
            failed = error
        else:
            return path
    if failed is not None:
        raise WeightsError(
            f"{failed}; there is nothing else to go on from, so start anew", option="resume False"
        )
    return None
