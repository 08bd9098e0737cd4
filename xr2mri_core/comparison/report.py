"""The report: one HTML file with everything in it, CSV beside it, nothing from the network."""

from __future__ import annotations

import base64
import html
import io
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from xr2mri_core import __version__
from xr2mri_core.comparison import figures
from xr2mri_core.comparison.experiments import FINDINGS, ablations
from xr2mri_core.comparison.measure import Lines, Row, kept_volume
from xr2mri_core.comparison.statistics import holm, interval, paired, per_patient
from xr2mri_core.comparison.training import Trained, frames_of
from xr2mri_core.evaluation.compare import write_csv
from xr2mri_core.evaluation.readers import feature_auc, presence
from xr2mri_core.evaluation.summary import table as markdown_table
from xr2mri_core.export import write_json
from xr2mri_core.features import VARIABLES
from xr2mri_core.files import atomic_files
from xr2mri_core.geometry import FIELD_OF_VIEW_MM, WINDOW_MM
from xr2mri_core.training.record import git_commit, hardware
from xr2mri_core.volume import NOTICE

if TYPE_CHECKING:
    from xr2mri_core.comparison.run import Plan

Item = Mapping[str, Any]

COLUMNS: dict[str, tuple[str, int, int]] = {
    "ssim": ("SSIM", 3, 1),
    "psnr": ("PSNR, dB", 2, 1),
    "rssim": ("RSSIM", 3, 1),
    "edge_f1": ("edge F1", 3, 1),
    "edge_distance_mm": ("edge distance, mm", 2, -1),
    "ssim_joint": ("SSIM joint", 3, 1),
    "ms_ssim": ("MS-SSIM", 3, 1),
    "ssim_3d": ("3-D SSIM", 3, 1),
    "ssim_sagittal": ("SSIM sagittal", 3, 1),
    "ssim_axial": ("SSIM axial", 3, 1),
    "dice_femur": ("Dice femur", 3, 1),
    "dice_tibia": ("Dice tibia", 3, 1),
    "dice_cartilage": ("Dice cartilage", 3, 1),
    "dice_meniscus": ("Dice meniscus", 3, 1),
    "surface_femur": ("surface femur, mm", 2, -1),
    "surface_tibia": ("surface tibia, mm", 2, -1),
    "surface_cartilage": ("surface cartilage, mm", 2, -1),
    "histogram": ("greys", 4, -1),
    "spectrum": ("spectrum, dB", 2, -1),
    "lpips": ("LPIPS", 3, -1),
    "adjacent": ("adjacent corr.", 3, 0),
    "rough": ("rough", 2, 0),
    "comb": ("comb", 3, 0),
}
"""Metric -> title, digits, and whether more is better (1), less is (-1), or as the truth (0)."""

TESTED = ("ssim", "ssim_3d", "edge_f1", "surface_femur", "surface_cartilage", "rssim", "psnr")
"""Metrics on which ours is tested against each other row."""

VIEWED = 2  # pixels of the side that one pixel of the viewer stands for


def write_report(
    out: Path,
    plan: Plan,
    trained: Sequence[Trained],
    rows: Sequence[Row],
    items: Sequence[Item],
    lines: Lines,
    shown: Mapping[str, Path],
    datalist: Path,
    readers: str = "",
) -> str:
    """Write ``report.html``, ``summary.md``, ``summary.json`` and CSV files; return the table.

    Args:
        out: folder.
        plan: what was compared.
        trained: methods with their weights.
        rows: of the tables, in their order.
        items: test cases.
        lines: all results.
        shown: case -> folder of its kept volumes.
        datalist: of the comparison.
        readers: `Readers.of`, of the networks that read the volumes.
    """
    current = [one for one in lines.rows if _is_of(one, rows, items, readers)]
    newest = {(one.get("row"), one.get("case")): one for one in current if "row" in one}
    measured = list(newest.values())
    other = _newest_experiments(lines.rows, trained, items)
    titles = {row.name: row.title for row in rows}
    people = {str(item["case"]): presence(item["features"]) for item in items}
    summary = {
        row: {m: interval([*per_patient(measured, row, m).values()]) for m in COLUMNS}
        for row in titles
    }
    recovery = {row: recovered(_scores(measured, row), people) for row in ("truth", *titles)}
    tests = tested(measured, titles)
    text = _markdown(summary, recovery, titles, len(items), datalist)
    with atomic_files(out) as new:
        flat = [
            {k: one.get(k, "") for k in ("row", "case", "participant", "seconds")}
            | {"weights": one["of"].get("sha256", ""), "seed": one["of"].get("seed", "")}
            | one["metrics"]
            for one in measured
        ]
        write_csv(new.path(out / "metrics.csv"), flat)
        write_csv(new.path(out / "summary.csv"), list(_flat_summary(summary, titles)))
        write_csv(new.path(out / "tests.csv"), tests)
        curves = [{k: v for k, v in one.items() if not isinstance(v, (list, dict))}
                  for one in other]  # fmt: skip
        write_csv(new.path(out / "experiments.csv"), curves)
        write_csv(new.path(out / "provenance.csv"), [*provenance(trained, plan)])
        write_json(new.path(out / "summary.json"), {"rows": summary, "recovery": recovery,
                   "tests": tests, "provenance": [*provenance(trained, plan)]})  # fmt: skip
        new.path(out / "summary.md").write_text(text, encoding="utf-8")
        page = _page(plan, trained, rows, items, measured, other, summary, recovery, tests,
                     shown, datalist, out)  # fmt: skip
        new.path(out / "report.html").write_text(page, encoding="utf-8")
    return text


# --- numbers ------------------------------------------------------------------------------------


def _is_of(
    one: Mapping[str, Any], rows: Sequence[Row], items: Sequence[Item], readers: str
) -> bool:
    """Whether a line is of this run's rows and cases, not of earlier weights."""
    of = {row.name: json.loads(json.dumps(dict(row.of))) for row in rows} | {"truth": {}}
    cases = {str(item["case"]) for item in items}
    same = one.get("row") in of and one.get("of") == of[one["row"]]
    return same and one.get("case") in cases and one.get("readers") == readers


def _newest_experiments(
    rows: Sequence[Mapping[str, Any]], trained: Sequence[Trained], items: Sequence[Item]
) -> list[Mapping[str, Any]]:
    """Lines of the experiments of these weights and cases."""
    digests, cases = {one.sha256 for one in trained}, {item["case"] for item in items}
    return [
        one
        for one in rows
        if "experiment" in one
        and one["case"] in cases
        and {v for v in one["of"].values() if isinstance(v, str) and len(v) == 64} <= digests
    ]


def _scores(lines: Sequence[Mapping[str, Any]], row: str) -> dict[str, np.ndarray]:
    found = (one for one in lines if one.get("row") == row and one.get("scores"))
    return {one["case"]: np.asarray(one["scores"]) for one in found}


def recovered(
    scores: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], draws: int = 200
) -> dict[str, tuple[float, float, float]]:
    """AUC of the grader on generated volumes: of each variable, finding, and over all.

    Args:
        scores: case -> (variables,) of `Grader.grade`.
        truth: case -> (variables,) of `presence`.
        draws: of the bootstrap over cases.

    Returns:
        Name -> AUC and its 95 % interval; findings and "all" are means over variables that have
        both kinds of cases.
    """
    cases = [case for case in scores if case in truth]
    groups = {variable.name: [variable.name] for variable in VARIABLES}
    for finding in dict.fromkeys(variable.finding for variable in VARIABLES):
        groups[finding] = [v.name for v in VARIABLES if v.finding == finding]
    groups["all"] = [variable.name for variable in VARIABLES]
    if not cases:
        return {}
    own, true = (np.stack([table[case] for case in cases]) for table in (scores, truth))

    def areas(chosen: np.ndarray) -> dict[str, float]:
        each = feature_auc(own[chosen], true[chosen])
        return {name: _nanmean([each[v] for v in group]) for name, group in groups.items()}

    random = np.random.default_rng(0)
    several = [areas(random.integers(len(cases), size=len(cases))) for _ in range(draws)]
    whole = areas(np.arange(len(cases)))
    result = {}
    for name in groups:
        known = [one[name] for one in several if np.isfinite(one[name])]
        low, high = np.quantile(known, (0.025, 0.975)) if known else (np.nan, np.nan)
        result[name] = (whole[name], float(low), float(high))
    return result


def _nanmean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def tested(
    lines: Sequence[Mapping[str, Any]], titles: Mapping[str, str], ours: str = "ours"
) -> list[dict[str, Any]]:
    """Ours minus each other row, patient by patient; p-values corrected for all of a metric."""
    found = []
    for metric in TESTED:
        own = per_patient(lines, ours, metric)
        others = [row for row in titles if row != ours]
        results = [paired(own, per_patient(lines, row, metric)) for row in others]
        corrected = holm([result["p"] for result in results])
        for row, result, p in zip(others, results, corrected, strict=True):
            found.append({"metric": metric, "row": row, **result, "p_holm": p})
    return found


def provenance(trained: Sequence[Trained], plan: Plan) -> Iterator[dict[str, Any]]:
    """What each method's weights are and where they come from."""
    for one in trained:
        versions = one.card.get("versions", {})
        yield {
            "method": one.method.title,
            "weights": one.sha256,
            "commit": one.card.get("commit", ""),
            "seed": one.card.get("seed", plan.seed),
            "slices seen": "" if one.samples is None else one.samples,
            "minutes": one.card.get("minutes", ""),
            "validation loss": one.card.get("results", {}).get("val_loss", ""),
            "hardware": one.card.get("hardware", ""),
            "torch": versions.get("torch", ""),
            "command": one.command,
        }


def _flat_summary(
    summary: Mapping[str, Mapping[str, tuple[float, float, float]]], titles: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    for row, metrics in summary.items():
        for metric, (mean, low, high) in metrics.items():
            if np.isfinite(mean):
                yield {"row": row, "title": titles[row], "metric": metric, "mean": mean,
                       "low": low, "high": high}  # fmt: skip


def _markdown(
    summary: Mapping[str, Mapping[str, tuple[float, float, float]]],
    recovery: Mapping[str, Mapping[str, tuple[float, float, float]]],
    titles: Mapping[str, str],
    cases: int,
    datalist: Path,
) -> str:
    shown = ("ssim", "ssim_3d", "psnr", "rssim", "edge_f1", "dice_femur", "dice_cartilage",
             "surface_femur", "spectrum")  # fmt: skip
    rows = []
    for row, title in titles.items():
        cells = [_numbers(summary[row][m], COLUMNS[m][1]) for m in shown]
        rows.append([title, *cells, _numbers(recovery[row].get("all", (np.nan,) * 3), 2)])
    header = ["", *(COLUMNS[m][0] for m in shown), "AUC of features"]
    ceiling = _numbers(recovery["truth"].get("all", (np.nan,) * 3), 2)
    return (
        f"{cases} test cases of {json.loads(datalist.read_text('utf-8'))['name']}; mean and 95 % "
        f"interval over patients. The grader reaches an AUC of {ceiling} on true volumes.\n\n"
        f"{markdown_table(header, rows)}\n"
    )


def _numbers(values: Sequence[float], digits: int) -> str:
    mean, low, high = values
    if not np.isfinite(mean):
        return "-"
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


# --- the page -----------------------------------------------------------------------------------


def _page(
    plan: Plan,
    trained: Sequence[Trained],
    rows: Sequence[Row],
    items: Sequence[Item],
    measured: Sequence[Mapping[str, Any]],
    other: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
    recovery: Mapping[str, Any],
    tests: Sequence[Mapping[str, Any]],
    shown: Mapping[str, Path],
    datalist: Path,
    out: Path,
) -> str:
    titles = {row.name: row.title for row in rows}
    data = json.loads(datalist.read_text(encoding="utf-8"))
    sections = [
        ("Methods", _methods_table(summary, titles) + figures.svg(figures.boxes(measured, titles))),
        ("Ours minus each", _tests_table(tests, titles)),
        ("Feature recovery", _recovery_table(recovery, titles)),
        ("Ablation of features", _ablation_table(other, items)),
        ("Viewer", _viewer_controls()),
        ("Slices by grade, with Sobel differences", _grades(shown, items, titles)),
        ("Coherence along depth", _if(other, "slices", figures.over_slices)),
        ("Between two slices", _frames(out, trained)),
        ("Greys by place", figures.svg(figures.greys(measured, titles))),
        ("Calibration of samples", _if(other, "spread", figures.calibration)),
        ("Quality, time and memory", _if(other, "steps", figures.over_steps) + _time_table(other)),
        ("Where each row comes from", _provenance_table(trained, plan)),
    ]
    body = "".join(f"<h2>{html.escape(title)}</h2>{text}" for title, text in sections if text)
    command = shlex.join(["xr2mri", *sys.argv[1:]])
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            "<title>XR2MRI: methods compared</title>",
            f"<style>{_asset('report.css')}</style></head><body>",
            "<h1>Methods compared</h1>",
            f'<p class="notice">Research only: {html.escape(NOTICE)}</p>',
            f"<p>{_about(plan, trained, len(items), data)}</p>",
            body,
            f"<p><small>xr2mri {__version__}, commit {html.escape(str(git_commit()))}, {made}, "
            f"{html.escape(hardware())}<br><code>{html.escape(command)}</code></small></p>",
            f'<script type="application/json" id="viewer-data">{_volumes(shown, items, titles)}'
            "</script>",
            f"<script>{_asset('tables.js')}</script><script>{_asset('viewer.js')}</script>",
            "</body></html>",
        ]
    )


def _about(plan: Plan, trained: Sequence[Trained], cases: int, data: Mapping[str, Any]) -> str:
    """What was compared on what, as HTML."""
    synthetic = "synthetic phantoms" if data.get("synthetic") else "acquired data"
    known = [html.escape(one.method.title) for one in trained if one.samples is None]
    apart = f" Weights of {', '.join(known)} were given: their budgets are others." if known else ""
    return (
        f"{cases} test cases of <b>{html.escape(str(data['name']))}</b> ({synthetic}), "
        f"{len(data.get('training', []))} for training. Methods share autoencoder, U-Net size, "
        f"data, training budget, sampler ({plan.sampler}, {plan.steps} steps), seeds and noise."
        f"{apart} Each mean has its 95 % bootstrap interval over patients."
    )


def _asset(name: str) -> str:
    return (files("xr2mri_core.comparison") / "page" / name).read_text(encoding="utf-8")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], sortable: bool = True) -> str:
    """A table; cells are HTML, and a cell may bring its own <td>."""
    head = "".join(f"<th>{html.escape(title)}</th>" for title in header)
    lines = [
        "<tr>" + "".join(c if c.startswith("<td") else f"<td>{c}</td>" for c in cells) + "</tr>"
        for cells in rows
    ]
    kind = ' class="sortable"' if sortable else ""
    return (
        f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(values: Sequence[float], digits: int, best: bool = False) -> str:
    mean, low, high = values
    if not np.isfinite(mean):
        return "<td>-</td>"
    kind = ' class="best"' if best else ""
    return (
        f'<td{kind} data-value="{mean}">{mean:.{digits}f} '
        f"<small>[{low:.{digits}f}, {high:.{digits}f}]</small></td>"
    )


def _methods_table(summary: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    shown = [m for m in COLUMNS if any(np.isfinite(summary[row][m][0]) for row in titles)]
    best = {}
    for metric in shown:
        way = COLUMNS[metric][2]
        if way:
            best[metric] = max(
                (row for row in titles if np.isfinite(summary[row][metric][0])),
                key=lambda row, m=metric, w=way: w * summary[row][m][0],  # type: ignore[misc]
            )
    rows = [
        [html.escape(title),
         *(_cell(summary[row][m], COLUMNS[m][1], best.get(m) == row) for m in shown)]
        for row, title in titles.items()
    ]  # fmt: skip
    return _table(["", *(COLUMNS[m][0] for m in shown)], rows)


def _tests_table(tests: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> str:
    if not tests or all(not test["n"] for test in tests):
        return ""
    metrics = [m for m in TESTED if any(t["metric"] == m and t["n"] for t in tests)]
    rows = []
    for row in dict.fromkeys(test["row"] for test in tests):
        cells = [html.escape(titles[row])]
        for metric in metrics:
            test = next(t for t in tests if t["row"] == row and t["metric"] == metric)
            p, digits = test["p_holm"], COLUMNS[metric][1]
            note = "" if not np.isfinite(p) else f", p {p:.1g}" if p >= 1e-4 else ", p &lt; 0.0001"
            cell = _cell((test["mean"], test["low"], test["high"]), digits)
            cells.append(cell.replace("</small></td>", f"{note}</small></td>"))
        rows.append(cells)
    return (
        "<p>Paired by patient, with 95 % intervals; p of Wilcoxon's signed-rank test, corrected "
        "for the number of rows (Holm). Distances in mm: below 0 is ahead.</p>"
        + _table(["ours minus", *(COLUMNS[m][0] for m in metrics)], rows)
    )


def _recovery_table(recovery: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    if not recovery.get("truth"):
        return ""
    groups = [*dict.fromkeys(v.finding for v in VARIABLES), "all"]
    rows = [
        [html.escape({"truth": "true volumes (ceiling)", **titles}[row]),
         *(_cell(values[group], 2) for group in groups)]
        for row, values in recovery.items()
        if values
    ]  # fmt: skip
    return (
        "<p>A small network, trained on true volumes, reads each feature from the generated "
        "volume: area under the ROC curve against the grade that was put in (0.5: chance).</p>"
        + _table(["", *groups], rows)
    )


def _ablation_table(lines: Sequence[Mapping[str, Any]], items: Sequence[Item]) -> str:
    own = [one for one in lines if one.get("experiment") == "ablation"]
    if not own:
        return ""
    truth = {str(item["case"]): presence(item["features"]) for item in items}
    rows = []
    for variant in ablations():
        found = [one for one in own if one["variant"] == variant]
        scores = {one["case"]: np.asarray(one["scores"]) for one in found if one["scores"]}
        area = recovered(scores, truth)
        nothing = (np.nan,) * 3
        rows.append(
            [variant, _cell(interval([one["ssim"] for one in found]), 3),
             *(_cell(area.get(name, nothing), 2) for name in (*FINDINGS, "all"))]
        )  # fmt: skip
    return (
        "<p>The same model, radiograph and noise; features left out are missing, as a reading is "
        "missing in training. AUC of the grader on each finding.</p>"
        + _table(["features", "SSIM", *FINDINGS, "all"], rows)
    )


def _time_table(lines: Sequence[Mapping[str, Any]]) -> str:
    own = [one for one in lines if one.get("experiment") == "steps"]
    rows = []
    for row in dict.fromkeys(one["row"] for one in own):
        for count in sorted({one["steps"] for one in own if one["row"] == row}):
            found = [one for one in own if one["row"] == row and one["steps"] == count]
            means = [
                np.mean([one[key] for one in found]) for key in ("seconds", "megabytes", "ssim")
            ]
            rows.append([html.escape(row), str(count), f"{means[0]:.1f}", f"{means[1]:.0f}",
                         f"{means[2]:.3f}"])  # fmt: skip
    return _table(["", "steps", "s a volume", "MB", "SSIM"], rows) if rows else ""


def _provenance_table(trained: Sequence[Trained], plan: Plan) -> str:
    found = [*provenance(trained, plan)]
    rows = []
    for one in found:
        cells = [html.escape(str(value)) for value in one.values()]
        cells[-1] = f"<pre>{cells[-1]}</pre>"
        rows.append(cells)
    return _table(list(found[0]), rows) if found else ""


def _if(lines: Sequence[Mapping[str, Any]], experiment: str, draw: Any) -> str:
    if not any(one.get("experiment") == experiment for one in lines):
        return ""
    return figures.svg(draw(lines))


def _frames(out: Path, trained: Sequence[Trained]) -> str:
    paths = [frames_of(out, one) for one in trained if one.method.name == "ours"]
    if not paths or not paths[0].is_file():
        return ""
    return figures.png(figures.interpolated(kept_volume(paths[0])))


def _of_case(folder: Path, titles: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Title -> kept volume of one case, the truth first."""
    names = {"truth": "truth", **titles}
    return {
        title: kept_volume(folder / f"{name}.npy")
        for name, title in names.items()
        if (folder / f"{name}.npy").is_file()
    }


def _grades(shown: Mapping[str, Path], items: Sequence[Item], titles: Mapping[str, str]) -> str:
    by_case = {str(item["case"]): item for item in items}
    cases = {}
    for case, folder in shown.items():
        volumes = _of_case(folder, titles)
        if volumes:
            cases[case] = _title(by_case[case]), _radiograph(by_case[case]), volumes
    return figures.png(figures.grades(cases), dpi=90) if cases else ""


def _title(item: Item) -> str:
    grade = item["features"].get("V00XRKL")
    return str(item["case"]) + ("" if grade is None else f", KL {grade}")


def _radiograph(item: Item) -> np.ndarray:
    from xr2mri_core.reading import prepare_radiograph

    side = item.get("laterality") or "auto"
    read = prepare_radiograph(item["radiograph"], 256, side, item.get("box"))
    return (read.picture[0, 0].numpy() + 1) / 2


def _viewer_controls() -> str:
    sliders = "".join(
        f'<label><span id="label-{plane}">{plane}</span><br>'
        f'<input type="range" id="slider-{plane}" min="0" max="1" value="0"></label>'
        for plane in ("coronal", "sagittal", "axial")
    )
    return (
        "<p>The same point of the knee in every volume: scroll over a picture, click into it, or "
        "use the sliders.</p>"
        f'<div class="controls"><label>case <select id="case"></select></label>{sliders}'
        '<label><input type="checkbox" id="crosshair" checked> crosshair</label></div>'
        '<div id="viewer"></div>'
    )


def _volumes(shown: Mapping[str, Path], items: Sequence[Item], titles: Mapping[str, str]) -> str:
    """The viewer's data as JSON: volumes as PNG pictures, slice below slice."""
    by_case, cases = {str(item["case"]): item for item in items}, []
    for case, folder in shown.items():
        volumes = [(title, smaller(v)) for title, v in _of_case(folder, titles).items()]
        if volumes:
            wide, deep = FIELD_OF_VIEW_MM, WINDOW_MM
            cases.append(
                {
                    "title": _title(by_case[case]),
                    "shape": list(volumes[0][1].shape),
                    "millimetres": {"coronal": [wide, wide], "sagittal": [deep, wide],
                                    "axial": [wide, deep]},
                    "volumes": [{"title": t, "source": as_picture(v)} for t, v in volumes],
                }
            )  # fmt: skip
    return json.dumps({"cases": cases}).replace("</", "<\\/")


def smaller(slices: np.ndarray, times: int = VIEWED) -> np.ndarray:
    """Slices (n, H, W) in [0, 1] -> uint8 (n, H/times, W/times), means of `times` x `times`."""
    count, height, width = (len(slices), *(side // times for side in slices.shape[1:]))
    part = slices[:, : height * times, : width * times]
    mean = part.reshape(count, height, times, width, times).mean((2, 4))
    return np.rint(mean * 255).astype(np.uint8)


def as_picture(voxels: np.ndarray) -> str:
    """uint8 (n, h, w) -> data address of a grey PNG, slice below slice."""
    buffer = io.BytesIO()
    Image.fromarray(voxels.reshape(-1, voxels.shape[2])).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
