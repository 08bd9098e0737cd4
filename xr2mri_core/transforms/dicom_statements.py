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
from xr2mri_core.transforms.dicom_header import (
    code_of,
    named,
    number_of,
    numbers_of,
    text_of,
    texts_of,
)
from xr2mri_core.transforms.knee_words import Words
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
_LEG = re.compile(r"\b(LEGS?|LOWER ?(LEG|LIMB|EXTREMITY)|EXTREMITY|EXTREMITIES|JOINT|SKELETON)\b")
_NOT_FRONTAL = re.compile(r"(LL|RL|LLD|RLD|LLO|RLO|LAO|RAO|LPO|RPO|ML|LM|XTL|MLO)")
"""Codes of View Position; words are in `knee_words`."""
_OF_PICTURE = (
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionDeviceProcessingDescription",
    "AcquisitionProtocolName",
)
_OF_STUDY = (
    "StudyDescription",
    "PerformedProcedureStepDescription",
    "RequestedProcedureDescription",
    "ScheduledProcedureStepDescription",
)
"""Descriptions in words: of one picture, or of all of a study, which may show more."""
_LISTED = re.compile(r"(?<![^\W_])w(ith)?(?![^\W_])|[+&,]", re.IGNORECASE)
_RETIRED_SNOMED = {"SNM3": "SRT", "99SDM": "SRT"}
_R, _L = Laterality
_SIDE_CODES = {
    "24028007": (_R,), "7771000": (_L,), "51440002": (_R, _L),
    "G-A100": (_R,), "G-A101": (_L,), "G-A102": (_R, _L),
}  # fmt: skip
_MODIFIED = {
    "AnatomicRegionModifierSequence": "AnatomicRegionSequence",
    "PrimaryAnatomicStructureModifierSequence": "PrimaryAnatomicStructureSequence",
}
_STATING = ("ImageLaterality", "FrameLaterality", *_MODIFIED, "Laterality")
"""What states the side, the surest first."""


def modality_notes(header: Dataset) -> Notes:
    """Warnings about the modality.

    Raises:
        RadiographError: it is not that of a radiograph.
    """
    modality = text_of(header, "Modality")
    if not modality:
        return ("the DICOM file states no modality",)
    if modality in RADIOGRAPHS:
        return ()
    if modality.upper() in RADIOGRAPHS:
        return (
            f"modality {shown(modality)} is not written in capitals: read as {modality.upper()}",
        )
    if modality.upper() in MODALITIES:
        return (
            f"modality {shown(modality)} is not that of a plain radiograph "
            f"({', '.join(RADIOGRAPHS)}): read as one",
        )
    raise RadiographError(
        f"modality {shown(modality)} is not a radiograph; give a file of modality CR, DX or RG"
    )


def intent_notes(header: Dataset) -> Notes:
    """A warning where the pixels are those of the detector, or no human's."""
    notes = []
    if (intent := code_of(header, "PresentationIntentType")) == "FOR PROCESSING":
        notes.append(
            f"{named('PresentationIntentType')} is {intent}: the detector's raw values, not the "
            "picture that is looked at; give the file FOR PRESENTATION"
        )
    return tuple(notes)


def view_notes(header: Dataset) -> Notes:
    """Warnings where the header says that this is no frontal view of a knee."""
    part, region = code_of(header, "BodyPartExamined"), _meaning(header, "AnatomicRegionSequence")
    odd = {
        keyword: text
        for keyword, text in (("BodyPartExamined", part), ("AnatomicRegionSequence", region))
        if text and not Words(text).knee and not _LEG.search(text)
    }
    seen = {
        "ViewPosition": code_of(header, "ViewPosition"),
        "ViewCodeSequence": _meaning(header, "ViewCodeSequence"),
    }
    views = {
        keyword: text
        for keyword, text in seen.items()
        if _NOT_FRONTAL.fullmatch(text) or Words(text).not_frontal
    }
    of_picture, of_study = (_in_words(header, keywords) for keywords in (_OF_PICTURE, _OF_STUDY))
    seen |= of_picture
    views |= {keyword: text for keyword, text in of_picture.items() if Words(text).not_frontal}
    odd |= {keyword: text for keyword, text in of_picture.items() if Words(text).other_part}
    if not views and not any(Words(text).frontal for text in seen.values()):
        views |= {
            keyword: text
            for keyword, text in of_study.items()
            if Words(text).not_frontal and not _LISTED.search(text)
        }
    if not any(Words(text).knee for text in of_picture.values()):
        odd |= {keyword: text for keyword, text in of_study.items() if Words(text).other_part}
    return tuple(
        f"{named(keyword)} is {shown(text)}: is this a knee?" for keyword, text in odd.items()
    ) + tuple(
        f"{named(keyword)} is {shown(text)}, not a frontal view (AP or PA): "
        "the knee's MRI cannot be predicted from it"
        for keyword, text in views.items()
    )


def _in_words(header: Dataset, keywords: Sequence[str]) -> dict[str, str]:
    """The descriptions that there are, also those within the request for the picture."""
    request = _item(header, "RequestAttributesSequence")
    found = {
        keyword: text_of(header, keyword) or (text_of(request, keyword) if request else "")
        for keyword in keywords
    }
    return {keyword: text for keyword, text in found.items() if text}


def _text(header: Dataset, keyword: str) -> str:
    return _in_words(header, (keyword,)).get(keyword) or _meaning(header, keyword)


def _item(header: Dataset, keyword: str) -> Dataset | None:
    """The first item of a sequence, None where there is none."""
    try:
        item = header[keyword].value[0]
    except (KeyError, IndexError, TypeError):
        return None
    return item if isinstance(item, Dataset) else None


def _meaning(header: Dataset, keyword: str) -> str:
    """What the code of a sequence means, in capitals: by the standard, else by its own text."""
    item = _item(header, keyword)
    if item is None:
        return ""
    scheme = text_of(item, "CodingSchemeDesignator")
    written = Code(text_of(item, "CodeValue"), _RETIRED_SNOMED.get(scheme, scheme), "")
    standard = (str(code.meaning) for code in _codes() if code == written)
    return next(standard, text_of(item, "CodeMeaning")).upper()


@lru_cache(maxsize=1)
def _codes() -> tuple[Code, ...]:
    """The codes of radiographic views and of parts of the body (PS3.16, CID 4010 and 4031)."""
    groups: tuple[Any, ...] = (codes.cid4010, codes.cid4031)
    return tuple(getattr(group, name) for group in groups for name in group.dir())


def side_of_header(header: Dataset) -> tuple[Laterality | None, Notes]:
    """The side of the knee, of the picture before that of its series, and what contradicts it.

    Words of a description are no statement, for they may be of all pictures of a study: they are
    held against what is stated, and become a warning where nothing is.
    """
    stated, notes, both = _stated_sides(header)
    if both:
        return None, notes
    said = _sides_in_words(header)
    taken = next(iter(stated), None)
    if taken is None:
        return None, notes + tuple(
            f"{named(keyword)} is {shown(_text(header, keyword))}, but nothing states the side: "
            f"give the laterality {side} if it is that knee"
            for keyword, side in list(said.items())[:1]
        )
    return stated[taken], notes + tuple(
        f"the DICOM file contradicts itself: {named(taken)} says {stated[taken]}, {named(keyword)} "
        f"{side}: {stated[taken]} is taken; check the side"
        for keyword, side in (stated | said).items()
        if side is not stated[taken]
    )


def _stated_sides(header: Dataset) -> tuple[dict[str, Laterality], Notes, bool]:
    """What states the side, the surest first; what is odd about it; whether it is both knees."""
    stated: dict[str, Laterality] = {}
    notes: list[str] = []
    for keyword in _STATING:
        try:
            sides = _stated(header, keyword)
        except InputError:
            written = shown(chr(92).join(texts_of(header, keyword)))
            notes.append(f"the DICOM file states the unknown laterality {written}")
            continue
        if len(sides) > 1:
            shown_both = f"{named(keyword)} says both knees: the laterality that is given chooses"
            return {}, (*notes, shown_both), True
        if sides:
            stated[keyword] = sides[0]
    return stated, tuple(notes), False


def _stated(header: Dataset, keyword: str) -> tuple[Laterality, ...]:
    """The sides that one attribute states; raises InputError for what is none."""
    if keyword in _MODIFIED:
        within = _item(header, _MODIFIED[keyword])
        modifier = None if within is None else _item(within, keyword)
        if modifier is None:
            return ()
        named_in_words = tuple(sorted(Words(text_of(modifier, "CodeMeaning")).sides))
        return _SIDE_CODES.get(text_of(modifier, "CodeValue"), named_in_words)
    where: Dataset | None = header
    if keyword == "FrameLaterality" and keyword not in header:
        shared = _item(header, "SharedFunctionalGroupsSequence")
        where = None if shared is None else _item(shared, "FrameAnatomySequence")
    values = [] if where is None else [value for value in texts_of(where, keyword) if value]
    if {value.upper() for value in values} in ({"B"}, {"R", "L"}):
        return _R, _L
    side = Laterality.parse(chr(92).join(dict.fromkeys(values)))
    return (side,) if side else ()


def _sides_in_words(header: Dataset) -> dict[str, Laterality]:
    """The attributes whose words name one side."""
    regions = {keyword: _meaning(header, keyword) for keyword in _MODIFIED.values()}
    said = _in_words(header, (*_OF_PICTURE[:2], "BodyPartExamined", *_OF_PICTURE[2:], *_OF_STUDY))
    sides = {keyword: Words(text).sides for keyword, text in (said | regions).items()}
    return {keyword: next(iter(found)) for keyword, found in sides.items() if len(found) == 1}


def polarity_notes(header: Dataset) -> Notes:
    """Warnings where the header says both that bone is bright and that it is dark."""
    photometric = code_of(header, "PhotometricInterpretation")
    said = {"PresentationLUTShape": code_of(header, "PresentationLUTShape")}
    if (sign := _sign_of_intensity(header)) is not None:
        said["PixelIntensityRelationshipSign"] = sign
    against = {
        "MONOCHROME2": ("INVERSE", "1"),
        "MONOCHROME1": ("IDENTITY", "-1"),
    }.get(photometric, ())
    return tuple(
        f"the DICOM file contradicts itself: {named(keyword)} is {text} and "
        f"{named('PhotometricInterpretation')} {photometric}, so bone may be dark and air bright; "
        f"it is read as {photometric}: check the picture"
        for keyword, text in said.items()
        if text in against
    )


def _sign_of_intensity(header: Dataset) -> str | None:
    """``1`` where larger values are more X-rays, ``-1`` where they are fewer; rescaled.

    With -1 bone, which lets few through, has large values, and these are bright in MONOCHROME2.
    """
    try:
        sign = number_of(header, "PixelIntensityRelationshipSign", 0)
        slope = number_of(header, "RescaleSlope", 1)
    except InputError:
        return None
    return f"{-sign if slope < 0 else sign:g}" if sign in (1, -1) else None


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
    text = f"{named('PixelAspectRatio')} is {numbers[0]:g} to {numbers[1]:g}"
    if not 0.2 <= aspect <= 5:
        return 1.0, (f"{text}: not believed",)
    return aspect, (f"{text}: the picture is stretched to square pixels",)


def turn_of_header(header: Dataset) -> tuple[Turn, Notes]:
    """How the picture becomes upright, by Patient Orientation, else by Image Orientation."""
    letters = [text for text in texts_of(header, "PatientOrientation") if text]
    cosines = _letters_of_cosines(header)
    if not letters:
        return _turn_by_cosines(cosines)
    turn, notes = turn_by_letters(letters)
    other = turn_of(*cosines) if cosines else None
    if other is not None and other != turn:
        notes += (
            f"the DICOM file contradicts itself: by {named('ImageOrientationPatient')} it is "
            f"{chr(92).join(cosines)}: {named('PatientOrientation')} is taken; check the side",
        )
    return turn, notes


def turn_by_letters(letters: Sequence[str]) -> tuple[Turn, Notes]:
    """The same by the values of that attribute, such as R and F."""
    turn = turn_of(*letters) if len(letters) == 2 else None
    said = f"{named('PatientOrientation')} is {shown(chr(92).join(letters))}".replace("\\\\", "\\")
    if turn is None:
        return UPRIGHT, (
            f"{said}, which no frontal view has (L\\F, or turned): the picture is taken as it lies",
        )
    if not turn.is_turned:
        return turn, ()
    return turn, (f"{said}: {_told(turn)}",)


def _told(turn: Turn) -> str:
    return f"the picture is {turn.text}, so that the patient's right is on image left, the head up"


def _turn_by_cosines(letters: tuple[str, ...]) -> tuple[Turn, Notes]:
    """The turn where Image Orientation says that the picture is coronal.

    Axial is what is written where nobody knows; a view from the side is a warning.
    """
    turn = turn_of(*letters) if letters else None
    said = f"{named('ImageOrientationPatient')} is {chr(92).join(letters)}"
    if turn is not None and turn.is_turned:
        return turn, (f"{said}: {_told(turn)}",)
    if turn is None and not {"R", "L"} & set(letters) and letters:
        return UPRIGHT, (f"{said}, which no frontal view has: the picture is taken as it lies",)
    return UPRIGHT, ()


def _letters_of_cosines(header: Dataset) -> tuple[str, ...]:
    """Towards what parts of the patient rows and columns run, by Image Orientation; () for none."""
    try:
        cosines = numbers_of(header, "ImageOrientationPatient")
    except InputError:
        return ()
    if len(cosines) != 6:
        return ()
    letters = []
    for direction in (cosines[:3], cosines[3:]):
        axis = max(range(3), key=lambda index: abs(direction[index]))
        letters.append(("RL", "AP", "FH")[axis][direction[axis] > 0])
    return tuple(letters)
