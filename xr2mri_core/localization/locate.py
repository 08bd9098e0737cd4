"""The step between loading and cropping: where the knee is, where no box is given."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.geometry import Laterality
from xr2mri_core.localization.decision import Localization
from xr2mri_core.localization.detector import KneeDetector
from xr2mri_core.localization.sides import FILM, letter_doubts
from xr2mri_core.transforms.orientation import UPRIGHT, Turn
from xr2mri_core.transforms.polarity import DOUBTED, INVERTED, Judged, Shows, is_negative, polarity
from xr2mri_core.transforms.radiograph import LoadRadiographd, cut_out
from xr2mri_core.transforms.radiograph_file import read_radiograph
from xr2mri_core.transforms.steps import KeyedStep, Keys


def side_of(item: Mapping[str, Any]) -> Laterality | None:
    """The side of a datalist item's knee, as a radiograph is read with `LocateKneed`.

    What the item says, else its radiograph's file, else what is found in the picture: a lead
    letter, or that the right one of two knees is taken. None, which counts as right, where nothing
    tells it.

    Raises:
        RadiographError: the item says nothing, and its radiograph cannot be read.
    """
    stated = Laterality.parse(item.get("laterality"))
    if stated is not None or "radiograph" not in item:
        return stated
    data = LoadRadiographd("radiograph")({key: item.get(key) for key in ("radiograph", "box")})
    if Laterality.parse(data["radiograph_info"]["laterality"]) is None:
        data = LocateKneed("radiograph")(data)
    return Laterality.parse(data["radiograph_info"]["laterality"])


@dataclass(frozen=True)
class Look:
    """A radiograph's picture, and what was found in it.

    Attributes:
        picture: float32 (rows, columns), upright, bone bright.
        found: what was found, in its pixels, with every warning about the file.
        turn: how it became upright.
    """

    picture: NDArray[np.float32]
    found: Localization
    turn: Turn


def look_at(path: str | Path, detached: bool = False) -> Look:
    """Read a radiograph and find its knees with the shipped detector; a negative is inverted.

    Args:
        path: path of the radiograph.
        detached: see `read_radiograph`.

    Raises:
        RadiographError: as `read_radiograph`.
    """
    picture, info = read_radiograph(path, detached)
    turn, side = info.get("turn", UPRIGHT), Laterality.parse(info["laterality"])
    looks: list[tuple[NDArray[np.float32], Localization]] = []

    def judged(pixels: NDArray[np.float32]) -> Judged:
        found = KneeDetector.shipped().locate(pixels, info["spacing_mm"])
        looks.append((pixels, found))
        knee = found.choose(side)
        if knee is None:
            return polarity(pixels), Shows.NONE
        return polarity(cut_out(pixels, knee.box)), Shows.KNEE

    verdict = is_negative(picture, judged)
    picture, found = looks[-1] if verdict else looks[0]
    doubts = letter_doubts(picture, turn, side, both=found.kind == "bilateral")
    notes = () if verdict is False else (INVERTED if verdict else DOUBTED,)
    warnings = (*info["warnings"], *notes, *doubts, *found.warnings)
    return Look(picture, replace(found, warnings=warnings), turn)


def locate_file(path: str | Path) -> Localization:
    """What `look_at` finds, in pixels of the file.

    Raises:
        RadiographError: as `look_at`.
    """
    look = look_at(path)
    return look.found.in_file(look.turn)


class LocateKneed(KeyedStep):
    """Find the knee in a loaded radiograph (1, H, W) and set ``data["box"]`` to its square.

    A box that is given always wins, and no knee is looked for then. A picture that shows no knee
    gets no box, and is cropped as without a detector. What was found goes to
    ``data["<key>_info"]["localization"]``, its warnings to those of the picture; the side, where
    neither the data nor the file tell it, to ``["laterality"]``. A ``["spacing_mm"]`` that cannot
    be true becomes None; what the joint says instead stands in ``["joint_spacing_mm"]``.

    Args:
        keys: one radiograph.
        detector: None is the shipped one, loaded when it is first needed.
    """

    def __init__(self, keys: Keys, detector: KneeDetector | None = None) -> None:
        super().__init__(keys)
        self.detector = detector

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        given = done.get("box") is not None
        for key in self.key_iterator(done):
            info = done[f"{key}_info"]
            turn, picture = info.get("turn", UPRIGHT), np.asarray(done[key])[0]
            stated = Laterality.parse(done.get("laterality"))
            stated = stated or Laterality.parse(info.get("laterality"))
            if given:
                film = picture.shape[1] >= FILM * picture.shape[0]
                doubts = letter_doubts(picture, turn, stated, both=film)
                info = {**info, "warnings": [*info.get("warnings", ()), *doubts]}
                done[f"{key}_info"] = info
                continue
            detector = self.detector or KneeDetector.shipped()
            found = detector.locate(picture, info.get("spacing_mm"))
            doubts = letter_doubts(picture, turn, stated, both=found.kind == "bilateral")
            knee = found.choose(stated)
            notes = [
                *info.get("warnings", ()), *doubts, *found.warnings, *_notes(found, stated)
            ]  # fmt: skip
            info = {
                **info,
                "spacing_mm": found.spacing_mm,
                "joint_spacing_mm": None if found.scale is None else found.scale.spacing_mm,
                "localization": found.in_file(turn).to_dict(),
                "warnings": notes,
            }
            if knee is not None:
                done["box"] = knee.box
                if stated is None and knee.side is not None:
                    info["laterality"] = str(knee.side)
            done[f"{key}_info"] = info
        return done


def _notes(found: Localization, stated: Laterality | None) -> list[str]:
    notes = []
    if found.kind == "bilateral" and stated is None:
        notes.append(
            "both knees are shown: the right one, on image left, is taken; "
            "give the laterality L for the left one"
        )
    if found.scale is not None:
        notes.append(
            f"pixel spacing unknown: taken as {found.scale.words}, "
            "as if the knee were of average size"
        )
    return notes
