"""Figures of the comparison: the paper's, with what the paper leaves out.

Colours are those of Okabe and Ito, which stay apart for colour-blind readers; curves beyond them
differ by their dashes, too.
"""

from __future__ import annotations

import base64
import html
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from xr2mri_core.comparison.volumes import Pictured
from xr2mri_core.evaluation.figures import show_slice, subplots
from xr2mri_core.evaluation.planes import LAGS
from xr2mri_core.evaluation.statistics import interval, per_patient
from xr2mri_core.geometry import WINDOW_MM

Lines = Sequence[Mapping[str, Any]]
BOXED = {"psnr": "PSNR, dB", "ssim": "SSIM", "rssim": "RSSIM"}
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
DASHES = ("-", "--", ":", "-.")
TRUTH = {"color": "black", "ls": "-", "lw": 2.5}
SOBEL_MOST = 0.15
"""Difference of slopes, per pixel, at which the map of differences saturates."""


@contextmanager
def _styled() -> Iterator[None]:
    """The colours and dashes of curves."""
    import matplotlib.pyplot as plt
    from matplotlib.rcsetup import cycler

    cycle = cycler(linestyle=DASHES) * cycler(color=COLOURS)
    with plt.rc_context({"axes.prop_cycle": cycle, "lines.markersize": 4, "legend.fontsize": 8,
                         "axes.titlesize": 10}):  # fmt: skip
        yield


def svg(figure: Any) -> str:
    """A figure as inline SVG, without what differs from run to run."""
    import matplotlib.pyplot as plt

    buffer = io.StringIO()
    with plt.rc_context({"svg.hashsalt": "xr2mri"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    return re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), flags=re.DOTALL)


def pixels(figure: Any, dpi: int = 90, kind: str = "png") -> bytes:
    """A figure of pictures as a PNG or JPEG file."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=dpi, bbox_inches="tight")
    plt.close(figure)
    return buffer.getvalue()


def png(figure: Any, alt: str, dpi: int = 90) -> str:
    """A figure of pictures as an <img> that holds its PNG."""
    text = base64.b64encode(pixels(figure, dpi)).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{text}">'


def boxes(lines: Lines, titles: Mapping[str, str]) -> Any:
    """PSNR, SSIM and RSSIM of every row over the patients, means with 95 % intervals (Fig. 5)."""
    figure, axes = subplots(1, len(BOXED), 4.2, 1.4 + 0.27 * len(titles))
    for axis, (metric, title) in zip(axes[0], BOXED.items(), strict=True):
        values = [list(per_patient(lines, row, metric).values()) for row in titles]
        places = [n for n, own in enumerate(values) if own]
        # Lying boxes: the names beside them can be read without turning the head.
        axis.boxplot([own for own in values if own], positions=places, widths=0.6,
                     showfliers=False, vert=False, medianprops={"color": "0.5"})  # fmt: skip
        for place in places:
            mean, low, high = interval(values[place])
            axis.errorbar(mean, place, xerr=[[mean - low], [high - mean]], fmt="o",
                          color=COLOURS[0], capsize=4, markersize=4)  # fmt: skip
        floor = [one["metrics"]["empty_rssim"] for one in lines if one.get("row") == "truth"]
        if metric == "rssim" and floor:
            axis.axvline(np.nanmean(floor), color=COLOURS[5], ls="--", label="an empty edge map")
            axis.legend(fontsize=8)
        named = list(titles.values()) if axis is axes[0, 0] else [""] * len(titles)
        axis.set_yticks(range(len(titles)), named, fontsize=9)
        axis.set_ylim(len(titles) - 0.5, -0.5)
        axis.set_title(title)
        axis.grid(axis="x", alpha=0.3)
    return figure


def sobel(picture: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Size of the gradient of a picture (H, W) by Sobel's operator, per pixel."""
    across = [ndimage.sobel(picture.astype(np.float64), axis) / 8 for axis in (0, 1)]
    return np.hypot(*across)


def grades(shown: Mapping[str, Pictured]) -> Any:
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
                map_ = below[column].imshow(np.abs(sobel(picture) - truth), cmap="inferno",
                                            vmin=0, vmax=SOBEL_MOST)  # fmt: skip
        if len(names) > 1:
            bar = figure.colorbar(map_, cax=below[0].inset_axes((0.55, 0.1, 0.08, 0.8)))
            bar.set_label("difference of slopes\n(Sobel), grey a pixel", fontsize=7)
            bar.ax.yaxis.set_label_position("left")
            bar.ax.tick_params(labelsize=7)
    return figure


def left_out(pictures: Mapping[str, NDArray[np.float32]]) -> Any:
    """Finding -> slice (3, H, W) of the truth, all features, without the finding (Table III)."""
    figure, axes = subplots(len(pictures), 4, 1.9, 2.05)
    for line, (finding, (truth, with_, without)) in zip(axes, pictures.items(), strict=True):
        show_slice(line[0], truth, f"truth with {finding}")
        show_slice(line[1], with_, "all features")
        show_slice(line[2], without, f"without {finding}")
        show_slice(line[3], with_ - without, "difference", signed=0.3)
    return figure


def over_slices(lines: Lines) -> Any:
    """Adjacent-slice correlation, rough and comb against s, with lines for the truth (Fig. 6)."""
    shown = {"adjacent": "adjacent-slice correlation", "rough": "rough", "comb": "comb"}
    figure = _curves(lines, "slices", "curve", shown, "slices s over the window of 73.5 mm")
    for axis in figure.axes:
        counts = sorted({one["slices"] for one in lines if one["curve"] != "truth"})
        above = axis.twiny()
        above.set_xlim(axis.get_xlim())
        above.set_xticks(counts, [f"{WINDOW_MM / max(n - 1, 1):.2g}" for n in counts], fontsize=7)
        above.set_xlabel("mm from slice to slice", fontsize=8)
    return figure


def over_steps(lines: Lines) -> Any:
    """SSIM, texture and time against the number of passes through the network."""
    shown = {"ssim": "SSIM", "spectrum": "spectrum, dB from the truth's", "seconds": "s a volume"}
    figure = _curves(lines, "steps", "row", shown, "function evaluations")
    for axis in figure.axes:
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:.0f}")
    return figure


def _curves(lines: Lines, what: str, by: str, shown: Mapping[str, str], across: str) -> Any:
    """Metrics of an experiment's lines against its counts, a curve for each ``by``."""
    with _styled():
        figure, axes = subplots(1, len(shown), 4.2, 3.4)
        for axis, (metric, title) in zip(axes[0], shown.items(), strict=True):
            for curve in dict.fromkeys(one[by] for one in lines):
                rows = [one for one in lines if one[by] == curve]
                counts = sorted({one[what] for one in rows})
                means = [_mean(one[metric] for one in rows if one[what] == n) for n in counts]
                if curve == "truth":
                    axis.axhline(means[0], color="black", ls="--", lw=1)
                    axis.plot(counts[:1], means[:1], "kD", label=f"truth, {counts[0]} {what}")
                else:
                    axis.plot(counts, means, marker="o", label=curve)
            axis.set_xlabel(across)
            axis.set_title(title)
            axis.grid(alpha=0.3)
        _legend_below(figure, axes[0, 0])
    return figure


def over_distance(lines: Lines, titles: Mapping[str, str]) -> Any:
    """Correlation of slices against the distance between them, of rows and the truth."""
    with _styled():
        figure, axes = subplots(1, 1, 7.5, 3.2 + 0.18 * math.ceil((1 + len(titles)) / 3))
        axis = axes[0, 0]
        ticks: list[float] = []
        for row, title in {"truth": "truth", **titles}.items():
            own = [one for one in lines if one.get("row") == row]
            means = [_mean(one["metrics"].get(f"lag{lag}") for one in own) for lag in LAGS]
            if np.isfinite(means).any():
                apart = np.mean([WINDOW_MM / max(len(one["greys"]) - 1, 1) for one in own])
                places = [round(lag * float(apart), 2) for lag in LAGS]
                ticks = ticks or places
                style: dict[str, Any] = TRUTH if row == "truth" else {"marker": "o"}
                axis.plot(places, means, label=title, **style)
        axis.set_xticks(ticks)
        axis.set_xlabel("mm between two slices")
        axis.set_ylabel("correlation")
        axis.grid(alpha=0.3)
        _legend_below(figure, axis)
    return figure


def interpolated(pictures: NDArray[np.float32]) -> Any:
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
    with _styled():
        figure, axes = subplots(1, 1, 7.5, 3.2 + 0.18 * math.ceil((1 + len(titles)) / 3))
        axis = axes[0, 0]
        for row, title in {"truth": "truth", **titles}.items():
            curves = [one["greys"] for one in lines if one.get("row") == row]
            if curves:
                place = np.linspace(0, 1, 50)
                evenly = [np.interp(place, np.linspace(0, 1, len(c)), c) for c in curves]
                style: dict[str, Any] = TRUTH if row == "truth" else {"lw": 1}
                axis.plot(WINDOW_MM * place, np.mean(evenly, 0), label=title, **style)
        axis.set_xlabel("mm, from posterior to anterior")
        axis.set_ylabel("mean grey, of 0 to 1")
        axis.grid(alpha=0.3)
        _legend_below(figure, axis)
    return figure


def calibration(lines: Lines) -> Any:
    """Predicted deviation against error, and how many voxels the intervals cover."""
    with _styled():
        figure, axes = subplots(1, 2, 4, 3.6)
        highest = 0.0
        for one in lines:
            spread, error = ([row[key] for row in one["curve"]] for key in ("spread", "error"))
            axes[0, 0].plot(spread, error, marker="o", label=str(one["case"]))
            highest = max([highest, *spread, *error])
        axes[0, 0].plot([0, highest], [0, highest], "k--", lw=1, label="calibrated")
        axes[0, 0].set_xlabel("predicted deviation, of greys of 0 to 1")
        axes[0, 0].set_ylabel("error of the mean")
        levels = (50, 80, 95)
        for one in lines:
            axes[0, 1].plot(levels, [100 * one[f"cover{n}"] for n in levels], marker="o")
        axes[0, 1].plot(levels, levels, "k--", lw=1)
        axes[0, 1].set_xlabel("interval, %")
        axes[0, 1].set_ylabel("voxels within, %")
        axes[0, 1].set_xticks(levels)
        for axis in axes[0]:
            axis.grid(alpha=0.3)
        axes[0, 0].legend()
    return figure


def _legend_below(figure: Any, axis: Any) -> None:
    """One legend for the whole figure, where it covers no curve."""
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)


def _mean(values: Any) -> float:
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
