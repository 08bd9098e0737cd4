"""The report: one HTML file with everything in it, tables as CSV beside it, and a page of results.

`results.md` is for a repository's documentation: the table, what was asked and what came of it, and
three figures, which lie beside it.
"""

from __future__ import annotations

import html
import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from xr2mri_core import __version__
from xr2mri_core.comparison import figures, tables, viewer
from xr2mri_core.comparison.experiments import FINDINGS, with_finding
from xr2mri_core.comparison.goals import goals
from xr2mri_core.comparison.measure import (
    ablation_file,
    framed_case,
    frames_file,
    kept_volume,
    of_case,
)
from xr2mri_core.comparison.results import OURS, Results
from xr2mri_core.comparison.summary import (
    result_pictures,
    results_page,
    summary_table,
    with_notes,
)
from xr2mri_core.comparison.training import GIVEN
from xr2mri_core.comparison.volumes import pictured
from xr2mri_core.export import write_json
from xr2mri_core.files import atomic_files
from xr2mri_core.tables import write_csv
from xr2mri_core.training.record import git_commit, hardware
from xr2mri_core.volume import NOTICE


def write_report(results: Results, copy: Path | None = None, command: Sequence[str] = ()) -> str:
    """Write ``report.html``, ``results.md`` with its figures, ``summary.json`` and CSV files.

    Args:
        results: results of the comparison.
        copy: where to write the page of results as well, its figures beside it; what was written
            by hand below an earlier one is kept.
        command: words that asked for these results.

    Returns:
        The table of methods as Markdown.
    """
    text = summary_table(results)
    with atomic_files(results.out) as new:
        for name, rows in _sheets(results).items():
            write_csv(new.path(results.out / f"{name}.csv"), rows)
        write_json(
            new.path(results.out / "summary.json"),
            {
                "rows": results.summary,
                "recovery": results.recovery,
                "gains": results.gains,
                "ablation": results.ablation,
                "goals": [vars(goal) for goal in goals(results)],
                "tests": results.tests,
                "provenance": results.provenance,
            },
        )
        pages = {
            results.out / "summary.md": text,
            results.out / "report.html": page(results, shlex.join(["xr2mri", *command])),
        }
        pictures = result_pictures(results)
        for target in (results.out / "results.md", copy):
            if target is not None:
                own = results_page(results, command, target.stem)
                pages[target] = with_notes(own, target)
                for name, picture in pictures.items():
                    new.path(target.with_name(f"{target.stem}_{name}")).write_bytes(picture)
        for target, content in pages.items():
            new.path(target).write_text(content, encoding="utf-8")
    return text


def _sheets(results: Results) -> dict[str, list[dict[str, Any]]]:
    """What lies beside the report, as tables."""
    metrics = [
        {k: one.get(k, "") for k in ("row", "case", "participant", "seconds")}
        | {"weights": one["of"].get("sha256", ""), "seed": one["of"].get("seed", "")}
        | one["metrics"]
        for one in results.measured
    ]
    summary = [
        {"row": row, "title": results.titles.get(row, row), "metric": metric, "mean": span[0],
         "low": span[1], "high": span[2]}
        for row, found in results.summary.items()
        for metric, span in found.items() if np.isfinite(span[0])
    ]  # fmt: skip
    experiments = [
        {name: value for name, value in one.items() if not isinstance(value, (list, dict))}
        for one in results.experiments
    ]
    return {"metrics": metrics, "summary": summary, "tests": results.tests,
            "experiments": experiments, "provenance": results.provenance}  # fmt: skip


def page(results: Results, command: str) -> str:
    """The whole page."""
    sections = [(title, text) for title, text in _sections(results) if text]
    links = "".join(
        f'<li><a href="#{_anchor(title)}">{html.escape(title)}</a></li>' for title, _ in sections
    )
    body = "".join(
        f'<section id="{_anchor(title)}"><h2>{html.escape(title)}</h2>{text}</section>'
        for title, text in sections
    )
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>XR2MRI: methods compared</title>",
            f"<style>{_asset('report.css')}</style></head><body>",
            "<h1>Methods compared</h1>",
            f'<p class="notice">Research only: {html.escape(NOTICE)}</p>',
            f"<p>{about(results)}</p>",
            f"<nav><ol>{links}</ol></nav>",
            body,
            f"<footer>xr2mri {__version__}, commit {html.escape(str(git_commit()))}, {made}, "
            f"{html.escape(hardware())}<br><code>{html.escape(command)}</code></footer>",
            f'<script type="application/json" id="viewer-data">{viewer.data(results)}</script>',
            f"<script>{_asset('tables.js')}</script><script>{_asset('viewer.js')}</script>",
            "</body></html>",
        ]
    )


def _sections(results: Results) -> Iterator[tuple[str, str]]:
    """Title and content of each section, from what a reader asks first to what proves it."""
    measured, titles = results.measured, results.drawn
    yield "What was asked, and what came of it", tables.goals(goals(results))
    yield "Slices by grade, with Sobel differences", _grades(results)
    yield "Viewer", viewer.controls()
    yield "Methods", _methods(results)
    yield "Ours minus each", tables.tests(results)
    yield "Feature recovery", tables.recovery(results)
    yield "Ablation of features", tables.ablation(results) + _left_out(results)
    yield (
        "Coherence along depth",
        _curves(results, "slices", figures.over_slices,
                "More slices over the same window (the paper's Fig. 6). Ours as shipped mixes "
                "along depth; ours as in the paper draws each slice alone; each with noise that is "
                "independent, or correlated along depth. The truth is known at its own 50 slices "
                "(diamond): to be on the line there is right, above it is too smooth.")
        + _figure(figures.svg(figures.over_distance(measured, titles)),
                  "Correlation of whole slices 1, 2 and 5 apart. A blurred volume with jitter can "
                  "meet the truth at one distance, never at all."),
    )  # fmt: skip
    yield "Between two slices", _frames(results)
    yield (
        "Greys by place",
        _figure(figures.svg(figures.greys(measured, titles)),
                "Mean grey of a slice by its place (the paper's Fig. 4b), mean over the cases."),
    )  # fmt: skip
    yield (
        "Calibration of samples",
        _curves(results, "spread", figures.calibration,
                "Does the deviation of several draws match the error of their mean (as far as so "
                "few draws can know it), and do their intervals hold as many true voxels as they "
                "say? On the dashed line: yes. A line for each case. On the left, half of the "
                "draws tell into which of ten groups a voxel comes, the other half is shown."),
    )  # fmt: skip
    yield (
        "Quality, time and memory",
        _curves(results, "steps", figures.over_steps,
                "Against the number of passes through the network, on this computer.")
        + tables.times(results),
    )  # fmt: skip
    yield "Where each row comes from", tables.provenance(results.provenance)


def about(results: Results) -> str:
    """What was compared on what, as HTML."""
    plan, data = results.plan, results.data
    synthetic = "synthetic phantoms" if data.get("synthetic") else "acquired data"
    patients = len({str(item["participant"]) for item in results.items})
    here = [one for one in results.trained if one.command != GIVEN]
    trained_alike = ""
    if here:
        who = "" if len(here) == len(results.trained) else "those trained here "
        trained_alike = f", {who}autoencoder and data as well"
    return (
        f"{len(results.items)} test cases of {patients} patients of "
        f"<b>{html.escape(str(data['name']))}</b> ({synthetic}), "
        f"{len(data.get('training', []))} cases for training. Methods share U-Net size, sampler "
        f"({plan.sampler}, {plan.steps} steps), seeds and noise{trained_alike}. "
        f"{html.escape(results.trainings)} Each mean has its 95 % bootstrap interval over "
        "patients. A <i>draw</i> is one possible knee, a <i>best guess</i> the mean of all: the "
        "second is nearer to the truth voxel for voxel, the first looks like a knee. Click on a "
        "column to sort by it."
    )


def _methods(results: Results) -> str:
    drawn = figures.svg(figures.boxes(results.measured, results.drawn))
    return tables.methods(results) + _figure(
        drawn,
        "The paper's Fig. 5. Boxes: quartiles over patients, whiskers to 1.5 of their distance; "
        "dots with bars: mean and its 95 % interval. RSSIM counts edge maps without an edge as "
        "good: the dashed line.",
    )


def _grades(results: Results) -> str:
    pictures = pictured(results)
    if not pictures:
        return ""
    drawn = figures.png(figures.grades(pictures), "slices of each method by grade")
    return _figure(
        drawn,
        "The middle slice of a case of each Kellgren-Lawrence grade (the paper's Table II): "
        "radiograph, truth, methods; under each its edges' difference from the truth's.",
        wide=True,
    )


def _left_out(results: Results) -> str:
    files = {
        finding: ablation_file(results.out, of_case(of, results.test[index]), finding)
        for of in _of_ours(results) for finding in FINDINGS
        if (index := with_finding(results.test, finding)) is not None
    }  # fmt: skip
    pictures = {finding: kept_volume(file) for finding, file in files.items() if file.is_file()}
    if not pictures:
        return ""
    return _figure(
        figures.png(figures.left_out(pictures), "slices with and without a finding in the form"),
        "Ours, the same radiograph and noise (the paper's Table III): the slice that changes most "
        "(red: brighter with the finding in the form, blue: darker, at most 0.3).",
    )


def _frames(results: Results) -> str:
    item = framed_case(results.items, results.shown)
    own = [] if item is None else [of_case(of, item) for of in _of_ours(results)]
    paths = [frames_file(results.out, of) for of in own]
    if not paths or not paths[0].is_file():
        return ""
    drawn = figures.png(figures.interpolated(kept_volume(paths[0])), "slices between two slices")
    return _figure(
        drawn,
        "Ours: two neighbours of 50 slices, 1.5 mm apart, and slices between them (the paper's "
        "Table IV), each less the one before (red: brighter, blue: darker, at most 0.3).",
    )


def _of_ours(results: Results) -> list[dict[str, Any]]:
    """What the pictures of ours depend on, if it is among the methods."""
    return [
        results.plan.of(one.method, one.sha256)
        for one in results.trained if one.method.name == OURS
    ]  # fmt: skip


def _curves(results: Results, experiment: str, draw: Any, caption: str) -> str:
    lines = results.experiment(experiment)
    if not lines:
        return ""
    cases = len({one["case"] for one in lines})
    return _figure(figures.svg(draw(lines)), f"{caption} Cases: {cases}.")


def _figure(drawn: str, caption: str, wide: bool = False) -> str:
    inner = f'<div class="wide" tabindex="0">{drawn}</div>' if wide else drawn
    return f"<figure>{inner}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _anchor(title: str) -> str:
    return "section-" + "-".join(word.strip(",").lower() for word in title.split())


def _asset(name: str) -> str:
    return (files("xr2mri_core.comparison") / "page" / name).read_text(encoding="utf-8")
