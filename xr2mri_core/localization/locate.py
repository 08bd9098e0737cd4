"""The step between loading and cropping: where the knee is, when nobody has said."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform

from xr2mri_core.geometry import Laterality
from xr2mri_core.localization.decision import KneeBox, Localization
from xr2mri_core.localization.detector import KneeDetector
from xr2mri_core.localization.marker import turned_wrongly
from xr2mri_core.transforms.orientation import UPRIGHT
from xr2mri_core.transforms.radiograph import LoadRadiographd


def side_of(item: Mapping[str, Any]) -> Laterality | None:
    """The side of a datalist item's knee, as a radiograph is read with :class:`LocateKneed`.

    What the item says, else its radiograph's file, else what is found in the picture: a lead
    letter, or that the right one of two knees is taken. None, which counts as right, where nothing
    tells it.

    Raises:
        RadiographError: the item says nothing, and its radiograph cannot be read.
    """
    told = Laterality.parse(item.get("laterality"))
    if told is not None or "radiograph" not in item:
        return told
    data = LoadRadiographd("radiograph")({key: item.get(key) for key in ("radiograph", "box")})
    if Laterality.parse(data["radiograph_info"]["laterality"]) is None:
        data = LocateKneed("radiograph")(data)
    return Laterality.parse(data["radiograph_info"]["laterality"])


class LocateKneed(MapTransform):
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

    def __init__(self, keys: KeysCollection, detector: KneeDetector | None = None) -> None:
        super().__init__(keys)
        self.detector = detector

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        given = done.get("box") is not None
        for key in self.key_iterator(done):
            info = done[f"{key}_info"]
            turn = info.get("turn", UPRIGHT)
            doubts = turned_wrongly(np.asarray(done[key])[0], turn)
            info = {**info, "warnings": [*info.get("warnings", ()), *doubts]}
            done[f"{key}_info"] = info
            if given:
                continue
            detector = self.detector or KneeDetector.shipped()
            found = detector.locate(np.asarray(done[key])[0], info.get("spacing_mm"))
            told = Laterality.parse(done.get("laterality"))
            told = told or Laterality.parse(info.get("laterality"))
            knee = found.choose(told)
            notes = [*info["warnings"], *found.warnings, *_notes(found, knee, told)]
            info = {
                **info,
                "spacing_mm": found.spacing_mm,
                "joint_spacing_mm": None if found.scale is None else found.scale.spacing_mm,
                "localization": found.in_file(turn).to_dict(),
                "warnings": notes,
            }
            if knee is not None:
                done["box"] = knee.box
                if told is None and knee.side is not None:
                    info["laterality"] = str(knee.side)
            done[f"{key}_info"] = info
        return done


def _notes(found: Localization, knee: KneeBox | None, told: Laterality | None) -> list[str]:
    notes = []
    if found.kind == "bilateral" and told is None:
        notes.append(
            "both knees are shown: the right one, on image left, is taken; "
            "give the laterality L for the left one"
        )
    if found.kind == "single" and knee is not None and told and knee.side not in (None, told):
        notes.append(f"the marker says {knee.side}, the laterality {told}: {told} is taken")
    if found.scale is not None:
        notes.append(
            f"pixel spacing unknown: taken as {found.scale.words}, "
            "as if the knee were of average size"
        )
    return notes
