"""White strips around a radiograph, which a display would hide.

Outside the collimator a detector sees next to nothing. Devices make that dark, or say where it is
(padding, Display Shutter); others leave it as it comes, which shows as white where bone is bright.
Such strips hold the largest values of a crop: the knee beside them would be left a part of the grey
scale, darker the wider they are.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.transforms.steps import KeyedStep

NOTE = "a white strip along the picture's edge, as outside a collimator, is taken as dark"

_WHITE = 0.98  # of the range of grey values, above which a whole row or column is white
_WITHIN, _STEP = 2, 0.8  # rows inside a strip's edge, and the most that they hold of that range
_LEAST = 0.25  # share of rows and of columns that must be left


def inside_of(picture: NDArray[Any]) -> tuple[slice, slice]:
    """The rows and columns within the white strips at the edges of a picture (rows, columns).

    A strip is a row or column at the edge all of which is white. No part of a knee makes one, for
    soft tissue is darker; and it ends with a step.
    """
    rows, columns = whole = slice(0, picture.shape[0]), slice(0, picture.shape[1])
    low, high = float(picture.min()), float(picture.max())
    limit = low + _WHITE * (high - low)
    edges = picture[0], picture[-1], picture[:, 0], picture[:, -1]
    if all(edge.min() < limit for edge in edges):
        return whole
    white = picture >= limit
    for _ in range(2):  # the corners belong to strips of both directions
        rows = _dark_of(white[:, columns].all(axis=1))
        columns = _dark_of(white[rows].all(axis=0))
    left = [
        (inside.stop - inside.start) / count
        for inside, count in zip((rows, columns), white.shape, strict=True)
    ]
    within, shape = picture[rows, columns], picture.shape
    if min(left) < _LEAST or min(within.shape) <= 2 * _WITHIN:
        return whole
    beside = [
        within[_WITHIN] if rows.start else None,
        within[-1 - _WITHIN] if rows.stop < shape[0] else None,
        within[:, _WITHIN] if columns.start else None,
        within[:, -1 - _WITHIN] if columns.stop < shape[1] else None,
    ]
    bright = low + _STEP * (high - low)
    if any(line is not None and line.mean() > bright for line in beside):
        return whole  # a picture that becomes brighter towards its edge
    return rows, columns


def _dark_of(white: NDArray[np.bool_]) -> slice:
    """From the first to the last that is not white."""
    dark = np.flatnonzero(~white)
    return slice(int(dark[0]), int(dark[-1]) + 1) if len(dark) else slice(0, 0)


class DarkStripsd(KeyedStep):
    """Make white strips at the edges of a crop (1, H, W) as dark as the darkest of what is within.

    ``data["<key>_info"]["warnings"]`` says so. For pictures with bone bright.

    Args:
        keys: radiographs.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        for key in self.key_iterator(done):
            picture = done[key]
            rows, columns = inside_of(np.asarray(picture)[0])
            within = picture[:, rows, columns]
            if within.shape == picture.shape:
                continue
            dark = picture.clone()
            dark[:] = within.min()
            dark[:, rows, columns] = within
            done[key] = dark
            info = done.get(f"{key}_info", {})
            done[f"{key}_info"] = {**info, "warnings": [*info.get("warnings", ()), NOTE]}
        return done
