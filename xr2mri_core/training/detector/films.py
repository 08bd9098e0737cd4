"""The corpus that the detector learns from: films, crops, knee-sized radiographs, and strangers.

Films are laid out from painted legs (`legs`), tight crops too (`crops`), knee-sized
radiographs come from a datalist of phantom cases, strangers from `strangers`. What is done to
crops is also done to every second stranger and every fifth film, so that it tells nothing about
what is shown. All are kept small, as bytes, in one file::

    pictures uint8 (n, 384, 384)   each in the upper left corner
    shapes   int16 (n, 2)          rows and columns that each fills
    joints   float32 (n, 2, 4)     top, left, bottom, right; NaN where there is no knee
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xr2mri_core.datalist import load_datalist
from xr2mri_core.errors import DatalistError, InputError
from xr2mri_core.files import whole_file
from xr2mri_core.localization.boxes import squared
from xr2mri_core.localization.boxfile import Boxes
from xr2mri_core.phantom.bilateral import Film, Shadow, joint_of_case, sample_layout, take_film
from xr2mri_core.training.detector.crops import draw_crop, processed
from xr2mri_core.training.detector.strangers import draw_stranger
from xr2mri_core.transforms.orientation import UPRIGHT, Turn
from xr2mri_core.transforms.radiograph import believed_spacing
from xr2mri_core.transforms.radiograph_file import read_radiograph

SIDE = 384
"""Pixels of a picture's longer side."""

Progress = Callable[[int, int], None]
Sample = tuple[NDArray[Any], list[tuple[float, float, float, float]]]


@dataclass(frozen=True)
class FilmCorpus:
    """Pictures and joints in memory; see the module."""

    pictures: NDArray[np.uint8]
    shapes: NDArray[np.integer[Any]]
    joints: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """The picture, uint8 (rows, columns), and its joints, float32 (0 to 2, 4)."""
        rows, columns = self.shapes[index]
        joints = self.joints[index]
        return self.pictures[index, :rows, :columns], joints[~np.isnan(joints[:, 0])]

    def part(self, start: float, stop: float) -> FilmCorpus:
        """Every picture whose place lies within a share of the corpus, evenly over all kinds."""
        place = (np.arange(len(self)) * 0.618034) % 1
        chosen = (place >= start) & (place < stop)
        return FilmCorpus(self.pictures[chosen], self.shapes[chosen], self.joints[chosen])

    @classmethod
    def load(cls, path: str | Path) -> FilmCorpus:
        """Read what `write_films` has written.

        Raises:
            DatalistError: if it is not there.
        """
        if not Path(path).is_file():
            raise DatalistError(f"no films at {path}: make them with xr2mri localize films")
        with np.load(path, allow_pickle=False) as held:
            return cls(held["pictures"], held["shapes"], held["joints"])


def write_films(
    path: str | Path,
    legs: Sequence[Shadow],
    films: int,
    strangers: int,
    datalist: str | Path | None = None,
    knees: int = 0,
    boxes: Boxes | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    crops: int = 0,
) -> Path:
    """Makes a corpus.

    Args:
        path: the .npz file to write.
        legs: painted legs from which films are laid out, at least two.
        films: bilateral and single ones, 3 to 2.
        strangers: pictures without a knee.
        datalist: phantom cases, of whose training split the radiographs show one knee each.
        knees: how many of them at most.
        boxes: pictures with drawn joint boxes, as `boxfile.read_boxes` reads them.
        seed: seed of everything drawn.
        progress: called with (pictures done, pictures in all).
        crops: tight, processed pictures of one joint.
    """
    drawn = boxes or {}
    total = films + crops + strangers + knees + len(drawn)
    pictures = np.zeros((total, SIDE, SIDE), np.uint8)
    shapes = np.zeros((total, 2), np.int16)
    joints = np.full((total, 2, 4), np.nan, np.float32)
    count = 0
    samples = _samples(legs, films, crops, strangers, datalist, knees, seed)
    for picture, edges in chain(samples, _drawn(drawn)):
        small, factor = shrunk(picture)
        shapes[count] = small.shape
        pictures[count, : small.shape[0], : small.shape[1]] = small
        joints[count, : len(edges)] = np.array(edges).reshape(-1, 4) * factor
        count += 1
        if progress is not None:
            progress(count, total)
    with whole_file(path) as part, part.open("wb") as file:
        np.savez(file, pictures=pictures[:count], shapes=shapes[:count], joints=joints[:count])
    return Path(path)


def _samples(
    legs: Sequence[Shadow],
    films: int,
    crops: int,
    strangers: int,
    datalist: str | Path | None,
    knees: int,
    seed: int,
) -> Iterator[Sample]:
    for index in range(films):
        film = draw_film(legs, seed, index)
        # a film shows sides by turns of five: one in five of each
        alike = index // 5 % 5 != index % 5
        pixels = film.pixels if alike else _processed(film.pixels, seed, 4, index)
        yield pixels, list(film.joints.values())
    for index in range(crops):
        yield draw_crop(legs, seed, index)
    for index in range(strangers):
        stranger = draw_stranger(np.random.default_rng([seed, 1, index]), 288)
        yield stranger if index % 2 else _processed(stranger, seed, 5, index), []
    if datalist is not None and knees:
        for item in load_datalist(datalist, "training")[:knees]:
            yield knee_radiograph(Path(item["radiograph"]))


def _processed(picture: NDArray[Any], *seed: int) -> NDArray[np.uint8]:
    return processed(picture, np.random.default_rng(seed))


def _drawn(boxes: Boxes) -> Iterator[Sample]:
    for path, knees in boxes.items():
        picture, info = read_radiograph(path)
        turn = info.get("turn", UPRIGHT)
        upright = [turn.edges_upright(edges, picture.shape) for _, edges in knees[:2]]
        steps = believed_spacing(picture.shape, info["spacing_mm"])[0] or (1.0, 1.0)
        square = Turn((steps[0] / min(steps), steps[1] / min(steps)))  # as the detector looks at it
        picture = square.upright(picture)
        yield picture, [squared(square.edges_upright(edges, picture.shape)) for edges in upright]


def draw_film(legs: Sequence[Shadow], seed: int, index: int, pixels: int = SIDE) -> Film:
    """Film ``index`` of a corpus: three in five show both knees, the others one, on either side.

    Raises:
        InputError: fewer than two legs are given.
    """
    if len(legs) < 2:
        raise InputError(f"{len(legs)} painted leg: a film is laid out from two", option="legs 2")
    rng = np.random.default_rng([seed, 0, index])
    right, left = (legs[i] for i in rng.choice(len(legs), 2, replace=False))
    sides = ("RL", "RL", "RL", "R", "L")[index % 5]
    layout = sample_layout(rng, sides)
    layout = replace(layout, spacing_mm=max(layout.size_mm) / pixels)
    take = int(rng.integers(2**31))
    return take_film(
        right if "R" in sides else None, left if "L" in sides else None, take, layout=layout
    )


def knee_radiograph(path: Path) -> Sample:
    """A phantom case's radiograph, and its joint, from the record beside it."""
    record = path.with_name("features.json")
    try:
        parameters = json.loads(record.read_text(encoding="utf-8"))["parameters"]
    except (OSError, ValueError, KeyError) as error:
        raise DatalistError(f"{record} is no record of a phantom case ({error})") from error
    return read_radiograph(path)[0], [joint_of_case(parameters)]


def shrunk(picture: NDArray[Any], side: int = SIDE) -> tuple[NDArray[np.uint8], float]:
    """A picture as bytes, its longer side ``side`` pixels, and the factor of its size."""
    low, high = np.percentile(picture, (0.2, 99.8))
    scaled = np.clip((picture.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1) * 255
    factor = side / max(picture.shape)
    columns, rows = (max(8, min(side, round(n * factor))) for n in picture.shape[::-1])
    image = Image.fromarray(scaled.astype(np.float32))
    if abs(factor - 1) > 1e-3:
        image = image.resize((columns, rows), Image.Resampling.BOX if factor < 0.75 else None)
    return np.asarray(image).round().clip(0, 255).astype(np.uint8), factor
