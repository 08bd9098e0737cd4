"""One radiograph becomes a picture of each knee, or the reason why it must not.

A bilateral radiograph shows the patient's right knee on image left, once it is turned as its
Patient Orientation says. Each knee is cut out, still seen as on the film: training mirrors left
knees. A film whose lead letters say otherwise than its header is left out: it would pair a knee
with the MRI of the other.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset

from xr2mri_core.errors import DatalistError, InputError, RadiographError, XR2MRIError, shown
from xr2mri_core.geometry import Laterality
from xr2mri_core.localization.boxes import Edges, crop_of, middle_of
from xr2mri_core.localization.boxfile import read_lines
from xr2mri_core.oai.passing import Unread
from xr2mri_core.oai.sequences import RADIOGRAPH, kind_of
from xr2mri_core.oai.values import barcode, participant_of
from xr2mri_core.oai.volumes import is_synthetic
from xr2mri_core.transforms.dicom_header import read_header, text_of
from xr2mri_core.transforms.orientation import UPRIGHT, Turn
from xr2mri_core.transforms.picture import check_cut
from xr2mri_core.transforms.polarity import DOUBTED, Judged, Shows, is_negative, polarity
from xr2mri_core.transforms.radiograph import CROP_MM, cut_out
from xr2mri_core.transforms.radiograph_file import read_radiograph

_SQUARE = 1e-3  # difference of two spacings, as a share, that leaves pixels square

Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels; bottom and right are exclusive."""


@dataclass(frozen=True)
class Located:
    """Where a knee is, for `Locate`.

    Attributes:
        box: the square to cut out.
        how: the way it was found, in a few words for the record.
        warning: empty, or what makes it doubtful.
    """

    box: Box
    how: str
    warning: str = ""


DETECTED, MIRRORED, HALF, MIDDLE, DRAWN = (
    "detector",
    "mirror image of the other knee",
    "middle of the film's half",
    "middle of the film",
    "drawn box",
)
"""How a knee was found."""

GUESSED = (MIRRORED, HALF, MIDDLE)
"""Ways among these in which the knee itself was not seen."""

_SOURCES = {"detector": DETECTED, "mirrored": MIRRORED, "half": HALF}
"""How the boxes of a film that the detector hands out were found, by their ``source``."""

Locate = Callable[[NDArray[np.float32], "tuple[float, float] | None", Laterality, bool], Located]
"""``locate(pixels, spacing_mm, side, both)``: where the knee of a side is on a film.

``pixels`` float32 (rows, columns), bone bright; ``both``: whether the film shows both knees."""


def detected(
    pixels: NDArray[np.float32], spacing: tuple[float, float] | None, side: Laterality, both: bool
) -> Located:
    """Find the knee with the shipped detector; where it sees no such film, `middle_of_half`.

    Where it is not sure it guesses by itself, and that is what is reported then.
    """
    from xr2mri_core.localization import KneeDetector

    found = KneeDetector.shipped().locate(pixels, spacing)
    knee = found.choose(side) if found.kind == ("bilateral" if both else "single") else None
    warning = "; ".join(found.warnings_of(knee))
    if knee is None:
        fallback = middle_of_half(pixels, spacing, side, both)
        doubt = f"the detector sees {found.kind}, the list {'both knees' if both else 'one'}"
        return replace(fallback, warning="; ".join(filter(None, (doubt, warning))))
    return Located(knee.box, _SOURCES[knee.source], warning)


@dataclass(frozen=True)
class Drawn:
    """A `Locate` that knows the joint box of one knee, as a reader has drawn it."""

    joint: Edges

    def __call__(
        self,
        pixels: NDArray[np.float32],
        spacing: tuple[float, float] | None,
        side: Laterality,
        both: bool,
    ) -> Located:
        """Cut out what the detector would, had it found this joint."""
        rows, columns = pixels.shape
        row, column = middle_of(self.joint)
        if not (0 <= row < rows and 0 <= column < columns):
            raise RadiographError(f"the drawn box {self.joint} lies off the film")
        return Located(crop_of(self.joint, spacing), DRAWN)


def read_drawn_boxes(path: str | Path) -> dict[tuple[str, Laterality], Drawn]:
    """Read a box file (`xr2mri_core.localization.boxfile`) of barcodes and sides.

    Raises:
        DatalistError: naming the line that has no barcode or side, or repeats another.
    """
    drawn: dict[tuple[str, Laterality], Drawn] = {}
    for line in read_lines(path):
        knee = barcode(line.barcode), line.side
        if not knee[0] or knee[1] is None:
            raise DatalistError(
                f"{line.where}: give the radiograph's barcode and the side (R, L) of the knee"
            )
        if knee in drawn:
            raise DatalistError(f"{line.where}: a second box of {knee[0]} {knee[1]}; keep one")
        drawn[knee[0], knee[1]] = Drawn(line.edges)
    return drawn


def described(locate: Locate) -> str:
    """What tells one way to find a knee from another: a better detector cuts anew."""
    if locate is detected:
        from xr2mri_core.localization.detector import SHIPPED

        return f"detector {hashlib.sha256(SHIPPED.read_bytes()).hexdigest()[:16]}"
    return getattr(locate, "__name__", repr(locate))


def default_locate() -> Locate:
    """The detector where its weights are installed, else `middle_of_half`."""
    from xr2mri_core.localization.detector import SHIPPED

    return detected if SHIPPED.is_file() else middle_of_half


def middle_of_half(
    pixels: NDArray[np.float32], spacing: tuple[float, float] | None, side: Laterality, both: bool
) -> Located:
    """Take the middle of the half of the film that shows a side, or of a film of one knee.

    A square of 140 mm where the spacing is known, else the largest that the half holds.
    """
    rows, columns = pixels.shape
    width = columns / 2 if both else columns
    left = width if both and side is Laterality.LEFT else 0
    if spacing is None:
        height = breadth = min(rows, width)
    else:
        height, breadth = CROP_MM / spacing[0], CROP_MM / spacing[1]
    top, start = round(rows / 2 - height / 2), round(left + width / 2 - breadth / 2)
    box = (top, start, top + round(height), start + round(breadth))
    return Located(box, HALF if both else MIDDLE)


@dataclass(frozen=True)
class KneePicture:
    """One knee of a radiograph.

    Attributes:
        pixels: uint16 (rows, columns), bone bright, as seen on the film.
        box: where it was on the film, in pixels of the file.
        spacing_mm: spacing of rows and columns at the detector, equal: pixels are made square, for
            what is saved says no spacing. None where the file states none.
        synthetic: whether its file says that it was made and not acquired.
        located: how the knee was found.
        notes: reasons to doubt it.
    """

    pixels: NDArray[np.uint16]
    box: Box
    spacing_mm: tuple[float, float] | None
    synthetic: bool
    located: str
    notes: tuple[str, ...] = ()


def read_knee(
    files: Sequence[Path],
    side: Laterality,
    both: bool = True,
    locate: Locate = middle_of_half,
    listed_barcode: str = "",
    participant: str = "",
) -> KneePicture:
    """Cut one knee out of a radiograph.

    Args:
        files: files of the X-ray series: one.
        side: side of the knee to cut out.
        both: whether the release lists it as a radiograph of both knees.
        locate: finds the knee.
        listed_barcode: barcode of the radiograph in the release's list; it must be the file's
            AccessionNumber where both are known.
        participant: identifier as listed; it must be the file's PatientID where both are known.

    Raises:
        RadiographError: in a few words, then the particulars after a colon.
        Unread: if the detector failed, not for what the film shows.
    """
    if len(files) != 1:
        raise RadiographError(f"several projections in one series: {len(files)} files")
    path = files[0]
    header = _checked_header(path, side, both, listed_barcode, participant)
    try:
        pixels, info = read_radiograph(path)
    except XR2MRIError as error:
        raise RadiographError(f"a radiograph that cannot be read: {error}") from error
    turn = info.get("turn", UPRIGHT)
    _check_letters(pixels, turn, side, both)
    if isinstance(locate, Drawn):
        locate = Drawn(turn.edges_upright(locate.joint, pixels.shape))
    try:
        found, cut, doubt = _found(locate, pixels, info["spacing_mm"], side, both)
    except RuntimeError as error:  # so torch reports a lack of memory, or a device that failed
        raise Unread(f"{path.name}: the detector failed: {shown(error)}") from error
    knee, spacing = _with_square_pixels(_sixteen_bits(cut), info["spacing_mm"])
    return KneePicture(
        knee,
        turn.box_in_file(found.box, pixels.shape),
        spacing,
        is_synthetic(header),
        found.how,
        tuple(filter(None, (*info["warnings"], found.warning, doubt))),
    )


def _checked_header(
    path: Path, side: Laterality, both: bool, listed_barcode: str, participant: str
) -> Dataset:
    """The header of a radiograph, if it is the one that is listed; see `read_knee`."""
    try:
        header = read_header(path)
    except Exception as error:
        raise RadiographError(f"a corrupt file: {path.name} ({error})") from error
    kind = kind_of(str(header.get("SeriesDescription") or ""))
    if kind is not None and kind.name == RADIOGRAPH:
        _check_shows(kind.side, side, both)
    _check_same("another participant", participant_of(header.get("PatientID")), participant)
    _check_same("another radiograph", barcode(header.get("AccessionNumber")), listed_barcode)
    for keyword in ("ImageLaterality", "Laterality"):
        tagged = None
        with suppress(InputError):  # what is no side says nothing
            tagged = Laterality.parse(text_of(header, keyword))
        if tagged is not None:
            _check_shows(tagged, side, both)
    return header


def _found(
    locate: Locate,
    pixels: NDArray[np.float32],
    spacing: tuple[float, float] | None,
    side: Laterality,
    both: bool,
) -> tuple[Located, NDArray[np.float32], str]:
    """Where the knee is, its pixels, and a doubt about the polarity; refuses a negative."""
    looks: list[tuple[Located, NDArray[np.float32]]] = []

    def judged(picture: NDArray[np.float32]) -> Judged:
        found = locate(picture, spacing, side, both)
        looks.append((found, _cut(picture, found.box)))
        # the gap between two knees looks like a negative of one
        seen = found.how in (DETECTED, DRAWN)
        return polarity(looks[-1][1]), Shows.KNEE if seen else Shows.NONE

    negative = is_negative(pixels, judged)
    if negative:
        raise RadiographError("a negative film: bone is dark, and its header does not say so")
    found, cut = looks[0]
    unsure = negative is None and found.how in (DETECTED, DRAWN)
    return found, cut, DOUBTED if unsure else ""


def _check_letters(pixels: NDArray[np.float32], turn: Turn, side: Laterality, both: bool) -> None:
    """Refuse a film whose lead letters say that it lies, or shows, other than header and list."""
    from xr2mri_core.localization.marker import read_markers
    from xr2mri_core.localization.sides import contradicted, letter_doubts

    if doubts := letter_doubts(pixels, turn, None, both):
        raise RadiographError(f"orientation conflict: {doubts[0]}")
    if not both and (doubt := contradicted(read_markers(pixels), side)):
        raise RadiographError(f"laterality conflict: {doubt}")


def _check_shows(seen: Laterality | None, side: Laterality, both: bool) -> None:
    """Refuse a file that says it shows another knee, or more or fewer, than the list says."""
    if seen is not (None if both else side):
        listed = "both knees" if both else str(side)
        says = str(seen) if seen else "both knees"
        raise RadiographError(f"laterality conflict: its file says {says}, the list {listed}")


def _check_same(reason: str, found: str, listed: str) -> None:
    if found and listed and found != listed:
        raise RadiographError(f"{reason}: its file says {found}, the release's list {listed}")


def _cut(pixels: NDArray[np.float32], box: Box) -> NDArray[np.float32]:
    """Return a box of a picture that shows something."""
    cut: NDArray[np.float32] = cut_out(pixels, box)
    if cut.size == 0 or cut.min() == cut.max():
        raise RadiographError(f"an empty crop: {box} of {pixels.shape}")
    return cut


def _with_square_pixels(
    cut: NDArray[np.uint16], spacing: tuple[float, float] | None
) -> tuple[NDArray[np.uint16], tuple[float, float] | None]:
    """A cut on the finer of its two spacings both ways, and that spacing."""
    if spacing is None or math.isclose(*spacing, rel_tol=_SQUARE):
        return cut, spacing
    finer = min(spacing)
    rows, columns = (
        round(count * step / finer) for count, step in zip(cut.shape, spacing, strict=True)
    )
    check_cut(rows, columns)
    image = Image.fromarray(cut.astype(np.float32))
    image = image.resize((columns, rows), Image.Resampling.BILINEAR)
    return np.rint(np.asarray(image)).astype(np.uint16), (finer, finer)


def _sixteen_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return grey values as uint16: as they are where they fit, else stretched over the range."""
    low, high = float(values.min()), float(values.max())
    whole = bool((values == np.rint(values)).all())
    if whole and low >= 0 and high <= 65535:
        return values.astype(np.uint16)
    return np.rint((values - low) / (high - low) * 65535).astype(np.uint16)
