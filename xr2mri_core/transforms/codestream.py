"""What a compressed picture says of itself, read before anything is decoded."""

from __future__ import annotations

import struct
from typing import NamedTuple


class Codestream(NamedTuple):
    """The form of a JPEG, JPEG-LS or JPEG 2000 stream.

    Attributes:
        rows, columns: of the picture.
        samples: of a pixel: 1 grey, 3 colour.
        bits: of a sample.
    """

    rows: int
    columns: int
    samples: int
    bits: int


def codestream_of(stream: bytes) -> Codestream | None:
    """The form of a stream; None for anything else than JPEG, JPEG-LS and JPEG 2000."""
    start = stream.find(b"\xff\x4f\xff\x51", 0, 4096)  # JPEG 2000: SOC marker, then SIZ segment
    if start >= 0 and start + 43 <= len(stream):
        width, height, left, top = struct.unpack_from(">4I", stream, start + 8)
        samples, depth = struct.unpack_from(">HB", stream, start + 40)
        return Codestream(height - top, width - left, samples, (depth & 0x7F) + 1)
    position = 2
    while stream[:2] == b"\xff\xd8" and position + 10 <= len(stream):
        prefix, code, length, bits, rows, columns, samples = struct.unpack_from(
            ">BBHBHHB", stream, position
        )
        if prefix != 0xFF:
            return None
        if code == 0xF7 or (0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC)):
            return Codestream(rows, columns, samples, bits)
        position += 1 if code == 0xFF else 2 + length
    return None


def rle_length(segment: bytes, most: int) -> int:
    """Bytes that a segment of DICOM's RLE unpacks to (PS3.5, annex G), counted up to ``most``."""
    length = position = 0
    while position < len(segment) and length <= most:
        control = segment[position]
        if control < 128:
            length, position = length + control + 1, position + control + 2
        elif control > 128:
            length, position = length + 257 - control, position + 2
        else:
            position += 1
    return length
