"""The true slices of a datalist's cases, and what is known without a model."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.datalist import load_datalist
from xr2mri_core.errors import DatalistError
from xr2mri_core.evaluation.cases import identity
from xr2mri_core.evaluation.metrics import Reference
from xr2mri_core.export import write_nifti
from xr2mri_core.files import whole_file
from xr2mri_core.geometry import IMAGE_SIZE, Laterality, mirror_picture, volume_to_slices
from xr2mri_core.volume import NOTICE

if TYPE_CHECKING:
    from xr2mri_core.volume import GeneratedVolume

log = logging.getLogger("xr2mri")

Item = Mapping[str, Any]
Toggle = tuple[str, NDArray[np.float32], NDArray[np.float32]]
"""Variable, true slices with it off, true slices with it on."""


@dataclass(frozen=True)
class Truth:
    """One test case, ready to be compared with; slices (n, H, W) in [0, 1], right-knee frame."""

    item: Item
    reference: Reference
    toggles: tuple[Toggle, ...] = ()


def read_slices(
    item: Item, size: int = IMAGE_SIZE
) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
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


def _toggled(item: Item, name: str, slices: NDArray[np.float32]) -> Toggle:
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
) -> NDArray[np.float32]:
    """The mean (n, size, size) of at most ``cases`` volumes drawn from ``items``.

    They have as many slices as the first drawn: windows of other sequences differ in length.
    """
    first, *others = _drawn(items, cases, seed)
    total = read_slices(first, size)[0].astype(np.float64)
    for item in others:
        total += resampled(read_slices(item, size)[0], len(total))
    return np.asarray(total / (1 + len(others)), np.float32)


def _drawn(items: Sequence[Item], cases: int, seed: int = 0) -> list[Item]:
    """At most so many of the items, in the order in which they are drawn."""
    rng = np.random.default_rng(seed)
    return [items[index] for index in rng.permutation(len(items))[:cases]]


def frame_slices(
    generated: GeneratedVolume, volume: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """The slices (n, H, W) of a generated volume in the right-knee frame of `read_slices`."""
    slices = volume_to_slices(generated.volume if volume is None else volume)
    left = Laterality.parse(generated.record["laterality"]) is Laterality.LEFT
    return mirror_picture(slices) if left else slices


def resampled(slices: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """``count`` slices of the same window, linearly between the given ones."""
    if len(slices) == count:
        return slices
    positions = np.linspace(0, len(slices) - 1, count)
    low = np.floor(positions).astype(int)
    high = np.minimum(low + 1, len(slices) - 1)
    weight = (positions - low).astype(np.float32)[:, None, None]
    return (1 - weight) * slices[low] + weight * slices[high]


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


def phantom_origin(item: Item) -> dict[str, Any] | None:
    """What `xr2mri_core.phantom.make_case` made this case from; None for any other data."""
    record = Path(item["mri"]).with_name("features.json")
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        return {"seed": content["case_seed"], "enrichment": content["origin"]["enrichment"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def mean_of_training(datalist: Path, cases: int, size: int, folder: Path) -> str | None:
    """The file of the mean volume in a folder, made once; None without training cases."""
    try:
        items = load_datalist(datalist, "training")
    except DatalistError as error:
        log.warning("no row 'mean volume': %s", error)
        return None
    known = " ".join([str(size), *map(identity, _drawn(items, cases))])  # no others are read
    made_of = hashlib.sha256(known.encode()).hexdigest()[:12]
    path = folder / f"mean-{made_of}.npy"
    if not path.is_file():
        with whole_file(path) as new:
            np.save(new, mean_volume(items, cases, size))
    return path.name
