"""From numbers per case to a table: means, spread, paired differences, feature response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xr2mri_core.evaluation.metrics import RESPONSE
from xr2mri_core.evaluation.statistics import paired, per_patient

METRICS = {
    "psnr": ("PSNR, dB", 2),
    "psnr_body": ("PSNR body, dB", 2),
    "ssim": ("SSIM", 3),
    "ms_ssim": ("MS-SSIM", 3),
    "ssim_joint": ("SSIM joint", 3),
    "rssim": ("RSSIM", 3),
    "edge_f1": ("edge F1, 2 px", 3),
    "edge_distance_mm": ("edge distance, mm", 2),
    "adjacent": ("adjacent corr.", 3),
}
"""Metric -> column title, digits."""

IN_PLANES = {
    "ssim_sagittal": ("SSIM sagittal", 3),
    "ssim_axial": ("SSIM axial", 3),
    "ssim_3d": ("SSIM 3-D", 3),
    "f1_sagittal": ("edge F1 sagittal", 3),
    "f1_axial": ("edge F1 axial", 3),
    "rough": ("rough", 2),
    "comb": ("comb", 3),
    "lag1": ("lag 1", 3),
    "lag2": ("lag 2", 3),
    "lag5": ("lag 5", 3),
    "power32": ("power 32", 2),
    "power64": ("power 64", 2),
    "power96": ("power 96", 2),
    "spread": ("error/deviation", 2),
}
"""Metrics of `planes` in the same form: what a reader sees who scrolls in another plane."""
COMPARED = ("ssim", "rssim", "ssim_joint", "edge_f1", "ssim_sagittal", "ssim_axial")
"""Metrics for which paired advantages are given."""

Methods = Mapping[str, Mapping[str, float]]
Row = Mapping[str, Any]


def summarise(
    cases: Sequence[Methods],
    participants: Sequence[str],
    response: Sequence[Row],
    spacing: Sequence[Row],
    model: str = "model",
) -> dict[str, Any]:
    """Reduce the numbers of all cases.

    Args:
        cases: for each case, method -> metric -> value.
        participants: whose case each is.
        response: rows of ``response.csv``.
        spacing: rows of ``spacing.csv``.
        model: the method whose paired advantage over the others is computed.

    Returns:
        ``methods`` (mean, sd and n of each metric), ``advantage`` (model minus method, patient by
        patient, see `paired`), ``response``, ``spacing``.
    """
    names = list(dict.fromkeys(name for case in cases for name in case))
    methods = {name: _columns([case[name] for case in cases if name in case]) for name in names}
    rows = [
        {"row": name, "participant": person, "metrics": metrics}
        for case, person in zip(cases, participants, strict=True)
        for name, metrics in case.items()
    ]
    own = {metric: per_patient(rows, model, metric) for metric in COMPARED}
    advantage = {
        name: {m: paired(own[m], per_patient(rows, name, m)) for m in COMPARED}
        for name in names
        if name != model and "ssim" in methods[name]
    }
    return {
        "methods": methods,
        "advantage": advantage,
        "response": _response(response),
        "spacing": _by(
            [
                {**row, "at": " ".join(map(str, (row["slices"], *row.get("noise", "").split())))}
                for row in spacing
            ],
            "at",
            ("adjacent",),
        ),
    }


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    metrics = list(dict.fromkeys(metric for row in rows for metric in row))
    return {metric: _statistics([row.get(metric) for row in rows]) for metric in metrics}


def _statistics(values: Sequence[Any]) -> dict[str, float]:
    known = np.array([v for v in values if v is not None], dtype=float)
    known = known[np.isfinite(known)]
    if not known.size:
        return {"mean": float("nan"), "sd": float("nan"), "median": float("nan"), "n": 0}
    return {
        "mean": float(known.mean()),
        "sd": float(known.std(ddof=1)) if known.size > 1 else 0.0,
        "median": float(np.median(known)),
        "n": int(known.size),
    }


def _by(rows: Sequence[Row], key: str, metrics: Sequence[str]) -> dict[str, Any]:
    groups = list(dict.fromkeys(str(row[key]) for row in rows))
    return {
        group: {m: _statistics([r[m] for r in rows if str(r[key]) == group]) for m in metrics}
        for group in groups
    }


def _response(rows: Sequence[Row]) -> dict[str, Any]:
    """Statistics for each variable and for all cysts and all chondrocalcinosis together."""
    found = [row for row in rows if np.isfinite(row["ratio"])]
    if not found:
        return {}
    kinds = [{**row, "kind": "all cysts" if "XRCY" in row["variable"] else "all chondrocalcinosis"}
             for row in found]  # fmt: skip
    groups = {**_by(kinds, "kind", RESPONSE), **_by(found, "variable", RESPONSE)}
    for name, group in groups.items():
        mine = [r for r in kinds if name in (r["kind"], r["variable"])]
        group["right"] = float(
            np.mean([r["gain"] > 0 and r["inside"] > r["outside"] for r in mine])
        )
    return groups


# --- words ----------------------------------------------------------------------------------------


def markdown(summary: Mapping[str, Any]) -> str:
    """The summary as Markdown: methods by metrics, advantages, slice spacing, feature response."""
    settings = summary.get("settings", {})
    parts = [
        f"{settings.get('cases', '?')} cases of the {settings.get('split', '?')} split; "
        "mean over cases (sd). RSSIM: an empty edge map scores what its row says.",
        _methods_table(summary["methods"], METRICS),
        "In three planes. Rough and comb along depth after smoothing by 1.5 px, as near to the "
        "truth's as may be, lower is no fault; lags: correlation of slices 1.5, 3 and 7.5 mm "
        "apart where there are 50; power: texture of the sample over the truth's at so many cycles "
        "a field of view; error/deviation: RMSE of the mean over what the samples predict.",
        _methods_table(summary["methods"], IN_PLANES),
        "Model minus the row, paired by patient: mean [95 % bootstrap interval], share of patients "
        "with more.",
        _advantage_table(summary["advantage"]),
    ]
    if summary["spacing"]:
        parts += ["Adjacent-slice correlation at more slices over the same window:",
                  _spacing_table(summary["spacing"])]  # fmt: skip
    if summary["response"]:
        parts += [
            "Feature switched on, same radiograph, best guess. inside/outside: mean |change| in "
            "the region that truly changes over the rest of the body; gain: generated over true "
            "change (1 perfect, negative wrong way); sign: share of the true change with the right "
            "sign (chance 0.5); right: share of cases with a positive gain and more change inside "
            "than outside.",
            _response_table(summary["response"]),
        ]
    return "\n\n".join(parts) + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _number(value: float, digits: int) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def _methods_table(methods: Mapping[str, Any], metrics: Mapping[str, tuple[str, int]]) -> str:
    rows = []
    for name, columns in methods.items():
        cells = [name]
        for metric, (_, digits) in metrics.items():
            value = columns.get(metric)
            cells.append(
                f"{_number(value['mean'], digits)} ({_number(value['sd'], digits)})"
                if value and value["n"] else "-"
            )  # fmt: skip
        if any(cell != "-" for cell in cells[1:]):
            rows.append(cells)
    return table(["", *(title for title, _ in metrics.values())], rows)


def _advantage_table(advantage: Mapping[str, Any]) -> str:
    rows = [
        [name, *(f"{_number(v['mean'], 3)} [{_number(v['low'], 3)}, {_number(v['high'], 3)}], "
                 f"{_number(100 * v['won'], 0)} %" for v in metrics.values())]
        for name, metrics in advantage.items()
    ]  # fmt: skip
    titles = [(METRICS | IN_PLANES)[metric][0] for metric in COMPARED]
    return table(["model minus", *titles], rows)


def _spacing_table(spacing: Mapping[str, Any]) -> str:
    rows = [[name, _number(v["adjacent"]["mean"], 3), str(v["adjacent"]["n"])]
            for name, v in spacing.items()]  # fmt: skip
    return table(["slices", "correlation", "cases"], rows)


def _response_table(response: Mapping[str, Any]) -> str:
    columns = (
        ("inside", "mean", 4), ("outside", "mean", 4), ("ratio", "median", 2),
        ("gain", "mean", 3), ("agreement", "mean", 2), ("correlation", "mean", 2),
    )  # fmt: skip
    rows = []
    for name, v in response.items():
        cells = [_number(v[column][kind], digits) for column, kind, digits in columns]
        rows.append([name, str(v["ratio"]["n"]), *cells, f"{100 * v['right']:.0f} %"])
    titles = ["inside", "outside", "ratio (median)", "gain", "sign", "corr."]
    return table(["feature", "cases", *titles, "right"], rows)
