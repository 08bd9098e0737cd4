"""What a compressed picture says of itself, read before anything is decoded.

A decoder allocates what the stream states. So the stream has to begin as one of its kind: a library
that knows many kinds would take another one for what it is; and it may say its size only once.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

_JPEG, _JPEG_2000 = b"\xff\xd8\xff", b"\xff\x4f\xff\x51"
_BOXES = b"\0\0\0\x0cjP  \r\n\x87\n"  # of a JP2 file around a JPEG 2000 stream
_MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")  # what neither JPEG nor JPEG-LS has in its data
_TABLES = (0xC4, 0xC8, 0xCC)  # among the codes of frames
_HIERARCHY, _LINES, _END, _SCAN, _FRAME_LS = 0xDE, 0xDC, 0xD9, 0xDA, 0xF7


class Codestream(NamedTuple):
    """The form of a JPEG, JPEG-LS or JPEG 2000 stream.

    Attributes:
        rows, columns: size of the picture.
        samples: samples of a pixel: 1 grey, 3 colour.
        bits: bits of a sample.
    """

    rows: int
    columns: int
    samples: int
    bits: int


def codestream_of(stream: bytes) -> Codestream | None:
    """The form of a stream; None for anything else than JPEG, JPEG-LS and JPEG 2000."""
    if stream.startswith(_JPEG):
        return _jpeg(stream)
    start = _boxed(stream) if stream.startswith(_BOXES) else 0
    if start is None or not stream.startswith(_JPEG_2000, start) or start + 43 > len(stream):
        return None
    width, height, left, top = struct.unpack_from(">4I", stream, start + 8)
    samples, depth = struct.unpack_from(">HB", stream, start + 40)
    return Codestream(height - top, width - left, samples, (depth & 0x7F) + 1)


def _boxed(stream: bytes) -> int | None:
    """Where the stream in a JP2 file begins: its first box of that kind, not what looks like it."""
    position = 0
    while position + 16 <= len(stream):
        length, kind = struct.unpack_from(">I4s", stream, position)
        head = 8
        if length == 1:
            head, (length,) = 16, struct.unpack_from(">Q", stream, position + 8)
        if kind == b"jp2c":
            return position + head
        if length < head:
            return None
        position += length
    return None


def _jpeg(stream: bytes) -> Codestream | None:
    """The one frame of a JPEG or JPEG-LS stream; None for several, and for one of unsaid height."""
    found, position = None, 2
    while position + 4 <= len(stream):
        prefix, code, length = struct.unpack_from(">BBH", stream, position)
        if prefix != 0xFF or code in (_HIERARCHY, _LINES):
            return None
        if code == _END:
            break
        if code == 0xFF or 0xD0 <= code <= 0xD7 or code == 1:  # filling, and markers of no content
            position += 1 if code == 0xFF else 2
            continue
        if code == _FRAME_LS or (0xC0 <= code <= 0xCF and code not in _TABLES):
            if found is not None or position + 10 > len(stream):
                return None
            bits, rows, columns, samples = struct.unpack_from(">BHHB", stream, position + 4)
            found = Codestream(rows, columns, samples, bits)
        position += 2 + length
        if code == _SCAN:
            next_one = _MARKER.search(stream, position)
            if next_one is None:
                break
            position = next_one.start()
    return found


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
