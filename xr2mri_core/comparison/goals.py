"""What the comparison is to show, and whether it does; reported whichever way it went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from xr2mri_core.comparison.experiments import FINDINGS
from xr2mri_core.comparison.results import BLANK, COLUMNS, OURS, OURS_MEAN, Results
from xr2mri_core.evaluation.statistics import Span, number

AHEAD = ("ssim", "ssim_3d", "edge_f1", "surface_femur", "surface_cartilage")
"""Metrics on which ours has to be ahead, beside the recovery of features."""
GAIN = 0.15
"""AUC that features have to add, on each of `FINDINGS`."""


@dataclass(frozen=True)
class Goal:
    """A goal and what came of it.

    Attributes:
        text: what was asked.
        found: the numbers that were measured.
        reached: whether; None where nothing was measured.
    """

    text: str
    found: str
    reached: bool | None


def goals(results: Results) -> list[Goal]:
    """All goals, in their order."""
    return [*_ahead(results), *_gains(results), *_ablation(results)]


def _ahead(results: Results) -> Iterator[Goal]:
    """Intervals apart: a best guess against all, a draw against what was drawn as it was.

    A draw is further from the truth than the mean of all draws, by its nature, so it cannot be
    measured against the mean of another method.
    """
    kinds = {row.name: row.kind for row in results.rows}
    rivals = [
        row for row in results.titles
        if row not in (OURS, OURS_MEAN) and not row.endswith(BLANK)
    ]  # fmt: skip
    drawn = [row for row in rivals if kinds.get(row) == "sample"]
    for own, title, others in (
        (OURS_MEAN, "Best guess of ours ahead of every other row", rivals),
        (OURS, "A draw of ours ahead of every other method's draw", drawn),
    ):
        if own not in results.titles or not others:
            continue
        for metric in AHEAD:
            spans = {row: results.summary[row][metric] for row in (own, *others)}
            name, digits, way = COLUMNS[metric]
            titles = {row: results.titles[row] + results.of_how_many(row, metric) for row in spans}
            goal = _apart(f"{title}: {name}", spans, own, titles, digits, way)
            few = results.of_how_many(own, metric)
            yield replace(goal, found=f"{few[1:]} {goal.found}".strip())
        areas = {row: results.recovery[row].get("all") for row in (own, *others)}
        known = {row: span for row, span in areas.items() if span is not None}
        if own in known:
            text = f"{title}: AUC of features"
            if not np.isfinite(known[own][1]):
                yield Goal(text, _gain(known[own]), None)
            else:
                yield _apart(text, known, own, results.titles, 2, 1)


def _apart(
    text: str, spans: Mapping[str, Span], own: str, titles: Mapping[str, str], digits: int, way: int
) -> Goal:
    spans = {row: span for row, span in spans.items() if np.isfinite(span[0])}
    if own not in spans:
        return Goal(text, "not measured", None)
    ours = spans.pop(own)
    worst = ours[1] if way > 0 else ours[2]
    not_behind = [
        f"{titles[row]} {number(span, digits)}"
        for row, span in spans.items()
        if not way * worst > way * (span[2] if way > 0 else span[1])
    ]
    rest = f"; not apart from {', '.join(not_behind)}" if not_behind else ""
    return Goal(text, f"{number(ours, digits)}{rest}", not not_behind)


def _gains(results: Results) -> Iterator[Goal]:
    found = results.gains.get(OURS)
    for finding in FINDINGS if found else ():
        span = (found or {})[finding]
        reached = None if not np.isfinite(span[1]) else span[0] >= GAIN
        text = f"Features add {GAIN} to the AUC of {finding}"
        yield Goal(text, _gain(span), reached)


def _ablation(results: Results) -> Iterator[Goal]:
    for finding in FINDINGS:
        values = results.ablation.get(f"without {finding}")
        if values is None:
            continue
        span = values["lost"][finding]
        reached = None if not np.isfinite(span[1]) else span[1] > 0
        text = f"Leaving {finding} out of the form is seen in its recovery (interval above 0)"
        yield Goal(text, _gain(span), reached)


def _gain(span: Span) -> str:
    if not np.isfinite(span[0]):
        return "cannot be measured: the test cases do not have both kinds"
    if not np.isfinite(span[1]):
        return "not measured: too few patients"
    return f"AUC {number(span, 2, signed=True)}"
