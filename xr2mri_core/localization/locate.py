"""The step between loading and cropping: where the knee is, and which one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.geometry import Laterality, edges_of
from xr2mri_core.localization.decision import KneeBox, Localization, breadth, name_of
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
    letter, or on which side of a film of both the knee lies that is taken. None, which counts as
    right, where nothing tells it.

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
        knee = found.choose(stated=side)
        if knee is None:
            return polarity(pixels), Shows.NONE
        return polarity(cut_out(pixels, knee.box)), Shows.KNEE

    verdict = is_negative(picture, judged)
    picture, found = looks[-1] if verdict else looks[0]
    doubts = letter_doubts(picture, turn, side, both=found.kind == "bilateral")
    notes = () if verdict is False else (INVERTED if verdict else DOUBTED,)
    warnings = (*info["warnings"], *notes, *doubts, *found.warnings)
    return Look(picture, replace(found, warnings=warnings), turn)


class LocateKneed(KeyedStep):
    """Find the knee in a loaded radiograph (1, H, W) and set ``data["box"]`` to its square.

    A box that is given always wins; what is found then tells the side of the knee in it, or doubts
    it, and how large its pixels are. A picture that shows no knee gets no box, and is cropped as
    without a detector. What was found where no box is given goes to
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
        given = done.get("box")
        for key in self.key_iterator(done):
            info = done[f"{key}_info"]
            turn, picture = info.get("turn", UPRIGHT), np.asarray(done[key])[0]
            asked = Laterality.parse(done.get("laterality"))
            stated = Laterality.parse(info.get("laterality"))
            side = asked or stated
            detector = self.detector or KneeDetector.shipped()
            found = detector.locate(picture, info.get("spacing_mm"))
            both = found.kind == "bilateral"
            if given is None:
                knee = found.choose(asked, stated)
                notes = [*found.warnings_of(knee), *_notes(found, knee, side)]
            else:
                knee = found.within(edges_of(given))
                notes = [*found.doubts, *_notes_of_box(found, knee, side)]
                both = both or breadth(found.shape, found.spacing_mm) >= FILM
            doubts = letter_doubts(picture, turn, side, both)
            info = {**info, "warnings": [*info.get("warnings", ()), *doubts, *notes]}
            info["spacing_mm"] = found.spacing_mm
            info["joint_spacing_mm"] = None if found.scale is None else found.scale.spacing_mm
            if found.scale is not None:
                info["warnings"].append(
                    f"pixel spacing unknown: taken as {found.scale.words}, "
                    "as if the knee were of average size"
                )
            if given is None:
                info["localization"] = found.in_file(turn).to_dict()
            if given is None and knee is not None:
                done["box"] = knee.box
            if side is None and knee is not None and knee.side is not None:
                info["laterality"] = str(knee.side)
            done[f"{key}_info"] = info
        return done


def _notes(found: Localization, knee: KneeBox | None, side: Laterality | None) -> tuple[str, ...]:
    """What is to be said of the knee that is taken, where no box is given."""
    if found.kind != "bilateral" or knee is None:
        return ()
    perhaps = knee.source == "half"
    if found.only_seen is None:
        both = (
            f"{'perhaps ' if perhaps else ''}both knees are shown: the right one, on image left, "
            "is taken; give the laterality L for the left one"
        )
        return (both,) if side is None else ()
    if knee is not found.only_seen or knee.side is side:
        return ()
    place = "left" if knee.side is Laterality.RIGHT else "right"
    seen = f"{'what may be a knee' if perhaps else 'one knee'} is seen, on image {place}"
    if side is None:
        return (f"{seen}: it is taken, as the {name_of(knee.side)} one by its place; check that",)
    return (
        f"{seen}, where the {name_of(knee.side)} one is on a film of both: it is taken as the file "
        f"says, {side}; check the side",
    )


def _notes_of_box(
    found: Localization, knee: KneeBox | None, side: Laterality | None
) -> tuple[str, ...]:
    """What is to be said of the side of the knee in a given box."""
    if knee is None or knee.side is None:
        return ()
    if side is None:
        told = "by its place" if found.kind == "bilateral" else "by a letter in the picture"
        return (f"the knee in the box is taken as the {name_of(knee.side)} one, {told}",)
    if side is not knee.side and found.kind == "bilateral":
        return (
            f"the box lies where the {name_of(knee.side)} knee is on a film of both, the "
            f"laterality is {side}: check the side, or the box",
        )
    return ()
