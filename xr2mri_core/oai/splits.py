"""Splits of participants: stratified by Kellgren-Lawrence grade, or by clinical site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from xr2mri_core.datalist import SPLITS, check_ratios
from xr2mri_core.errors import DatalistError, shown

Item = Mapping[str, Any]


def split_by_kl(
    items: Sequence[Item],
    ratios: Sequence[float] = (7, 2, 1),
    seed: int = 0,
    kept: Mapping[str, str] | None = None,
) -> dict[str, list[Item]]:
    """Split by participant, each split with about the same grades.

    Participants are shuffled, then ordered by the worst grade of their knees, and handed out one
    by one to the split that lacks most. So the counts are the ratios, rounded, and within a grade
    nearly so.

    Args:
        items: entries with ``participant`` and ``features``; their order does not matter.
        ratios: shares of training, validation and test (Section III-B: 7:2:1).
        seed: seed of the shuffle.
        kept: participant -> split of those who stay where an earlier run put them.

    Returns:
        ``training``, ``validation``, ``test`` -> items, in their order.

    Raises:
        DatalistError: as `check_ratios`.
    """
    check_ratios(ratios)
    return _gathered(items, _dealt(items, dict(zip(SPLITS, ratios, strict=True)), seed, kept))


def split_by_site(
    items: Sequence[Item],
    test_sites: Sequence[str],
    ratios: Sequence[float] = (7, 2, 1),
    seed: int = 0,
    kept: Mapping[str, str] | None = None,
) -> dict[str, list[Item]]:
    """Hold the participants of some clinics out for the test: the stronger test.

    The others are split into training and validation as by `split_by_kl`, with the first two
    ratios.

    Raises:
        DatalistError: as `check_sites` and `check_ratios`.
    """
    held_out = check_sites(test_sites, (str(item.get("site") or "") for item in items))
    rest = [item for item in items if str(item.get("site") or "?") not in held_out]
    check_ratios(ratios, by_site=True)
    split_of = _dealt(rest, {"training": ratios[0], "validation": ratios[1]}, seed, kept)
    split_of |= {
        str(item["participant"]): "test"
        for item in items
        if str(item.get("site") or "?") in held_out
    }
    return _gathered(items, split_of)


def check_sites(test_sites: Iterable[str], known: Iterable[str]) -> set[str]:
    """Return the clinics to hold out.

    Args:
        test_sites: sites of the test split, as they were given.
        known: sites of the participants that are known; empty texts stand for unknown.

    Raises:
        DatalistError: if a site is unknown, or nobody would be left to train or to test.
    """
    held_out = {site.strip().upper() for site in test_sites}
    there = {site or "?" for site in known}
    if not held_out or not held_out < there:
        raise DatalistError(
            f"test sites {shown(sorted(held_out))}: the participants come from "
            f"{', '.join(sorted(there))}; hold out some of these, not all"
        )
    return held_out


def _dealt(
    items: Sequence[Item],
    shares: Mapping[str, float],
    seed: int,
    kept: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Participant -> split."""
    worst: dict[str, int] = {}
    for item in items:
        person, grade = str(item["participant"]), item["features"].get("V00XRKL", -1)
        worst[person] = max(grade, worst.get(person, -1))
    people = sorted(worst)
    order = np.random.default_rng(seed).permutation(len(people))
    names, total = list(shares), sum(shares.values())
    split_of = {who: split for who, split in (kept or {}).items() if who in worst}
    counts = {name: list(split_of.values()).count(name) for name in names}
    ranked = sorted((people[index] for index in order), key=worst.__getitem__)
    new = [person for person in ranked if person not in split_of]
    for dealt, person in enumerate(new, 1 + len(split_of)):
        lacking = {name: dealt * shares[name] / total - counts[name] for name in names}
        chosen = max(names, key=lacking.__getitem__)
        counts[chosen] += 1
        split_of[person] = chosen
    return split_of


def _gathered(items: Sequence[Item], split_of: Mapping[str, str]) -> dict[str, list[Item]]:
    return {
        split: [item for item in items if split_of[str(item["participant"])] == split]
        for split in SPLITS
    }
