"""How good the detector is: on films, knee-sized radiographs, strangers, and box files.

A joint counts as found when its box overlaps the true one by an IoU of 0.3 or more; the mean IoU
takes every true joint, one not found as 0. What the decision makes of them is judged as well: the
side of each knee, whether a cropped radiograph is kept, whether a stranger is recognised as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xr2mri_core.datalist import load_datalist
from xr2mri_core.geometry import Laterality
from xr2mri_core.localization.boxes import Edges, iou, middle_of, squared
from xr2mri_core.localization.boxfile import Boxes
from xr2mri_core.localization.decision import Localization
from xr2mri_core.localization.detector import KneeDetector
from xr2mri_core.phantom.bilateral import Shadow
from xr2mri_core.training.detector.crops import draw_crop
from xr2mri_core.training.detector.films import draw_film, knee_radiograph
from xr2mri_core.training.detector.strangers import UNSEEN_PHOTOGRAPHS, draw_stranger, photograph
from xr2mri_core.transforms.orientation import UPRIGHT
from xr2mri_core.transforms.radiograph_file import read_radiograph

FOUND = 0.3
Progress = Callable[[int, int, str], None]


_FILM_PIXELS = 640  # of its longer side


def score_films(
    detector: KneeDetector,
    legs: Sequence[Shadow],
    films: int,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Films laid out from legs that the detector has not seen: see the module for the figures."""
    overlaps: list[float] = []
    extra = sides = pairs = 0
    for index in range(films):
        film = draw_film(legs, seed, index, _FILM_PIXELS)
        found = detector.locate(film.pixels)
        best = [_best(found, box) for box in film.joints.values()]
        overlaps += best
        extra += max(0, len(found.knees) - sum(overlap >= FOUND for overlap in best))
        if len(film.joints) == 2:
            pairs += 1
            sides += all(_on_side(found, side, box) for side, box in film.joints.items())
        if progress is not None:
            progress(index + 1, films, "films")
    return {
        "films": films,
        **_summary(overlaps),
        "false": extra,
        "bilateral": pairs,
        "both_sides_right": sides,
    }


def score_crops(
    detector: KneeDetector,
    legs: Sequence[Shadow],
    crops: int,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Tight, processed crops (`crops`) of legs that the detector has not seen.

    ``doubted`` are those that may show no knee. The size of the joint gives such a picture
    its scale, so its relative error is measured too, over those that are found.
    """
    overlaps: list[float] = []
    ratios: list[float] = []
    doubted = 0
    for index in range(crops):
        picture, (joint,) = draw_crop(legs, seed, index)
        found = detector.locate(picture)
        overlaps.append(_best(found, joint))
        doubted += found.kind == "none"
        ratios += [_side(knee.joint) / _side(joint) for knee in found.knees[:1]]
        if progress is not None:
            progress(index + 1, crops, "crops")
    return {
        "crops": crops,
        **_summary(overlaps),
        "doubted": doubted,
        "size_bias": round(float(np.mean(ratios)) - 1, 4) if ratios else 0.0,
        "size_sd": round(float(np.std(ratios)), 4) if ratios else 0.0,
    }


def score_knees(
    detector: KneeDetector,
    datalist: str | Path,
    split: str = "test",
    progress: Progress | None = None,
) -> dict[str, float]:
    """Knee-sized radiographs of phantom cases, with and without their pixel spacing."""
    overlaps: list[float] = []
    kept = 0
    items = load_datalist(datalist, split)
    for index, item in enumerate(items):
        picture, joints = knee_radiograph(Path(item["radiograph"]))
        spacing = read_radiograph(item["radiograph"])[1]["spacing_mm"]
        found = detector.locate(picture)
        overlaps += [_best(found, joints[0])]
        kept += found.kind == "cropped" and detector.locate(picture, spacing).kind == "cropped"
        if progress is not None:
            progress(index + 1, len(items), "knees")
    return {"radiographs": len(items), **_summary(overlaps), "kept_whole": kept}


def score_strangers(
    detector: KneeDetector, drawn: int, seed: int, others: Iterable[Path] = ()
) -> dict[str, Any]:
    """Pictures without a knee: drawn ones, noise, unseen photographs, and files that are given."""
    pictures = {
        f"drawn-{i}": draw_stranger(np.random.default_rng([seed, 1, i]), 512) for i in range(drawn)
    }
    pictures |= {name: photograph(name) for name in UNSEEN_PHOTOGRAPHS}
    pictures |= {
        f"noise-{i}": np.random.default_rng([seed, 2, i]).random((400 + 20 * i, 500), np.float32)
        for i in range(10)
    }
    pictures |= {path.name: read_radiograph(path)[0] for path in others}
    taken = [name for name, p in pictures.items() if detector.locate(p).kind != "none"]
    return {"pictures": len(pictures), "taken_for_knees": len(taken), "names": taken}


def score_boxes(
    detector: KneeDetector, boxes: Boxes, progress: Progress | None = None
) -> dict[str, float]:
    """Score against joint boxes that a reader has drawn.

    People draw boxes of other sizes and about another middle than the detector's. So beside the
    plain IoU there is ``iou_aligned``, after the median difference of size and place between the
    two conventions has been taken out: what is left is how well they agree.
    """
    plain: list[float] = []
    pairs: list[tuple[Edges, Edges]] = []
    for index, (path, knees) in enumerate(boxes.items()):
        picture, info = read_radiograph(path)
        found = detector.locate(picture, info["spacing_mm"])
        turn = info.get("turn", UPRIGHT)
        for _, drawn in knees:
            box = squared(turn.edges_upright(drawn, picture.shape), info["spacing_mm"])
            plain.append(_best(found, box))
            near = [k.joint for k in found.knees if _covers(k.joint, box)]
            if near:
                pairs.append((near[0], box))
        if progress is not None:
            progress(index + 1, len(boxes), "pictures")
    aligned = _aligned(pairs)
    return {
        "pictures": len(boxes),
        "joints": len(plain),
        "iou": float(np.mean(plain)),
        "found": len(pairs),
        "iou_aligned": float(np.mean(aligned)) if aligned else 0.0,
    }


def _summary(overlaps: Sequence[float]) -> dict[str, float]:
    values = np.array(overlaps)
    return {
        "joints": len(values),
        "missed": int((values < FOUND).sum()),
        "iou": round(float(values.mean()), 4),
        "iou_5th_percentile": round(float(np.percentile(values, 5)), 4),
        "share_above_0.75": round(float((values > 0.75).mean()), 4),
    }


def _side(box: Edges) -> float:
    return box[2] - box[0]


def _best(found: Localization, box: Edges) -> float:
    seen = [k for k in found.knees if k.source in ("detector", "picture")]
    return max((iou(knee.joint, box) for knee in seen), default=0.0)


def _on_side(found: Localization, side: str, box: Edges) -> bool:
    wanted = Laterality.parse(side)
    return any(k.side is wanted and iou(k.joint, box) >= FOUND for k in found.knees)


def _covers(joint: Edges, box: Edges) -> bool:
    row, column = middle_of(box)
    return joint[0] < row < joint[2] and joint[1] < column < joint[3]


def _aligned(pairs: Sequence[tuple[Edges, Edges]]) -> list[float]:
    """IoU after the boxes found have been given the others' median size and place."""
    if not pairs:
        return []
    found, drawn = (np.array(boxes) for boxes in zip(*pairs, strict=True))
    side = found[:, 2] - found[:, 0]
    ratio = float(np.median((drawn[:, 2] - drawn[:, 0]) / side))
    middle, aim = ((b[:, :2] + b[:, 2:]) / 2 for b in (found, drawn))
    shift = np.median((aim - middle) / side[:, None], axis=0)
    middle, half = middle + shift * side[:, None], ratio * side[:, None] / 2
    moved = np.concatenate([middle - half, middle + half], axis=1)
    return [iou(a, b) for a, b in zip(moved.tolist(), drawn.tolist(), strict=True)]


def table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures as lines of text."""
    return "\n".join(
        f"{part}: " + ", ".join(f"{name} {value}" for name, value in figures.items())
        for part, figures in scores.items()
    )
