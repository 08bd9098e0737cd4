"""The plane of the detector: legs, frame and letters as path integrals on one film."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from .layout import Layout
from .shadow import SHADOW_MM, Shadow

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
"""How far the leg's axis lies laterally by height, mm: the femur leans on towards the hip.

All three, and what follows, are set by eye beside radiographs of whole legs. Lengths in mm on the
detector.
"""
_GIRTH_FROM, _GIRTH_OVER = 60, 25
"""Distance from the joint beyond which the leg has its own girth, and over what."""

_FRAME_BESIDE = 85.0
"""How far medially of a single knee the frame stands."""
_FRAME_TILT_SPREAD, _FRAME_HALF = 0.012, (6, 13)
_WALLS_AT = (-2.2, -0.55, 0.55, 2.2)
_WALL_PATH, _WALL_HALF, _WALL_EDGE = (0.15, 0.6), 1.6, 0.4
"""Walls of the frame: where, over its half width; path integral, half thickness, edge."""
_PLATE_PATH, _PLATE_EDGE = (0.1, 0.5), 0.5
"""The plate between the outer ones."""
_BEAD_PITCH, _BEAD_RADIUS, _BEAD_PATH, _BEAD_EDGE = (15, 30), (1.0, 2.1), 3.0, 0.35

_LEAST_PIXELS, _EM, _GLYPH, _BOLD = 6.0, 1.37, 2.2, 0.05
"""Letters: least height in pixels; over it, the font's em (capitals are .73 of that), the side of
the picture they are drawn in, and the stroke."""


def _tabulated(knots: tuple[tuple[float, float], ...], height: Tensor) -> Tensor:
    heights, values = np.array(knots, dtype=float).T
    at = np.clip(height.numpy(), heights[0], heights[-1])
    return torch.from_numpy(PchipInterpolator(heights, values)(at).astype(np.float32))


def side_by_side(layout: Layout, legs: Mapping[str, Shadow]) -> tuple[Tensor, Tensor, Tensor]:
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
    girth = 1 + (layout.girth - 1) * torch.sigmoid((up.abs() - _GIRTH_FROM) / _GIRTH_OVER)
    soft = _looked_up(leg.soft[None], along / _tabulated(_SOFT_WIDTH, up) / girth, up)
    mineral = torch.stack([leg.bone, leg.trabecular])
    return torch.cat([soft, _looked_up(mineral, along / _tabulated(_BONE_WIDTH, up), up)])


def _looked_up(shadows: Tensor, along: Tensor, up: Tensor) -> Tensor:
    """Shadows (n, H, W) at points in mm medial of and above their middle, the edge continued."""
    height, breadth = (count * SHADOW_MM / 2 for count in shadows.shape[-2:])
    grid = torch.stack([along / breadth, -up / height], dim=-1)[None].float()
    return F.grid_sample(shadows[None], grid, padding_mode="border", align_corners=False)[0]


def _millimetres(layout: Layout) -> tuple[Tensor, Tensor]:
    """Down and right of the middle of the film, (rows, 1) and (1, columns)."""
    down, across = (
        (torch.arange(count) - (count - 1) / 2) * layout.spacing_mm for count in layout.shape
    )
    return down[:, None], across[None]


def positioning_frame(layout: Layout, rng: np.random.Generator) -> Tensor:
    """The positioning frame: plastic walls between the feet and two columns of steel beads."""
    down, across = _millimetres(layout)
    middle = float(np.mean([place[1] for place in layout.joints.values()]))
    if len(layout.joints) == 1:
        side = next(iter(layout.joints))
        middle += _FRAME_BESIDE if side == "R" else -_FRAME_BESIDE
    tilt = float(rng.normal(0, _FRAME_TILT_SPREAD))
    across = across - middle - tilt * down
    path = torch.zeros(layout.shape)
    half = float(rng.uniform(*_FRAME_HALF))
    for at in _WALLS_AT:
        inside = (_WALL_HALF - (across - half * at).abs()) / _WALL_EDGE
        path = path + float(rng.uniform(*_WALL_PATH)) * torch.sigmoid(inside)
    inside = (half * _WALLS_AT[-1] - across.abs()) / _PLATE_EDGE
    path = path + float(rng.uniform(*_PLATE_PATH)) * torch.sigmoid(inside)
    pitch, radius = float(rng.uniform(*_BEAD_PITCH)), float(rng.uniform(*_BEAD_RADIUS))
    for column in (-half, half):
        offset = float(rng.uniform(0, pitch))
        nearest = (down - offset + pitch / 2) % pitch - pitch / 2
        gap = torch.hypot(nearest.expand_as(path), (across - column).expand_as(path))
        path = path + _BEAD_PATH * torch.sigmoid((radius - gap) / _BEAD_EDGE)
    return path


def letters_cover(layout: Layout) -> Tensor:
    """Cover of the lead letters, 0..1, Tensor (rows, columns)."""
    sheet = Image.new("L", layout.shape[::-1])
    rows, columns = layout.shape
    for letter, down, across, tall, turn in layout.markers:
        pixels = max(tall / layout.spacing_mm, _LEAST_PIXELS)
        font = ImageFont.load_default(pixels * _EM)
        glyph = Image.new("L", (round(_GLYPH * pixels),) * 2)
        bold = max(1, round(_BOLD * pixels))
        middle = (glyph.width / 2, glyph.height / 2)
        ImageDraw.Draw(glyph).text(middle, letter, 255, font, anchor="mm", stroke_width=bold)
        glyph = glyph.rotate(turn, Image.Resampling.BILINEAR)
        row, column = rows / 2 + down / layout.spacing_mm, columns / 2 + across / layout.spacing_mm
        sheet.paste(255, (round(column - middle[0]), round(row - middle[1])), glyph)
    return torch.from_numpy(np.asarray(sheet, np.float32) / 255)
