"""The lines of the tables: how each method is asked, and predictions without a generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.baselines import nearest, thumbnail
from xr2mri_core.comparison.measure import Predict, Row, cross_sectional, generated
from xr2mri_core.comparison.plan import Plan
from xr2mri_core.comparison.results import BLANK, OURS, OURS_MEAN
from xr2mri_core.comparison.training import Trained
from xr2mri_core.datalist import load_datalist, side_and_box
from xr2mri_core.evaluation.truth import mean_volume, next_patient, read_slices, resampled
from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.training import SliceCache
from xr2mri_core.training.cache import from_bytes


def rows_of(
    trained: Trained, plan: Plan, generator: KneeMRIGenerator | None = None
) -> Iterator[Row]:
    """The rows of one method: as it is; ours as its mean, too; and each without features.

    Without a generator they can be looked up, not measured.
    """
    method, request = trained.method, plan.request(trained.method)

    def row(name: str, title: str, **more: Any) -> Row:
        of = plan.of(method, trained.sha256, **more)
        what = "axes" if len(method.axes) > 1 else more["kind"]
        predictor: Callable[[], Predict] = no_volume
        if generator is not None and len(method.axes) > 1:
            predictor = partial(cross_sectional, generator, method.axes, **request, **more)
        elif generator is not None:
            predictor = partial(generated, generator, **request, **more)
        return Row(name, title, predictor, of, what)

    asked = {method.name: (method.title, method.kind)}
    if method.name == OURS:
        asked[OURS_MEAN] = f"{method.title}, mean", "mean"
    for name, (title, kind) in asked.items():
        yield row(name, title, kind=kind)
        if method.features:
            yield row(f"{name}{BLANK}", f"{title}, no features", kind=kind, features={})


TRIVIAL = {
    "mean_volume": "mean volume",
    "other_patient": "other patient",
    "nearest": "nearest radiograph",
}
"""Rows without a generator."""


def trivial_rows(
    datalist: Path, slices: SliceCache, others: Mapping[str, Any], plan: Plan
) -> Iterator[Row]:
    """Mean volume, other patient, nearest radiograph."""

    def mean() -> Predict:
        volume = mean_volume(load_datalist(datalist, "training"), 200, plan.image_size, plan.seed)
        return lambda item, seed, count: resampled(volume, count)

    def other() -> Predict:
        return lambda item, seed, count: resampled(
            read_slices(others[item["case"]], plan.image_size)[0], count
        )

    def closest() -> Predict:
        table = np.stack([thumbnail(picture) for picture in slices.arrays["radiographs"]])
        folder = slices.folder  # its mapped arrays would be sent whole to other processes

        def predict(item: Mapping[str, Any], seed: int, count: int) -> NDArray[np.float32]:
            from xr2mri_core.reading import prepare_radiograph

            read = prepare_radiograph(item["radiograph"], plan.image_size, **side_and_box(item))
            index = nearest(read.picture[0, 0].numpy(), table)
            found = from_bytes(SliceCache(folder).arrays["slices"][index]).numpy()
            return resampled((found + 1) / 2, count)

        return predict

    predictors = {"mean_volume": mean, "other_patient": other, "nearest": closest}
    for name, predictor in predictors.items():
        yield replace(trivial_row(name, slices.fingerprint, others, plan), predictor=predictor)


def trivial_row(name: str, fingerprint: str, others: Mapping[str, Any], plan: Plan) -> Row:
    """A row without a generator, to be looked up: of the training cases, or of the other ones."""
    if name == "other_patient":
        return Row(name, TRIVIAL[name], no_volume, others=others)
    return Row(name, TRIVIAL[name], no_volume, {"training": fingerprint, "seed": plan.seed})


def others_of(test: Sequence[Mapping[str, Any]], plan: Plan) -> dict[str, Mapping[str, Any]]:
    """Case -> the case of another patient; of those that count, it is one that counts."""
    found: dict[str, Mapping[str, Any]] = {}
    for items in (test, test[: plan.cases]):
        found |= {str(one["case"]): next_patient(items, n) for n, one in enumerate(items)}
    return found


def without_network(row: Row) -> Row:
    """The row without its generator, which takes memory: later only its name is needed."""
    return replace(row, predictor=no_volume)


def no_volume() -> Predict:
    raise RuntimeError("a row that is only looked up was asked for a volume")
