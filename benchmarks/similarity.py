"""What SSIM costs by matrices along each axis, against MONAI's windows.

    .venv/bin/python benchmarks/similarity.py --out out/bench

Both measure the same two random volumes in turns, and are counted in processor time of one thread,
which other programs disturb little; the largest difference of their numbers stands beside.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.metrics.regression import compute_ms_ssim, compute_ssim_and_cs
from torch import Tensor

from xr2mri_core.evaluation.similarity import local_similarity, multi_scale_similarity
from xr2mri_core.evaluation.summary import table
from xr2mri_core.files import write_text

TITLES = ["of 50 slices", "MONAI, s", "ours, s", "times faster", "largest difference"]
WINDOW: Any = {"window": 11, "sigma": 1.5}


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--size", type=int, default=256, help="pixels of the side of a slice")
    parser.add_argument("--repeats", type=int, default=5, help="pairs, of which the median counts")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    volumes = random.random((2, 50, arguments.size, arguments.size), np.float32)
    lines = []
    for name, (theirs, ours) in _pairs(*torch.from_numpy(volumes)).items():
        pairs = [(_seconds(theirs), _seconds(ours)) for _ in range(arguments.repeats)]
        before, after = (statistics.median(side) for side in zip(*pairs, strict=True))
        apart = float((theirs() - ours()).abs().max())
        lines.append(
            [name, f"{before:.2f}", f"{after:.2f}", f"{before / after:.1f}", f"{apart:.0e}"]
        )
    text = f"one thread, {arguments.repeats} pairs\n\n{table(TITLES, lines)}\n"
    print(text, end="")
    write_text(arguments.out / "similarity.md", text)


def _pairs(true: Tensor, own: Tensor) -> dict[str, tuple[Callable[[], Tensor], ...]]:
    """Name -> MONAI's and ours, of slices (n, H, W)."""
    flat, solid = (true[:, None], own[:, None]), (true[None, None], own[None, None])
    plane: Any = {"spatial_dims": 2, "kernel_size": [11] * 2, "kernel_sigma": [1.5] * 2}
    space: Any = {"spatial_dims": 3, "kernel_size": [7] * 3, "kernel_sigma": [1.5] * 3}
    return {
        "SSIM": (
            lambda: compute_ssim_and_cs(*flat, **plane)[0][:, 0],
            lambda: local_similarity(true, own, **WINDOW)[0],
        ),
        "MS-SSIM": (
            lambda: compute_ms_ssim(*flat, spatial_dims=2)[:, 0],
            lambda: multi_scale_similarity(true, own, **WINDOW),
        ),
        "3-D SSIM": (
            lambda: compute_ssim_and_cs(*solid, **space)[0][0, 0],
            lambda: local_similarity(true, own, window=7, sigma=1.5, axes=3)[0],
        ),
    }


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
