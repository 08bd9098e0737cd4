"""The models of the app and the line before each device: everything that generates goes through it.

service = GenerationService({"knee_xr2mri": folder}, device="cpu")
radiograph = service.read("knee_xr2mri", file, parameters)
job = service.prepare("knee_xr2mri", radiograph, parameters).lined_up(service.queue)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_app.lib.bounds import Bounds
from monai_app.lib.device_queue import DeviceQueue
from monai_app.lib.device_worker import DeviceWorker
from monai_app.lib.generation_work import Deliver, Generation
from monai_app.lib.pace import Pace
from monai_app.lib.parameters import GenerationParameters
from monai_app.lib.reading_box import ReadingBox, Source
from xr2mri_core.bundle import describe_bundle, weights_path
from xr2mri_core.devices import devices_named, usable_device
from xr2mri_core.errors import (
    InputError,
    WeightsError,
    XR2MRIError,
    shown,
)
from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.geometry import Laterality
from xr2mri_core.reading import PreparedRadiograph
from xr2mri_core.request import GenerationRequest
from xr2mri_core.this_process import cores

log = logging.getLogger("xr2mri")

TIMED_SLICES = 8
"""Slices of a generation that is made to find out how long others will take."""
_MOST_TIMED = 100  # of these generations
_ARRAYS_OF_ONE, _ARRAYS_OF_SEVERAL = 4, 8  # volumes that are held at once; see `generate`


class UnknownModel(XR2MRIError):
    """No bundle of that name is served."""


class GenerationService:
    """Generators by model name, loaded when first needed, and one queue for their devices.

    Args:
        bundles: folder of each model.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...; None takes a GPU where there is one. Several,
            separated by commas, generate in a process each (`DeviceWorker`), while this one reads
            and answers.
        max_queue: generations that may wait.
        batch_size: slices at a time; None is the bundle's.
        precision: ``fp32`` or ``bf16``.
        size: overlay of the bundles, ``compact`` or ``paper``.
        max_seconds: longest time of one generation, which has the device for itself.
        max_memory_mb: most memory of the arrays of one generation, its reply included.
        box: box that reads files; by default the one that this process shares.
        shared: whether there are several users; one may hold half of the places in the line.
        stores: results that are taken elsewhere at once.

    Raises:
        InputError: a device cannot be used.
    """

    def __init__(
        self,
        bundles: Mapping[str, Path],
        device: str | None = None,
        max_queue: int = Bounds.max_queue,
        batch_size: int | None = None,
        precision: str = "fp32",
        size: str = "compact",
        max_seconds: float = Bounds.max_seconds,
        shared: bool = False,
        max_memory_mb: int = Bounds.max_memory_mb,
        box: ReadingBox | None = None,
        stores: int = Bounds.pacs_stores,
    ) -> None:
        self.bundles, self.size = dict(bundles), size
        self.box = box or ReadingBox.shared()
        self.max_seconds, self.max_memory_mb = max_seconds, max_memory_mb
        self.batch_size, self.precision = batch_size, precision
        devices = devices_named(device)
        threads = max(1, cores() // max(1, devices.count("cpu")))
        self.workers = tuple(DeviceWorker(name, threads) for name in devices if len(devices) > 1)
        self.device = "cpu" if self.workers else devices[0]
        usable_device(self.device)  # now, and not when the first request comes
        share = (max_queue + 1) // 2 if shared else None
        self.pace = Pace(devices[0].partition(":")[0])
        self.queue = DeviceQueue(devices, max_queue, self.pace.assumed, share, stores)
        self._generators: dict[str, KneeMRIGenerator] = {}
        self._cards: dict[str, dict[str, Any]] = {}  # of the generators
        self._on_disk: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {}
        self._preloaded = threading.Event()
        self._loading, self._timing = threading.Lock(), threading.Lock()

    def generator(self, model: str) -> KneeMRIGenerator:
        """The generator of a model.

        Raises:
            UnknownModel: no such model is served.
            WeightsError: its weights are missing or damaged.
        """
        with self._loading:
            if model not in self._generators:
                self._use(model, self.load(model))
            return self._generators[model]

    def preload(self) -> None:
        """Load all models in the background, so that the first request finds them there."""

        def load_all() -> None:
            for model in self.bundles:
                try:
                    self.generator(model)
                except Exception as error:  # raised to those who ask for it
                    log.error("the model %s cannot be loaded: %s", model, error)
            self._preloaded.set()

        threading.Thread(target=load_all, name="xr2mri-loading", daemon=True).start()

    def load(self, model: str, weights: Path | None = None) -> KneeMRIGenerator:
        """A new generator of a model, with its own or other weights; raises as `generator`."""
        log.info("loading the model %s", model)
        return KneeMRIGenerator.from_bundle(
            self.folder(model),
            device=self.device,
            precision=self.precision,
            size=self.size,
            weights=weights,
        )

    def folder(self, model: str) -> Path:
        """The bundle of a model; raises UnknownModel."""
        if model not in self.bundles:
            served = ", ".join(sorted(self.bundles)) or "none"
            raise UnknownModel(f"no model {shown(model)}; served are: {served}")
        return self.bundles[model]

    def replace(self, model: str, generator: KneeMRIGenerator) -> None:
        """Use another generator, of the weights that are the bundle's by now, from now on; running
        work keeps the old one."""
        with self._loading:
            self._use(model, generator)

    def _use(self, model: str, generator: KneeMRIGenerator) -> None:
        card = self._card_on_disk(model) or {}
        self._cards[model] = {**card, "sha256": generator.describe()["sha256"]}
        self._generators[model] = generator

    def card(self, model: str) -> dict[str, Any] | None:
        """What `describe_bundle` tells of the weights that generate, without paths.

        It is taken with them, for an update replaces the files under a running server; until they
        are loaded it is that of the files. None where these are missing.
        """
        card = self._cards.get(model)
        return self._card_on_disk(model) if card is None else card

    def _card_on_disk(self, model: str) -> dict[str, Any] | None:
        try:
            state = weights_path(self.folder(model)).stat()
            version = (state.st_ino, state.st_mtime_ns, state.st_size)
            known, card = self._on_disk.get(model, ((), {}))
            if known != version:  # its digest takes a while
                described = describe_bundle(self.folder(model))
                card = {key: value for key, value in described.items() if key != "path"}
                self._on_disk[model] = version, card
        except (WeightsError, OSError):
            return None
        except ValueError as error:
            log.error("the model card of %s cannot be read: %s", model, error)
            return None
        return card

    def read(
        self,
        model: str,
        source: Source,
        parameters: GenerationParameters,
        owner: str = "",
        gone: Callable[[], bool] = lambda: False,
    ) -> PreparedRadiograph:
        """Read a radiograph as this model takes it.

        All of it happens in the reading box; what comes back is the picture that the model takes.

        Args:
            model: name of the model.
            source: a file, open or by its path, or the content of one.
            parameters: parameters with the side and the box.
            owner, gone: see `ReadingBox.prepare`.

        Raises:
            RadiographError: it cannot be used.
            Crowded, ClientGone, OutputError: as the box says.
        """
        size, asked = self.generator(model).image_size, parameters.request
        return self.box.prepare(source, size, asked.laterality, asked.box, owner=owner, gone=gone)

    def prepare(
        self,
        model: str,
        radiograph: PreparedRadiograph,
        parameters: GenerationParameters,
        deliver: Deliver | None = None,
    ) -> Generation:
        """A generation to put in the line.

        Raises:
            InputError: the parameters do not fit the model, or ask for too much.
        """
        generator = self.generator(model)
        asked = parameters.request.filled({"batch_size": self.batch_size})
        request = generator.filled(asked)
        self._check_cost(request, generator)
        return Generation(
            generator,
            radiograph,
            parameters.condition,
            request,
            parameters.output_format,
            deliver,
            self.workers,
            self.pace,
            2 * self.max_seconds,
        )

    def _check_cost(self, request: GenerationRequest, generator: KneeMRIGenerator) -> None:
        """Refuse a request that would take the device or the memory for itself; raises InputError.

        Memory goes with the slices, and with samples for their mean and standard deviation.
        """
        slices, samples = request.count, request.samples
        passes = generator.plan(request).passes
        slow = self.pace.seconds(passes) > self.max_seconds
        if slow and not self.pace.measured and not self.workers:
            self._time(generator)
        needed_seconds = self.pace.seconds(passes)
        if needed_seconds > self.max_seconds:
            raise InputError(
                f"{slices} slices, {samples} samples and {request.steps} steps would take some "
                f"{needed_seconds:.0f} s on this device: one generation may take "
                f"{self.max_seconds:g}; lower num_slices (or give fewer depths), samples or steps"
            )
        arrays = _ARRAYS_OF_ONE if samples == 1 else _ARRAYS_OF_SEVERAL
        needed = arrays * slices * generator.image_size**2 * np.dtype(np.float32).itemsize
        if needed > self.max_memory_mb << 20:
            kind, hint = ("", "")
            if samples > 1:
                kind, hint = " of several samples", ", or ask for one sample"
            raise InputError(
                f"{slices} slices{kind} need some {needed >> 20} MB: one generation may have "
                f"{self.max_memory_mb}; lower num_slices (or give fewer depths){hint}"
            )

    def _time(self, generator: KneeMRIGenerator) -> None:
        """Measure this device's pace on slices of a radiograph of noise, until enough are timed."""
        with self._timing:
            size = (1, 1, generator.image_size, generator.image_size)
            noise = torch.rand(size, generator=torch.Generator().manual_seed(0)) * 2 - 1
            # of no file: files are read in the reading box, and what finds knees stays there
            radiograph = PreparedRadiograph("noise", noise, {"laterality": Laterality.RIGHT})
            slices = self.batch_size or TIMED_SLICES
            request = generator.filled(GenerationRequest(num_slices=slices))
            for _ in range(_MOST_TIMED):
                if self.pace.measured:
                    break
                made = generator.generate(radiograph, request=request)
                self.pace.timed(generator.plan(request).passes, made.record["seconds"]["generate"])

    def close(self) -> None:
        """Cancel all work."""
        self.queue.close()
        for worker in self.workers:
            worker.close()

    def not_ready(self) -> str:
        """Why new work is to go elsewhere; empty where it may come.

        ``loading``, ``ending``, or ``no model`` where none could be loaded.
        """
        if self.queue.closed:
            return "ending"
        if not self._preloaded.is_set():
            return "loading"
        return "" if self._generators else "no model"

    def devices(self) -> list[dict[str, Any]]:
        """Each device: its name, whether it generates, and how many jobs it has lost."""
        queue = self.queue
        return [
            {"name": name, "busy": job is not None, "lost": lost}
            for name, job, lost in zip(queue.devices, queue.running, queue.lost, strict=True)
        ]
