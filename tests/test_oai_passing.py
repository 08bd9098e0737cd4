"""What a passing failure keeps from being read is left out once, never for good."""

from __future__ import annotations

import errno
import gzip
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from oai_samples import FLASH, cheap_release, copied, selected_of, series_of

from xr2mri_core.errors import UndecodableError, VolumeError, WeightsError
from xr2mri_core.oai import convert, passing, pictures, release, series_files, volumes
from xr2mri_core.oai.convert import Converted, Job
from xr2mri_core.oai.pictures import Locate, middle_of_half
from xr2mri_core.oai.selection import Excluded

EIO = OSError(errno.EIO, "Input/output error")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    """One participant, whose scan was broken off and done again."""
    return cheap_release(tmp_path_factory.mktemp("phantoms"), 1)


def once(
    phantoms: Path, out: Path, locate: Locate = middle_of_half, form: str = "folders"
) -> Converted | Excluded:
    """What becomes of the one right knee."""
    root = phantoms / form
    found = release.read_release([root], [root], ["V00"])
    (knee,) = selected_of(found).candidates
    converted, excluded = convert.convert([Job(out, knee, FLASH, locate)])
    return [*converted, *excluded][0]


def failing(call, error: BaseException, where: str = ""):
    """``call``, but for an error where a path holds a text."""

    def failed(path, *args, **options):
        if where in str(path):
            raise error
        return call(path, *args, **options)

    return failed


def undecodable(path):
    """As the readers of radiographs tell of any failure."""
    try:
        raise EIO
    except OSError as error:
        raise UndecodableError("a damaged DICOM file that cannot be decoded") from error


def no_device(*_):
    raise RuntimeError("CUDA error: out of memory")


FAILURES = {
    "volume": (volumes, "dcmread", EIO, "MRI 10000007: Input/output error"),
    "memory": (volumes, "dcmread", MemoryError(), "memory was not enough"),
    "header": (pictures, "read_header", PermissionError(13, "Permission denied", "/a/001"),
               "radiograph 00000000, 001: Permission denied"),
    "film": (pictures, "read_radiograph", undecodable, "radiograph 00000000: Input/output error"),
}  # fmt: skip


@pytest.mark.parametrize("what", FAILURES)
def test_what_failed_in_passing_is_tried_again(phantoms, tmp_path, monkeypatch, what):
    module, name, failure, message = FAILURES[what]
    with monkeypatch.context() as patch:
        call = failure if callable(failure) else failing(getattr(module, name), failure)
        patch.setattr(module, name, call)
        found = once(phantoms, tmp_path)
        assert isinstance(found, Excluded) and found.reason == passing.UNREAD
        assert message in found.detail and "corrupt" not in found.detail
        assert found.step == ("picture" if module is pictures else "volume")
        assert not (tmp_path / "records").exists()
    assert isinstance(once(phantoms, tmp_path), Converted)


def test_a_detector_that_fails_says_nothing_of_the_film(phantoms, tmp_path):
    no_device.__name__ = middle_of_half.__name__  # so the record would be taken for the same
    found = once(phantoms, tmp_path, no_device)
    assert isinstance(found, Excluded) and found.reason == passing.UNREAD
    assert "the detector failed: RuntimeError('CUDA error" in found.detail
    assert isinstance(once(phantoms, tmp_path), Converted)


def test_a_detector_without_weights_ends_the_work(phantoms, tmp_path):
    def no_weights(*_):
        raise WeightsError("no weights") from FileNotFoundError(errno.ENOENT, "No such file")

    with pytest.raises(WeightsError):
        once(phantoms, tmp_path, no_weights)


def test_the_last_scan_is_not_replaced_for_a_passing_failure(phantoms, tmp_path, monkeypatch):
    spoilt = copied(phantoms, tmp_path / "release")
    last = series_of(spoilt, "COR_T1_3D_FLASH_RIGHT")
    first = min(
        folder
        for folder in last.parent.glob("1*")
        if pydicom.dcmread(next(folder.iterdir())).SeriesDescription == "COR_T1_3D_FLASH_RIGHT"
    )
    shutil.rmtree(first)
    shutil.copytree(last, first)
    with monkeypatch.context() as patch:
        patch.setattr(volumes, "dcmread", failing(volumes.dcmread, EIO, f"/{last.name}/"))
        assert isinstance(once(spoilt, tmp_path / "out"), Excluded)
    found = once(spoilt, tmp_path / "out")
    assert isinstance(found, Converted) and found.notes == (f"MRI {last.name} is the last of 2",)


def test_an_archive_that_cannot_be_opened_now(phantoms, tmp_path, monkeypatch):
    error = OSError(errno.EMFILE, "Too many open files")
    with monkeypatch.context() as patch:
        patch.setattr(series_files.tarfile, "open", failing(series_files.tarfile.open, error))
        found = once(phantoms, tmp_path, form="nda")
        assert isinstance(found, Excluded) and "Too many open files" in found.detail
    assert isinstance(once(phantoms, tmp_path, form="nda"), Converted)


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(phantoms, tmp_path, monkeypatch):
    folder = series_of(phantoms, "COR_T1_3D_FLASH_RIGHT")
    monkeypatch.setattr(
        series_files.os, "scandir", failing(series_files.os.scandir, EIO, folder.name)
    )
    with pytest.raises(OSError, match="Input/output"), series_files.opened(folder):
        pass


@pytest.mark.parametrize(
    "error",
    [
        gzip.BadGzipFile("not a gzip file"),
        OSError("image file is truncated"),
        OSError(errno.EINVAL, "Invalid argument"),  # a place before the file's beginning
        NotADirectoryError(errno.ENOTDIR, "Not a directory"),
        EOFError(),
        RuntimeError("decoder"),
    ],
)
def test_what_the_content_is_to_blame_for_is_kept(phantoms, tmp_path, monkeypatch, error):
    assert passing.unread(error, "MRI 1") is None
    with monkeypatch.context() as patch:
        patch.setattr(volumes, "dcmread", failing(volumes.dcmread, error))
        found = once(phantoms, tmp_path)
        assert isinstance(found, Excluded) and found.reason == "a corrupt file"
    assert once(phantoms, tmp_path) == found


def test_causes_are_looked_at():
    try:
        try:
            raise EIO
        except OSError as error:
            raise VolumeError("a corrupt file") from error
    except VolumeError as error:
        assert str(passing.unread(error, "MRI 1")) == "MRI 1: Input/output error"
    assert passing.unread(np.linalg.LinAlgError("singular"), "MRI 1") is None
