"""Volumes that were kept for pictures, and the radiographs beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.comparison.measure import kept_file, kept_volume
from xr2mri_core.comparison.results import BLANK, OURS, Item, Results
from xr2mri_core.datalist import side_and_box
from xr2mri_core.reading import prepare_radiograph

Pictured = tuple[str, NDArray[np.float32] | None, Mapping[str, NDArray[np.float32]]]
"""Title of a case, its radiograph (H, W), and its volumes (n, H, W) by title, the truth first."""


def volumes_of(results: Results, case: str) -> dict[str, NDArray[np.float32]]:
    """Title -> kept volume (n, H, W) of a case, the truth first; without features ours alone."""
    folder = results.shown[case]
    (item,) = (item for item in results.test if item["case"] == case)
    of = results.depends
    files = {
        title: kept_file(folder, row, of[row](item))
        for row, title in {"truth": "truth", **results.titles}.items()
        if not row.endswith(BLANK) or row == f"{OURS}{BLANK}"
    }
    return {title: kept_volume(file) for title, file in files.items() if file.is_file()}


def pictured(results: Results, rows: Sequence[str] | None = None) -> dict[str, Pictured]:
    """Case -> what is drawn of it.

    Args:
        results: results of the comparison.
        rows: rows that are drawn; None: all but those without features.
    """
    chosen = results.drawn if rows is None else rows
    titles = {"truth", *(results.titles[row] for row in chosen if row in results.titles)}
    by_case = {str(item["case"]): item for item in results.test}
    found: dict[str, Pictured] = {}
    for case in results.shown:
        volumes = {t: v for t, v in volumes_of(results, case).items() if t in titles}
        if volumes:
            item = by_case[case]
            found[case] = case_title(item), _radiograph(item), volumes
    return found


def case_title(item: Item) -> str:
    """A case with its grade."""
    grade = item["features"].get("V00XRKL")
    return str(item["case"]) + ("" if grade is None else f", KL {grade}")


def _radiograph(item: Item) -> NDArray[np.float32]:
    read = prepare_radiograph(item["radiograph"], 256, **side_and_box(item))
    return (read.picture[0, 0].numpy() + 1) / 2
