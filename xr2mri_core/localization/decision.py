"""What a detector's joints mean: which knees are there, on which side, and what to cut out.

- Two joints beside each other: a bilateral view, the patient's right on image left.
- One joint that fills a squarish picture: somebody has cropped it. Where that square is the one
  that the model expects, it is kept; else the crop is the one about the joint, padded where it
  leaves the picture.
- One joint otherwise. The side of one is that of the lead letter, if one is legible.
- A wide picture with one sure joint: the mirror image of its box stands for the other one, for who
  asks for that side; else the knee that was seen is taken (`Localization.choose`).
- A wide picture with nothing sure: its halves, and a warning.
- Nothing: no knee, and a warning that says so.

A stated pixel spacing that makes the joint impossibly small or large is not believed; where none is
known, the joint gives the scale (`scale`). What letters say against it is in `sides`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.geometry import Laterality
from xr2mri_core.localization.boxes import EXPANSION, Edges, crop_of, middle_of
from xr2mri_core.localization.marker import Marker, read_markers
from xr2mri_core.localization.scale import Scale, checked_spacing, scale_of
from xr2mri_core.localization.sides import FILM
from xr2mri_core.transforms.orientation import Turn
from xr2mri_core.transforms.radiograph import CROP_MM, Box, believed_spacing, middle_square

SURE = 0.5
"""Score from which a detection counts as a joint."""
PERHAPS = 0.25
"""Score from which a joint is worth a fallback."""
NARROW = 1.4
"""Largest ratio of the longer to the shorter side of a picture that one joint fills."""
NO_KNEE = "no knee found: is this a knee radiograph?"

_WIDEST = 2.5  # the same: films of both knees are at most 2.2 times as wide as tall
_SQUARISH = 1.15
_FILLED = 0.68  # share of a cropped picture's side that the crop takes
_FULL = 0.88  # share of a picture's side that a joint which fills it takes: it shows up to 120 mm
_OFF_MIDDLE = 0.16  # of its side, for the crop's middle
_OFF_MIDDLE_FILLED = 0.25  # the same for the middle of a joint that fills its picture
_KNEE_FIELD_MM = 1.25 * CROP_MM
_AGREE = 0.08  # share of the crop's side by which a picture may differ from it and be kept


@dataclass(frozen=True)
class KneeBox:
    """One knee of a radiograph.

    Attributes:
        box: the square to cut out (top, left, bottom, right), whole pixels, square in mm; it may
            reach outside the picture. What ``generate(box=...)`` takes.
        joint: the square joint box that was found, in pixels.
        side: None where nothing tells it.
        score: confidence in [0, 1].
        source: ``detector``; ``mirrored`` from the other knee; ``half`` of the picture;
            ``picture``, for one that is cropped already as it should be.
        doubt: what `Localization.warnings` say of its box, which is of use to who takes it; or "".
    """

    box: Box
    joint: Edges
    side: Laterality | None
    score: float
    source: str = "detector"
    doubt: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "side": None if self.side is None else str(self.side),
            "score": round(self.score, 3),
            "source": self.source,
            "joint": [round(edge, 1) for edge in self.joint],
            "box": [int(edge) for edge in self.box],
        }


@dataclass(frozen=True)
class Localization:
    """The knees of a radiograph.

    Attributes:
        knees: the knees from image left to image right, at most two.
        kind: ``bilateral``, ``single``, ``cropped`` or ``none``.
        warnings: warnings for the user.
        doubts: those of them that hold whatever is cut out of the picture.
        shape: rows and columns of the picture.
        spacing_mm: spacing of rows and columns, or None where it is unknown or cannot be true.
        scale: what the joint says of it then; None where the spacing is known, or no joint seen.
    """

    knees: tuple[KneeBox, ...]
    kind: str
    warnings: tuple[str, ...]
    shape: tuple[int, int]
    spacing_mm: tuple[float, float] | None = None
    scale: Scale | None = None
    doubts: tuple[str, ...] = ()

    @property
    def only_seen(self) -> KneeBox | None:
        """The one of two knees that was seen, where the other's box is a guess."""
        seen = [knee for knee in self.knees if knee.score > 0]
        return seen[0] if len(self.knees) == 2 and len(seen) == 1 else None

    def choose(self, asked: object = None, stated: object = None) -> KneeBox | None:
        """The knee to take: of two the one of the side that is asked for, be its box a guess.

        Where none is asked for, or the one that the file states, as a file of one knee does, it is
        the only one that was seen; of two that were, that of the file's side, else the right one.

        Args:
            asked: side of the knee that is wanted: R, L, or auto.
            stated: side that the file states.
        """
        if len(self.knees) < 2:
            return self.knees[0] if self.knees else None
        side, of_file = Laterality.parse(asked), Laterality.parse(stated)
        if self.only_seen is not None and side in (None, of_file):
            return self.only_seen
        side = side or of_file or Laterality.RIGHT
        return next(knee for knee in self.knees if knee.side is side)

    def warnings_of(self, knee: KneeBox | None) -> tuple[str, ...]:
        """Those of the warnings that are left where this knee is taken: not of the other's box."""
        others = {other.doubt for other in self.knees if other is not knee}
        return tuple(warning for warning in self.warnings if warning not in others)

    def within(self, box: Sequence[float]) -> KneeBox | None:
        """The only knee whose joint's middle lies in a box (top, left, bottom, right)."""
        top, left, bottom, right = box
        middles = ((knee, *middle_of(knee.joint)) for knee in self.knees)
        inside = [k for k, row, col in middles if top <= row < bottom and left <= col < right]
        return inside[0] if len(inside) == 1 else None

    def in_file(self, turn: Turn) -> Localization:
        """The same in pixels of the file, of whose picture the upright one was looked at."""
        knees = tuple(
            replace(
                knee,
                box=turn.box_in_file(knee.box, self.shape),
                joint=turn.edges_in_file(knee.joint, self.shape),
            )
            for knee in self.knees
        )
        spacing = self.spacing_mm
        if spacing is not None and turn.transposed:
            spacing = spacing[::-1]
        scale = self.scale
        if scale is not None and turn.transposed:
            scale = replace(scale, spacing_mm=scale.spacing_mm[::-1])
        shape = turn.shape_in_file(self.shape)
        return replace(self, knees=knees, shape=shape, spacing_mm=spacing, scale=scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "kind": self.kind,
            "rows": self.shape[0],
            "columns": self.shape[1],
            "spacing_mm": None if self.spacing_mm is None else list(self.spacing_mm),
            "scale": None if self.scale is None else self.scale.to_dict(),
            "knees": [knee.to_dict() for knee in self.knees],
            "warnings": list(self.warnings),
        }


def decide(
    detections: Sequence[tuple[Edges, float]],
    picture: NDArray[np.float32],
    spacing_mm: tuple[float, float] | None,
) -> Localization:
    """Make a localization of joint boxes with scores.

    Args:
        detections: distinct, the surest first.
        picture: float32 (rows, columns), bone bright.
        spacing_mm: spacing of rows and columns, None where unknown.
    """
    shape = (int(picture.shape[0]), int(picture.shape[1]))
    stated = spacing_mm
    spacing_mm, doubts = believed_spacing(shape, stated)
    sure = [d for d in detections if d[1] >= SURE]
    scale = None
    if sure:
        spacing_mm, more = checked_spacing(spacing_mm, sure[0][0])
        doubts += more
        if spacing_mm is None:
            scale = scale_of(sure[0][0], stated)
    found = replace(_decided(detections, sure, shape, spacing_mm), scale=scale)
    found = replace(found, warnings=(*doubts, *found.warnings), doubts=doubts)
    return _with_side(found, read_markers(picture)) if len(found.knees) == 1 else found


def _decided(
    detections: Sequence[tuple[Edges, float]],
    sure: Sequence[tuple[Edges, float]],
    shape: tuple[int, int],
    spacing_mm: tuple[float, float] | None,
) -> Localization:
    """What is shown, by what was found and by the spacing that is believed."""
    pair = None if _knee_sized(shape, spacing_mm) else _pair(sure, detections)
    if pair is not None:
        return _bilateral(pair, shape, spacing_mm)
    if sure and _cropped(sure[0][0], shape, spacing_mm):
        return _whole(*sure[0], shape, spacing_mm)
    if sure:
        return _single(sure, shape, spacing_mm)
    return _unsure(detections, shape, spacing_mm)


def _pair(
    sure: Sequence[tuple[Edges, float]], all_found: Sequence[tuple[Edges, float]]
) -> tuple[tuple[Edges, float], tuple[Edges, float]] | None:
    """The surest knee and the surest other that can be its fellow, from image left to right."""
    for first in sure:
        for other in all_found:
            if other is not first and other[1] >= PERHAPS and _fellows(first[0], other[0]):
                left, right = sorted((first, other), key=lambda found: found[0][1])
                return left, right
    return None


def _fellows(a: Edges, b: Edges) -> bool:
    """Whether two joints can be both knees of one person who stands."""
    sides = sorted((a[2] - a[0], b[2] - b[0]))
    wide = max(a[3] - a[1], b[3] - b[1])
    (row, column), (row_b, column_b) = middle_of(a), middle_of(b)
    beside = abs(column - column_b) > 0.85 * wide
    return beside and abs(row - row_b) < 0.7 * sides[1] and sides[1] < 1.5 * sides[0]


def _knee_sized(shape: tuple[int, int], spacing: tuple[float, float] | None) -> bool:
    """Whether a picture is known to be too small for two knees."""
    if spacing is None:
        return False
    return max(n * step for n, step in zip(shape, spacing, strict=True)) <= _KNEE_FIELD_MM


def breadth(shape: tuple[int, int], spacing: tuple[float, float] | None) -> float:
    """How many times wider than tall a picture is."""
    row, column = spacing or (1.0, 1.0)
    return shape[1] / shape[0] * (column / row)


def _squarish(shape: tuple[int, int], spacing: tuple[float, float] | None) -> bool:
    row, column = spacing or (1.0, 1.0)
    return max(shape[0] * row, shape[1] * column) <= _SQUARISH * min(
        shape[0] * row, shape[1] * column
    )


def _cropped(joint: Edges, shape: tuple[int, int], spacing: tuple[float, float] | None) -> bool:
    """Whether the picture as it is, or its middle, is what would be cut out anyway."""
    if not _squarish(shape, spacing):
        return False
    if _knee_sized(shape, spacing):
        return True
    if spacing is not None:
        return False
    if fills(joint, shape):
        return True
    short = min(shape)
    top, left, bottom, right = crop_of(joint)
    # a joint wider than a tight crop is cut off by it, so that its true size is not seen
    wide = min(bottom - top, 1.3 * short) >= _FILLED * short
    row, column = middle_of((top, left, bottom, right))
    off = max(abs(row - shape[0] / 2), abs(column - shape[1] / 2))
    return wide and off <= _OFF_MIDDLE * short


def fills(joint: Edges, shape: tuple[int, int]) -> bool:
    """Whether a joint box leaves little of its picture free, which is no wide one."""
    short = min(shape)
    row, column = middle_of(joint)
    off = max(abs(row - shape[0] / 2), abs(column - shape[1] / 2))
    near = max(shape) <= NARROW * short and off <= _OFF_MIDDLE_FILLED * short
    return near and joint[2] - joint[0] >= _FULL * short


def _whole(
    joint: Edges, score: float, shape: tuple[int, int], spacing: tuple[float, float] | None
) -> Localization:
    middle, aim = middle_square(shape, spacing), _crop(joint, spacing, shape)
    inside = spacing is not None and min(middle[:2]) >= -_AGREE / 2 * (middle[2] - middle[0])
    if inside or _agree(middle, aim):
        knee = KneeBox(middle, joint, None, score, "picture")
    else:
        knee = KneeBox(aim, joint, None, score)
    return Localization((knee,), "cropped", (), shape, spacing)


def _crop(joint: Edges, spacing: tuple[float, float] | None, shape: tuple[int, int]) -> Box:
    """The square to cut out for a joint, at most twice as large as the picture.

    A joint that fills its picture is seen in part alone, and so its size is not known well.
    """
    box = crop_of(joint, spacing)
    tall, wide = box[2] - box[0], box[3] - box[1]
    share = 2 * max(shape) / max(tall, wide)
    if share >= 1:
        return box
    row, column = middle_of(box)
    tall, wide = int(tall * share), int(wide * share)
    top, left = round(row - tall / 2), round(column - wide / 2)
    return top, left, top + tall, left + wide


def _agree(a: Box, b: Box) -> bool:
    """Whether two squares are the same, as far as the size and place of a joint can tell."""
    side = b[2] - b[0]
    apart = max(abs(p - q) for p, q in zip(middle_of(a), middle_of(b), strict=True))
    return abs(a[2] - a[0] - side) <= _AGREE * side and apart <= _AGREE * side


def _bilateral(
    pair: tuple[tuple[Edges, float], tuple[Edges, float]],
    shape: tuple[int, int],
    spacing: tuple[float, float] | None,
) -> Localization:
    knees = []
    for side, (joint, score) in zip((Laterality.RIGHT, Laterality.LEFT), pair, strict=True):
        doubt = f"the {name_of(side)} knee was not found with certainty: check its box"
        crop = _crop(joint, spacing, shape)
        knees.append(KneeBox(crop, joint, side, score, doubt="" if score >= SURE else doubt))
    notes = tuple(knee.doubt for knee in knees if knee.doubt)
    return Localization(tuple(knees), "bilateral", notes, shape, spacing)


def _single(
    sure: Sequence[tuple[Edges, float]],
    shape: tuple[int, int],
    spacing: tuple[float, float] | None,
) -> Localization:
    joint, score = sure[0]
    knee = KneeBox(_crop(joint, spacing, shape), joint, None, score)
    column, wide = middle_of(joint)[1], joint[3] - joint[1]
    apart = abs(shape[1] - 2 * column)
    if breadth(shape, spacing) < FILM or apart < 0.95 * wide:
        return Localization((knee,), "single", (), shape, spacing)
    mirrored = (joint[0], shape[1] - joint[3], joint[2], shape[1] - joint[1])
    on_left = column < shape[1] / 2
    seen, missed = (Laterality.RIGHT, Laterality.LEFT)[:: 1 if on_left else -1]
    note = (
        f"the {name_of(missed)} knee was not found: its box is the mirror image of the "
        "other's; check it, or give a box"
    )
    knee = replace(knee, side=seen)
    other = KneeBox(_crop(mirrored, spacing, shape), mirrored, missed, 0.0, "mirrored", note)
    knees = (knee, other) if on_left else (other, knee)
    return Localization(knees, "bilateral", (note,), shape, spacing)


def _unsure(
    detections: Sequence[tuple[Edges, float]],
    shape: tuple[int, int],
    spacing: tuple[float, float] | None,
) -> Localization:
    """Halves of a wide picture that may show knees; else no knee."""
    film = FILM <= breadth(shape, spacing) <= _WIDEST and not _knee_sized(shape, spacing)
    if not film or not detections or detections[0][1] < PERHAPS:
        return Localization((), "none", (NO_KNEE,), shape, spacing)
    half = shape[1] // 2
    perhaps = [(middle_of(box)[1] < shape[1] / 2, at) for box, at in detections if at >= PERHAPS]
    knees = []
    for side, left in ((Laterality.RIGHT, 0), (Laterality.LEFT, shape[1] - half)):
        top, near, bottom, far = middle_square((shape[0], half), spacing)
        box = (top, near + left, bottom, far + left)
        down, across = (n * (1 - 1 / EXPANSION) / 2 for n in (bottom - top, far - near))
        joint = (box[0] + down, box[1] + across, box[2] - down, box[3] - across)
        score = max((at for on_left, at in perhaps if on_left is (left == 0)), default=0.0)
        knees.append(KneeBox(box, joint, side, score, "half"))
    note = (
        "no knee found with certainty: is this a knee radiograph? "
        "A half of the picture is taken for each; check it, or give a box"
    )
    return Localization(tuple(knees), "bilateral", (note,), shape, spacing)


def _with_side(found: Localization, letters: Sequence[Marker]) -> Localization:
    """The side of one knee by lead letters that agree."""
    said = {letter.side for letter in letters}
    if found.kind not in ("single", "cropped") or len(said) != 1:
        return found
    side = said.pop()
    knee = replace(found.knees[0], side=side)
    note = f"the side is read from a letter in the picture: {name_of(side)}"
    return replace(found, knees=(knee,), warnings=(*found.warnings, note))


def name_of(side: Laterality | None) -> str:
    """The side in a word; the right one where it is unknown."""
    return "left" if side is Laterality.LEFT else "right"
