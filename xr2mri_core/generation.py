"""The one way to generate: a radiograph and a feature form in, an MRI volume out (Algorithm 2).

    generator = KneeMRIGenerator.from_bundle("monai_app/model/knee_xr2mri", device="cpu")
    generated = generator.generate("knee.dcm", {"V00XRKL": 2}, num_slices=50, seed=0)
    generated.volume      # (256, 50, 256) float32 in [0, 1], RAS
    generated.record      # what went in, what came of it, and the words that it is synthetic

What differs from the paper's Algorithm 2 is only the order of the work: the radiograph and the
features are encoded once, all depths go through the UNet in batches, and the noise of neighbouring
depths is correlated (:class:`~xr2mri_core.diffusion.noise.DepthNoise`).
"""

from __future__ import annotations

import hashlib
import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xr2mri_core import __version__
from xr2mri_core.demographics import (
    Demographics,
    demographics_of,
    demographics_schema,
    parse_demographics,
)
from xr2mri_core.diffusion import DepthNoise, build_scheduler, guided, sample
from xr2mri_core.errors import Cancelled, InputError, WeightsError, shown
from xr2mri_core.export import NOTICE
from xr2mri_core.features import VARIABLES, parse_features
from xr2mri_core.geometry import (
    FIELD_OF_VIEW_MM,
    Laterality,
    depths_of,
    own_side,
    slices_to_volume,
    volume_affine,
)
from xr2mri_core.networks.model import guided_by_demographics
from xr2mri_core.reading import PreparedRadiograph, prepare_radiograph
from xr2mri_core.transforms.compose import unit_range

log = logging.getLogger("xr2mri")

SHIPPED_BUNDLE = Path(__file__).resolve().parents[1] / "monai_app" / "model" / "knee_xr2mri"
MOST_SLICES, MOST_STEPS, MOST_SAMPLES = 2000, 1000, 256

Progress = Callable[[int, int, str], None]
Arrived = Callable[[int, np.ndarray], None]


@dataclass(frozen=True)
class GeneratedVolume:
    """What :meth:`KneeMRIGenerator.generate` returns.

    Attributes:
        volume: (W, n, H) float32 in [0, 1], RAS: one realistic sample, the first.
        affine: (4, 4) float64, voxel to RAS mm.
        mean: mean of all samples, the best guess by PSNR; None for a single sample.
        std: their standard deviation, where the model is unsure; None for a single sample.
        radiograph: (H, W) float32 in [0, 1], cropped, as seen by the network but on its own side.
        record: what was asked for and with what it was made; plain values for JSON.
        source: :attr:`.PreparedRadiograph.header`: of which patient and study it is.
    """

    volume: np.ndarray
    affine: np.ndarray
    mean: np.ndarray | None
    std: np.ndarray | None
    radiograph: np.ndarray
    record: dict[str, Any]
    source: Any = None


class KneeMRIGenerator:
    """Generates knee MRI volumes from radiographs with one trained model.

    Randomness comes from the seed alone: the same request gives the same bytes on the same device
    and batch size. Every pass through the networks has the full batch size, the last one of a
    volume filled up with repeats, because convolution kernels are chosen by the shape of the batch:
    so a slice does not depend on how many others are asked for. Other batch sizes differ by
    rounding only.

    Args:
        model: an :class:`~xr2mri_core.networks.XR2MRIModel` with its weights.
        settings: the bundle's section ``generation``: ``steps``, ``sampler``, ``guidance``,
            ``noise_length``, ``batch_size``, ``grading``, ``image_size``.
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
        """Load the model of a bundle.

        Args:
            path: the bundle's folder; None is the one that the project ships.
            device: ``cpu``, ``cuda``, ...; None takes a GPU where there is one.
            precision: see the class.
            size: the bundle's size overlay, ``compact`` or ``paper``.
            weights: a safetensors file of that size; None is the bundle's own.

        Raises:
            WeightsError: no bundle, no weights, or weights of another model.
        """
        bundle = Path(path or SHIPPED_BUNDLE)
        parser = _bundle_parser(bundle, size)
        weights = weights_path(bundle) if weights is None else Path(weights)
        model = parser.get_parsed_content("model")
        model.load_weights(weights)
        return cls(
            model,
            parser.get_parsed_content("scheduler"),
            parser.get_parsed_content("generation"),
            _best_device() if device is None else device,
            precision,
            {
                "bundle": bundle.resolve().name,
                "size": size,
                "weights": weights.name,
                "sha256": _digest(weights),
            },
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
        num_slices: int = 50,
        depths: Sequence[float] | np.ndarray | None = None,
        steps: int | None = None,
        sampler: str | None = None,
        seed: int = 0,
        samples: int = 1,
        guidance: float | None = None,
        laterality: str = "auto",
        box: Sequence[int] | None = None,
        batch_size: int | None = None,
        progress: Progress | None = None,
        arrived: Arrived | None = None,
        cancelled: Callable[[], bool] | None = None,
        demographics: Mapping[str, Any] | None = None,
    ) -> GeneratedVolume:
        """Generate one volume.

        Args:
            radiograph: a file (DICOM, PNG, JPEG, NIfTI, NRRD), its pixels (rows, columns), or what
                :meth:`read` made of them (``laterality`` and ``box`` were given there).
            features: grades of Table I, in any spelling of
                :func:`~xr2mri_core.features.parse_features`; what is left out counts as not read.
            num_slices: slices spread evenly over the window, 1.5 mm apart when 50.
            depths: instead of ``num_slices``, positions in [0, 1], ascending, evenly spaced.
            steps: denoising steps (default: the bundle's).
            sampler: ``ddim`` or a few-step solver (default: the bundle's).
            seed: 0 or more.
            samples: how many volumes to draw; with 2 or more their mean and standard deviation
                are returned beside the first.
            guidance: strength of the features, 1 as trained, above 1 exaggerated (twice the work).
            laterality: ``R``, ``L``, or ``auto`` from the file (right where it says nothing).
            box: the knee in the radiograph, (top, left, bottom, right) in pixels; found by itself
                where it is not given.
            batch_size: slices at a time: bounds the memory.
            progress: ``progress(done, total, stage)`` with slices done, from this thread.
            arrived: ``arrived(index, volume)`` with the slices of the first sample as they come:
                the index along axis 1 of the first, and (W, k, H) float32 as in the result.
            cancelled: asked before every denoising step; True ends the work.
            demographics: ``age``, ``sex``, ``bmi`` as of
                :func:`~xr2mri_core.demographics.parse_demographics`, for a model that
                :attr:`uses_demographics`.

        Raises:
            InputError: what was handed in cannot be used (RadiographError, FeatureError, ...).
            Cancelled: ``cancelled`` said so.
        """
        started = time.perf_counter()
        request = self._checked(
            num_slices, depths, steps, sampler, seed, samples, guidance, batch_size
        )
        grades = parse_features(features)
        people = self.accepted_demographics(demographics)
        report = progress or (lambda done, total, stage: None)
        total = len(request.depths) * request.samples
        report(0, total, "radiograph")
        if not isinstance(radiograph, PreparedRadiograph):
            radiograph = self.read(radiograph, laterality, box)
        side = radiograph.side
        encoded = self._encode(radiograph.picture, grades, people)
        prepared = time.perf_counter()

        def drawn(index: int) -> np.ndarray:
            slices = np.empty((len(request.depths), self.image_size, self.image_size), np.float32)
            for part, images in self._chunks(request, encoded, index, cancelled):
                slices[part] = images
                if arrived is not None and index == 0:
                    arrived(part.start, _volume(images, side))
                report(index * len(slices) + part.stop, total, "slices")
            return slices

        first = drawn(0)
        mean, square = first, np.zeros_like(first)
        for index in range(1, request.samples):  # Welford: the samples need not be kept
            slices = drawn(index)
            change = slices - mean
            mean = mean + change / (index + 1)
            square += change * (slices - mean)

        several = request.samples > 1
        finished = time.perf_counter()
        return GeneratedVolume(
            volume=_volume(first, side),
            affine=self.affine(request.depths),
            mean=_volume(mean, side) if several else None,
            std=_volume(np.sqrt(square / (request.samples - 1)), side) if several else None,
            radiograph=radiograph.shown,
            record=self._record(
                radiograph, grades, people, request,
                {"prepare": prepared - started, "generate": finished - prepared},
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

    # --- the steps of generate, in their order ---------------------------------------------------

    def _checked(
        self,
        num_slices: int,
        depths: Sequence[float] | np.ndarray | None,
        steps: int | None,
        sampler: str | None,
        seed: int,
        samples: int,
        guidance: float | None,
        batch_size: int | None,
    ) -> _Request:
        """The request with the bundle's settings filled in.

        Raises:
            InputError: something is out of range.
        """
        chosen = self.settings
        num_slices = _whole("num_slices", num_slices, 1, MOST_SLICES)
        positions = depths_of(num_slices) if depths is None else np.asarray(depths, np.float64)
        volume_affine(positions)  # refuses what is not evenly spaced
        if positions.min() < 0 or positions.max() > 1 or len(positions) > MOST_SLICES:
            raise InputError(
                f"depths {shown(positions.tolist())}: accepted are at most {MOST_SLICES} "
                "positions in [0, 1]"
            )
        strength = float(chosen["guidance"] if guidance is None else guidance)
        if not 0 <= strength <= 50:
            raise InputError(f"guidance {shown(guidance)}: accepted is a number from 0 to 50")
        return _Request(
            depths=positions,
            steps=_whole("steps", chosen["steps"] if steps is None else steps, 1, MOST_STEPS),
            sampler=str(chosen["sampler"] if sampler is None else sampler),
            seed=_whole("seed", seed, 0, 2**63 - 1),
            samples=_whole("samples", samples, 1, MOST_SAMPLES),
            guidance=strength,
            batch_size=_whole(
                "batch_size", chosen["batch_size"] if batch_size is None else batch_size, 1, 1024
            ),
        )

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

    def _encode(self, picture: Tensor, grades: Mapping[str, int], people: Demographics) -> _Encoded:
        """E_2(y) and r, once for the whole volume."""
        vector = torch.from_numpy(self.model.guidance.encode(grades, people))[None]
        with self._autocast():
            code = self.model.encode_radiograph(picture.to(self.device))
        return _Encoded(code, vector.to(self.device))

    def _chunks(
        self,
        request: _Request,
        encoded: _Encoded,
        index: int,
        cancelled: Callable[[], bool] | None,
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Algorithm 2 for all depths of sample ``index``: (where, slices (k, H, W) in [0, 1])."""
        noise = DepthNoise(
            self._latent_shape(encoded),
            length=float(self.settings["noise_length"]),
            seed=sample_seed(request.seed, index),
        )
        size, count = request.batch_size, len(request.depths)
        for start in range(0, count, size):
            part = slice(start, min(start + size, count))
            kept = part.stop - start
            depths = np.resize(request.depths[part], size)  # fill up: every pass has one shape
            images = self._denoised(request, encoded, depths, noise(depths), cancelled)
            yield part, images[:kept]

    def _denoised(
        self,
        request: _Request,
        encoded: _Encoded,
        depths: np.ndarray,
        noise: Tensor,
        cancelled: Callable[[], bool] | None,
    ) -> np.ndarray:
        """z_T -> z_0 -> x_d for one batch of depths: (B, H, W) in [0, 1]."""
        predict = guided(
            self._denoise,
            encoded.code,
            torch.as_tensor(depths, dtype=torch.float32, device=self.device),
            encoded.features.expand(len(depths), -1),
            request.guidance,
        )
        scheduler = build_scheduler(self.scheduler, request.sampler)
        z_0 = sample(predict, noise.to(self.device), scheduler, request.steps, cancelled=cancelled)
        if cancelled is not None and cancelled():
            raise Cancelled
        with self._autocast():
            images = self.model.to_image(z_0)
        return unit_range(images[:, 0].float().cpu().numpy())

    def _denoise(self, *arguments: Any) -> Tensor:
        with self._autocast():
            return self.model.denoise(*arguments).float()

    def _latent_shape(self, encoded: _Encoded) -> tuple[int, int, int]:
        height, width = encoded.code.latent.shape[-2:]
        return int(self.model.unet.config.out_channels), int(height), int(width)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _record(
        self,
        radiograph: PreparedRadiograph,
        grades: Mapping[str, int],
        people: Demographics,
        request: _Request,
        seconds: Mapping[str, float],
    ) -> dict[str, Any]:
        info, affine = radiograph.info, self.affine(request.depths)
        return {
            "notice": NOTICE,
            "radiograph": radiograph.name,
            "laterality": str(info["laterality"]),
            "box": None if info.get("box") is None else [int(edge) for edge in info["box"]],
            "localization": info.get("localization"),
            "radiograph_spacing_mm": info.get("spacing_mm"),
            "features": dict(grades),
            "features_missing": [v.name for v in VARIABLES if v.name not in grades],
            "grading": self.model.grading,
            "demographics": people if self.uses_demographics else None,
            "slices": len(request.depths),
            "depths": [float(request.depths[0]), float(request.depths[-1])],
            "spacing_mm": np.linalg.norm(affine[:3, :3], axis=0).tolist(),
            "seed": request.seed,
            "samples": request.samples,
            "sampler": request.sampler,
            "steps": request.steps,
            "guidance": request.guidance,
            "noise_length": float(self.settings["noise_length"]),
            "batch_size": request.batch_size,
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            "warnings": [str(warning) for warning in info.get("warnings", [])],
            "model": self.describe(),
            "versions": versions(),
        }


@dataclass(frozen=True)
class _Request:
    depths: np.ndarray
    steps: int
    sampler: str
    seed: int
    samples: int
    guidance: float
    batch_size: int


@dataclass(frozen=True)
class _Encoded:
    code: Any
    features: Tensor


def sample_seed(seed: int, index: int) -> int:
    """The noise seed of sample ``index``: the request's own for the first, unrelated others."""
    if index == 0:
        return seed
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint32)[0])


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"{name} {shown(value)}: accepted is an integer")
    if not least <= value <= most:
        raise InputError(f"{name} {value}: accepted are {least} to {most}")
    return int(value)


def _volume(slices: np.ndarray, side: Laterality | None) -> np.ndarray:
    """Slices (n, H, W) in the right-knee frame -> RAS volume (W, n, H) on the patient's side."""
    return slices_to_volume(own_side(slices, side))


# --- bundle, devices, versions -------------------------------------------------------------------


def _bundle_parser(bundle: Path, size: str) -> Any:
    """The bundle's inference configuration with the size overlay of its model."""
    from monai.bundle import ConfigParser

    configs = [bundle / "configs" / name for name in ("inference.yaml", f"{size}.yaml")]
    missing = [path for path in configs if not path.is_file()]
    if missing:
        raise WeightsError(
            f"no bundle of size {shown(size)} at '{bundle}': configs/{missing[0].name} is missing; "
            "give the folder of a bundle such as monai_app/model/knee_xr2mri with --bundle"
        )
    parser = ConfigParser()
    parser.read_config([str(path) for path in configs])
    parser["bundle_root"] = str(bundle)
    return parser


def weights_path(bundle: Path) -> Path:
    """The weights of a bundle.

    Raises:
        WeightsError: there are none.
    """
    path = bundle / "models" / "knee_xr2mri.safetensors"
    if not path.is_file():
        raise WeightsError(
            f"no weights at '{path}'; train them with the bundle's commands (docs/README.md there) "
            "or give another bundle with --bundle"
        )
    return path


def describe_bundle(path: Path | str | None = None) -> dict[str, Any]:
    """What a bundle holds, without loading its networks."""
    import json

    bundle = Path(path or SHIPPED_BUNDLE)
    weights = weights_path(bundle)
    card = weights.with_name("model_card.json")
    return {
        "path": str(bundle),
        "weights": weights.name,
        "megabytes": round(weights.stat().st_size / 1e6, 1),
        "sha256": _digest(weights),
        "demographics": demographics_schema() if guided_by_demographics(weights) else None,
        "card": json.loads(card.read_text(encoding="utf-8")) if card.is_file() else None,
    }


def versions() -> dict[str, str]:
    """Versions of everything that has a say in the result."""
    import diffusers
    import monai

    return {
        "xr2mri": __version__,
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "monai": monai.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
