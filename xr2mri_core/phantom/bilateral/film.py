"""The film itself, exposed and collimated, and where the joints are on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xr2mri_core.errors import InputError

from ..radiograph import WHITE, Beam, expose, sample_beam, trabecular_texture
from .layout import Layout, sample_layout
from .plane import letters_cover, positioning_frame, side_by_side
from .shadow import JOINT_SPACE_MM, STREAM, Shadow

JOINT_WIDTHS = 1.4
"""Side of the square joint box, in widths of the tibial plateau: about 107 mm on the film.

It is centred on the joint space and reaches from the upper pole of the patella to the neck of the
fibula; 30 % more is the 140 mm that a knee-sized radiograph shows."""

_BRIGHTNESS, _CONTRAST_SPREAD = (0.35, 0.3), 0.25
_EQUALISATION, _SCATTER = (0.1, 0.55), (0.25, 0.9)
"""What exposures of whole films are drawn from in place of `sample_beam`'s; set by eye."""
_LETTER_PATH = 3.0
"""Path integral of a lead letter."""

Box = tuple[float, float, float, float]
"""Top, left, bottom, right in pixels, bottom and right exclusive."""


@dataclass(frozen=True)
class Film:
    """A plain radiograph and the truth about it.

    Attributes:
        pixels: uint16 (rows, columns), 12 bits, bone bright, patient's right on image left.
        spacing_mm: pixel size at the detector.
        joints: the square joint box of each knee, by side.
        layout: where everything lies on the film.
        beam: the exposure.
    """

    pixels: NDArray[np.uint16]
    spacing_mm: float
    joints: dict[str, Box]
    layout: Layout
    beam: Beam


def take_film(
    right: Shadow | None,
    left: Shadow | None,
    seed: int,
    layout: Layout | None = None,
) -> Film:
    """A plain radiograph of one or two legs.

    Args:
        right, left: the legs, both as right legs (a left one is mirrored here), one may be None.
        seed: draws the layout, the exposure and the noise.
        layout: a given layout instead of a drawn one; it has the sides that are given.

    Raises:
        InputError: if there is no leg, or the layout has other sides.
    """
    legs = {side: leg for side, leg in (("R", right), ("L", left)) if leg is not None}
    if not legs:
        raise InputError("a film without legs: give at least one")
    rng = np.random.default_rng([seed, STREAM])
    layout = layout or sample_layout(rng, "".join(legs))
    if set(layout.joints) != set(legs):
        raise InputError(f"a layout for {set(layout.joints)} and legs {set(legs)}: give the same")
    beam = replace(_sample_exposure(rng), spacing_mm=layout.spacing_mm, shutters=(0, 0, 0, 0))
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))

    soft, bone, trabecular = side_by_side(layout, legs)
    path = soft + bone + trabecular_texture(trabecular, layout.spacing_mm, generator)
    if layout.frame:
        path = path + positioning_frame(layout, rng)
    if not layout.digital:
        path = path + _LETTER_PATH * letters_cover(layout)
    picture = expose(path.clamp_min(0), beam, generator)
    if layout.digital:
        picture = np.where(letters_cover(layout).numpy() > 0.5, WHITE, picture).astype(np.uint16)
    joints = {side: _joint_box(layout, side, leg) for side, leg in legs.items()}
    return Film(_collimated(picture, layout), layout.spacing_mm, joints, layout, beam)


def joint_of_case(parameters: Mapping[str, Mapping[str, Any]]) -> Box:
    """The joint box on the radiograph of a phantom case.

    Args:
        parameters: `case.PhantomCase.parameters`, as they stand in the case's record.
    """
    shape, beam = parameters["shape"], parameters["beam"]
    magnified = beam["magnification"] / beam["spacing_mm"]
    middle, half = beam["size"] / 2, JOINT_WIDTHS * shape["plateau_width"] * shape["scale"] / 2
    column = middle - magnified * (shape["field_x"] + beam["centre_mm"][0])
    row = middle + magnified * (shape["field_z"] + beam["centre_mm"][1] - JOINT_SPACE_MM)
    half = half * magnified
    return row - half, column - half, row + half, column + half


def _sample_exposure(rng: np.random.Generator) -> Beam:
    """Draw an exposure as for a knee-sized field, with the wider spread of whole films."""
    return replace(
        sample_beam(rng),
        brightness=float(rng.normal(*_BRIGHTNESS)),
        contrast=float(np.exp(rng.normal(0.0, _CONTRAST_SPREAD))),
        equalisation=float(rng.uniform(*_EQUALISATION)),
        scatter_ratio=float(rng.uniform(*_SCATTER)),
    )


def _joint_box(layout: Layout, side: str, leg: Shadow) -> Box:
    half = JOINT_WIDTHS * leg.plateau_mm / 2 / layout.spacing_mm
    rows, columns = layout.shape
    row = rows / 2 + layout.joints[side][0] / layout.spacing_mm
    column = columns / 2 + layout.joints[side][1] / layout.spacing_mm
    return row - half, column - half, row + half, column + half


def _collimated(picture: NDArray[np.uint16], layout: Layout) -> NDArray[np.uint16]:
    top, left, bottom, right = (round(width / layout.spacing_mm) for width in layout.shutters)
    rows, columns = picture.shape
    framed = np.full_like(picture, round(layout.shutter_grey * WHITE))
    window = np.s_[top : rows - bottom, left : columns - right]
    framed[window] = picture[window]
    return framed
