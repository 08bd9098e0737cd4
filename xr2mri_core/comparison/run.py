"""The whole comparison: train or load, generate, measure, report. Interrupted, it goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from xr2mri_core.baselines import METHODS, Method, method_called
from xr2mri_core.bundle import digest
from xr2mri_core.comparison import experiments
from xr2mri_core.comparison.lines import Lines
from xr2mri_core.comparison.measure import (
    Measuring,
    Readers,
    Row,
    Truths,
    framed_case,
    frames_file,
    keep_volume,
    measure,
    of_case,
    truth_row,
)
from xr2mri_core.comparison.plan import Plan
from xr2mri_core.comparison.results import BLANK, OURS, Results, but_steps
from xr2mri_core.comparison.rows import (
    TRIVIAL,
    others_of,
    rows_of,
    trivial_row,
    trivial_rows,
    without_network,
)
from xr2mri_core.comparison.seen import Seen
from xr2mri_core.comparison.training import (
    START,
    Run,
    Setting,
    Trained,
    common_autoencoder,
    common_start,
    finished,
    given,
    train,
    unet_of,
)
from xr2mri_core.datalist import load_datalist, save_datalist
from xr2mri_core.errors import InputError
from xr2mri_core.evaluation.perceptual import LPIPS
from xr2mri_core.evaluation.readers import (
    READERS_VERSION,
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

log = logging.getLogger("xr2mri")

Progress = Callable[[int, int, str], None]
SHOWN_GRADES = (0, 2, 4)
"""Kellgren-Lawrence grades of the cases whose slices are shown (Table II)."""


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
    jobs: int = 1,
    progress: Progress | None = None,
    run: Run | None = None,
    page: Path | None = None,
    command: Sequence[str] = (),
) -> str:
    """Compare the methods of a plan and write tables, figures and the report into ``out``.

    Args:
        datalist: datalist of pairs; methods train on its training split and are judged on its test
            split.
        out: folder of everything, and the run's memory.
        plan: what is compared.
        bundle, size, weights: the model whose autoencoder is common to all; see `load_bundle`.
        autoencoder: folder of another one, as stage 1 writes it.
        device: where volumes are generated.
        jobs: processes that make and measure volumes, with one thread each.
        progress: ``progress(done, total, stage)``.
        run: carries out a training command; None: in a process of its own.
        page: where to write the page of results as well.
        command: words that asked for these results, which the report tells.

    Returns:
        The table of methods as Markdown.

    Raises:
        InputError: unknown methods, a datalist that lacks a split, a single patient, training cases
            with differing numbers of slices.
        WeightsError: weights that were brought are missing or of another network.
        TrainingError: a training failed.
    """
    from xr2mri_core.comparison.report import write_report

    out, bundle = check_writable(out), Path(bundle or bundle_folder())
    methods, plan = _methods(plan), plan.filled(bundle, size)
    brought = _brought(plan, out)  # before hours of training, not after
    own_list = _datalist(Path(datalist), out, plan)
    test = load_datalist(datalist, "test")
    items = test[: plan.cases]
    others = others_of(test, plan)
    report = progress or (lambda done, total, stage: None)
    common = autoencoder or common_autoencoder(bundle, size, weights, out)
    setting = Setting(
        bundle, size, own_list, common, out, plan.seed, plan.budget,
        {"image_size": plan.image_size, **plan.options},
    )  # fmt: skip
    report(0, 1, "slices of the training cases")
    slices = _training_slices(own_list, out, plan)  # before hours of training, not after
    start = None
    if plan.start and any(method.name not in plan.load for method in methods):
        report(0, len(methods), f"training the {START.title}")
        start = common_start(replace(setting, noise_length=plan.noise_length), plan.start, run)
        setting = replace(setting, start=unet_of(start))
    trained = []
    for index, method in enumerate(methods):
        report(index, len(methods), f"training {method.title}")
        known = plan.load.get(method.name)
        like = replace(setting, noise_length=plan.request(method)["noise_length"])
        trained.append(given(method, known) if known else train(method, like, run))

    report(0, 1, "networks that read")
    readers = _readers(slices, out, plan, brought)
    truths, lines = Truths(plan.image_size), Lines(out / "lines.jsonl")
    shown = shown_cases(test, out / "volumes")
    by = Measuring(truths, readers, shown, plan.seed)
    # Cases that are shown are generated, too, where they are none of those that count.
    numbered = [(n, one) for n, one in enumerate(test) if one["case"] in shown or n < len(items)]

    def load(one: Trained) -> KneeMRIGenerator:
        return KneeMRIGenerator.from_bundle(bundle, device, plan.precision, size, one.weights)

    def measured(what: str, rows: Iterable[Row]) -> list[Row]:
        rows = list(rows)
        for done in measure(rows, numbered, by, lines, jobs):
            report(done, len(rows) * len(numbered), what)
        return [without_network(row) for row in rows]

    rows: list[Row] = []
    for done in truth_row([item for _, item in numbered], by, lines, jobs):
        report(done, len(numbered), "true volumes")
    for one in trained:
        generator = load(one)
        own = measured(one.method.title, rows_of(one, plan, generator))
        for row in own:
            if row.kind in ("sample", "mean") and not row.name.endswith(BLANK):
                experiments.steps(
                    row.title, generator, items[: plan.curve_cases], truths, lines, plan.seed,
                    but_steps(row.of), plan.step_counts if row.kind == "sample" else None,
                    kind=row.kind, **but_steps(plan.request(one.method)),
                )  # fmt: skip
        rows += own
    rows += measured("what knows less", trivial_rows(own_list, slices, others, plan))

    by_name = {one.method.name: one for one in trained}
    report(0, 1, "experiments")
    _experiments(by_name, load, test, truths, readers, lines, shown, plan, out, jobs)
    data = json.loads(own_list.read_text(encoding="utf-8"))
    return write_report(
        Results(out, plan, trained, rows, test, lines.rows, shown, data, readers, start),
        page,
        command,
    )


def report_again(
    datalist: Path | str,
    out: Path | str,
    plan: Plan,
    page: Path | None = None,
    *,
    bundle: Path | str | None = None,
    size: str = "compact",
    command: Sequence[str] = (),
) -> str:
    """Write the report of what a folder holds by now, and compute nothing.

    For a run that is still going on, too: what has not been trained or measured yet is left out.

    Args:
        datalist: datalist of the run.
        out: folder of the run.
        plan: plan of the run.
        page: where to write the page of results as well.
        bundle, size: the bundle of the run, and its size.
        command: words that asked for these results, which the report tells.

    Returns:
        The table of methods as Markdown.

    Raises:
        InputError: the folder holds no results of this plan.
    """
    from xr2mri_core.comparison.report import write_report

    out = Path(out)
    own_list, lines = out / "datalist.json", Lines(out / "lines.jsonl")
    if not own_list.is_file() or not lines.rows:
        raise InputError(f"'{out}' holds no results of a comparison yet", option="out")
    test = load_datalist(datalist, "test")
    trained, methods = [], _methods(plan)
    plan = plan.filled(Path(bundle or bundle_folder()), size)
    for method in methods:
        known = plan.load.get(method.name)
        one = given(method, known) if known else finished(method, out)
        trained += [one] if one is not None else []
    fingerprint = next(
        (one["of"]["training"] for one in reversed(lines.rows) if "training" in one.get("of", {})),
        "",
    )
    rows = [row for one in trained for row in rows_of(one, plan)]
    others = others_of(test, plan)
    rows += [trivial_row(name, fingerprint, others, plan) for name in TRIVIAL]
    newest = next((one["readers"] for one in reversed(lines.rows) if "readers" in one), "")
    seen = None if plan.fid is None else Seen(plan.fid, out / "seen")
    data = json.loads(own_list.read_text(encoding="utf-8"))
    results = Results(
        out, plan, trained, rows, test, lines.rows, shown_cases(test, out / "volumes"), data,
        Readers(of=newest, seen=seen), finished(START, out) if plan.start else None,
    )  # fmt: skip
    if not results.measured:
        raise InputError(
            f"'{out}' holds {len(lines.rows)} results, but none of this plan, its weights and the "
            "test cases as they are now (those of earlier versions do not count); run the "
            "comparison itself to have them computed",
            option="out",
        )
    return write_report(results, page, command)


def _methods(plan: Plan) -> list[Method]:
    methods = [method_called(name) for name in plan.methods]
    if not methods:
        raise InputError(f"no method to compare: accepted are {', '.join(METHODS)}")
    return methods


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
    test: Sequence[Any],
    truths: Truths,
    readers: Readers,
    lines: Lines,
    shown: Mapping[str, Path],
    plan: Plan,
    out: Path,
    jobs: int,
) -> None:
    curves: dict[str, tuple[KneeMRIGenerator, Mapping[str, Any], Mapping[str, Any]]] = {}
    items, few = test[: plan.cases], test[: plan.cases][: plan.curve_cases]
    for name in (OURS, "ours_paper"):
        if name not in trained:
            continue
        one, generator = trained[name], load(trained[name])
        of = partial(plan.of_experiments, method=one.method, weights=one.sha256, readers=readers.of)
        request, title = plan.request(one.method), one.method.title
        for noise, depends in zip(plan.noises, of("slices"), strict=True):
            asked = {**request, "noise_length": plan.noises[noise]}
            curves[f"{title}, {noise} noise"] = generator, asked, depends
        if name == OURS:
            own, framed = plan.of(one.method, one.sha256), framed_case(items, shown)
            experiments.ablation(
                generator, items[: plan.ablation_cases], truths, readers, lines, plan.seed,
                of("ablation")[0], jobs, **request,
            )  # fmt: skip
            experiments.ablation_pictures(generator, test, truths, plan.seed, out, own, **request)
            if plan.samples > 1:
                experiments.spread(
                    generator, few, truths, lines, plan.seed, of("spread")[0], plan.samples,
                    **request,
                )  # fmt: skip
            if framed and not (file := frames_file(out, of_case(own, framed))).is_file():
                made = experiments.frames(generator, framed, 50, plan.seed, **request)
                keep_volume(file, made)
    experiments.slice_counts(curves, few, truths, lines, plan.seed, plan.slice_counts)


def _datalist(datalist: Path, out: Path, plan: Plan) -> Path:
    """The cases of this comparison, as a datalist of its own."""
    limits = {"training": plan.training_cases, "validation": None, "test": plan.cases}
    splits = {split: load_datalist(datalist, split)[:limit] for split, limit in limits.items()}
    content = json.loads(datalist.read_text(encoding="utf-8-sig"))
    return save_datalist(
        out / "datalist.json",
        splits,
        str(content.get("name", datalist.stem)),
        str(content.get("description", "")),
        bool(content.get("synthetic", False)),
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


def _brought(plan: Plan, out: Path) -> tuple[LPIPS | None, Seen | None]:
    """The networks whose weights the user brings, each known to be what it should be."""
    seen = None if plan.fid is None else Seen(plan.fid, out / "seen")
    if seen is not None:
        _ = seen.network
    return None if plan.lpips is None else LPIPS(*plan.lpips), seen


def _readers(
    slices: SliceCache, out: Path, plan: Plan, brought: tuple[LPIPS | None, Seen | None]
) -> Readers:
    torch.manual_seed(plan.seed)
    of = f"{READERS_VERSION}-{slices.fingerprint[:12]}-{plan.reader_steps}-{plan.seed}"
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
    lpips, seen = brought
    known = "-".join([of, *(digest(path)[:12] for path in plan.lpips or ())])
    return Readers(segmenter, grader, lpips, known, seen)  # type: ignore[arg-type]
