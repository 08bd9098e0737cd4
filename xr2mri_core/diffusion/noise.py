"""Gaussian noise for any set of depths from one seed, correlated along depth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_REACH = 4.0  # lengths; beyond it an anchor's weight is below 2e-7 of the largest
_INDEPENDENT, _ANCHOR = 0, 1  # two families of random streams
_SHORTEST = 1e-6  # slices; what is correlated over less is independent, and anchors are countless
_OFFSET = 2**40  # anchors left of depth 0 have negative indices, seeds must not


class DepthNoise:
    """Noise z_T as a function of depth: noise(d) ~ N(0, I) for every d, alike for near depths.

    Algorithm 2 of the paper draws new noise for each slice, and so neighbouring slices differ in
    all that the radiograph leaves open: this, not the network, is why its adjacent-slice
    correlation stays at 0.73 to 0.77 where real volumes have 0.82, however many slices are
    generated. Here

        noise(d) = sum_j w_j(d) eps_j,    sum_j w_j(d)^2 = 1,

    with standard normal eps_j on a fixed grid of anchors along depth and bell-shaped weights
    w_j(d) ~ exp(-(s - a_j)^2 / length^2), s the position in slices. Every slice is exactly
    N(0, I), and two slices at distance D have the correlation of a Gaussian process with squared
    exponential kernel, exp(-D^2 / (2 length^2)).

    Each eps_j is generated from (seed, j) alone: a depth has the same noise, bit for bit, whatever
    other depths are asked for, in whatever order or batches.

    Args:
        shape: shape of one slice's noise, e.g. (16, 16, 16).
        length: correlation length in slices of the 50-slice volume (1.5 mm each). 0 is the paper's
            independent noise (here reproducible per depth, distinguished to a millionth of the
            window), as is all below a millionth; infinity the same noise everywhere. About 1 gives
            generated volumes the correlation of real ones; more freezes the texture. Calibrate on
            validation cases.
        seed: any integer from 0.
        slices: slices of the volume in which `length` is counted.

    Example:
        >>> noise = DepthNoise((16, 16, 16), length=1.2, seed=7)
        >>> noise([0.0, 0.5, 1.0]).shape
        torch.Size([3, 16, 16, 16])
    """

    def __init__(
        self, shape: Iterable[int], length: float = 1.2, seed: int = 0, slices: int = 50
    ) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.length, self.seed, self.slices = float(length), int(seed), int(slices)
        if math.isnan(self.length) or self.length < 0:
            raise ValueError(f"noise length {length!r}: accepted is a number from 0 on, in slices")
        if self.seed < 0:
            raise ValueError(f"noise seed {seed!r}: accepted is an integer from 0 on")
        if self.length < _SHORTEST:
            self.length = 0.0
        if self.slices < 2:
            raise ValueError(f"noise slices {slices!r}: accepted is an integer from 2 on")
        self._eps = lru_cache(maxsize=64)(self._draw)  # neighbouring depths share anchors

    def __call__(self, depths: Iterable[float] | NDArray[np.float64] | Tensor) -> Tensor:
        """Noise for depths d (n,) in [0, 1]: float32 (n, *shape) on the CPU."""
        positions = np.atleast_1d(np.asarray(depths, dtype=np.float64))
        if positions.ndim != 1 or not np.isfinite(positions).all():
            raise ValueError(f"depths of shape {positions.shape}: accepted are (n,) finite numbers")
        if not len(positions):
            return torch.empty(0, *self.shape)
        return torch.stack([self.at(float(d)) for d in positions])

    def at(self, depth: float) -> Tensor:
        """Noise (*shape,) at one depth."""
        if self.length == 0:
            return self._draw(round(depth * 1e6), _INDEPENDENT)
        indices, weights = self.weights(depth)
        noise = torch.zeros(self.shape, dtype=torch.float64)
        for index, weight in zip(indices, weights, strict=True):
            noise += float(weight) * self._eps(int(index), _ANCHOR)
        return noise.float()

    def weights(self, depth: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The anchors j (m,) that reach a depth and their w_j(d) (m,), whose squares sum to 1."""
        if math.isinf(self.length):
            return np.zeros(1, np.int64), np.ones(1)
        # In units of the spacing of the anchors, half a length: finer changes nothing (1e-8).
        place = depth * (self.slices - 1) / (self.length / 2)
        indices = np.arange(math.ceil(place - 2 * _REACH), math.floor(place + 2 * _REACH) + 1)
        weights = np.exp(-(((place - indices) / 2) ** 2))
        return indices, weights / np.sqrt(np.square(weights).sum())

    def drawn(
        self, depths: Sequence[float] | NDArray[np.float64], generator: torch.Generator
    ) -> Tensor:
        """Noise of the same distribution from a generator instead of the seed: for training.

        Args:
            depths: (n,) of one slab.
            generator: random generator; the noise is made on its device.

        Returns:
            float32 (n, *shape); slices are correlated among one another as those of a call are.
        """
        count, device = len(depths), generator.device
        if self.length == 0:
            return torch.randn(count, *self.shape, generator=generator, device=device)
        reached = [self.weights(float(depth)) for depth in depths]
        first = min(int(indices[0]) for indices, _ in reached)
        last = max(int(indices[-1]) for indices, _ in reached)
        weights = torch.zeros(count, last - first + 1)
        for row, (indices, values) in zip(weights, reached, strict=True):
            row[torch.from_numpy(indices) - first] = torch.from_numpy(values).float()
        anchors = torch.randn(last - first + 1, *self.shape, generator=generator, device=device)
        return torch.tensordot(weights.to(device), anchors, 1)

    def _draw(self, index: int, family: int) -> Tensor:
        """Standard normal numbers (*shape,) from (seed, family, index) alone."""
        entropy = np.random.SeedSequence([self.seed, family, index + _OFFSET])
        key = int(entropy.generate_state(1, np.uint64)[0])
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(key))


def sample_seed(seed: int, index: int) -> int:
    """The noise seed of sample ``index``: the request's own for the first, unrelated others."""
    if index == 0:
        return seed
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint32)[0])
