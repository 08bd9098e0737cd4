"""What a network of photographs sees in the volumes of a row, for FID and KID; weights are brought.

Both compare two sets of slices, all cases together, so they are no value of one case: the features
of each are kept in a file, and the distances computed when all are there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.bundle import digest
from xr2mri_core.errors import WeightsError
from xr2mri_core.evaluation.perceptual import (
    InceptionFeatures,
    frechet_distance,
    kernel_distance,
)
from xr2mri_core.evaluation.statistics import NOTHING, Span
from xr2mri_core.files import whole_file

SLICES = 16
"""Slices of a volume that are looked at, evenly spaced."""
_HALVES = 30


def stamp(of: Mapping[str, Any]) -> str:
    """What something depends on, as a part of a file's name."""
    return hashlib.sha256(json.dumps(dict(of), sort_keys=True).encode()).hexdigest()[:12]


class Seen:
    """Features of slices, a file a row and case.

    Args:
        weights: torchvision's Inception v3.
        folder: folder of the files; those of other weights lie beside them.

    Raises:
        WeightsError: there is no such file.
    """

    def __init__(self, weights: Path, folder: Path) -> None:
        if not weights.is_file():
            raise WeightsError(f"{weights}: no such weights file", option="fid")
        self.weights, self.folder = weights, folder / digest(weights)[:12]

    def __reduce__(self) -> tuple[Callable[[Path, Path], Seen], tuple[Path, Path]]:
        return _seen, (self.weights, self.folder.parent)  # each process loads its own network

    @cached_property
    def network(self) -> InceptionFeatures:
        """The network, loaded when the first volume is looked at.

        Raises:
            WeightsError: the file is of another network.
        """
        return InceptionFeatures(self.weights)

    def file(self, row: str, of: Mapping[str, Any], case: str) -> Path:
        """The file of a row's volume, which depends on ``of``."""
        return self.folder / f"{row}-{stamp(of)}" / f"{case}.npy"

    def keep(self, file: Path, slices: NDArray[np.float32]) -> None:
        """Look at some of the slices (n, H, W) in [0, 1]."""
        rows = np.unique(np.linspace(0, len(slices) - 1, SLICES).round().astype(int))
        with whole_file(file) as new:
            np.save(new, self.network(slices[rows]).astype(np.float32))

    def distances(self, pairs: Iterable[tuple[str, Path, Path]]) -> dict[str, Span]:
        """``fid`` and ``kid`` (times 1000) of a row against the truth.

        Args:
            pairs: patient, file of the true volume and of the row's, for each case; those of which
                a file is missing do not count.
        """
        patients: dict[str, tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]] = {}
        for participant, *pair in pairs:
            if all(file.is_file() for file in pair):
                sets = patients.setdefault(participant, ([], []))
                for features, file in zip(sets, pair, strict=True):
                    features.append(np.load(file))
        return set_distances([(np.concatenate(a), np.concatenate(b)) for a, b in patients.values()])


@cache
def _seen(weights: Path, folder: Path) -> Seen:
    return Seen(weights, folder)


def set_distances(
    patients: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
) -> dict[str, Span]:
    """FID and KID of two sets of slices.

    FID has no interval: its value depends on the number of slices, and so has no fair one from
    fewer. That of KID, which does not, is 1.96 times what it scatters over random halves of the
    patients, each half without repetition (a slice that came twice would be closest to itself).

    Args:
        patients: for each patient, the features (n, D) of true and of generated slices.

    Returns:
        ``fid``, and ``kid`` times 1000; nothing without patients.
    """
    if not patients:
        return {}

    def both(chosen: Iterable[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        true, own = zip(*(patients[index] for index in chosen), strict=True)
        return np.concatenate(true), np.concatenate(own)

    whole = both(range(len(patients)))
    kid = 1000 * kernel_distance(*whole)
    reach = NOTHING[0]
    if len(patients) > 3:
        random = np.random.default_rng(0)
        halves = [
            1000 * kernel_distance(*both(random.permutation(len(patients))[: len(patients) // 2]))
            for _ in range(_HALVES)
        ]
        reach = 1.96 * float(np.std(halves, ddof=1))
    return {
        "fid": (frechet_distance(*whole), *NOTHING[1:]),
        "kid": (kid, kid - reach, kid + reach),
    }
