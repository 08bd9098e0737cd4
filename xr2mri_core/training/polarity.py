"""Fit the template of `xr2mri_core.transforms.polarity` on radiographs whose bone is bright.

    python -m xr2mri_core.training.polarity CASES/*/radiograph.png

Each is cut and changed in the ways in which pictures of knees are found: tight and wide, either
side, turned, equalised globally or locally (CLAHE), sharpened, noisy, framed in black or white.
A logistic regression without intercept on an odd function learns from one polarity alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage import exposure, transform

from xr2mri_core.networks.model import write_safetensors
from xr2mri_core.transforms.polarity import TEMPLATE, middle_scales
from xr2mri_core.transforms.radiograph_file import read_radiograph

_RIDGE = 30.0
"""Weight of the penalty on the template's square."""


def fit(features: NDArray[np.float64], rounds: int = 60) -> NDArray[np.float64]:
    """Return the template (k,) for middle scales (n, k) of pictures with bright bone (Newton)."""
    template = np.zeros(features.shape[1])
    for _ in range(rounds):
        wrong = 1 / (1 + np.exp(features @ template))
        slope = _RIDGE * template - features.T @ wrong
        curve = (features * (wrong * (1 - wrong))[:, None]).T @ features
        template -= np.linalg.solve(curve + _RIDGE * np.eye(len(template)), slope)
    return template


def varied(picture: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a crop of a knee's radiograph (rows, columns) as another program might make it."""
    size = int(rng.choice([128, 192, 224, 256]))
    side = rng.uniform(0.45, 1.0) * min(picture.shape)
    row, column = np.array(picture.shape) * (0.5 + rng.uniform(-0.07, 0.07, 2))
    turn = np.deg2rad(rng.uniform(-8, 8)) if rng.random() < 0.5 else 0.0
    cut = (
        transform.AffineTransform(translation=(-size / 2, -size / 2))
        + transform.AffineTransform(scale=side / size, rotation=turn)
        + transform.AffineTransform(translation=(column, row))
    )
    crop = transform.warp(picture, cut, output_shape=(size, size), mode="edge")
    low, high = np.percentile(crop, (rng.uniform(0, 2), rng.uniform(97.5, 100)))
    crop = np.clip((crop - low) / (high - low), 0, 1) ** np.exp(rng.uniform(-0.7, 0.7))
    crop = crop[:, :: rng.choice([1, -1])]
    kind = rng.random()
    if kind < 0.45:
        tile, limit = size // int(rng.choice([2, 4, 8])), float(rng.choice([0.01, 0.02, 0.04]))
        crop = exposure.equalize_adapthist(crop, kernel_size=tile, clip_limit=limit)
    elif kind < 0.55:
        crop = exposure.equalize_hist(crop)
    if rng.random() < 0.3:
        blurred = gaussian_filter(crop, rng.uniform(1, 4))
        crop = crop + rng.uniform(0.5, 2) * (crop - blurred)
    crop = crop + rng.normal(0, rng.uniform(0, 0.04), crop.shape)
    if rng.random() < 0.25:
        strip, value = max(1, int(size * rng.uniform(0.02, 0.15))), float(rng.integers(2))
        if rng.random() < 0.6:
            crop[:, :strip] = crop[:, -strip:] = value
        else:
            crop[:strip] = crop[-strip:] = value
    return crop


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit on three quarters of the pictures, tell how the others score, write the template."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="radiographs around one knee each")
    parser.add_argument("--out", type=Path, default=TEMPLATE)
    parser.add_argument("--copies", type=int, default=4, help="variants of each")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    rows, group = [], []
    for index, file in enumerate(options.files):
        picture, _ = read_radiograph(file)
        picture = picture / picture.max()
        rows += [middle_scales(varied(picture, rng)).ravel() for _ in range(options.copies)]
        group += [index % 4 == 0] * options.copies
    features, held = np.array(rows, np.float64), np.array(group)
    template = fit(features[~held])
    scores = features[held] @ template
    percentiles = np.percentile(scores, (0, 1, 50)).round(2).tolist()
    print(f"held out {len(scores)}: wrong {int((scores < 0).sum())}, min/1%/median {percentiles}")
    write_safetensors(options.out, {"template": torch.from_numpy(template).float()})


if __name__ == "__main__":
    main()
