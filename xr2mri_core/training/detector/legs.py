"""A corpus of phantom legs on disk: what the films for the detector are laid out from.

    out/leg-000000.npz    soft, bone, trabecular float16 (rows, columns); plateau_mm, seed

Painting a leg takes seconds, laying out and exposing a film a fraction of one. So legs are painted
once, and every film pairs, turns and exposes them anew (`xr2mri_core.phantom.bilateral`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from xr2mri_core.errors import DatalistError, InputError, shown
from xr2mri_core.files import atomic_files, check_writable
from xr2mri_core.phantom.bilateral import Shadow, shadow_of
from xr2mri_core.phantom.dataset import case_seed
from xr2mri_core.processes import each_done

Progress = Callable[[int, int], None]
Result = TypeVar("Result")
_LAYERS = ("soft", "bone", "trabecular")


def write_legs(
    out: str | Path,
    legs: int,
    seed: int,
    jobs: int = 1,
    start: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Paints legs that are not yet there; an interrupted run resumes.

    Args:
        out: folder to write to.
        legs: number of legs.
        seed: seed of the corpus, as in `xr2mri_core.phantom.dataset.write_cases`.
        jobs: number of processes.
        start: index of the first, so that legs for testing are others than those for training.
        progress: called with (legs done, legs in all).

    Returns:
        The folder.

    Raises:
        InputError: for numbers out of range.
        DatalistError: if a leg in the folder is of another seed, or damaged.
        OutputError: if something cannot be written, or a process was killed.
    """
    if legs < 1 or start < 0 or seed < 0 or jobs < 1:
        raise InputError(f"legs={legs}, start={start}, seed={seed}, jobs={jobs}: give at least one")
    folder = check_writable(out)
    todo = [i for i in range(start, start + legs) if not _is_painted(folder, seed, i)]
    report = progress or (lambda done, total: None)
    report(legs - len(todo), legs)
    write = partial(_write_leg, folder, seed)
    with closing(each_done(write, todo, min(jobs, len(todo)), "paints legs")) as painted:
        for done, _ in enumerate(painted, legs - len(todo) + 1):
            report(done, legs)
    return folder


def read_legs(folder: str | Path, start: int = 0, count: int | None = None) -> list[Shadow]:
    """Reads legs ``start`` .. ``start + count - 1`` (all that follow, if None), by index.

    Raises:
        DatalistError: if there are none.
    """
    stop = None if count is None else start + count
    paths = sorted(Path(folder).glob("leg-*.npz"))
    chosen = [
        p for p in paths if start <= int(p.stem[4:]) and (stop is None or int(p.stem[4:]) < stop)
    ]
    if not chosen:
        raise DatalistError(
            f"no legs from {start} on in {folder}: xr2mri localize films makes them"
        )
    return [_read_leg(path) for path in chosen]


def _path(folder: Path, index: int) -> Path:
    return folder / f"leg-{index:06d}.npz"


def _is_painted(folder: Path, seed: int, index: int) -> bool:
    """Whether a leg is there; raises if it is another one than is asked for."""
    path = _path(folder, index)
    if not path.is_file():
        return False
    found = _read(path, lambda held: int(held["seed"]))
    if found != case_seed(seed, index):
        raise DatalistError(
            f"{path} was painted from another seed than {seed}: give the same seed, or another "
            "folder",
            option="legs_seed",
        )
    return True


def _write_leg(folder: Path, seed: int, index: int) -> None:
    leg = shadow_of(case_seed(seed, index))
    layers = {name: getattr(leg, name).numpy().astype(np.float16) for name in _LAYERS}
    with atomic_files(folder) as files, files.path(_path(folder, index)).open("wb") as file:
        np.savez(file, plateau_mm=leg.plateau_mm, seed=leg.seed, **layers)


def _read_leg(path: Path) -> Shadow:
    return _read(path, _shadow)


def _shadow(held: Mapping[str, NDArray[Any]]) -> Shadow:
    layers = {name: torch.from_numpy(held[name].astype(np.float32)) for name in _LAYERS}
    return Shadow(**layers, plateau_mm=float(held["plateau_mm"]), seed=int(held["seed"]))


def _read(path: Path, take: Callable[[Mapping[str, NDArray[Any]]], Result]) -> Result:
    try:
        with np.load(path, allow_pickle=False) as held:
            return take(held)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DatalistError(
            f"{path} is no painted leg ({shown(error)}): remove it and run again"
        ) from error
