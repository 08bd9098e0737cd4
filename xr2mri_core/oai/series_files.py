"""The files of one series, in a folder or in an archive."""

from __future__ import annotations

import errno
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from xr2mri_core.errors import OutputError, VolumeError, shown
from xr2mri_core.oai.dicom_files import is_other, pictures_among
from xr2mri_core.oai.places import archive_suffix


@contextmanager
def opened(path: Path) -> Iterator[list[Path]]:
    """Hand out the pictures of a series, unpacked for as long as the context lasts.

    Args:
        path: a folder, or an archive (tar.gz, tgz, tar, zip), whose plain files are unpacked and
            nothing else.

    Returns:
        The files in the order of their names, without those that are no pictures.

    Raises:
        VolumeError: if an archive is damaged or there is no file.
        OutputError: if there is no space to unpack.
        OSError: if a folder cannot be listed.
    """
    if path.is_dir():
        yield _files(path)
        return
    with TemporaryDirectory(prefix="xr2mri-oai-") as folder:
        try:
            _unpack(path, folder)
        except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError, ValueError, zlib.error,
                RuntimeError) as error:  # fmt: skip
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise OutputError(
                    f"no space to unpack {path.name} in {folder}; free some"
                ) from error
            raise VolumeError(
                f"a damaged archive: {path.name} ({shown(error)}); download it again"
            ) from error
        yield _files(Path(folder))


def _unpack(path: Path, folder: str) -> None:
    if archive_suffix(path.name) == ".zip":
        with zipfile.ZipFile(path) as packed:
            packed.extractall(folder)
        return
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")


def _files(folder: Path) -> list[Path]:
    found = list(_walked(folder))
    if not found:
        raise VolumeError(f"an empty folder: {folder.name}; download the series again")
    pictures = pictures_among(found)
    if not pictures:
        raise VolumeError(f"no picture: {len(found)} other files, such as {found[0].name}")
    return pictures


def _walked(folder: Path) -> Iterator[Path]:
    def failed(error: OSError) -> None:  # rglob would take a folder that fails for an empty one
        raise error

    for where, _, names in os.walk(folder, onerror=failed):
        for name in sorted(names):
            path = Path(where, name)
            if path.is_file():
                yield path


def count_files(path: Path) -> int | None:
    """Return how many pictures a series in a folder has; None for an archive (it takes long)."""
    if not path.is_dir():
        return None
    return sum(not is_other(file.name) for file in _walked(path))
