"""A contact sheet of a volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.volume import NOTICE


def montage(
    slices: NDArray[np.float32],
    radiograph: NDArray[np.float32] | None = None,
    tiles: int = 12,
    columns: int = 6,
) -> NDArray[np.float32]:
    """A contact sheet of a volume.

    Args:
        slices: (n, H, W) in [0, 1], image convention.
        radiograph: (H, W) in [0, 1], shown as the first tile when given.
        tiles: how many slices, evenly spread over the depths.
        columns: tiles in a row.

    Returns:
        (rows * H + caption, columns * W) in [0, 1], with the words "synthetic, not for diagnosis".
    """
    chosen = np.unique(np.linspace(0, len(slices) - 1, min(tiles, len(slices))).round().astype(int))
    pictures: list[NDArray[np.float32]] = [] if radiograph is None else [radiograph]
    pictures += [slices[k] for k in chosen]
    titles = [] if radiograph is None else ["radiograph"]
    titles += [f"slice {k + 1}/{len(slices)}" for k in chosen]
    return _sheet(pictures, titles, columns)


def _sheet(
    pictures: Sequence[NDArray[np.float32]], titles: Sequence[str], columns: int
) -> NDArray[np.float32]:
    from PIL import Image, ImageDraw

    height, width = pictures[0].shape
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    caption = 18
    sheet = Image.new("L", (columns * width, rows * height + caption))
    draw = ImageDraw.Draw(sheet)
    for index, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        left, top = index % columns * width, index // columns * height
        sheet.paste(Image.fromarray(np.uint8(np.clip(picture, 0, 1) * 255 + 0.5)), (left, top))
        draw.text((left + 4, top + 3), title, fill=255)
    draw.text((4, rows * height + 3), f"XR2MRI: {NOTICE}", fill=255)
    return np.asarray(sheet, dtype=np.float32) / 255
