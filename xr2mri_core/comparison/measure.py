"""Volumes of every row for every case, and what is measured on them; kept line by line.

A row of the comparison is a method and how it is asked: ours as a sample, its mean, ours without
the features. What its lines hold is not computed again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.baselines.x_diffusion import coronal
from xr2mri_core.comparison.lines import Lines
from xr2mri_core.comparison.seen import Seen, stamp
from xr2mri_core.datalist import side_and_box
from xr2mri_core.evaluation.cases import identity
from xr2mri_core.evaluation.distribution import histogram_distance, spectrum_distance
from xr2mri_core.evaluation.evaluate import mean_adjacent
from xr2mri_core.evaluation.metrics import METRICS_VERSION, Reference
from xr2mri_core.evaluation.planes import coherence, in_planes
from xr2mri_core.evaluation.readers import Grader, Segmenter, structure_scores, structures_of
from xr2mri_core.evaluation.truth import frame_slices, read_slices
from xr2mri_core.files import whole_file
from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.request import GenerationRequest
from xr2mri_core.volume import GeneratedVolume

Item = Mapping[str, Any]
Predict = Callable[[Item, int, int], NDArray[np.float32]]
"""(case, seed, slices) -> slices (n, H, W) in [0, 1], right-knee frame."""

TRUTH = "truth"
"""Name of the row of the true volumes."""


@dataclass(frozen=True)
class Row:
    """A line of the tables.

    Attributes:
        name: its name in files.
        title: its title in tables and figures.
        predictor: gives what makes its volumes; asked where some are missing, not before.
        of: what the volumes depend on (weights' digest, request), whatever the case.
        kind: what they are: "sample", "mean", or "axes", the mean of samples along several axes.
        others: case -> the other one that its volume is made of.
    """

    name: str
    title: str
    predictor: Callable[[], Predict]
    of: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""
    others: Mapping[str, Item] = field(default_factory=dict)

    def of_case(self, item: Item) -> dict[str, Any]:
        """What the volume of a case depends on: earlier results count only if it is the same."""
        case = str(item["case"])
        return of_case(self.of, item, *([self.others[case]] if case in self.others else []))


def of_case(of: Mapping[str, Any], *items: Item) -> dict[str, Any]:
    """What a result depends on: ``of``, what cases and their files hold, not their names.

    And what the metrics mean: of an earlier meaning they do not stand beside today's.
    """
    return {**of, "metrics": METRICS_VERSION, "items": [identity(item) for item in items]}


@dataclass(frozen=True)
class Readers:
    """The networks that read volumes; any may be missing.

    Attributes:
        segmenter, grader, lpips: the networks; see their classes.
        of: what the networks were trained on: results of an earlier run count only if it is the
            same.
        seen: what FID and KID compare; it keeps its own files, so `of` does not know it.
    """

    segmenter: Segmenter | None = None
    grader: Grader | None = None
    lpips: Callable[[NDArray[np.float32], NDArray[np.float32]], float] | None = None
    of: str = ""
    seen: Seen | None = None


class Truths:
    """True slices and labels of cases, the last so many kept in memory.

    Args:
        size: edge of the slices in pixels.
        kept: cases in memory.
    """

    def __init__(self, size: int, kept: int = 24) -> None:
        self.size, self.kept = size, kept
        self._items: dict[str, Item] = {}
        self._read = lru_cache(maxsize=kept)(self._load)

    def __call__(self, item: Item) -> tuple[Reference, NDArray[np.uint8] | None]:
        """The reference and the label maps (n, H, W), or None."""
        known = identity(item)
        self._items[known] = item
        return self._read(known)

    def __reduce__(self) -> tuple[Callable[[int, int], Truths], tuple[int, int]]:
        return _truths, (self.size, self.kept)  # each process keeps its own

    def _load(self, known: str) -> tuple[Reference, NDArray[np.uint8] | None]:
        slices, labels = read_slices(self._items[known], self.size)
        return Reference.of(slices, labels), labels


@cache
def _truths(size: int, kept: int) -> Truths:
    return Truths(size, kept)


def asked(
    generator: KneeMRIGenerator,
    item: Item,
    seed: int,
    count: int,
    features: Mapping[str, int] | None = None,
    **request: Any,
) -> GeneratedVolume:
    """What a generator makes of a case.

    Args:
        generator: generator of a method.
        item: entry of the datalist.
        seed: seed of the noise.
        count: number of slices.
        features: features instead of the case's own.
        request: see `GenerationRequest`; ``depths`` instead of ``count`` slices.
    """
    condition = generator.condition_of(item)
    if features is not None:
        condition = replace(condition, features=dict(features))
    if "depths" not in request:
        request["num_slices"] = count
    wanted = GenerationRequest(seed=seed, **side_and_box(item), **request)
    return generator.generate(Path(item["radiograph"]), condition, wanted)


def generated(generator: KneeMRIGenerator, **request: Any) -> Predict:
    """A row that asks a generator; `request` as of `asked`."""

    def predict(item: Item, seed: int, count: int) -> NDArray[np.float32]:
        return frame_slices(asked(generator, item, seed, count, **request))

    return predict


def cross_sectional(generator: KneeMRIGenerator, axes: Sequence[str], **request: Any) -> Predict:
    """A row that generates along several axes and averages the volumes; see `x_diffusion`."""

    def predict(item: Item, seed: int, count: int) -> NDArray[np.float32]:
        guidance: Any = generator.model.guidance  # of this process's own generator
        volumes = []
        for axis in axes:
            with guidance.along(axis):
                pictures = frame_slices(asked(generator, item, seed, count, **request))
            volumes.append(coronal(pictures, axis, count))
        return np.mean(volumes, axis=0, dtype=np.float32)

    return predict


def compared(
    truth: Reference,
    labels: NDArray[np.uint8] | None,
    slices: NDArray[np.float32],
    readers: Readers,
) -> dict[str, float]:
    """All metrics of a volume against the truth."""
    values = truth.compare(slices) | in_planes(truth.slices, slices) | coherence(slices)
    values["histogram"] = histogram_distance(truth.slices, slices, truth.body)
    values["spectrum"] = spectrum_distance(truth.slices, slices)
    if readers.segmenter is not None and labels is not None:
        values |= structure_scores(structures_of(labels), readers.segmenter.segment(slices))
    if readers.lpips is not None:
        values["lpips"] = readers.lpips(truth.slices, slices)
    return values


@dataclass(frozen=True)
class Measuring:
    """How volumes are measured, every row alike.

    Attributes:
        truths: the true volumes of the cases.
        readers: networks that read volumes.
        shown: case -> folder, of those whose volumes are kept for pictures.
        seed: seed of the noise; case i is drawn from ``seed + i``.
    """

    truths: Truths
    readers: Readers
    shown: Mapping[str, Path]
    seed: int

    def is_open(self, row: str, of: Mapping[str, Any], item: Item, lines: Lines) -> bool:
        """Whether the line of a row and a case, or a file beside it, is still to be made."""
        files = files_of(row, of, str(item["case"]), self.shown, self.readers)
        missing = any(file is not None and not file.is_file() for file in files)
        return missing or lines.find(**self._key(row, of, item)) is None

    def line(
        self, rows: Mapping[str, Predict], todo: tuple[str, Mapping[str, Any], int, Item]
    ) -> dict[str, Any]:
        """The line of a row and a case.

        Args:
            rows: row -> what makes its volumes.
            todo: the row, what its volume of the case depends on, the number of the case, the case.
        """
        row, of, index, item = todo
        truth, labels = self.truths(item)
        started = time.perf_counter()
        slices = rows[row](item, self.seed + index, len(truth.slices))
        seconds = time.perf_counter() - started
        metrics = compared(truth, labels, slices, self.readers)
        return self._line(row, of, item, slices, metrics) | {"seconds": seconds}

    def true_line(self, item: Item) -> dict[str, Any]:
        """The line of the true volume of a case."""
        truth, labels = self.truths(item)
        slices, segmenter = truth.slices, self.readers.segmenter
        metrics = {"adjacent": mean_adjacent(slices), **coherence(slices)}
        metrics["empty_rssim"] = truth.floor()
        if segmenter is not None and labels is not None:
            metrics |= structure_scores(structures_of(labels), segmenter.segment(slices))
        return self._line(TRUTH, of_case({}, item), item, slices, metrics)

    def _key(self, row: str, of: Mapping[str, Any], item: Item) -> dict[str, Any]:
        return {"row": row, "case": item["case"], "of": dict(of), "readers": self.readers.of}

    def _line(
        self,
        row: str,
        of: Mapping[str, Any],
        item: Item,
        slices: NDArray[np.float32],
        metrics: Mapping[str, float],
    ) -> dict[str, Any]:
        """A line, with what is read from the volume alone; the volume is kept where it is shown."""
        readers = self.readers
        kept, seen = files_of(row, of, str(item["case"]), self.shown, readers)
        if kept is not None:
            keep_volume(kept, slices)
        if seen is not None and readers.seen is not None:
            readers.seen.keep(seen, slices)
        scores = {} if readers.grader is None else {"scores": readers.grader.grade(slices).tolist()}
        return {
            **self._key(row, of, item),
            "participant": item["participant"],
            "metrics": metrics,
            "greys": slices.mean((1, 2)).tolist(),
            **scores,
        }


def measure(
    rows: Sequence[Row], cases: Sequence[tuple[int, Item]], by: Measuring, lines: Lines, jobs: int
) -> Iterator[int]:
    """Measure rows on all cases; yields the number of lines that are there.

    Args:
        rows: the rows to measure.
        cases: number and item of each.
        by: how volumes are measured.
        lines: the file to which results are added.
        jobs: see `Lines.fill`.
    """
    todo = [
        (row.name, of, index, item)
        for index, item in cases  # all rows of a case together: its truth is read once
        for row in rows
        if by.is_open(row.name, of := row.of_case(item), item, lines)
    ]
    there, missing = len(rows) * len(cases) - len(todo), {name for name, *_ in todo}
    yield there
    made = {row.name: row.predictor() for row in rows if row.name in missing}
    for count in lines.fill(partial(by.line, made), todo, jobs):
        yield there + count


def truth_row(items: Sequence[Item], by: Measuring, lines: Lines, jobs: int) -> Iterator[int]:
    """The truth as a row: its own coherence, and what the readers reach on it, their ceiling."""
    todo = [item for item in items if by.is_open(TRUTH, of_case({}, item), item, lines)]
    for count in lines.fill(by.true_line, todo, jobs):
        yield len(items) - len(todo) + count


def files_of(
    row: str, of: Mapping[str, Any], case: str, shown: Mapping[str, Path], readers: Readers
) -> tuple[Path | None, Path | None]:
    """Where the volume of a case is kept for pictures, and its features for FID and KID."""
    kept = kept_file(shown[case], row, of) if case in shown else None
    return kept, None if readers.seen is None else readers.seen.file(row, of, case)


def kept_file(folder: Path, row: str, of: Mapping[str, Any]) -> Path:
    """Where the volume of a row lies in the folder of a case."""
    return folder / f"{row}-{stamp(of)}.npy"


def framed_case(items: Sequence[Item], shown: Mapping[str, Path]) -> Item | None:
    """The case whose interpolated slices are drawn: the first of those that are shown."""
    return next((item for item in items if item["case"] in shown), None)


def frames_file(out: Path, of: Mapping[str, Any]) -> Path:
    """Where the interpolated slices of a method lie."""
    return out / "volumes" / f"frames-{stamp(of)}.npy"


def ablation_file(out: Path, of: Mapping[str, Any], finding: str) -> Path:
    """Where the pictures of leaving a finding out lie."""
    return out / "volumes" / f"ablation-{stamp(of)}-{finding}.npy"


def keep_volume(path: Path, slices: NDArray[np.float32]) -> None:
    """Slices in [0, 1] as bytes, for pictures."""
    with whole_file(path) as file:
        np.save(file, np.rint(np.clip(slices, 0, 1) * 255).astype(np.uint8))


def kept_volume(path: Path) -> NDArray[np.float32]:
    """The inverse of `keep_volume`: float32 in [0, 1]."""
    return np.load(path).astype(np.float32) / 255
