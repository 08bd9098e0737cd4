"""The one way to generate: a radiograph and a feature form in, an MRI volume out (Algorithm 2).

    generator = KneeMRIGenerator.from_bundle("monai_app/model/knee_xr2mri", device="cpu")
    generated = generator.generate("knee.dcm", {"V00XRKL": 2}, num_slices=50, seed=0)
    generated.volume      # (256, 50, 256) float32 in [0, 1], RAS
    generated.record      # what went in, what came of it, and the words that it is synthetic

The paper's Algorithm 2 denoises slice after slice from independent noise. Here radiograph and
features are encoded once; a model with a regression starts from the mean of each slice; the noise
of neighbouring depths is correlated (`DepthNoise`); and where the model has depth mixing, all
slices of a volume take each denoising step together.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xr2mri_core.bundle import load_bundle, versions
from xr2mri_core.demographics import Demographics, demographics_of, parse_demographics
from xr2mri_core.diffusion import DepthNoise, build_scheduler, guided, sample
from xr2mri_core.errors import Cancelled, InputError, shown
from xr2mri_core.features import VARIABLES, parse_features
from xr2mri_core.geometry import (
    FIELD_OF_VIEW_MM,
    Laterality,
    own_side,
    slices_to_volume,
    volume_affine,
)
from xr2mri_core.reading import PreparedRadiograph, prepare_radiograph
from xr2mri_core.request import GenerationRequest
from xr2mri_core.transforms.compose import unit_range
from xr2mri_core.volume import NOTICE, GeneratedVolume

log = logging.getLogger("xr2mri")

MEAN_OF = 8
"""Samples that make the mean of a model without a regression."""

Progress = Callable[[int, int, str], None]
Arrived = Callable[[int, np.ndarray], None]


class KneeMRIGenerator:
    """Generates knee MRI volumes from radiographs with one trained model.

    Randomness comes from the seed alone: the same request gives the same bytes on the same device
    and batch size. A model without depth mixing makes each slice alone: every pass through the
    networks has the full batch size, the last one of a volume filled up with repeats, because
    convolution kernels are chosen by the shape of the batch, and so a slice does not depend on how
    many others are asked for. With depth mixing a slice knows its neighbours, and a volume of more
    slices than a batch holds is denoised in windows that overlap as far as the layers reach. In
    either case another batch size changes rounding only.

    Args:
        model: an :class:`~xr2mri_core.networks.XR2MRIModel` with its weights.
        settings: the bundle's section ``generation``: ``steps``, ``sampler``, ``guidance``,
            ``noise_length``, ``batch_size``, ``image_size``.
        scheduler: the diffusers scheduler of the training, which fixes betas and prediction type.
        device: where to run.
        precision: ``fp32``, or ``bf16`` for autocast (faster on GPUs and on CPUs with AMX).
        origin: where the model came from, for the record.
    """

    def __init__(
        self,
        model: Any,
        scheduler: Any,
        settings: Mapping[str, Any],
        device: torch.device | str = "cpu",
        precision: str = "fp32",
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        if precision not in ("fp32", "bf16"):
            raise InputError(f"precision {shown(precision)}: accepted are fp32 and bf16")
        self.device = _device(device)
        self.model = model.to(self.device, memory_format=torch.channels_last).eval()
        self.model.requires_grad_(False)
        self.scheduler, self.settings, self.precision = scheduler, dict(settings), precision
        self.origin = dict(origin or {})

    @classmethod
    def from_bundle(
        cls,
        path: Path | str | None = None,
        device: torch.device | str | None = None,
        precision: str = "fp32",
        size: str = "compact",
        weights: Path | str | None = None,
    ) -> KneeMRIGenerator:
        """Load the model of a bundle; see :func:`~xr2mri_core.bundle.load_bundle`.

        Args:
            path, size, weights: as there.
            device: ``cpu``, ``cuda``, ...; None takes a GPU where there is one.
            precision: see the class.

        Raises:
            WeightsError: no bundle, no weights, or weights of another model.
        """
        bundle = load_bundle(path, size, weights)
        device = _best_device() if device is None else device
        return cls(
            bundle.model, bundle.scheduler, bundle.settings, device, precision, bundle.origin
        )

    @property
    def image_size(self) -> int:
        """Rows and columns of radiograph and slices."""
        return int(self.settings["image_size"])

    @property
    def uses_demographics(self) -> bool:
        """Whether age, sex and BMI guide this model."""
        return self.model.guidance.demographics is not None

    def form_of(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """What an item of a datalist tells this model of its knee, as keywords of `generate`."""
        known = demographics_of(item) if self.uses_demographics else {}
        return {"features": dict(item.get("features") or {}), "demographics": known}

    def describe(self) -> dict[str, Any]:
        """The model, for records."""
        return {**self.origin, "device": str(self.device), "precision": self.precision}

    @torch.inference_mode()
    def generate(
        self,
        radiograph: Path | str | np.ndarray | PreparedRadiograph,
        features: Mapping[str, Any] | None = None,
        *,
        demographics: Mapping[str, Any] | None = None,
        laterality: str = "auto",
        box: Sequence[int] | None = None,
        progress: Progress | None = None,
        arrived: Arrived | None = None,
        cancelled: Callable[[], bool] | None = None,
        **request: Any,
    ) -> GeneratedVolume:
        """Generate one volume.

        Args:
            radiograph: a file (DICOM, PNG, JPEG, NIfTI, NRRD), its pixels (rows, columns), or what
                :meth:`read` made of them (``laterality`` and ``box`` were given there).
            features: grades of Table I, in any spelling of
                :func:`~xr2mri_core.features.parse_features`; what is left out counts as not read.
            demographics: ``age``, ``sex``, ``bmi`` as of
                :func:`~xr2mri_core.demographics.parse_demographics`, for a model that
                :attr:`uses_demographics`.
            laterality: ``R``, ``L``, or ``auto`` from the file (right where it says nothing).
            box: the knee in the radiograph, (top, left, bottom, right) in pixels; found by itself
                where it is not given.
            progress: ``progress(done, total, stage)`` from this thread, counted in slices: those
                that are done, or what a step of all of them comes to.
            arrived: ``arrived(index, volume)`` with the slices of ``volume`` as they come: the
                index along axis 1 of the first, and (W, k, H) float32 as in the result.
            cancelled: asked before every pass through the denoiser; True ends the work.
            request: the fields of :class:`~xr2mri_core.request.GenerationRequest`: ``num_slices``,
                ``kind``, ``seed``, ``samples``, ``steps``, ...

        Raises:
            InputError: what was handed in cannot be used (RadiographError, FeatureError, ...).
            Cancelled: ``cancelled`` said so.
        """
        started = time.perf_counter()
        wanted = GenerationRequest(**request).filled(self.settings)
        grades = parse_features(features)
        people = self.accepted_demographics(demographics)
        report = _Report(progress, wanted.count, self._draws(wanted))
        report("radiograph")
        if not isinstance(radiograph, PreparedRadiograph):
            radiograph = self.read(radiograph, laterality, box)
        side = radiograph.side
        knee = self._encode(radiograph.picture, grades, people, wanted, cancelled)
        prepared = time.perf_counter()

        def finished(parts: Iterator[tuple[slice, np.ndarray]], tell: bool) -> np.ndarray:
            slices = np.empty((wanted.count, self.image_size, self.image_size), np.float32)
            for part, images in parts:
                slices[part] = images
                if tell and arrived is not None:
                    arrived(part.start, _volume(images, side))
                report("slices", part.stop)
            report.next_volume()
            return slices

        by_regression = wanted.kind == "mean" and self.model.regression is not None
        best = finished(self._mean_slices(knee), tell=True) if by_regression else None
        draws = wanted.samples if by_regression else self._draws(wanted)
        spread = _Spread()
        if not by_regression or draws > 1:
            for index in range(draws):
                tell = index == 0 and wanted.kind == "sample"
                spread.add(finished(self._drawn(knee, index, report), tell))
        if best is None:
            best = spread.first if wanted.kind == "sample" else spread.mean

        several = wanted.samples > 1
        ended = time.perf_counter()
        return GeneratedVolume(
            volume=_volume(best, side),
            affine=self.affine(wanted.positions),
            mean=_volume(spread.mean, side) if several and wanted.kind == "sample" else None,
            std=_volume(spread.std, side) if several else None,
            radiograph=radiograph.shown,
            record=self._record(
                radiograph, grades, people, wanted,
                {"prepare": prepared - started, "generate": ended - prepared},
            ),
            source=radiograph.header,
        )  # fmt: skip

    def read(
        self,
        radiograph: Path | str | np.ndarray,
        laterality: str = "auto",
        box: Sequence[int] | None = None,
    ) -> PreparedRadiograph:
        """What :meth:`generate` does first, alone; see :func:`prepare_radiograph`."""
        return prepare_radiograph(radiograph, self.image_size, laterality, box)

    def affine(self, depths: Sequence[float] | np.ndarray) -> np.ndarray:
        """(4, 4) voxel to RAS mm of a volume with slices at these depths."""
        return volume_affine(depths, FIELD_OF_VIEW_MM / self.image_size, self.image_size)

    def accepted_demographics(self, demographics: Mapping[str, Any] | None) -> Demographics:
        """Demographics, checked.

        Raises:
            InputError: they are out of range, or this model was trained without any.
        """
        people = parse_demographics(demographics)
        if people and not self.uses_demographics:
            raise InputError(
                f"{', '.join(people)}: this model was trained without demographics; leave them out"
            )
        return people

    # --- Algorithm 2, in its order ---------------------------------------------------------------

    def _encode(
        self,
        picture: Tensor,
        grades: Mapping[str, int],
        people: Demographics,
        request: GenerationRequest,
        cancelled: Callable[[], bool] | None,
    ) -> _Knee:
        """E_2(y), r and, with a regression, mu of every slice: once for the whole volume."""
        vector = torch.from_numpy(self.model.guidance.encode(grades, people))[None]
        picture = picture.to(self.device)
        with self._autocast():
            code = self.model.encode_radiograph(picture)
        knee = _Knee(request, code, vector.to(self.device), None, cancelled or (lambda: False))
        if self.model.regression is None:
            return knee
        with self._autocast():
            own = self.model.regression.encode_radiograph(picture)
        strength = request.guidance

        def regress(depths: Tensor) -> Tensor:
            features = knee.features.expand(len(depths), -1)
            with self._autocast():
                mean = self.model.regression(own, depths, features).float()
                if strength == 1.0:
                    return mean
                without = self.model.regression(own, depths, torch.zeros_like(features)).float()
            return without + strength * (mean - without)

        depths = torch.as_tensor(request.positions, dtype=torch.float32, device=self.device)
        mean = knee.in_batches(lambda part: regress(depths[part]))
        return knee.with_mean(mean)

    def _mean_slices(self, knee: _Knee) -> Iterator[tuple[slice, np.ndarray]]:
        """mu, decoded: (where, slices (k, H, W) in [0, 1])."""
        yield from self._decoded(knee, slice(0, knee.request.count), knee.mean)

    def _drawn(
        self, knee: _Knee, index: int, report: _Report
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Sample ``index`` of the whole volume: (where, slices (k, H, W) in [0, 1])."""
        request = knee.request
        noise = DepthNoise(
            self._latent_shape(knee), request.noise_length, sample_seed(request.seed, index)
        )
        depths = request.positions
        together = self.model.depth_mixing is not None and len(depths) > 1
        size = len(depths) if together else request.batch_size
        for start in range(0, len(depths), size):
            part = slice(start, min(start + size, len(depths)))
            rows = np.resize(np.arange(part.start, part.stop), size)  # fill up: one shape
            step = (lambda done, of, z: report.step(done, of)) if together else None
            z_T = noise(depths[rows]).to(self.device)
            mean = None if knee.mean is None else knee.mean[rows]
            predict = self._denoiser(knee, depths[rows], mean, together)
            scheduler = build_scheduler(self.scheduler, request.sampler)
            residual = sample(predict, z_T, scheduler, request.steps, step, knee.cancelled)
            z_0 = self.model.from_residual(residual, mean)
            yield from self._decoded(knee, part, z_0, sample_seed(request.seed, index))

    def _denoiser(
        self, knee: _Knee, depths: np.ndarray, mean: Tensor | None, together: bool
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """U with all conditions bound, in windows: (z_t (n, c, h, w), t) -> prediction."""
        request, n = knee.request, len(depths)
        where = torch.as_tensor(depths, dtype=torch.float32, device=self.device)
        features = knee.features.expand(n, -1)
        reach = self.model.depth_mixing.reach if together else 0

        def predict(z_t: Tensor, t: Tensor) -> Tensor:
            out = torch.empty_like(z_t)
            for window, core in windows(n, request.batch_size, reach):
                if knee.cancelled():
                    raise Cancelled
                bound = guided(
                    self._denoise,
                    knee.code,
                    where[window],
                    features[window],
                    request.guidance,
                    mean=None if mean is None else mean[window],
                    slab=window.stop - window.start if together else 1,
                )
                inner = slice(core.start - window.start, core.stop - window.start)
                out[core] = bound(z_t[window], t)[inner]
            return out

        return predict

    def _decoded(
        self, knee: _Knee, part: slice, z_0: Tensor | None, seed: int | None = None
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """x_d = D(z_0): (where, slices (k, H, W) in [0, 1]), with grain where there is a seed."""
        assert z_0 is not None
        grain = self.model.grain if seed is not None else None
        size = min(knee.request.batch_size, _DECODED_AT_ONCE)
        for start in range(part.start, part.stop, size):
            rows = slice(start, min(start + size, part.stop))
            if knee.cancelled():
                raise Cancelled
            within = np.resize(np.arange(rows.start, rows.stop), size) - part.start
            with self._autocast():
                images = self.model.to_image(z_0[within]).float()
            if grain is not None and grain.measured:
                images = grain(images, knee.request.positions[within + part.start], seed)
            shown_ = unit_range(images[:, 0].cpu().numpy())
            yield rows, shown_[: rows.stop - rows.start]

    def _denoise(self, *arguments: Any) -> Tensor:
        with self._autocast():
            return self.model.denoise(*arguments).float()

    def _draws(self, request: GenerationRequest) -> int:
        """Volumes that are made for a request."""
        if request.kind == "sample":
            return request.samples
        if self.model.regression is None:
            return max(request.samples, MEAN_OF)
        return 1 + (request.samples if request.samples > 1 else 0)

    def _latent_shape(self, knee: _Knee) -> tuple[int, int, int]:
        height, width = knee.code.latent.shape[-2:]
        return int(self.model.unet.config.out_channels), int(height), int(width)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _record(
        self,
        radiograph: PreparedRadiograph,
        grades: Mapping[str, int],
        people: Demographics,
        request: GenerationRequest,
        seconds: Mapping[str, float],
    ) -> dict[str, Any]:
        info, depths = radiograph.info, request.positions
        return {
            "notice": NOTICE,
            "kind": request.kind,
            "mean_by": self._mean_by(request),
            "radiograph": radiograph.name,
            "laterality": str(info["laterality"]),
            "box": None if info.get("box") is None else [int(edge) for edge in info["box"]],
            "localization": info.get("localization"),
            "radiograph_spacing_mm": info.get("spacing_mm"),
            "features": dict(grades),
            "features_missing": [v.name for v in VARIABLES if v.name not in grades],
            "grading": self.model.grading,
            "demographics": people if self.uses_demographics else None,
            "slices": len(depths),
            "depths": [float(depths[0]), float(depths[-1])],
            "spacing_mm": np.linalg.norm(self.affine(depths)[:3, :3], axis=0).tolist(),
            "seed": request.seed,
            "samples": request.samples,
            "sampler": request.sampler,
            "steps": request.steps,
            "guidance": request.guidance,
            "noise_length": request.noise_length,
            "batch_size": request.batch_size,
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            "warnings": [str(warning) for warning in info.get("warnings", [])],
            "model": self.describe(),
            "versions": versions(),
        }

    def _mean_by(self, request: GenerationRequest) -> str | None:
        """How the volume is the mean: "regression", or "8 samples"; None for a sample."""
        if request.kind == "sample":
            return None
        return (
            "regression" if self.model.regression is not None else f"{self._draws(request)} samples"
        )


_DECODED_AT_ONCE = 16


@dataclass(frozen=True)
class _Knee:
    """One knee as the networks know it, and what is asked of it."""

    request: GenerationRequest
    code: Any
    features: Tensor
    mean: Tensor | None
    cancelled: Callable[[], bool]

    def with_mean(self, mean: Tensor) -> _Knee:
        return _Knee(self.request, self.code, self.features, mean, self.cancelled)

    def in_batches(self, compute: Callable[[np.ndarray], Tensor]) -> Tensor:
        """Latents of all slices (n, c, h, w), computed in batches of one shape."""
        count, parts = self.request.count, []
        size = min(self.request.batch_size, count)
        for start in range(0, count, size):
            if self.cancelled():
                raise Cancelled
            kept = min(size, count - start)
            parts.append(compute(np.resize(np.arange(start, start + kept), size))[:kept])
        return torch.cat(parts)


class _Report:
    """Tells a caller's `progress` of slices, drawn one by one or all together step by step."""

    def __init__(self, progress: Progress | None, count: int, volumes: int) -> None:
        self._tell = progress or (lambda done, total, stage: None)
        self.count, self.total = count, count * volumes
        self._before = self._last = 0

    def __call__(self, stage: str, done: int = 0) -> None:
        self._last = max(self._before + done, self._last)
        self._tell(self._last, self.total, stage)

    def step(self, done: int, of: int) -> None:
        """All slices have taken a step; a tenth of the work is left for the decoder."""
        self("slices", int(0.9 * self.count * done / of))

    def next_volume(self) -> None:
        self._before += self.count


class _Spread:
    """Mean and standard deviation of volumes that need not be kept (Welford, 1962)."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, slices: np.ndarray) -> None:
        self.count += 1
        if self.count == 1:
            self.first = self.mean = slices
            self._square = np.zeros_like(slices)
            return
        change = slices - self.mean
        self.mean = self.mean + change / self.count
        self._square += change * (slices - self.mean)

    @property
    def std(self) -> np.ndarray:
        return np.sqrt(self._square / (self.count - 1))


def windows(count: int, size: int, reach: int) -> Iterator[tuple[slice, slice]]:
    """Cut `count` slices into windows of one size that overlap by as much as a layer stack reaches.

    Args:
        count: slices of the volume.
        size: of a window, as far as `2 * reach + 1` allows less.
        reach: slices to either side that a result depends on.

    Yields:
        (window, core): what goes into a pass, and what of it is right; the cores cover everything
        once, in order.

    Example:
        >>> [(w.start, w.stop, c.start, c.stop) for w, c in windows(10, 6, 1)]
        [(0, 6, 0, 5), (4, 10, 5, 10)]
    """
    size = min(count, max(size, 2 * reach + 1))
    done = 0
    while done < count:
        start = min(max(done - reach, 0), count - size)
        stop = start + size
        until = count if stop == count else stop - reach
        yield slice(start, stop), slice(done, until)
        done = until


def sample_seed(seed: int, index: int) -> int:
    """The noise seed of sample ``index``: the request's own for the first, unrelated others."""
    if index == 0:
        return seed
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint32)[0])


def _volume(slices: np.ndarray, side: Laterality | None) -> np.ndarray:
    """Slices (n, H, W) in the right-knee frame -> RAS volume (W, n, H) on the patient's side."""
    return slices_to_volume(own_side(slices, side))


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _device(name: torch.device | str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"device '{name}' cannot be used ({reason}); try cpu") from None
    return device
