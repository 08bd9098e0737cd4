"""What a DICOM header says of how its picture lies, and how large a pixel is.

As in `dicom_statements`, each statement is held against the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom import Dataset

from xr2mri_core.errors import InputError, shown
from xr2mri_core.transforms.dicom_header import code_of, named, numbers_of, texts_of
from xr2mri_core.transforms.orientation import UPRIGHT, Turn, slanting, turn_of
from xr2mri_core.transforms.picture import plausible_spacing

Notes = tuple[str, ...]

_MAGNIFIED = 1.5  # at most, from the knee to the detector
_SEPARATORS = re.compile(r"[\\/|,;:\s\[\]'\"()]+")
_SAME = 1.02  # ratio of spacings that differ by rounding


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
            here, there = (_in_words(found[keyword]) for keyword in (taken, other))
            notes.append(
                f"{named(taken)} of {here} mm and {named(other)} of {there} mm cannot both be "
                "true: the larger is taken; check the crop"
            )
    return found[taken], tuple(notes)


def _in_words(spacing: tuple[float, float]) -> str:
    return " x ".join(f"{step:g}" for step in dict.fromkeys(spacing))


def aspect_of_header(header: Dataset) -> tuple[float, Notes]:
    """How many times taller than wide a pixel is, by Pixel Aspect Ratio; 1 where nothing tells."""
    written = [text for text in texts_of(header, "PixelAspectRatio") if text]
    try:
        numbers = numbers_of(header, "PixelAspectRatio")
    except InputError:
        numbers = []
    if written and (len(numbers) != 2 or min(numbers) <= 0):
        said = shown(chr(92).join(written)).replace("\\\\", "\\")
        return 1.0, (
            f"{named('PixelAspectRatio')} is {said}, where two numbers belong: passed over",
        )
    if len(numbers) != 2 or numbers[0] == numbers[1]:
        return 1.0, ()
    aspect = numbers[0] / numbers[1]
    text = f"{named('PixelAspectRatio')} is {numbers[0]:g} to {numbers[1]:g}"
    if not 0.2 <= aspect <= 5:
        return 1.0, (f"{text}: not believed",)
    return aspect, (f"{text}: the picture is stretched to square pixels",)


def aspect_notes(header: Dataset, spacing: tuple[float, float]) -> Notes:
    """A warning where Pixel Aspect Ratio says that pixels are of another shape than the spacing."""
    aspect, _ = aspect_of_header(header)
    if aspect == 1 or abs(aspect * spacing[1] / spacing[0] - 1) < _SAME - 1:
        return ()
    return (
        f"the DICOM file contradicts itself: by {named('PixelAspectRatio')} a pixel is {aspect:g} "
        f"times as tall as wide, its spacing is {_in_words(spacing)} mm: the spacing is "
        "taken; check that the knee is not squeezed",
    )


def turn_of_header(header: Dataset) -> tuple[Turn, Notes]:
    """How the picture becomes upright, by Patient Orientation, else by Image Orientation."""
    letters = [text for text in texts_of(header, "PatientOrientation") if text]
    turn, notes = _turn_by_both(letters, header)
    return turn, notes + _display_notes(header)


def _turn_by_both(letters: Sequence[str], header: Dataset) -> tuple[Turn, Notes]:
    cosines, slant = _letters_of_cosines(header)
    if not letters:
        turn, notes = _turn_by_cosines(cosines)
        return turn, notes + slant
    turn, notes = turn_by_letters(letters)
    other = turn_of(*cosines) if cosines else None
    if other is not None and other != turn:
        notes += (
            f"the DICOM file contradicts itself: by {named('ImageOrientationPatient')} it is "
            f"{chr(92).join(cosines)}: {named('PatientOrientation')} is taken; check the side",
        )
    return turn, notes


def _display_notes(header: Dataset) -> Notes:
    """Warnings where the file asks a display to turn it, as only presentation states do."""
    flip, angle = code_of(header, "ImageHorizontalFlip"), code_of(header, "ImageRotation")
    asked = {"ImageHorizontalFlip": flip if flip.startswith("Y") else "",
             "ImageRotation": angle if angle.strip("0.") else ""}  # fmt: skip
    return tuple(
        f"{named(keyword)} is {shown(text)}, which asks a display to turn the picture: that is not "
        "done here; check the side, and that the head is up"
        for keyword, text in asked.items()
        if text
    )


def turn_by_letters(letters: Sequence[str]) -> tuple[Turn, Notes]:
    """The same by the values of that attribute, such as R and F."""
    if len(letters) == 1:  # R/F and the like
        letters = [text for text in _SEPARATORS.split(letters[0]) if text]
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


def _letters_of_cosines(header: Dataset) -> tuple[tuple[str, ...], Notes]:
    """Towards what parts of the patient rows and columns run, by Image Orientation; () for none.

    With a warning where they run aslant.
    """
    try:
        cosines = numbers_of(header, "ImageOrientationPatient")
    except InputError:
        return (), ()
    if len(cosines) != 6:
        return (), ()
    letters = []
    for direction in (cosines[:3], cosines[3:]):
        axis = max(range(3), key=lambda index: abs(direction[index]))
        letters.append(("RL", "AP", "FH")[axis][direction[axis] > 0])
    return tuple(letters), slanting((cosines[:3], cosines[3:]))
