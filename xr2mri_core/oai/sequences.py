"""What an image of OAI is, known by its SeriesDescription and by nothing else.

A match on a part of the name would be wrong: ``T1`` is in ``COR_T1_3D_FLASH_RIGHT`` and in
``AX_T1_THIGH``, ``COR`` in the acquired ``COR_IW_TSE`` and in the reformatted ``COR_MPR``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from xr2mri_core.errors import ReleaseError, shown
from xr2mri_core.geometry import WINDOW_PERCENT, Laterality

DEFAULT = "COR_T1_3D_FLASH"
RADIOGRAPH = "PA_FIXED_FLEXION"
"""How `Kind` names knee radiographs."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """One MRI sequence of OAI's protocol.

    Attributes:
        name: SeriesDescription without its side.
        axis: axis of a RAS volume along which its slices lie: 0 sagittal, 1 coronal, 2 axial.
        slices: least and most slices of a whole volume.
        window: proportional positions, in percent, between which slices are kept.
        reformatted: whether it was computed from another one, and so may begin with a reference
            image in another orientation.
        single_volume: whether it is one volume at all (a localizer and several echoes are not).
    """

    name: str
    axis: int
    slices: tuple[int, int]
    window: tuple[int, int] = (0, 100)
    reformatted: bool = False
    single_volume: bool = True

    def window_of(self, count: int) -> tuple[int, int]:
        """Return the half-open range of slices that are kept of ``count``, posterior first.

        As `xr2mri_core.geometry.slice_window`, with this sequence's own percentages.
        """
        start, stop = (-(-percent * count // 100) for percent in self.window)
        return start, stop


SEQUENCES = {
    sequence.name: sequence
    for sequence in (
        # The paper's "T1, 80 slices": 1.5 mm, right knees only.
        Sequence(DEFAULT, 1, (80, 80), WINDOW_PERCENT),
        # 1.5 mm reformats of the DESS; of 80, the same 50 slices.
        Sequence("COR_MPR", 1, (60, 80), WINDOW_PERCENT, reformatted=True),
        # 3 mm: 25 of 35 slices are 72 mm from first to last, beside the paper's 73.5 mm.
        Sequence("COR_IW_TSE", 1, (30, 40), (14, 86)),
        Sequence("SAG_3D_DESS", 0, (140, 180)),
        Sequence("SAG_IW_TSE", 0, (30, 44)),
        Sequence("AX_MPR", 2, (50, 120), reformatted=True),
        Sequence("SAG_T2_MAP", 0, (150, 260), single_volume=False),
        Sequence("MP_LOCATOR", 1, (1, 60), single_volume=False),
    )
}
"""The knee's sequences by name."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a series shows: a sequence's name or `RADIOGRAPH`, and the side.

    Attributes:
        name: name, as in `SEQUENCES`, or `RADIOGRAPH`.
        side: None for a radiograph of both knees.
    """

    name: str
    side: Laterality | None


_MRI = re.compile(r"(?P<name>[A-Z0-9_]+)_(?P<side>LEFT|RIGHT)")
_XRAY = re.compile(
    r"(?:(?P<both>bilateral) )?pa fixed flexion(?: (?P<side>left|right))? knee", re.IGNORECASE
)


def kind_of(description: str) -> Kind | None:
    """Return what a SeriesDescription names; None for what is no image of the knee.

    Example:
        >>> kind_of("COR_T1_3D_FLASH_RIGHT")
        Kind(name='COR_T1_3D_FLASH', side=<Laterality.RIGHT: 'R'>)
        >>> kind_of("AX_T1_THIGH"), kind_of("PRESCRIPTION_RIGHT")
        (None, None)
    """
    text = " ".join(description.split())
    if found := _MRI.fullmatch(text.upper()):
        if found["name"] in SEQUENCES:
            return Kind(found["name"], Laterality.parse(found["side"]))
        return None
    if (found := _XRAY.fullmatch(text)) and bool(found["both"]) != bool(found["side"]):
        return Kind(RADIOGRAPH, Laterality.parse(found["side"]))
    return None


def sequence_named(name: str) -> Sequence:
    """Return the sequence to train on.

    Raises:
        ReleaseError: for an unknown one, or one whose slices do not run from posterior to
            anterior, which is what depth means here.
    """
    usable = [item.name for item in SEQUENCES.values() if item.axis == 1 and item.single_volume]
    sequence = SEQUENCES.get(name.strip().upper())
    if sequence is None or sequence.name not in usable:
        what = "its slices are not coronal, or it is no single volume" if sequence else "unknown"
        raise ReleaseError(
            f"sequence {shown(name)}: {what}; depth runs from posterior to anterior, so coronal "
            f"volumes are accepted: {', '.join(usable)}"
        )
    return sequence
