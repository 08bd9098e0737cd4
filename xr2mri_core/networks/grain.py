"""The texture that an autoencoder loses, drawn anew: noise of its colour, coherent in depth."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from xr2mri_core.diffusion.noise import DepthNoise

SIGMAS = (0.0, 0.8, 1.6, 3.2)
"""Pixels: a band holds what lies between two neighbouring Gaussians."""
BINS = 16
_STREAM = 7_919  # of the grain's random numbers, within those of a seed
_SMOOTHED = 1.5  # pixels over which the grey value that a grain belongs to is taken
_STEEP = 0.04  # change of the grey value in a pixel, of a range of 2, from which on it is a border
_ENOUGH = 300  # pixels that make a measurement


class Grain(nn.Module):
    """Fine texture for decoded slices, as film grain synthesis does it for video.

    A latent of 4,096 numbers cannot hold the trabeculae, fascicles and noise of 65,536 pixels:
    D(E_1(x)) is smooth where x is grainy. Which grain a pixel has nobody can know; how strong it
    is at a grey value, how it is distributed over spatial frequencies and how long it goes on along
    depth can be measured once (`measure_grain`) and drawn again, as video coders do with the grain
    that they remove (Norkin and Birkbeck, "Film grain synthesis for AV1", DCC 2018). For each of
    three bands

        x(d) <- x(d) + std_b(x(d)) g_b(d),    g_b that band of one Gaussian field g,

    where std_b is read from a table over the smoothed grey value. A sample gets grain, a mean does
    not: the mean of all grains is none. A new module's table is zero and changes nothing.
    """

    std: Tensor
    length: Tensor

    def __init__(self) -> None:
        super().__init__()
        bands = len(SIGMAS) - 1
        self.register_buffer("std", torch.zeros(bands, BINS))  # grey values of [-1, 1] in all
        self.register_buffer("length", torch.ones(1))  # of g along depth, in slices of 1.5 mm

    @property
    def measured(self) -> bool:
        """Whether there is any grain."""
        return bool((self.std > 0).any())

    def forward(self, images: Tensor, depths: Iterable[float], seed: int) -> Tensor:
        """Slices (n, 1, H, W) in [-1, 1] with grain; the same for a depth in whatever batch.

        Args:
            images: decoded slices.
            depths: positions of these slices, in [0, 1].
            seed: seed of the sample.
        """
        plain = images[:, 0].float().cpu().numpy()
        depths = list(depths)
        grey = _smooth(plain, _SMOOTHED)
        grained = plain.copy()
        levels = np.linspace(-1, 1, BINS)
        noise = DepthNoise(plain.shape[1:], float(self.length), _seed(seed))(depths).numpy()
        for band, table in enumerate(self.std):
            field = band_of(noise, band) / _unit_deviation(band)
            grained += np.interp(grey, levels, table.cpu().numpy()) * field
        return torch.from_numpy(grained[:, None]).to(images)


def band_of(slices: NDArray[np.floating[Any]], band: int) -> NDArray[np.floating[Any]]:
    """What lies between two neighbouring Gaussians of `SIGMAS`: (n, H, W) -> (n, H, W)."""
    return _smooth(slices, SIGMAS[band]) - _smooth(slices, SIGMAS[band + 1])


def measured_grain(
    pairs: Iterable[tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How strong lost texture is by band and grey value, and how long it goes on along depth.

    Borders of tissues, which the autoencoder blurs, are no texture: where the decoded slice is
    steep nothing is measured, and grey values met at borders alone get what lies between those of
    their neighbours. Strength is the root mean square, which a power spectrum sees: trabeculae and
    small vessels are rare and strong, and the median deviation misses a third of their power.

    Args:
        pairs: neighbouring slices (n, H, W) in [-1, 1], and what the autoencoder makes of them.

    Returns:
        `Grain.std` (bands, BINS) and the length (1,) along depth, in slices as they were given;
        `Grain.length` counts slices 1.5 mm apart.
    """
    bands = len(SIGMAS) - 1
    found: list[list[list[NDArray[np.floating[Any]]]]] = [
        [[] for _ in range(BINS)] for _ in range(bands)
    ]
    together = np.zeros(2)
    for true, decoded in pairs:
        place = np.rint((np.clip(_smooth(decoded, _SMOOTHED), -1, 1) + 1) / 2 * (BINS - 1))
        lost = true - decoded
        inside = np.abs(true) < 0.999  # what is clipped has no grain to show
        inside &= _steepness(decoded) < _STEEP
        for band in range(bands):
            part = band_of(lost, band)
            both = inside[1:] & inside[:-1]
            together += (
                float((part[1:] * part[:-1])[both].mean()),
                float(np.square(part[1:])[both].mean()),
            )
            for level in range(BINS):
                found[band][level].append(part[(place == level) & inside][::7])
    std = np.zeros((bands, BINS))
    for band in range(bands):
        for level in range(BINS):
            values = np.concatenate(found[band][level])
            enough = values.size > _ENOUGH
            std[band, level] = np.sqrt(np.square(values).mean()) if enough else np.nan
        known = np.isfinite(std[band])
        if known.any():
            std[band] = np.interp(np.arange(BINS), np.flatnonzero(known), std[band, known])
    std = np.nan_to_num(std)
    correlation = np.clip(together[:1] / max(together[1], 1e-12), 1e-4, 0.99)
    return std, 1 / np.sqrt(-2 * np.log(correlation))


def _smooth(slices: NDArray[np.floating[Any]], sigma: float) -> NDArray[np.floating[Any]]:
    return ndimage.gaussian_filter(slices, (0, sigma, sigma), mode="reflect") if sigma else slices


def _steepness(slices: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Gradient in the plane (n, H, W), smoothed."""
    rows, columns = (ndimage.gaussian_filter1d(slices, _SMOOTHED, axis, order=1) for axis in (1, 2))
    return np.hypot(rows, columns)


def _unit_deviation(band: int) -> float:
    """Standard deviation of white noise of variance 1 in a band."""
    impulse = np.zeros((1, 65, 65))
    impulse[0, 32, 32] = 1
    return math.sqrt(float(np.square(band_of(impulse, band)).sum()))


def _seed(seed: int) -> int:
    entropy = np.random.SeedSequence([_STREAM, seed])
    return int(entropy.generate_state(1, np.uint64)[0]) >> 1
