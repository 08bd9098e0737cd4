"""Figures of the comparison: the paper's, with what the paper leaves out."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from xr2mri_core.comparison.statistics import interval, per_patient
from xr2mri_core.evaluation.figures import show_slice, subplots

Lines = Sequence[Mapping[str, Any]]
BOXED = {"psnr": "PSNR, dB", "ssim": "SSIM", "rssim": "RSSIM"}


def svg(figure: Any) -> str:
    """A figure as inline SVG, without what differs from run to run."""
    import matplotlib.pyplot as plt

    buffer = io.StringIO()
    with plt.rc_context({"svg.hashsalt": "xr2mri"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    return re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), flags=re.DOTALL)


def png(figure: Any, dpi: int = 110) -> str:
    """A figure of pictures as an <img> that holds its PNG."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
    plt.close(figure)
    text = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="" src="data:image/png;base64,{text}">'


def boxes(lines: Lines, titles: Mapping[str, str]) -> Any:
    """PSNR, SSIM and RSSIM of every row over the patients, means with 95 % intervals (Fig. 5)."""
    figure, axes = subplots(1, len(BOXED), 4.2, 4.6)
    for axis, (metric, title) in zip(axes[0], BOXED.items(), strict=True):
        values = [list(per_patient(lines, row, metric).values()) for row in titles]
        places = [n for n, own in enumerate(values, 1) if own]
        axis.boxplot([own for own in values if own], positions=places, widths=0.6, showfliers=False)
        for place in places:
            mean, low, high = interval(values[place - 1])
            bars = [[mean - low], [high - mean]]
            axis.errorbar(place, mean, bars, fmt="o", color="tab:red", capsize=4, markersize=4)
        floor = [one["metrics"]["empty_rssim"] for one in lines if one.get("row") == "truth"]
        if metric == "rssim" and floor:
            axis.axhline(np.nanmean(floor), color="0.5", ls="--", label="an empty edge map")
            axis.legend(fontsize=8)
        axis.set_xticks(range(1, len(titles) + 1), list(titles.values()), rotation=60, ha="right",
                        fontsize=8)  # fmt: skip
        axis.set_title(title)
        axis.grid(axis="y", alpha=0.3)
    return figure


def sobel(picture: np.ndarray) -> np.ndarray:
    """Size of the gradient of a picture (H, W) by Sobel's operator, per pixel."""
    across = [ndimage.sobel(picture.astype(np.float64), axis) / 8 for axis in (0, 1)]
    return np.hypot(*across)


def grades(shown: Mapping[str, tuple[str, np.ndarray | None, Mapping[str, np.ndarray]]]) -> Any:
    """A line of slices for each case, and Sobel differences from the truth under it (Table II).

    Args:
        shown: case -> title, radiograph (H, W) or None, and volumes (n, H, W), the truth first.
    """
    columns = 1 + max(len(volumes) for _, _, volumes in shown.values())
    figure, axes = subplots(2 * len(shown), columns, 1.9, 2.05)
    for axis in axes.ravel():
        axis.set_axis_off()
    for line, (title, radiograph, volumes) in enumerate(shown.values()):
        above, below = axes[2 * line], axes[2 * line + 1]
        if radiograph is not None:
            show_slice(above[0], radiograph, title)
        names = list(volumes)
        middle = len(volumes[names[0]]) // 2
        truth = sobel(volumes[names[0]][middle])
        for column, name in enumerate(names, start=1):
            picture = volumes[name][middle]
            show_slice(above[column], picture, name)
            if column > 1:
                below[column].imshow(np.abs(sobel(picture) - truth), cmap="inferno", vmin=0,
                                     vmax=0.15)  # fmt: skip
    return figure


def over_slices(lines: Lines) -> Any:
    """Adjacent-slice correlation, rough and comb against s, with lines for the truth (Fig. 6)."""
    shown = {"adjacent": "adjacent-slice correlation", "rough": "rough", "comb": "comb"}
    across = "slices s over the window of 73.5 mm"
    return _curves(lines, "slices", "curve", shown, across)


def over_steps(lines: Lines) -> Any:
    """SSIM, texture and time against the number of passes through the network."""
    shown = {"ssim": "SSIM", "spectrum": "spectrum, dB from the truth's", "seconds": "s a volume"}
    figure = _curves(lines, "steps", "row", shown, "function evaluations")
    for axis in figure.axes:
        axis.set_xscale("log", base=2)
    return figure


def _curves(lines: Lines, what: str, by: str, shown: Mapping[str, str], across: str) -> Any:
    """Metrics of the experiment ``what`` against its counts, a curve for each ``by``."""
    own = [one for one in lines if one.get("experiment") == what]
    figure, axes = subplots(1, len(shown), 4.2, 3.4)
    for axis, (metric, title) in zip(axes[0], shown.items(), strict=True):
        for curve in dict.fromkeys(one[by] for one in own):
            rows = [one for one in own if one[by] == curve]
            counts = sorted({one[what] for one in rows})
            means = [_mean(one[metric] for one in rows if one[what] == n) for n in counts]
            if curve == "truth":
                axis.axhline(means[0], color="tab:red", label=f"truth, {counts[0]} {what}")
            else:
                axis.plot(counts, means, "o-", label=curve, markersize=4)
        axis.set_xlabel(across)
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=7)
    return figure


def interpolated(pictures: np.ndarray) -> Any:
    """Slices between two neighbours (Table IV), and what differs from the one before."""
    figure, axes = subplots(2, len(pictures), 1.9, 2.05)
    for index, picture in enumerate(pictures):
        ends = index in (0, len(pictures) - 1)
        show_slice(axes[0, index], picture, "a slice of 50" if ends else "between")
        axes[1, index].set_axis_off()
        if index:
            show_slice(axes[1, index], picture - pictures[index - 1], "change", signed=0.3)
    return figure


def greys(lines: Lines, titles: Mapping[str, str]) -> Any:
    """Mean grey of a slice by its place in the window (Fig. 4b)."""
    figure, axes = subplots(1, 1, 7, 3.6)
    axis = axes[0, 0]
    for row, title in {"truth": "truth", **titles}.items():
        curves = [one["greys"] for one in lines if one.get("row") == row]
        if curves:
            place = np.linspace(0, 1, 50)
            evenly = [np.interp(place, np.linspace(0, 1, len(c)), c) for c in curves]
            style = {"color": "k", "lw": 2.5} if row == "truth" else {"lw": 1}
            axis.plot(place, np.mean(evenly, 0), label=title, **style)
    axis.set_xlabel("place, posterior to anterior")
    axis.set_ylabel("mean grey")
    axis.legend(fontsize=7, ncols=2)
    axis.grid(alpha=0.3)
    return figure


def calibration(lines: Lines) -> Any:
    """Predicted deviation against error, and how many voxels the intervals cover."""
    own = [one for one in lines if one.get("experiment") == "spread"]
    figure, axes = subplots(1, 2, 4, 3.6)
    highest = 0.0
    for one in own:
        spread, error = ([row[key] for row in one["curve"]] for key in ("spread", "error"))
        axes[0, 0].plot(spread, error, "o-", markersize=3, label=str(one["case"]))
        highest = max(highest, *spread, *error)
    axes[0, 0].plot([0, highest], [0, highest], "k--", lw=1)
    axes[0, 0].set_xlabel("predicted deviation")
    axes[0, 0].set_ylabel("error of the mean")
    levels = (50, 80, 95)
    for one in own:
        axes[0, 1].plot(levels, [100 * one[f"cover{n}"] for n in levels], "o-", markersize=3)
    axes[0, 1].plot(levels, levels, "k--", lw=1)
    axes[0, 1].set_xlabel("interval, %")
    axes[0, 1].set_ylabel("voxels within, %")
    for axis in axes[0]:
        axis.grid(alpha=0.3)
    return figure


def _mean(values: Any) -> float:
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
