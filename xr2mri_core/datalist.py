"""The MONAI datalist of pairs: one JSON file that names every case of a data set.

    {"name": "...", "description": "...", "synthetic": true,
     "training": [...], "validation": [...], "test": [...]}

An item is a dictionary: ``case`` and ``participant`` (texts), ``radiograph`` and ``mri`` (paths),
and optionally ``labels`` (path of a label map on the grid of the MRI), ``laterality`` (R or L),
``features`` (OAI name -> grade), ``age`` (years), ``sex`` (F or M) and ``bmi`` (kg/m2). Paths in
the file are relative to the file; in memory they are absolute. No participant is in two splits,
because visits and both knees share anatomy.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.demographics import SLICES, parse_demographics
from xr2mri_core.errors import DatalistError, FeatureError, InputError, encodable, shown
from xr2mri_core.features import parse_features
from xr2mri_core.files import write_text
from xr2mri_core.geometry import Laterality, edges_of

log = logging.getLogger("xr2mri")

SPLITS = ("training", "validation", "test")
PATHS = ("radiograph", "mri", "labels")
REQUIRED = ("case", "participant", "radiograph", "mri")

Item = dict[str, Any]


def load_datalist(
    path: str | Path,
    split: str | None = None,
    required: Sequence[str] = REQUIRED,
    there: Sequence[str] = PATHS,
) -> list[Item]:
    """Return the items of a datalist, checked, with absolute paths.

    Args:
        path: the JSON file.
        split: ``training``, ``validation`` or ``test``; None for all, in this order.
        required: keys that every item must have.
        there: those of `PATHS` whose files, where named, have to be on this machine.

    Returns:
        The items, in the order of the file, each with ``split``, and with ``features`` ({} where
        the file has none) as `parse_features` returns them.

    Raises:
        DatalistError: naming the file, the item and what is wrong with it.
    """
    path = Path(path)
    content = _read(path)
    if split is not None and split not in SPLITS:
        raise DatalistError(f"split {shown(split)}: accepted are {', '.join(SPLITS)}")
    if not any(name in content for name in SPLITS):
        raise DatalistError(f"{path}: none of the lists {', '.join(SPLITS)}; give a datalist")
    items = []
    for name in SPLITS:
        listed = content.get(name, [])
        if not isinstance(listed, list):
            raise DatalistError(f"{path}: {name} is {shown(listed)}; it must be a list of items")
        for index, item in enumerate(listed):
            where = f"{path}, {name}[{index}]"
            items.append({**_checked(item, required, where), "split": name})
    check_split(items, path)
    chosen = [item for item in items if split in (None, item["split"])]
    if not chosen:
        raise DatalistError(f"{path}: no items in {split or 'any split'}; add cases to it")
    return [_with_files(item, there, path) for item in chosen]


def side_and_box(item: Mapping[str, Any]) -> dict[str, Any]:
    """``laterality`` and ``box`` of an item, as a `GenerationRequest` has them."""
    return {"laterality": item.get("laterality") or "auto", "box": item.get("box")}


def save_datalist(
    path: str | Path,
    splits: Mapping[str, Iterable[Mapping[str, Any]]],
    name: str,
    description: str = "",
    synthetic: bool = False,
    kept: Mapping[str, str] | None = None,
) -> Path:
    """Write a datalist, whole or not at all.

    Args:
        path: the JSON file; its folder is made.
        splits: ``training``, ``validation``, ``test`` -> items. Paths are written relative to
            the file; relative ones are taken to be so already.
        name: name of the data set.
        description: where the data come from.
        synthetic: whether the images were made and not acquired.
        kept: participant -> split of earlier runs (`splits_of`). Who of them has no item now is
            remembered under ``absent``, so as to come back to no other split.

    Returns:
        ``path``.

    Raises:
        DatalistError: for an unknown split, an item without a required key, or a participant in
            two splits.
        OutputError: if the file cannot be written.
    """
    path = Path(path)
    unknown = set(splits) - set(SPLITS)
    if unknown:
        raise DatalistError(f"splits {sorted(unknown)}: accepted are {', '.join(SPLITS)}")
    content: dict[str, Any] = {"name": name, "description": description, "synthetic": synthetic}
    checked = []
    for split in SPLITS:
        content[split] = []
        for index, given in enumerate(splits.get(split, ())):
            item = _checked(given, REQUIRED, f"{split}[{index}]")
            item.pop("split", None)
            checked.append({**item, "split": split})
            for key in PATHS:
                if key in item and Path(item[key]).is_absolute():
                    item[key] = Path(os.path.relpath(item[key], path.parent.resolve())).as_posix()
            content[split].append(item)
    check_split(checked, path)
    here = {str(item["participant"]) for item in checked}
    if absent := {who: split for who, split in sorted((kept or {}).items()) if who not in here}:
        content["absent"] = absent
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_text(path, encodable(text))  # a lone surrogate is what JSON reads it back from
    return path


def splits_of(path: Path, drawn: str = "", spelt: Callable[[str], str] = str) -> dict[str, str]:
    """Participant -> split in a datalist that an earlier run wrote; empty where there is none.

    Who is in the test split has to stay there when a data set grows: a model may have been trained
    on all others. Whoever has no item for once (``absent``) counts, too.

    Args:
        path: the JSON file.
        drawn: how its description has to say that its split was drawn; another one counts as none.
        spelt: spells a description of an earlier version as ``drawn`` is.

    Raises:
        DatalistError: it is there and cannot be read.
    """
    content = _read(path) if path.is_file() else {}
    if drawn not in spelt(str(content.get("description", ""))):
        return {}
    listed = {split: content.get(split, []) for split in SPLITS}
    absent = content.get("absent", {})
    return (absent if isinstance(absent, dict) else {}) | {
        str(item["participant"]): split
        for split, items in listed.items()
        if isinstance(items, list)
        for item in items
        if isinstance(item, dict) and "participant" in item
    }


def split_by_participant(
    items: Iterable[Mapping[str, Any]],
    ratios: Sequence[float] = (7, 2, 1),
    seed: int = 0,
    kept: Mapping[str, str] | None = None,
) -> dict[str, list[Item]]:
    """Split items into training, validation and test (Section III-B: 7:2:1) by participant.

    The participants are sorted, then shuffled with ``seed``: the order of the items does not
    matter. Counts of participants are the ratios, rounded.

    Args:
        items: entries with ``participant``.
        ratios: shares of training, validation and test.
        seed: seed of the shuffle.
        kept: participant -> split of those who stay where they are (`splits_of`); the others are
            split among themselves.

    Returns:
        ``training``, ``validation``, ``test`` -> items, in their order.

    Raises:
        DatalistError: for an item without ``participant``, or ratios that are not three numbers
            of at least 0 with a positive sum.
    """
    shares = check_ratios(ratios)
    known = [_checked(item, ("participant",), f"item {n}") for n, item in enumerate(items)]
    split_of = dict(kept or {})
    participants = sorted({item["participant"] for item in known} - split_of.keys())
    order = np.random.default_rng(seed).permutation(len(participants))
    ends = np.rint(np.cumsum(shares) / shares.sum() * len(participants)).astype(int)
    split_of |= {
        participants[index]: SPLITS[int(np.searchsorted(ends, rank, side="right"))]
        for rank, index in enumerate(order)
    }
    return {
        split: [item for item in known if split_of[item["participant"]] == split]
        for split in SPLITS
    }


def check_ratios(ratios: Sequence[float], by_site: bool = False) -> NDArray[np.float64]:
    """The shares of training, validation and test.

    Args:
        ratios: three numbers.
        by_site: whether only the first two are used, since the test is some clinics.

    Raises:
        DatalistError: they are not three numbers of at least 0, those used with a positive sum.
    """
    shares = np.asarray(ratios, dtype=float)
    valid = shares.shape == (3,) and bool(np.isfinite(shares).all()) and shares.min() >= 0
    if not valid or not shares[: 2 if by_site else 3].sum() > 0:
        raise DatalistError(
            f"shares {shown(ratios)} of training, validation and test: give three numbers, such "
            "as 7, 2, 1"
        )
    return shares


def check_split(items: Iterable[Mapping[str, Any]], where: object = "datalist") -> None:
    """Refuse items (with ``split``) that put one participant in two splits, or a case in twice."""
    split_of: dict[str, str] = {}
    cases: set[str] = set()
    for item in items:
        person, split = item.get("participant"), item["split"]
        if person is not None and split_of.setdefault(person, split) != split:
            raise DatalistError(
                f"{where}: participant {shown(person)} is in {split_of[person]} and in {split}; "
                "split by participant"
            )
        if item.get("case") in cases:
            raise DatalistError(f"{where}: case {shown(item['case'])} is listed twice; keep one")
        if "case" in item:
            cases.add(item["case"])


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DatalistError(f"{path}: no such file; give the path of a datalist") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DatalistError(f"{path}: not a JSON file ({shown(error)}); give a datalist") from error
    if not isinstance(content, dict):
        raise DatalistError(f"{path}: {shown(content)} is no JSON object; give a datalist")
    return content


def _checked(item: object, required: Sequence[str], where: str) -> Item:
    """Return a copy of one item with its texts, laterality and features checked."""
    if not isinstance(item, Mapping):
        raise DatalistError(f"{where}: {shown(item)} is no item; give a JSON object")
    checked = dict(item)
    for key in required:
        if checked.get(key) in (None, ""):
            raise DatalistError(f"{where}: {key} is missing; required are {', '.join(required)}")
    for key in ("case", "participant", *PATHS):
        if isinstance(checked.get(key), Path):
            checked[key] = str(checked[key])
        if key in checked and not isinstance(checked[key], str):
            raise DatalistError(f"{where}: {key} is {shown(checked[key])}; give a text")
    _check_name(checked.get("case"), where)
    _check_window(checked.get("window"), where)
    try:
        if "laterality" in checked:
            side = Laterality.parse(checked["laterality"])
            checked["laterality"] = str(side) if side else "auto"
        if "features" in checked:
            checked["features"] = parse_features(checked["features"])
        if checked.get("box") is not None:
            edges_of(checked["box"])
    except (FeatureError, InputError) as error:
        raise DatalistError(f"{where}: {error}") from error
    for name in SLICES:  # kept as written; a model may not even use them
        try:
            parse_demographics({name: checked.get(name)})
        except InputError as error:
            log.warning("%s: %s; left out", where, error)
            del checked[name]
    return checked


def _check_name(case: str | None, where: str) -> None:
    """Refuse a case that leads elsewhere: files and folders are called after cases."""
    name = case or ""
    if "\0" in name or name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name):
        raise DatalistError(f"{where}: case {shown(case)} cannot name a file; rename it")


def _check_window(window: object, where: str) -> None:
    if window is None:
        return
    ends = window if isinstance(window, list | tuple) else ()
    whole = len(ends) == 2 and all(isinstance(end, int) and end >= 0 for end in ends)
    if not whole or not ends[0] < ends[1]:
        raise DatalistError(f"{where}: window {shown(window)}: give start and stop, two slices")


def _with_files(item: Item, there: Sequence[str], path: Path) -> Item:
    """Return an item with absolute paths, those of ``there`` of files that exist, and features."""
    found = {"features": {}, **item}
    for key in PATHS:
        if key in found:
            file = path.parent.resolve() / found[key]
            why = _why_not(file) if key in there else ""
            if why:
                raise DatalistError(
                    f"{path}, case {shown(item.get('case'))}: {key} {shown(found[key])} {why}; "
                    "paths are relative to the datalist"
                )
            found[key] = str(file)
    return found


def _why_not(file: Path) -> str:
    """Why a file cannot be used; empty where it can. A pipe or a device would be read for ever."""
    try:
        if not file.exists():
            return f"does not exist at {file}"
        return "" if file.is_file() or file.is_dir() else "is a pipe or a device"
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"
