"""Files that say what they have to say in unusual places or words, or store it otherwise."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from dicom_samples import encoded, item, knee_pixels, write_dicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)
from samples import draw_knee

from xr2mri_core.errors import RadiographError
from xr2mri_core.transforms.radiograph import radiograph_transforms
from xr2mri_core.transforms.radiograph_file import RadiographFile, open_radiograph, read_stream
from xr2mri_core.transforms.white_frame import NOTE, inside_of

KNEE = knee_pixels(80, 64)
EIGHT = (KNEE >> 4).astype(np.uint8)


def dicom(folder: Path, stored: NDArray[Any] = KNEE, **tags: Any) -> RadiographFile:
    return open_radiograph(write_dicom(folder / "x", np.ascontiguousarray(stored), **tags))


def refused(content: bytes) -> str:
    with pytest.raises(RadiographError) as caught:
        read_stream(io.BytesIO(content), "x")
    return str(caught.value)


# --- the frame of an enhanced file ----------------------------------------------------------------

OF_A_FRAME = {
    "PixelMeasuresSequence": item(PixelSpacing=[0.2, 0.3]),
    "PlaneOrientationSequence": item(ImageOrientationPatient=[-1, 0, 0, 0, 0, -1]),
    "PixelValueTransformationSequence": item(RescaleSlope=-1, RescaleIntercept=4095),
    "FrameAnatomySequence": item(FrameLaterality="L"),
}


@pytest.mark.parametrize("groups", ["Shared", "PerFrame"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_what_functional_groups_say_of_one_frame_counts(tmp_path, groups, syntax):
    stored = 4095 - KNEE[:, ::-1]
    within = {f"{groups}FunctionalGroupsSequence": item(**OF_A_FRAME)}
    file = dicom(tmp_path, stored, syntax=syntax, NumberOfFrames=1, **within)
    assert (file.pixels == KNEE).all() and file.info["laterality"] == "L"
    assert file.info["spacing_mm"] == (0.2, 0.3) and "is mirrored" in " ".join(
        file.info["warnings"]
    )


def test_what_a_file_says_itself_goes_before_its_groups(tmp_path):
    said: dict[str, Any] = {
        "PixelSpacing": [0.5, 0.5],
        "ImageOrientationPatient": [1, 0, 0, 0, 0, -1],
    }
    said |= {"RescaleSlope": 1, "RescaleIntercept": 0, "FrameLaterality": "R"}
    file = dicom(tmp_path, **said, SharedFunctionalGroupsSequence=item(**OF_A_FRAME))
    assert (file.pixels == KNEE).all() and file.info["warnings"] == []
    assert file.info["spacing_mm"] == (0.5, 0.5) and file.info["laterality"] == "R"


def test_letters_and_shutter_of_a_frame(tmp_path):
    within = item(
        PatientOrientationInFrameSequence=item(PatientOrientation=["R", "F"]),
        FrameDisplayShutterSequence=item(
            ShutterShape="CIRCULAR", CenterOfCircularShutter=[40, 32], RadiusOfCircularShutter=25
        ),
        FramePixelDataPropertiesSequence=item(ImagerPixelSpacing=[0.15, 0.15]),
    )
    file = dicom(tmp_path, KNEE[:, ::-1], SharedFunctionalGroupsSequence=within)
    assert (file.pixels[30:50, 25:40] == KNEE[30:50, 25:40]).all()
    assert file.pixels[0, -1] == file.pixels.min() and file.info["spacing_mm"] == (0.15, 0.15)


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "letters", ["R/F", "R F", "R, F", "R;F", "['R', 'F']", "RIGHT / FEET", "R\\I"]
)
def test_letters_may_be_written_otherwise(tmp_path, letters):
    path = write_dicom(tmp_path / "x", KNEE[:, ::-1].copy(), PatientOrientation=["QQ", "QQQQQQQQQ"])
    old = b"QQ\\QQQQQQQQQ"
    path.write_bytes(path.read_bytes().replace(old, letters.encode().ljust(len(old))))
    file = open_radiograph(path)
    assert (file.pixels == KNEE).all() and "is mirrored" in file.info["warnings"][0]


@pytest.mark.parametrize(
    ("text", "side"),
    [("RT", "R"), ("LT", "L"), ("LINKS", "L"), ("R_KNEE", "R"), ("GAUCHE", "L"), ("1", "R")],
)
def test_a_side_may_be_a_word(tmp_path, text, side):
    file = dicom(tmp_path, ImageLaterality=text)
    assert file.info["laterality"] == side and file.info["warnings"] == []


@pytest.mark.parametrize("text", ["MONOCHROME 1", "MONOCHROME_1", "monochrome1"])
def test_monochrome_may_be_spelt_otherwise(tmp_path, text):
    file = dicom(tmp_path, 4095 - KNEE, PhotometricInterpretation=text)
    assert (file.pixels == KNEE).all() and file.info["warnings"] == []
    both = {"PhotometricInterpretation": text, "PresentationLUTShape": "IDENTITY"}
    assert "contradicts itself" in dicom(tmp_path, 4095 - KNEE, **both).info["warnings"][0]


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({"ImageHorizontalFlip": "Y"}, "ImageHorizontalFlip (0070,0041) is 'Y'"),
        ({"ImageRotation": 180}, "ImageRotation (0070,0042) is '180'"),
        ({"ImageHorizontalFlip": "N", "ImageRotation": 0}, ""),
        ({"PixelAspectRatio": "2"}, "PixelAspectRatio (0028,0034) is '2', where two numbers"),
        ({"PixelAspectRatio": [0, 1]}, "where two numbers belong"),
        ({"PixelAspectRatio": [1, 1]}, ""),
        ({"PixelAspectRatio": [2, 1], "PixelSpacing": [0.2, 0.2]}, "2 times as tall as wide"),
        ({"PixelAspectRatio": [2, 1], "PixelSpacing": [0.4, 0.2]}, ""),
        ({"PixelAspectRatio": [1, 1], "PixelSpacing": [0.2, 0.2]}, ""),
        ({"ImagerPixelSpacing": [0.2, 0.1], "PixelSpacing": [0.2, 0.2]}, "and ImagerPixelSpacing "
         "(0018,1164) of 0.2 x 0.1 mm cannot both"),
    ],
)  # fmt: skip
def test_what_asks_for_another_picture_is_told(tmp_path, tags, told):
    notes = dicom(tmp_path, **tags).info["warnings"]
    assert told in " ".join(notes) and bool(told) == bool(notes)


@pytest.mark.parametrize(
    ("rows", "told"),
    [([1, 0, 0], 0), ([0.98, 0.2, 0], 0), ([0.87, 0, 0.5], 1), ([0.9, 0.43, 0], 1)],
)
def test_a_picture_that_lies_aslant_is_told(tmp_path, rows, told):
    """Turned within its plane, or out of the frontal one."""
    down = [0, 0, -1] if rows[2] == 0 else [0.5, 0, -0.87]
    notes = dicom(tmp_path, ImageOrientationPatient=[*rows, *down]).info["warnings"]
    affine = np.eye(4)
    affine[:3, :3] = np.array([np.multiply(rows, (-1, -1, 1)), down, np.cross(rows, down)]).T * 0.3
    image = nib.Nifti1Image(KNEE.T[..., None].astype(np.int16), affine)
    for seen in (notes, read_stream(io.BytesIO(image.to_bytes()), "x").info["warnings"]):
        assert len(seen) == told and all("aslant" in note for note in seen)


def test_metaimage_may_name_its_directions():
    def read(*lines: str) -> NDArray[Any]:
        head = ["ObjectType = Image", "NDims = 3", "DimSize = 64 80 1", "BinaryData = True", *lines,
                "ElementType = MET_USHORT", "ElementDataFile = LOCAL", ""]  # fmt: skip
        content = "\n".join(head).encode() + KNEE.tobytes()
        return read_stream(io.BytesIO(content), "x").pixels

    assert (read("AnatomicalOrientation = RAI") == KNEE).all()
    assert (read("AnatomicalOrientation = LAI") == KNEE[:, ::-1]).all()
    assert (read("AnatomicalOrientation = ???") == KNEE).all()
    assert (
        read("AnatomicalOrientation = LAI", "TransformMatrix = 1 0 0 0 1 0 0 0 1") == KNEE
    ).all()


# --- white around the picture ---------------------------------------------------------------------


def chained(picture: NDArray[Any]) -> tuple[NDArray[Any], list[str]]:
    done = radiograph_transforms(96)({"radiograph": picture, "box": (0, 0, 96, 96)})
    return np.asarray(done["radiograph"])[0], done["radiograph_info"]["warnings"]


@pytest.mark.parametrize("edges", ["top", "bottom", "left", "right", "top left bottom right"])
def test_white_strips_become_dark(edges):
    """Else they are the white of the grey scale, and the knee is a part of it."""
    knee = draw_knee(96).astype(np.float32)
    white, dark = knee.copy(), knee.copy()
    for edge in edges.split():
        rows = {"top": slice(0, 14), "bottom": slice(-14, None)}.get(edge, slice(None))
        columns = {"left": slice(0, 14), "right": slice(-14, None)}.get(edge, slice(None))
        white[rows, columns] = 255
    dark[white == 255] = knee[white < 255].min()
    found, notes = chained(white)
    assert np.allclose(found, chained(dark)[0], atol=1e-6) and NOTE in notes
    assert NOTE not in chained(dark)[1] and NOTE not in chained(knee)[1]


def test_what_is_white_but_no_strip_is_left():
    knee = draw_knee(96).astype(np.float32)
    prosthesis, narrow, mostly = knee.copy(), knee.copy(), np.full_like(knee, 255)
    prosthesis[60:, 30:66] = 255  # down to the edge
    narrow[:, 1:95] = 255
    mostly[40:56] = knee[40:56]
    for picture in (prosthesis, narrow, mostly, knee):
        assert inside_of(picture) == (slice(0, 96), slice(0, 96))
    tiny = np.full((4, 4), 255.0)
    tiny[1] = 0
    assert inside_of(tiny) == (slice(0, 4), slice(0, 4))


# --- how values are stored ------------------------------------------------------------------------


def grained(top: int) -> NDArray[Any]:
    """A smooth picture with some grain, as scans have."""
    rows, columns = np.mgrid[:80, :64]
    smooth = top * (0.5 + 0.4 * np.sin(rows / 17) * np.cos(columns / 13))
    grain = np.random.default_rng(0).normal(0, top / 300, smooth.shape)
    return np.clip(smooth + grain, 0, top).astype(np.uint16)


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_bytes_in_the_other_order_are_read_as_a_picture(tmp_path, bits, signed):
    true = grained((1 << bits) - 1).astype(np.int32) - (1 << (bits - 1)) * signed
    stored = true.astype(np.int16 if signed else np.uint16)
    stated = {"BitsStored": bits, "HighBit": bits - 1}
    file = dicom(tmp_path, stored.byteswap(), **stated)
    assert (file.pixels == true).all() and "the other order" in " ".join(file.info["warnings"])
    assert dicom(tmp_path, stored, **stated).info["warnings"] == []
    kind = "MET_SHORT" if signed else "MET_USHORT"
    head = "NDims = 2\nDimSize = 64 80\nBinaryData = True\nBinaryDataByteOrderMSB = True\n"
    head += f"ElementType = {kind}\nElementDataFile = LOCAL\n"
    for order, told in ((">i2", False), ("<i2", True)):
        content = head.encode() + stored.view("<i2").astype(order).tobytes()
        file = read_stream(io.BytesIO(content), "x")
        assert (file.pixels == true).all() and bool(file.info["warnings"]) is told


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_big_endian_values_are_read(tmp_path, bits, signed):
    true = grained((1 << bits) - 1).astype(np.int32) - (1 << (bits - 1)) * signed
    stored = true.astype(">i2" if signed else ">u2")
    tags = {"syntax": ExplicitVRBigEndian, "BitsStored": bits, "HighBit": bits - 1}
    file = dicom(tmp_path, stored, **tags)
    assert (file.pixels == true).all() and file.info["warnings"] == []
    if not signed:
        shifted = (true << (16 - bits)).astype(">u2")
        file = dicom(tmp_path, shifted, **{**tags, "HighBit": 15})
        assert (file.pixels == true).all() and file.info["warnings"] == []
    table = np.arange(1 << bits) // 2
    first = (1 << 16) - (1 << (bits - 1)) if signed else 0
    lookup = item(ModalityLUTType="US")
    lookup[0].add_new(0x00283002, "US", [len(table) % (1 << 16), first, bits])
    lookup[0].add_new(0x00283006, "OW", table.astype(">u2").tobytes())
    file = dicom(tmp_path, stored, **tags, ModalityLUTSequence=lookup)
    assert (file.pixels == (true + (1 << (bits - 1)) * signed) // 2).all()


def test_noise_is_in_no_order(tmp_path):
    noise = np.random.default_rng(0).integers(0, 4096, KNEE.shape).astype(np.uint16)
    file = dicom(tmp_path, noise)
    assert (file.pixels == noise).all() and file.info["warnings"] == []


@pytest.mark.parametrize("said", [{}, {"PixelPaddingValue": 4095}])
@pytest.mark.parametrize("signed", [False, True])
def test_a_wide_white_frame_is_no_sign(tmp_path, said, signed):
    inner = np.clip(grained(1200).astype(np.int32) - 900, 0, 99) - 2048 * signed  # beside air
    framed = np.pad(inner, 20, constant_values=4095 - 2048 * signed)
    said = {name: value - 2048 * signed for name, value in said.items()}
    kind = np.int16 if signed else np.uint16
    path = write_dicom(tmp_path / "x", framed.astype(kind), **({} if signed else said))
    file = open_radiograph(path)
    assert (file.pixels[20:-20, 20:-20] == inner).all() and file.info["warnings"] == []


@pytest.mark.parametrize("stored", [8, 10, 12, 16])
def test_streams_of_fewer_bits_than_the_header_says(tmp_path, stored):
    tags = {"BitsAllocated": 16, "BitsStored": stored, "HighBit": stored - 1}
    for syntax, kind in (
        (JPEG2000Lossless, "JPEG2000"),
        (JPEGBaseline8Bit, "JPEG"),
        (JPEGExtended12Bit, "JPEG"),
    ):
        stream = encapsulate([encoded(EIGHT, kind)])
        file = dicom(tmp_path, EIGHT, syntax=syntax, PixelData=stream, **tags)
        assert np.abs(file.pixels - EIGHT).max() < 12 and file.info["warnings"] == []


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGBaseline8Bit])
def test_pixels_that_were_decompressed_under_an_old_syntax(tmp_path, syntax):
    path = write_dicom(tmp_path / "x", KNEE, PixelData=encapsulate([b"Q" * 100]), syntax=syntax)
    plain = write_dicom(tmp_path / "y", KNEE).read_bytes()
    pixels = plain[plain.rindex(b"\xe0\x7f\x10\x00OW") :]
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"\xe0\x7f\x10\x00OW")] + pixels)
    file = open_radiograph(path)
    assert (file.pixels == KNEE).all() and "is not compressed" in file.info["warnings"][0]


def test_pixels_that_are_compressed_under_a_plain_syntax_are_told(tmp_path):
    stream = encapsulate([encoded(EIGHT, "JPEG2000")])
    path = write_dicom(tmp_path / "x", EIGHT, PixelData=stream, syntax=JPEG2000Lossless)
    old, new = str(JPEG2000Lossless).encode(), b"1.2.840.10008.1.2.1"
    path.write_bytes(path.read_bytes().replace(old, new.ljust(len(old), b"\0")))
    assert "is compressed, but the transfer syntax is Explicit VR" in refused(path.read_bytes())


def patched(offset: int, form: str, *values: float) -> bytes:
    image = nib.Nifti1Image(KNEE.T[..., None].astype(np.int16), np.diag([-0.3, -0.3, 1, 1]))
    content = bytearray(image.to_bytes())
    struct.pack_into(f"<{form}", content, offset, *values)
    return bytes(content)


def test_numbers_of_nifti_that_mean_nothing():
    for content in (patched(123, "B", 7), patched(112, "ff", 1, np.nan), patched(112, "ff", 0, 5)):
        file = read_stream(io.BytesIO(content), "x")
        assert (file.pixels == KNEE).all() and file.info["warnings"] == []
        assert file.info["spacing_mm"] == pytest.approx((0.3, 0.3))


@pytest.mark.parametrize("slope", [1e-30, 1e30])
def test_values_that_no_square_can_hold_are_brought_nearer(slope):
    pixels = read_stream(io.BytesIO(patched(112, "ff", slope, 0)), "x").pixels
    assert np.allclose(pixels, KNEE / 4095, atol=1e-5)


def png16(top: int, colours: int) -> bytes:
    """A grey picture in 16-bit colours: RGB (2), with transparency (4, 6)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        sum_of_it = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + sum_of_it

    grey = (KNEE.astype(np.int64) * top // 4095).astype(">u2")[..., None]
    values = np.repeat(grey, 1 if colours == 4 else 3, 2)
    if colours > 2:
        values = np.concatenate([values, np.full_like(grey, 65535)], 2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", 64, 80, 16, colours, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("colours", [2, 4, 6])
def test_16_bit_colours_that_lose_their_grey_values_are_refused(colours):
    file = read_stream(io.BytesIO(png16(65535, colours)), "x")
    assert np.abs(file.pixels / 255 - KNEE / 4095).max() < 0.01 and file.info["warnings"] == []
    assert "16 grey values are left; save it in grey" in refused(png16(4095, colours))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_damaged_picture_is_told_in_our_words(kind):
    Image.fromarray(EIGHT).save(buffer := io.BytesIO(), kind)
    for content in (buffer.getvalue()[:40], buffer.getvalue()[: buffer.tell() // 2]):
        assert refused(content).endswith("cannot be decoded; export the radiograph again")
        assert "Error" not in refused(content)
