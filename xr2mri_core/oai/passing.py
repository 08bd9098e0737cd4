"""Failures that pass: what they keep from being read may be whole, and is tried again."""

from __future__ import annotations

import errno
from pathlib import Path

from xr2mri_core.errors import InputError, shown

UNREAD = "could not be read, run the same command again"
"""The reason, in the flow, of knees that a passing failure leaves out of one run."""

_OF_CONTENT = frozenset(
    {errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP}
)
"""What the system says where a file's content asks for nonsense: a place before its beginning, a
member of an archive within another."""


class Unread(InputError):
    """A file was not read, for a reason that tells nothing about what it holds."""


def unread(error: BaseException, name: str) -> Unread | None:
    """Return the passing failure behind an error, None where the content may be to blame.

    Passing are a disk or network that fails, too many open files, a lack of rights or memory.

    Args:
        error: it and its causes are looked at.
        name: name of what was read.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            return Unread(f"{name}: memory was not enough; use fewer processes")
        if isinstance(seen, OSError) and seen.errno not in (None, *_OF_CONTENT):
            file = f", {Path(str(seen.filename)).name}" if seen.filename else ""
            return Unread(f"{name}{file}: {seen.strerror or shown(seen)}")
        seen = seen.__cause__
    return None
