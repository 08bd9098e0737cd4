"""A student against its teacher at the same number of steps, on cases with a known truth.

    .venv/bin/python benchmarks/distilled.py --student runs/distillation/knee_xr2mri.safetensors \
        --datalist data/phantom/datalist.json --cases 6 --out out/bench

Each row is one way to draw a sample, from the same noise as all others. `to the teacher` is the
root mean square of the difference from what the teacher draws in many steps, in grey levels of 0 to
1: what distillation minimises. The rest is against the truth, where the mean of many samples wins:
a sample that is as sharp as the teacher's has its SSIM, not more. With `--grader`, a network of
`xr2mri compare`, `features` is the share of pairs of a feature that is present and one that is
absent which the grader puts in the right order (.5 by chance).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from xr2mri_core.datalist import load_datalist, side_and_box
from xr2mri_core.devices import best_device
from xr2mri_core.evaluation.planes import coherence
from xr2mri_core.evaluation.readers import Grader, load_or_train, presence
from xr2mri_core.evaluation.summary import table
from xr2mri_core.evaluation.truth import frame_slices, read_truth
from xr2mri_core.files import write_text
from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.request import GenerationRequest

TITLES = ["", "steps", "to the teacher", "SSIM", "SSIM, joint", "edge F1", "roughness", "features"]


@dataclass(frozen=True)
class Way:
    """How to draw."""

    who: str
    sampler: str
    steps: int

    @property
    def name(self) -> str:
        return f"{self.who}, {self.sampler}"


def main(words: Sequence[str] | None = None) -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", type=Path, required=True, help="weights of a student")
    parser.add_argument("--teacher", type=Path, help="weights (default: the bundle's)")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--size", default="compact")
    parser.add_argument("--datalist", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--every", type=int, default=1, help="of the cases, to spread them")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--teacher-steps", type=int, default=20)
    parser.add_argument("--samplers", nargs="+", default=["ddim", "unipc"], help="of the teacher")
    parser.add_argument("--middle", type=int, help="only so many slices, around the middle")
    parser.add_argument("--grader", type=Path, help="grader.safetensors of a comparison")
    parser.add_argument("--device", default=best_device())
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    arguments = parser.parse_args(words)
    models = {
        who: KneeMRIGenerator.from_bundle(
            arguments.bundle, arguments.device, size=arguments.size, weights=weights
        )
        for who, weights in (("teacher", arguments.teacher), ("student", arguments.student))
    }
    goal = Way("teacher", "unipc", arguments.teacher_steps)
    ways = [goal]
    for steps in arguments.steps:
        ways += [Way("teacher", sampler, steps) for sampler in arguments.samplers]
        ways.append(Way("student", "ddim", steps))
    found: dict[Way, list[dict[str, float]]] = defaultdict(list)
    read: dict[Way, list[NDArray[np.float32]]] = defaultdict(list)
    grader = _grader(arguments.grader)
    items = load_datalist(arguments.datalist, arguments.split)[:: arguments.every]
    items = items[: arguments.cases]
    for item in items:
        for way, slices, values in _case(item, models, ways, goal, arguments.middle):
            found[way].append(values)
            if grader is not None:
                read[way].append(grader.grade(slices))
            print(item["case"], way.name, way.steps, *values.values(), sep="\t", flush=True)
    grades = np.stack([presence(item["features"]) for item in items])
    lines = []
    for way in ways:
        cells = [np.mean([row[key] for row in found[way]]) for key in found[way][0]]
        order = f"{in_order(np.stack(read[way]), grades):.2f}" if grader is not None else "-"
        lines.append([way.name, str(way.steps), *(f"{cell:.4f}" for cell in cells), order])
    where = f"the middle {arguments.middle} slices" if arguments.middle else "50 slices"
    text = f"{len(items)} cases of '{arguments.split}', {where}\n\n{table(TITLES, lines)}\n"
    print(text, end="")
    write_text(arguments.out / "distilled.md", text)


def _grader(file: Path | None) -> Grader | None:
    if file is None:
        return None
    if not file.is_file():
        raise SystemExit(f"error: no file '{file}'; 'xr2mri compare' trains one")
    network = Grader()
    load_or_train(network, file, lambda network: 0.0, "grader")
    return network


def _case(
    item: Any,
    models: dict[str, KneeMRIGenerator],
    ways: Sequence[Way],
    goal: Way,
    middle: int | None,
) -> Iterator[tuple[Way, NDArray[np.float32], dict[str, float]]]:
    """What each way draws for a case, the goal first, and its numbers."""
    from xr2mri_core.evaluation.metrics import Reference

    teacher = models["teacher"]
    reference = read_truth(item, size=teacher.image_size).reference
    count = len(reference.slices)
    kept = slice(None)
    if middle:
        kept = slice((count - middle) // 2, (count - middle) // 2 + middle)
        reference = Reference(
            reference.slices[kept], reference.regions[kept], reference.edges[kept],
            reference.body[kept],
        )  # fmt: skip
    depths = np.linspace(0, 1, count)[kept]
    radiograph = teacher.read(Path(item["radiograph"]), **side_and_box(item))
    aim: NDArray[np.float32] | None = None
    for way in ways:
        made = models[way.who].generate(
            radiograph,
            teacher.condition_of(item),
            GenerationRequest(depths=depths, steps=way.steps, sampler=way.sampler),
        )
        slices = frame_slices(made)
        aim = slices if aim is None else aim
        scores = reference.compare(slices)
        yield (
            way,
            slices,
            {
                "to the teacher": float(np.sqrt(np.mean((slices - aim) ** 2))),
                "ssim": scores["ssim"],
                "ssim_joint": scores["ssim_joint"],
                "edge_f1": scores["edge_f1"],
                "rough": coherence(slices)["rough"],
            },
        )


def in_order(scores: NDArray[np.float32], grades: NDArray[np.float64]) -> float:
    """Pooled over variables and cases (cases, variables): the area under the ROC curve."""
    known = ~np.isnan(grades)
    ranks, present = rankdata(scores[known]), grades[known] > 0
    count, absent = int(present.sum()), int((~present).sum())
    if not count or not absent:
        return float("nan")
    return float((ranks[present].sum() - count * (count + 1) / 2) / (count * absent))


if __name__ == "__main__":
    main()
