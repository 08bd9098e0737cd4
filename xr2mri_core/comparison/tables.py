"""Tables of the report, as HTML; each with the words that it needs to be read."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np

from xr2mri_core.comparison.experiments import BEST_GUESS, FINDINGS
from xr2mri_core.comparison.goals import Goal
from xr2mri_core.comparison.recovery import ENOUGH, occurrences
from xr2mri_core.comparison.results import COLUMNS, OURS, OURS_MEAN, TESTED, Results
from xr2mri_core.evaluation.statistics import NOTHING, Span, number
from xr2mri_core.features import VARIABLES

METRICS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Voxel for voxel": (
        "Structural similarity to the truth in coronal slices (as they were made), in the joint "
        "alone, over scales, in 3-D windows and in the two other planes; and PSNR. A mean wins "
        "here by its nature: the further a draw dares to go, the more it loses.",
        ("ssim", "ssim_joint", "ms_ssim", "ssim_3d", "ssim_sagittal", "ssim_axial", "psnr"),
    ),
    "Bones and cartilage": (
        "Edges of bone in the joint region within 2 pixels and their distance; RSSIM as the paper "
        "defines it, which an empty edge map wins (see the box plots); overlap (Dice) and distance "
        "of surfaces of what a small segmentation network, trained on true volumes, finds. The "
        "line of the truth is what it finds there: the ceiling. What is not found has no surface: "
        "a distance that only some of the patients have (their number stands behind it) is of "
        "the easier ones, and no value of it is best.",
        ("edge_f1", "edge_distance_mm", "rssim", "dice_femur", "dice_tibia", "dice_cartilage",
         "dice_meniscus", "surface_femur", "surface_tibia", "surface_cartilage"),
    ),
    "As a whole": (
        "Whether greys (earth mover's distance of the histograms, of a range of 1) and textures "
        "(in-plane power spectrum) are those of the truth, wherever they lie; and whether slices "
        "fit one another along depth, where the nearest to the truth's own value is best.",
        ("histogram", "spectrum", "lpips", "fid", "kid", "adjacent", "rough", "comb"),
    ),
}  # fmt: skip
"""Title -> words and metrics of each table of methods."""

_ARROWS = {1: " \N{UPWARDS ARROW}", -1: " \N{DOWNWARDS ARROW}", 0: ""}


def table(header: Sequence[str], rows: Sequence[Sequence[str]], sortable: bool = True) -> str:
    """A table; cells are HTML, and a cell may bring its own <td>."""
    head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in header)
    lines = [
        "<tr>" + "".join(c if c.startswith("<td") else f"<td>{c}</td>" for c in cells) + "</tr>"
        for cells in rows
    ]
    kind = ' class="sortable"' if sortable else ""
    return (
        f'<div class="wide" tabindex="0"><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def cell(span: Span, digits: int, best: bool = False, note: str = "", signed: bool = False) -> str:
    """A value with its interval; empty values have no number to be sorted by."""
    value = span[0]
    if not np.isfinite(value):
        return "<td>-</td>"
    kind = ' class="best"' if best else ""
    shown, _, ends = number(span, digits, signed).partition(" ")
    return f'<td{kind} data-value="{value}">{shown} <small>{ends}{note}</small></td>'


def goals(found: Sequence[Goal]) -> str:
    """What was asked, what came of it."""
    words = {True: "reached", False: "missed", None: "not measured"}
    rows = [
        [html.escape(goal.text), f'<td class="{words[goal.reached].split()[0]}">'
         f"{words[goal.reached]}</td>", f'<td class="words">{html.escape(goal.found)}</td>']
        for goal in found
    ]  # fmt: skip
    if not rows:
        return ""
    return f'<div class="goals">{table(["goal", "", "found"], rows, sortable=False)}</div>'


def methods(results: Results) -> str:
    """Every metric of every row, best values bold, in three tables."""
    parts = []
    rows = {row.name: row for row in results.rows}
    for title, (words, metrics) in METRICS.items():
        values = {
            row: {m: v for m in metrics if np.isfinite((v := found.get(m, NOTHING))[0])}
            for row, found in results.summary.items()
        }
        shown = [m for m in metrics if any(m in values[row] for row in results.titles)]
        best = {m: _best(m, results) for m in shown}
        lines = [
            [_name(title, rows[row].kind),
             *(cell(values[row].get(m, NOTHING), COLUMNS[m][1], best[m] == row,
                    results.of_how_many(row, m)) for m in shown)]
            for row, title in results.titles.items()
        ]  # fmt: skip
        if values["truth"]:
            cells = [cell(values["truth"].get(m, NOTHING), COLUMNS[m][1]) for m in shown]
            lines.append(["<i>true volumes</i>", *cells])
        header = ["", *(COLUMNS[m][0] + _ARROWS[COLUMNS[m][2]] for m in shown)]
        if shown:
            parts.append(f"<h3>{title}</h3><p>{words}</p>{table(header, lines)}")
    return "".join(parts)


def _name(title: str, kind: str) -> str:
    kind_text = {"sample": "draw", "mean": "best guess", "axes": "mean of draws"}.get(kind)
    return html.escape(title) + (f" <small>{kind_text}</small>" if kind_text else "")


def _best(metric: str, results: Results) -> str | None:
    way = COLUMNS[metric][2]
    if not way:
        return None
    known = {row: results.summary[row].get(metric, NOTHING)[0] for row in results.titles}
    most = max(results.number_of(row, metric)[0] for row in known)
    known = {
        row: way * value
        for row, value in known.items()
        if np.isfinite(value) and results.number_of(row, metric)[0] == most
    }
    return max(known, key=lambda row: known[row])


def tests(results: Results) -> str:
    """Ours minus each other row: a draw, and the best guess."""
    parts = {
        "A draw": _tests_of(OURS, results),
        "The best guess": _tests_of(OURS_MEAN, results),
    }
    tables_ = [f"<h3>{name} of ours</h3>{drawn}" for name, drawn in parts.items() if drawn]
    if not tables_:
        return ""
    return (
        "<p>Ours, as shipped, minus the row, paired by patient, with 95 % intervals (bold: ours "
        "ahead, the interval on its side of 0); p of Wilcoxon's signed-rank test, corrected for "
        "the number of rows (Holm). Of distances in mm, below 0 is ahead. Compare a draw with "
        "draws and a best guess with best guesses: voxel for voxel a mean is ahead of any draw by "
        f"its nature.</p>{''.join(tables_)}"
    )


def _tests_of(own: str, results: Results) -> str:
    found = {(t["metric"], t["row"]): t for t in results.tests if t["n"] and t["own"] == own}
    if not found:
        return ""
    metrics = [m for m in TESTED if any(metric == m for metric, _ in found)]
    kinds = {row.name: row.kind for row in results.rows}
    rows = []
    for row in dict.fromkeys(row for _, row in found):
        cells = [_name(results.titles[row], kinds[row])]
        for metric in metrics:
            test = found.get((metric, row))
            if test is None:
                cells.append("<td>-</td>")
                continue
            p, span = test["p_holm"], (test["mean"], test["low"], test["high"])
            note = "" if not np.isfinite(p) else f", p {p:.1g}" if p >= 1e-4 else ", p &lt; 0.0001"
            ahead = COLUMNS[metric][2] * (span[1] if COLUMNS[metric][2] > 0 else span[2]) > 0
            cells.append(cell(span, COLUMNS[metric][1], ahead, note, signed=True))
        rows.append(cells)
    return table(["minus", *(COLUMNS[m][0] + _ARROWS[COLUMNS[m][2]] for m in metrics)], rows)


def recovery(results: Results) -> str:
    """AUC of each finding, and what features add to it."""
    if not results.recovery.get("truth"):
        return ""
    names = [*dict.fromkeys(variable.finding for variable in VARIABLES), "all"]
    there = occurrences(results.items)
    counts = ["<i>cases that have it</i>", *(f"<td>{there[n]} of {len(results.items)}</td>"
                                             for n in names)]  # fmt: skip
    titles = {"truth": "true volumes (ceiling)", **results.titles}
    rows = [
        [html.escape(titles[row]), *(cell(values[name], 2) for name in names)]
        for row, values in results.recovery.items()
        if values
    ]
    text = (
        "<p>A small network, trained on true volumes, reads each feature from the generated "
        "volume: area under the ROC curve against the grade that was put in (0.5: chance), with "
        "95 % bootstrap intervals over patients, those who have a variable and those who lack it "
        f"apart. What fewer than {ENOUGH} patients have, or lack, has no interval and counts in no "
        "mean.</p>" + table(["", *names], [counts, *rows], sortable=False)
    )
    if not results.gains:
        return text
    rows = [
        [html.escape(results.titles[row]),
         *(cell(values.get(name, NOTHING), 2, signed=True) for name in names)]
        for row, values in results.gains.items()
    ]  # fmt: skip
    return (
        f"{text}<h3>With features minus without</h3><p>The same method, radiographs and noise, "
        "its form filled in or left empty: AUC that the features add, on the same draws of "
        f"cases.</p>{table(['', *names], rows)}"
    )


def ablation(results: Results) -> str:
    """Table III: none, each left out, all."""
    if not results.ablation:
        return ""
    names = (*FINDINGS, "all")
    rows = []
    for variant, values in results.ablation.items():
        cells = [cell(values["ssim"]["ssim"], 3)]
        for name in names:
            lost = values["lost"][name]
            note = f"; loses {number(lost, 2)}" if np.isfinite(lost[0]) else ""
            cells.append(cell(values["auc"][name], 2, note=note))
        rows.append([html.escape(variant), *cells])
    return (
        "<p>Ours, as shipped: the same radiograph and noise; features left out are missing, as a "
        "reading is missing in training, where each is left out as often. AUC of the grader on "
        "each finding, and what is lost against all features, on the same cases.</p>"
        + table(["features", "SSIM", *(f"AUC {name}" for name in names)], rows)
    )


def times(results: Results) -> str:
    """Time and memory of each method and step count; and of best guesses, which take no steps."""
    own = [*results.experiment("steps"), *results.experiment(BEST_GUESS)]
    columns = {"seconds": ("s a volume", 1), "tensor_megabytes": ("MB of tensors, with weights", 0),
               "ssim": ("SSIM", 3), "spectrum": ("spectrum, dB", 2)}  # fmt: skip
    rows = []
    for row in dict.fromkeys(one["row"] for one in own):
        for count in sorted({one.get("steps", 0) for one in own if one["row"] == row}):
            found = [one for one in own if one["row"] == row and one.get("steps", 0) == count]
            numbers = [_mean(found, key, digits) for key, (_, digits) in columns.items()]
            rows.append([html.escape(row), str(count or "-"), *numbers])
    header = ["", "steps", *(title for title, _ in columns.values())]
    return table(header, rows) if rows else ""


def _mean(lines: Sequence[Mapping[str, float]], key: str, digits: int) -> str:
    known = [one[key] for one in lines if key in one]  # lines of an earlier version have less
    return f"{np.mean(known):.{digits}f}" if known else "-"


def provenance(found: Sequence[Mapping[str, object]]) -> str:
    """Command, weights, commit and seed of each method."""
    rows = []
    for one in found:
        cells = {name: html.escape(str(value)) for name, value in one.items()}
        for name in ("weights", "commit"):
            cells[name] = f'<td><code title="{cells[name]}">{cells[name][:12]}</code></td>'
        for name, digits in (("minutes", 1), ("validation loss", 4)):
            value = one[name]
            cells[name] = f"{value:.{digits}f}" if isinstance(value, float) else cells[name]
        command = cells.pop("command")
        cells["command"] = f"<details><summary>show</summary><pre>{command}</pre></details>"
        rows.append([*cells.values()])
    return table(list(found[0]), rows) if found else ""
