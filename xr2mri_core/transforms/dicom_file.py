"""Read one radiograph from a DICOM file, as a display would show it before any window."""

from __future__ import annotations

import logging
from typing import BinaryIO

from pydicom import Dataset

from xr2mri_core.errors import RadiographError, UndecodableError, shown
from xr2mri_core.transforms import dicom_lie as lie
from xr2mri_core.transforms import dicom_statements as statements
from xr2mri_core.transforms.dicom_header import is_dicom, named, read_dataset, read_header
from xr2mri_core.transforms.dicom_pixels import grey_values, pixel_layout
from xr2mri_core.transforms.dicom_shutter import hide
from xr2mri_core.transforms.orientation import Turn
from xr2mri_core.transforms.picture import Picture, check_pixels, check_size

__all__ = ["is_dicom", "read_dicom", "read_header"]

log = logging.getLogger("xr2mri")


def read_dicom(stream: BinaryIO) -> Picture:
    """Read a radiograph: upright, rescaled, MONOCHROME1 inverted, no VOI window applied.

    Patient Orientation turns it, so that the patient's right is on image left. What the header
    says of it is in `dicom_statements` and `dicom_lie`, how its pixels are read in `dicom_pixels`.

    Raises:
        RadiographError: for another modality, more than one picture, colour, a size that is not
            accepted, missing pixels, or a transfer syntax that no decoder here reads.
    """
    try:
        return _read(stream)
    except (RadiographError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file does to the parser
        log.info("a damaged DICOM file: %s", shown(error))
        raise UndecodableError(
            "a damaged DICOM file that cannot be decoded; export the radiograph again"
        ) from error


def _read(stream: BinaryIO) -> Picture:
    header = read_header(stream)
    notes = statements.modality_notes(header)
    layout, layout_notes = pixel_layout(header)
    dataset = read_dataset(stream)
    if pixel_layout(dataset)[0] != layout:  # stated anew behind the pixels
        raise UndecodableError(
            f"{named('Rows')} and what else describes its pixels is stated twice, differently; "
            "the file is damaged: export it again"
        )
    pixels, pixel_notes = grey_values(dataset, layout)
    hide(pixels, header)
    del dataset  # a large film has to fit once more, upright
    check_pixels(pixels)
    side, side_notes = statements.side_of_header(header)
    notes += layout_notes + pixel_notes + side_notes
    notes += statements.intent_notes(header) + statements.view_notes(header)
    notes += statements.polarity_notes(header)
    turn, spacing, lie_notes = _lie(header)
    check_size([round(n * s) for n, s in zip(pixels.shape, turn.stretch, strict=True)])
    return Picture(turn.upright(pixels), spacing, side, notes + lie_notes, turn, header)


def _lie(header: Dataset) -> tuple[Turn, tuple[float, float] | None, tuple[str, ...]]:
    """How the picture becomes upright, the spacing of its rows and columns then, and warnings."""
    spacing, notes = lie.spacing_of_header(header)
    turn, turn_notes = lie.turn_of_header(header)
    notes += turn_notes
    if spacing is None:
        aspect, aspect_notes = lie.aspect_of_header(header)
        stretch = (max(aspect, 1.0), max(1 / aspect, 1.0))
        return Turn(stretch, turn.transposed, turn.flipped), None, notes + aspect_notes
    notes += lie.aspect_notes(header, spacing)
    return turn, spacing[::-1] if turn.transposed else spacing, notes
