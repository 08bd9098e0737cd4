"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


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
