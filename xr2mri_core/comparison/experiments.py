"""The paper's experiments beside the comparison itself: ablation, slices, steps, frames, spread.

Each keeps its lines (`Lines`) as it goes, so that an interrupted run goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.comparison.lines import Lines
from xr2mri_core.comparison.measure import (
    Item,
    Readers,
    Truths,
    ablation_file,
    asked,
    keep_volume,
    of_case,
)
from xr2mri_core.comparison.memory import tensor_megabytes
from xr2mri_core.diffusion.noise import sample_seed
from xr2mri_core.evaluation.calibration import coverage, spread_skill
from xr2mri_core.evaluation.distribution import spectrum_distance
from xr2mri_core.evaluation.evaluate import SPACINGS, mean_adjacent
from xr2mri_core.evaluation.metrics import ssim
from xr2mri_core.evaluation.planes import coherence, spread_error
from xr2mri_core.evaluation.truth import frame_slices
from xr2mri_core.features import VARIABLES
from xr2mri_core.generation import KneeMRIGenerator

FINDINGS = ("chondrocalcinosis", "attrition", "cysts")
"""What the paper leaves out in turn (Table III)."""
STEPS = (1, 2, 4, 8, 16, 32)
BEST_GUESS = "best guess"
"""Experiment of the time of what takes no steps."""
FRAMES = 6
"""Pictures of the interpolation, the two ends among them."""


def ablations() -> dict[str, Callable[[Mapping[str, int]], dict[str, int]]]:
    """Variant -> what it leaves of a form: none, all but one finding, all."""

    def without(finding: str) -> Callable[[Mapping[str, int]], dict[str, int]]:
        left_out = {v.name for v in VARIABLES if v.finding == finding}
        return lambda form: {name: grade for name, grade in form.items() if name not in left_out}

    return {
        "none": lambda form: {},
        **{f"without {finding}": without(finding) for finding in FINDINGS},
        "all": dict,
    }


def ablation(
    generator: KneeMRIGenerator,
    items: Sequence[Item],
    truths: Truths,
    readers: Readers,
    lines: Lines,
    seed: int,
    of: Mapping[str, Any],
    jobs: int,
    **request: Any,
) -> None:
    """Feature recovery and SSIM with features left out, the same noise and radiograph.

    What is left out is missing as it is where a reading is missing, which training did at random to
    every variable: no variant is asked for what it was never shown.
    """
    todo = [
        (key, name, index, item)
        for name in ablations()
        for index, item in enumerate(items)
        if lines.find(**(key := _ablated(name, item, of))) is None
    ]
    work = partial(_without, generator, truths, readers, seed, request)
    for _ in lines.fill(work, todo, jobs):
        pass


def _ablated(name: str, item: Item, of: Mapping[str, Any]) -> dict[str, Any]:
    depends = of_case(of, item)
    return {"experiment": "ablation", "variant": name, "case": item["case"], "of": depends}


def _without(
    generator: KneeMRIGenerator,
    truths: Truths,
    readers: Readers,
    seed: int,
    request: Mapping[str, Any],
    todo: tuple[Mapping[str, Any], str, int, Item],
) -> dict[str, Any]:
    """The line of a variant and a case."""
    key, name, index, item = todo
    truth, _ = truths(item)
    form = ablations()[name](generator.condition_of(item).features)
    made = asked(generator, item, seed + index, len(truth.slices), form, **request)
    slices = frame_slices(made)
    scores = None if readers.grader is None else readers.grader.grade(slices).tolist()
    values = {"ssim": float(np.mean(ssim(truth.slices, slices))), "scores": scores}
    return {**key, "participant": item["participant"], **values}


def ablation_pictures(
    generator: KneeMRIGenerator,
    items: Sequence[Item],
    truths: Truths,
    seed: int,
    out: Path,
    of: Mapping[str, Any],
    **request: Any,
) -> None:
    """A slice of a knee with each finding: truth, all features, without the finding (Table III).

    Args:
        generator: generator of the method.
        items: test cases, of which the first that has the finding (`with_finding`) is drawn.
        truths: the true volumes of the cases.
        seed: seed of the noise; case i is drawn from ``seed + i``.
        out: folder of the run, in which they (3, H, W) are kept.
        of: what the method's volumes depend on.
        request: see `asked`.
    """
    for finding in FINDINGS:
        index = with_finding(items, finding)
        if index is None:
            continue
        item, file = items[index], ablation_file(out, of_case(of, items[index]), finding)
        if file.is_file():
            continue
        truth, _ = truths(item)
        form = generator.condition_of(item).features
        with_, without = (
            frame_slices(asked(generator, item, seed + index, len(truth.slices), given, **request))
            for given in (form, ablations()[f"without {finding}"](form))
        )
        most = int(np.abs(with_ - without).sum((1, 2)).argmax())
        keep_volume(file, np.stack([truth.slices[most], with_[most], without[most]]))


def with_finding(items: Sequence[Item], finding: str) -> int | None:
    """The number of the first case that has a finding."""
    names = [v.name for v in VARIABLES if v.finding == finding]
    found = (n for n, item in enumerate(items) if any(item["features"].get(v, 0) for v in names))
    return next(found, None)


def slice_counts(
    curves: Mapping[str, tuple[KneeMRIGenerator, Mapping[str, Any], Mapping[str, Any]]],
    items: Sequence[Item],
    truths: Truths,
    lines: Lines,
    seed: int,
    counts: Sequence[int] = SPACINGS,
) -> None:
    """Adjacent-slice correlation, rough and comb at s slices over the same window (Fig. 6).

    Args:
        curves: curve -> generator, request (noise correlated or not), and what it depends on.
        items: the cases that are generated.
        truths: the true volumes of the cases, whose figures are drawn as lines.
        lines: the file to which results are added.
        seed: seed of the noise.
        counts: the numbers of slices s.
    """
    for index, item in enumerate(items):
        truth, _ = truths(item)
        for curve, (generator, request, of) in curves.items():
            for count in counts:
                key = {"experiment": "slices", "curve": curve, "slices": count,
                       "case": item["case"], "of": of_case(of, item)}  # fmt: skip
                if lines.find(**key) is None:
                    slices = frame_slices(asked(generator, item, seed + index, count, **request))
                    values = {"adjacent": mean_adjacent(slices), **coherence(slices)}
                    lines.add({**key, **values})
        key = {"experiment": "slices", "curve": "truth", "slices": len(truth.slices),
               "case": item["case"], "of": of_case({}, item)}  # fmt: skip
        if lines.find(**key) is None:
            values = {"adjacent": mean_adjacent(truth.slices), **coherence(truth.slices)}
            lines.add({**key, **values})


def steps(
    title: str,
    generator: KneeMRIGenerator,
    items: Sequence[Item],
    truths: Truths,
    lines: Lines,
    seed: int,
    of: Mapping[str, Any],
    counts: Sequence[int] | None = STEPS,
    **request: Any,
) -> None:
    """Quality and time against the number of passes through the network; and the memory, which does
    not depend on it.

    Args:
        title: title of the row.
        generator, items, truths, lines, seed: see `ablation`.
        of: what the volumes depend on beside their steps.
        counts: numbers of steps; None: of a best guess, which takes none (``BEST_GUESS``).
        request: see `asked`.
    """
    megabytes = None
    each: list[dict[str, Any]] = [{}] if counts is None else [{"steps": count} for count in counts]
    for asks in each:
        for index, item in enumerate(items):
            key = {"experiment": "steps" if asks else BEST_GUESS, "row": title, **asks,
                   "case": item["case"], "of": of_case(of, item)}  # fmt: skip
            if lines.find(**key) is not None:
                continue
            truth, _ = truths(item)
            ask = partial(
                asked, generator, item, seed + index, len(truth.slices), **asks, **request
            )
            if megabytes is None:  # with the first volume of a process, which takes longer
                megabytes = tensor_megabytes(ask, generator.model)
            started = time.perf_counter()
            made = ask()
            seconds, slices = time.perf_counter() - started, frame_slices(made)
            lines.add(
                {
                    **key,
                    "seconds": seconds,
                    "tensor_megabytes": megabytes,
                    "ssim": float(np.mean(ssim(truth.slices, slices))),
                    "spectrum": spectrum_distance(truth.slices, slices),
                    "adjacent": mean_adjacent(slices),
                }
            )


def frames(
    generator: KneeMRIGenerator, item: Item, count: int, seed: int, **request: Any
) -> NDArray[np.float32]:
    """Slices between two neighbours of `count`, as muscle gives way to bone (Table IV).

    Returns:
        (FRAMES, H, W): the two neighbours at a sixth of the window, and evenly spaced ones between.
    """
    first, last = np.linspace(0, 1, count)[[count // 6, count // 6 + 1]]
    depths = np.linspace(float(first), float(last), FRAMES)
    made = asked(generator, item, seed, 0, depths=depths, **request)
    return frame_slices(made)


def spread(
    generator: KneeMRIGenerator,
    items: Sequence[Item],
    truths: Truths,
    lines: Lines,
    seed: int,
    of: Mapping[str, Any],
    samples: int,
    **request: Any,
) -> None:
    """Calibration of several samples: coverage of intervals, and deviation against error.

    ``ratio`` is the error of their mean over what their deviation predicts of it: 1 if calibrated.
    """
    for index, item in enumerate(items):
        key = {"experiment": "spread", "case": item["case"], "samples": samples,
               "of": of_case(of, item)}  # fmt: skip
        if lines.find(**key) is not None:
            continue
        truth, _ = truths(item)
        seeds = [sample_seed(seed + index, number) for number in range(samples)]
        draws = np.stack(
            [
                frame_slices(asked(generator, item, one, len(truth.slices), **request))
                for one in seeds
            ]
        )
        mean, std = draws.mean(0), draws.std(0, ddof=1)
        lines.add(
            {
                **key,
                "ratio": spread_error(truth.slices, mean, np.sqrt(1 + 1 / samples) * std),
                **coverage(truth.slices, mean, std, samples, truth.body),
                "curve": spread_skill(truth.slices, draws, truth.body),
            }
        )
