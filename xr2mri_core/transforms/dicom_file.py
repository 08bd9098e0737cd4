"""Read one radiograph from a DICOM file, as a display would show it before any window."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_pixel_data_frame
from pydicom.filereader import read_file_meta_info
from pydicom.pixel_data_handlers.util import apply_modality_lut
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from xr2mri_core.errors import InputError, RadiographError, UndecodableError, shown
from xr2mri_core.geometry import Laterality
from xr2mri_core.transforms.picture import Picture, check_size, plausible_spacing

_MODALITIES = ("CR", "DX", "RG", "RF", "XA", "OT")


def is_dicom(head: bytes) -> bool:
    """Say whether a file starts like DICOM, with the preamble or, as old files do, without."""
    return head[128:132] == b"DICM" or head[:2] in (b"\x02\0", b"\x08\0")


def read_dicom(path: Path) -> Picture:
    """Read a radiograph: rescaled, MONOCHROME1 inverted, no VOI window applied.

    The spacing is Imager Pixel Spacing (at the detector), else Pixel Spacing.

    Raises:
        RadiographError: for another modality, more than one picture, colour, a size that is not
            accepted, missing pixels, or a transfer syntax that no decoder here reads.
    """
    header = read_header(path)
    notes = _check_header(header)
    dataset = _dataset(path)
    if "PixelData" not in dataset:
        raise UndecodableError("its pixels are missing: the file is cut short; export it again")
    try:
        _check_codestream(dataset)
        stored = dataset.pixel_array
    except RadiographError:
        raise
    except Exception as error:
        raise UndecodableError(
            f"its pixels cannot be decoded, transfer syntax {_syntax(dataset).name} "
            f"({shown(error)}); the file is damaged or compressed in a rare way: "
            "export it again, uncompressed"
        ) from error
    side, side_notes = _side(dataset)
    return Picture(_presented(stored, dataset), _spacing(dataset), side, notes + side_notes)


def read_header(path: str | Path) -> Dataset:
    """The attributes of a DICOM file, without its pixels."""
    return _dataset(Path(path), stop_before_pixels=True)


def _dataset(path: Path, **options: Any) -> Dataset:
    with path.open("rb") as stream:
        has_preamble = stream.read(132)[128:] == b"DICM"
    if has_preamble:
        syntax = read_file_meta_info(path).get("TransferSyntaxUID")
        if syntax == DeflatedExplicitVRLittleEndian:  # would be inflated whole, whatever its size
            raise UndecodableError(f"transfer syntax {syntax.name}; export it uncompressed")
    dataset = dcmread(path, force=not has_preamble, **options)
    if "TransferSyntaxUID" not in dataset.file_meta:  # an old file: only data, told by its form
        implicit = dataset.is_implicit_VR
        dataset.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        )
    return dataset


def _check_header(header: Dataset) -> tuple[str, ...]:
    """Refuse what is not a single grey radiograph; return warnings."""
    modality = str(header.get("Modality") or "")
    if modality and modality not in _MODALITIES:
        raise RadiographError(
            f"modality {shown(modality)} is not a radiograph; give a file of modality CR, DX or RG"
        )
    if not header.get("Rows") or not header.get("Columns"):
        raise RadiographError("a DICOM file without a picture; give the file of a radiograph")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames > 1:
        raise RadiographError(f"{frames} frames; a radiograph is one picture: export one frame")
    check_size((int(header.Rows), int(header.Columns)))
    photometric = str(header.get("PhotometricInterpretation") or "MONOCHROME2")
    if not photometric.startswith("MONOCHROME") or int(header.get("SamplesPerPixel") or 1) != 1:
        raise RadiographError(
            f"photometric interpretation {shown(photometric)}; "
            "give the radiograph in greyscale, MONOCHROME1 or MONOCHROME2"
        )
    return () if modality else ("the DICOM file states no modality",)


def _syntax(dataset: Dataset) -> UID:
    return UID(dataset.file_meta.TransferSyntaxUID)


def _check_codestream(dataset: Dataset) -> None:
    """Refuse a compressed picture that states another size than Rows and Columns.

    A decoder allocates what the compressed stream states, so that size is checked as well.
    """
    syntax = _syntax(dataset)
    if syntax.is_private or not syntax.is_compressed or syntax == RLELossless:
        return
    found = codestream_shape(next(generate_pixel_data_frame(dataset.PixelData, 1)))
    if found != (dataset.Rows, dataset.Columns):
        raise UndecodableError(
            f"transfer syntax {syntax.name}: the compressed picture is of size {found}, its header "
            f"says {(dataset.Rows, dataset.Columns)}; the file is damaged: export it uncompressed"
        )


def codestream_shape(stream: bytes) -> tuple[int, int] | None:
    """Return (rows, columns) of a JPEG, JPEG-LS or JPEG 2000 stream, None for anything else."""
    start = stream.find(b"\xff\x4f\xff\x51", 0, 4096)  # JPEG 2000: SOC marker, then SIZ segment
    if start >= 0 and start + 24 <= len(stream):
        width, height, left, top = struct.unpack_from(">4I", stream, start + 8)
        return height - top, width - left
    position = 2
    while stream[:2] == b"\xff\xd8" and position + 9 <= len(stream):
        prefix, code, length, rows, columns = struct.unpack_from(">BBHxHH", stream, position)
        if prefix != 0xFF:
            return None
        if code == 0xF7 or (0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC)):
            return rows, columns
        position += 1 if code == 0xFF else 2 + length
    return None


def _presented(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return stored values (rows, columns) rescaled, with bone bright.

    MONOCHROME1 shows the lowest value white: values are reflected within the range that Bits
    Stored allows. Padding, outside the collimator, becomes as dark as the darkest pixel.
    """
    bits = int(dataset.get("BitsStored") or stored.dtype.itemsize * 8)
    stored = _without_overlay_bits(stored, bits, dataset)
    lowest = -(1 << (bits - 1)) if dataset.get("PixelRepresentation") else 0
    ends = np.array([lowest, lowest + (1 << bits) - 1])
    values = np.asarray(apply_modality_lut(stored, dataset), dtype=np.float32)
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        values = np.float32(np.sum(apply_modality_lut(ends, dataset))) - values
    padding = dataset.get("PixelPaddingValue")
    padded = stored == padding if isinstance(padding, int) else np.zeros(stored.shape, bool)
    if padded.any() and not padded.all():
        values[padded] = values[~padded].min()
    return values


def _without_overlay_bits(stored: np.ndarray, bits: int, dataset: Dataset) -> np.ndarray:
    """Cut away what uncompressed files may keep in the bits around Bits Stored, keep the sign."""
    if stored.dtype.kind not in "iu" or _syntax(dataset).is_compressed:
        return stored
    spare = stored.dtype.itemsize * 8 - bits
    above = stored.dtype.itemsize * 8 - 1 - int(dataset.get("HighBit", bits - 1))
    return (stored << above) >> spare if 0 <= above <= spare else stored


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    for tag in ("ImagerPixelSpacing", "PixelSpacing"):
        try:
            spacing = plausible_spacing([float(step) for step in dataset.get(tag) or ()])
        except (TypeError, ValueError):
            continue
        if spacing:
            return spacing
    return None


def _side(dataset: Dataset) -> tuple[Laterality | None, tuple[str, ...]]:
    for tag in ("ImageLaterality", "Laterality"):
        value = str(dataset.get(tag) or "").strip()
        if value.upper() == "B":
            return None, ("the DICOM file shows both knees: give a box around one and its side",)
        try:
            side = Laterality.parse(value)
        except InputError:
            return None, (f"the DICOM file states the unknown laterality {shown(value)}",)
        if side:
            return side, ()
    return None, ()
