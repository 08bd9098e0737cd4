"""From the file of a radiograph to the picture that the network sees.

The paper (Section III-B1) locates the knee joint, resizes it to 256x256 and normalises it to
[-1, 1]. Here the square around the joint is a box that is given, or found by a step of
`xr2mri_core.localization`, or the middle of the picture.

    data = radiograph_transforms()({"radiograph": "knee.dcm", "laterality": "L"})
    data["radiograph"]       # Tensor (1, 256, 256) float32 in [-1, 1], right-knee frame
    data["radiograph_info"]  # spacing_mm, laterality, mirrored, box, format, warnings
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from xr2mri_core.errors import RadiographError, shown
from xr2mri_core.geometry import IMAGE_SIZE, edges_of
from xr2mri_core.transforms.orientation import UPRIGHT
from xr2mri_core.transforms.picture import check_cut, check_pixels
from xr2mri_core.transforms.polarity import PositiveRadiographd
from xr2mri_core.transforms.radiograph_file import RadiographFile, open_radiograph
from xr2mri_core.transforms.steps import (
    KeyedStep,
    ResizePicturesd,
    RightKneeFramed,
    Step,
    stretched,
)
from xr2mri_core.transforms.white_frame import DarkStripsd

if TYPE_CHECKING:
    from xr2mri_core.transforms.compose import TypedCompose

CROP_MM = 140.0
"""Side of the square around the joint where the spacing is known."""
SMALLEST_FIELD_MM = CROP_MM / 2
"""A picture whose longer side is said to be less was made smaller and has kept its spacing."""
LARGEST_FIELD_MM = 1500.0
"""No film is longer: the longest show both legs from hip to ankle, on 51 inches."""
BOX_MM = (0.75 * CROP_MM, 1.25 * CROP_MM)
"""Side of a given box beyond which it is doubted: the model has learnt from squares of 140 mm."""
PADDED = 0.15
"""Share of the crop that may lie outside the picture without a warning."""
CLIP_PERCENTILES = (5.0, 99.0)
"""Percentiles of the crop that become -1 and 1."""

Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels of the file's picture; bottom and right are exclusive."""


def radiograph_steps(size: int = IMAGE_SIZE, locate: Step | None = None) -> list[Step]:
    """The chain file -> bone bright -> crop -> resize -> [-1, 1] -> right-knee frame, by steps.

    White strips at the edges of the crop become dark, see `white_frame`.

    To be done one after the other, without MONAI: see `radiograph_transforms`. ``radiograph`` of
    the data is the path of a radiograph, its pixels (rows, columns), or what `open_radiograph` made
    of it. The data may also hold ``laterality`` (R, L, auto) and ``box`` (see `Box`).

    Args:
        size: rows and columns of the result.
        locate: step that finds the box where none is given, such as `LocateKneed`.
    """
    key = "radiograph"
    return [
        LoadRadiographd(key),
        PositiveRadiographd(key, locate, CropRadiographd(key)),
        CropRadiographd(key),
        DarkStripsd(key),
        ResizePicturesd(key, size),
        NormalizeRadiographd(key),
        RightKneeFramed(key),
    ]


def radiograph_transforms(size: int = IMAGE_SIZE, locate: Step | None = None) -> TypedCompose:
    """The same chain as one of MONAI's transforms, for training; arguments as there.

    Returns:
        A transform that raises `RadiographError`, never MONAI's RuntimeError.
    """
    from xr2mri_core.transforms.compose import TypedCompose

    return TypedCompose(radiograph_steps(size, locate))


def _info_key(key: Hashable) -> str:
    return f"{key}_info"


class LoadRadiographd(KeyedStep):
    """Read the radiograph at a path as a Tensor (1, rows, columns) float32, bone bright.

    Pixels (rows, columns) in memory are taken as they are, as is a file that has been read. What is
    known about the file goes to ``data["<key>_info"]``; see `read_radiograph`. A ``box`` is
    in pixels of the file, and becomes one of the picture as it is read where this does not lie as
    the file has it.

    Args:
        keys: paths, pixels, or `RadiographFile`.

    Raises:
        RadiographError: for a file or pixels that are not a radiograph, or a box that is none.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        for key in self.key_iterator(done):
            source = done[key]
            if isinstance(source, str | Path):
                _, pixels, info, _ = open_radiograph(source)
            elif isinstance(source, RadiographFile):
                pixels, info = source.pixels, source.info
            else:
                pixels = check_pixels(np.asarray(source))
                info = {"spacing_mm": None, "laterality": None, "format": "array", "warnings": []}
            done[key] = torch.from_numpy(pixels)[None]
            done[_info_key(key)] = info
            if "turn" in info and done.get("box") is not None:
                done["box"] = info["turn"].edges_upright(edges_of(done["box"]), pixels.shape)
        return done


class CropRadiographd(KeyedStep):
    """Cut a square out of a radiograph (1, H, W), repeating the edge where it reaches outside.

    The square is ``data["box"]``, its shorter side lengthened about its centre, else the middle
    140 mm of the picture where the spacing is known (`believed_spacing`), else the largest middle
    square. The box that was taken goes to ``data["<key>_info"]["box"]``, in pixels of the file's
    picture.

    Args:
        keys: radiographs.

    Raises:
        RadiographError: for a box that is not four numbers, is empty, misses the picture, or
            makes a square that is larger than any picture.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        for key in self.key_iterator(done):
            info = done.get(_info_key(key), {})
            shape, spacing = tuple(done[key].shape[-2:]), info.get("spacing_mm")
            notes = list(info.get("warnings", ()))
            if done.get("box") is not None:
                spacing = spacing or info.get("joint_spacing_mm")
                box = _squared(_checked_box(done["box"], shape), spacing)
                notes += _size_notes(box, spacing)
            else:
                spacing, doubts = believed_spacing(shape, spacing)
                info = {**info, "spacing_mm": spacing}
                notes += [doubt for doubt in doubts if doubt not in notes]
                box = middle_square(shape, spacing)
                if spacing is None:
                    notes.append(
                        "pixel spacing unknown: the middle square is taken whole; "
                        f"it should show about {CROP_MM:g} mm around the joint, or give a box"
                    )
                if shape[1] > 1.1 * shape[0]:
                    notes.append(
                        "wider than tall, perhaps both knees: the middle is taken; "
                        "give a box around one knee"
                    )
            check_cut(box[2] - box[0], box[3] - box[1])
            outside = _outside(box, shape)
            if outside > PADDED:
                notes.append(
                    f"{outside:.0%} of the square that is cut out lies outside the picture: its "
                    "edges are repeated there; a picture that shows more of the knee is better"
                )
            done[key] = cut_out(done[key], box)
            box = info.get("turn", UPRIGHT).box_in_file(box, shape)
            done[_info_key(key)] = {**info, "box": box, "warnings": notes}
        return done


def _checked_box(box: Sequence[float], shape: tuple[int, ...]) -> Box:
    """Return a given box as whole pixels that overlap a picture of ``shape``."""
    top, left, bottom, right = map(round, edges_of(box))
    overlap = min(bottom, shape[0]) > max(top, 0) and min(right, shape[1]) > max(left, 0)
    if not overlap or max(bottom - top, right - left) > 2 * max(shape):
        raise RadiographError(
            f"box {shown(box)} does not fit the radiograph; "
            f"give top, left, bottom, right within {shape[0]} x {shape[1]} pixels"
        )
    return top, left, bottom, right


def _size_notes(box: Box, spacing: tuple[float, float] | None) -> tuple[str, ...]:
    """A warning for a box that shows much more of the knee than models expect, or less."""
    side = 0.0 if spacing is None else (box[2] - box[0]) * spacing[0]
    if spacing is None or BOX_MM[0] <= side <= BOX_MM[1]:
        return ()
    return (
        f"the box is {side:.0f} mm wide, where {CROP_MM:g} mm are expected, its middle some 20 mm "
        "above the joint space: give one of that size",
    )


def _squared(box: Box, spacing: tuple[float, float] | None) -> Box:
    """Return ``box`` with its shorter side lengthened about its centre, square in mm.

    One that is square but for the rounding to pixels stays as it is: it may be handed back.
    """
    row, column = spacing or (1.0, 1.0)
    top, left, bottom, right = box
    tall, wide = (bottom - top) * row, (right - left) * column
    if abs(tall - wide) < (row + column) / 2:
        return box
    side = max(tall, wide)
    return _square_at((top + bottom) / 2, (left + right) / 2, side / row, side / column)


def believed_spacing(
    shape: tuple[int, ...], spacing: tuple[float, float] | None
) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """The spacing of a picture, and what is to be said of it.

    None, with a warning, where the picture would be too small for a knee, as a picture is that was
    made smaller and has kept its spacing: its middle 140 mm would be mostly outside of it. Or where
    it would be larger than any film.
    """
    if spacing is None:
        return None, ()
    longer = max(n * step for n, step in zip(shape, spacing, strict=True))
    if SMALLEST_FIELD_MM <= longer <= LARGEST_FIELD_MM:
        return spacing, ()
    wrong = "too small for a knee" if longer < SMALLEST_FIELD_MM else "larger than any film"
    return None, (
        f"pixels of {spacing[0]:g} mm make a picture of {longer:.0f} mm, {wrong}: "
        "the spacing is taken as unknown",
    )


def middle_square(shape: tuple[int, ...], spacing: tuple[float, float] | None) -> Box:
    """The middle 140 mm of a picture, or its largest middle square without a spacing."""
    if spacing is None:
        height = width = float(min(shape))
    else:
        height, width = CROP_MM / spacing[0], CROP_MM / spacing[1]
    return _square_at(shape[0] / 2, shape[1] / 2, height, width)


def _square_at(row: float, column: float, height: float, width: float) -> Box:
    height, width = max(1, round(height)), max(1, round(width))
    top, left = math.floor(row - height / 2 + 0.5), math.floor(column - width / 2 + 0.5)
    return top, left, top + height, left + width


def _outside(box: Box, shape: tuple[int, ...]) -> float:
    """The share of a box that lies outside a picture of ``shape``."""
    top, left, bottom, right = box
    rows = min(bottom, shape[0]) - max(top, 0)
    columns = min(right, shape[1]) - max(left, 0)
    return 1 - max(rows, 0) * max(columns, 0) / ((bottom - top) * (right - left))


def cut_out(picture: Any, box: Box) -> Any:
    """Return ``box`` of a picture (..., H, W), edge pixels repeated where it reaches outside.

    Within the picture it is a view of it: a large film need not be held twice.
    """
    top, left, bottom, right = box
    if min(top, left) >= 0 and bottom <= picture.shape[-2] and right <= picture.shape[-1]:
        return picture[..., top:bottom, left:right]
    rows = np.arange(top, bottom).clip(0, picture.shape[-2] - 1)
    columns = np.arange(left, right).clip(0, picture.shape[-1] - 1)
    return picture[..., rows[:, None], columns]


class NormalizeRadiographd(KeyedStep):
    """Clip a picture at `CLIP_PERCENTILES` of it, which become -1 and 1.

    Args:
        keys: radiographs.

    Raises:
        RadiographError: if the percentiles have the same value, as in an empty crop.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        for key in self.key_iterator(done):
            picture = stretched(done[key], CLIP_PERCENTILES)
            if picture is None:
                raise RadiographError(
                    "the crop is almost empty, its grey values do not differ; "
                    "give a box around the knee or another file"
                )
            done[key] = picture
        return done
