"""Measure a model on a split of a datalist, beside predictions that know less than it does.

The model is judged by its best guess, ``kind="mean"``, since a sample cannot know what the
radiograph leaves open; a sample stands beside it, judged for what it is: whether it looks as real
volumes do, in three planes. A number alone says little, so every case is also predicted by

- ``mean volume``: the mean of training volumes, which knows no patient;
- ``other patient``: the true volume of the next test patient, a perfect image of the wrong knee;
- ``other radiograph``: the same model and features with that patient's radiograph;
- ``features blanked``: the same model and radiograph without any feature.

Where the datalist is of phantoms, the **feature response** is measured too: a cyst or
chondrocalcinosis is switched on and off in the request (same radiograph) and, with
everything else the same, in the phantom itself, which tells where and how the volume should have
changed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from xr2mri_core.datalist import load_datalist
from xr2mri_core.errors import DatalistError
from xr2mri_core.evaluation.metrics import Reference, adjacent_correlation, feature_response
from xr2mri_core.evaluation.planes import coherence, in_planes, spread_error, texture
from xr2mri_core.evaluation.summary import markdown, summarise
from xr2mri_core.export import write_json, write_nifti
from xr2mri_core.features import VARIABLES
from xr2mri_core.files import atomic_files, scratch_folder
from xr2mri_core.geometry import IMAGE_SIZE, Laterality, mirror_picture, volume_to_slices
from xr2mri_core.processes import each_done
from xr2mri_core.tables import write_csv
from xr2mri_core.volume import NOTICE

if TYPE_CHECKING:
    from xr2mri_core.generation import KneeMRIGenerator
    from xr2mri_core.volume import GeneratedVolume

log = logging.getLogger("xr2mri")

MODEL, SAMPLE = "model", "model, sample"
MEAN_VOLUME, OTHER_PATIENT = "mean volume", "other patient"
OTHER_RADIOGRAPH, BLANKED = "other radiograph", "features blanked"
BASELINES = (MEAN_VOLUME, OTHER_PATIENT, OTHER_RADIOGRAPH, BLANKED)

CYSTS = tuple(v.name for v in VARIABLES if v.finding == "cysts")
CHONDROCALCINOSIS = tuple(v.name for v in VARIABLES if v.finding == "chondrocalcinosis")
SPACINGS = (30, 50, 100, 200, 300, 400, 500)
"""Slices of the paper's Fig. 6."""
OWN_NOISE, PAPERS_NOISE = "own noise", "independent noise"

Item = Mapping[str, Any]
Toggle = tuple[str, np.ndarray, np.ndarray]
"""Variable, true slices with it off, true slices with it on."""


# --- what is true ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """One test case, ready to be compared with; slices (n, H, W) in [0, 1], right-knee frame."""

    item: Item
    reference: Reference
    toggles: tuple[Toggle, ...] = ()


def read_slices(item: Item, size: int = IMAGE_SIZE) -> tuple[np.ndarray, np.ndarray | None]:
    """The true slices (n, size, size) in [0, 1] of a datalist item, and its label maps if any.

    In the right-knee frame: where the item tells no side, the radiograph tells it, as it does to
    the generator.
    """
    from xr2mri_core.localization.locate import side_of
    from xr2mri_core.transforms.mri import mri_transforms

    data = mri_transforms(size)({**item, "laterality": side_of(item)})
    slices = (np.asarray(data["mri"], np.float32)[:, 0] + 1) / 2
    labels = np.asarray(data["labels"]) if item.get("labels") else None
    return slices, None if labels is None else labels.reshape(slices.shape).astype(np.uint8)


def read_truth(item: Item, variables: Sequence[str] = (), size: int = IMAGE_SIZE) -> Truth:
    """Load a case; for a phantom, also render it with each of ``variables`` switched."""
    slices, labels = read_slices(item, size)
    toggles = tuple(_toggled(item, name, slices) for name in variables)
    return Truth(item, Reference.of(slices, labels), toggles)


def _toggled(item: Item, name: str, slices: np.ndarray) -> Toggle:
    """The phantom of ``item`` made again with one feature switched, everything else the same."""
    from xr2mri_core.phantom import make_case

    present = bool(item["features"].get(name, 0))
    origin = phantom_origin(item)
    assert origin is not None
    case = make_case(**origin, features={**item["features"], name: int(not present)})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "switched.nii"
        write_nifti(path, case.mri, case.affine, NOTICE)
        switched = {key: value for key, value in item.items() if key != "labels"}
        other, _ = read_slices({**switched, "mri": str(path)}, size=slices.shape[1])
    return (name, other, slices) if present else (name, slices, other)


def mean_volume(
    items: Sequence[Item], cases: int = 200, size: int = IMAGE_SIZE, seed: int = 0
) -> np.ndarray:
    """The mean (n, size, size) of at most ``cases`` volumes drawn from ``items``.

    They have as many slices as the first drawn: windows of other sequences differ in length.
    """
    rng = np.random.default_rng(seed)
    first, *others = rng.permutation(len(items))[:cases]
    total = read_slices(items[first], size)[0].astype(np.float64)
    for index in others:
        total += resampled(read_slices(items[index], size)[0], len(total))
    return np.asarray(total / (1 + len(others)), np.float32)


# --- what is generated ----------------------------------------------------------------------------


def frame_slices(generated: GeneratedVolume, volume: np.ndarray | None = None) -> np.ndarray:
    """The slices (n, H, W) of a generated volume in the right-knee frame of `read_slices`."""
    slices = volume_to_slices(generated.volume if volume is None else volume)
    left = Laterality.parse(generated.record["laterality"]) is Laterality.LEFT
    return mirror_picture(slices) if left else slices


@dataclass(frozen=True)
class Measured:
    """All numbers of one case: method -> metric -> value, and a row per switched feature."""

    case: str
    methods: dict[str, dict[str, float]]
    response: list[dict[str, Any]]


def measure(
    truth: Truth,
    predictions: Mapping[str, np.ndarray],
    switched: Mapping[str, tuple[np.ndarray, np.ndarray]],
    std: np.ndarray | None = None,
) -> Measured:
    """Compare every prediction (n, H, W) with the truth, every generated switch with the true.

    Args:
        truth: the case.
        predictions: predictions by the name of the row.
        switched: (off, on) by variable.
        std: predicted standard deviation (n, H, W), where several samples were drawn.
    """
    case, true = str(truth.item["case"]), truth.reference.slices
    methods = {
        name: truth.reference.compare(slices) | in_planes(true, slices) | coherence(slices)
        for name, slices in predictions.items()
    }
    methods[SAMPLE] |= texture(true, predictions[SAMPLE])
    if std is not None:
        methods[SAMPLE]["spread"] = spread_error(true, predictions[MODEL], std)
    methods["empty edge map"] = {"rssim": truth.reference.floor()}
    methods["truth"] = {"adjacent": mean_adjacent(true), **coherence(true)}
    response = []
    for name, off, on in truth.toggles:
        if name in switched:
            values = feature_response(*switched[name], off, on)
            response.append({"case": case, "variable": name, **values})
    return Measured(case, methods, response)


def mean_adjacent(slices: np.ndarray) -> float:
    """The mean correlation of neighbouring slices."""
    values = adjacent_correlation(slices)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


# --- the run --------------------------------------------------------------------------------------


def evaluate(
    datalist: Path | str,
    generator: KneeMRIGenerator,
    out: Path | str,
    *,
    split: str = "test",
    cases: int | None = None,
    seed: int = 0,
    samples: int = 1,
    response_cases: int | None = None,
    spacing_cases: int = 2,
    mean_cases: int = 200,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    **request: Any,
) -> str:
    """Evaluate ``generator`` and write tables and figures into ``out``.

    Files: ``metrics.csv`` (a row per case and method), ``response.csv`` (a row per case and
    switched feature), ``spacing.csv``, ``summary.json``, ``summary.md``, and figures as PNG.

    Args:
        datalist: see `xr2mri_core.datalist`.
        split: list of the datalist that is measured.
        cases: the first so many only.
        seed: case i is generated from ``seed + i``, by every row of the table alike.
        samples: number of samples; with 2 or more, also whether their deviation fits the error of
            the mean.
        response_cases: how many cases switch one cyst and one chondrocalcinosis each, in turn over
            the six variables (phantoms only; default: all evaluated cases).
        spacing_cases: how many cases are also generated at 30 to 500 slices, with the model's noise
            and with the paper's independent one (its Fig. 6).
        mean_cases: training volumes in the mean volume.
        jobs, scheduler: processes, or a Dask scheduler, for the cases; see
            `xr2mri_core.processes.each_done`.
        request: further arguments of `KneeMRIGenerator.generate` (steps, sampler, ...).

    Returns:
        The summary as Markdown.

    Raises:
        DatalistError: the split is empty or has a single patient, so that there is no other.
    """
    from xr2mri_core.evaluation import figures

    items = load_datalist(datalist, split)[:cases]
    others = [next_patient(items, index) for index in range(len(items))]
    synthetic = all(phantom_origin(item) for item in items)
    responding = (len(items) if response_cases is None else response_cases) if synthetic else 0
    todo = [
        _Case(
            index,
            item,
            other,
            _variables(index) if index < responding else (),
            spaced=index < spacing_cases,
            pictured=index < figures.PICTURED,
        )
        for index, (item, other) in enumerate(zip(items, others, strict=True))
    ]
    report = progress or (lambda done, total, stage: None)
    report(0, len(items), "mean volume")
    mean = _mean_of_training(datalist, mean_cases, generator.image_size)
    out = Path(out)
    with scratch_folder(out) as scratch:
        if mean is not None:
            np.save(scratch / _MEAN, mean)
        run = _Run(generator, scratch, seed, samples, request)
        report(0, len(items), "cases")
        done: list[_Done] = []
        working = each_done(run, todo, min(jobs, len(todo)), "evaluates", scheduler=scheduler)
        with closing(working):
            for one in working:
                done.append(one)
                report(len(done), len(items), "cases")
        done.sort(key=lambda one: one.index)
        pictured = [joblib.load(one.pictured) for one in done if one.pictured is not None]
    measured = [one.measured for one in done]
    spacing = [row for one in done for row in one.spacing]

    settings = {"datalist": Path(datalist).name, "split": split, "cases": len(items), "seed": seed}
    settings |= {"samples": samples, "phantom": synthetic, **request}
    summary = summarise(
        [m.methods for m in measured], [row for m in measured for row in m.response], spacing
    ) | {"settings": settings, "model": generator.describe()}
    text = markdown(summary)
    rows = [{"case": m.case, "method": k, **v} for m in measured for k, v in m.methods.items()]
    with atomic_files(out) as files:
        write_csv(files.path(out / "metrics.csv"), rows)
        write_csv(files.path(out / "response.csv"), [row for m in measured for row in m.response])
        write_csv(files.path(out / "spacing.csv"), spacing)
        write_json(files.path(out / "summary.json"), summary)
        files.path(out / "summary.md").write_text(text, encoding="utf-8")
        for name, figure in figures.all_figures(rows, spacing, pictured).items():
            figures.save(figure, files.path(out / f"{name}.png"))
    return text


@dataclass(frozen=True)
class _Case:
    """One case to measure, with the next patient's, and what is wanted of it besides numbers."""

    index: int
    item: Item
    other: Item
    variables: tuple[str, ...]
    spaced: bool
    pictured: bool


@dataclass(frozen=True)
class _Done:
    """What came of one case; a file holds what figures are drawn from."""

    index: int
    measured: Measured
    spacing: list[dict[str, Any]]
    pictured: Path | None


_MEAN = "mean_volume.npy"


@dataclass(frozen=True)
class _Run:
    """What is generated for each case, and measured. Volumes go by way of files."""

    generator: KneeMRIGenerator
    scratch: Path
    seed: int
    samples: int
    request: Mapping[str, Any]

    def __call__(self, case: _Case) -> _Done:
        """Measure one case."""
        from xr2mri_core.evaluation.figures import Pictured

        truth = read_truth(case.item, case.variables, self.generator.image_size)
        seed = self.seed + case.index
        predictions, switched, std = self.case(truth, case.other, seed)
        spacing = self.spacing(truth, predictions[SAMPLE], seed) if case.spaced else []
        kept = None
        if case.pictured:
            kept = self.scratch / f"{case.index}.joblib"
            joblib.dump(Pictured(truth, predictions, switched), kept)
        return _Done(case.index, measure(truth, predictions, switched, std), spacing, kept)

    def case(
        self, truth: Truth, other: Item, seed: int
    ) -> tuple[dict[str, np.ndarray], dict[str, tuple[np.ndarray, np.ndarray]], np.ndarray | None]:
        """All predictions of one case, the (off, on) pair of each switch, and the deviation."""
        item, count = truth.item, len(truth.reference.slices)
        form = self.generator.form_of(item)
        features = form["features"]

        def best(knee: Item, form: Mapping[str, Any]) -> np.ndarray:
            return frame_slices(self._generate(knee, form, seed, count, kind="mean"))

        drawn = self._generate(item, form, seed, count, kind="sample", samples=self.samples)
        predictions = {MODEL: best(item, form), SAMPLE: frame_slices(drawn)}
        std = None if drawn.std is None else frame_slices(drawn, drawn.std)
        if (mean := self.scratch / _MEAN).is_file():
            predictions[MEAN_VOLUME] = resampled(np.load(mean), count)
        predictions[OTHER_PATIENT] = resampled(
            read_slices(other, self.generator.image_size)[0], count
        )
        predictions[OTHER_RADIOGRAPH] = best(other, form)
        predictions[BLANKED] = best(item, {**form, "features": {}})
        switched = {}
        for name, _, _ in truth.toggles:
            present = bool(features.get(name, 0))
            changed = {**form, "features": {**features, name: int(not present)}}
            pair = predictions[MODEL], best(item, changed)
            switched[name] = (pair[1], pair[0]) if present else pair
        return predictions, switched, std

    def spacing(self, truth: Truth, sample: np.ndarray, seed: int) -> list[dict[str, Any]]:
        """Adjacent-slice correlation of the same case at more and more slices, one row each."""
        item, case = truth.item, truth.item["case"]
        form = self.generator.form_of(item)
        rows = [
            {"case": case, "slices": "truth", "adjacent": mean_adjacent(truth.reference.slices)}
        ]
        for count in SPACINGS:
            for noise, more in ((OWN_NOISE, {}), (PAPERS_NOISE, {"noise_length": 0.0})):
                slices = sample
                if more or count != len(sample):
                    drawn = self._generate(item, form, seed, count, kind="sample", **more)
                    slices = frame_slices(drawn)
                row = {"case": case, "slices": count, "noise": noise}
                rows.append({**row, "adjacent": mean_adjacent(slices), **coherence(slices)})
        return rows

    def _generate(
        self, item: Item, form: Mapping[str, Any], seed: int, count: int, **more: Any
    ) -> GeneratedVolume:
        return self.generator.generate(
            Path(item["radiograph"]),
            **form,
            num_slices=count,
            seed=seed,
            laterality=item.get("laterality") or "auto",
            box=item.get("box"),
            **{**self.request, **more},
        )


def phantom_origin(item: Item) -> dict[str, Any] | None:
    """What `xr2mri_core.phantom.make_case` made this case from; None for any other data."""
    record = Path(item["mri"]).with_name("features.json")
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        return {"seed": content["case_seed"], "enrichment": content["origin"]["enrichment"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _variables(index: int) -> tuple[str, ...]:
    return CYSTS[index % len(CYSTS)], CHONDROCALCINOSIS[index % len(CHONDROCALCINOSIS)]


def next_patient(items: Sequence[Item], index: int) -> Item:
    """The next item of another participant."""
    for step in range(1, len(items)):
        item = items[(index + step) % len(items)]
        if item["participant"] != items[index]["participant"]:
            return item
    raise DatalistError(
        f"{len(items)} case(s) of a single patient to evaluate; give a split, or more "
        "cases, with at least two patients",
        option="cases",
    )


def _mean_of_training(datalist: Path | str, cases: int, size: int) -> np.ndarray | None:
    try:
        items = load_datalist(datalist, "training")
    except DatalistError as error:
        log.warning("no row '%s': %s", MEAN_VOLUME, error)
        return None
    return mean_volume(items, cases, size)


def resampled(slices: np.ndarray, count: int) -> np.ndarray:
    """``count`` slices of the same window, linearly between the given ones."""
    if len(slices) == count:
        return slices
    positions = np.linspace(0, len(slices) - 1, count)
    low = np.floor(positions).astype(int)
    high = np.minimum(low + 1, len(slices) - 1)
    weight = (positions - low).astype(np.float32)[:, None, None]
    return (1 - weight) * slices[low] + weight * slices[high]
