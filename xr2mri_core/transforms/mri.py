"""From the file of an MRI volume to the slices that the network learns.

The paper (Section III-B2) keeps the slices between 16 % and 78 % of the volume, 13..62 of 80, and
normalises them. Here the volume is first turned to RAS, so that axis 1 runs from posterior to
anterior whatever order the file has, and cut to the 160 mm field of view.

    data = mri_transforms()({"mri": "knee.nii.gz", "labels": "labels.nii.gz", "laterality": "R"})
    data["mri"]       # MetaTensor (50, 1, 256, 256) float32 in [-1, 1], posterior slice first
    data["labels"]    # MetaTensor (50, 1, 256, 256) uint8, where the item has a label map
    data["depths"]    # float32 array (50,) in [0, 1]
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, ResizeWithPadOrCrop

from xr2mri_core.errors import VolumeError, shown
from xr2mri_core.geometry import (
    FIELD_OF_VIEW_MM,
    IMAGE_SIZE,
    depths_of,
    slice_window,
    volume_to_slices,
)
from xr2mri_core.transforms.compose import TypedCompose
from xr2mri_core.transforms.formats import FormatError, open_regular, open_stored
from xr2mri_core.transforms.steps import RightKneeFramed, resize_pictures, stretched

CLIP_PERCENTILES = (0.0, 94.3)
"""Percentiles of the window's slices that become -1 and 1.

The paper does not state them. Both real volumes that its own page shows hold 5.7 % of their voxels
at the top grey, whatever the knee: the authors clipped at a percentile, and this is it. Muscle,
cartilage and fluid are white there, and the greys are left to marrow, fat and borders."""

SAME_PLACE = 0.25
"""Voxels by which the corners of a label map may lie from those of its volume."""


def mri_transforms(size: int = IMAGE_SIZE) -> TypedCompose:
    """Return the chain file -> RAS -> window -> 256x256 -> [-1, 1] -> right-knee frame.

    ``mri`` of the data is the path of a volume, ``labels``, which may be absent, that of a label
    map on the same grid.

    Args:
        size: rows and columns of a slice.

    Returns:
        A transform that raises `VolumeError`, never MONAI's RuntimeError.
    """
    both = ("mri", "labels")
    return TypedCompose(
        [
            LoadVolumed(both, reference="mri", allow_missing_keys=True),
            SlicesInWindowd(both, allow_missing_keys=True),
            FieldOfViewd("mri", size),
            FieldOfViewd("labels", size, labels=True, allow_missing_keys=True),
            NormalizeSlicesd("mri"),
            RightKneeFramed(both, allow_missing_keys=True),
        ]
    )


def read_volume(path: str | Path) -> MetaTensor:
    """Read a volume from NIfTI, NRRD or MetaImage, turned to RAS.

    The voxels may lie in another file of the same folder.

    Returns:
        MetaTensor (X, Y, Z) float32 with its RAS affine (4, 4) in mm.

    Raises:
        VolumeError: for a file that cannot be read, is not 3-D, has NaN values or is constant.
    """
    path = Path(path)
    try:
        with open_regular(path) as stream:
            stored = open_stored(stream, path)
            if len(stored.shape) != 3 or stored.components != 1:
                shape = (*stored.shape, *[stored.components][: stored.components != 1])
                raise VolumeError(f"{path.name}: of shape {shape}; an MRI volume has three axes")
            image = nib.as_closest_canonical(nib.Nifti1Image(stored.load(), stored.affine))
            voxels = np.asarray(image.dataobj, dtype=np.float32)
    except FileNotFoundError:
        raise VolumeError(f"{path}: no such file; give the path of an MRI volume") from None
    except VolumeError:
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, FormatError) else shown(error)
        raise VolumeError(
            f"{path.name}: cannot be read as a volume ({reason}); "
            "give NIfTI (.nii, .nii.gz), NRRD (.nrrd) or MetaImage (.mha)"
        ) from error
    low, high = voxels.min(), voxels.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise VolumeError(f"{path.name}: has NaN or infinite values; export the volume again")
    if low == high:
        raise VolumeError(
            f"{path.name}: every voxel has the same value, an empty volume; give another"
        )
    return MetaTensor(
        torch.from_numpy(np.ascontiguousarray(voxels)),
        affine=torch.from_numpy(image.affine),
        meta={"filename_or_obj": str(path)},
    )


class LoadVolumed(MapTransform):
    """Read the volume at a path as a MetaTensor (X, Y, Z), RAS; see `read_volume`.

    Args:
        keys: paths of volumes on one grid.
        reference: the key that the others must agree with in shape and place.
        allow_missing_keys: whether a key may be absent.

    Raises:
        VolumeError: for a file that is not a volume, or on another grid than the reference.
    """

    def __init__(
        self, keys: KeysCollection, reference: str, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.reference = reference

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        for key in self.key_iterator(done):
            done[key] = read_volume(data[key])
        for key in self.key_iterator(done):
            found, expected = tuple(done[key].shape), tuple(done[self.reference].shape)
            if found != expected:
                raise VolumeError(
                    f"{key} has shape {found}, {self.reference} {expected}: "
                    "both must lie on the same grid"
                )
            apart = _apart(done[key], done[self.reference])
            if not apart <= SAME_PLACE:
                raise VolumeError(
                    f"{key} lies up to {apart:.3g} voxels from where {self.reference} does, by the "
                    "headers of both: both must lie on the same grid; resample the one to the other"
                )
        return done


def _apart(volume: MetaTensor, other: MetaTensor) -> float:
    """How far the corners of a volume lie from those of another of its shape, in its voxels."""
    ends = [(0, count - 1) for count in other.shape]
    corners = np.array([(*corner, 1) for corner in itertools.product(*ends)]).T
    affine, reference = (np.asarray(one.affine, np.float64) for one in (volume, other))
    moved = np.linalg.pinv(reference) @ affine @ corners - corners
    return float(np.abs(moved).max())


class SlicesInWindowd(MapTransform):
    """Cut a RAS volume (X, Y, Z) into pictures (n, rows, columns), posterior first.

    Kept are the slices of ``data["window"]`` (start, stop) where the item has it, as items of other
    sequences do, else those of `slice_window`. The pictures' spacing (row, column) in mm goes to
    ``data["<key>_spacing"]``, their depths in [0, 1] to ``data["depths"]``, and how far those lie
    apart in mm, from 0 to 1, to ``data["<key>_extent"]``.

    Args:
        keys: volumes.
        allow_missing_keys: whether a key may be absent.

    Raises:
        VolumeError: for a window that the volume does not have.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        for key in self.key_iterator(done):
            volume = done[key]
            count = volume.shape[1]
            start, stop = _window(data.get("window"), count)
            pictures = volume_to_slices(np.asarray(volume)[:, start:stop])
            columns, step, rows = np.linalg.norm(np.asarray(volume.affine)[:3, :3], axis=0)
            done[key] = MetaTensor(torch.from_numpy(pictures), meta=volume.meta)
            done[f"{key}_spacing"] = (float(rows), float(columns))
            done[f"{key}_extent"] = (stop - start - 1) * float(step)
            done["depths"] = depths_of(stop - start).astype(np.float32)
        return done


def _window(stated: Any, count: int) -> tuple[int, int]:
    """Return the slices to keep of ``count``: those stated, else the paper's."""
    if stated is None:
        return slice_window(count)
    try:
        start, stop = (int(end) for end in stated)
    except (TypeError, ValueError):
        start, stop = -1, -1
    if not 0 <= start < stop <= count:
        raise VolumeError(f"window {shown(stated)}: give start and stop within {count} slices")
    return start, stop


class FieldOfViewd(MapTransform):
    """Bring pictures (n, rows, columns) to the 160 mm field of view and to a size (n, 1, H, W).

    A larger field is cut about its middle, a smaller one is padded: with the lowest value, label
    maps with 0.

    Args:
        keys: pictures, with ``data["<key>_spacing"]`` as `SlicesInWindowd` leaves it.
        size: rows and columns of the result.
        labels: whether these are label maps: uint8, by nearest neighbour.
        allow_missing_keys: whether a key may be absent.
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: int = IMAGE_SIZE,
        labels: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.size, self.labels = size, labels

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        for key in self.key_iterator(done):
            pictures = done[key]
            present = tuple(pictures.shape[1:])
            field = tuple(map(_pixels, present, done.pop(f"{key}_spacing")))
            if field != present:
                outside = 0.0 if self.labels else float(pictures.min())
                fit = ResizeWithPadOrCrop(field, mode="constant", value=outside)
                pictures = fit(pictures)
            sized = resize_pictures(pictures, self.size, smooth=not self.labels)
            done[key] = sized.to(torch.uint8 if self.labels else torch.float32)[:, None]
        return done


def _pixels(present: int, step: float) -> int:
    """Return the pixels of the field of view; ``present`` where the header is only rounded."""
    wanted = max(1, round(FIELD_OF_VIEW_MM / step))
    return present if abs(wanted - present) <= 0.01 * present else wanted


class NormalizeSlicesd(MapTransform):
    """Clip slices (n, 1, H, W) at `CLIP_PERCENTILES` of all of them, which become -1 and 1.

    Args:
        keys: slices.

    Raises:
        VolumeError: if the percentiles have the same value.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        for key in self.key_iterator(done):
            slices = stretched(done[key], CLIP_PERCENTILES)
            if slices is None:
                raise VolumeError(f"{key}: its slices are almost empty; give another volume")
            done[key] = slices
        return done
