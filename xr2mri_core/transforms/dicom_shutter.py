"""What a display hides of a picture: Display Shutter (PS3.3, C.7.6.11).

Around the irradiated field many devices leave scattered light or white, and say where it is: a
rectangle, a circle, a polygon, or what lies within all of these. A display shows it dark.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset

from xr2mri_core.errors import InputError
from xr2mri_core.transforms.dicom_header import numbers_of, texts_of

_LEAST = 0.1
"""Share of a picture that must stay visible: less is a slip, or one of another picture."""
_EDGES = ("ShutterUpperHorizontalEdge", "ShutterLeftVerticalEdge",
          "ShutterLowerHorizontalEdge", "ShutterRightVerticalEdge")  # fmt: skip


def hide(pixels: NDArray[np.float32], header: Dataset) -> None:
    """Make what a display hides as dark as the darkest of what it shows.

    Args:
        pixels: float32 (rows, columns) as the file has them, bone bright; changed in place.
        header: header of the file; a shutter that makes no sense is passed over.
    """
    shapes = {text.upper() for text in texts_of(header, "ShutterShape")}
    if not shapes & {"RECTANGULAR", "CIRCULAR", "POLYGONAL"}:
        return
    rows, columns = pixels.shape
    image = Image.new("1", (columns, rows), 1)
    try:
        for name, open_in in (
            ("RECTANGULAR", _rectangle),
            ("CIRCULAR", _circle),
            ("POLYGONAL", _polygon),
        ):
            if name in shapes:
                part = Image.new("1", image.size, 0)
                open_in(ImageDraw.Draw(part), header)
                image.paste(0, mask=Image.eval(part.convert("L"), lambda value: 255 - value))
    except (InputError, ValueError, OverflowError):
        return
    visible = np.asarray(image)
    if _LEAST * visible.size <= np.count_nonzero(visible) < visible.size:
        pixels[~visible] = pixels.min(where=visible, initial=np.inf)


def _rectangle(draw: ImageDraw.ImageDraw, header: Dataset) -> None:
    edges = [edge for keyword in _EDGES for edge in numbers_of(header, keyword)]
    top, left, bottom, right = (edge - 1 for edge in edges)
    draw.rectangle([(left, top), (right, bottom)], fill=1)


def _circle(draw: ImageDraw.ImageDraw, header: Dataset) -> None:
    row, column = numbers_of(header, "CenterOfCircularShutter")
    (radius,) = numbers_of(header, "RadiusOfCircularShutter")
    row, column = row - 1, column - 1
    draw.ellipse([(column - radius, row - radius), (column + radius, row + radius)], fill=1)


def _polygon(draw: ImageDraw.ImageDraw, header: Dataset) -> None:
    numbers = numbers_of(header, "VerticesOfThePolygonalShutter")
    rows, columns = numbers[::2], numbers[1::2]
    draw.polygon([(c - 1, r - 1) for r, c in zip(rows, columns, strict=True)], fill=1)
