"""A picture of what was found: joints, crops, sides and scores drawn on the radiograph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from xr2mri_core.files import atomic_files
from xr2mri_core.localization.decision import Localization

LARGEST = 1400
"""Longer side of the picture in pixels."""
JOINT, CROP = (255, 90, 60), (80, 220, 120)
"""Colours of the joint boxes and of the squares that are cut out."""


def draw_overlay(picture: NDArray[np.float32], found: Localization) -> Image.Image:
    """Draw a localization on its picture (rows, columns)."""
    low, high = np.percentile(picture, (0.5, 99.5))
    grey = np.clip((picture.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1) * 255
    factor = min(3.0, LARGEST / max(picture.shape))
    size = tuple(max(1, round(n * factor)) for n in picture.shape[::-1])
    image = Image.fromarray(grey.astype(np.uint8)).resize((size[0], size[1])).convert("RGB")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(max(12, min(size) / 28))
    line = max(2, round(min(size) / 250))
    for knee in found.knees:
        for box, colour in ((knee.box, CROP), (knee.joint, JOINT)):
            top, left, bottom, right = (edge * factor for edge in box)
            pen.rectangle((left, top, right, bottom), outline=colour, width=line)
        words = f"{knee.side or '?'} {knee.score:.2f} {knee.source}"
        at = (max(knee.joint[1], 0) * factor + 2 * line, max(knee.joint[0], 0) * factor + line)
        pen.text(at, words, JOINT, font)
    if not found.knees:
        pen.text((8, 8), "; ".join(found.warnings), JOINT, font)
    return image


def write_overlay(path: str | Path, picture: NDArray[np.float32], found: Localization) -> None:
    """Write `draw_overlay` as a PNG, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    path = Path(path)
    with atomic_files(path.parent) as files:
        draw_overlay(picture, found).save(files.path(path), format="PNG")
