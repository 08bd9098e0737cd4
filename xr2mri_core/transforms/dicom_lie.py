"""What a DICOM header says of how its picture lies, and how large a pixel is.

As in `dicom_statements`, each statement is held against the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset

from xr2mri_core.errors import InputError, shown
from xr2mri_core.transforms.dicom_header import named, numbers_of, texts_of
from xr2mri_core.transforms.orientation import UPRIGHT, Turn, turn_of
from xr2mri_core.transforms.picture import plausible_spacing

Notes = tuple[str, ...]

_MAGNIFIED = 1.5  # at most, from the knee to the detector
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
