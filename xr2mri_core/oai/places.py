"""Where what a release lists lies on the disk.

Lists name paths from a root that the download need not have kept: ``s3://bucket/submission/00m/
0.C.2/9000099/20050811/10283903.tar.gz`` may lie in ``package_123/image03/00m/0.C.2/...``, as an
archive of another kind, or unpacked, as a folder of the archive's stem.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from xr2mri_core.oai.folders import folders_near

ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")


def stem_of(name: str) -> str:
    """Return a name without an archive's suffix."""
    suffix = archive_suffix(name)
    return name[: -len(suffix)] if suffix else name


def archive_suffix(name: str) -> str:
    """Return the suffix of an archive, empty for anything else."""
    return next((suffix for suffix in ARCHIVES if name.lower().endswith(suffix)), "")


class Places:
    """Finds listed series below some folders.

    Every folder is read once, however many series are looked for in it: a release lists a hundred
    thousand of them, of which few may have been downloaded. Upper and lower case are the same, and
    so are numbers without their leading zeros.

    Args:
        folders: searched in this order, with up to four levels of folders below (numbers of
            packages, visits, image releases) as roots of the listed paths.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._read: dict[Path, dict[str, list[tuple[str, bool]]]] = {}
        self.roots = list(dict.fromkeys(root for f in folders for root in folders_near(f)))

    def find(self, listed: PurePosixPath) -> Path | None:
        """Return the folder or archive of a series, by as much of its path as there is."""
        parts = [part for part in listed.parts if part not in ("/", "..", ".")]
        if not parts:
            return None
        for start in range(max(1, len(parts) - 2)):
            for root in self.roots:
                if found := self._below(root, parts[start:]):
                    return found
        return None

    def _below(self, root: Path, parts: Sequence[str]) -> Path | None:
        folder = root
        for part in parts[:-1]:
            same = self._entries(folder).get(_key(part), [])
            names = [name for name, is_folder in same if is_folder]
            if not names:
                return None
            folder /= part if part in names else names[0]
        last = parts[-1]
        same = self._entries(folder).get(_key(stem_of(last)), [])
        usable = [name for name, is_folder in same if is_folder or archive_suffix(name)]
        if not usable:
            return None
        return folder / min(usable, key=lambda name: (name != last, _rank(name), name))

    def _entries(self, folder: Path) -> dict[str, list[tuple[str, bool]]]:
        """Key of a name -> the names that share it, each with whether it is a folder."""
        if folder not in self._read:
            found = self._read[folder] = {}
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        key = _key(stem_of(entry.name))
                        found.setdefault(key, []).append((entry.name, entry.is_dir()))
            except OSError:  # what is listed there is not at hand
                pass
        return self._read[folder]


def _key(name: str) -> str:
    return (name.lstrip("0") or "0") if name.isdigit() else name.lower()


def _rank(name: str) -> int:
    suffix = archive_suffix(name)
    return ARCHIVES.index(suffix) + 1 if suffix else 0
