"""How the picture in a file becomes upright: the patient's right on image left, the head up.

DICOM's Patient Orientation (0020,0020) tells towards what part of the patient the rows and the
columns of a picture run (PS3.3, C.7.6.1.1.1): ``L\\F`` is the upright frontal view, ``R\\F`` its
mirror image. Everything that reads a picture works on the upright one; what is said of places in
it (boxes) is given in pixels of the file, as a viewer shows them that does not turn it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Edges = tuple[float, float, float, float]
"""Top, left, bottom, right in pixels; bottom and right are exclusive."""


@dataclass(frozen=True)
class Turn:
    """From the picture as it lies in its file to the upright one.

    Attributes:
        stretch: how many times more rows and columns make its pixels square.
        transposed: whether rows become columns then.
        flipped: whether the rows, and whether the columns, run the other way then.
    """

    stretch: tuple[float, float] = (1.0, 1.0)
    transposed: bool = False
    flipped: tuple[bool, bool] = (False, False)

    @property
    def is_turned(self) -> bool:
        """Whether it does more than stretch the picture."""
        return self.transposed or any(self.flipped)

    @property
    def is_mirrored(self) -> bool:
        """Whether no turning of the sheet alone would do it."""
        return (self.transposed + sum(self.flipped)) % 2 == 1

    @property
    def text(self) -> str:
        """The turn in words, for a warning."""
        if self == Turn(self.stretch, False, (True, True)):
            return "turned by 180 degrees"
        if self.is_mirrored:
            only = self == Turn(self.stretch, False, (False, True))
            return "mirrored" if only else "mirrored and turned"
        return "turned by 90 degrees" if self.transposed else "left as it lies"

    def upright(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The upright picture of one (rows, columns) as it lies in its file."""
        if self.stretch != (1.0, 1.0):
            rows, columns = (
                max(1, round(n * s)) for n, s in zip(pixels.shape, self.stretch, strict=True)
            )
            image = Image.fromarray(np.asarray(pixels, np.float32))
            pixels = np.array(image.resize((columns, rows), Image.Resampling.BILINEAR))
        if self.transposed:
            pixels = pixels.T
        return pixels[tuple(slice(None, None, -1 if flip else None) for flip in self.flipped)]

    def lying(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """The upright picture (rows, columns) turned back as it lies, its pixels still square."""
        pixels = pixels[tuple(slice(None, None, -1 if flip else None) for flip in self.flipped)]
        return pixels.T if self.transposed else pixels

    def edges_upright(self, edges: Sequence[float], shape: Sequence[int]) -> Edges:
        """A box in pixels of the file as one of the upright picture of ``shape``."""
        top, left, bottom, right = edges
        tall, wide = self.stretch
        top, bottom, left, right = top * tall, bottom * tall, left * wide, right * wide
        if self.transposed:
            top, left, bottom, right = left, top, right, bottom
        return self._flip((top, left, bottom, right), shape)

    def edges_in_file(self, edges: Sequence[float], shape: Sequence[int]) -> Edges:
        """A box of the upright picture of ``shape`` in pixels of the file."""
        top, left, bottom, right = self._flip(edges, shape)
        if self.transposed:
            top, left, bottom, right = left, top, right, bottom
        tall, wide = self.stretch
        return top / tall, left / wide, bottom / tall, right / wide

    def box_in_file(self, box: Sequence[float], shape: Sequence[int]) -> tuple[int, int, int, int]:
        """Return the box of `edges_in_file` in whole pixels."""
        top, left, bottom, right = map(round, self.edges_in_file(box, shape))
        return top, left, bottom, right

    def shape_in_file(self, shape: Sequence[int]) -> tuple[int, int]:
        """Rows and columns in the file of an upright picture of ``shape``."""
        top, left, bottom, right = self.box_in_file((0, 0, *shape), shape)
        return bottom - top, right - left

    def _flip(self, edges: Sequence[float], shape: Sequence[int]) -> Edges:
        top, left, bottom, right = edges
        if self.flipped[0]:
            top, bottom = shape[0] - bottom, shape[0] - top
        if self.flipped[1]:
            left, right = shape[1] - right, shape[1] - left
        return top, left, bottom, right


UPRIGHT = Turn()
"""The turn of a picture that lies upright in its file."""


_SAME_AS = {"S": "H", "I": "F"}
_UPRIGHT_COSINE = 0.94
"""Of the angle to the nearest axis of the patient, 20 degrees, beyond which a picture is aslant."""


def slanting(directions: Sequence[Sequence[float]] | NDArray[np.float64]) -> tuple[str, ...]:
    """A warning where rows or columns run aslant through the patient; such pictures are not turned.

    Args:
        directions: towards what part of the patient rows and columns run, (3,) each, of any length.
    """
    steps = np.asarray(directions, float)
    lengths = np.linalg.norm(steps, axis=1)
    if not (lengths > 0).all():
        return ()
    cosines = np.abs(steps).max(axis=1) / lengths
    if cosines.min() >= _UPRIGHT_COSINE:
        return ()
    angle = np.degrees(np.arccos(cosines.min()))
    return (
        f"by its orientation the picture lies aslant, {angle:.0f} degrees off the axes of the "
        "patient, and is taken as it lies: check that it is a frontal view, the head up",
    )


def turn_of(along_row: str, along_column: str) -> Turn | None:
    """The turn of a picture whose rows and columns run towards parts of the patient.

    Args:
        along_row, along_column: directions by DICOM's letters, the first of which counts: R, L
            (right, left), H, F (head, feet), for which some write S, I (superior, inferior).

    Returns:
        None for what is no frontal view, and for letters that are none.
    """
    row, column = (
        _SAME_AS.get(way[:1].upper(), way[:1].upper()) for way in (along_row, along_column)
    )
    transposed = row in ("H", "F")
    if transposed:
        row, column = column, row
    if row not in ("R", "L") or column not in ("H", "F"):
        return None
    return Turn(transposed=transposed, flipped=(column == "H", row == "R"))
