"""A picture of phantom knees: `python -m xr2mri_core.phantom.gallery docs/phantom_knees.png`.

Four knees (KL 0, 2, 3, 4), each a row: its radiograph and coronal slices from behind to in front.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from xr2mri_core.transforms.mri import CLIP_PERCENTILES

from .case import make_case

matplotlib.use("Agg")

KNEES: tuple[tuple[int, str, dict[str, int]], ...] = (
    (11, "KL 0", {"V00XRKL": 0}),
    (
        24,
        "KL 2: osteophytes, calcified lateral meniscus",
        {"V00XRKL": 2, "V00XROSFM": 1, "V00XROSTM": 2, "V00XROSTL": 1, "V00XRCHL": 1},
    ),
    (
        33,
        "KL 3: medial narrowing, sclerosis, tibial cyst",
        {
            **{"V00XRKL": 3, "V00XRJSM": 2, "V00XROSFM": 2, "V00XROSTM": 2, "V00XROSFL": 1},
            **{"V00XRSCTM": 2, "V00XRSCFM": 1, "V00XRCYTM": 1},
        },
    ),
    (
        42,
        "KL 4: bone on bone, attrition",
        {
            **{"V00XRKL": 4, "V00XRJSM": 3, "V00XRATTM": 2, "V00XROSFM": 3, "V00XROSTM": 3},
            **{"V00XROSFL": 2, "V00XROSTL": 2, "V00XRSCTM": 3, "V00XRSCFM": 3, "V00XRCYFM": 1},
        },
    ),
)
SLICES = (18, 27, 33, 38, 44, 56)
"""Slices that are shown, of the 80."""


def draw(path: Path) -> None:
    """Writes the picture as PNG."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(KNEES), 1 + len(SLICES), figsize=(2.2 * (1 + len(SLICES)), 2.3 * len(KNEES))
    )
    for row, (seed, title, features) in zip(axes, KNEES, strict=True):
        case = make_case(seed, features)
        white = np.percentile(case.mri, CLIP_PERCENTILES[1])
        row[0].imshow(case.radiograph, cmap="gray")
        row[0].set_title(title, fontsize=7, loc="left")
        for axis, k in zip(row[1:], SLICES, strict=True):
            axis.imshow(case.mri[::-1, k, ::-1].T, cmap="gray", vmin=0, vmax=white)
            axis.set_title(f"slice {k} of 80", fontsize=6)
    for axis in axes.ravel():
        axis.axis("off")
    figure.text(0.995, 0.002, "synthetic phantoms, no patient", ha="right", fontsize=6)
    figure.subplots_adjust(0.003, 0.015, 0.997, 0.97, 0.02, 0.09)
    drawn = BytesIO()
    figure.savefig(drawn, dpi=95)
    plt.close(figure)
    Image.open(drawn).convert("L").save(path, optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/phantom_knees.png"))
