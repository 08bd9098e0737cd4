"""What a process that has read a file says: JSON for what is known of it, numbers for its pixels.

What comes from there is checked as if a stranger had written it, for that may be so.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from xr2mri_core.errors import InputError, RadiographError, UndecodableError, XR2MRIError
from xr2mri_core.export.dicom_patient import patient_as_text, patient_from_text
from xr2mri_core.geometry import Laterality
from xr2mri_core.transforms.orientation import Turn
from xr2mri_core.transforms.picture import check_size, plausible_spacing
from xr2mri_core.transforms.radiograph_file import RadiographFile

LONGEST = 1 << 20
"""Bytes of JSON."""
_MOST_WARNINGS, _LONGEST_WARNING, _LONGEST_FORMAT = 64, 2000, 16
_SEALS = 0x0002 | 0x0004 | 0x0008  # F_SEAL_SHRINK, _GROW, _WRITE


def refused(error: XR2MRIError) -> bytes:
    """The answer to a file that cannot be used."""
    kind = "undecodable" if isinstance(error, UndecodableError) else "refused"
    return json.dumps({kind: str(error)[:_LONGEST_WARNING]}).encode()


def told(read: RadiographFile, pixels: int) -> bytes:
    """The answer to a file that was read; its pixels go into the open file `pixels`."""
    rest = np.ascontiguousarray(read.pixels, np.float32).data.cast("B")
    while rest:
        rest = rest[os.write(pixels, rest) :]
    turn = read.info.get("turn")
    return json.dumps(
        {
            "shape": read.pixels.shape,
            "spacing_mm": read.info["spacing_mm"],
            "laterality": read.info["laterality"],
            "format": read.info["format"],
            "warnings": read.info["warnings"][:_MOST_WARNINGS],
            "turn": None if turn is None else [turn.stretch, turn.transposed, turn.flipped],
            "patient": None if read.header is None else patient_as_text(read.header),
        }
    ).encode()


def understood(answer: bytes, pixels: int, name: str) -> RadiographFile:
    """The file that an answer tells of.

    Args:
        answer: what a process has said.
        pixels: open file (memfd) with what it has written.
        name: of the file that was read.

    Raises:
        RadiographError: that is the answer, or the answer makes no sense.
    """
    try:
        said = json.loads(answer)
        if "undecodable" in said:
            raise UndecodableError(_text(said["undecodable"], _LONGEST_WARNING))
        if "refused" in said:
            raise RadiographError(_text(said["refused"], _LONGEST_WARNING))
        header = None if said["patient"] is None else patient_from_text(said["patient"])
        return RadiographFile(name, _pixels(said["shape"], pixels), _info(said), header)
    except RadiographError:
        raise
    except (InputError, ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise UndecodableError(
            f"{name}: a damaged file that cannot be decoded; export the radiograph again"
        ) from error


def _pixels(shape: object, pixels: int) -> np.ndarray:
    """What lies in memory that both processes have: from here on it changes for neither.

    Sealing fails while the other process has it mapped; an honest one has written it.
    """
    rows, columns = map(_whole, _list(shape, 2))
    check_size((rows, columns))
    fcntl.fcntl(pixels, fcntl.F_ADD_SEALS, _SEALS)
    size = rows * columns * np.dtype(np.float32).itemsize
    if os.fstat(pixels).st_size != size:
        raise ValueError("not as many pixels as it says")
    memory = mmap.mmap(pixels, size, access=mmap.ACCESS_COPY)
    return np.frombuffer(memory, np.float32).reshape(rows, columns)


def _info(said: Mapping[str, Any]) -> dict[str, Any]:
    spacing, side, turn = said["spacing_mm"], said["laterality"], said["turn"]
    warnings = _list(said["warnings"])[:_MOST_WARNINGS]
    info: dict[str, Any] = {
        "spacing_mm": None if spacing is None else plausible_spacing(_numbers(spacing)),
        "laterality": None if side is None else str(Laterality(_text(side, 1))),
        "format": _text(said["format"], _LONGEST_FORMAT),
        "warnings": [_text(warning, _LONGEST_WARNING) for warning in warnings],
    }
    if turn is not None:
        stretch, transposed, flipped = _list(turn, 3)
        down, across = _numbers(stretch)
        first, second = _list(flipped, 2)
        info["turn"] = Turn((down, across), transposed is True, (first is True, second is True))
    return info


def _list(value: object, count: int | None = None) -> list[Any]:
    if not isinstance(value, list) or count not in (None, len(value)):
        raise TypeError("no list of that length")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TypeError("no count")
    return value


def _numbers(value: object) -> tuple[float, float]:
    first, second = (float(number) for number in _list(value, 2))
    if not (0 < first < 1e6 and 0 < second < 1e6):
        raise ValueError("out of range")
    return first, second


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value[:longest]
