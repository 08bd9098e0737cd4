"""Feature recovery: does a grader read from a generated volume the grade that was put in?

The area under the ROC curve of each feature, with intervals from a bootstrap over the patients: the
Bayesian one (Rubin, 1981), which draws each patient's weight from an exponential distribution where
the usual one draws how often a patient comes. The area compares those who have a variable with
those who lack it, and depends on the weights within either group alone: so both groups are drawn
apart, for each variable, and no draw leaves one empty, however rare the variable is. A patient has
one weight for all variables, rows and cases: what two rows have in common cancels where they are
compared, and the mean over variables varies as they do together.

No weights tell what patients would have shown who are not there: fewer than `ENOUGH` give no
interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.comparison.experiments import FINDINGS, ablations
from xr2mri_core.evaluation.readers import feature_auc, presence
from xr2mri_core.evaluation.statistics import NOTHING, Span, interval
from xr2mri_core.features import VARIABLES

DRAWS = 1000
"""Draws of the bootstrap over patients."""
ENOUGH = 5
"""Patients who have a variable, and patients who lack it, for an interval."""

Scores = Mapping[str, NDArray[np.floating[Any]]]
"""Case -> (variables,) of `Grader.grade`, or of `presence`."""
Areas = dict[str, NDArray[np.float64]]
"""Name of `groups` -> (1 + draws,): the area itself, then that of each draw."""
Patients = Mapping[str, str]
"""Case -> its patient."""


def groups() -> dict[str, list[str]]:
    """What is to be recovered: each variable, each finding (its variables) and "all" of them."""
    found = {variable.name: [variable.name] for variable in VARIABLES}
    for variable in VARIABLES:
        found.setdefault(variable.finding, []).append(variable.name)
    return {**found, "all": [variable.name for variable in VARIABLES]}


def recovered(
    scores: Scores, truth: Scores, draws: int = DRAWS, patients: Patients | None = None
) -> dict[str, Span]:
    """AUC of the grader on generated volumes.

    Args:
        scores: scores by `Grader.grade`.
        truth: presence by `presence`.
        draws: number of draws of the bootstrap.
        patients: whose each case is; None: each is another's.

    Returns:
        Name of `groups` -> AUC and its 95 % interval. Findings and "all" are means over variables
        that `ENOUGH` patients have, and as many lack; where there is none, over those with both
        kinds of cases, and without an interval (NaN). Nothing without cases.
    """
    return _spans(*_areas([scores], truth, draws, patients))


def gained(
    scores: Scores,
    other: Scores,
    truth: Scores,
    draws: int = DRAWS,
    patients: Patients | None = None,
) -> dict[str, Span]:
    """AUC of ``scores`` minus that of ``other`` on the same cases; see `recovered`."""
    own, second = _areas([scores, other], truth, draws, patients)
    return _spans({name: own[name] - second[name] for name in own})


def occurrences(items: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Name of `groups` -> cases with any of its variables present."""
    position = {variable.name: index for index, variable in enumerate(VARIABLES)}
    present = [presence(item["features"]) == 1 for item in items]
    return {
        name: sum(bool(one[[position[v] for v in group]].any()) for one in present)
        for name, group in groups().items()
    }


def ablated(
    lines: Sequence[Mapping[str, Any]], truth: Scores
) -> dict[str, dict[str, dict[str, Span]]]:
    """What leaving features out does (Table III).

    Args:
        lines: lines of the experiment "ablation".
        truth: presence by `presence`.

    Returns:
        Variant -> ``auc`` (each of FINDINGS and "all"), ``lost`` (AUC with all features minus this
        variant's, on the same cases) and ``ssim`` ("ssim"); only variants that were run.
    """
    found: dict[str, dict[str, dict[str, Span]]] = {}
    scores: dict[str, dict[str, NDArray[np.float64]]] = {}
    patients = {str(one["case"]): str(one.get("participant", one["case"])) for one in lines}
    for variant in ablations():
        own = [one for one in lines if one["variant"] == variant]
        scores[variant] = {
            str(one["case"]): np.asarray(one["scores"]) for one in own if one["scores"]
        }
        if own:
            of_patients: dict[str, list[float]] = {}
            for one in own:
                of_patients.setdefault(patients[str(one["case"])], []).append(one["ssim"])
            means = [float(np.mean(several)) for several in of_patients.values()]
            found[variant] = {"ssim": {"ssim": interval(means)}}
    for variant, values in found.items():
        areas = recovered(scores[variant], truth, patients=patients)
        lost = {}
        if variant != "all":
            lost = gained(scores["all"], scores[variant], truth, patients=patients)
        names = (*FINDINGS, "all")
        values["auc"] = {name: areas.get(name, NOTHING) for name in names}
        values["lost"] = {name: lost.get(name, NOTHING) for name in names}
    return found


def _areas(
    rows: Sequence[Scores], truth: Scores, draws: int, patients: Patients | None
) -> list[Areas]:
    """Areas of each row on all common cases, and on the same draws of their patients."""
    cases = [case for case in truth if all(case in scores for scores in rows)]
    if not cases:
        return [{} for _ in rows]
    owners = cases if patients is None else [patients[case] for case in cases]
    place = {owner: number for number, owner in enumerate(dict.fromkeys(owners))}
    of = np.array([place[owner] for owner in owners])
    weights = np.random.default_rng(0).exponential(size=(draws, len(place)))[:, of]
    true = np.stack([truth[case] for case in cases])
    enough = [all(len(np.unique(of[one == kind])) >= ENOUGH for kind in (0, 1)) for one in true.T]
    return [_of_row(np.stack([scores[c] for c in cases]), true, weights, enough) for scores in rows]


def _of_row(
    scores: NDArray[np.floating[Any]],
    truth: NDArray[np.floating[Any]],
    weights: NDArray[np.float64],
    enough: Sequence[bool],
) -> Areas:
    """Areas of a row, of scores and truth (cases, variables) and weights (draws, cases)."""
    each = {}
    for index, (name, area) in enumerate(feature_auc(scores, truth).items()):
        drawn = np.full(len(weights), np.nan)
        if enough[index]:
            drawn = _weighted(scores[:, index], truth[:, index], weights)
        each[name] = np.array([area, *drawn])
    areas = {}
    for name, group in groups().items():
        several = np.stack([each[variable] for variable in group])
        known = np.isfinite(several)
        counted = known[:, -1] if known[:, -1].any() else known[:, 0]
        areas[name] = several[counted].mean(0) if counted.any() else np.full(len(several.T), np.nan)
    return areas


def _weighted(
    scores: NDArray[np.floating[Any]],
    truth: NDArray[np.floating[Any]],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The area of a variable (cases,) by each of the weights (draws, cases), as (draws,)."""
    present, absent = truth == 1, truth == 0
    ahead = (1 + np.sign(scores[present, None] - scores[absent])) / 2  # a pair in order, or a tie
    own, others = weights[:, present], weights[:, absent]
    return ((own @ ahead) * others).sum(1) / (own.sum(1) * others.sum(1))


def _spans(areas: Areas) -> dict[str, Span]:
    """Areas, each with the middle 95 % of its draws."""
    spans = {}
    for name, (value, *drawn) in areas.items():
        low, high = np.quantile(drawn, (0.025, 0.975))
        spans[name] = (float(value), float(low), float(high))
    return spans
