"""The pages that a fork touches when it reads a file: found out once, and asked for ahead.

A fork has the memory of its parent, but pays for each page of it when it touches it first: with a
copy where it writes, with an entry in its table where it reads code. That is some microseconds,
thousands of times. So one fork reads a usual radiograph before there is any file of a client, and
tells which pages are its own by then; each later one asks for all of these at once, while it waits
for its file.

Linux tells it in ``/proc/self/pagemap`` (5.14 for what asks, `madvise`); elsewhere nothing is found
out, and pages come when they are touched.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_PRESENT, _OF_A_FILE, _ONLY_HERE = (np.uint64(1 << bit) for bit in (63, 61, 56))
_READ, _WRITE = 22, 23  # MADV_POPULATE_READ, MADV_POPULATE_WRITE
_GAP = 4
"""Pages between two that are touched, which are taken along: each call costs as much as some."""

Spans = list[tuple[int, int]]
"""First address and bytes."""


@dataclass(frozen=True)
class Pages:
    """The pages to ask for.

    Attributes:
        read: pages of files, which are only read: its code above all.
        written: pages of its parent's, of which it writes its own copies.
    """

    read: Spans = field(default_factory=list)
    written: Spans = field(default_factory=list)

    @classmethod
    def of(cls, work: Callable[[], object]) -> Pages:
        """Those that a fork of this process touches while it does something."""
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                before = list(_writable_and_others())
                work()
                touched = [list(spans) for spans in _touched(before)]
                with os.fdopen(writing, "wb") as pipe:
                    for spans in touched:
                        array = np.array(spans, np.int64).reshape(-1, 2)
                        pipe.write(len(array).to_bytes(8, "little") + array.tobytes())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            content = pipe.read()
        os.waitpid(process, 0)
        return cls(*_spans_of(content))

    def ask_for(self) -> None:
        """Ask for all of them now; what is not given now comes when it is touched."""
        advise = ctypes.CDLL(None).madvise
        advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for spans, how in ((self.read, _READ), (self.written, _WRITE)):
            for start, length in spans:
                advise(start, length, how)


def _spans_of(content: bytes) -> Iterator[Spans]:
    """What the fork has reported; nothing where it has failed."""
    while len(content) >= 8:
        count = int.from_bytes(content[:8], "little")
        numbers = np.frombuffer(content[8 : 8 + 16 * count], np.int64)
        yield [(int(start), int(length)) for start, length in numbers.reshape(-1, 2)]
        content = content[8 + 16 * count :]


def _writable_and_others() -> Iterator[tuple[int, int, bool]]:
    """The mappings of this process: first and last address, and whether they may be written."""
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text().splitlines():
            ends, access, *_ = line.split()
            start, end = (int(text, 16) for text in ends.split("-"))
            if access[3] == "p" and access[0] == "r" and "[v" not in line:  # no vdso, no vvar
                yield start, end, access[1] == "w"


def _touched(mappings: list[tuple[int, int, bool]]) -> tuple[Spans, Spans]:
    """The pages of these mappings that this process, a fork, has read from files, or written."""
    read: Spans = []
    written: Spans = []
    with suppress(OSError), open("/proc/self/pagemap", "rb", 0) as pagemap:
        for start, end, writable in mappings:
            pagemap.seek(8 * (start // mmap.PAGESIZE))
            entries = np.frombuffer(pagemap.read(8 * ((end - start) // mmap.PAGESIZE)), np.uint64)
            here, of_a_file = entries & _PRESENT != 0, entries & _OF_A_FILE != 0
            own = here & ~of_a_file & (entries & _ONLY_HERE != 0)
            if writable:
                written += _spans(own, start)
            read += _spans(here & of_a_file, start)
    return read, written


def _spans(wanted: NDArray[np.bool_], start: int) -> Iterator[tuple[int, int]]:
    """Where pages are wanted, with small gaps taken along."""
    places = np.flatnonzero(wanted)
    if not places.size:
        return
    breaks = np.flatnonzero(np.diff(places) > _GAP)
    firsts = places[np.concatenate([[0], breaks + 1])]
    lasts = places[np.concatenate([breaks, [places.size - 1]])]
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        yield start + first * mmap.PAGESIZE, (last - first + 1) * mmap.PAGESIZE
