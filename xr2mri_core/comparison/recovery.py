"""Feature recovery: does a grader read from a generated volume the grade that was put in?

The area under the ROC curve of each feature, with intervals from a bootstrap over the patients,
whose cases stay together. Two rows are compared on the same draws, so that what both have in common
cancels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.comparison.experiments import FINDINGS, ablations
from xr2mri_core.evaluation.readers import feature_auc, presence
from xr2mri_core.evaluation.statistics import NOTHING, Span, interval
from xr2mri_core.features import VARIABLES

DRAWS = 200
"""Draws of the bootstrap over patients."""

Scores = Mapping[str, NDArray[np.floating[Any]]]
"""Case -> (variables,) of `Grader.grade`, or of `presence`."""
Areas = dict[str, float]
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
        Name of `groups` -> AUC and its 95 % interval; findings and "all" are means over variables
        that have both kinds of cases. Nothing without cases.
    """
    return _spans([areas for (areas,) in _drawn([scores], truth, draws, patients)])


def gained(
    scores: Scores,
    other: Scores,
    truth: Scores,
    draws: int = DRAWS,
    patients: Patients | None = None,
) -> dict[str, Span]:
    """AUC of ``scores`` minus that of ``other`` on the same cases; see `recovered`."""
    return _spans(
        [
            {name: own[name] - second[name] for name in own}
            for own, second in _drawn([scores, other], truth, draws, patients)
        ]
    )


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


def _drawn(
    rows: Sequence[Scores], truth: Scores, draws: int, patients: Patients | None
) -> Iterator[tuple[Areas, ...]]:
    """Areas of each row on all common cases, then on those of patients drawn with repetition."""
    cases = [case for case in truth if all(case in scores for scores in rows)]
    if not cases:
        return
    own = [np.stack([scores[case] for case in cases]) for scores in rows]
    true = np.stack([truth[case] for case in cases])
    of_patients: dict[str, list[int]] = {}
    for place, case in enumerate(cases):
        of_patients.setdefault(case if patients is None else patients[case], []).append(place)
    places, random = list(of_patients.values()), np.random.default_rng(0)
    chosen = np.arange(len(cases))
    for _ in range(1 + draws):
        yield tuple(_areas(scores[chosen], true[chosen]) for scores in own)
        drawn = random.integers(len(places), size=len(places))
        chosen = np.concatenate([places[n] for n in drawn])


def _areas(scores: NDArray[np.floating[Any]], truth: NDArray[np.floating[Any]]) -> Areas:
    each = feature_auc(scores, truth)
    return {name: _nanmean([each[v] for v in group]) for name, group in groups().items()}


def _spans(several: Sequence[Areas]) -> dict[str, Span]:
    """The first of several areas, with the middle 95 % of the others."""
    if not several:
        return {}
    whole, *drawn = several
    spans = {}
    for name, value in whole.items():
        known = [one[name] for one in drawn if np.isfinite(one[name])]
        low, high = np.quantile(known, (0.025, 0.975)) if known else (np.nan, np.nan)
        spans[name] = (value, float(low), float(high))
    return spans


def _nanmean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
