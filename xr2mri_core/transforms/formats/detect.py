"""Which of the three formats a file has, by its content, never by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from xr2mri_core.transforms.formats.metaimage import is_metaimage, open_metaimage
from xr2mri_core.transforms.formats.nifti import GZIP, is_nifti, open_nifti
from xr2mri_core.transforms.formats.nrrd import is_nrrd, open_nrrd
from xr2mri_core.transforms.formats.stored import FormatError, StoredImage, decompressed

HEAD = 540
"""Bytes that tell a format: the larger of the two NIfTI headers."""


class Format(NamedTuple):
    """A format: its name, whether the first bytes of a file are its, and what reads its header."""

    name: str
    matches: Callable[[bytes], bool]
    open: Callable[[BinaryIO, Path | None], StoredImage]


FORMATS = (
    Format("NIfTI", is_nifti, open_nifti),
    Format("NRRD", is_nrrd, open_nrrd),
    Format("MetaImage", is_metaimage, open_metaimage),
)


def head_of(stream: BinaryIO) -> bytes:
    """Return the first bytes of a file, of what a gzip file holds; the stream is rewound.

    Raises:
        OSError, EOFError, zlib.error: it cannot be read or inflated.
        FormatError: compressed, and not NIfTI.
    """
    head = stream.read(HEAD)
    stream.seek(0)
    if head.startswith(GZIP):
        head = decompressed(stream, "gzip").read(HEAD)
        stream.seek(0)
        if not is_nifti(head):
            raise FormatError("compressed by gzip, and not NIfTI")
    return head


def format_of(head: bytes) -> Format | None:
    """Return the format that starts with these bytes, None for another."""
    return next((known for known in FORMATS if known.matches(head)), None)


def open_stored(stream: BinaryIO, header: Path | None = None) -> StoredImage:
    """Read the header of an image in any of the formats.

    Args:
        stream: stream at its beginning.
        header: path of the file where the voxels may lie beside it; None where they may not.

    Raises:
        FormatError: the file is of another format, or its header cannot be used.
    """
    file_format = format_of(head_of(stream))
    if file_format is None:
        raise FormatError("neither NIfTI nor NRRD nor MetaImage")
    return file_format.open(stream, header)
