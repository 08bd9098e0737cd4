"""Box files: joint boxes that others have drawn, as CSV with a line for each knee.

Columns, in any order and case:

- the picture: ``image``, ``file``, ``filename``, ``path`` or ``barcode``: a file, relative to the
  folder of the images, with or without its extension;
- the box, in pixels of that picture: ``top, left, bottom, right``; or ``x_min, y_min, x_max,
  y_max`` (also ``xmin`` .., ``x1, y1, x2, y2``); or ``x, y, width, height`` (also ``w, h``);
- ``side`` (or ``laterality``), if known: R, L, right, left, 1, 2.

Other columns are left alone. A box is made square about its middle, by its longer side.
"""

from __future__ import annotations

import csv
import glob
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xr2mri_core.errors import DatalistError, InputError, shown
from xr2mri_core.geometry import Laterality, edges_of
from xr2mri_core.localization.boxes import Edges

_IMAGE = ("image", "file", "filename", "path", "barcode")
_SIDE = ("side", "laterality")
_CORNERS = (
    ("top", "left", "bottom", "right"),
    ("y_min", "x_min", "y_max", "x_max"),
    ("ymin", "xmin", "ymax", "xmax"),
    ("y1", "x1", "y2", "x2"),
)
_EXTENTS = (("y", "x", "height", "width"), ("y", "x", "h", "w"))

Boxes = dict[Path, list[tuple[Laterality | None, Edges]]]


@dataclass(frozen=True)
class DrawnBox:
    """A line of a box file.

    Attributes:
        where: the file and the line, for messages.
        image: name of the picture, as the file has it.
        side: side of the knee, where the file states it.
        edges: edges of its joint box, square.
    """

    where: str
    image: str
    side: Laterality | None
    edges: Edges


def read_lines(path: str | Path) -> list[DrawnBox]:
    """Read a box file without looking for its pictures.

    Args:
        path: the CSV; comma, semicolon and tab separate.

    Raises:
        DatalistError: naming the line, for missing columns or numbers.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatalistError(f"{path}: cannot be read as a CSV ({shown(error)})") from error
    head = text.splitlines()[0] if text else ""
    delimiter = max(",;\t", key=head.count)
    lines = []
    for number, row in enumerate(_rows(path, text, delimiter), 2):
        cells = {str(k).strip().lower(): str(v).strip() for k, v in row.items() if k and v}
        where = f"{path.name}, line {number}"
        try:
            image = _first(cells, _IMAGE)
            if not image:
                raise ValueError("no picture; give the column image or barcode")
            side = Laterality.parse(_first(cells, _SIDE) or None)
            lines.append(DrawnBox(where, image, side, _edges(cells)))
        except (ValueError, InputError) as error:
            raise DatalistError(f"{where}: {error}") from error
    if not lines:
        raise DatalistError(f"{path.name}: no line with a box")
    return lines


def _rows(path: Path, text: str, delimiter: str) -> Iterator[dict[str, Any]]:
    try:
        yield from csv.DictReader(text.splitlines(), delimiter=delimiter)
    except csv.Error as error:  # NUL, or a cell of more than 128 KB: a quote that is not closed
        raise DatalistError(f"{path.name}: cannot be read as a CSV ({error})") from error


def read_boxes(path: str | Path, images: str | Path | None = None) -> Boxes:
    """Read a box file and find its pictures.

    Args:
        path: the CSV file.
        images: folder of the pictures; None is that of the CSV.

    Returns:
        The knees of each picture, in the order of the file.

    Raises:
        DatalistError: naming the line, for missing columns, numbers or pictures.
    """
    folder = Path(images) if images is not None else Path(path).parent
    boxes: Boxes = {}
    for line in read_lines(path):
        try:
            picture = _picture(folder, line.image)
        except ValueError as error:
            raise DatalistError(f"{line.where}: {error}") from error
        boxes.setdefault(picture, []).append((line.side, line.edges))
    return boxes


def _first(cells: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((cells[name] for name in names if name in cells), "")


def _edges(cells: Mapping[str, str]) -> Edges:
    for names in _CORNERS:
        if all(name in cells for name in names):
            top, left, bottom, right = (float(cells[name]) for name in names)
            break
    else:
        for names in _EXTENTS:
            if all(name in cells for name in names):
                top, left, height, width = (float(cells[name]) for name in names)
                bottom, right = top + height, left + width
                break
        else:
            raise ValueError("no box; give the columns top, left, bottom, right")
    top, left, bottom, right = edges_of((top, left, bottom, right))
    if not (bottom > top and right > left):
        raise ValueError(f"the box {(top, left, bottom, right)} is empty")
    half = max(bottom - top, right - left) / 2
    row, column = (top + bottom) / 2, (left + right) / 2
    return row - half, column - half, row + half, column + half


def _picture(folder: Path, name: str) -> Path:
    exact = folder / name
    if exact.is_file():
        return exact
    matches = sorted(exact.parent.glob(f"{glob.escape(exact.name)}.*"))
    if len(matches) != 1:
        raise ValueError(f"no single picture {shown(name)} in {folder}")
    return matches[0]
