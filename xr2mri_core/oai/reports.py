"""What a reader of a study wants to see: the flow of knees, who was left out, slices and greys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.oai.release import Series, Unusable
from xr2mri_core.oai.selection import STEPS, Excluded, Selection
from xr2mri_core.oai.sequences import RADIOGRAPH
from xr2mri_core.oai.sequences import Sequence as MRISequence
from xr2mri_core.oai.series_files import count_files
from xr2mri_core.tables import write_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POSITIONS = 100
"""Proportional positions at which grey values of volumes with any number of slices are compared."""


@dataclass(frozen=True)
class Stage:
    """One box of the flow.

    Attributes:
        title: name of those who are still there.
        knees, participants: how many there are.
        left_out: reason -> knees, of those that the step before this box left out.
    """

    title: str
    knees: int
    participants: int
    left_out: Mapping[str, int]


def flow_of(
    selection: Selection, converted: Iterable[str], excluded: Sequence[Excluded]
) -> list[Stage]:
    """Return the stages from all knees that the release lists to those of the datalist.

    Args:
        selection: selection for the sequence.
        converted: participants of the knees that stay, one entry a knee.
        excluded: every knee that was left out, at whatever step.
    """
    staying = list(converted)
    people = Counter(staying) + Counter(item.knee[0] for item in excluded)
    stages = [Stage("imaged in the release", people.total(), len(people), {})]
    for step, title in STEPS.items():
        here = [item for item in excluded if item.step == step]
        people -= Counter(item.knee[0] for item in here)
        reasons = Counter(item.reason for item in here)
        title = title.replace("the sequence", selection.sequence.name)
        stages.append(Stage(title, people.total(), len(people), dict(reasons.most_common())))
    return stages


def flow_text(stages: Sequence[Stage], splits: Mapping[str, tuple[int, int]]) -> str:
    """Return the flow as lines of text.

    Args:
        stages: stages, as `flow_of` returns them.
        splits: name -> (knees, participants).
    """
    lines = []
    for stage in stages:
        for reason, count in stage.left_out.items():
            lines.append(f"    - {count:>6} {reason}")
        lines.append(f"{stage.title:<52} {_count(stage.knees, stage.participants)}")
    lines += [f"    {name:<48} {_count(*counts)}" for name, counts in splits.items()]
    return "\n".join(lines) + "\n"


def _count(knees: int, participants: int) -> str:
    return (
        f"{knees:>6} knee{'' if knees == 1 else 's'} of {participants} "
        f"participant{'' if participants == 1 else 's'}"
    )


def flow_figure(
    stages: Sequence[Stage], splits: Mapping[str, tuple[int, int]], title: str
) -> Figure:
    """Draw the flow chart: who stays down the left, who is left out to the right."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(9, 1.15 * len(stages) + 1.9))
    axes.set_axis_off()
    axes.set_xlim(0, 10)
    axes.set_ylim(-(len(stages) + 0.55), 0.55)
    box = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": "0.25"}
    arrow = {"arrowstyle": "-|>", "color": "0.25", "shrinkA": 0, "shrinkB": 0}
    for row, stage in enumerate(stages):
        text = f"{stage.title}\n{_count(stage.knees, stage.participants).strip()}"
        if row:
            axes.annotate("", (2.6, -row + 0.3), (2.6, -row + 0.7), arrowprops=arrow)
        axes.text(2.6, -row, text, ha="center", va="center", fontsize=9, bbox=box)
        if stage.left_out:
            reasons = "\n".join(f"{count}  {reason}" for reason, count in stage.left_out.items())
            axes.annotate("", (5.7, -row + 0.5), (2.6, -row + 0.5), arrowprops=arrow)
            axes.text(5.8, -row + 0.5, reasons, ha="left", va="center", fontsize=8, bbox=box)
    below = -len(stages)
    for column, (name, counts) in enumerate(splits.items()):
        x = 0.9 + 3.4 * column
        axes.annotate("", (x, below + 0.25), (2.6, below + 0.72), arrowprops=arrow)
        text = f"{name}\n{_count(*counts).strip()}"
        axes.text(x, below, text, ha="center", va="center", fontsize=9, bbox=box)
    axes.set_title(title, fontsize=11)
    return figure


def write_excluded(
    path: Path, excluded: Iterable[Excluded], unknown: Iterable[Unusable] = ()
) -> None:
    """Write the table of knees that were left out: one row a knee.

    Args:
        path: a CSV file.
        excluded: the knees that were left out.
        unknown: series that cannot be used and may be of any knee: one row each, without a side.
    """
    header = ["participant", "visit", "side", "step", "reason", "detail"]
    left_out = sorted(excluded, key=lambda item: item.knee)
    rows = [[*item.knee, item.step, item.reason, item.detail] for item in left_out]
    lost = [[it.participant, it.visit, "", "list", it.reason, it.detail] for it in unknown]
    write_rows(path, [header, *rows, *lost])


def slice_counts(series: Iterable[Series], known: Mapping[Path, int]) -> dict[str, list[int]]:
    """Return the number of slices of each series by sequence, as in the paper's Fig. 4a.

    Args:
        series: all series of the release; those in archives count only where they are ``known``,
            for an archive must be unpacked to be counted.
        known: slices of the series that were read.
    """
    counts: dict[str, list[int]] = {}
    for item in series:
        if item.kind is None or item.kind.name == RADIOGRAPH or item.path is None:
            continue
        count = known.get(item.path)
        if count is None:
            with suppress(OSError):  # a series that is not needed otherwise
                count = count_files(item.path)
        if count is not None:
            counts.setdefault(item.kind.name, []).append(count)
    return {name: sorted(counts[name]) for name in sorted(counts)}


def slice_counts_figure(counts: Mapping[str, Sequence[int]], chosen: str) -> Figure:
    """Draw a histogram of slice counts for each sequence (the paper's Fig. 4a)."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for name, values in counts.items():
        numbers, heights = np.unique(values, return_counts=True)
        style = {"linewidth": 2.5, "zorder": 3} if name == chosen else {"alpha": 0.8}
        axes.vlines(numbers, 0, heights, color="0.8", linewidth=1)
        axes.plot(numbers, heights, "o", label=f"{name} ({len(values)})", **style)
    axes.set_xlabel("slices of a series")
    axes.set_ylabel("series")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure


def grey_profiles(profiles: Iterable[Sequence[float]]) -> NDArray[np.float64]:
    """Bring grey values by slice to `POSITIONS` positions, each volume's mean to 1.

    Args:
        profiles: mean grey value of each slice, posterior first.

    Returns:
        float64 array (volumes, positions); column p is at the proportional position
        (p + 0.5) / positions.
    """
    at = (np.arange(POSITIONS) + 0.5) / POSITIONS
    rows = []
    for profile in profiles:
        values = np.asarray(profile, dtype=float)
        where = (np.arange(len(values)) + 0.5) / len(values)
        rows.append(np.interp(at, where, values) / max(values.mean(), 1e-9))
    return np.array(rows).reshape(-1, POSITIONS)


def grey_figure(profiles: NDArray[np.float64], sequence: MRISequence) -> Figure:
    """Draw grey value against proportional position (the paper's Fig. 4b), the window shaded."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    at = (np.arange(POSITIONS) + 0.5) / POSITIONS
    low, quarter, middle, threequarter, high = np.percentile(profiles, (5, 25, 50, 75, 95), axis=0)
    axes.fill_between(at, low, high, color="tab:blue", alpha=0.15, label="5-95 %")
    axes.fill_between(at, quarter, threequarter, color="tab:blue", alpha=0.3, label="25-75 %")
    axes.plot(at, middle, color="tab:blue", label=f"median of {len(profiles)} volumes")
    start, stop = (percent / 100 for percent in sequence.window)
    axes.axvspan(start, stop, color="tab:green", alpha=0.1, label=f"kept, {start:g}-{stop:g}")
    axes.set_xlabel("proportional position, posterior to anterior")
    axes.set_ylabel("mean grey value of the slice\n(mean of the volume = 1)")
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    axes.set_title(sequence.name, fontsize=10)
    return figure


def write_profiles(path: Path, profiles: NDArray[np.float64], cases: Sequence[str]) -> None:
    """Write the grey values as a table: one row a volume, one column a position."""
    header = ["case", *(f"{(p + 0.5) / POSITIONS:g}" for p in range(POSITIONS))]
    lines = zip(cases, profiles, strict=True)
    write_rows(path, [header, *([case, *(f"{v:.4f}" for v in row)] for case, row in lines)])


def write_slice_counts(path: Path, counts: Mapping[str, Sequence[int]]) -> None:
    """Write how many series of each sequence have how many slices."""
    rows: list[list[Any]] = [["sequence", "slices", "series"]]
    for name, values in counts.items():
        rows += ([name, number, series] for number, series in sorted(Counter(values).items()))
    write_rows(path, rows)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, and free it."""
    figure.savefig(path, dpi=120, bbox_inches="tight", format="png", metadata={"Software": None})
    _pyplot().close(figure)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt
