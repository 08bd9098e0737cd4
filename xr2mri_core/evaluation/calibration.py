"""Whether the deviation that several samples predict is the error that they make.

With m samples of one patient, their mean and standard deviation s at a voxel, the next draw of the
same distribution lies within mean +- t s sqrt(1 + 1/m) with the probability that Student's t with
m - 1 degrees of freedom says, if draws are normal. The truth is such a draw, of a right model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

LEVELS = (0.5, 0.8, 0.95)
"""Probabilities of the intervals."""


def coverage(
    truth: NDArray[np.floating[Any]],
    mean: NDArray[np.floating[Any]],
    std: NDArray[np.floating[Any]],
    samples: int,
    body: NDArray[np.bool_],
) -> dict[str, float]:
    """The share of the body's voxels whose truth lies in each interval: ``cover50``, ...

    Args:
        truth, mean, std: (n, H, W); the last is the standard deviation over the samples (divided by
            m - 1).
        samples: m, at least 2.
        body: (n, H, W) bool.

    Returns:
        One value a level, at best the level itself. Below it the samples are too much alike.
    """
    error = np.abs(truth - mean)[body].astype(np.float64)
    width = std[body].astype(np.float64) * np.sqrt(1 + 1 / samples)
    return {
        f"cover{round(100 * level)}": float(
            np.mean(error <= student.ppf((1 + level) / 2, samples - 1) * width)
        )
        for level in LEVELS
    }


def spread_skill(
    truth: NDArray[np.floating[Any]],
    draws: NDArray[np.floating[Any]],
    body: NDArray[np.bool_],
    bins: int = 10,
) -> list[dict[str, float]]:
    """Predicted deviation against error, voxels sorted by the former into bins of equal size.

    Half of the draws predict a voxel's deviation and its mean, the other half its bin: sorted by
    the very deviations that are shown, the largest would be those that came out too large. Then the
    halves change places.

    Args:
        truth: (n, H, W).
        draws: (m, n, H, W).
        body: (n, H, W) bool.
        bins: number of bins.

    Returns:
        ``spread`` (root mean square deviation of the truth that is predicted, from the mean of so
        few draws: sqrt(1 + 1/m) times theirs), ``error`` (root mean square error of their mean) and
        ``voxels`` of each bin. They lie on the diagonal if calibrated. Nothing of fewer than four
        draws, whose halves have no deviation.
    """
    if len(draws) < 4:
        return []
    halves = [half[:, body].astype(np.float64) for half in (draws[::2], draws[1::2])]
    sorted_by = [np.argsort(half.std(0, ddof=1), kind="stable") for half in reversed(halves)]
    squares = []
    for half, order in zip(halves, sorted_by, strict=True):
        spread = half.var(0, ddof=1) * (1 + 1 / len(half))
        error = np.square(truth[body] - half.mean(0))
        squares.append(
            [np.stack([spread[part], error[part]]).T for part in np.array_split(order, bins)]
        )
    found = [np.concatenate(pair) for pair in zip(*squares, strict=True)]
    return [
        {**dict(zip(("spread", "error"), np.sqrt(part.mean(0)).tolist(), strict=True)),
         "voxels": len(part) / 2}
        for part in found if len(part)
    ]  # fmt: skip
