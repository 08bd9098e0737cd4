"""From the pixels that a DICOM file stores to grey values with bone bright.

What a decoder gets is checked before: the numbers in the header, and the size that a compressed
stream states itself. What is known to be harmless is mended, with a warning where it may matter.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import generate_pixel_data_frame
from pydicom.pixel_data_handlers.util import apply_color_lut
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
    UncompressedTransferSyntaxes,
)

from xr2mri_core.errors import InputError, RadiographError, UndecodableError, shown
from xr2mri_core.transforms.codestream import codestream_of, rle_length
from xr2mri_core.transforms.dicom_header import (
    named,
    number_of,
    photometric_of,
    syntax_of,
    texts_of,
    whole_of,
)
from xr2mri_core.transforms.picture import (
    blocks_of,
    check_scans,
    check_size,
    grey_of,
    in_smooth_order,
)

log = logging.getLogger("xr2mri")

_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_COMPRESSED = (
    *JPEGTransferSyntaxes,
    *JPEGLSTransferSyntaxes,
    *JPEG2000TransferSyntaxes,
    RLELossless,
)
_UNTURNED = tuple(f"1.2.840.10008.1.2.4.{kind}" for kind in (57, 70, 80, 81))
"""JPEG Lossless and JPEG-LS keep colours as they are; for RGB pylibjpeg would turn them."""
_PIXELS_ENOUGH = 500_000  # to tell how much neighbours differ
_SEAM = 0.002  # share of the pixels that lie at the seams of a folded picture, at least
_ITEM = b"\xfe\xff\x00\xe0"  # begins each fragment of compressed pixels
_NEUTRAL = 16  # how far from 128 the colour of a grey picture is after lossy compression


class PixelLayout(NamedTuple):
    """How pixels are stored, by the header.

    Attributes:
        rows, columns: size of the picture.
        samples: samples of a pixel.
        photometric: MONOCHROME1, MONOCHROME2, or one of colour.
        allocated, stored, high_bit: bits of a sample, those with a value, the highest of these.
        signed: whether values may be negative.
    """

    rows: int
    columns: int
    samples: int
    photometric: str
    allocated: int
    stored: int
    high_bit: int
    signed: bool


def pixel_layout(header: Dataset) -> tuple[PixelLayout, tuple[str, ...]]:
    """The layout of the pixels, and warnings; call it before anything is decoded.

    Raises:
        RadiographError: the file holds no picture, or several, or one of a size or kind that is
            not read.
    """
    notes = []
    rows, columns = (whole_of(header, keyword, 0) for keyword in ("Rows", "Columns"))
    if not rows or not columns:
        raise RadiographError("a DICOM file without a picture; give the file of a radiograph")
    frames = whole_of(header, "NumberOfFrames", 1)
    if frames > 1:
        raise RadiographError(
            f"{named('NumberOfFrames')} is {frames}: {frames} frames, but a radiograph is one "
            "picture; export one frame"
        )
    samples = whole_of(header, "SamplesPerPixel", 1)
    check_size((rows, columns), samples)
    photometric = photometric_of(header)
    if photometric not in ("MONOCHROME1", "MONOCHROME2", *_COLOUR):
        if samples != 1 or (photometric and not photometric.startswith("MONOCHROME")):
            raise RadiographError(
                f"{named('PhotometricInterpretation')} is {shown(photometric)}; "
                "give the radiograph in greyscale, MONOCHROME1 or MONOCHROME2"
            )
        notes.append(
            f"{named('PhotometricInterpretation')} is {shown(photometric)}: MONOCHROME2 is taken"
        )
        photometric = "MONOCHROME2"
    if samples != (3 if photometric in _COLOUR[:-1] else 1):
        raise RadiographError(
            f"{named('SamplesPerPixel')} is {samples}, which does not go with {photometric}; "
            "give the radiograph in greyscale, one sample, MONOCHROME1 or MONOCHROME2"
        )
    allocated = whole_of(header, "BitsAllocated", 16)
    if allocated not in (8, 16, 32):
        raise RadiographError(
            f"{named('BitsAllocated')} is {allocated}; 8, 16 and 32 are read: export it anew"
        )
    stored = whole_of(header, "BitsStored", allocated)
    stored = stored if 1 <= stored <= allocated else allocated
    high_bit = whole_of(header, "HighBit", stored - 1)
    if not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1
    signed = whole_of(header, "PixelRepresentation", 0) == 1
    layout = PixelLayout(rows, columns, samples, photometric, allocated, stored, high_bit, signed)
    return layout, tuple(notes)


def grey_values(
    dataset: Dataset, layout: PixelLayout
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """The picture (rows, columns) float32, rescaled, with bone bright, and warnings.

    MONOCHROME1 shows the lowest value white: values are reflected within the range that Bits
    Stored allows. Padding, outside the collimator, becomes as dark as the darkest pixel.

    Raises:
        RadiographError: naming the attribute that is wrong, or the transfer syntax.
    """
    syntax_notes = _settle_syntax(dataset, layout)
    raw, length_notes = _decoded(dataset, layout), syntax_notes + _length_notes(dataset, layout)
    compressed = _is_compressed(dataset)
    if not compressed:
        lowest = layout.high_bit + 1 - layout.stored
        raw, order_notes = in_smooth_order(raw, lowest, layout.stored)
        length_notes += order_notes
    if raw.ndim == 3 or layout.photometric == "PALETTE COLOR":
        raw, notes = _with_true_planes(raw, dataset, layout)
        return _values(_grey(raw, dataset, layout), dataset), length_notes + notes
    raw, layout, sign_notes = _with_true_sign(raw, layout)
    padded, notes = _padded(raw, dataset, layout)
    stored, bits, more_notes = _within_bits(raw, padded, layout, compressed)
    padded |= _padded(stored, dataset, layout)[0]
    values = _values(stored, dataset)
    if layout.photometric == "MONOCHROME1":
        lowest = -(1 << (bits - 1)) if layout.signed else 0
        ends = np.array([lowest, lowest + (1 << bits) - 1])
        np.subtract(np.float32(rescaled(ends, dataset).sum()), values, out=values)
    if padded.any() and not padded.all():
        values[padded] = values.min(where=~padded, initial=np.inf)
    return values, length_notes + sign_notes + notes + more_notes


# --- decoding -------------------------------------------------------------------------------------


def _is_compressed(dataset: Dataset) -> bool:
    return syntax_of(dataset) not in UncompressedTransferSyntaxes


def _settle_syntax(dataset: Dataset, layout: PixelLayout) -> tuple[str, ...]:
    """Take pixels for what they are where an archive has decompressed them and left the syntax.

    Raises:
        UndecodableError: they are compressed in a way that no decoder here reads, as video is.
    """
    syntax = syntax_of(dataset)
    stored = dataset.get("PixelData") or b""
    spare = len(stored) - layout.rows * layout.columns * layout.samples * layout.allocated // 8
    if not _is_compressed(dataset):
        return ()
    if syntax.is_private or stored[:4] == _ITEM or spare not in (0, 1):
        if syntax not in _COMPRESSED:
            raise UndecodableError(
                f"transfer syntax {shown(syntax.name)} is not read: export it uncompressed"
            )
        return ()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return (
        f"the transfer syntax is {syntax.name}, but {named('PixelData')} is not compressed: it is "
        "read so; check the picture",
    )


def _decoded(dataset: Dataset, layout: PixelLayout) -> NDArray[np.integer[Any]]:
    """Values as they are stored: (rows, columns) or (rows, columns, 3), in this machine's order.

    Big-endian values are brought to it, for their bits are looked at as such (`ndarray.view`).
    """
    for keyword in ("FloatPixelData", "DoubleFloatPixelData"):
        if keyword in dataset:
            raise UndecodableError(
                f"its pixels are real numbers, in {named(keyword)}; export it with integer pixels"
            )
    if "PixelData" not in dataset or not dataset.PixelData:
        raise UndecodableError(
            f"its pixels are missing: there is no {named('PixelData')}, the file is cut short; "
            "export it again"
        )
    syntax = syntax_of(dataset)
    try:
        allocated = layout.allocated
        if _is_compressed(dataset):
            allocated = _of_stream(dataset, layout)
        else:
            _check_length(dataset, layout)
        stored = _only_pixels(dataset, layout, allocated).pixel_array
        return stored.astype(stored.dtype.newbyteorder("="), copy=False)
    except (RadiographError, MemoryError):
        raise
    except Exception as error:
        log.info("a DICOM file that cannot be decoded: %s", shown(error))
        raise UndecodableError(
            f"its pixels cannot be decoded, transfer syntax {syntax.name}; the file is damaged or "
            "compressed in a rare way: export it again, uncompressed"
        ) from error


def _only_pixels(dataset: Dataset, layout: PixelLayout, allocated: int) -> Dataset:
    """What a decoder needs, every number of it checked."""
    pixels = Dataset()
    pixels.file_meta = FileMetaDataset()
    pixels.file_meta.TransferSyntaxUID = syntax_of(dataset)
    pixels.is_little_endian = dataset.is_little_endian
    pixels.is_implicit_VR = dataset.is_implicit_VR
    pixels.Rows, pixels.Columns, pixels.SamplesPerPixel = (
        layout.rows,
        layout.columns,
        layout.samples,
    )
    as_stored = layout.photometric == "RGB" and syntax_of(dataset) in _UNTURNED
    pixels.PhotometricInterpretation = "YBR_FULL" if as_stored else layout.photometric
    if layout.samples > 1:
        pixels.PlanarConfiguration = whole_of(dataset, "PlanarConfiguration", 0)
    pixels.BitsAllocated, pixels.BitsStored = allocated, min(layout.stored, allocated)
    pixels.HighBit, pixels.PixelRepresentation = pixels.BitsStored - 1, int(layout.signed)
    pixels["PixelData"] = dataset["PixelData"]
    return pixels


def _check_length(dataset: Dataset, layout: PixelLayout) -> None:
    """Refuse uncompressed pixels that are too few."""
    samples = 2 if layout.photometric == "YBR_FULL_422" else layout.samples
    needed = layout.rows * layout.columns * samples * layout.allocated // 8
    if dataset.PixelData[:4] == _ITEM and len(dataset.PixelData) != needed:
        raise UndecodableError(
            f"{named('PixelData')} is compressed, but the transfer syntax is "
            f"{syntax_of(dataset).name}; export it again, uncompressed"
        )
    if len(dataset.PixelData) < needed:
        raise UndecodableError(
            f"{named('PixelData')} has {len(dataset.PixelData)} bytes where its header asks for "
            f"{needed}: its pixels cannot be decoded; the file is cut short, export it again"
        )


def _length_notes(dataset: Dataset, layout: PixelLayout) -> tuple[str, ...]:
    """A warning where uncompressed pixels are more than the header says, and not by a filling."""
    if _is_compressed(dataset):
        return ()
    bits = layout.rows * layout.columns * layout.samples * layout.allocated
    rest = bytes(dataset.PixelData[bits // 8 :])
    if len(rest) < 2 or layout.photometric == "YBR_FULL_422" or not any(rest):
        return ()
    return (
        f"{named('PixelData')} has {len(rest)} bytes more than {layout.rows} x {layout.columns} "
        "pixels take: its rows may be longer than the header says; check the picture",
    )


def _of_stream(dataset: Dataset, layout: PixelLayout) -> int:
    """The bits to allocate for a compressed picture, once what it says of itself is checked.

    A decoder allocates what the compressed stream states, and the header may state another size.
    """
    syntax, frame = syntax_of(dataset), next(generate_pixel_data_frame(dataset.PixelData, 1))
    if syntax == RLELossless:
        _check_rle(frame, layout)
        return layout.allocated
    found = codestream_of(frame)
    shape = (layout.rows, layout.columns, layout.samples)
    if found is None or found[:3] != shape:
        says = "of no known kind" if found is None else f"of size {found[:3]}"
        raise UndecodableError(
            f"transfer syntax {syntax.name}: the compressed picture is {says}, its header says "
            f"{shape} (rows, columns, samples); the file is damaged: export it uncompressed"
        )
    check_scans(frame)
    if found.bits > 16:
        raise UndecodableError(
            f"transfer syntax {syntax.name} with {found.bits} bits; up to 16 are read: "
            "export it uncompressed"
        )
    return 8 if found.bits <= 8 else 16


def _check_rle(frame: bytes, layout: PixelLayout) -> None:
    """Refuse RLE that unpacks to more than the picture."""
    offsets = np.frombuffer(frame[:64].ljust(64, b"\0"), "<u4")
    starts = [int(offset) for offset in offsets[1 : 1 + min(int(offsets[0]), 15)]]
    most = layout.rows * layout.columns
    for start, end in zip(starts, [*starts[1:], len(frame)], strict=False):
        if rle_length(frame[start:end], most + 1) > most + 1:
            raise UndecodableError(
                f"{named('PixelData')} unpacks to more than {most} pixels; the file is damaged: "
                "export it uncompressed"
            )


def _with_true_planes(
    raw: NDArray[np.integer[Any]], dataset: Dataset, layout: PixelLayout
) -> tuple[NDArray[np.integer[Any]], tuple[str, ...]]:
    """The colours by plane, or by pixel, where they are grey that way and not as it is stated."""
    if raw.ndim != 3 or _is_compressed(dataset) or layout.photometric != "RGB":
        return raw, ()
    by_plane = whole_of(dataset, "PlanarConfiguration", 0) == 1
    stored = np.ascontiguousarray(raw.transpose(2, 0, 1) if by_plane else raw).reshape(-1)
    rows, columns, samples = raw.shape
    other = (
        stored.reshape(raw.shape)
        if by_plane
        else stored.reshape(samples, rows, columns).transpose(1, 2, 0)
    )
    if _is_grey(raw) or not _is_grey(other):
        return raw, ()
    return other, (
        f"{named('PlanarConfiguration')} is {int(by_plane)}, but the picture is whole the other "
        "way: it is read so; check it",
    )


def _is_grey(colour: NDArray[np.integer[Any]]) -> bool:
    return all(
        bool((colour[rows, :, 1:] == colour[rows, :, :1]).all()) for rows in blocks_of(colour)
    )


# --- colour ---------------------------------------------------------------------------------------


def _grey(
    raw: NDArray[np.integer[Any]], dataset: Dataset, layout: PixelLayout
) -> NDArray[np.float32]:
    """The grey picture of one that is stored in colours."""
    if layout.photometric == "PALETTE COLOR":
        if "RedPaletteColorLookupTableData" not in dataset:
            raise RadiographError(
                f"there is no {named('RedPaletteColorLookupTableData')} for its palette; "
                "give the radiograph in greyscale"
            )
        return grey_of(apply_color_lut(raw, dataset))
    if layout.photometric.startswith("YBR"):  # a decoder may have turned it into RGB already
        colour = np.abs(raw[::4, ::4, 1:].astype(np.int32) - 128)
        if np.quantile(colour, 0.99) <= _NEUTRAL:
            return raw[..., 0].astype(np.float32)
    return grey_of(raw)


# --- values ---------------------------------------------------------------------------------------


def _with_true_sign(
    raw: NDArray[np.integer[Any]], layout: PixelLayout
) -> tuple[NDArray[np.integer[Any]], PixelLayout, tuple[str, ...]]:
    """The values, signed or not as the picture shows them, where the header says the contrary.

    Read the wrong way, one half of the values lies above the other, and where the picture passes
    from one to the other there is a seam: neighbours differ by the whole range, which are nearly
    equal the other way. The reading with seams is left where the other one has hardly any.
    """
    if layout.high_bit != layout.stored - 1 or raw.dtype.kind not in "iu":
        return raw, layout, ()
    width, half, whole = raw.dtype.itemsize, 1 << (layout.stored - 1), 1 << layout.stored
    spare = 8 * width - layout.stored
    if spare < 0:  # a compressed picture has fewer bits than its header says
        return raw, layout, ()
    unsigned, signed = raw.view(f"u{width}"), raw.view(f"i{width}")
    if unsigned.max() >= whole and not -half <= signed.min() <= signed.max() < half:
        return raw, layout, ()  # beyond the bits that are stored

    def read(values: NDArray[np.integer[Any]], with_sign: bool) -> NDArray[np.integer[Any]]:
        moved = values.view(f"u{width}") << spare
        return moved.view(f"i{width}") >> spare if with_sign else moved >> spare

    rows = raw[:: max(1, raw.size // _PIXELS_ENOUGH)]
    here, there = (read(rows, sign) for sign in (layout.signed, not layout.signed))
    steps, others = _steps(here), _steps(there)
    seams = np.count_nonzero((steps > half) & (others < whole / 16) & ~_beside_flat(here))
    seams_of_other = np.count_nonzero((others > half) & (steps < whole / 16))
    if seams <= max(_SEAM * steps.size, 10 * seams_of_other):
        return raw, layout, ()
    note = (
        f"{named('PixelRepresentation')} is {int(layout.signed)}, but the values are "
        f"{'unsigned' if layout.signed else 'signed'}: they are read so; check the picture"
    )
    return read(raw, not layout.signed), layout._replace(signed=not layout.signed), (note,)


def _steps(rows: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """How much neighbours along a row differ."""
    return np.abs(np.diff(rows.astype(np.float32), axis=1))


def _beside_flat(rows: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Whether the brighter of two neighbours is like the next one on: a white frame's edge."""
    flat = rows[:, 1:] == rows[:, :-1]
    edge = np.zeros((len(rows), 1), bool)
    before, behind = np.hstack([edge, flat[:, :-1]]), np.hstack([flat[:, 1:], edge])
    return np.where(rows[:, :-1] > rows[:, 1:], before, behind)


def _within_bits(
    raw: NDArray[np.integer[Any]], padded: NDArray[np.bool_], layout: PixelLayout, compressed: bool
) -> tuple[NDArray[np.integer[Any]], int, tuple[str, ...]]:
    """Values without what may be kept in the bits around Bits Stored, and how many bits they have.

    Bits above High Bit belong to overlays, or repeat the sign, or Bits Stored is wrong and they are
    part of the values. Cutting these away would fold the picture over: so that reading is taken in
    which neighbours differ less.
    """
    if raw.dtype.kind not in "iu":
        return raw, layout.stored, ()
    size = raw.dtype.itemsize * 8
    spare, above = size - layout.stored, size - 1 - layout.high_bit
    cut = raw
    if not compressed and 0 <= above <= spare and spare:
        cut = raw << above
        cut >>= spare
    below = 0 if compressed else layout.high_bit + 1 - layout.stored
    whole = raw >> below if below else raw
    if padded.all():
        return cut, layout.stored, ()
    ends = np.iinfo(whole.dtype)
    extremes = (
        int(whole.max(where=~padded, initial=ends.min)),
        int(whole.min(where=~padded, initial=ends.max)),
    )
    bits = max(n.bit_length() if n >= 0 else (~n).bit_length() for n in extremes) + layout.signed
    if bits <= layout.stored or (cut is not raw and _rough(cut, padded) <= _rough(whole, padded)):
        return cut, layout.stored, ()
    note = f"{named('BitsStored')} is {layout.stored}, but values have {bits} bits: all are read"
    return whole, bits, (note,)


def _rough(values: NDArray[np.integer[Any]], padded: NDArray[np.bool_]) -> float:
    """Sum of the differences of neighbours, padding left out."""
    rough = 0.0
    for rows in blocks_of(values):
        with_next = slice(rows.start, rows.stop + 1)
        across = values[rows].astype(np.float32), padded[rows]
        down = values[with_next].astype(np.float32).T, padded[with_next].T
        for seen, hidden in (across, down):
            steps = np.abs(np.diff(seen, axis=1))
            steps[hidden[:, 1:] | hidden[:, :-1]] = 0
            rough += float(steps.sum(dtype=np.float64))
    return rough


def _padded(
    stored: NDArray[np.integer[Any]], dataset: Dataset, layout: PixelLayout
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Where the picture is padding: Pixel Padding Value, up to Pixel Padding Range Limit.

    Files give them as unsigned numbers in signed data, and beyond Bits Stored: they are compared
    as bit patterns.
    """
    nowhere = np.zeros(stored.shape, bool)
    if stored.dtype.kind not in "iu" or not texts_of(dataset, "PixelPaddingValue"):
        return nowhere, ()
    size = stored.dtype.itemsize * 8
    ends: list[int] = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        try:
            number = whole_of(dataset, keyword, ends[0] if ends else 0)
        except (InputError, OverflowError):
            return nowhere, (f"{named(keyword)} is no number: passed over",)
        number %= 1 << size
        ends.append(number - (1 << size) if layout.signed and number >> (size - 1) else number)
    return (stored >= min(ends)) & (stored <= max(ends)), ()


def _values(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.float32]:
    """`rescaled` of a whole picture as float32."""
    values = np.empty(stored.shape, np.float32)
    for rows in blocks_of(stored):
        values[rows] = rescaled(stored[rows], dataset)
    return values


def rescaled(stored: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Values after the Modality LUT or Rescale Slope and Intercept; empty ones change nothing.

    Raises:
        UndecodableError: naming the attribute that is wrong.
    """
    try:
        table = dataset["ModalityLUTSequence"].value[0]
    except (KeyError, IndexError, TypeError):
        table = None
    if table is not None:
        return _looked_up(stored, table, dataset)
    slope, intercept = (
        number_of(dataset, "RescaleSlope", 1.0),
        number_of(dataset, "RescaleIntercept", 0.0),
    )
    if slope == 0:
        raise UndecodableError(
            f"{named('RescaleSlope')} is 0, which makes every pixel the same; mend it"
        )
    if (slope, intercept) == (1.0, 0.0):
        return stored
    return stored.astype(np.float64) * slope + intercept


def _looked_up(
    stored: NDArray[np.integer[Any]], table: Dataset, dataset: Dataset
) -> NDArray[np.float64]:
    """Values by a Modality LUT of any number of bits (PS3.3, C.11.1.1)."""
    try:
        entries, first, bits = (int(float(text)) for text in texts_of(table, "LUTDescriptor"))
    except (ValueError, OverflowError):
        raise UndecodableError(
            f"{named('LUTDescriptor')} of its Modality LUT is not three numbers; export it again"
        ) from None
    entries = entries or 1 << 16
    if whole_of(dataset, "PixelRepresentation", 0) == 1 and first >= 1 << 15:
        first -= 1 << 16
    data = table["LUTData"].value if "LUTData" in table else b""
    if isinstance(data, bytes):
        order = "<" if dataset.is_little_endian else ">"
        eight = bits <= 8 and len(data) < 2 * entries
        data = data[: len(data) // 2 * 2] if not eight else data
        values = np.frombuffer(data, np.uint8 if eight else f"{order}u2")
    else:
        values = np.atleast_1d(np.asarray(data, dtype=np.int64))
    if len(values) < entries:
        raise UndecodableError(
            f"{named('LUTData')} of its Modality LUT has {len(values)} values where "
            f"{named('LUTDescriptor')} says {entries}; export it again"
        )
    index = np.clip(stored.astype(np.int64) - first, 0, entries - 1)
    return values[index].astype(np.float64)
