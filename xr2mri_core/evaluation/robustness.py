"""How far the generated volume moves when the same knee is radiographed in another way.

Position, exposure and processing of a radiograph say nothing about the knee, so the volume should
hardly follow them. Each test radiograph is changed in every way that
`xr2mri_core.transforms.augmentation.CHANGES` names and, for a phantom, taken anew with
another beam, exposure and noise; everything else (features, seed) stays. Beside these stand two
rows that give the scale: ``other noise``, the same radiograph from another seed (of a model that
draws), and ``other patient``, which *should* move the volume. A generator that ignored its
radiograph would move nowhere: therefore the similarity to the true volume is given too, which must
not fall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from xr2mri_core.datalist import load_datalist, side_and_box
from xr2mri_core.evaluation.cases import of_each_case, unfinished
from xr2mri_core.evaluation.metrics import psnr, ssim
from xr2mri_core.evaluation.summary import table
from xr2mri_core.evaluation.truth import (
    Item,
    frame_slices,
    next_patient,
    phantom_origin,
    read_slices,
)
from xr2mri_core.export import write_json
from xr2mri_core.files import atomic_files
from xr2mri_core.request import GenerationRequest
from xr2mri_core.tables import write_csv
from xr2mri_core.transforms.augmentation import CHANGES, change
from xr2mri_core.transforms.radiograph import middle_square

if TYPE_CHECKING:
    from xr2mri_core.generation import KneeMRIGenerator
    from xr2mri_core.reading import PreparedRadiograph

UNCHANGED, TAKEN_ANEW = "unchanged", "taken anew"
OTHER_NOISE, OTHER_PATIENT = "other noise", "other patient"
COLUMNS = {"self_ssim": 3, "self_rms": 4, "ssim": 3, "psnr": 2}
"""Metric -> digits."""


def robustness(
    datalist: Path | str,
    generator: KneeMRIGenerator,
    out: Path | str,
    *,
    split: str = "test",
    cases: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    **request: Any,
) -> str:
    """Measure the spread of the volume; write ``robustness.csv``, ``.json`` and ``.md`` to ``out``.

    Args:
        datalist: see `xr2mri_core.datalist`.
        split: list of the datalist that is measured.
        cases: the first so many only.
        seed: case i is generated from ``seed + i``, and its changes are drawn from it.
        jobs, scheduler: processes, or a Dask scheduler, for the cases; see
            `xr2mri_core.processes.each_done`.
        request: further fields of `GenerationRequest` (steps, sampler, ...).

    Returns:
        The table as Markdown: for each change the SSIM and the root mean square difference between
        the volume and that of the unchanged radiograph, then SSIM and PSNR to the true volume.

    Raises:
        DatalistError: the split is empty or has a single patient.
    """
    items = load_datalist(Path(datalist).absolute(), split)[:cases]
    others = [next_patient(items, index) for index in range(len(items))]
    report = progress or (lambda done, total, stage: None)
    todo = [(seed + i, *pair) for i, pair in enumerate(zip(items, others, strict=True))]
    one = partial(_case, generator, GenerationRequest(**request))
    out = Path(out)
    with unfinished(out, "robustness") as folder:
        measured = of_each_case(
            one, todo, "measures", folder, {"model": generator.depends(), **request},
            _items, jobs=jobs, scheduler=scheduler, progress=report,
        )  # fmt: skip
        rows = list(chain.from_iterable(case["rows"] for case in measured))
        summary = summarised(rows)
        text = markdown(summary, len(items), split)
        with atomic_files(out) as files:
            write_csv(files.path(out / "robustness.csv"), rows)
            write_json(files.path(out / "robustness.json"), summary)
            files.path(out / "robustness.md").write_text(text, encoding="utf-8")
    return text


def _items(case: tuple[int, Item, Item]) -> tuple[Item, Item]:
    return case[1:]


def _case(
    generator: KneeMRIGenerator, request: GenerationRequest, case: tuple[int, Item, Item]
) -> dict[str, list[dict[str, Any]]]:
    """A row for each change of a case."""
    return {"rows": list(_rows(generator, request, *case))}


def _rows(
    generator: KneeMRIGenerator, request: GenerationRequest, seed: int, item: Item, other: Item
) -> Iterator[dict[str, Any]]:
    truth, _ = read_slices(item, generator.image_size)
    condition = generator.condition_of(item)

    def slices(radiograph: PreparedRadiograph, noise: int = seed) -> NDArray[np.float32]:
        asked = replace(request, num_slices=len(truth), seed=noise)
        return frame_slices(generator.generate(radiograph, condition, asked))

    own = _read(generator, item)
    unchanged = slices(own)
    others = {OTHER_NOISE: lambda: slices(own, seed + 1_000_003)} if generator.draws else {}
    others[OTHER_PATIENT] = lambda: slices(_read(generator, other))
    anew = _taken_anew(generator, item, own)
    if anew is not None:
        others[TAKEN_ANEW] = lambda: slices(anew)
    changes = {name: lambda name=name: slices(changed(own, name, seed)) for name in CHANGES}
    for name, make in {UNCHANGED: lambda: unchanged, **others, **changes}.items():
        volume = make()
        yield {
            "case": item["case"],
            "change": name,
            "self_ssim": float(np.mean(ssim(unchanged, volume))),
            "self_rms": float(np.sqrt(np.mean(np.square(unchanged - volume)))),
            "ssim": float(np.mean(ssim(truth, volume))),
            "psnr": psnr(truth, volume),
        }


def _read(generator: KneeMRIGenerator, item: Item) -> PreparedRadiograph:
    return generator.read(Path(item["radiograph"]), **side_and_box(item))


def changed(radiograph: PreparedRadiograph, name: str, seed: int) -> PreparedRadiograph:
    """The radiograph with one change of ``CHANGES``, drawn from ``seed``."""
    alter = change(name, radiograph.picture.shape[-1])
    alter.set_random_state(seed=seed % 2**32)
    return replace(radiograph, picture=torch.as_tensor(alter(radiograph.picture[0]))[None])


def _taken_anew(
    generator: KneeMRIGenerator, item: Item, own: PreparedRadiograph
) -> PreparedRadiograph | None:
    """The phantom's radiograph with another beam, exposure and noise; None for real data."""
    from xr2mri_core.phantom import make_case

    origin = phantom_origin(item)
    if origin is None:
        return None
    case = make_case(**origin, features=item["features"], exposure=origin["seed"] + 1)
    pixels = case.radiograph
    if own.info.get("mirrored"):
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    box = middle_square(pixels.shape, (case.radiograph_spacing,) * 2)
    return generator.read(pixels, laterality=own.info["laterality"], box=box)


def summarised(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Change -> mean of each metric over the cases."""
    names = list(dict.fromkeys(row["change"] for row in rows))
    return {
        name: {
            metric: float(np.mean([row[metric] for row in rows if row["change"] == name]))
            for metric in COLUMNS
        }
        for name in names
    }


def markdown(summary: Mapping[str, Mapping[str, float]], cases: int, split: str) -> str:
    """The summary as a Markdown table."""
    titles = ["", "SSIM to unchanged", "RMS to unchanged", "SSIM to truth", "PSNR to truth, dB"]
    lines = [
        [name, *(f"{values[metric]:.{digits}f}" for metric, digits in COLUMNS.items())]
        for name, values in summary.items()
    ]
    return (
        f"{cases} cases of the {split} split; one draw of each change for every case, mean.\n\n"
        f"{table(titles, lines)}\n"
    )
