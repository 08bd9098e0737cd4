"""NRRD (<https://teem.sourceforge.net/nrrd/format.html>), versions 1 to 5.

pynrrd parses lines and bytes; its functions that open what a header names are never handed one:
`nrrd.read_data` gets the fields of `_OF_THE_VOXELS` only, and a buffer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import nrrd
import numpy as np
from numpy.typing import NDArray

from xr2mri_core.errors import shown
from xr2mri_core.transforms.formats.stored import (
    FormatError,
    StoredImage,
    affine_of,
    beside,
    buffer,
    check_bytes,
    decompressed,
    header_lines,
    millimetres,
    read_exactly,
    read_text,
    skip,
)

_OF_THE_VOXELS = ("type", "endian", "dimension", "sizes")
_ENCODINGS = {
    "raw": "raw",
    "gz": "gzip",
    "gzip": "gzip",
    "bz2": "bzip2",
    "bzip2": "bzip2",
    "txt": "ascii",
    "text": "ascii",
    "ascii": "ascii",
}
_ONE_BYTE = re.compile(r"(u?int8(_t)?|(un)?signed char|uchar|u?char)")
_RAS = ("right-anterior-superior", "ras")
_LAS = ("left-anterior-superior", "las")
_GRID_KINDS = ("domain", "space", "stub", "scalar", "time", "none", "???")


def is_nrrd(head: bytes) -> bool:
    """Say whether a file starts like NRRD."""
    return head.startswith(b"NRRD0")


def open_nrrd(stream: BinaryIO, header: Path | None = None) -> StoredImage:
    """Read a NRRD header.

    Args:
        stream: stream at its beginning.
        header: path of the file where the pixels may lie beside it; see `stored.beside`.

    Raises:
        FormatError: a header that cannot be used.
    """
    fields = _fields(header_lines(stream, lambda line: not line.strip()))
    sizes = [int(size) for size in fields["sizes"]]
    if len(sizes) != fields["dimension"]:
        raise FormatError(f"dimension {fields['dimension']}, but {len(sizes)} sizes")
    encoding = _ENCODINGS.get(str(fields["encoding"]).lower())
    if encoding is None:
        accepted = "raw, gzip, bzip2 and text"
        raise FormatError(f"encoding {shown(fields['encoding'])}; accepted are {accepted}")
    axis = _component_axis(fields, sizes)
    if encoding == "ascii":
        fields.setdefault("endian", "little")  # text has none, and pynrrd asks for one
    elif "endian" not in fields and not _ONE_BYTE.fullmatch(str(fields["type"]).lower()):
        raise FormatError("its NRRD header lacks the field 'endian'")
    size = check_bytes(sizes, _numbers(fields, [0], b"").dtype.itemsize)
    grid = [index for index in range(len(sizes)) if index != axis]

    def load() -> NDArray[Any]:
        with stream if "data file" not in fields else beside(header, fields["data file"]) as data:
            lines, count = fields.get("line skip", 0), fields.get("byte skip", 0)
            if count == -1 and encoding == "raw":
                data.seek(-size, 2)
                count = 0
            skip(data, lines, 0)
            data = decompressed(data, encoding)
            skip(data, 0, count)
            text = encoding == "ascii"
            content = read_text(data, size) if text else read_exactly(data, size)
        voxels = _numbers(fields, sizes, content, encoding="ascii" if text else "raw")
        return voxels if axis is None else np.moveaxis(voxels, axis, -1)

    if "data file" in fields:
        beside(header, fields["data file"]).close()  # refused now rather than after other checks
    return StoredImage(
        tuple(sizes[index] for index in grid),
        1 if axis is None else sizes[axis],
        _affine(fields, grid, len(sizes)),
        "space directions" in fields,
        size,
        load,
        fields["patient orientation"],
        side=fields["side"],
    )


def _fields(lines: list[bytes]) -> dict[str, Any]:
    """Return the parsed fields of a header by their names in lower case, in one spelling."""
    written = (line for line in lines if not line.startswith(b"#"))
    texts = [line.decode("ascii", "replace").rstrip() for line in written]
    kept = texts[:1]
    lies: tuple[str, ...] = ()
    side: str | None = None
    for text in texts[1:]:
        name, colon, value = text.partition(":")
        name = name.strip().lower()
        if value.startswith("=") and name not in ("data file", "datafile"):
            said = value[1:].strip()
            if name == "patientorientation":  # which our module in 3D Slicer writes
                lies = tuple(said.split("\\"))
            elif name == "xr2mri.laterality" and said in ("R", "L"):  # and reads
                side = said
            continue  # a key of its writer's own, no field
        kept.append(f"{name}{colon}{value}")
    try:
        fields: dict[str, Any] = dict(nrrd.read_header(iter(kept)))
    except (nrrd.NRRDError, ValueError, StopIteration) as error:
        raise FormatError(f"its NRRD header cannot be read ({shown(error)})") from error
    for old in ("data file", "line skip", "byte skip"):
        if old.replace(" ", "") in fields:
            fields[old] = fields.pop(old.replace(" ", ""))
    for name in ("type", "dimension", "sizes", "encoding"):
        if name not in fields:
            raise FormatError(f"its NRRD header lacks the field '{name}'")
    return fields | {"patient orientation": lies, "side": side}


def _numbers(
    fields: Mapping[str, Any], sizes: list[int], content: bytes, encoding: str = "raw"
) -> NDArray[Any]:
    """Return the numbers in ``content``, (*sizes) in file order; an empty one tells the type."""
    described = {name: fields[name] for name in _OF_THE_VOXELS if name in fields}
    described |= {"dimension": len(sizes), "sizes": np.array(sizes), "encoding": encoding}
    try:
        return nrrd.read_data(described, buffer(content))
    except (nrrd.NRRDError, KeyError, ValueError, TypeError) as error:
        raise FormatError(
            f"its pixels, of type {shown(fields['type'])}, cannot be read ({shown(error)})"
        ) from error


def _component_axis(fields: Mapping[str, Any], sizes: list[int]) -> int | None:
    """Return the axis of a voxel's components, RGB say; None for grey."""
    kinds = [str(kind).lower() for kind in fields.get("kinds", ())]
    found = {axis for axis, kind in enumerate(kinds[: len(sizes)]) if kind not in _GRID_KINDS}
    if "space directions" in fields:
        rows = np.asarray(fields["space directions"], float)
        if rows.ndim != 2 or len(rows) != len(sizes):
            raise FormatError(f"{len(rows)} space directions for {len(sizes)} axes")
        found |= set(np.flatnonzero(np.isnan(rows).all(axis=1)).tolist())
    elif not kinds and len(sizes) > 2 and sizes[0] in (3, 4) and min(sizes[1:3]) > 4:
        found = {0}
    if len(found) > 1:
        raise FormatError("more than one axis of components; accepted are grey and RGB")
    return found.pop() if found else None


def _affine(fields: Mapping[str, Any], grid: list[int], axes: int) -> NDArray[np.float64]:
    """Return the RAS affine (4, 4) of the axes ``grid`` among ``axes``."""
    if "space directions" in fields:
        directions = np.asarray(fields["space directions"], float)[grid].T
    else:
        steps = np.asarray(fields.get("spacings", np.ones(axes)), float)
        if steps.shape != (axes,):
            raise FormatError(f"{steps.size} spacings for {axes} axes")
        directions = np.diag(np.where(np.isfinite(steps), steps, 1)[grid])
    units = fields.get("space units", ()) or [
        unit for axis, unit in enumerate(fields.get("units", ())) if axis in grid
    ]
    directions = directions * millimetres(str(next(iter(units), "")))
    origin = fields.get("space origin")
    affine = affine_of(directions, None if origin is None else np.asarray(origin, float))
    space = str(fields.get("space", "")).lower().removesuffix("-time")
    if space in _RAS:
        affine[:2] *= -1
    elif space in _LAS:
        affine[1] *= -1
    return affine
