"""Plain radiographs: whole films with both knees, or one leg, and where the joints are on them.

An OAI radiograph is a bilateral posteroanterior fixed-flexion view on one film: two different
knees, the right one on image left, between them the positioning frame with its columns of beads
(Kothari et al., Osteoarthr Cartil 2004;12:141), a lead letter, and the edges of the collimator.

    right, left = cast_shadow(shape_r, grades_r, seed=1), cast_shadow(shape_l, grades_l, seed=2)
    film = take_film(right, left, seed=3)
    film.pixels       # uint16 (rows, columns), 12 bits, bone bright
    film.joints       # {"R": (top, left, bottom, right), "L": ...} in pixels

A leg is painted once, 320 mm long, and projected to *shadows*: path integrals of soft tissue and
of bone, apart. Films are then laid out in the plane of the detector, where legs are turned,
mirrored and set side by side, and exposed by the X-ray unit of `radiograph`. That one tube
serves both legs, so that each is seen some 3 degrees obliquely, is left out: knees differ by more
than that in rotation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from ..errors import InputError
from .case import case_person
from .cohort import DEFAULT_ENRICHMENT
from .fields import PIXEL
from .radiograph import WHITE, Beam, expose, project, sample_beam, trabecular_texture
from .render import paint_on
from .shape import KneeShape
from .tissues import BONE, PROPERTIES, TRABECULAR, Tissue

JOINT_WIDTHS = 1.4
"""Side of the square joint box, in widths of the tibial plateau: about 107 mm on the film.

It is centred on the joint space and reaches from the upper pole of the patella to the neck of the
fibula; 30 % more is the 140 mm that a knee-sized radiograph shows."""
JOINT_SPACE_MM = 2.0
"""Height of the joint space over the tibial plateau: the middle of the joint box."""

LEG_PIXELS = (512, 320)
"""Rows and columns of a painted leg, 320 x 200 mm."""
SHADOW_MM = 0.5
"""Pixel size of a shadow, on the detector."""
_REACH_MM, _SLICE_MM = 93.0, 3.0  # of the painted slices along y: the whole thigh
_STREAM = 33  # of a film's random numbers, within those of a seed

Box = tuple[float, float, float, float]
"""Top, left, bottom, right in pixels, bottom and right exclusive."""


@dataclass(frozen=True)
class Shadow:
    """What one leg does to the beam: a right leg, as seen on the detector.

    Attributes:
        soft: Tensor (rows, columns), the path integral if all bone were muscle.
        bone: Tensor (rows, columns), what the bones add to it.
        trabecular: Tensor (rows, columns), projected length in trabecular bone, mm.
        plateau_mm: width of the tibial plateau on the detector.
        seed: whose knee it is.

    The middle of the joint space is the middle of the picture; pixels are ``SHADOW_MM`` wide.
    """

    soft: Tensor
    bone: Tensor
    trabecular: Tensor
    plateau_mm: float
    seed: int


@dataclass(frozen=True)
class Film:
    """A plain radiograph and the truth about it.

    Attributes:
        pixels: uint16 (rows, columns), 12 bits, bone bright, patient's right on image left.
        spacing_mm: pixel size at the detector.
        joints: the square joint box of each knee, by side.
        layout: how it was laid out.
        beam: how it was exposed.
    """

    pixels: np.ndarray
    spacing_mm: float
    joints: dict[str, Box]
    layout: Layout
    beam: Beam


@dataclass(frozen=True)
class Layout:
    """What lies where on a film. Lengths in mm on the detector, angles in degrees.

    Attributes:
        size_mm: height and width of the film.
        spacing_mm: pixel size.
        joints: middle of each knee's joint, (down, right) of the middle of the film, by side.
        lean: outward turn of each leg about its joint, by side.
        girth: of thigh and calf, 1 as painted.
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


def cast_shadow(
    shape: KneeShape, features: Mapping[str, int], seed: int, beam: Beam | None = None
) -> Shadow:
    """Paints a whole right leg and projects it.

    Args:
        shape: the knee.
        features: its grades.
        seed: draws textures and the alignment of the beam.
        beam: a given geometry instead of a drawn one.

    Returns:
        Shadow of 640 x 400 pixels of 0.5 mm.
    """
    rng = np.random.default_rng([seed, _STREAM])
    beam = beam or sample_beam(rng, shape.plateau_slope)
    slices_y = np.arange(-_REACH_MM, _REACH_MM + 0.1, _SLICE_MM)
    canvas = paint_on(shape, features, seed, slices_y, (0.0, JOINT_SPACE_MM), LEG_PIXELS)
    rows, columns = (round(count * PIXEL / SHADOW_MM) for count in LEG_PIXELS)
    beam = replace(beam, size=max(rows, columns), spacing_mm=SHADOW_MM, centre_mm=(0.0, 0.0))
    body = canvas.slices_y[canvas.mu.flatten(1).amax(1) > 0]
    detector_y = float(body[-1]) + beam.skin_to_detector_mm
    labels = canvas.label[:, ::2, ::2]

    def cast(volume: Tensor, slabs: int = 31) -> Tensor:
        width = LEG_PIXELS[1] * PIXEL
        shadow = project(volume, canvas.slices_y, beam, detector_y, slabs, width)
        margin = (shadow.shape[1] - columns - 50) // 2
        return shadow[:, margin : shadow.shape[1] - margin]

    muscle = PROPERTIES[Tissue.MUSCLE].mu_per_mm
    mineral = torch.isin(canvas.label, torch.tensor(BONE, dtype=torch.uint8))
    excess = torch.where(mineral, canvas.mu - muscle, 0.0)
    distance = beam.source_to_detector_mm
    return Shadow(
        soft=cast(canvas.mu - excess),
        bone=cast(excess),
        trabecular=cast(torch.isin(labels, torch.tensor(TRABECULAR, dtype=torch.uint8)), 6),
        plateau_mm=shape.plateau_width * shape.scale * distance / (distance - detector_y),
        seed=seed,
    )


def shadow_of(seed: int, enrichment: float = DEFAULT_ENRICHMENT) -> Shadow:
    """The leg of the patient whom `case.make_case` makes of the same seed."""
    _, shape, grades = case_person(seed, enrichment)
    return cast_shadow(shape, grades, seed)


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


def take_film(
    right: Shadow | None,
    left: Shadow | None,
    seed: int,
    layout: Layout | None = None,
    beam: Beam | None = None,
    spacing_mm: float = 0.6,
) -> Film:
    """A plain radiograph of one or two legs.

    Args:
        right, left: the legs, both as right legs (a left one is mirrored here), one may be None.
        seed: draws the layout, the exposure and the noise.
        layout: a given layout instead of a drawn one; it has the sides that are given.
        beam: a given exposure instead of a drawn one.
        spacing_mm: pixel size of a drawn layout.

    Raises:
        InputError: if there is no leg, or the layout has other sides.
    """
    legs = {side: leg for side, leg in (("R", right), ("L", left)) if leg is not None}
    if not legs:
        raise InputError("a film without legs: give at least one")
    rng = np.random.default_rng([seed, _STREAM])
    layout = layout or sample_layout(rng, "".join(legs), spacing_mm)
    if set(layout.joints) != set(legs):
        raise InputError(f"a layout for {set(layout.joints)} and legs {set(legs)}: give the same")
    beam = beam or _sample_exposure(rng)
    beam = replace(beam, spacing_mm=layout.spacing_mm, shutters=(0, 0, 0, 0))
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))

    soft, bone, trabecular = _side_by_side(layout, legs)
    path = soft + bone + trabecular_texture(trabecular, layout.spacing_mm, generator)
    if layout.frame:
        path = path + _frame(layout, rng)
    if not layout.digital:
        path = path + 3.0 * _letters(layout)
    picture = expose(path.clamp_min(0), beam, generator)
    if layout.digital:
        picture = np.where(_letters(layout).numpy() > 0.5, WHITE, picture).astype(np.uint16)
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
    """As of a knee-sized field, with the wider spread of whole films from many units."""
    return replace(
        sample_beam(rng),
        brightness=float(rng.normal(0.35, 0.3)),
        contrast=float(np.exp(rng.normal(0.0, 0.25))),
        equalisation=float(rng.uniform(0.1, 0.55)),
        scatter_ratio=float(rng.uniform(0.25, 0.9)),
    )


# --- the plane of the detector --------------------------------------------------------------------

_SOFT_WIDTH = (
    *((-330, 0.62), (-260, 0.66), (-200, 0.82), (-150, 1.02), (-110, 1.09), (-62, 1.02)),
    *((0, 0.98), (45, 1.0), (100, 1.14), (160, 1.27), (240, 1.34), (330, 1.36)),
)
"""Width of the leg by height over the joint (mm), relative to the painted one.

The painted leg keeps the sections of z = 100 and -62 mm beyond them; the calf's belly, the ankle
and the growing thigh come in here."""
_BONE_WIDTH = ((-330, 0.84), (-160, 0.92), (-62, 1.0), (330, 1.0))
"""The same of the bones: the shank's grow thinner."""
_LATERAL = ((-400, -6.0), (-62, 0.0), (105, 0.0), (400, 26.0))
"""How far the leg's axis lies laterally by height, mm: the femur leans on towards the hip."""


def _tabulated(knots: tuple[tuple[float, float], ...], height: Tensor) -> Tensor:
    heights, values = np.array(knots, dtype=float).T
    at = np.clip(height.numpy(), heights[0], heights[-1])
    return torch.from_numpy(PchipInterpolator(heights, values)(at).astype(np.float32))


def _side_by_side(layout: Layout, legs: Mapping[str, Shadow]) -> tuple[Tensor, Tensor, Tensor]:
    """Soft tissue, bone and trabeculae of all legs on the film; where skin meets skin, the more."""
    placed = [_placed(layout, side, leg) for side, leg in legs.items()]
    layers = torch.stack(placed)
    return layers[:, 0].amax(0), layers[:, 1].sum(0), layers[:, 2].sum(0)


def _placed(layout: Layout, side: str, leg: Shadow) -> Tensor:
    """The shadows of one leg on the film: Tensor (3, rows, columns)."""
    rows, columns = layout.shape
    down = (torch.arange(rows) - (rows - 1) / 2) * layout.spacing_mm - layout.joints[side][0]
    across = (torch.arange(columns) - (columns - 1) / 2) * layout.spacing_mm
    across = (across - layout.joints[side][1]) * (1 if side == "R" else -1)
    turn = math.radians(layout.lean[side])
    up = -down[:, None] * math.cos(turn) + across * math.sin(turn)
    along = across * math.cos(turn) + down[:, None] * math.sin(turn)  # medial of the leg's axis
    along = along + _tabulated(_LATERAL, up)
    girth = 1 + (layout.girth - 1) * torch.sigmoid((up.abs() - 60) / 25)
    soft = _looked_up(leg.soft[None], along / _tabulated(_SOFT_WIDTH, up) / girth, up)
    mineral = torch.stack([leg.bone, leg.trabecular])
    return torch.cat([soft, _looked_up(mineral, along / _tabulated(_BONE_WIDTH, up), up)])


def _looked_up(shadows: Tensor, along: Tensor, up: Tensor) -> Tensor:
    """Shadows (n, H, W) at points in mm medial of and above their middle, the edge continued."""
    height, breadth = (count * SHADOW_MM / 2 for count in shadows.shape[-2:])
    grid = torch.stack([along / breadth, -up / height], dim=-1)[None].float()
    return F.grid_sample(shadows[None], grid, padding_mode="border", align_corners=False)[0]


def _joint_box(layout: Layout, side: str, leg: Shadow) -> Box:
    half = JOINT_WIDTHS * leg.plateau_mm / 2 / layout.spacing_mm
    rows, columns = layout.shape
    row = rows / 2 + layout.joints[side][0] / layout.spacing_mm
    column = columns / 2 + layout.joints[side][1] / layout.spacing_mm
    return row - half, column - half, row + half, column + half


def _millimetres(layout: Layout) -> tuple[Tensor, Tensor]:
    """Down and right of the middle of the film, (rows, 1) and (1, columns)."""
    down, across = (
        (torch.arange(count) - (count - 1) / 2) * layout.spacing_mm for count in layout.shape
    )
    return down[:, None], across[None]


def _frame(layout: Layout, rng: np.random.Generator) -> Tensor:
    """The positioning frame: plastic walls between the feet and two columns of steel beads."""
    down, across = _millimetres(layout)
    middle = float(np.mean([place[1] for place in layout.joints.values()]))
    if len(layout.joints) == 1:
        side = next(iter(layout.joints))
        middle += 85.0 if side == "R" else -85.0
    tilt = float(rng.normal(0, 0.012))
    across = across - middle - tilt * down
    path = torch.zeros(layout.shape)
    half = float(rng.uniform(6, 13))
    for edge in (-half * 2.2, -half * 0.55, half * 0.55, half * 2.2):
        wall = float(rng.uniform(0.15, 0.6)) * torch.sigmoid((1.6 - (across - edge).abs()) / 0.4)
        path = path + wall
    path = path + float(rng.uniform(0.1, 0.5)) * torch.sigmoid((half * 2.2 - across.abs()) / 0.5)
    pitch, radius = float(rng.uniform(15, 30)), float(rng.uniform(1.0, 2.1))
    for column in (-half, half):
        offset = float(rng.uniform(0, pitch))
        nearest = (down - offset + pitch / 2) % pitch - pitch / 2
        gap = torch.hypot(nearest.expand_as(path), (across - column).expand_as(path))
        path = path + 3.0 * torch.sigmoid((radius - gap) / 0.35)
    return path


def _letters(layout: Layout) -> Tensor:
    """Cover of the lead letters, 0..1, Tensor (rows, columns)."""
    sheet = Image.new("L", layout.shape[::-1])
    rows, columns = layout.shape
    for letter, down, across, tall, turn in layout.markers:
        pixels = max(tall / layout.spacing_mm, 6.0)
        font = ImageFont.load_default(pixels * 1.37)  # of the em: capitals are 0.73 of it
        glyph = Image.new("L", (round(2.2 * pixels),) * 2)
        bold = max(1, round(0.05 * pixels))
        middle = (glyph.width / 2, glyph.height / 2)
        ImageDraw.Draw(glyph).text(middle, letter, 255, font, anchor="mm", stroke_width=bold)
        glyph = glyph.rotate(turn, Image.Resampling.BILINEAR)
        row, column = rows / 2 + down / layout.spacing_mm, columns / 2 + across / layout.spacing_mm
        sheet.paste(255, (round(column - middle[0]), round(row - middle[1])), glyph)
    return torch.from_numpy(np.asarray(sheet, np.float32) / 255)


def _collimated(picture: np.ndarray, layout: Layout) -> np.ndarray:
    top, left, bottom, right = (round(width / layout.spacing_mm) for width in layout.shutters)
    rows, columns = picture.shape
    framed = np.full_like(picture, round(layout.shutter_grey * WHITE))
    window = np.s_[top : rows - bottom, left : columns - right]
    framed[window] = picture[window]
    return framed
