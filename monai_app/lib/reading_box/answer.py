"""What a process that has prepared a file says: a line of JSON, then the picture as plain numbers.

What comes from there is checked as if a stranger had written it, for that may be so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xr2mri_core.errors import InputError, RadiographError, UndecodableError, XR2MRIError, shown
from xr2mri_core.export.dicom_patient import patient_as_text, patient_from_text
from xr2mri_core.reading import PreparedRadiograph

log = logging.getLogger("xr2mri")

LONGEST_TEXT = 1 << 20
"""Most bytes of the line of JSON."""
ROOM = b"+"
"""What a process says before its answer where its picture is large; it then waits for a byte."""
_MOST_WARNINGS, _LONGEST_WARNING = 64, 2000

Warnings = Annotated[
    list[Annotated[str, Field(max_length=_LONGEST_WARNING)]], Field(max_length=_MOST_WARNINGS)
]
Spacing = tuple[Annotated[float, Field(gt=0, lt=1e6)], Annotated[float, Field(gt=0, lt=1e6)]]
Edge = Annotated[float, Field(gt=-1e6, lt=1e6)]
Whole = Annotated[int, Field(gt=-(10**6), lt=10**6)]
Word = Annotated[str, Field(max_length=16)]
Score = Annotated[float, Field(ge=0, le=1)]


class Request(TypedDict):
    """What a process is asked, beside the open file.

    Attributes:
        name: name of the file.
        size: rows and columns of the picture to be made.
        laterality, box: see `prepare_radiograph`.
    """

    name: str
    size: int
    laterality: str
    box: Sequence[int] | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _Knee(_Strict):
    side: Literal["R", "L"] | None
    score: Score
    source: Word
    joint: tuple[Edge, Edge, Edge, Edge]
    box: tuple[Whole, Whole, Whole, Whole]


class _Scale(_Strict):
    spacing_mm: Spacing
    relative_error: Score
    source: Word


class _Localization(_Strict):
    kind: Word
    rows: Annotated[int, Field(gt=0, lt=10**6)]
    columns: Annotated[int, Field(gt=0, lt=10**6)]
    spacing_mm: Spacing | None
    scale: _Scale | None
    knees: Annotated[list[_Knee], Field(max_length=2)]
    warnings: Warnings


class _Info(_Strict):
    """What travels of ``PreparedRadiograph.info``: what records and replies state of it."""

    format: Word
    laterality: Literal["R", "L"]
    mirrored: bool
    inverted: bool = False
    box: tuple[Whole, Whole, Whole, Whole]
    spacing_mm: Spacing | None
    localization: _Localization | None = None
    warnings: Warnings


class _Answer(_Strict):
    info: _Info
    patient: dict[str, Any] | None


def refused(error: XR2MRIError) -> bytes:
    """The answer to a file that cannot be used."""
    kind = "undecodable" if isinstance(error, UndecodableError) else "refused"
    return json.dumps({kind: str(error)[:_LONGEST_WARNING]}).encode() + b"\n"


def failed(error: BaseException) -> bytes:
    """The answer where a reader failed: what happened and where, and nothing of the file."""
    where = "nowhere"
    trace = error.__traceback__
    while trace is not None:
        where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return json.dumps({"failed": f"{type(error).__name__} in {where}"}).encode() + b"\n"


def packed(prepared: PreparedRadiograph) -> bytes:
    """The answer to a file that was prepared."""
    info = {name: prepared.info[name] for name in _Info.model_fields if name in prepared.info}
    info["warnings"] = _bounded(info["warnings"])
    if found := info.get("localization"):
        info["localization"] = {**found, "warnings": _bounded(found["warnings"])}
    patient = None if prepared.header is None else patient_as_text(prepared.header)
    line = _Answer(info=_Info(**info), patient=patient).model_dump_json()
    return line.encode() + b"\n" + prepared.picture.numpy().astype(np.float32).tobytes()


def _bounded(warnings: Sequence[str]) -> list[str]:
    return [warning[:_LONGEST_WARNING] for warning in warnings[:_MOST_WARNINGS]]


def understood(answer: bytes, name: str, size: int) -> PreparedRadiograph:
    """The radiograph that an answer tells of.

    Args:
        answer: what a process has said.
        name: name of the file that was prepared.
        size: rows and columns of the picture.

    Raises:
        RadiographError: that is the answer, or the reader failed, or the answer makes no sense.
    """
    line, _, pixels = bytes(answer).partition(b"\n")
    try:
        said = json.loads(line)
        for kind, error in (("undecodable", UndecodableError), ("refused", RadiographError)):
            if kind in said:
                raise error(str(said[kind])[:_LONGEST_WARNING])
        if "failed" in said:
            log.error("a reader failed: %s", shown(said["failed"]))
        reply = _Answer.model_validate_json(line)
        header = None if reply.patient is None else patient_from_text(reply.patient)
        return PreparedRadiograph(name, _picture(pixels, size), reply.info.model_dump(), header)
    except RadiographError:
        raise
    except (InputError, ValidationError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UndecodableError(
            f"{name}: a damaged file that cannot be decoded; export the radiograph again"
        ) from error


def length(size: int) -> int:
    """Bytes that an answer may have."""
    return LONGEST_TEXT + size * size * np.dtype(np.float32).itemsize


def _picture(pixels: bytes, size: int) -> torch.Tensor:
    """(1, 1, size, size) in [-1, 1]; raises ValueError."""
    picture = np.frombuffer(pixels, np.float32).reshape(1, 1, size, size).copy()
    if not np.all(np.abs(picture) <= 1):  # nor is NaN
        raise ValueError("no picture")
    return torch.from_numpy(picture)
