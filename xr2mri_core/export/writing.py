"""A generated volume as files: volume, contact sheet and record, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.errors import OutputError
from xr2mri_core.export.dicom import write_dicom_series
from xr2mri_core.export.files import write_json, write_nifti, write_nrrd, write_png
from xr2mri_core.export.pictures import montage
from xr2mri_core.files import atomic_files
from xr2mri_core.geometry import volume_to_slices
from xr2mri_core.volume import NOTICE, GeneratedVolume

VolumeFormat = Literal["nifti", "nrrd", "dicom"]
SUFFIXES: dict[str, str] = {"nifti": ".nii.gz", "nrrd": ".nrrd", "dicom": "_dicom"}
"""What follows the name; DICOM is a folder of files, see `dicom`."""


class Written(dict[str, Path]):
    """What was written, by what it is.

    Attributes:
        files: every file of it; a folder may hold others, too.
    """

    files: list[Path]


def volumes_of(generated: GeneratedVolume) -> Iterator[tuple[str, str, NDArray[np.float32], str]]:
    """Each volume that there is: ``volume``, ``mean`` or ``std``; what it is (of the first, sample
    or mean); its voxels; and the description for its file.
    """
    seed = generated.record.get("seed", "?")
    volumes = {"volume": generated.volume, "mean": generated.mean, "std": generated.std}
    for kind, volume in volumes.items():
        if volume is not None:
            what = generated.kind if kind == "volume" else kind
            yield kind, what, volume, f"XR2MRI {what}, {NOTICE}, seed {seed}"


def write_generated(
    generated: GeneratedVolume,
    folder: Path | str,
    name: str = "generated",
    volume_format: VolumeFormat = "nifti",
) -> Written:
    """Write the volume (and mean and std, if sampled), its montage and its record into ``folder``.

    Args:
        generated: what to write.
        folder: where, created if needed.
        name: stem of the files; a volume's has what it is behind it: `sample`, `mean` or `std`.
        volume_format: one of `SUFFIXES`.

    Returns:
        What was written: ``volume``, ``montage``, ``record`` and, for several samples, ``mean``,
        ``std``; as DICOM, ``volume`` is one folder with the series of all three.

    Raises:
        OutputError: nothing was written.
    """
    if volume_format not in SUFFIXES:
        accepted = ", ".join(SUFFIXES)
        raise OutputError(f"unknown volume format '{volume_format}'; accepted: {accepted}")
    folder, suffix = Path(folder), SUFFIXES[volume_format]
    is_dicom = volume_format == "dicom"
    write_volume = write_nifti if volume_format == "nifti" else write_nrrd
    written = Written({"volume": folder / f"{name}{suffix}"} if is_dicom else {})
    with atomic_files(folder) as files:
        for kind, what, volume, description in () if is_dicom else volumes_of(generated):
            written[kind] = folder / f"{name}_{what}{suffix}"
            write_volume(files.path(written[kind]), volume, generated.affine, description)
        written["montage"] = folder / f"{name}.png"
        sheet = montage(volume_to_slices(generated.volume), generated.radiograph, tiles=11)
        write_png(files.path(written["montage"]), sheet)
        written["record"] = folder / f"{name}.json"
        names = {kind: path.name for kind, path in written.items()}
        write_json(files.path(written["record"]), {**generated.record, "files": names})
        written.files = list(written.values())
        if is_dicom:  # last, for these files are a set of their own, whole or absent
            written.files[:1] = write_dicom_series(generated, written["volume"])
    return written
