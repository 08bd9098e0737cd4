"""What a teacher's sampler makes of noise, drawn once and kept: the data of distillation."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from xr2mri_core.bundle import Bundle
from xr2mri_core.diffusion import DepthNoise, build_scheduler, guided, sample
from xr2mri_core.geometry import WINDOW_SLICES
from xr2mri_core.networks import Autoencoder, XR2MRIModel
from xr2mri_core.networks.model import unique_state
from xr2mri_core.training.batches import Batch, case_weights, slab_positions, to_device
from xr2mri_core.training.cache import (
    Encode,
    SliceCache,
    _CacheOfSlices,
    _digest,
    _made_once,
    _open,
    _write_record,
    from_bytes,
    weights_digest,
)
from xr2mri_core.training.conditions import encoded, features_of
from xr2mri_core.training.regression import predicted_mean

logger = logging.getLogger("xr2mri")

PAIRS_VERSION = 2  # raised when the meaning of the kept numbers changes


class PairCache(_CacheOfSlices):
    """Slabs of neighbouring slices, each with its noise and what a teacher draws from that.

    Drawn from radiographs and forms alone: no MRI takes part. `items` has the form that each slab
    was drawn for, with variables left out as in training, so that a student too answers a form
    that is incomplete.

    `arrays` of n slabs of S slices: `cases` int64 (n,), whose radiograph of `slices`; `depths`
    float32 (n, S); `latents` float16 (n, S, c, h, w), z_0 of the teacher; `noise` of that shape,
    z_T; and of a teacher with a regression `means`, mu. A slice takes 8 KiB for each of the three,
    in either size. For a student with another autoencoder the latents are those of its own, of the
    teacher's decoded slices, and there is neither noise nor mean, which no other latents share.
    """

    @classmethod
    @torch.no_grad()
    def build(
        cls,
        slices: SliceCache,
        teacher: Bundle,
        student: XR2MRIModel,
        root: str | Path,
        count: int,
        slab: int = 16,
        steps: int = 20,
        sampler: str = "unipc",
        drop_variable: float = 0.1,
        drop_features: float = 0.1,
        oversampling: float = 0.0,
        seed: int = 0,
        device: str | torch.device = "cpu",
        at_once: int = 4,
    ) -> PairCache:
        """Find the pairs under `root`, or draw (or finish drawing) them.

        Args:
            slices: cases, for whose radiographs and forms slabs are drawn.
            teacher: model, scheduler of its training, and its noise length.
            student: model in whose latents the pairs are to be.
            root: folder of all caches.
            count: n, the number of slabs.
            slab: S, their slices; the spacing is that of `slab_positions`.
            steps, sampler: steps and sampler of the teacher.
            drop_variable, drop_features: probability of leaving out a variable (a grade, age, sex,
                BMI), and all of them.
            oversampling: see `CaseBatches`.
            seed: seed of cases, depths, forms and noise.
            device: where the teacher draws.
            at_once: slabs in one pass.
        """
        length = float(teacher.settings.get("noise_length", 0.0))
        settings = {
            "count": count, "slab": slab, "steps": steps, "sampler": sampler, "seed": seed,
            "noise_length": length, "dropped": [drop_variable, drop_features, oversampling],
        }  # fmt: skip
        shared = alike(student.autoencoder, teacher.model.autoencoder)
        weights = weights_digest(teacher.model)
        own = None if shared else weights_digest(student.autoencoder)
        fingerprint = _digest([PAIRS_VERSION, settings, weights, own, slices.fingerprint])
        target = Path(root) / f"pairs-{fingerprint}"
        with _made_once(target) as folder:
            if folder is not None:
                items = _drawn_forms(slices, settings)
                _write_record(folder, items, fingerprint)
                _fill(
                    folder, slices, teacher, None if shared else student, settings, device, at_once
                )
        return cls(target, slices)


class PairBatches(Dataset[Batch]):
    """Batches of a `PairCache`: as `CaseBatches` with slabs, and `noise` and `mean` where kept.

    Args:
        cache: the pairs.
        slabs: number of slabs of a batch, drawn without repetition.
        encode: `Guidance.encode` of the student.
        seed: seed of the whole stream.
        rank: process of a distributed run: each draws its own batches.
        means: whether the student has the teacher's regression, so that mu need not be computed.
    """

    def __init__(
        self,
        cache: PairCache,
        slabs: int,
        encode: Encode,
        seed: int = 0,
        rank: int = 0,
        means: bool = True,
    ) -> None:
        self.cache, self.seed, self.rank = cache, seed, rank
        self.slabs = min(slabs, len(cache))
        self.features = cache.features(encode)
        names = {"latent": "latents", "noise": "noise", "depth": "depths"}
        names |= {"mean": "means"} if means else {}
        self.names = {name: key for name, key in names.items() if key in cache.arrays}

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, self.rank, step])
        chosen = np.sort(rng.choice(len(self.cache), self.slabs, replace=False))
        batch = _conditions(self.cache.slices, self.cache.arrays["cases"][chosen])
        batch |= {"features": self.features[chosen], "slab": self.cache.slices_per_case}
        for name, key in self.names.items():
            batch[name] = torch.from_numpy(self.cache.arrays[key][chosen]).float().flatten(0, 1)
        return batch | {"seed": int(rng.integers(2**62))}


@torch.no_grad()
def drawn_by(
    teacher: Bundle, batch: Batch, steps: int, sampler: str
) -> tuple[Tensor, Tensor | None]:
    """The teacher's z_0 and mu (B, c, h, w) for a batch's radiographs, forms, depths and noise."""
    model = teacher.model
    code = encoded(model.encode_radiograph, batch)
    mean = None if model.regression is None else predicted_mean(model, batch).float()
    denoise = guided(
        model.denoise, code, batch["depth"], features_of(batch), mean=mean, slab=batch["slab"]
    )
    scheduler = build_scheduler(teacher.scheduler, sampler)
    return model.from_residual(sample(denoise, batch["noise"], scheduler, steps), mean), mean


def _conditions(slices: SliceCache, cases: NDArray[np.int64]) -> Batch:
    return {"radiograph": from_bytes(slices.arrays["radiographs"][cases]).unsqueeze(1)}


def _drawn_forms(slices: SliceCache, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Which case each slab is drawn for, and how much of its form is known: items of the cache."""
    rng = np.random.default_rng([settings["seed"], 0])
    drop_variable, drop_features, oversampling = settings["dropped"]
    grades = [item["features"] for item in slices.items]
    odds = case_weights(grades, oversampling) if oversampling > 0 else None
    items = []
    for case in rng.choice(len(slices), settings["count"], p=odds):
        known = slices.items[case]
        given = rng.random() >= drop_features
        kept = {}
        for part in ("features", "demographics"):
            values = known.get(part) or {}
            draws = rng.random(len(values)) >= drop_variable
            kept[part] = {
                name: value
                for (name, value), keep in zip(values.items(), draws, strict=True)
                if keep and given
            }
        items.append({**known, **kept, "index": int(case)})
    return items


def _fill(
    folder: Path,
    slices: SliceCache,
    teacher: Bundle,
    student: XR2MRIModel | None,
    settings: dict[str, Any],
    device: str | torch.device,
    at_once: int,
) -> None:
    """Draw every slab that is not marked as done, in the latents of `student` where it is given."""
    device = torch.device(device)
    count, slab, seed = settings["count"], settings["slab"], settings["seed"]
    items = _drawn_forms(slices, settings)
    _open(folder, "cases", (count,), np.int64)[:] = [item["index"] for item in items]
    encode = teacher.model.guidance.encode
    forms = np.stack([encode(item["features"], item.get("demographics")) for item in items])
    depths = _open(folder, "depths", (count, slab), np.float32)
    done = _open(folder, "done", (count,), bool)
    model = cast(Any, teacher.model).to(device, memory_format=torch.channels_last).eval()
    other = None if student is None else student.to(device).eval()
    missing = np.flatnonzero(~done)
    logger.info("the teacher draws %d of %d slabs of %d slices", len(missing), count, slab)
    starts = range(0, len(missing), at_once)
    for start in tqdm(starts, desc="teacher", unit="batch", disable=None):
        rows = missing[start : start + at_once]
        for row in rows:
            rng = np.random.default_rng([seed, 1, int(row)])
            depths[row] = slab_positions(WINDOW_SLICES, slab, rng) / (WINDOW_SLICES - 1)
        batch = _conditions(slices, np.array([items[row]["index"] for row in rows]))
        shape = _latent_shape(model, batch["radiograph"][:1].to(device))
        batch |= {
            "features": torch.from_numpy(forms[rows]).float(),
            "depth": torch.from_numpy(depths[rows].reshape(-1)).float(),
            "noise": _noise(shape, rows, depths, settings),
            "slab": slab,
        }
        batch = to_device(batch, device)
        z_0, mean = drawn_by(teacher, batch, settings["steps"], settings["sampler"])
        found = {"latents": z_0}
        if other is None:
            found |= {"noise": batch["noise"]} | ({} if mean is None else {"means": mean})
        else:
            found["latents"] = other.to_latent(model.to_image(z_0))
        for name, value in found.items():
            kept = _open(folder, name, (count, slab, *value.shape[1:]), np.float16)
            kept[rows] = value.cpu().numpy().reshape(len(rows), *kept.shape[1:])
        done[rows] = True


def _noise(
    shape: tuple[int, int, int],
    rows: NDArray[np.int64],
    depths: NDArray[np.float32],
    settings: dict[str, Any],
) -> Tensor:
    """z_T of some slabs (slices, c, h, w); that of each depends on its number and depths alone."""
    law = DepthNoise(shape, settings["noise_length"])
    seeds = [settings["seed"] * 1_000_003 + int(row) for row in rows]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return torch.cat(
        [law.drawn(depths[row], one) for row, one in zip(rows, generators, strict=True)]
    )


def alike(autoencoder: Autoencoder, other: Autoencoder) -> bool:
    """Whether two have the same weights, up to what 16 bits in a file change."""
    states = [unique_state(module) for module in (autoencoder, other)]
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    return shapes[0] == shapes[1] and all(
        torch.allclose(states[0][name].cpu(), value.cpu(), rtol=2e-3, atol=1e-6)
        for name, value in states[1].items()
    )


def _latent_shape(model: XR2MRIModel, radiograph: Tensor) -> tuple[int, int, int]:
    height, width = model.encode_radiograph(radiograph).latent.shape[-2:]
    return model.latent_channels, int(height), int(width)
