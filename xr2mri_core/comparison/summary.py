"""The results in Markdown: a table for the terminal, and a page for the documentation."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any

from xr2mri_core.comparison import figures
from xr2mri_core.comparison.goals import Goal, goals
from xr2mri_core.comparison.results import COLUMNS, OURS, OURS_MEAN, Results
from xr2mri_core.comparison.volumes import pictured
from xr2mri_core.evaluation.statistics import NOTHING, number
from xr2mri_core.evaluation.summary import table
from xr2mri_core.volume import NOTICE

SHOWN = ("ssim", "ssim_3d", "psnr", "rssim", "edge_f1", "dice_femur", "dice_cartilage",
         "surface_femur", "spectrum")  # fmt: skip
"""Metrics of the table."""
DRAWN = (OURS, OURS_MEAN, "ours_paper", "ldm", "ldm_radiograph", "x_diffusion", "cola_diff",
         "direct_regression")  # fmt: skip
"""Rows of the page's picture, as many as its width takes."""
NOTES = "<!-- what follows is written by hand, and kept when the page is written again -->"


def summary_table(results: Results) -> str:
    """The methods with the metrics that tell most."""
    rows = []
    for row, title in results.titles.items():
        cells = [
            number(results.summary[row][m], COLUMNS[m][1]) + results.of_how_many(row, m)
            for m in SHOWN
        ]
        area = results.recovery[row].get("all", NOTHING)
        rows.append([title, *cells, number(area, 2)])
    header = ["", *(COLUMNS[m][0] for m in SHOWN), "AUC of features"]
    ceiling = number(results.recovery["truth"].get("all", NOTHING), 2)
    return (
        f"{len(results.items)} test cases of {results.data['name']}; mean and 95 % interval over "
        f"patients. The grader reaches an AUC of {ceiling} on true volumes.\n\n"
        f"{table(header, rows)}\n"
    )


def results_page(results: Results, command: Sequence[str], stem: str) -> str:
    """A page with the table, the goals, three figures and the command.

    Args:
        results: results of the comparison.
        command: words that asked for these results.
        stem: what the names of its figures begin with, so that several pages lie in one folder.
    """
    parts = [
        "# Results of the comparison",
        f"{results.trainings} All were measured by one command; how, and what the rows are: "
        f"[Comparing methods](comparison.md). Every volume here is {NOTICE}.",
        summary_table(results).strip(),
        "## What was asked, and what came of it",
        _goal_table(goals(results)),
        "## Figures",
    ]
    for name, (caption, _) in _drawings(results).items():
        parts.append(f"![{caption.partition('.')[0]}]({stem}_{name})\n\n{caption}")
    parts += [
        "## Command",
        f"```sh\n{shlex.join(['.venv/bin/xr2mri', *_portable(command)])}\n```",
        "Weights (SHA-256), commit and minutes of training:",
        table(
            ["method", "weights", "commit", "seed", "slices seen", "minutes"],
            [[str(one["method"]), f"`{str(one['weights'])[:12]}`",
              f"`{str(one['commit'])[:12]}`" if one["commit"] else "given",
              *(str(one[key]) or "-" for key in ("seed", "slices seen", "minutes"))]
             for one in results.provenance],
        ),
        NOTES,
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def result_pictures(results: Results) -> dict[str, bytes]:
    """Content of the page's figures, by their names without the page's stem."""
    return {
        name: figures.pixels(draw(), dpi=80, kind=Path(name).suffix[1:].replace("jpg", "jpeg"))
        for name, (_, draw) in _drawings(results).items()
    }


def _drawings(results: Results) -> dict[str, tuple[str, Callable[[], Any]]]:
    """Name of a figure -> its caption, and what draws it."""
    found: dict[str, tuple[str, Callable[[], Any]]] = {
        "boxes.png": (
            "PSNR, SSIM and RSSIM over patients: quartiles, and means with 95 % intervals (blue). "
            "An empty edge map scores the dashed line by RSSIM.",
            lambda: figures.boxes(results.measured, results.drawn),
        )
    }
    shown = pictured(results, DRAWN)
    if shown:
        found["slices.jpg"] = (
            "The middle slice of a case of each grade, and how its edges differ from the truth's.",
            lambda: figures.grades(shown),
        )
    lines = results.experiment("slices")
    if lines:
        found["coherence.png"] = (
            "Neighbouring slices at more and more slices over the same window, by the noise that "
            "they are drawn from; the truth at its own 50 slices.",
            lambda: figures.over_slices(lines),
        )
    return found


def _goal_table(found: Sequence[Goal]) -> str:
    words = {True: "reached", False: "**missed**", None: "not measured"}
    rows = [[goal.text, words[goal.reached], goal.found] for goal in found]
    return table(["goal", "", "found"], rows)


def _portable(command: Sequence[str]) -> list[str]:
    """The command that makes the results elsewhere: without this machine's folders."""
    words = []
    for word in command:
        name, sign, value = word.rpartition("=")  # --load METHOD=FILE, too
        path = PurePath(value)
        words.append(f"{name}{sign}{path.name}" if path.is_absolute() else word)
    return words


def with_notes(page: str, earlier: Path) -> str:
    """A page with what was written by hand below the one that it replaces."""
    if not earlier.is_file():
        return page
    notes = earlier.read_text(encoding="utf-8").partition(NOTES)[2]
    return page.rstrip() + notes if notes else page
