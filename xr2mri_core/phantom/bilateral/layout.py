"""What lies where on a film: knees, positioning frame, lead letters, the collimator's edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xr2mri_core.errors import InputError


@dataclass(frozen=True)
class Layout:
    """What lies where on a film. Lengths in mm on the detector, angles in degrees.

    Attributes:
        size_mm: height and width of the film.
        spacing_mm: pixel size.
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
        rng: draws.
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
    apart = float(np.clip(rng.normal(158, 20), 125, 240))
    width = float(np.clip(apart + rng.uniform(120, 270), 300, 460))
    height = width * float(rng.uniform(0.55, 1.0))
    height = float(np.clip(height, 210, 440))
    level, middle = rng.normal(0, 0.05 * height), rng.normal(0, 6)
    step = float(rng.normal(0, 5))  # one knee stands higher
    joints = {
        "R": (level - step / 2, middle - apart / 2),
        "L": (level + step / 2, middle + apart / 2),
    }
    lean = {side: float(rng.normal(1.0, 2.0)) for side in "RL"}
    frame = bool(rng.random() < 0.6)
    shutters = _sample_shutters(rng, (height, width), joints)
    markers = _sample_markers(rng, (height, width), joints, shutters)
    girth = float(rng.uniform(0.92, 1.15))
    return Layout((height, width), spacing_mm, joints, lean, girth, frame, *markers, *shutters)


def _single_layout(rng: np.random.Generator, side: str, spacing_mm: float) -> Layout:
    width = float(rng.uniform(160, 300))
    height = float(np.clip(width * rng.uniform(0.9, 1.9), 180, 430))
    room_down, room_across = height / 2 - 62, max(width / 2 - 75, 5)
    joint = (
        float(np.clip(rng.normal(0, 0.12 * height), -room_down, room_down)),
        float(np.clip(rng.normal(0, 0.09 * width), -room_across, room_across)),
    )
    shutters = _sample_shutters(rng, (height, width), {side: joint})
    markers = _sample_markers(rng, (height, width), {side: joint}, shutters)
    lean = {side: float(rng.normal(1.0, 3.5))}
    frame = bool(rng.random() < 0.15)
    girth, joints = float(rng.uniform(0.92, 1.15)), {side: joint}
    return Layout((height, width), spacing_mm, joints, lean, girth, frame, *markers, *shutters)


def _sample_shutters(
    rng: np.random.Generator, size: tuple[float, float], joints: Mapping[str, tuple[float, float]]
) -> tuple[tuple[float, float, float, float], float]:
    """Collimated borders that leave every joint at least 45 mm, and their grey."""
    down, across = zip(*joints.values(), strict=True)
    height, width = size
    room = (
        height / 2 + min(down) - 50,
        width / 2 + min(across) - 50,
        height / 2 - max(down) - 50,
        width / 2 - max(across) - 50,
    )
    widths = [
        float(np.clip(rng.gamma(1.5, 9), 0, max(free, 0))) if rng.random() < 0.4 else 0.0
        for free in room
    ]
    grey = float(rng.choice([0.0, 0.02, 0.08, 1.0], p=[0.7, 0.15, 0.1, 0.05]))
    return (widths[0], widths[1], widths[2], widths[3]), grey


def _sample_markers(
    rng: np.random.Generator,
    size: tuple[float, float],
    joints: Mapping[str, tuple[float, float]],
    shutters: tuple[tuple[float, float, float, float], float],
) -> tuple[tuple[tuple[str, float, float, float, float], ...], bool]:
    """Lead letters beside the legs, laterally; both, one or none; and whether they are digital."""
    top, left, bottom, right = shutters[0]
    digital = bool(rng.random() < 0.25)
    shown = [side for side in joints if rng.random() < (0.85 if len(joints) == 1 else 0.6)]
    markers = []
    for side in shown:
        tall = float(rng.uniform(9, 22))
        outward = -1 if side == "R" else 1
        edge = size[1] / 2 - (left if side == "R" else right) - tall
        beyond = joints[side][1] + outward * rng.uniform(62, 110)
        across = float(np.clip(beyond, -edge, edge))
        low, high = -size[0] / 2 + top + tall, size[0] / 2 - bottom - tall
        down = float(rng.uniform(low, high) if rng.random() < 0.4 else low + rng.uniform(0, 40))
        turn = float(rng.normal(0, 8) if digital or rng.random() < 0.8 else rng.normal(0, 90))
        markers.append((side, min(down, high), across, tall, 0.0 if digital else turn))
    return tuple(markers), digital
