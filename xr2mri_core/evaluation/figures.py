"""Pictures of an evaluation: box plots, montage, difference maps, correlation along depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.features import variable
from xr2mri_core.geometry import FIELD_OF_VIEW_MM, WINDOW_MM
from xr2mri_core.volume import NOTICE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xr2mri_core.evaluation.truth import Truth

PICTURED = 6
"""Cases whose volumes are kept for pictures."""


@dataclass(frozen=True)
class Pictured:
    """One case with its predictions (n, H, W) and its generated (off, on) pairs."""

    truth: Truth
    predictions: Mapping[str, NDArray[np.float32]]
    switched: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]


def all_figures(
    rows: Sequence[Mapping[str, Any]],
    spacing: Sequence[Mapping[str, Any]],
    pictured: Sequence[Pictured],
) -> dict[str, Figure]:
    """Every figure that the data allow, by file stem."""
    figures = {"boxplots": boxplots(rows), "montage": cases_montage(pictured)}
    figures["planes"] = planes_montage(pictured)
    if spacing:
        figures["spacing"] = spacing_plot(spacing)
    response = response_maps(pictured)
    if response is not None:
        figures["response"] = response
    return figures


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` as PNG, marked as synthetic, and free it."""
    import matplotlib.pyplot as plt

    figure.supxlabel(f"XR2MRI: {NOTICE}", fontsize=7, color="0.4")
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Comment": NOTICE}, format="png")
    plt.close(figure)


def subplots(
    rows: int, columns: int, width: float, height: float
) -> tuple[Figure, NDArray[np.object_]]:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), squeeze=False, layout="constrained"
    )
    return figure, axes


def show_slice(
    axes: Axes,
    image: NDArray[np.float32],
    title: str = "",
    signed: float | None = None,
    aspect: float = 1.0,
) -> None:
    """One picture (H, W): grey in [0, 1], or blue-red in [-signed, signed].

    Args:
        axes: the axes to draw on.
        image: the picture (H, W).
        title: the words above the picture.
        signed: largest value of a difference.
        aspect: height of a pixel over its width.
    """
    if signed is None:
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, aspect=aspect)
    else:
        axes.imshow(image, cmap="RdBu_r", vmin=-signed, vmax=signed)
    if title:
        axes.set_title(title, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])


def boxplots(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """PSNR, SSIM, RSSIM and adjacent-slice correlation of every method over the cases (Fig. 5)."""
    shown = {"psnr": "PSNR, dB", "ssim": "SSIM", "rssim": "RSSIM", "adjacent": "adjacent corr."}
    figure, axes = subplots(1, len(shown), 3.2, 4.2)
    for axis, (metric, title) in zip(axes[0], shown.items(), strict=True):
        groups: dict[str, list[float]] = {}
        for row in rows:
            value = row.get(metric)
            if value is not None and np.isfinite(value):
                groups.setdefault(str(row["method"]), []).append(float(value))
        axis.boxplot(list(groups.values()), widths=0.6, medianprops={"color": "tab:red"})
        axis.set_xticks(
            range(1, len(groups) + 1), list(groups), rotation=60, ha="right", fontsize=8
        )
        axis.set_title(title, fontsize=10)
        axis.grid(axis="y", alpha=0.3)
    return figure


def spacing_plot(spacing: Sequence[Mapping[str, Any]]) -> Figure:
    """Adjacent-slice correlation against the number of slices, the truth as a line (Fig. 6)."""
    figure, axes = subplots(1, 1, 5, 3.6)
    axis = axes[0, 0]
    truth = [row["adjacent"] for row in spacing if row["slices"] == "truth"]
    generated = [row for row in spacing if row["slices"] != "truth"]
    for noise in dict.fromkeys(row["noise"] for row in generated):
        rows = [row for row in generated if row["noise"] == noise]
        counts = sorted({row["slices"] for row in rows})
        means = [np.nanmean([r["adjacent"] for r in rows if r["slices"] == n]) for n in counts]
        axis.plot(counts, means, "o-", label=f"generated, {noise}")
    axis.axhline(float(np.nanmean(truth)), color="tab:red", label="truth, 50 slices")
    axis.set_xlabel("slices over the window of 73.5 mm")
    axis.set_ylabel("adjacent-slice correlation")
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    return figure


def plane_pictures(
    slices: NDArray[np.float32], depth: int
) -> list[tuple[str, NDArray[np.float32], float]]:
    """A volume (n, H, W) in three planes: (name, picture, height of a pixel over its width).

    The coronal slice at `depth`, sagittal ones through the middle of either compartment, and an
    axial one through the femoral condyles, drawn with the patient's front up.
    """
    count, height, width = slices.shape
    step = WINDOW_MM / max(count - 1, 1) / (FIELD_OF_VIEW_MM / height)
    return [
        ("coronal", slices[depth], 1.0),
        ("sagittal", slices[:, :, int(0.36 * width)].T, 1 / step),
        ("sagittal", slices[:, :, int(0.64 * width)].T, 1 / step),
        ("axial", slices[::-1, int(0.42 * height)], step),
    ]


def planes_montage(pictured: Sequence[Pictured]) -> Figure:
    """Each case in three planes: truth, best guess, sample."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(9.6, 6.9 * len(pictured)), layout="constrained")
    parts = figure.subfigures(len(pictured), 1, squeeze=False)[:, 0]
    for part, case in zip(parts, pictured, strict=True):
        names = list(case.predictions)[:2]
        volumes = {"truth": case.truth.reference.slices}
        draw_planes(part, volumes | {name: case.predictions[name] for name in names},
                    joint_slice(case.truth))  # fmt: skip
        part.suptitle(str(case.truth.item["case"]), fontsize=9)
    return figure


def draw_planes(figure: Any, volumes: Mapping[str, NDArray[np.float32]], depth: int) -> None:
    """A row of three planes for each volume (n, H, W) in [0, 1]."""
    grid = figure.subplots(
        len(volumes), 4, squeeze=False, gridspec_kw={"width_ratios": [1, 0.46, 0.46, 1]}
    )
    for line, (name, slices) in zip(grid, volumes.items(), strict=True):
        for axis, (plane, picture, aspect) in zip(line, plane_pictures(slices, depth), strict=True):
            show_slice(axis, picture, plane if line is grid[0] else "", aspect=aspect)
        line[0].set_ylabel(name, fontsize=9)


def cases_montage(pictured: Sequence[Pictured]) -> Figure:
    """Draw each case's slice with most of the joint: truth, predictions, model - truth."""
    names = list(pictured[0].predictions)
    figure, axes = subplots(len(pictured), len(names) + 2, 1.9, 2.05)
    for line, case in zip(axes, pictured, strict=True):
        reference = case.truth.reference
        k = joint_slice(case.truth)
        show_slice(line[0], reference.slices[k], f"truth, {case.truth.item['case']}")
        for axis, name in zip(line[1:-1], names, strict=True):
            show_slice(axis, case.predictions[name][k], name)
        difference = case.predictions[names[0]][k] - reference.slices[k]
        show_slice(line[-1], difference, f"{names[0]} - truth", signed=0.5)
    return figure


def joint_slice(truth: Truth) -> int:
    """The slice whose joint region is largest; the middle one where none is known."""
    areas = [
        0 if r is None else (r[0].stop - r[0].start) * (r[1].stop - r[1].start)
        for r in truth.reference.regions
    ]
    return len(areas) // 2 if len(set(areas)) == 1 else int(np.argmax(areas))


def response_maps(pictured: Sequence[Pictured]) -> Figure | None:
    """Each switched feature in the slice where the truth changes most: off, on, on - off."""
    lines = [
        (case, name, off, on)
        for case in pictured
        for name, off, on in case.truth.toggles
        if name in case.switched
    ]
    if not lines:
        return None
    figure, axes = subplots(len(lines), 6, 1.9, 2.05)
    for line, (case, name, off, on) in zip(axes, lines, strict=True):
        k = int(np.abs(on - off).sum((1, 2)).argmax())
        for axis, (who, pair) in zip(
            (line[:3], line[3:]), (("true", (off, on)), ("model", case.switched[name])), strict=True
        ):
            title = f"{who}: off" if who == "model" else f"{variable(name).title}: off"
            show_slice(axis[0], pair[0][k], title)
            show_slice(axis[1], pair[1][k], f"{who}: on")
            show_slice(axis[2], pair[1][k] - pair[0][k], f"{who}: on - off", signed=0.5)
    return figure
