"""The MR series of one visit as OAI's sessions leave them, made from one volume of a right knee."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.geometry import mirror_volume

from .mr_dicom import Plane, coronal_planes, write_mr_series

_RIGHT_MM = 85.0  # of the scanner's middle lies a right knee
_LARGEST = 64  # rows and columns of the series that nothing is trained on
_IW_SLICES, _IW_STEP = 35, 2  # of COR_IW_TSE, each as thick as two
_BEFORE_MOVING = 32  # slices of the series that the patient moved in
_ECHO_SLICES, _ECHOES, _ECHO_MS, _ECHO_DECAY = 3, 7, 10.0, 0.8
_REFORMATTED = slice(7, 73)
_THIGH_SLICES = 15


def scans_of(
    volume: NDArray[np.uint16], affine: NDArray[np.float64], index: int, matrix: int
) -> dict[str, Callable[..., None]]:
    """The MR series of a visit in the order of acquisition: name (#n if repeated) -> writer.

    Args:
        volume, affine: volume of the right knee, RAS.
        index: number of the participant: every fourth moved, every fourth has files without an
            order.
        matrix: rows and columns of a slice.
    """
    planes = coronal_planes(*_reduced(volume, affine, matrix))
    small, coarse = _reduced(volume, affine, min(matrix, _LARGEST))
    other_side = coarse.copy()
    other_side[0, 3] -= 2 * _RIGHT_MM
    right = _thinned(small, coarse)
    left = _thinned(mirror_volume(small), other_side)
    names: Sequence[str] = ()
    if index % 4 == 2:  # names say nothing about positions
        order = np.random.default_rng(index).permutation(len(planes)) + 1
        names = [f"{number:03d}" for number in order]
    scans: dict[str, Callable[..., None]] = {
        "MP_LOCATOR_RIGHT": partial(write_mr_series, planes=_localizer(small, coarse)),
        "SAG_T2_MAP_RIGHT": partial(write_mr_series, planes=_echoes(small, coarse)),
        "COR_IW_TSE_RIGHT": partial(write_mr_series, planes=coronal_planes(*right)),
        "COR_MPR_RIGHT": partial(write_mr_series, planes=_reformat(small, coarse)),
        "COR_T1_3D_FLASH_RIGHT": partial(write_mr_series, planes=planes, names=names),
        "AX_T1_THIGH": partial(write_mr_series, planes=_thigh(small, coarse)),
        "COR_IW_TSE_LEFT": partial(write_mr_series, planes=coronal_planes(*left)),
    }
    if index % 4 == 0:  # the patient moved: stopped half way, and done again
        aborted = partial(write_mr_series, planes=planes[:_BEFORE_MOVING])
        scans = {"COR_T1_3D_FLASH_RIGHT#1": aborted, **scans}
    return scans


def _reduced(
    volume: NDArray[np.uint16], affine: NDArray[np.float64], matrix: int
) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """The volume with fewer rows and columns, moved to where a right knee lies in the scanner."""
    step = max(1, volume.shape[0] // matrix)
    moved = affine.copy()
    moved[0, 3] += _RIGHT_MM
    for axis in (0, 2):
        moved[axis, 3] += moved[axis, axis] * (step - 1) / 2
        moved[axis, axis] *= step
    return _means(volume, step), moved


def _means(volume: NDArray[np.uint16], step: int) -> NDArray[np.uint16]:
    width, slices, height = (
        count // size for count, size in zip(volume.shape, (step, 1, step), strict=True)
    )
    blocks = volume[: width * step, :, : height * step]
    blocks = blocks.reshape(width, step, slices, height, step)
    return np.rint(blocks.mean(axis=(1, 4))).astype(np.uint16)


def _thinned(
    volume: NDArray[np.uint16], affine: NDArray[np.float64]
) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """Every `_IW_STEP`-th slice of a volume, `_IW_SLICES` of them from its middle."""
    start = (volume.shape[1] - _IW_STEP * _IW_SLICES) // 2
    moved = affine.copy()
    moved[1, 3] += affine[1, 1] * start
    moved[1, 1] *= _IW_STEP
    return volume[:, start : start + _IW_STEP * _IW_SLICES : _IW_STEP], moved


def _localizer(volume: NDArray[np.uint16], affine: NDArray[np.float64]) -> list[Plane]:
    """One picture in each of the three planes."""
    coronal = coronal_planes(volume, affine)
    return [coronal[len(coronal) // 2], *_sagittal(volume, affine, 1), *_thigh(volume, affine)[:1]]


def _sagittal(volume: NDArray[np.uint16], affine: NDArray[np.float64], count: int) -> list[Plane]:
    planes = []
    for index in np.linspace(0, volume.shape[0] - 1, count + 2)[1:-1].astype(int):
        x = -(affine[0, 3] + index * affine[0, 0])
        corner = (x, -(affine[1, 3] + affine[1, 1] * (volume.shape[1] - 1)), _top(volume, affine))
        pixels = np.ascontiguousarray(volume[index, ::-1, ::-1].T)
        spacing = (affine[2, 2], affine[1, 1])
        planes.append(Plane(pixels, (0.0, 1.0, 0.0), (0.0, 0.0, -1.0), corner, spacing))
    return planes


def _top(volume: NDArray[np.uint16], affine: NDArray[np.float64]) -> float:
    return float(affine[2, 3] + affine[2, 2] * (volume.shape[2] - 1))


def _echoes(volume: NDArray[np.uint16], affine: NDArray[np.float64]) -> list[Plane]:
    """Seven echoes of each of three slices: positions come seven times."""
    return [
        replace(
            plane,
            pixels=(plane.pixels * _ECHO_DECAY**echo).astype(np.uint16),
            echo_ms=_ECHO_MS * (echo + 1),
        )
        for plane in _sagittal(volume, affine, _ECHO_SLICES)
        for echo in range(_ECHOES)
    ]


def _reformat(volume: NDArray[np.uint16], affine: NDArray[np.float64]) -> list[Plane]:
    """A reformatted series: a reference image in another plane, then 66 coronal slices."""
    return [*_sagittal(volume, affine, 1), *coronal_planes(volume, affine)[_REFORMATTED]]


def _thigh(volume: NDArray[np.uint16], affine: NDArray[np.float64]) -> list[Plane]:
    """Fifteen axial slices."""
    planes = []
    for index in np.arange(_THIGH_SLICES) * (volume.shape[2] // _THIGH_SLICES):
        corner = (
            -(affine[0, 3] + affine[0, 0] * (volume.shape[0] - 1)),
            -(affine[1, 3] + affine[1, 1] * (volume.shape[1] - 1)),
            affine[2, 3] + affine[2, 2] * index,
        )
        pixels = np.ascontiguousarray(volume[::-1, ::-1, index].T)
        spacing = (affine[1, 1], affine[0, 0])
        planes.append(Plane(pixels, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), corner, spacing))
    return planes
