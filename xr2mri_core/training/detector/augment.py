"""What may happen to a radiograph before the detector sees it.

Phantoms and real radiographs differ in contrast, processing, sharpness and what else is on the
film; so all of that is drawn anew for every frame, and only the anatomy stays.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur

from xr2mri_core.localization.frames import contrasted
from xr2mri_core.localization.network import FRAME


def augmented(
    picture: NDArray[np.uint8], joints: NDArray[np.float32], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A frame of a picture of the corpus, as the detector might see it.

    Args:
        picture: uint8 (rows, columns).
        joints: float32 (n, 4), top, left, bottom, right in its pixels.
        rng: draws everything.

    Returns:
        Frame Tensor (1, 256, 256) in [0, 1], and the boxes (m, 4) of the joints that it shows, as
        left, top, right, bottom in its pixels.
    """
    picture, joints = _trimmed(picture, joints, rng)
    middle, side = _window(picture.shape, joints, rng)
    turn = math.radians(rng.normal(0, 6) if rng.random() < 0.7 else rng.uniform(-20, 20))
    stretch = math.exp(rng.normal(0, 0.05))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    frame, inside = _cut(picture, middle, side, turn, stretch, flip)
    boxes = _moved(joints, middle, side, turn, stretch, flip)
    frame = _exposed(frame, inside, rng)
    return _littered(frame, rng), boxes


def _trimmed(
    picture: NDArray[np.uint8], joints: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Sometimes only a part of the film, as a user might crop it."""
    if rng.random() > 0.4:
        return picture, joints
    rows, columns = picture.shape
    if len(joints) and rng.random() < 0.75:  # around one joint, down to less than its box
        box = joints[rng.integers(len(joints))]
        side = (box[2] - box[0]) * math.exp(rng.uniform(math.log(0.72), math.log(2.2)))
        tall, wide = side * math.exp(rng.normal(0, 0.12)), side * math.exp(rng.normal(0, 0.12))
        shift = rng.normal(0, 0.10, 2) * side
        row, column = (box[0] + box[2]) / 2 + shift[0], (box[1] + box[3]) / 2 + shift[1]
        edges = row - tall / 2, column - wide / 2, row + tall / 2, column + wide / 2
    else:
        cut = rng.uniform(0, 0.22, 4)
        edges = cut[0] * rows, cut[1] * columns, (1 - cut[2]) * rows, (1 - cut[3]) * columns
    top, left = max(0, round(edges[0])), max(0, round(edges[1]))
    bottom, right = min(rows, round(edges[2])), min(columns, round(edges[3]))
    if min(bottom - top, right - left) < 48:
        return picture, joints
    moved: NDArray[np.float32] = joints - np.array([top, left, top, left], np.float32)
    return picture[top:bottom, left:right], _visible(moved, (bottom - top, right - left))


def _visible(joints: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """The joints whose middle lies in a picture, with some of them around it."""
    side = joints[:, 2] - joints[:, 0]
    middle = (joints[:, :2] + joints[:, 2:]) / 2
    room = np.minimum(middle, np.array(shape, np.float32) - middle).min(1)
    return joints[room > 0.15 * side]


def _window(
    shape: tuple[int, ...], joints: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float64], float]:
    """Middle and side of what the frame shows: the whole, around a joint, or beside the joints."""
    rows, columns = shape[:2]
    kind = rng.random()
    if len(joints) and kind < 0.35:
        box = joints[rng.integers(len(joints))]
        size = box[2] - box[0]
        side = size * math.exp(rng.uniform(math.log(1.25), math.log(3.5)))
        spread = min(0.3, max(0.0, (side / size - 1) / 3))
        return (box[:2] + box[2:]) / 2 + rng.normal(0, spread, 2) * size, float(side)
    if len(joints) and kind < 0.45:
        size = float(joints[0, 2] - joints[0, 0])
        for _ in range(6):
            middle = rng.uniform(0, 1, 2) * (rows, columns)
            side = size * rng.uniform(0.8, 1.6)
            apart = np.abs((joints[:, :2] + joints[:, 2:]) / 2 - middle).max(1)
            if (apart > side / 2 + 0.1 * size).all():  # no joint's middle in it
                return middle, side
    # a joint that is larger than its picture is seen whole in a wider window; a picture without a
    # knee is seen so too, or else a black border around it would tell a knee
    tight = not len(joints) or joints[0, 2] - joints[0, 0] > 0.7 * min(rows, columns)
    widest = 2.2 if tight else 1.35
    side = max(rows, columns) * rng.uniform(0.95, widest)
    return np.array([rows, columns]) / 2 + rng.normal(0, 0.04, 2) * side, float(side)


def _cut(
    picture: NDArray[np.uint8],
    middle: NDArray[np.float64],
    side: float,
    turn: float,
    stretch: float,
    flip: float,
) -> tuple[Tensor, Tensor]:
    """The window, turned, stretched and mirrored; and where it shows the picture."""
    rows, columns = picture.shape
    source = torch.from_numpy(np.ascontiguousarray(picture))[None, None].float() / 255
    grain = side / FRAME
    if grain > 1.4:
        source = gaussian_blur(source, [5, 5], [0.35 * grain] * 2)
    cos, sin = math.cos(turn) * side / 2, math.sin(turn) * side / 2
    # frame (x, y) in [-1, 1] -> picture, in pixels from its middle, then in [-1, 1]
    across, down = stretch**0.5 * flip, stretch**-0.5
    offset = middle - np.array([rows, columns]) / 2
    theta = torch.tensor(
        [
            [cos * across * 2 / columns, -sin * down * 2 / columns, offset[1] * 2 / columns],
            [sin * across * 2 / rows, cos * down * 2 / rows, offset[0] * 2 / rows],
        ],
        dtype=torch.float32,
    )
    grid = F.affine_grid(theta[None], [1, 1, FRAME, FRAME], align_corners=False)
    inside = (grid.abs() <= 1).all(-1)
    return F.grid_sample(source, grid, align_corners=False)[0] * inside, inside


def _moved(
    joints: NDArray[np.float32],
    middle: NDArray[np.float64],
    side: float,
    turn: float,
    stretch: float,
    flip: float,
) -> Tensor:
    """Where `_cut` brings the joints: upright squares of their size."""
    if not len(joints):
        return torch.zeros(0, 4)
    down, across = (((joints[:, :2] + joints[:, 2:]) / 2 - middle) * 2 / side).T
    x = (math.cos(turn) * across + math.sin(turn) * down) * stretch**-0.5 * flip
    y = (math.cos(turn) * down - math.sin(turn) * across) * stretch**0.5
    half = (joints[:, 2] - joints[:, 0]) / side * FRAME / 2
    x, y = (x + 1) * FRAME / 2, (y + 1) * FRAME / 2
    shown = np.minimum(np.minimum(x, FRAME - x), np.minimum(y, FRAME - y)) > 0.3 * half
    boxes = np.stack([x - half, y - half, x + half, y + half], 1)[shown]
    return torch.from_numpy(boxes.clip(0, FRAME).astype(np.float32))


def _exposed(frame: Tensor, inside: Tensor, rng: np.random.Generator) -> Tensor:
    """Other tube, other processing, other reader."""
    shown = frame[0]
    shown = contrasted_where(shown, inside[0])
    if rng.random() < 0.5:  # edge enhancement, or its opposite
        wide = gaussian_blur(shown[None], [31, 31], [float(rng.uniform(2, 12))] * 2)[0]
        shown = shown + float(rng.uniform(-0.4, 1.6)) * (shown - wide)
    if rng.random() < 0.4:  # uneven exposure, the heel of the anode, a shutter's penumbra
        field = torch.from_numpy(rng.standard_normal((1, 1, 3, 3)).astype(np.float32))
        field = F.interpolate(field, shown.shape, mode="bicubic")[0, 0]
        shown = shown * torch.exp(float(rng.uniform(0, 0.35)) * field)
    shown = contrasted_where(shown, inside[0]) ** math.exp(rng.normal(0, 0.45))
    if rng.random() < 0.4:  # an S-shaped or a flat curve
        centre, steep = float(rng.uniform(0.2, 0.8)), float(rng.uniform(3, 12))
        shown = torch.sigmoid(steep * (shown - centre))
    if rng.random() < 0.10:  # MONOCHROME1 that nobody has inverted
        shown = 1 - shown
    if rng.random() < 0.5:
        shown = gaussian_blur(shown[None], [9, 9], [float(rng.uniform(0.3, 2.2))] * 2)[0]
    if rng.random() < 0.25:  # a small picture, enlarged
        size = int(rng.integers(80, 260))
        small = F.interpolate(shown[None, None], (size, size), mode="bilinear", antialias=True)
        shown = F.interpolate(small, shown.shape, mode="bilinear")[0, 0]
    if rng.random() < 0.6:
        noise = rng.standard_normal(shown.shape, dtype=np.float32)
        shown = shown + abs(rng.normal(0, 0.05)) * torch.from_numpy(noise)
    return (contrasted_where(shown, inside[0]) * inside[0])[None]


def contrasted_where(picture: Tensor, inside: Tensor) -> Tensor:
    """`contrasted` by what lies inside alone."""
    if not inside.any():
        return torch.zeros_like(picture)
    values = contrasted(picture[inside])
    return torch.zeros_like(picture).masked_scatter_(inside, values)


def _littered(frame: Tensor, rng: np.random.Generator) -> Tensor:
    """Labels, plates, rulers and screws lie on top, anywhere."""
    frame = frame.clone()
    for _ in range(int(rng.poisson(0.7))):
        tall, wide = (int(v) for v in rng.uniform(3, 34, 2))
        top, left = (int(v) for v in rng.uniform(-8, FRAME - 4, 2))
        patch = frame[0, max(top, 0) : top + tall, max(left, 0) : left + wide]
        patch.fill_(float(rng.choice([0.0, 1.0, rng.random()])))
    if rng.random() < 0.12:
        at, thick = int(rng.integers(FRAME)), int(rng.integers(1, 5))
        line = frame[0, :, at : at + thick] if rng.random() < 0.5 else frame[0, at : at + thick]
        line.fill_(float(rng.choice([0.0, 1.0])))
    return frame
