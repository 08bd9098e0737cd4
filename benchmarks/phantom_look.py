"""How near the phantom's scan comes to a real one: grey by region, spectrum, coherence in depth.

    python benchmarks/phantom_look.py MRI.nii.gz --picture docs/phantom_and_scan.png

MRI.nii.gz is the public volume (256, 50, 256) of the first knee of ZWang78/zwang78.github.io (CC
BY-SA 4.0); `phantom_look.json` holds the boxes that were drawn on it. Phantoms go through the same
normalisation, and their regions are their own label maps without the border voxels.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from xr2mri_core.geometry import slice_window
from xr2mri_core.phantom import Tissue, make_case
from xr2mri_core.transforms.mri import CLIP_PERCENTILES

BOXES = Path(__file__).with_suffix(".json")
SEEDS = tuple(range(101, 109))
LAGS = (1, 2, 5)
"""Slices of 1.5 mm."""
CARTILAGE = (
    Tissue.FEMORAL_CARTILAGE,
    Tissue.TIBIAL_CARTILAGE_MEDIAL,
    Tissue.TIBIAL_CARTILAGE_LATERAL,
    Tissue.PATELLAR_CARTILAGE,
)
REGIONS: dict[str, tuple[tuple[Tissue, ...], int]] = {
    "muscle": ((Tissue.MUSCLE,), 2),
    "cartilage": (CARTILAGE, 1),
    "marrow": ((Tissue.TRABECULAR_MARROW, Tissue.TIBIA_MARROW), 2),
    "subcutaneous fat": ((Tissue.SUBCUTANEOUS_FAT,), 2),
    "intermuscular fat": ((Tissue.INTERMUSCULAR_FAT,), 2),
    "fluid": ((Tissue.JOINT_FLUID,), 0),
    "air": ((Tissue.AIR,), 2),
}
"""Labels of a region, and the voxels that are taken off its border in plane. Fluid is a film: all
of it counts, partial volume with it."""


def normalised(volume: NDArray[Any]) -> NDArray[np.float32]:
    """A volume (X, slices, Z) between 0 and 1, as the training has it."""
    low, high = np.percentile(volume, CLIP_PERCENTILES)
    return np.clip((volume.astype(np.float32) - low) / (high - low), 0, 1)


def phantom(seed: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A patient's normalised window of slices, and the labels there: (256, 50, 256)."""
    case = make_case(seed)
    window = slice(*slice_window(case.mri.shape[1]))
    return normalised(case.mri[:, window]), case.labels[:, window]


def region_means(volume: NDArray[np.float32], labels: NDArray[np.uint8]) -> dict[str, float]:
    """Mean grey of each region of a phantom, relative to the top grey."""
    inside = volume > 0  # not the wedges beyond the field of view
    means = {}
    for name, (tissues, margin) in REGIONS.items():
        mask = np.isin(labels, tissues)
        if margin:
            mask = binary_erosion(mask, np.ones((3, 1, 3)), iterations=margin)
        means[name] = float(volume[mask & inside].mean())
    return means


def box_means(volume: NDArray[np.float32]) -> dict[str, float]:
    """Mean grey of each region of the real volume: of its boxes' means."""
    pictures = np.stack([picture(volume[:, i]) for i in range(volume.shape[1])])
    regions = json.loads(BOXES.read_text(encoding="utf-8"))["regions"]
    return {
        name: float(np.mean([pictures[i, a:b, c:d].mean() for i, a, b, c, d in boxes]))
        for name, boxes in regions.items()
    }


def picture(section: NDArray[np.float32]) -> NDArray[np.float32]:
    """A coronal or axial section of a RAS volume, the patient's right on the left."""
    return np.rot90(section)[:, ::-1]


def lags(volume: NDArray[np.float32]) -> list[float]:
    """Mean correlation of slices `LAGS` apart."""
    flat = volume.transpose(1, 0, 2).reshape(volume.shape[1], -1)
    unit = flat - flat.mean(1, keepdims=True)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return [float((unit[k:] * unit[:-k]).sum(1).mean()) for k in LAGS]


def spectrum(volume: NDArray[np.float32]) -> NDArray[np.float64]:
    """Power of the coronal slices in the middle by radius, 0 to 128 cycles of the field of view."""
    middle = volume[:, volume.shape[1] // 3 : 3 * volume.shape[1] // 4]
    middle = middle - middle.mean((0, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(middle, axes=(0, 2))) ** 2).mean(1)
    cycles = [np.fft.fftfreq(count) * count for count in power.shape]
    radius = np.hypot(cycles[0][:, None], cycles[1][None]).astype(int)
    total = np.bincount(radius.ravel(), power.ravel())
    return (total / np.bincount(radius.ravel()))[: power.shape[0] // 2 + 1]


def table(
    real: NDArray[np.float32], phantoms: Iterable[tuple[NDArray[np.float32], NDArray[np.uint8]]]
) -> str:
    """The figures of both, line by line, as Markdown."""
    greys, coherence, powers, tops = [], [], [], []
    for volume, labels in phantoms:
        greys.append(list(region_means(volume, labels).values()))
        coherence.append(lags(volume))
        powers.append(spectrum(volume))
        tops.append((volume >= 1).mean())
    lines = ["| figure | real | phantoms, mean (sd) | phantom / real |", "|---|---|---|---|"]

    def row(name: str, true: float, ours: NDArray[np.float64], ratio: bool = True) -> None:
        mean = float(np.mean(ours))
        apart = f"{mean / true:.2f}" if ratio else f"{mean - true:+.3f} (difference)"
        lines.append(f"| {name} | {true:.3f} | {mean:.3f} ({np.std(ours):.3f}) | {apart} |")

    row("share at the top grey", float((real >= 1).mean()), np.array(tops))
    boxes = box_means(real)
    for name, ours in zip(REGIONS, np.array(greys).T, strict=True):
        row(name, boxes[name], ours)
    for lag, true, ours in zip(LAGS, lags(real), np.array(coherence).T, strict=True):
        row(f"correlation, {lag} slices apart", true, ours, ratio=False)
    ratio = np.mean(powers, axis=0) / spectrum(real)
    lines += ["", "Power of the phantoms over the real one's, by radius in cycles:", ""]
    for first in range(1, 65, 16):
        found = " ".join(f"{value:.2f}" for value in ratio[first : first + 16])
        lines.append(f"    {first:3}-{first + 15:<3} {found}")
    lines.append("    96, 120 " + " ".join(f"{ratio[k]:.2f}" for k in (96, 120)))
    beyond = [k for k in range(1, 65) if not 1 / 1.3 <= ratio[k] <= 1.3]
    lines.append(f"\nBeyond a factor of 1.3 up to half the Nyquist frequency: {beyond or 'none'}")
    return "\n".join(lines)


def draw(volumes: Sequence[tuple[str, NDArray[np.float32]]], size: int = 212) -> Image.Image:
    """Rows of volumes: three coronal slices, a sagittal and an axial one."""
    rows = []
    for name, volume in volumes:
        sections = [picture(volume[:, i]) for i in (8, 27, 44)]
        sections += [np.rot90(volume[170]), picture(volume[:, :, 128])]
        widths = [size, size, size, round(size * 75 / 160), size]
        heights = [size, size, size, size, round(size * 75 / 160)]
        strip = Image.new("L", (sum(widths) + 4 * 4, size + 14))
        left = 0
        for section, width, height in zip(sections, widths, heights, strict=True):
            grey = Image.fromarray((section * 255).astype(np.uint8))
            strip.paste(grey.resize((width, height), Image.Resampling.LANCZOS), (left, 14))
            left += width + 4
        ImageDraw.Draw(strip).text((2, 1), name, fill=255)
        rows.append(strip)
    sheet = Image.new("L", (rows[0].width, sum(row.height for row in rows)))
    for i, row in enumerate(rows):
        sheet.paste(row, (0, i * row.height))
    return sheet.quantize(48)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("real", type=Path, help="the public volume")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="of the phantoms")
    parser.add_argument("--picture", type=Path, help="PNG of the real one over two phantoms")
    args = parser.parse_args()
    image = nib.as_closest_canonical(nib.load(args.real))
    real = normalised(np.squeeze(np.asarray(image.dataobj)))
    made = [phantom(seed) for seed in args.seeds]
    print(table(real, made))
    if args.picture:
        names = ("phantom", "another phantom")
        source = "real scan: ZWang78/zwang78.github.io, CC BY-SA 4.0"
        shown = [(source, real), *zip(names, (volume for volume, _ in made), strict=False)]
        draw(shown).save(args.picture, optimize=True)


if __name__ == "__main__":
    main()
