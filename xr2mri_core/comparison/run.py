"""The whole comparison: train or load, generate, measure, report. Interrupted, it goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xr2mri_core.baselines import METHODS, Method, method_called, nearest, thumbnail
from xr2mri_core.comparison import experiments
from xr2mri_core.comparison.measure import (
    Lines,
    Readers,
    Row,
    Truths,
    generated,
    keep_volume,
    measure,
    truth_row,
)
from xr2mri_core.comparison.training import (
    Budget,
    Run,
    Setting,
    Trained,
    common_autoencoder,
    frames_of,
    given,
    train,
)
from xr2mri_core.datalist import load_datalist, save_datalist
from xr2mri_core.errors import InputError
from xr2mri_core.evaluation.compare import mean_volume, next_patient, read_slices, resampled
from xr2mri_core.evaluation.perceptual import LPIPS
from xr2mri_core.evaluation.readers import (
    Grader,
    Segmenter,
    load_or_train,
    train_grader,
    train_segmenter,
)
from xr2mri_core.files import check_writable
from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.shipped import bundle_folder
from xr2mri_core.training import SliceCache
from xr2mri_core.training.cache import from_bytes

log = logging.getLogger("xr2mri")

Progress = Callable[[int, int, str], None]
OURS = "ours"
SHOWN_GRADES = (0, 2, 4)
"""Kellgren-Lawrence grades of the cases whose slices are shown (Table II)."""


@dataclass(frozen=True)
class Plan:
    """What is compared, on what, and how much of it.

    Attributes:
        methods: names of `METHODS`, in the order of the tables.
        budget: of every training.
        load: name -> weights that are not trained here.
        training_cases, cases: the first so many of the training and the test split; None: all.
        curve_cases: cases of the curves over slices and over steps.
        ablation_cases: cases of the ablation of features; None: as `cases`.
        samples: draws for calibration, on `curve_cases` cases; below 2: none.
        steps, sampler, noise_length: of every method alike; but one that draws each slice alone by
            its definition has no length.
        slice_counts, step_counts: of the two curves.
        reader_steps: training steps of the segmentation network; the grader's are three times that.
        seed: of trainings and noise.
        options: further options of the bundle's training commands.
        lpips: AlexNet's weights and LPIPS's linear layers.
        image_size: pixels of the side of a slice.
    """

    methods: Sequence[str] = tuple(METHODS)
    budget: Budget = field(default_factory=lambda: Budget(samples=64_000))
    load: Mapping[str, Path] = field(default_factory=dict)
    training_cases: int | None = None
    cases: int | None = None
    curve_cases: int = 2
    ablation_cases: int | None = None
    samples: int = 6
    steps: int = 6
    sampler: str = "unipc"
    noise_length: float = 6.0
    slice_counts: Sequence[int] = experiments.SPACINGS
    step_counts: Sequence[int] = experiments.STEPS
    reader_steps: int = 600
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    lpips: tuple[Path, Path] | None = None
    image_size: int = 256

    def request(self, method: Method) -> dict[str, Any]:
        """How a method is asked."""
        noise = 0.0 if method.independent else self.noise_length
        return {"steps": self.steps, "sampler": self.sampler, "noise_length": noise}


def compare(
    datalist: Path | str,
    out: Path | str,
    plan: Plan,
    *,
    bundle: Path | str | None = None,
    size: str = "compact",
    weights: Path | None = None,
    autoencoder: Path | None = None,
    device: str | None = None,
    precision: str = "fp32",
    progress: Progress | None = None,
    run: Run | None = None,
) -> str:
    """Compare the methods of a plan and write tables, figures and the report into ``out``.

    Args:
        datalist: of pairs; trained on its training split, judged on its test split.
        out: folder of everything, and the run's memory.
        plan: what is compared.
        bundle, size, weights: of the model whose autoencoder is common to all; see `load_bundle`.
        autoencoder: folder of another one, as stage 1 writes it.
        device, precision: of generation.
        progress: ``progress(done, total, stage)``.
        run: carries out a training command; None: in a process of its own.

    Returns:
        The table of methods as Markdown.

    Raises:
        InputError: unknown methods, a datalist that lacks a split, a single patient.
        TrainingError: a training failed.
    """
    from xr2mri_core.comparison.report import write_report

    out, bundle = check_writable(out), Path(bundle or bundle_folder())
    methods = [method_called(name) for name in plan.methods]
    if not methods:
        raise InputError(f"no method to compare: accepted are {', '.join(METHODS)}")
    own_list = _datalist(Path(datalist), out, plan)
    items = load_datalist(own_list, "test")
    others = {item["case"]: next_patient(items, index) for index, item in enumerate(items)}
    report = progress or (lambda done, total, stage: None)
    common = autoencoder or common_autoencoder(bundle, size, weights, out)
    setting = Setting(
        bundle, size, own_list, common, out, plan.seed, plan.budget,
        {"image_size": plan.image_size, **plan.options},
    )  # fmt: skip
    trained = []
    for index, method in enumerate(methods):
        report(index, len(methods), f"training {method.title}")
        known = method.name in plan.load
        trained.append(
            given(method, plan.load[method.name]) if known else train(method, setting, run)
        )

    report(0, 1, "networks that read")
    slices = _training_slices(own_list, out, plan)
    readers = _readers(slices, out, plan)
    truths, lines = Truths(plan.image_size), Lines(out / "lines.jsonl")
    shown = shown_cases(items, out / "volumes")

    def load(one: Trained) -> KneeMRIGenerator:
        return KneeMRIGenerator.from_bundle(bundle, device, precision, size, one.weights)

    rows: list[Row] = []
    truth_row(items, truths, readers, lines, shown)
    for one in trained:
        generator = load(one)
        for row in rows_of(one, generator, plan):
            rows.append(_without_network(row))
            for done in measure(row, items, truths, readers, lines, shown, plan.seed):
                report(done, len(items), row.title)
        if one.method.kind == "sample":
            experiments.steps(
                one.method.title, generator, items[: plan.curve_cases], truths, lines, plan.seed,
                {"sha256": one.sha256}, plan.step_counts, **_but_steps(plan.request(one.method)),
            )  # fmt: skip
    for row in trivial_rows(own_list, slices, others, plan):
        rows.append(_without_network(row))
        for done in measure(row, items, truths, readers, lines, shown, plan.seed):
            report(done, len(items), row.title)

    by_name = {one.method.name: one for one in trained}
    report(0, 1, "experiments")
    _experiments(by_name, load, items, truths, readers, lines, shown, plan, out)
    return write_report(out, plan, trained, rows, items, lines, shown, own_list, readers.of)


def rows_of(trained: Trained, generator: KneeMRIGenerator, plan: Plan) -> Iterator[Row]:
    """The rows of one method: as it is; and ours as its mean and without features."""
    method, request = trained.method, plan.request(trained.method)

    def row(name: str, title: str, **more: Any) -> Row:
        of = {"sha256": trained.sha256, "seed": plan.seed, **request, **more}
        return Row(name, title, generated(generator, **request, **more), of)

    yield row(method.name, method.title, kind=method.kind)
    if method.name == OURS:
        yield row(f"{OURS}_mean", f"{method.title}, mean", kind="mean")
        yield row(f"{OURS}_blank", f"{method.title}, no features", kind="sample", features={})


def trivial_rows(
    datalist: Path, slices: SliceCache, others: Mapping[str, Any], plan: Plan
) -> Iterator[Row]:
    """Mean volume, other patient, nearest radiograph."""
    training = load_datalist(datalist, "training")
    mean = mean_volume(training, 200, plan.image_size, plan.seed)
    of = {"training": slices.fingerprint, "seed": plan.seed}
    yield Row("mean_volume", "mean volume", lambda item, seed, count: resampled(mean, count), of)

    def other(item: Any, seed: int, count: int) -> np.ndarray:
        return resampled(read_slices(others[item["case"]], plan.image_size)[0], count)

    yield Row("other_patient", "other patient", other)
    table = np.stack([thumbnail(picture) for picture in slices.arrays["radiographs"]])

    def alike(item: Any, seed: int, count: int) -> np.ndarray:
        from xr2mri_core.reading import prepare_radiograph

        side = item.get("laterality") or "auto"
        read = prepare_radiograph(item["radiograph"], plan.image_size, side, item.get("box"))
        index = nearest(read.picture[0, 0].numpy(), table)
        found = from_bytes(slices.arrays["slices"][index]).numpy()
        return resampled((found + 1) / 2, count)

    yield Row("nearest", "nearest radiograph", alike, of)


def shown_cases(items: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, Path]:
    """The first case of each grade that is shown, or the first cases where none is graded so."""
    chosen: list[str] = []
    for grade in SHOWN_GRADES:
        graded = [i["case"] for i in items if i["features"].get("V00XRKL") == grade]
        chosen += graded[:1]
    chosen = chosen or [item["case"] for item in items[: len(SHOWN_GRADES)]]
    return {str(case): folder / str(case) for case in chosen}


def _experiments(
    trained: Mapping[str, Trained],
    load: Callable[[Trained], KneeMRIGenerator],
    items: Sequence[Any],
    truths: Truths,
    readers: Readers,
    lines: Lines,
    shown: Mapping[str, Path],
    plan: Plan,
    out: Path,
) -> None:
    curves: dict[str, tuple[KneeMRIGenerator, Mapping[str, Any]]] = {}
    few = items[: plan.curve_cases]
    for name in (OURS, "ours_paper"):
        if name not in trained:
            continue
        one, generator = trained[name], load(trained[name])
        request, title = plan.request(one.method), one.method.title
        for noise, length in (("correlated", plan.noise_length), ("independent", 0.0)):
            curves[f"{title}, {noise} noise"] = generator, {**request, "noise_length": length}
        if name == OURS:
            of = {"sha256": one.sha256, **request}
            experiments.ablation(
                generator, items[: plan.ablation_cases], truths, readers, lines, plan.seed, of,
                **request,
            )  # fmt: skip
            if plan.samples > 1:
                experiments.spread(
                    generator, few, truths, lines, plan.seed, of, plan.samples, **request
                )
            for item in items:
                if item["case"] in shown and not frames_of(out, one).is_file():
                    made = experiments.frames(generator, item, 50, plan.seed, **request)
                    keep_volume(frames_of(out, one), made)
    digests = {name: one.sha256 for name, one in trained.items() if name.startswith(OURS)}
    of = {**digests, "noise": plan.noise_length, "steps": plan.steps}
    experiments.slice_counts(curves, few, truths, lines, plan.seed, of, plan.slice_counts)


def _datalist(datalist: Path, out: Path, plan: Plan) -> Path:
    """The cases of this comparison, as a datalist of its own."""
    limits = {"training": plan.training_cases, "validation": None, "test": plan.cases}
    splits = {split: load_datalist(datalist, split)[:limit] for split, limit in limits.items()}
    told = json.loads(datalist.read_text(encoding="utf-8"))
    return save_datalist(
        out / "datalist.json",
        splits,
        str(told.get("name", datalist.stem)),
        str(told.get("description", "")),
        bool(told.get("synthetic", False)),
    )


def _training_slices(datalist: Path, out: Path, plan: Plan) -> SliceCache:
    """Slices of the training split: the cache that the trainings use, too."""
    options = dict(plan.options)
    return SliceCache.build(
        load_datalist(datalist, "training"),
        out / "cache",
        None,
        plan.image_size,
        plan.seed,
        int(options.get("cache_processes", 2)),
    )


def _readers(slices: SliceCache, out: Path, plan: Plan) -> Readers:
    torch.manual_seed(plan.seed)
    of = f"{slices.fingerprint[:12]}-{plan.reader_steps}-{plan.seed}"
    segmenter = None
    if "labels" in slices.arrays:
        segmenter = load_or_train(
            Segmenter(), out / "readers" / f"segmenter-{of}.safetensors",
            lambda net: train_segmenter(net, slices, plan.reader_steps, seed=plan.seed),
            "segmentation",
        )  # fmt: skip
    grader = load_or_train(
        Grader(), out / "readers" / f"grader-{of}.safetensors",
        lambda net: train_grader(net, slices, 3 * plan.reader_steps, seed=plan.seed), "grader",
    )  # fmt: skip
    lpips = None if plan.lpips is None else LPIPS(*plan.lpips)
    return Readers(segmenter, grader, lpips, of + str(plan.lpips or ""))  # type: ignore[arg-type]


def _without_network(row: Row) -> Row:
    """A row that holds no generator: nothing but its name is asked for later."""
    return Row(row.name, row.title, lambda *_: np.empty(0), row.of)


def _but_steps(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name != "steps"}
