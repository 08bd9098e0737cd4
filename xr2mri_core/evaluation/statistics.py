"""Intervals over patients and paired tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import wilcoxon

DRAWS = 2000

Span = tuple[float, float, float]
"""A value, and the two ends of its 95 % interval."""
NOTHING: Span = (float("nan"), float("nan"), float("nan"))


def per_patient(rows: Sequence[Mapping[str, Any]], row: str, metric: str) -> dict[str, float]:
    """Patient -> mean of a metric over the patient's cases; what is not finite is left out.

    Args:
        rows: lines with ``row``, ``participant`` and ``metrics``.
        row: name of the row.
        metric: name among ``metrics``.
    """
    values: dict[str, list[float]] = {}
    for one in rows:
        value = one["metrics"].get(metric)
        if one["row"] == row and value is not None and np.isfinite(value):
            values.setdefault(str(one["participant"]), []).append(float(value))
    return {person: float(np.mean(several)) for person, several in values.items()}


def interval(values: Sequence[float], level: float = 0.95) -> Span:
    """Mean and percentile bootstrap interval of the mean over patients; NaN without any."""
    if not len(values):
        return NOTHING
    known = np.asarray(values, np.float64)
    draws = np.random.default_rng(0).choice(known, (DRAWS, known.size)).mean(1)
    low, high = np.quantile(draws, ((1 - level) / 2, (1 + level) / 2))
    return float(known.mean()), float(low), float(high)


def paired(own: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Own minus other, patient by patient.

    Args:
        own, other: patient -> mean, by `per_patient`.

    Returns:
        ``mean`` with ``low`` and ``high`` (95 %), ``won`` (share of patients above 0), ``p`` of the
        two-sided Wilcoxon signed-rank test (1 where all are equal, NaN without pairs), ``n``.
    """
    patients = [person for person in own if person in other]
    differences = np.array([own[person] - other[person] for person in patients])
    mean, low, high = interval(differences.tolist())
    p = float("nan")
    if differences.size:
        p = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    won = float((differences > 0).mean()) if differences.size else float("nan")
    return {
        "mean": mean,
        "low": low,
        "high": high,
        "won": won,
        "p": p,
        "n": float(differences.size),
    }


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm, 1979); NaN stays and does not count."""
    values = np.asarray(p, np.float64)
    known = np.flatnonzero(~np.isnan(values))
    corrected, highest = np.full(len(values), np.nan), 0.0
    for rank, index in enumerate(known[np.argsort(values[known], kind="stable")]):
        highest = max(highest, min(1.0, (len(known) - rank) * values[index]))
        corrected[index] = highest
    return corrected.tolist()


def number(span: Span, digits: int, signed: bool = False) -> str:
    """A value with its interval for people; "-" where there is none."""
    value, low, high = span
    if not np.isfinite(value):
        return "-"
    sign = "+" if signed else ""
    ends = f" [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]" if np.isfinite(low + high) else ""
    return f"{value:{sign}.{digits}f}{ends}"
