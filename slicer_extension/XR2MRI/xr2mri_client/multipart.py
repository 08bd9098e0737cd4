"""The body of a request with a file, made while it is sent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from .errors import BadReply
from .texts import tr as _

PIECE = 1 << 16
"""Bytes that are read at a time."""


class MultipartForm:
    """A multipart form with one file, made while it is sent.

    Args:
        fields: fields of the form.
        file: open for reading, at its start.
        size: bytes of the file.
        sent: called with the bytes that are gone and those in all.
        check: called between the pieces; what it raises ends the upload.
    """

    def __init__(
        self,
        fields: Mapping[str, str],
        file: BinaryIO,
        size: int,
        sent: Callable[[int, int], None],
        check: Callable[[], None],
    ) -> None:
        edge = f"xr2mri-{os.urandom(16).hex()}"
        head = "".join(
            f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        # never the file's own name: it may be the patient's
        head += f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="radiograph"'
        head += "\r\nContent-Type: application/octet-stream\r\n\r\n"
        self.content_type = f"multipart/form-data; boundary={edge}"
        self._head, self._tail = head.encode(), f"\r\n--{edge}--\r\n".encode()
        self._file, self._left, self._size = file, size, size
        self._sent, self._check = sent, check

    def __len__(self) -> int:
        """Number of bytes in all, for Content-Length."""
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        while True:
            piece = self.read(PIECE)
            if not piece:
                return
            yield piece

    def read(self, size: int = -1) -> bytes:
        """The next bytes, up to `size` of them."""
        self._check()
        if size < 0:
            return b"".join(self)
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        if self._left:
            piece = self._file.read(min(size, self._left))
            if not piece:  # it has shrunk since it was measured
                raise BadReply(_("The radiograph changed while it was being sent."))
            self._left -= len(piece)
            self._sent(self._size - self._left, self._size)
            return piece
        piece, self._tail = self._tail[:size], self._tail[size:]
        return piece
