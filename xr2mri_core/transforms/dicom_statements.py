"""What a DICOM header says of its radiograph: kind, view, side, polarity.

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
    item_of,
    named,
    number_of,
    photometric_of,
    text_of,
    texts_of,
)
from xr2mri_core.transforms.knee_words import Words

RADIOGRAPHS = ("CR", "DX", "RG")
"""Modalities of a plain radiograph."""
PERHAPS_RADIOGRAPHS = ("DR", "XR", "OT", "SC", "RF", "XA", "PX")
"""Modalities that radiographs come with as well: names that devices make up for DX, and those of
converted, digitised and fluoroscopic pictures. They are read with a warning."""
MODALITIES = (*RADIOGRAPHS, *PERHAPS_RADIOGRAPHS)
"""All modalities that are read: here, from a PACS, and in 3D Slicer."""

Notes = tuple[str, ...]

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
_MADE = {"LOCALIZER", "SUBTRACTION", "SUBTRACTED", "ENERGY_SUB", "TOMO", "TOMOSYNTHESIS", "SCOUT"}
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
    """Warnings where the pixels are those of the detector, made of others, or no human's."""
    notes = []
    kinds = {text.upper() for text in texts_of(header, "ImageType")} & _MADE
    if kinds:
        notes.append(
            f"{named('ImageType')} is {', '.join(sorted(kinds))}: not the picture as it was taken; "
            "give the plain radiograph"
        )
    species = code_of(header, "PatientSpeciesDescription")
    if species and species not in ("HUMAN", "HOMO SAPIENS"):
        notes.append(f"{named('PatientSpeciesDescription')} is {shown(species)}: no human knee")
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
    request = item_of(header, "RequestAttributesSequence")
    found = {
        keyword: text_of(header, keyword) or (text_of(request, keyword) if request else "")
        for keyword in keywords
    }
    return {keyword: text for keyword, text in found.items() if text}


def _text(header: Dataset, keyword: str) -> str:
    return _in_words(header, (keyword,)).get(keyword) or _meaning(header, keyword)


def _meaning(header: Dataset, keyword: str) -> str:
    """What the code of a sequence means, in capitals: by the standard, else by its own text."""
    item = item_of(header, keyword)
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
        within = item_of(header, _MODIFIED[keyword])
        modifier = None if within is None else item_of(within, keyword)
        if modifier is None:
            return ()
        named_in_words = tuple(sorted(Words(text_of(modifier, "CodeMeaning")).sides))
        return _SIDE_CODES.get(text_of(modifier, "CodeValue"), named_in_words)
    values = [value for value in texts_of(header, keyword) if value]
    if {value.upper() for value in values} in ({"B"}, {"R", "L"}):
        return _R, _L
    text = chr(92).join(dict.fromkeys(values))
    try:
        side = Laterality.parse(text)
    except InputError:  # RT, LINKS, "Right knee"
        if sides := tuple(sorted(Words(text).sides, reverse=True)):
            return sides
        raise
    return (side,) if side else ()


def _sides_in_words(header: Dataset) -> dict[str, Laterality]:
    """The attributes whose words name one side."""
    regions = {keyword: _meaning(header, keyword) for keyword in _MODIFIED.values()}
    said = _in_words(header, (*_OF_PICTURE[:2], "BodyPartExamined", *_OF_PICTURE[2:], *_OF_STUDY))
    sides = {keyword: Words(text).sides for keyword, text in (said | regions).items()}
    return {keyword: next(iter(found)) for keyword, found in sides.items() if len(found) == 1}


def polarity_notes(header: Dataset) -> Notes:
    """Warnings where the header says both that bone is bright and that it is dark."""
    photometric = photometric_of(header)
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
    ) + tuple(
        f"{named(keyword)} shows large values dark, so bone may be dark and air bright; "
        f"it is read as {photometric}: check the picture"
        for keyword in ("VOILUTSequence", "PresentationLUTSequence")
        if _descends(header, keyword)
    )


def _descends(header: Dataset, keyword: str) -> bool:
    """Whether the lookup table of a sequence begins with its largest values."""
    item = item_of(header, keyword)
    data = None if item is None or "LUTData" not in item else item["LUTData"].value
    if isinstance(data, bytes) and len(data) >= 4:
        first, last = (int.from_bytes(data[at : at + 2 or None], "little") for at in (0, -2))
        return first > last
    return isinstance(data, Sequence) and len(data) > 1 and data[0] > data[-1]


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
