"""Lead letters: the R or L that a technician lays beside the knee.

A letter is a compact bright shape much lighter than what is round it. Shapes of a letter's size
are compared with both letters in some fonts, upright and a little turned; one counts when it is
like one letter and unlike everything else that it could be, its mirror image among them: an R seen
from behind is no R here, because then the whole picture is the wrong way round.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import find_objects, label, white_tophat

from xr2mri_core.geometry import Laterality
from xr2mri_core.transforms.picture import LARGE

LONGER = 720
"""Longer side in pixels at which letters are looked for."""
TALL = (0.012, 0.085)
"""Height of a letter, as a share of the longer side."""
ALIKE = {"R": 0.68, "L": 0.80}
"""Correlation from which a letter is read; corners and edges look more like an L than like an R."""
_MARGIN = 0.08
_GRID = 20
_FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono-Bold.ttf", "cmss10.ttf")
_TURNS = (-16, -8, 0, 8, 16)
_OTHERS = "FPEKABDHITIJ17O"


@dataclass(frozen=True)
class Marker:
    """A letter that was read.

    Attributes:
        side: the side that it names.
        row, column: its middle, in pixels of the picture.
        score: correlation with the letter, up to 1.
    """

    side: Laterality
    row: float
    column: float
    score: float

    @property
    def place(self) -> tuple[float, float]:
        """Row and column."""
        return self.row, self.column


def read_markers(picture: NDArray[Any]) -> list[Marker]:
    """The R and L markers of a radiograph, the clearest first.

    Args:
        picture: float32 (rows, columns), bone bright.
    """
    factor = min(1.0, LONGER / max(picture.shape))
    height, width = (max(1, round(n * factor)) for n in picture.shape)
    pixels = _reduced(picture, height, width)
    found = []
    for rows, columns, shape in _shapes(pixels):
        read = _read(shape)
        if read is not None:
            row, column = (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2
            found.append(Marker(read[0], row / factor, column / factor, read[1]))
    clearest: list[Marker] = []
    for marker in sorted(found, key=lambda marker: -marker.score):
        if all(math.dist(marker.place, other.place) > 8 / factor for other in clearest):
            clearest.append(marker)
    return clearest


def _reduced(picture: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """A picture at another size; a large one some rows at a time, for each is copied."""
    at_once = height if picture.size <= LARGE else 100
    scale, parts = picture.shape[0] / height, []
    for top in range(0, height, at_once):
        bottom = min(top + at_once, height)
        start, end = top * scale, picture.shape[0] if bottom == height else bottom * scale
        first = math.floor(start)
        rows = Image.fromarray(np.asarray(picture[first : math.ceil(end)], np.float32))
        box = (0, start - first, picture.shape[1], end - first)
        small = rows.resize((width, bottom - top), Image.Resampling.BOX, box=box)
        parts.append(np.asarray(small))
    return np.concatenate(parts)


def _shapes(pixels: NDArray[np.float32]) -> Iterator[tuple[slice, slice, NDArray[np.bool_]]]:
    """Bright compact shapes of a letter's size, as masks in their boxes."""
    low, high = np.percentile(pixels, (1, 99.97))  # one letter is a small part of a film
    scaled = (pixels - low) / max(high - low, 1e-6)
    tallest = round(TALL[1] * LONGER)
    stroke = max(5, round(0.25 * tallest) | 1)
    raised = white_tophat(scaled, size=(stroke, stroke))
    for threshold in (0.25, 0.45):
        numbered, _ = label(raised > threshold, np.ones((3, 3)))
        for index, where in enumerate(find_objects(numbered), 1):
            tall, wide = (s.stop - s.start for s in where)
            if not max(6, TALL[0] * LONGER) <= tall <= tallest or not 0.4 <= wide / tall <= 1.1:
                continue
            shape = numbered[where] == index
            if 0.18 <= shape.mean() <= 0.75:
                yield where[0], where[1], shape


def _read(shape: NDArray[np.bool_]) -> tuple[Laterality, float] | None:
    """Which letter a shape is, if any, and how much it is like it."""
    glyphs, names = _templates()
    seen = _normalised(shape)
    alike = glyphs @ seen
    best = int(alike.argmax())
    if alike[best] < ALIKE.get(names[best], 2.0):
        return None
    others = alike[[name != names[best] for name in names]].max()
    if alike[best] - others < _MARGIN:
        return None
    return Laterality.parse(names[best]) or Laterality.RIGHT, float(alike[best])


def _normalised(shape: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A shape on a grid of one size, of mean 0 and length 1."""
    image = Image.fromarray(shape.astype(np.float32)).resize((_GRID, _GRID), Image.Resampling.BOX)
    values = np.asarray(image, np.float32).ravel()
    values = values - values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-6)


@lru_cache(maxsize=1)
def _templates() -> tuple[NDArray[np.float32], list[str]]:
    """Letters, other signs and mirrored letters (names in lower case), as rows (n, 400)."""
    fonts = [ImageFont.load_default(64)]
    fonts += [ImageFont.truetype(f"{get_data_path()}/fonts/ttf/{name}", 64) for name in _FONTS]
    glyphs, names = [], []
    for font in fonts:
        for letter in "RL" + _OTHERS:
            sheet = Image.new("L", (128, 128))
            ImageDraw.Draw(sheet).text((64, 64), letter, 255, font, anchor="mm")
            for turn in _TURNS:
                turned = np.asarray(sheet.rotate(turn, Image.Resampling.BILINEAR)) > 127
                rows, columns = (np.flatnonzero(turned.any(axis)) for axis in (1, 0))
                cut = turned[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                glyphs.append(_normalised(cut))
                names.append(letter)
                if letter in "RL":
                    glyphs.append(_normalised(cut[:, ::-1]))
                    names.append(letter.lower())
    return np.stack(glyphs), names
