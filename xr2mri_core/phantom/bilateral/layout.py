"""What lies where on a film: knees, positioning frame, lead letters, the collimator's edges.

The ranges are set by eye, wide enough to hold what clinics file as a knee radiograph; they are no
statistics of real films.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xr2mri_core.errors import InputError

_APART, _APART_WITHIN = (158, 20), (125, 240)
"""Distance of the knees: mean and standard deviation, limits. Lengths in mm on the detector."""
_BESIDE, _BOTH_WIDTH = (120, 270), (300, 460)
_BOTH_FLATNESS, _BOTH_HEIGHT = (0.55, 1.0), (210, 440)
"""A film of both: what it is wider than they are apart, height over width, and limits."""
_LEVEL_SHARE, _MIDDLE_SPREAD, _STEP_SPREAD = 0.05, 6, 5
"""Standard deviations: level (over the height), middle, how much higher one knee stands."""
_LEAN, _LEAN_ALONE, _GIRTH = (1.0, 2.0), (1.0, 3.5), (0.92, 1.15)
_FRAME_CHANCE, _FRAME_CHANCE_ALONE = 0.6, 0.15
_ONE_WIDTH, _ONE_STEEPNESS, _ONE_HEIGHT = (160, 300), (0.9, 1.9), (180, 430)
"""A film of one knee: width, height over width, and limits."""
_ROOM_DOWN, _ROOM_ACROSS, _LEAST_ACROSS = 62, 75, 5
_DOWN_SHARE, _ACROSS_SHARE = 0.12, 0.09
"""Its joint's distance from the edges; standard deviations of its place over the film's sides."""
_SHUTTER_ROOM, _SHUTTER_CHANCE, _SHUTTER_GAMMA = 50, 0.4, (1.5, 9)
_SHUTTER_GREYS, _SHUTTER_GREY_CHANCES = (0.0, 0.02, 0.08, 1.0), (0.7, 0.15, 0.1, 0.05)
"""Collimated borders: what a joint is left, how often, shape and scale of their width, greys."""
_DIGITAL_CHANCE, _LETTER_CHANCE_ALONE, _LETTER_CHANCE = 0.25, 0.85, 0.6
_LETTER_HEIGHT, _LETTER_BESIDE, _LETTER_BELOW_TOP = (9, 22), (62, 110), (0, 40)
"""Letters: height, distance from the joint, and from the upper edge where they lie there."""
_ANYWHERE_CHANCE, _UPRIGHT_CHANCE, _TILT_SPREAD, _TURN_SPREAD = 0.4, 0.8, 8, 90
"""How often a letter lies at any height, how often about upright; standard deviations, degrees."""


@dataclass(frozen=True)
class Layout:
    """What lies where on a film. Lengths in mm on the detector, angles in degrees.

    Attributes:
        size_mm: height and width of the film.
        spacing_mm: size of a pixel.
        joints: middle of each knee's joint, (down, right) of the middle of the film, by side.
        lean: outward turn of each leg about its joint, by side.
        girth: girth of thigh and calf, 1 as painted.
        frame: whether the positioning frame is there.
        markers: (letter, down, right, height, turn) of each lead letter.
        digital: whether the letters are burnt into the picture instead of exposed.
        shutters: width of the collimator's shadow at the top, left, bottom and right.
        shutter_grey: what the collimated border shows, 0 black to 1 white.
    """

    size_mm: tuple[float, float]
    spacing_mm: float
    joints: Mapping[str, tuple[float, float]]
    lean: Mapping[str, float]
    girth: float = 1.0
    frame: bool = True
    markers: tuple[tuple[str, float, float, float, float], ...] = ()
    digital: bool = False
    shutters: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    shutter_grey: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the picture."""
        height, width = self.size_mm
        return round(height / self.spacing_mm), round(width / self.spacing_mm)


def sample_layout(rng: np.random.Generator, sides: str = "RL", spacing_mm: float = 0.6) -> Layout:
    """Draws a film.

    Args:
        rng: source of randomness.
        sides: ``RL`` for both knees, ``R`` or ``L`` for one.
        spacing_mm: pixel size; 0.14 to 0.2 in the clinic.

    Raises:
        InputError: for other sides.
    """
    if sides not in ("RL", "R", "L"):
        raise InputError(f"sides {sides!r}: accepted are RL, R and L")
    if sides == "RL":
        return _bilateral_layout(rng, spacing_mm)
    return _single_layout(rng, sides, spacing_mm)


def _bilateral_layout(rng: np.random.Generator, spacing_mm: float) -> Layout:
    apart = float(np.clip(rng.normal(*_APART), *_APART_WITHIN))
    width = float(np.clip(apart + rng.uniform(*_BESIDE), *_BOTH_WIDTH))
    height = width * float(rng.uniform(*_BOTH_FLATNESS))
    height = float(np.clip(height, *_BOTH_HEIGHT))
    level, middle = rng.normal(0, _LEVEL_SHARE * height), rng.normal(0, _MIDDLE_SPREAD)
    step = float(rng.normal(0, _STEP_SPREAD))
    joints = {
        "R": (level - step / 2, middle - apart / 2),
        "L": (level + step / 2, middle + apart / 2),
    }
    lean = {side: float(rng.normal(*_LEAN)) for side in "RL"}
    frame = bool(rng.random() < _FRAME_CHANCE)
    shutters = _sample_shutters(rng, (height, width), joints)
    markers = _sample_markers(rng, (height, width), joints, shutters)
    girth = float(rng.uniform(*_GIRTH))
    return Layout((height, width), spacing_mm, joints, lean, girth, frame, *markers, *shutters)


def _single_layout(rng: np.random.Generator, side: str, spacing_mm: float) -> Layout:
    width = float(rng.uniform(*_ONE_WIDTH))
    height = float(np.clip(width * rng.uniform(*_ONE_STEEPNESS), *_ONE_HEIGHT))
    room_down = height / 2 - _ROOM_DOWN
    room_across = max(width / 2 - _ROOM_ACROSS, _LEAST_ACROSS)
    joint = (
        float(np.clip(rng.normal(0, _DOWN_SHARE * height), -room_down, room_down)),
        float(np.clip(rng.normal(0, _ACROSS_SHARE * width), -room_across, room_across)),
    )
    shutters = _sample_shutters(rng, (height, width), {side: joint})
    markers = _sample_markers(rng, (height, width), {side: joint}, shutters)
    lean = {side: float(rng.normal(*_LEAN_ALONE))}
    frame = bool(rng.random() < _FRAME_CHANCE_ALONE)
    girth, joints = float(rng.uniform(*_GIRTH)), {side: joint}
    return Layout((height, width), spacing_mm, joints, lean, girth, frame, *markers, *shutters)


def _sample_shutters(
    rng: np.random.Generator, size: tuple[float, float], joints: Mapping[str, tuple[float, float]]
) -> tuple[tuple[float, float, float, float], float]:
    """Collimated borders that leave every joint its room, and their grey."""
    down, across = zip(*joints.values(), strict=True)
    height, width = size
    room = (
        height / 2 + min(down) - _SHUTTER_ROOM,
        width / 2 + min(across) - _SHUTTER_ROOM,
        height / 2 - max(down) - _SHUTTER_ROOM,
        width / 2 - max(across) - _SHUTTER_ROOM,
    )
    widths = [
        float(np.clip(rng.gamma(*_SHUTTER_GAMMA), 0, max(free, 0)))
        if rng.random() < _SHUTTER_CHANCE
        else 0.0
        for free in room
    ]
    grey = float(rng.choice(_SHUTTER_GREYS, p=_SHUTTER_GREY_CHANCES))
    return (widths[0], widths[1], widths[2], widths[3]), grey


def _sample_markers(
    rng: np.random.Generator,
    size: tuple[float, float],
    joints: Mapping[str, tuple[float, float]],
    shutters: tuple[tuple[float, float, float, float], float],
) -> tuple[tuple[tuple[str, float, float, float, float], ...], bool]:
    """Lead letters beside the legs, laterally; both, one or none; and whether they are digital."""
    top, left, bottom, right = shutters[0]
    digital = bool(rng.random() < _DIGITAL_CHANCE)
    chance = _LETTER_CHANCE_ALONE if len(joints) == 1 else _LETTER_CHANCE
    shown = [side for side in joints if rng.random() < chance]
    markers = []
    for side in shown:
        tall = float(rng.uniform(*_LETTER_HEIGHT))
        outward = -1 if side == "R" else 1
        edge = size[1] / 2 - (left if side == "R" else right) - tall
        beyond = joints[side][1] + outward * rng.uniform(*_LETTER_BESIDE)
        across = float(np.clip(beyond, -edge, edge))
        low, high = -size[0] / 2 + top + tall, size[0] / 2 - bottom - tall
        anywhere = rng.random() < _ANYWHERE_CHANCE
        down = rng.uniform(low, high) if anywhere else low + rng.uniform(*_LETTER_BELOW_TOP)
        upright = digital or rng.random() < _UPRIGHT_CHANCE
        turn = float(rng.normal(0, _TILT_SPREAD if upright else _TURN_SPREAD))
        markers.append((side, min(float(down), high), across, tall, 0.0 if digital else turn))
    return tuple(markers), digital
