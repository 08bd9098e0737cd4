"""What a DICOM header says of its radiograph: kind, view, side, spacing, how it lies.

Headers are filled in by hand and by defaults, so each statement is held against the others. One
that contradicts another, or that a knee radiograph cannot have, becomes a warning; what makes the
file no radiograph at all is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from xr2mri_core.errors import InputError, RadiographError, shown
from xr2mri_core.geometry import Laterality
from xr2mri_core.transforms.dicom_header import code_of, named, numbers_of, text_of, texts_of
from xr2mri_core.transforms.orientation import UPRIGHT, Turn, turn_of
from xr2mri_core.transforms.picture import plausible_spacing

RADIOGRAPHS = ("CR", "DX", "RG")
"""Modalities of a plain radiograph."""
PERHAPS_RADIOGRAPHS = ("DR", "XR", "OT", "SC", "RF", "XA", "PX")
"""Modalities that radiographs come with as well: names that devices make up for DX, and those of
converted, digitised and fluoroscopic pictures. They are read with a warning."""
MODALITIES = (*RADIOGRAPHS, *PERHAPS_RADIOGRAPHS)
"""All that are read, here, from a PACS and in 3D Slicer."""

Notes = tuple[str, ...]

_MAGNIFIED = 1.5  # at most, from the knee to the detector
_SAME = 1.02  # ratio of spacings that differ by rounding
_KNEE = re.compile(r"KNEE|PATELL|GENOU|GENU|KNIE|RODILLA|JOELHO|GINOCCHIO|KOLAN|КОЛЕН|膝")
_LEG = re.compile(r"\b(LEGS?|LOWER ?(LEG|LIMB|EXTREMITY)|EXTREMITY|EXTREMITIES|JOINT|SKELETON)\b")
_NOT_FRONTAL = re.compile(
    r"^(LL|RL|LLD|RLD|LLO|RLO|LAO|RAO|LPO|RPO|ML|LM|LAT|XTL)$"
    r"|(?<!BI)(?<!UNI)LATERAL|\bLAT\b|OBLIQ|AXIAL|SKYLINE|SUNRISE|MERCHANT|TANGENTIAL|SAGITTAL"
)
_RIGHT_AND_LEFT = re.compile(r"\b(?:(RIGHT|RT)|(LEFT|LT))\b")


def modality_notes(header: Dataset) -> Notes:
    """Warnings about the modality.

    Raises:
        RadiographError: it is not that of a radiograph.
    """
    told = text_of(header, "Modality")
    if not told:
        return ("the DICOM file states no modality",)
    if told in RADIOGRAPHS:
        return ()
    if told.upper() in RADIOGRAPHS:
        return (f"modality {shown(told)} is not written in capitals: read as {told.upper()}",)
    if told.upper() in MODALITIES:
        return (
            f"modality {shown(told)} is not that of a plain radiograph "
            f"({', '.join(RADIOGRAPHS)}): read as one",
        )
    raise RadiographError(
        f"modality {shown(told)} is not a radiograph; give a file of modality CR, DX or RG"
    )


def view_notes(header: Dataset) -> Notes:
    """Warnings where the header says that this is no frontal view of a knee."""
    notes = []
    part = code_of(header, "BodyPartExamined")
    if part and not _KNEE.search(part) and not _LEG.search(part):
        notes.append(f"{named('BodyPartExamined')} is {shown(part)}: is this a knee?")
    region = _meaning(header, "AnatomicRegionSequence")
    if region and not _KNEE.search(region) and not _LEG.search(region):
        notes.append(f"{named('AnatomicRegionSequence')} is {shown(region)}: is this a knee?")
    for keyword, view in (
        ("ViewPosition", code_of(header, "ViewPosition")),
        ("ViewCodeSequence", _meaning(header, "ViewCodeSequence")),
    ):
        if _NOT_FRONTAL.search(view):
            notes.append(
                f"{named(keyword)} is {shown(view)}, not a frontal view (AP or PA): "
                "the knee's MRI cannot be told from it"
            )
    return tuple(notes)


def _meaning(header: Dataset, keyword: str) -> str:
    """What the code of a sequence means, in capitals: by the standard, else by its own text."""
    try:
        item = header[keyword].value[0]
    except (KeyError, IndexError, TypeError):
        return ""
    written = Code(text_of(item, "CodeValue"), text_of(item, "CodingSchemeDesignator"), "")
    standard = (str(code.meaning) for code in _views() if code == written)
    return next(standard, text_of(item, "CodeMeaning")).upper()


@lru_cache(maxsize=1)
def _views() -> tuple[Code, ...]:
    """The codes of radiographic views (PS3.16, CID 4010)."""
    views: Any = codes.cid4010
    return tuple(getattr(views, name) for name in views.dir())


def side_of_header(header: Dataset) -> tuple[Laterality | None, Notes]:
    """The side of the knee, of the picture before that of its series, and what contradicts it."""
    told: dict[str, Laterality] = {}
    notes: list[str] = []
    for keyword in ("ImageLaterality", "Laterality"):
        value = text_of(header, keyword)
        if value.upper() == "B":
            both = "the DICOM file shows both knees: give a box around one and its side"
            return None, (*notes, both)
        try:
            side = Laterality.parse(value)
        except InputError:
            notes.append(f"the DICOM file states the unknown laterality {shown(value)}")
            continue
        if side:
            told[keyword] = side
    for keyword in ("SeriesDescription", "ProtocolName"):
        words = _RIGHT_AND_LEFT.findall(code_of(header, keyword))
        is_right = {bool(right) for right, _ in words}
        if len(is_right) == 1 and told:  # in words, and so no statement where nothing else is
            told[keyword] = Laterality.RIGHT if is_right.pop() else Laterality.LEFT
    taken = next(iter(told), None)
    if taken is None:
        return None, tuple(notes)
    notes += [
        f"the DICOM file contradicts itself: {named(taken)} says {told[taken]}, {named(keyword)} "
        f"{side}: {told[taken]} is taken; check the side"
        for keyword, side in told.items()
        if side is not told[taken]
    ]
    return told[taken], tuple(notes)


def polarity_notes(header: Dataset) -> Notes:
    """A warning where the header says both that bone is bright and that it is dark."""
    shape = code_of(header, "PresentationLUTShape")
    photometric = code_of(header, "PhotometricInterpretation")
    if (shape, photometric) not in (("INVERSE", "MONOCHROME2"), ("IDENTITY", "MONOCHROME1")):
        return ()
    return (
        f"the DICOM file contradicts itself: {named('PresentationLUTShape')} is {shape} and "
        f"{named('PhotometricInterpretation')} {photometric}, so bone may be dark and air bright; "
        f"it is read as {photometric}: check the picture",
    )


def spacing_of_header(header: Dataset) -> tuple[tuple[float, float] | None, Notes]:
    """Spacing of rows and columns in mm, None where nothing tells it.

    Imager Pixel Spacing, at the detector, is preferred to Pixel Spacing, which may be that of the
    patient (PS3.3, 10.7.1.3), and this to that of a scanned film. 1 mm both ways is a default and
    no measure. What is nearer to the tube is not magnified more, nor by more than half, so two
    spacings that are not so are left over from before the picture was reduced: the larger is taken.
    """
    notes: list[str] = []
    found: dict[str, tuple[float, float]] = {}
    for keyword in ("ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing"):
        try:
            steps = numbers_of(header, keyword)
        except InputError:
            notes.append(f"{named(keyword)} is no number: passed over")
            continue
        spacing = plausible_spacing(steps) if steps != [1.0, 1.0] else None
        if spacing:
            found[keyword] = spacing
    if not found:
        return None, tuple(notes)
    taken = next(iter(found))
    imager, at_patient = found.get("ImagerPixelSpacing"), found.get("PixelSpacing")
    if imager and at_patient:
        ratios = [a / b for a, b in zip(imager, at_patient, strict=True)]
        if min(ratios) < 1 / _SAME or max(ratios) > _MAGNIFIED:
            taken = "ImagerPixelSpacing" if sum(ratios) >= 2 else "PixelSpacing"
            other = "PixelSpacing" if taken == "ImagerPixelSpacing" else "ImagerPixelSpacing"
            notes.append(
                f"{named(taken)} of {found[taken][0]:g} mm and {named(other)} of "
                f"{found[other][0]:g} mm cannot both be true: the larger is taken; check the crop"
            )
    return found[taken], tuple(notes)


def aspect_of_header(header: Dataset) -> tuple[float, Notes]:
    """How many times taller than wide a pixel is, by Pixel Aspect Ratio; 1 where nothing tells."""
    try:
        numbers = numbers_of(header, "PixelAspectRatio")
    except InputError:
        numbers = []
    if len(numbers) != 2 or min(numbers) <= 0 or numbers[0] == numbers[1]:
        return 1.0, ()
    aspect = numbers[0] / numbers[1]
    told = f"{named('PixelAspectRatio')} is {numbers[0]:g} to {numbers[1]:g}"
    if not 0.2 <= aspect <= 5:
        return 1.0, (f"{told}: not believed",)
    return aspect, (f"{told}: the picture is stretched to square pixels",)


def turn_of_header(header: Dataset) -> tuple[Turn, Notes]:
    """How the picture becomes upright, by Patient Orientation."""
    told = [text for text in texts_of(header, "PatientOrientation") if text]
    return turn_by_letters(told) if told else _turn_by_cosines(header)


def turn_by_letters(told: Sequence[str]) -> tuple[Turn, Notes]:
    """The same by the values of that attribute, such as R and F."""
    turn = turn_of(*told) if len(told) == 2 else None
    said = f"{named('PatientOrientation')} is {shown(chr(92).join(told))}".replace("\\\\", "\\")
    if turn is None:
        return UPRIGHT, (
            f"{said}, which no frontal view has (L\\F, or turned): the picture is taken as it lies",
        )
    if not turn.is_turned:
        return turn, ()
    return turn, (f"{said}: {_told(turn)}",)


def _told(turn: Turn) -> str:
    return f"the picture is {turn.text}, so that the patient's right is on image left, the head up"


def _turn_by_cosines(header: Dataset) -> tuple[Turn, Notes]:
    """The same by Image Orientation (Patient), where that says that the picture is coronal."""
    try:
        cosines = numbers_of(header, "ImageOrientationPatient")
    except InputError:
        cosines = []
    if len(cosines) != 6:
        return UPRIGHT, ()
    letters = []
    for direction in (cosines[:3], cosines[3:]):
        axis = max(range(3), key=lambda index: abs(direction[index]))
        letters.append(("RL", "AP", "FH")[axis][direction[axis] > 0])
    turn = turn_of(*letters)
    if turn is None or not turn.is_turned:
        return UPRIGHT, ()
    said = f"{named('ImageOrientationPatient')} is {letters[0]}\\{letters[1]}"
    return turn, (f"{said}: {_told(turn)}",)
