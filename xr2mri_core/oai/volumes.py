"""One DICOM series becomes one volume, or the reason why it must not.

Pictures are ordered by their position along the slice normal, never by name or number. What does
not make one regular volume is refused: two pictures at one position (several echoes, a rescan in
the same folder), a gap, slices of different size or orientation, another plane than the sequence's,
a side that contradicts the release's list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from xr2mri_core.errors import InputError, VolumeError, shown
from xr2mri_core.geometry import Laterality
from xr2mri_core.oai.dicom_files import completed, is_bare
from xr2mri_core.oai.sequences import Sequence, kind_of
from xr2mri_core.oai.values import participant_of
from xr2mri_core.transforms.dicom_pixels import rescaled

PLANES = ("sagittal", "coronal", "axial")
_UNEVEN = 0.1  # of the slice spacing, by which a step between slices may differ
_TILTED = 1e-3  # by which direction cosines of one volume may differ
_OBLIQUE = 0.7  # cosine between slice normal and axis above which a plane keeps its name
_FAR_MM = 20.0  # from the middle, beyond which the scanner's coordinates tell the side
_SHARED = ("Rows", "Columns", "PixelSpacing")


@dataclass(frozen=True)
class Volume:
    """A volume as it was acquired, turned to RAS.

    Attributes:
        voxels: int16 or float32 (X, Y, Z), RAS: axis 1 from posterior to anterior.
        affine: float64 (4, 4), mm.
        synthetic: whether its files say that it was made and not acquired.
        notes: what was left out or is odd, for the record.
    """

    voxels: NDArray[np.int16 | np.float32]
    affine: NDArray[np.float64]
    synthetic: bool
    notes: tuple[str, ...] = ()

    def profile(self, axis: int) -> list[float]:
        """The mean grey value of each slice along a RAS axis."""
        others = tuple(other for other in range(3) if other != axis)
        return [float(value) for value in self.voxels.mean(axis=others, dtype=np.float64)]


def read_series(
    files: SequenceOf[Path], sequence: Sequence, side: Laterality, participant: str = ""
) -> Volume:
    """Read the files of one MR series as one volume.

    Args:
        files: every file of the series.
        sequence: what it should be: its plane and its number of slices are checked.
        side: side of the knee, as the release lists it.
        participant: identifier as the release lists it; empty to leave PatientID unchecked.

    Returns:
        The volume, RAS.

    Raises:
        VolumeError: in a few words, then the particulars after a colon.
    """
    headers = [_header(path) for path in files]
    notes: list[str] = []
    if sequence.reformatted:
        headers, notes = _without_reference(headers)
    _check_identity(headers, sequence, side, participant)
    _check_shared(headers)
    orientation = _orientation(headers)
    positions = np.array([_numbers(header, "ImagePositionPatient", 3) for header in headers])
    normal = np.cross(orientation[:3], orientation[3:])
    _check_plane(normal, sequence)
    places = np.asarray(positions @ normal, np.float64)
    order = np.argsort(places, kind="stable")
    step = _slice_step(headers, places, order)
    _check_count(len(headers), sequence)
    lps = _affine(headers[0], orientation, positions[order], step)
    pixels = np.stack([_pixels(headers[index]) for index in order], axis=-1)  # rows, columns, n
    image = nib.as_closest_canonical(
        nib.Nifti1Image(pixels.swapaxes(0, 1), np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps)
    )
    voxels = np.ascontiguousarray(image.dataobj)
    if voxels.min() == voxels.max():
        raise VolumeError("an empty volume: every voxel is the same")
    notes += _side_note(image, side)
    return Volume(voxels, image.affine, is_synthetic(headers[0]), tuple(notes))


def is_synthetic(header: Dataset) -> bool:
    """Whether a DICOM file says that no patient was imaged."""
    return str(header.get("QualityControlSubject") or "") == "YES" and "XR2MRI" in str(
        header.get("Manufacturer") or ""
    )


def _header(path: Path) -> Dataset:
    try:
        header = completed(dcmread(path, force=is_bare(path), defer_size="1 KB"))
        if "PixelData" not in header:
            raise EOFError("no pixels")
        _numbers(header, "ImageOrientationPatient", 6)
        _numbers(header, "ImagePositionPatient", 3)
        return header
    except Exception as error:
        raise VolumeError(f"a corrupt file: {path.name} ({shown(error)})") from error


def _numbers(header: Dataset, keyword: str, count: int) -> NDArray[np.float64]:
    values = np.array([float(value) for value in header.get(keyword) or ()])
    if values.shape != (count,) or not np.isfinite(values).all():
        raise VolumeError(f"no {keyword}: {shown(header.get(keyword))}")
    return values


def _without_reference(headers: list[Dataset]) -> tuple[list[Dataset], list[str]]:
    """Leave out the few reference images in another plane that reformats begin with."""
    planes = [_plane(_numbers(header, "ImageOrientationPatient", 6)) for header in headers]
    main, _ = Counter(planes).most_common(1)[0]
    kept = [header for header, plane in zip(headers, planes, strict=True) if plane == main]
    left_out = len(headers) - len(kept)
    if left_out == 0 or left_out > 2:
        return headers, []
    return kept, [f"{left_out} reference image in another plane left out"]


def _plane(orientation: NDArray[np.float64]) -> int:
    return int(np.abs(np.cross(orientation[:3], orientation[3:])).argmax())


def _check_identity(
    headers: list[Dataset], sequence: Sequence, side: Laterality, participant: str
) -> None:
    """Refuse a series that says it is somebody else's, another sequence's or another side's."""
    series = {str(header.get("SeriesInstanceUID") or "") for header in headers}
    if len(series) > 1:
        raise VolumeError(f"several series in one folder: {len(series)} SeriesInstanceUIDs")
    header = headers[0]
    patient = participant_of(header.get("PatientID"))
    if participant and patient and patient != participant:
        raise VolumeError(f"another participant: its files say {patient}, the list {participant}")
    description = str(header.get("SeriesDescription") or "")
    kind = kind_of(description)
    if kind is not None and kind.name != sequence.name:
        raise VolumeError(f"another sequence: its files say {description}")
    _check_side(side, "its SeriesDescription", kind.side if kind else None)
    for keyword in ("ImageLaterality", "Laterality"):
        try:
            _check_side(side, f"its {keyword}", Laterality.parse(header.get(keyword)))
        except VolumeError:
            raise
        except InputError:
            continue  # "B", or a slip of the pen: says nothing about the side


def _check_side(listed: Laterality, where: str, found: Laterality | None) -> None:
    if found is not None and found is not listed:
        raise VolumeError(f"laterality conflict: {where} says {found}, the release's list {listed}")


def _check_shared(headers: list[Dataset]) -> None:
    for keyword in _SHARED:
        values = {str(header.get(keyword)) for header in headers}
        if len(values) > 1:
            raise VolumeError(f"slices of different {keyword}: {shown(sorted(values))}")


def _orientation(headers: list[Dataset]) -> NDArray[np.float64]:
    cosines = np.array([_numbers(header, "ImageOrientationPatient", 6) for header in headers])
    if np.ptp(cosines, axis=0).max() > _TILTED:
        raise VolumeError("slices of different orientation: no single volume")
    row, column = cosines[0, :3], cosines[0, 3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(np.dot(row, column)), *(abs(length - 1) for length in lengths)) > 0.01:
        raise VolumeError(f"wrong orientation: {shown(cosines[0].tolist())} are no axes")
    return cosines[0]


def _slice_step(
    headers: list[Dataset], places: NDArray[np.float64], order: NDArray[np.int64]
) -> float:
    """Return the spacing of the slices, mm; refuse what is not evenly spaced."""
    if len(headers) < 2:
        raise VolumeError("a single picture: no volume")
    steps = np.diff(places[order])
    step = float(np.median(steps))
    doubled = int((steps < _UNEVEN * max(step, 0.01)).sum())
    if doubled:
        echoes = sorted({str(header.get("EchoTime") or "") for header in headers})
        why = f"{len(echoes)} echo times" if len(echoes) > 1 else "a repeated scan?"
        raise VolumeError(f"duplicate slice positions: {doubled} of {len(headers)} ({why})")
    if (np.abs(steps - step) > _UNEVEN * step).any():
        gaps = int(np.rint(steps / step - 1).clip(0).sum())
        raise VolumeError(f"missing slice positions: {gaps or 'uneven'} between {len(headers)}")
    return step


def _check_plane(normal: NDArray[np.float64], sequence: Sequence) -> None:
    axis = int(np.abs(normal).argmax())
    if axis != sequence.axis or abs(normal[axis]) < _OBLIQUE:
        raise VolumeError(
            f"wrong orientation: slices are {PLANES[axis]} or oblique, "
            f"{sequence.name} is {PLANES[sequence.axis]}"
        )


def _check_count(count: int, sequence: Sequence) -> None:
    least, most = sequence.slices
    if not least <= count <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise VolumeError(f"number of slices: {count}, {sequence.name} has {wanted}")


def _affine(
    header: Dataset, orientation: NDArray[np.float64], positions: NDArray[np.float64], step: float
) -> NDArray[np.float64]:
    """Return the affine (4, 4) of an array (column, row, slice) in DICOM's LPS space."""
    rows, columns = _numbers(header, "PixelSpacing", 2)
    if not min(rows, columns) > 0:
        raise VolumeError(f"PixelSpacing: {rows} x {columns} mm")
    affine = np.eye(4)
    affine[:3, 0] = orientation[:3] * columns
    affine[:3, 1] = orientation[3:] * rows
    affine[:3, 2] = np.cross(orientation[:3], orientation[3:]) * step
    affine[:3, 3] = positions[0]
    return affine


def _pixels(header: Dataset) -> NDArray[np.int16 | np.float32]:
    """Return the picture (rows, columns), rescaled; int16 where that loses nothing."""
    try:
        values = rescaled(header.pixel_array, header)
    except Exception as error:
        name = Path(str(header.filename)).name
        raise VolumeError(f"a corrupt file: {name} ({shown(error)})") from error
    if values.ndim != 2:
        raise VolumeError(f"a corrupt file: pixels of shape {values.shape}")
    whole = values.dtype.kind in "iu" and values.min() >= -32768 and values.max() <= 32767
    return values.astype(np.int16 if whole else np.float32)


def _side_note(image: Any, side: Laterality) -> list[str]:
    """Note a volume on the other side of the scanner's middle: odd, but patients lie anywhere."""
    middle = image.affine @ [*(np.array(image.shape) / 2), 1]
    seen = Laterality.RIGHT if middle[0] > 0 else Laterality.LEFT
    if abs(middle[0]) > _FAR_MM and seen is not side:
        return [f"lies {abs(middle[0]):.0f} mm on the other side of the scanner's middle"]
    return []
