"""Box files: joint boxes that others have drawn, as CSV with a line for each knee.

Columns, in any order and case:

- the picture: ``image``, ``file``, ``filename`` or ``path``: a file, relative to the folder of the
  images, with or without its extension; or ``barcode``, which alone counts where one is wanted;
- the box, in pixels of that picture: ``top, left, bottom, right``; or ``x_min, y_min, x_max,
  y_max`` (also ``xmin`` .., ``x1, y1, x2, y2``); or ``x, y, width, height`` (also ``w, h``);
- ``side`` (or ``laterality``), if known: R, L, right, left, 1, 2.

Other columns are left alone. Who takes a box makes it square, once the size of pixels is known.
"""

from __future__ import annotations

import csv
import glob
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from xr2mri_client.cells import decimal
from xr2mri_client.spreadsheets import decoded, from_header
from xr2mri_core.errors import DatalistError, InputError, shown
from xr2mri_core.geometry import Laterality, edges_of
from xr2mri_core.localization.boxes import Edges
from xr2mri_core.tables import doubt_of_letters

_IMAGE = ("image", "file", "filename", "path", "barcode")
_SIDE = ("side", "laterality")
_CORNERS = (
    ("top", "left", "bottom", "right"),
    ("y_min", "x_min", "y_max", "x_max"),
    ("ymin", "xmin", "ymax", "xmax"),
    ("y1", "x1", "y2", "x2"),
)
_EXTENTS = (("y", "x", "height", "width"), ("y", "x", "h", "w"))
_SMALLEST = 10  # pixels of a side; 1,450 and 9,999 read as decimals are nearer to each other
_GROUPED = re.compile(r"[1-9],\d{3}")

Boxes = dict[Path, list[tuple[Laterality | None, Edges]]]


@dataclass(frozen=True)
class DrawnBox:
    """A line of a box file.

    Attributes:
        where: the file and the line, for messages.
        image: name of the picture, as the file has it.
        barcode: what the column ``barcode`` says; where there is none, the picture's name.
        side: side of the knee, where the file states it.
        edges: edges of its joint box, as they were drawn.
    """

    where: str
    image: str
    barcode: str
    side: Laterality | None
    edges: Edges


def read_lines(path: str | Path) -> list[DrawnBox]:
    """Read a box file without looking for its pictures.

    Args:
        path: the CSV, in any code page; comma, semicolon and tab separate.

    Raises:
        DatalistError: naming the line, for missing columns or numbers.
    """
    path = Path(path)
    try:
        text = from_header(decoded(path.read_bytes()))
    except (OSError, UnicodeDecodeError) as error:
        raise DatalistError(f"{path}: cannot be read as a CSV ({shown(error)})") from error
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    lines = []
    for number, row in enumerate(_rows(path, text, delimiter), 2):
        cells = {str(k).strip().lower(): str(v or "").strip() for k, v in row.items() if k}
        if not any(cells.values()):
            continue  # as spreadsheets leave behind the last one
        where = f"{path.name}, line {number}"
        try:
            image = _first(cells, _IMAGE)
            if not image:
                raise ValueError("no picture; give the column image or barcode")
            side = Laterality.parse(_first(cells, _SIDE) or None)
            barcode = cells.get("barcode", image)
            lines.append(DrawnBox(where, image, barcode, side, _edges(cells)))
        except (ValueError, InputError) as error:
            raise DatalistError(f"{where}: {error}") from error
    if not lines:
        raise DatalistError(f"{path.name}: no line with a box")
    return lines


def _rows(path: Path, text: str, delimiter: str) -> Iterator[dict[str, Any]]:
    try:
        yield from csv.DictReader(StringIO(text), delimiter=delimiter)
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
            doubt = doubt_of_letters(line.image, Path(path))
            raise DatalistError(f"{line.where}: {error}{doubt}") from error
        boxes.setdefault(picture, []).append((line.side, line.edges))
    return boxes


def _first(cells: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((cells[name] for name in names if cells.get(name)), "")


def _edges(cells: Mapping[str, str]) -> Edges:
    names = next((n for n in _CORNERS + _EXTENTS if all(map(cells.get, n))), None)
    if names is None:
        raise ValueError("no box; give the columns top, left, bottom, right")
    texts = [cells[name] for name in names]
    top, left, bottom, right = map(decimal, texts)
    if names in _EXTENTS:
        bottom, right = top + bottom, left + right
    top, left, bottom, right = edges_of((top, left, bottom, right))
    grouped = any(map(_GROUPED.fullmatch, texts)) and any(map(str.isdecimal, texts))  # 2,400; 700
    if not grouped and not (bottom > top and right > left):
        raise ValueError(f"the box {(top, left, bottom, right)} is empty")
    if grouped or min(bottom - top, right - left) < _SMALLEST:
        raise ValueError(
            f"the box {'; '.join(texts)}: its sides are to be {_SMALLEST} pixels or more; "
            "thousands separators? write 1450, not 1,450"
        )
    return top, left, bottom, right


def _picture(folder: Path, name: str) -> Path:
    exact = folder / name
    if exact.is_file():
        return exact
    matches = sorted(exact.parent.glob(f"{glob.escape(exact.name)}.*"))
    if len(matches) != 1:
        raise ValueError(f"no single picture {shown(name)} in {folder}")
    return matches[0]
