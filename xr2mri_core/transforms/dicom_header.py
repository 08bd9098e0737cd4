"""The header of a DICOM file, and its values as text and numbers, also where they break the rules.

Real headers hold empty numbers, decimal commas and lower-case codes. What can be understood is;
what cannot is named by its tag.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from xr2mri_core.errors import UndecodableError, shown
from xr2mri_core.transforms.dicom_text import settle_character_set

_OF_A_FRAME = (
    "PixelMeasuresSequence", "PlaneOrientationSequence", "PatientOrientationInFrameSequence",
    "FramePixelDataPropertiesSequence", "PixelValueTransformationSequence", "FrameAnatomySequence",
    "FrameDisplayShutterSequence",
)  # fmt: skip
"""Functional groups with attributes that a radiograph of the plain kind has itself."""

MOST_READS = 60_000
"""Reads of a file that the parser may make: two or three for each element, of which radiographs
have some hundred."""


def is_dicom(head: bytes) -> bool:
    """Say whether a file starts like DICOM, with the preamble or, as old files do, without."""
    return head[128:132] == b"DICM" or head[:2] in (b"\x02\0", b"\x08\0")


def read_header(source: str | Path | BinaryIO) -> Dataset:
    """The attributes of a DICOM file, without its pixels, its text decoded as far as it can be."""
    dataset = read_dataset(source, stop_before_pixels=True)
    settle_character_set(dataset)
    return dataset


def read_dataset(source: str | Path | BinaryIO, **options: Any) -> Dataset:
    """A DICOM file as pydicom reads it; its transfer syntax is set where the file states none.

    Files of the enhanced kinds keep spacing, orientation, rescaling and side in the functional
    groups of their frames (PS3.3, C.7.6.16): of a single frame they are those of the picture.

    Args:
        source: path, or a stream that can be rewound.
        options: options of `pydicom.dcmread`.

    Raises:
        UndecodableError: the file is deflated, or has too many elements.
    """
    with _opened(source) as stream:
        stream.seek(0)
        has_preamble = stream.read(132)[128:] == b"DICM"
        stream.seek(0)
        dataset = dcmread(_Bounded(stream), force=not has_preamble, **options)  # type: ignore[arg-type]
    if (
        "TransferSyntaxUID" not in dataset.file_meta
    ):  # an old file: only data, known by its structure
        implicit = dataset.is_implicit_VR
        dataset.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        )
    _take_from_frame(dataset)
    return dataset


def _take_from_frame(dataset: Dataset) -> None:
    """Set what functional groups say of the first frame, where the file itself says nothing."""
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        frame = item_of(dataset, groups) or Dataset()
        for said in (item_of(frame, keyword) or Dataset() for keyword in _OF_A_FRAME):
            for tag in [*said.keys()]:
                if (held := dataset.get_item(tag)) is None or held.value in (None, b"", ""):
                    dataset[tag] = said.get_item(tag)


@contextmanager
def _opened(source: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, str | Path):
        with Path(source).open("rb") as stream:
            yield stream
    else:
        yield source


class _Bounded:
    """A stream that the parser can make no more of than the file holds.

    It bounds what the parser does, rather than to find out beforehand what it will do. The parser
    asks for all that is left in one case alone: to inflate it, whatever that may come to.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._reads = stream, 0
        self.seek, self.tell, self.close = stream.seek, stream.tell, stream.close
        here = stream.tell()
        self._end = stream.seek(0, 2)
        stream.seek(here)

    def read(self, count: int = -1) -> bytes:
        if count < 0:
            raise UndecodableError(
                "transfer syntax Deflated Explicit VR Little Endian; export it uncompressed"
            )
        self._reads += 1
        if self._reads > MOST_READS:
            raise UndecodableError("has too many elements for a radiograph; export it again")
        return self._stream.read(min(count, max(0, self._end - self._stream.tell())))


def syntax_of(dataset: Dataset) -> UID:
    """The transfer syntax of a file that was read by `read_dataset`."""
    return UID(dataset.file_meta.TransferSyntaxUID)


def named(keyword: str) -> str:
    """An attribute as messages name it, e.g. ``RescaleSlope (0028,1053)``."""
    tag = Tag(tag_for_keyword(keyword) or 0)
    return f"{keyword} ({tag.group:04X},{tag.elem:04X})"


def texts_of(dataset: Dataset, keyword: str) -> list[str]:
    """The values of an attribute as they are written, without spaces around; [] for none."""
    try:
        value = dataset[keyword].value
    except KeyError:
        return []
    except Exception:  # pydicom refuses what breaks the rules of its type
        value = dataset.get_item(keyword).value
    if value is None:
        return []
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        value = value.split("\\")
    several = value if isinstance(value, list | tuple | MutableSequence) else [value]
    return ["" if one is None else str(one).strip(" \0") for one in several]


def item_of(dataset: Dataset, keyword: str) -> Dataset | None:
    """The first item of a sequence, None where there is none."""
    try:
        item = dataset[keyword].value[0]
    except (KeyError, IndexError, TypeError):
        return None
    return item if isinstance(item, Dataset) else None


def text_of(dataset: Dataset, keyword: str) -> str:
    """The first value of an attribute, "" where there is none."""
    return next(iter(texts_of(dataset, keyword)), "")


def code_of(dataset: Dataset, keyword: str) -> str:
    """The first value of an attribute that is written in capitals, such as Modality."""
    return text_of(dataset, keyword).upper()


def photometric_of(header: Dataset) -> str:
    """Photometric Interpretation; ``MONOCHROME 1`` and the like are read as they are meant."""
    written = code_of(header, "PhotometricInterpretation")
    meant = re.sub(r"[\s_-]", "", written)
    return meant if meant in ("MONOCHROME1", "MONOCHROME2") else written


def numbers_of(dataset: Dataset, keyword: str) -> list[float]:
    """The numbers of an attribute, [] where it is missing or empty; a decimal comma is read.

    Raises:
        UndecodableError: one of them is no number.
    """
    texts = texts_of(dataset, keyword)
    try:
        numbers = [float(text.replace(",", ".")) for text in texts if text]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise UndecodableError(
            f"{named(keyword)} is {shown(chr(92).join(texts))}, which is no number; "
            "mend it, or export the radiograph again"
        )
    return numbers


def number_of(dataset: Dataset, keyword: str, default: float) -> float:
    """The first of `numbers_of`, or ``default``."""
    return next(iter(numbers_of(dataset, keyword)), default)


def whole_of(dataset: Dataset, keyword: str, default: int) -> int:
    """`number_of` as a whole number."""
    number = number_of(dataset, keyword, default)
    if number != int(number):
        raise UndecodableError(f"{named(keyword)} is {number:g}, which is no whole number")
    return int(number)
