"""The one way to generate: a radiograph and a feature form in, an MRI volume out (Algorithm 2).

    generator = KneeMRIGenerator.from_bundle("monai_app/model/knee_xr2mri", device="cpu")
    generated = generator.generate("knee.dcm", {"V00XRKL": 2}, num_slices=50, seed=0)
    generated.volume      # (256, 50, 256) float32 in [0, 1], RAS
    generated.record      # what went in, what came of it, and the words that it is synthetic

What happens in between stands in `algorithm`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xr2mri_core.algorithm import Algorithm2, Knee, Part
from xr2mri_core.bundle import load_bundle
from xr2mri_core.condition import Condition
from xr2mri_core.devices import best_device, device_of_worker, usable_device
from xr2mri_core.diffusion import Scheduler
from xr2mri_core.errors import InputError
from xr2mri_core.fitting import Computed, within_memory
from xr2mri_core.geometry import (
    FIELD_OF_VIEW_MM,
    Laterality,
    own_side,
    slices_to_volume,
    volume_affine,
)
from xr2mri_core.networks import XR2MRIModel
from xr2mri_core.plan import Plan
from xr2mri_core.progress import SILENT, Callbacks, SliceProgress
from xr2mri_core.reading import PreparedRadiograph, prepare_radiograph
from xr2mri_core.recipe import Recipe, checked_precision
from xr2mri_core.record import record_of
from xr2mri_core.request import GenerationRequest
from xr2mri_core.spread import Spread
from xr2mri_core.together import Together
from xr2mri_core.transforms.radiograph_file import RadiographFile
from xr2mri_core.volume import GeneratedVolume


class KneeMRIGenerator:
    """Generates knee MRI volumes from radiographs with one trained model.

    Randomness comes from the seed alone: the same request gives the same bytes on the same device,
    batch size and number of threads. A model without depth mixing makes each slice alone: every
    pass through the networks has the full batch size, the last one of a volume filled up with
    repeats, because convolution kernels are chosen by the shape of the batch, and so a slice does
    not depend on how many others are asked for. With depth mixing a slice knows its neighbours, and
    a volume of more slices than a batch holds is denoised in windows that overlap as far as the
    layers reach. In either case another batch size changes rounding only.

    Another process that it is sent to loads it anew, once (`loaded`).

    Args:
        model: an `XR2MRIModel` with its weights.
        settings: the bundle's section ``generation``: ``steps``, ``sampler``, ``guidance``,
            ``noise_length``, ``batch_size``, ``image_size``. ``kind`` is "sample", and "mean" for
            a model that draws nothing.
        scheduler: the diffusers scheduler of the training, which fixes betas and prediction type.
        device: where to run.
        precision: ``fp32``, or ``bf16`` for autocast (faster on GPUs and on CPUs with AMX).
        origin: where the model came from, for the record.
    """

    def __init__(
        self,
        model: XR2MRIModel,
        scheduler: Scheduler,
        settings: Mapping[str, Any],
        device: torch.device | str = "cpu",
        precision: str = "fp32",
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        self.precision = checked_precision(precision)
        self.device = usable_device(device)
        self.model = model.to(self.device).to(memory_format=torch.channels_last).eval()
        self.model.requires_grad_(False)
        if self.device.type == "cpu" and precision == "bf16":
            # There torch's group norm of small maps is 5 to 14 times slower with channels last.
            for part in (model.unet, model.regression):
                if part is not None:
                    part.to(memory_format=torch.contiguous_format)
        self.scheduler = scheduler
        self.settings = {"kind": "sample" if model.draws else "mean", **settings}
        self.algorithm = Algorithm2(self.model, scheduler, self.device, precision)
        self.origin = dict(origin or {})
        self.recipe: Recipe | None = None

    @classmethod
    def from_bundle(
        cls,
        path: Path | str | None = None,
        device: torch.device | str | None = None,
        precision: str = "fp32",
        size: str = "compact",
        weights: Path | str | None = None,
    ) -> KneeMRIGenerator:
        """Load the model of a bundle; see `load_bundle`.

        Args:
            path, size, weights: see `load_bundle`.
            device: ``cpu``, ``cuda``, ...; None takes a GPU where there is one.
            precision: see the class.

        Raises:
            WeightsError: no bundle, no weights, or weights of another model.
        """
        bundle = load_bundle(path, size, weights)
        device = best_device() if device is None else device
        generator = cls(
            bundle.model, bundle.scheduler, bundle.settings, device, precision, bundle.origin
        )
        generator.recipe = Recipe(
            None if path is None else Path(path).absolute(),
            size,
            None if weights is None else Path(weights).absolute(),
            str(device),
            precision,
            bundle.origin["sha256"],
        )
        return generator

    def bound_for(self, device: str) -> None:
        """Say on which device a process that this generator is sent to shall load it."""
        assert self.recipe is not None
        self.recipe = replace(self.recipe, device=device)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.recipe is None:
            raise TypeError("only a generator that was loaded from a bundle can be sent")
        return loaded, (self.recipe,)

    @property
    def image_size(self) -> int:
        """Rows and columns of radiograph and slices."""
        return int(self.settings["image_size"])

    @property
    def uses_demographics(self) -> bool:
        """Whether age, sex and BMI guide this model."""
        return self.model.guidance.demographics is not None

    @property
    def draws(self) -> bool:
        """Whether this model draws samples; one that does not computes the best guess alone."""
        return self.model.draws

    def condition_of(self, item: Mapping[str, Any]) -> Condition:
        """What an item of a datalist tells this model of its knee."""
        return Condition.of(item).known_to(self.uses_demographics)

    def describe(self) -> dict[str, Any]:
        """The model, for records."""
        return {**self.origin, "device": str(self.device), "precision": self.precision}

    def depends(self) -> dict[str, Any]:
        """All that volumes depend on beside what is asked: the model, its settings and schedule."""
        schedule = {  # what diffusers notes of itself there is in another order each time
            name: value for name, value in self.scheduler.config.items() if name[0] != "_"
        }
        return {**self.describe(), "settings": self.settings, "scheduler": schedule}

    @torch.inference_mode()
    def generate(
        self,
        radiograph: Path | str | NDArray[Any] | PreparedRadiograph,
        condition: Condition | Mapping[str, Any] | str | Path | None = None,
        request: GenerationRequest | None = None,
        callbacks: Callbacks = SILENT,
        **knobs: Any,
    ) -> GeneratedVolume:
        """Generate one volume.

        Args:
            radiograph: a file (DICOM, PNG, JPEG, NIfTI, NRRD), its pixels (rows, columns), or what
                `read` made of them (``laterality`` and ``box`` were given there).
            condition: grades and demographics; or, of grades alone, any form that
                `Condition.parse` reads, a pasted row of OAI's table too, where what is left out
                counts as not read.
            request: how; what it leaves open is the model's.
            callbacks: functions that hear of the progress and may cancel.
            knobs: fields of the request by name, which go before what it says.

        Raises:
            InputError: what was handed in cannot be used (RadiographError, FeatureError, ...), or
                samples are asked for of a model that draws none.
            Cancelled: ``callbacks.cancelled`` said so.
        """
        started = time.perf_counter()
        wanted = self.filled(replace(request or GenerationRequest(), **knobs))
        if not isinstance(condition, Condition):
            condition = Condition.parse(condition)
        condition.check_for(self.uses_demographics)
        report = SliceProgress(callbacks.progress, wanted.count, self.plan(wanted).volumes)
        report("radiograph")
        if not isinstance(radiograph, PreparedRadiograph):
            radiograph = self.read(radiograph, wanted.laterality, wanted.box)
        picture, side = radiograph.picture, radiograph.side
        prepared = time.perf_counter()

        def tell(part: slice, images: NDArray[np.float32]) -> None:
            if callbacks.arrived is not None:
                callbacks.arrived(part.start, _volume(images, side))

        def compute(request: GenerationRequest) -> tuple[NDArray[np.float32], Spread]:
            knee = self.algorithm.encode(picture, condition, request, callbacks.cancelled)
            return self._volumes(knee, report, tell)

        asked = wanted.batch_size
        (best, spread), wanted = within_memory(compute, wanted, self.device, report.again)
        several = wanted.samples > 1
        seconds = {"prepare": prepared - started, "generate": time.perf_counter() - prepared}
        record = self._record(radiograph, condition, wanted, seconds)
        if wanted.batch_size != asked:
            record["warnings"].append(
                f"the memory of the device sufficed for {wanted.batch_size} slices in one pass, "
                f"not for {asked}"
            )
        return GeneratedVolume(
            volume=_volume(best, side),
            affine=self.affine(wanted.positions),
            mean=_volume(spread.mean, side) if several and wanted.kind == "sample" else None,
            std=_volume(spread.std, side) if several else None,
            radiograph=radiograph.shown,
            record=record,
            source=radiograph.header,
        )

    def filled(self, request: GenerationRequest) -> GenerationRequest:
        """A request with this model's own settings where it leaves them open.

        Raises:
            InputError: it asks for samples, and the model draws none.
        """
        filled = request.filled(self.settings)
        for name, asked in (("kind", filled.kind == "sample"), ("samples", filled.samples > 1)):
            if asked and not self.draws:
                accepted = {"kind": "mean", "samples": 1}[name]
                raise InputError(
                    f"{name} {getattr(filled, name)}: this model draws nothing, it computes the "
                    f"best guess alone; accepted is {accepted}",
                    option=f"{name} {accepted}",
                )
        return filled

    def _record(
        self,
        radiograph: PreparedRadiograph,
        condition: Condition,
        request: GenerationRequest,
        seconds: Mapping[str, float],
    ) -> dict[str, Any]:
        return record_of(
            radiograph,
            condition,
            request,
            self.affine(request.positions),
            grading=self.model.grading,
            uses_demographics=self.uses_demographics,
            mean_by=self.plan(request).mean_by,
            seconds=seconds,
            model=self.describe(),
        )

    def read(
        self,
        radiograph: Path | str | NDArray[Any] | RadiographFile,
        laterality: str = "auto",
        box: Sequence[int] | None = None,
    ) -> PreparedRadiograph:
        """The first step of `generate` by itself; see `prepare_radiograph`."""
        return prepare_radiograph(radiograph, self.image_size, laterality, box)

    def side_by_side(self, works: Sequence[Callable[[], Computed]], knees: int) -> list[Computed]:
        """Do works that each `generate` one knee, so that their slices share the denoiser's passes.

        Args:
            works: at most `knees`.
            knees: how many knees' slices a pass has room for; see `Together`.
        """
        algorithm, alone = self.algorithm, self.algorithm.denoiser
        together = Together(alone, knees)
        algorithm.denoiser = together
        try:
            return together.run(works)
        finally:
            algorithm.denoiser = alone

    def affine(self, depths: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """(4, 4) voxel to RAS mm of a volume with slices at these depths."""
        return volume_affine(depths, FIELD_OF_VIEW_MM / self.image_size, self.image_size)

    def _volumes(
        self, knee: Knee, report: SliceProgress, tell: Callable[[slice, NDArray[np.float32]], None]
    ) -> tuple[NDArray[np.float32], Spread]:
        """The slices (n, H, W) of the volume that was asked for, and all samples' spread.

        ``tell`` gets the slices of that volume as they come, where it is made by itself.
        """
        request, model = knee.request, self.model

        def finished(parts: Iterator[Part], announced: bool) -> NDArray[np.float32]:
            slices = np.empty((request.count, self.image_size, self.image_size), np.float32)
            for part, images in parts:
                slices[part] = images
                if announced:
                    tell(part, images)
                report("slices", part.stop)
            report.next_volume()
            return slices

        spread, wants_sample = Spread(), request.kind == "sample"
        if wants_sample or model.regression is None:
            for index in range(self.plan(request).volumes):
                drawn = self.algorithm.drawn(knee, index, report)
                spread.add(finished(drawn, wants_sample and index == 0))
            return (spread.first if wants_sample else spread.mean), spread
        best = finished(self.algorithm.mean_slices(knee), True)
        if request.samples > 1:
            for index in range(request.samples):
                spread.add(finished(self.algorithm.drawn(knee, index, report), False))
        return best, spread

    def plan(self, request: GenerationRequest) -> Plan:
        """What a request comes to with this model.

        Args:
            request: the request; what it leaves open is the model's.
        """
        model, request = self.model, self.filled(request)
        return Plan(
            request,
            model.regression is not None,
            self.algorithm.slices_a_step(request),
            self.algorithm.slices_drawn(request),
            model.depth_mixing is not None,
        )


@lru_cache(maxsize=2)
def loaded(recipe: Recipe) -> KneeMRIGenerator:
    """The generator of a recipe, loaded once in each process.

    Raises:
        WeightsError: it has other weights here.
    """
    bundle, device = recipe.bundle(), device_of_worker(recipe.device)
    generator = KneeMRIGenerator(
        bundle.model, bundle.scheduler, bundle.settings, device, recipe.precision, bundle.origin
    )
    generator.recipe = replace(recipe, device=device)
    return generator


def _volume(slices: NDArray[np.float32], side: Laterality | None) -> NDArray[np.float32]:
    """Slices (n, H, W) in the right-knee frame -> RAS volume (W, n, H) on the patient's side."""
    return slices_to_volume(own_side(slices, side))
