"""Fine-tuning the served model on the pairs of the studies folder, as a process of its own.

A run is the bundle's own command (`configs/train_diffusion.yaml`) with one more overlay that says
where everything lies. New weights are taken only after they were loaded and have generated; the old
ones stay beside them, named by their digest.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from monai_app.lib.device_queue import Job, QueueFull, State, Work
from monai_app.lib.json_text import plain
from monai_app.lib.parameters import GenerationParameters, check_model, sentence_of
from monai_app.lib.service import GenerationService
from xr2mri_client import programs
from xr2mri_core.bundle import describe_bundle
from xr2mri_core.datalist import load_datalist
from xr2mri_core.errors import (
    Cancelled,
    DatalistError,
    InputError,
    OutputError,
    RadiographError,
    XR2MRIError,
    shown,
)
from xr2mri_core.files import check_writable, keep, whole_file
from xr2mri_core.networks.model import is_volumetric
from xr2mri_core.progress import Callbacks
from xr2mri_core.reading import PreparedRadiograph
from xr2mri_core.request import GenerationRequest

log = logging.getLogger("xr2mri")

DATALIST = "datalist.json"
SETTINGS, CACHE, LOCK = "run.yaml", "cache", "lock"
"""Names in the folder of a run: the overlay that the server wrote, the cached pixels of patients,
and a file that is locked while it runs."""
_STOP_SECONDS = 30.0
_TRIAL_SLICES = 4


class Busy(XR2MRIError):
    """A training runs already."""


class TrainingParameters(BaseModel):
    """What may be chosen of a training; the rest is the bundle's configuration."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    steps: Annotated[int, Field(ge=1, le=10_000_000, description="Optimizer steps at most.")] = 5000
    max_minutes: Annotated[
        float | None, Field(gt=0, le=100_000, description="End after this time as well.")
    ] = None
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 1e-4
    cases_per_batch: Annotated[int, Field(ge=1, le=1024)] = 8
    slices_per_case: Annotated[int, Field(ge=1, le=1024)] = 8
    epoch_length: Annotated[
        int, Field(ge=1, le=1_000_000, description="Steps between validations and checkpoints.")
    ] = 500
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    @classmethod
    def from_json(cls, given: Mapping[str, Any] | None, model: str) -> TrainingParameters:
        """Check what a client sent for the training of a model; raises InputError."""
        own = {k: v for k, v in (given or {}).items() if k not in ("client_id", "model")}
        check_model((given or {}).get("model"), model)
        try:
            return cls.model_validate(own)
        except ValidationError as error:
            raise InputError(sentence_of(error, cls)) from None


class TrainingRun:
    """One process that trains, and the thread that waits for its end.

    Args:
        service: service, whose model is trained.
        model: its name.
        datalist: the pairs.
        folder: a new folder for everything that the run writes.
        parameters: what was chosen of the training.
        trial: the case that new weights are tried on, and its radiograph.

    Attributes:
        state: running, stopped, failed, checking, or done.
        folder: everything that the run writes; the cached slices go when it ends.
    """

    def __init__(
        self,
        service: GenerationService,
        model: str,
        datalist: Path,
        folder: Path,
        parameters: TrainingParameters,
        trial: tuple[Mapping[str, Any], PreparedRadiograph],
    ) -> None:
        self.service, self.model, self.datalist = service, model, datalist
        self.folder, self.parameters, self._tried_on = folder, parameters, trial
        self.state, self.error, self.started = "running", "", time.time()
        self._stopped = threading.Event()
        self._trial: Job | None = None
        folder.mkdir(parents=True, mode=0o700)
        self._lock = hold(folder)
        inherited = [self._lock.fileno()] if self._lock and not programs.WINDOWS else []
        with (folder / "training.log").open("w") as output:
            self._process = programs.start(
                self._command(),
                os.environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=inherited,  # it holds the lock, too
            )
        self._thread = threading.Thread(target=self._wait, name="xr2mri-training", daemon=True)
        self._thread.start()

    @property
    def active(self) -> bool:
        return self.state in ("running", "checking")

    def stop(self) -> None:
        """End the process, or the trial of its weights; the last checkpoint stays."""
        self._stopped.set()
        programs.stop(self._process, _STOP_SECONDS, signal.SIGINT, signal.SIGTERM)
        if self._trial is not None:
            self.service.queue.cancel(self._trial)
        self._thread.join(_STOP_SECONDS)

    def describe(self) -> dict[str, Any]:
        """How the training stands."""
        try:
            progress = plain(json.loads((self.folder / "progress.json").read_text()))
        except (OSError, ValueError):  # not there yet, or the disk was full when it was written
            progress = {}
        return {
            "model": self.model,
            "state": self.state,
            "error": self.error or None,
            "started": int(self.started),
            "epoch": progress.get("step", 0) // self.parameters.epoch_length,
            "parameters": self.parameters.model_dump(),
            **progress,
        }

    def _command(self) -> list[str]:
        bundle = self.service.folder(self.model)
        weights = bundle / "models" / "knee_xr2mri.safetensors"
        overlay = self.folder / SETTINGS
        settings = {
            **self.parameters.model_dump(),
            "datalist": str(self.datalist),
            "output_dir": str(self.folder),
            "cache_dir": str(self.folder / CACHE),
            "autoencoder_dir": None,
            "initial_weights": str(weights),
            "device": f"$torch.device({self.service.queue.devices[0]!r})",
            "parent": os.getpid(),
        }
        overlay.write_text(yaml.safe_dump(settings))
        stages = ["training", "train_diffusion", self.service.size]
        if is_volumetric(weights):
            stages.append("volume")
        configs = [*(bundle / "configs" / f"{stage}.yaml" for stage in stages), overlay]
        files = json.dumps([str(path) for path in configs])
        command = [sys.executable, "-m", "monai.bundle", "run", "--bundle_root", str(bundle)]
        return [*command, "--config_file", files]

    def _wait(self) -> None:
        status = self._process.wait()
        shutil.rmtree(self.folder / CACHE, ignore_errors=True)  # before anybody hears of the end
        try:
            if self._stopped.is_set():
                self.state = "stopped"
            elif status:
                self._fail(f"the training ended with status {status}; its log tells why")
            else:
                self.state = "checking"
                self._take_over()
                self.state = "done"
        except Cancelled:
            self.state = "stopped"
        except Exception as error:
            log.exception("the new weights of %s are not used", self.model)
            self._fail(f"the new weights are not used: {type(error).__name__}")
        finally:
            if self._lock is not None:
                self._lock.close()

    def _fail(self, message: str) -> None:
        self.state, self.error = "failed", message

    def _take_over(self) -> None:
        """Serve the new weights, if they load and generate; keep the old ones.

        Raises:
            Cancelled: `stop` came before they were installed.
        """
        item, radiograph = self._tried_on
        trial = self.service.load(self.model, self.folder / "knee_xr2mri.safetensors")
        request = GenerationRequest(num_slices=_TRIAL_SLICES).filled(trial.settings)
        self._trial = job = self._lined_up(
            lambda job: trial.generate(
                radiograph,
                trial.condition_of(item),
                request,
                Callbacks(cancelled=job.is_cancelled),
            ),
            trial.plan(request).passes,
        )
        if self._stopped.is_set():  # `stop` may have looked before the trial was there
            self.service.queue.cancel(job)
        job.wait()
        if self._stopped.is_set():
            raise Cancelled
        if job.state is not State.DONE:
            raise job.error or Cancelled
        if not job.result.volume.std() > 0:
            raise ValueError("the new weights generate an empty volume")
        install(self.folder, self.service.folder(self.model))
        assert trial.recipe is not None
        trial.recipe = replace(trial.recipe, weights=None)  # the bundle's own by now
        self.service.replace(self.model, trial)

    def _lined_up(self, work: Work, cost: float) -> Job:
        """A job at the end of the device's line, as soon as there is room for it."""
        while not self._stopped.is_set():
            try:
                return self.service.queue.submit(work, _TRIAL_SLICES, cost=cost)
            except QueueFull as full:
                self._stopped.wait(min(full.retry_after, 5))
        raise Cancelled


def install(source: Path, bundle: Path) -> None:
    """Put the weights and the model card of a training in place of a bundle's own.

    The old ones stay beside them as `<name>.<first 8 digits of the weights' SHA-256>.<suffix>`.
    """
    models = check_writable(bundle / "models")
    digest = describe_bundle(bundle)["sha256"][:8]
    for name in ("knee_xr2mri.safetensors", "model_card.json"):
        current = models / name
        kept = current.with_name(f"{current.stem}.{digest}{current.suffix}")
        if current.exists() and not kept.exists():
            keep(current, kept)  # there always is a whole file of the served name
        with whole_file(current) as part:
            shutil.copyfile(source / name, part)


def hold(folder: Path) -> BinaryIO | None:
    """Lock the folder of a run, for as long as the file is open here or in a process that got it.

    Returns:
        The file; None where another holds it.

    Raises:
        OSError: it cannot be written.
    """
    file = (folder / LOCK).open("ab")
    try:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


class TrainingRuns:
    """At most one training at a time.

    Args:
        service: service, whose models are trained.
        studies: folder with `datalist.json` (pairs of radiograph and MRI, with features). A PACS
            has none, and cannot be trained on.
        folder: where runs are kept, private to the server's user.
    """

    def __init__(self, service: GenerationService, studies: str | Path, folder: Path) -> None:
        self.service, self.studies, self.folder = service, Path(studies), folder
        self._run: TrainingRun | None = None
        self._lock = threading.Lock()
        for settings in self.folder.glob(f"*/{SETTINGS}"):
            with suppress(OSError):
                lock = hold(settings.parent)
                if lock is not None:  # of a server that was killed, not of another that runs
                    with lock:
                        shutil.rmtree(settings.with_name(CACHE), ignore_errors=True)

    def start(self, model: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Start training.

        Raises:
            UnknownModel, WeightsError: there is nothing to train.
            InputError: wrong parameters, no usable datalist among the studies, or a radiograph that
                the server does not take.
            Crowded: too many files wait to be read.
            Busy: a training runs already.
            OutputError: what it makes could not be written.
        """
        parameters = TrainingParameters.from_json(given, model)
        self.service.generator(model)
        datalist = self.studies / DATALIST
        if not datalist.is_file():
            raise InputError(f"the studies have no {DATALIST}: nothing to train on")
        trial = self._tried_on(model, datalist)
        with self._lock:
            if self._run is not None and self._run.active:
                raise Busy("a training runs already: wait for its end, or stop it")
            try:
                check_writable(self.service.folder(model) / "models")  # before hours are spent
            except OutputError as error:
                raise OutputError(
                    "a training cannot be started: its weights go to the folder 'models' of the "
                    "bundle, where the server may not write"
                ) from error
            try:
                folder = self.folder / time.strftime(f"{model}-%Y%m%d-%H%M%S")
                self._run = TrainingRun(self.service, model, datalist, folder, parameters, trial)
            except OSError as error:
                raise OutputError(f"a training cannot be started ({error.strerror})") from error
            return self._run.describe()

    def _tried_on(self, model: str, datalist: Path) -> tuple[Mapping[str, Any], PreparedRadiograph]:
        """The case that new weights are tried on, read before hours are spent.

        Raises InputError, whose paths are those within the studies: others leave no server.
        """
        try:
            load_datalist(datalist, "training")
            item = load_datalist(datalist, "validation")[0]
            file, anyhow = Path(item["radiograph"]), GenerationParameters(seed=0)
            return item, self.service.read(model, file, anyhow)
        except RadiographError as error:
            raise InputError(
                f"the radiograph of validation case {shown(item['case'])} cannot be used, and new "
                f"weights are tried on it: {error}"
            ) from error
        except DatalistError as error:
            message = str(error)
            for folder in {str(self.studies.resolve()), str(self.studies)}:
                message = message.replace(f"{folder}{os.sep}", "")
            raise InputError(message) from error

    def status(self) -> dict[str, Any]:
        """How the last training stands; empty when there was none."""
        return {} if self._run is None else self._run.describe()

    @property
    def active(self) -> bool:
        return self._run is not None and self._run.active

    def stop(self) -> dict[str, Any]:
        """Stop the training that runs, if one does."""
        with self._lock:
            if self._run is not None and self._run.active:
                self._run.stop()
            return self.status()
