"""Measure a model on a split of a datalist, beside predictions that know less than it does.

The model is judged by its best guess, ``kind="mean"``, since a sample cannot know what the
radiograph leaves open; a sample, of a model that draws any, stands beside it, judged for whether it
looks as real volumes do, in three planes. A number alone says little, so every case is also
predicted by

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

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.condition import Condition
from xr2mri_core.datalist import load_datalist, side_and_box
from xr2mri_core.evaluation.cases import Result, of_each_case, unfinished
from xr2mri_core.evaluation.metrics import Reference, adjacent_correlation, feature_response
from xr2mri_core.evaluation.planes import coherence, in_planes, spread_error, texture
from xr2mri_core.evaluation.summary import markdown, summarise
from xr2mri_core.evaluation.truth import (
    Item,
    Truth,
    frame_slices,
    mean_of_training,
    next_patient,
    phantom_origin,
    read_slices,
    read_truth,
    resampled,
)
from xr2mri_core.export import write_json
from xr2mri_core.features import VARIABLES
from xr2mri_core.files import atomic_files, whole_file
from xr2mri_core.request import GenerationRequest
from xr2mri_core.tables import write_csv

if TYPE_CHECKING:
    from xr2mri_core.evaluation.figures import Pictured
    from xr2mri_core.generation import KneeMRIGenerator
    from xr2mri_core.volume import GeneratedVolume

log = logging.getLogger("xr2mri")

Volumes = dict[str, NDArray[np.float32]]
Pairs = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Name of a feature -> volumes with it switched off, and on."""

MODEL, SAMPLE = "model", "model, sample"
MEAN_VOLUME, OTHER_PATIENT = "mean volume", "other patient"
OTHER_RADIOGRAPH, BLANKED = "other radiograph", "features blanked"

CYSTS = tuple(v.name for v in VARIABLES if v.finding == "cysts")
CHONDROCALCINOSIS = tuple(v.name for v in VARIABLES if v.finding == "chondrocalcinosis")
SPACINGS = (30, 50, 100, 200, 300, 400, 500)
"""Slices of the paper's Fig. 6."""
OWN_NOISE, PAPERS_NOISE, NO_NOISE = "own noise", "independent noise", "no noise"

# --- what is measured ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """All numbers of one case: method -> metric -> value, and a row per switched feature."""

    case: str
    methods: dict[str, dict[str, float]]
    response: list[dict[str, Any]]


def measure(
    truth: Truth,
    predictions: Mapping[str, NDArray[np.float32]],
    switched: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]],
    std: NDArray[np.float32] | None = None,
) -> Measured:
    """Compare every prediction (n, H, W) with the truth, every generated switch with the true.

    Args:
        truth: the case.
        predictions: predictions by the name of the row.
        switched: (off, on) by variable.
        std: predicted standard deviation (n, H, W) of the truth from the model's row, where several
            samples were drawn; see `spread_error`.
    """
    case, true = str(truth.item["case"]), truth.reference.slices
    methods = {
        name: truth.reference.compare(slices) | in_planes(true, slices) | coherence(slices)
        for name, slices in predictions.items()
    }
    if SAMPLE in predictions:
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


def mean_adjacent(slices: NDArray[np.float32]) -> float:
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
        request: further fields of `GenerationRequest` (steps, sampler, ...).

    Returns:
        The summary as Markdown.

    Raises:
        DatalistError: the split is empty or has a single patient, so that there is no other.
        InputError: several samples of a model that draws none.
    """
    datalist = Path(datalist).absolute()
    items = load_datalist(datalist, split)[:cases]
    synthetic = all(phantom_origin(item) for item in items)
    responding = (len(items) if response_cases is None else response_cases) if synthetic else 0
    todo = _cases(items, responding, spacing_cases)
    report = progress or (lambda done, total, stage: None)
    out, model = Path(out), generator.describe()
    with unfinished(out, "evaluate") as folder:
        report(0, len(items), "mean volume")
        trained = mean_of_training(datalist, mean_cases, generator.image_size, folder)
        run = _Run(generator, folder, trained, seed, samples, GenerationRequest(**request))
        depends = {
            "model": generator.depends(),
            "seed": seed,
            "samples": samples,
            "mean": trained,
            **request,
        }
        done = of_each_case(
            run, todo, "evaluates", folder, depends, _items,
            jobs=jobs, scheduler=scheduler, progress=report,
        )  # fmt: skip
        pictured = [
            run.pictured(case) for case, one in zip(todo, done, strict=True) if one["files"]
        ]
        settings = {"datalist": datalist.name, "split": split, "cases": len(items), "seed": seed}
        settings |= {"samples": samples, "phantom": synthetic, **request}
        people = [str(case.item["participant"]) for case in todo]
        return _write(out, done, people, pictured, {"settings": settings, "model": model})


def _cases(items: Sequence[Item], responding: int, spacing_cases: int) -> list[_Case]:
    """What is to be done: the first cases also switch features, are spaced anew and pictured."""
    from xr2mri_core.evaluation.figures import PICTURED

    others = [next_patient(items, index) for index in range(len(items))]
    return [
        _Case(
            index,
            item,
            other,
            _variables(index) if index < responding else (),
            spaced=index < spacing_cases,
            pictured=index < PICTURED,
        )
        for index, (item, other) in enumerate(zip(items, others, strict=True))
    ]


def _items(case: _Case) -> tuple[Item, Item]:
    return case.item, case.other


def _write(
    out: Path,
    done: Sequence[Result],
    participants: Sequence[str],
    pictured: Sequence[Pictured],
    origin: Mapping[str, Any],
) -> str:
    """Write the tables and figures of an evaluation, all or none; return the summary's text."""
    from xr2mri_core.evaluation import figures

    measured = [Measured(**one["measured"]) for one in done]
    spacing = [row for one in done for row in one["spacing"]]
    response = [row for m in measured for row in m.response]
    summary = summarise([m.methods for m in measured], participants, response, spacing)
    summary |= dict(origin)
    text = markdown(summary)
    rows = [{"case": m.case, "method": k, **v} for m in measured for k, v in m.methods.items()]
    with atomic_files(out) as files:
        write_csv(files.path(out / "metrics.csv"), rows)
        write_csv(files.path(out / "response.csv"), response)
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
class _Run:
    """What is generated for each case, and measured. Volumes go by way of files."""

    generator: KneeMRIGenerator
    folder: Path
    mean: str | None
    seed: int
    samples: int
    request: GenerationRequest

    def __call__(self, case: _Case) -> Result:
        """Measure one case; of those that are drawn, the volumes are kept in a file."""
        truth = read_truth(case.item, case.variables, self.generator.image_size)
        seed = self.seed + case.index
        predictions, switched, std = self.case(truth, case.other, seed)
        own = predictions.get(SAMPLE, predictions[MODEL])
        spacing = self.spacing(truth, own, seed) if case.spaced else []
        measured = measure(truth, predictions, switched, std)
        files = []
        if case.pictured:
            files = [self._file(case).name]
            with whole_file(self._file(case)) as new:
                np.savez(new, **_named(predictions, switched, truth))
        return {"measured": asdict(measured), "spacing": spacing, "files": files}

    def pictured(self, case: _Case) -> Pictured:
        """What is drawn of a case that has been measured."""
        from xr2mri_core.evaluation.figures import Pictured

        reference = Reference.of(*read_slices(case.item, self.generator.image_size))
        with np.load(self._file(case)) as kept:
            predictions, switched, true = _unnamed(kept)
        toggles = tuple((name, *pair) for name, pair in true.items())
        return Pictured(Truth(case.item, reference, toggles), predictions, switched)

    def _file(self, case: _Case) -> Path:
        return self.folder / f"{case.index}.npz"

    def case(
        self, truth: Truth, other: Item, seed: int
    ) -> tuple[Volumes, Pairs, NDArray[np.float32] | None]:
        """All predictions of one case, the (off, on) pair of each switch, and the deviation.

        The deviation is that of the truth from the best guess, as the samples predict it.
        """
        item, count = truth.item, len(truth.reference.slices)
        known = self.generator.condition_of(item)

        def best(knee: Item, condition: Condition) -> NDArray[np.float32]:
            return frame_slices(self._generate(knee, condition, seed, count, kind="mean"))

        std, own = None, {}
        if self.generator.draws or self.samples > 1:  # who draws none says so
            drawn = self._generate(item, known, seed, count, kind="sample", samples=self.samples)
            own = {SAMPLE: frame_slices(drawn)}
            std = None if drawn.std is None else frame_slices(drawn, drawn.std) * self._error()
        predictions = {MODEL: best(item, known), **own}
        if self.mean is not None:
            predictions[MEAN_VOLUME] = resampled(np.load(self.folder / self.mean), count)
        predictions[OTHER_PATIENT] = resampled(
            read_slices(other, self.generator.image_size)[0], count
        )
        predictions[OTHER_RADIOGRAPH] = best(other, known)
        predictions[BLANKED] = best(item, replace(known, features={}))
        switched = {}
        for name, _, _ in truth.toggles:
            present = bool(known.features.get(name, 0))
            changed = {**known.features, name: int(not present)}
            pair = predictions[MODEL], best(item, replace(known, features=changed))
            switched[name] = (pair[1], pair[0]) if present else pair
        return predictions, switched, std

    def _error(self) -> float:
        """Deviation of the truth from the best guess, of a sample's: a mean of draws errs, too."""
        draws = self.generator.plan(replace(self.request, kind="mean")).mean_of
        return 1.0 if draws is None else float(np.sqrt(1 + 1 / draws))

    def spacing(
        self, truth: Truth, generated: NDArray[np.float32], seed: int
    ) -> list[dict[str, Any]]:
        """Adjacent-slice correlation of the same case at more and more slices, one row each."""
        item, case = truth.item, truth.item["case"]
        known = self.generator.condition_of(item)
        rows = [
            {"case": case, "slices": "truth", "adjacent": mean_adjacent(truth.reference.slices)}
        ]
        draws: dict[str, dict[str, Any]] = {OWN_NOISE: {}, PAPERS_NOISE: {"noise_length": 0.0}}
        kind, noises = ("sample", draws) if self.generator.draws else ("mean", {NO_NOISE: {}})
        for count in SPACINGS:
            for noise, more in noises.items():
                slices = generated
                if more or count != len(generated):
                    made = self._generate(item, known, seed, count, kind=kind, **more)
                    slices = frame_slices(made)
                row = {"case": case, "slices": count, "noise": noise}
                rows.append({**row, "adjacent": mean_adjacent(slices), **coherence(slices)})
        return rows

    def _generate(
        self, item: Item, condition: Condition, seed: int, count: int, **more: Any
    ) -> GeneratedVolume:
        request = replace(self.request, num_slices=count, seed=seed, **side_and_box(item), **more)
        return self.generator.generate(Path(item["radiograph"]), condition, request)


def _variables(index: int) -> tuple[str, ...]:
    return CYSTS[index % len(CYSTS)], CHONDROCALCINOSIS[index % len(CHONDROCALCINOSIS)]


def _named(predictions: Volumes, switched: Pairs, truth: Truth) -> Volumes:
    """Volumes by names of one file: what they are, and a name behind a stroke."""
    named = {f"prediction|{name}": volume for name, volume in predictions.items()}
    true = {name: (off, on) for name, off, on in truth.toggles}
    for kind, pairs in (("", switched), ("true ", true)):
        for name, (off, on) in pairs.items():
            named |= {f"{kind}off|{name}": off, f"{kind}on|{name}": on}
    return named


def _unnamed(kept: Mapping[str, NDArray[np.float32]]) -> tuple[Volumes, Pairs, Pairs]:
    """The inverse of `_named`: predictions, generated switches, true ones."""
    parts = [(key.partition("|"), kept[key]) for key in kept]

    def of(kind: str) -> Volumes:
        return {name: volume for (what, _, name), volume in parts if what == kind}

    def pairs(kind: str) -> Pairs:
        on = of(f"{kind}on")
        return {name: (volume, on[name]) for name, volume in of(f"{kind}off").items()}

    return of("prediction"), pairs(""), pairs("true ")
