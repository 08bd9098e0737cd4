"""Peculiarities of real files that would be misread without a word."""

import io
import struct
import zlib

import nibabel as nib
import numpy as np
import pytest
from dicom_samples import item, knee_pixels, write_dicom
from PIL import Image

from xr2mri_core.transforms.radiograph_file import read_radiograph, read_stream

ROWS, COLUMNS = 80, 64


RECTANGLE = {"ShutterShape": "RECTANGULAR", "ShutterUpperHorizontalEdge": 11,
             "ShutterLowerHorizontalEdge": 70, "ShutterLeftVerticalEdge": 9,
             "ShutterRightVerticalEdge": 56}  # fmt: skip
CIRCLE = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [40, 32],
          "RadiusOfCircularShutter": 28}  # fmt: skip
POLYGON = {"ShutterShape": "POLYGONAL",
           "VerticesOfThePolygonalShutter": [11, 9, 11, 56, 70, 56, 70, 9]}  # fmt: skip


@pytest.mark.parametrize("shutter", [RECTANGLE, CIRCLE, POLYGON])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_what_a_display_hides_is_dark(tmp_path, shutter, photometric):
    """White collimator edges around the field, as many devices leave them."""
    stored = knee_pixels(ROWS, COLUMNS, top=3000)
    white = 0 if photometric == "MONOCHROME1" else 4095
    framed = np.full_like(stored, white)
    framed[10:70, 8:56] = stored[10:70, 8:56] + 10
    tags = {"PhotometricInterpretation": photometric}
    plain, _ = read_radiograph(write_dicom(tmp_path / "a", framed, **tags))
    hidden, _ = read_radiograph(write_dicom(tmp_path / "b", framed, **tags, **shutter))
    assert plain[0, 0] == plain.max() and hidden[0, 0] == hidden.min() == hidden[-1, -1]
    assert np.array_equal(hidden[25:55, 20:44], plain[25:55, 20:44])
    if shutter is not CIRCLE:
        assert np.array_equal(hidden[10:70, 8:56], plain[10:70, 8:56])
        assert (hidden[:10] == hidden.min()).all() and (hidden[:, 56:] == hidden.min()).all()


@pytest.mark.parametrize(
    "shutter",
    [
        {**RECTANGLE, "ShutterRightVerticalEdge": 10},  # nothing would be left
        {**RECTANGLE, "ShutterLeftVerticalEdge": None},
        {"ShutterShape": "CIRCULAR"},
        {**POLYGON, "VerticesOfThePolygonalShutter": [1, 2, 3]},
        {"ShutterShape": "BITMAP"},
    ],
)
def test_a_shutter_that_makes_no_sense_is_passed_over(tmp_path, shutter):
    tags = {keyword: value for keyword, value in shutter.items() if value is not None}
    plain, _ = read_radiograph(write_dicom(tmp_path / "a", knee_pixels(ROWS, COLUMNS)))
    same, _ = read_radiograph(write_dicom(tmp_path / "b", knee_pixels(ROWS, COLUMNS), **tags))
    assert np.array_equal(plain, same)


def test_rows_that_are_longer_than_stated_are_told_and_a_filling_is_not(tmp_path):
    stored = knee_pixels(ROWS, COLUMNS)
    longer = np.pad(stored, ((0, 0), (0, 4)), mode="edge").tobytes()
    for content, told in ((longer, True), (stored.tobytes() + bytes(4000), False)):
        _, info = read_radiograph(write_dicom(tmp_path / "x", stored, PixelData=content))
        assert any("bytes more than" in note for note in info["warnings"]) is told


@pytest.mark.parametrize("stated", [0, 1])
def test_colours_by_plane_and_by_pixel_are_distinguished(tmp_path, stated):
    grey = (knee_pixels(ROWS, COLUMNS) >> 4).astype(np.uint8)
    grey[::2, ::2] //= 2
    by_plane, by_pixel = np.stack([grey] * 3), np.stack([grey] * 3, axis=-1)
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": stated}
    plain, _ = read_radiograph(write_dicom(tmp_path / "a", grey))
    for content, told in ((by_plane, stated == 0), (by_pixel, stated == 1)):
        path = write_dicom(tmp_path / "x", grey, PixelData=content.tobytes(), **tags)
        pixels, info = read_radiograph(path)
        assert np.array_equal(pixels, plain)
        assert any("PlanarConfiguration" in note for note in info["warnings"]) is told


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "PresentationLUTSequence"])
@pytest.mark.parametrize("falling", [True, False])
def test_a_table_that_shows_large_values_dark_is_told(tmp_path, keyword, falling):
    values = np.arange(4096, dtype=np.uint16)[:: -1 if falling else 1]
    table = item(LUTDescriptor=[4096, 0, 12], LUTData=values.tobytes())
    path = write_dicom(tmp_path / "x", knee_pixels(ROWS, COLUMNS), **{keyword: table})
    notes = read_radiograph(path)[1]["warnings"]
    assert any(keyword in note and "dark" in note for note in notes) is falling


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "", "LOCALIZER"]}, "LOCALIZER"),
        ({"ImageType": ["DERIVED", "PRIMARY", "SUBTRACTION"]}, "SUBTRACTION"),
        ({"PatientSpeciesDescription": "Canine"}, "no human knee"),
        ({"ImageType": ["DERIVED", "PRIMARY", "", "POST_PROCESSED"]}, None),
        ({"PatientSpeciesDescription": "Homo sapiens"}, None),
    ],
)
def test_what_is_no_plain_radiograph_of_a_person_is_told(tmp_path, tags, says):
    path = write_dicom(tmp_path / "x", knee_pixels(ROWS, COLUMNS), **tags)
    notes = read_radiograph(path)[1]["warnings"]
    assert notes == [] if says is None else says in notes[0]


def saved(image: Image.Image, kind: str, **options) -> bytes:
    image.save(buffer := io.BytesIO(), kind, **options)
    return buffer.getvalue()


GREY = Image.fromarray((knee_pixels(ROWS, COLUMNS) >> 4).astype(np.uint8))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (saved(GREY, "JPEG", dpi=(144, 72)), True),
        (saved(GREY, "PNG", dpi=(100, 200)), True),
        (saved(GREY.convert("RGB"), "JPEG", dpi=(144, 72)), True),
        (saved(GREY, "JPEG", dpi=(72, 72)), False),
        (saved(GREY, "PNG"), False),
    ],
)
def test_pixels_that_are_said_not_to_be_square_are_told(content, told):
    notes = read_stream(io.BytesIO(content), "x").info["warnings"]
    assert any("not square" in note for note in notes) is told


def test_an_aspect_without_unit_is_told_too():
    content = saved(GREY, "PNG")
    data = struct.pack(">IIB", 2, 1, 0)
    chunk = struct.pack(">I", 9) + b"pHYs" + data + struct.pack(">I", zlib.crc32(b"pHYs" + data))
    notes = read_stream(io.BytesIO(content[:33] + chunk + content[33:]), "x").info["warnings"]
    assert any("2 x 1" in note for note in notes)


def test_a_mask_is_told():
    mask = np.asarray(GREY) > 100
    for content in (
        saved(Image.fromarray(mask), "PNG"),
        nib.Nifti1Image(mask.T[..., None].astype(np.uint8), np.eye(4)).to_bytes(),
    ):
        [note] = read_stream(io.BytesIO(content), "x").info["warnings"]
        assert "a mask" in note
    assert read_stream(io.BytesIO(saved(GREY, "PNG")), "x").info["warnings"] == []


@pytest.mark.parametrize(
    ("unit", "spacing"),
    [("cm", 0.05), ("mm", 0.5), ("um", 500), ("\N{MICRO SIGN}m", 500), ("m", 5e-4)],
)
def test_spacings_in_other_units_than_millimetres(unit, spacing):
    pixels = knee_pixels(ROWS, COLUMNS)
    sizes = f"{COLUMNS} {ROWS}"
    nrrd = (
        f"NRRD0005\ntype: uint16\ndimension: 2\nsizes: {sizes}\nendian: little\nencoding: raw\n"
        f'spacings: {spacing} {spacing}\nunits: "{unit}" "{unit}"\n\n'
    )
    mha = (
        f"ObjectType = Image\nNDims = 2\nBinaryData = True\nDimSize = {sizes}\n"
        f"ElementType = MET_USHORT\nElementSpacing = {spacing} {spacing}\n"
        f"DistanceUnits = {unit}\nElementDataFile = LOCAL\n"
    )
    for header in (nrrd, mha):
        read = read_stream(io.BytesIO(header.encode() + pixels.tobytes()), "x")
        assert read.info["spacing_mm"] == pytest.approx((0.5, 0.5))
        assert np.array_equal(read.pixels, pixels)
