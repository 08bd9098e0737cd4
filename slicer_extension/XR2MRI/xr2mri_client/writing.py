"""Files that are there as a whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from .texts import tr as _

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_whole(path: Path, text: str, private: bool = False) -> None:
    """Write a file; whatever ends this leaves the old one, or none.

    Args:
        path: the file.
        text: its content.
        private: whether no other user may read it at any moment.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
    with os.fdopen(opened, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(part, path)


def why_not_written(error: OSError, folder: Path) -> tuple[str, str] | None:
    """What a system's refusal to write in a folder means, and what mends it; None where that is not
    what it refuses."""
    if error.errno in _FULL:
        message = _("The disk of {folder} is full.")
        return message.format(folder=folder), _("Make room, and try again.")
    at = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else folder
    if error.errno in _FORBIDDEN and (folder in (at, *at.parents) or at in folder.parents):
        message = _("{folder} cannot be written: {why}.")
        remedy = _("Allow yourself to write there, or choose another folder.")
        return message.format(folder=folder, why=error.strerror), remedy
    return None
