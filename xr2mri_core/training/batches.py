"""Batches whose content is a function of (seed, step) alone.

Nothing about the order of the data has to be saved: a training that is resumed at step k draws
what an uninterrupted one would have drawn. Each batch also carries a `seed` for the noise that
the step needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from monai.transforms import Compose
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from xr2mri_core.errors import TrainingError
from xr2mri_core.training.cache import (
    Encode,
    LatentCache,
    SliceCache,
    from_bytes,
    label_emphasis,
    label_values,
)

Batch = dict[str, Any]


class StepSampler(Sampler[int]):
    """The steps `start`, `start + 1`, ... without end; `Resume` sets `start`."""

    def __init__(self, start: int = 0) -> None:
        self.start = start

    def __iter__(self) -> Iterator[int]:
        step = self.start
        while True:
            yield step
            step += 1


def training_loader(
    batches: Dataset[Batch], workers: int = 0, pin: bool = False
) -> DataLoader[Batch]:
    """Endless loader of whole batches for a trainer with an explicit `epoch_length`."""
    return DataLoader(
        batches,
        batch_size=None,
        sampler=StepSampler(),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin,
    )


def validation_loader(batches: Dataset[Batch], count: int) -> DataLoader[Batch]:
    """The same `count` batches at every pass, shared out among the processes."""
    steps = range(idist.get_rank(), max(count, idist.get_world_size()), idist.get_world_size())
    return DataLoader(batches, batch_size=None, sampler=list(steps))


class SliceBatches(Dataset[Batch]):
    """Random slices for the autoencoder stage.

    A batch: `image` float32 (B, 1, H, W) in [-1, 1]; `weight` float32 (B, 1, H, W), when there are
    label maps and an emphasis; `seed` int.

    Args:
        cache: slices of a split.
        batch_size: B.
        seed: seed of the whole stream.
        emphasis_labels: labels of the label map, by value or by name (`label_values`): their pixels
            weigh 1 + `emphasis`.
        rank: process of a distributed run: each draws its own batches.
    """

    def __init__(
        self,
        cache: SliceCache,
        batch_size: int,
        seed: int = 0,
        emphasis_labels: Sequence[int | str] = (),
        emphasis: float = 0.0,
        rank: int = 0,
    ) -> None:
        self.cache, self.batch_size, self.seed, self.rank = cache, batch_size, seed, rank
        self.emphasis_labels, self.emphasis = label_values(emphasis_labels), emphasis

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, self.rank, step])
        cases = rng.integers(len(self.cache), size=self.batch_size)
        slices = rng.integers(self.cache.slices_per_case, size=self.batch_size)
        arrays = self.cache.arrays
        batch: Batch = {"image": from_bytes(arrays["slices"][cases, slices]).unsqueeze(1)}
        if self.emphasis > 0 and self.emphasis_labels and "labels" in arrays:
            labels = torch.from_numpy(arrays["labels"][cases, slices]).unsqueeze(1)
            batch["weight"] = label_emphasis(labels, self.emphasis_labels, self.emphasis)
        return batch | {"seed": int(rng.integers(2**62))}


class CaseBatches(Dataset[Batch]):
    """Slices grouped by case for the diffusion stage, so that a radiograph is encoded once.

    A batch of C cases x S slices: `radiograph` (C, 1, H, W) in [-1, 1], `features` (C, positions);
    then case by case `latent` (C*S, c, h, w), `depth` (C*S,), `weight` (C*S, 1, h, w) when the
    cache has weights, `image` (C*S, 1, H, W) when asked for; `seed` int. With `slabs` the slices of
    a case are neighbours, and `slab` is S.

    Args:
        cache: latents of a split.
        cases: C.
        slices: S, drawn without repetition within a case.
        encode: `Guidance.encode` of the model that is trained: a case's features and demographics
            -> r.
        seed: seed of the whole stream.
        oversampling: 0 draws cases uniformly; above 0, cases with rare grades more often
            (`case_weights`).
        images: also load the pixels (for the reconstruction loss of Algorithm 1).
        augmentation: random change of a radiograph (1, H, W) that leaves the knee as it is, such
            as `radiograph_augmentation`; None: none.
        rank: process of a distributed run: each draws its own batches.
        slabs: the slices of a case are S neighbours: half of the slabs as the volume was acquired,
            the others with a spacing between a tenth and twice of that, log-uniform, where latents
            between two slices are mixed linearly. Needs all slices in the cache.

    Raises:
        TrainingError: slabs from a cache that lacks slices, or with pixels.
    """

    def __init__(
        self,
        cache: LatentCache,
        cases: int,
        slices: int,
        encode: Encode,
        seed: int = 0,
        oversampling: float = 0.0,
        images: bool = False,
        augmentation: Compose | None = None,
        rank: int = 0,
        slabs: bool = False,
    ) -> None:
        self.cache, self.seed, self.images, self.rank = cache, seed, images, rank
        self.slabs = slabs
        if slabs:
            steps = np.diff(np.asarray(cache.arrays["depths"], np.float64), axis=1)
            if not np.allclose(steps, steps[:, :1], atol=1e-4):
                raise TrainingError(
                    "slabs need every slice of a case in the cache", option="cached_slices '$None'"
                )
            if images:
                raise TrainingError(
                    "slabs have no pixels for slices in between", option="reconstruction 0"
                )
        self.augmentation = augmentation
        self.cases, self.slices = min(cases, len(cache)), min(slices, cache.slices_per_case)
        self.features = cache.features(encode)
        grades = [item["features"] for item in cache.items]
        self.probabilities = case_weights(grades, oversampling) if oversampling > 0 else None

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, self.rank, step])
        cases = rng.choice(len(self.cache), self.cases, replace=False, p=self.probabilities)
        arrays, pixels = self.cache.arrays, self.cache.slices.arrays
        batch: Batch = {
            "radiograph": from_bytes(pixels["radiographs"][cases]).unsqueeze(1),
            "features": self.features[cases],
        }
        if self.slabs:
            batch |= self._neighbours(cases, rng)
        else:
            count = self.cache.slices_per_case
            slices = np.concatenate([rng.permutation(count)[: self.slices] for _ in cases])
            rows = np.repeat(cases, self.slices), slices
            batch |= {name: _rows(arrays[key], rows) for name, key in self._read(arrays)}
            if self.images:
                batch["image"] = from_bytes(pixels["slices"][rows]).unsqueeze(1)
        if "weight" in batch:
            batch["weight"] = batch["weight"].unsqueeze(1)
        batch["seed"] = int(rng.integers(2**62))
        if self.augmentation is not None:
            self.augmentation.set_random_state(seed=int(rng.integers(2**31)))
            changed = [self.augmentation(picture) for picture in batch["radiograph"]]
            batch["radiograph"] = torch.stack(changed)
        return batch

    @staticmethod
    def _read(arrays: Mapping[str, NDArray[Any]]) -> list[tuple[str, str]]:
        """What a batch has of each slice: its name there and in the cache."""
        names = [("latent", "latents"), ("depth", "depths"), ("weight", "weights")]
        return [(name, key) for name, key in names if key in arrays]

    def _neighbours(self, cases: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Slabs of S evenly spaced slices, one from each case."""
        arrays = self.cache.arrays
        places = [slab_positions(self.cache.slices_per_case, self.slices, rng) for _ in cases]
        positions = np.concatenate(places)
        below = np.minimum(positions.astype(int), self.cache.slices_per_case - 2)
        share = torch.from_numpy(positions - below).float()
        batch: Batch = {"slab": self.slices}
        for name, key in self._read(arrays):
            rows = np.repeat(cases, self.slices)
            low, high = _rows(arrays[key], (rows, below)), _rows(arrays[key], (rows, below + 1))
            batch[name] = torch.lerp(low, high, share.view(-1, *[1] * (low.ndim - 1)))
        return batch


def _rows(
    array: NDArray[np.floating[Any]], rows: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> Tensor:
    return torch.from_numpy(array[rows]).float()


def slab_positions(count: int, slices: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Positions (slices,) of a random slab among `count` slices, in slices from 0.

    Every second slab has the slices as they are; the spacing of the others is log-uniform between
    a tenth of a slice and two (0.15 and 3 mm for slices 1.5 mm apart), as far as the slab fits.
    """
    room = (count - 1) / max(slices - 1, 1)
    if rng.random() < 0.5 and room >= 1:
        return np.arange(slices, dtype=np.float64) + rng.integers(count - slices + 1)
    spacing = min(float(np.exp(rng.uniform(np.log(0.1), np.log(2.0)))), room)
    start = rng.uniform(0, max(count - 1 - spacing * (slices - 1), 0))
    return np.minimum(start + spacing * np.arange(slices), count - 1)


def case_weights(grades: Sequence[Mapping[str, int]], power: float) -> NDArray[np.float64]:
    """Probabilities (cases,) of drawing each case, higher for rare grades.

    A case counts the mean over its variables of (1 / frequency of its grade) ** `power`; power 0
    is uniform, 0.5 a moderate oversampling.
    """
    frequency: Counter[tuple[str, int]] = Counter()
    for case in grades:
        frequency.update(case.items())
    total = len(grades)
    weights = np.array(
        [
            np.mean([(total / frequency[pair]) ** power for pair in case.items()] or [1.0])
            for case in grades
        ]
    )
    return weights / weights.sum()


def parts_of(batch: Batch, count: int) -> list[Batch]:
    """Cut a batch into `count` batches of as many cases; each has a seed of its own.

    Raises:
        TrainingError: the cases cannot be shared out evenly.
    """
    if count == 1:
        return [batch]
    tensors = {key: value for key, value in batch.items() if isinstance(value, Tensor)}
    sizes = [len(value) for value in tensors.values()]
    if count < 1 or any(size % count for size in sizes):
        raise TrainingError(
            f"accumulation {count}: accepted are numbers that divide the {min(sizes)} cases of a "
            "batch",
            option="accumulation",
        )
    chunks = {key: value.chunk(count) for key, value in tensors.items()}
    return [
        batch | {key: values[part] for key, values in chunks.items()} | {"seed": seed}
        for part, seed in enumerate(range(batch["seed"], batch["seed"] + count))
    ]


def to_device(batch: Batch, device: torch.device, non_blocking: bool = False) -> Batch:
    """Move the tensors of a batch."""
    return {
        key: value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value
        for key, value in batch.items()
    }
