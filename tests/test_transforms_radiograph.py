"""From radiograph files, all written here by other libraries, to the network's picture."""

import gzip
import struct
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from dicom_samples import encoded, knee_pixels, write_dicom
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
)

from xr2mri_core.errors import InputError, RadiographError
from xr2mri_core.localization import LocateKneed
from xr2mri_core.transforms import radiograph_transforms, read_radiograph
from xr2mri_core.transforms.codestream import codestream_of

REFERENCE = Path(__file__).parents[2] / "shared" / "reference"
with_reference = pytest.mark.skipif(not REFERENCE.exists(), reason="no reference files")
reuses_folder = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def refusal(path: Path) -> str:
    with pytest.raises(RadiographError) as caught:
        read_radiograph(path)
    message = str(caught.value)
    assert "\n" not in message and path.name in message
    return message


# --- DICOM ----------------------------------------------------------------------------------


def test_dicom_values_spacing_side(tmp_path):
    path = write_dicom(
        tmp_path / "001",
        knee_pixels(),
        ImagerPixelSpacing=[0.3, 0.15],
        PixelSpacing=[0.28, 0.14],
        ImageLaterality="L",
        WindowCenter=100,
        WindowWidth=10,
    )
    pixels, info = read_radiograph(path)
    assert pixels.dtype == np.float32 and (pixels == knee_pixels()).all()
    assert info == {"spacing_mm": (0.3, 0.15), "laterality": "L", "format": "DICOM", "warnings": []}


@pytest.mark.parametrize(
    ("tags", "spacing"),
    [
        ({}, None),
        ({"PixelSpacing": [0.3, 0.3]}, (0.3, 0.3)),
        ({"ImagerPixelSpacing": [0, 0], "PixelSpacing": [0.3, 0.3]}, (0.3, 0.3)),
        ({"ImagerPixelSpacing": [0.2]}, None),
        ({"PixelSpacing": [200, 200]}, None),
    ],
)
def test_dicom_spacing(tmp_path, tags, spacing):
    assert (
        read_radiograph(write_dicom(tmp_path / "x", knee_pixels(), **tags))[1]["spacing_mm"]
        == spacing
    )


@pytest.mark.parametrize(
    ("tags", "side", "warned"),
    [
        ({"Laterality": "R"}, "R", False),
        ({"ImageLaterality": "U", "Laterality": "L"}, "L", False),
        ({"ImageLaterality": "B"}, None, True),
        ({"Laterality": "X"}, None, True),
    ],
)
def test_dicom_side(tmp_path, tags, side, warned):
    info = read_radiograph(write_dicom(tmp_path / "x", knee_pixels(), **tags))[1]
    assert info["laterality"] == side and bool(info["warnings"]) == warned


@given(
    slope=st.sampled_from([1.0, 0.5, -2.0]),
    intercept=st.sampled_from([0.0, -1024.0, 7.0]),
    signed=st.booleans(),
)
@reuses_folder
def test_monochrome1_is_inverted_exactly_once(tmp_path, slope, intercept, signed):
    stored = (knee_pixels().astype(np.int32) - 2048 * signed).astype(
        np.int16 if signed else np.uint16
    )
    tags = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    plain, _ = read_radiograph(write_dicom(tmp_path / "2", stored, **tags))
    assert np.allclose(plain, slope * stored + intercept)
    inverted, _ = read_radiograph(
        write_dicom(tmp_path / "1", stored, PhotometricInterpretation="MONOCHROME1", **tags)
    )
    ends = slope * (np.array([0, 4095]) - 2048 * signed) + intercept
    assert np.allclose(inverted, ends.sum() - plain, atol=1e-2)


@pytest.mark.parametrize("high_bit", [11, 12, 15])
@pytest.mark.parametrize("signed", [False, True])
def test_bits_outside_bits_stored_are_cut_away(tmp_path, high_bit, signed):
    values = knee_pixels().astype(np.int32) - 2048 * signed
    overlay = np.random.default_rng(0).integers(0, 1 << 16, values.shape)
    mask = 0xFFF << (high_bit - 11)
    stored = ((values << (high_bit - 11)) & mask) | (overlay & ~mask & 0xFFFF)
    stored = stored.astype(np.uint16).view(np.int16 if signed else np.uint16)
    path = write_dicom(tmp_path / "x", stored, HighBit=high_bit)
    assert (read_radiograph(path)[0] == values).all()


def test_padding_is_dark(tmp_path):
    stored = knee_pixels() + 1
    stored[:5] = 0
    path = write_dicom(
        tmp_path / "x", stored, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0
    )
    pixels, _ = read_radiograph(path)
    assert (pixels[:5] == pixels[5:].min()).all()


def test_implicit_vr_without_preamble_and_any_name(tmp_path):
    path = write_dicom(tmp_path / "x", knee_pixels(), pydicom.uid.ImplicitVRLittleEndian)
    data = pydicom.dcmread(path)
    raw = path.read_bytes()
    bare = tmp_path / "picture.png"
    bare.write_bytes(raw[144 + data.file_meta.FileMetaInformationGroupLength :])
    assert (read_radiograph(bare)[0] == knee_pixels()).all()


def test_compressed_dicom(tmp_path):
    eight = (knee_pixels() >> 4).astype(np.uint8)
    path = write_dicom(
        tmp_path / "j2k",
        eight,
        JPEG2000Lossless,
        PixelData=encapsulate([encoded(eight, "JPEG2000")]),
    )
    assert (read_radiograph(path)[0] == eight).all()
    path = write_dicom(
        tmp_path / "jpg", eight, JPEGBaseline8Bit, PixelData=encapsulate([encoded(eight, "JPEG")])
    )
    assert np.abs(read_radiograph(path)[0] - eight).max() < 12


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"Modality": "MR"}, "MR' is not a radiograph"),
        ({"Modality": "CT"}, "CT' is not a radiograph"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"PhotometricInterpretation": "CMYK", "SamplesPerPixel": 4}, "greyscale"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "greyscale"),
        ({"Rows": 10_000, "Columns": 10_000}, "more than 64 million"),
        ({"Rows": 8}, "too few"),
        ({"Rows": 61}, "cannot be decoded"),
    ],
)
def test_dicom_that_is_refused(tmp_path, tags, message):
    assert message in refusal(write_dicom(tmp_path / "x.dcm", knee_pixels(), **tags))


def test_undecodable_syntaxes_are_refused(tmp_path):
    path = write_dicom(
        tmp_path / "jls",
        knee_pixels(),
        JPEGLSLossless,
        PixelData=encapsulate([b"\xff\xd8 nonsense"]),
    )
    assert "JPEG-LS Lossless" in refusal(path) and "uncompressed" in refusal(path)
    deflated = write_dicom(
        tmp_path / "zip", knee_pixels(), pydicom.uid.DeflatedExplicitVRLittleEndian
    )
    assert "uncompressed" in refusal(deflated)


@pytest.mark.parametrize("kind", ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.201", "1.3.5"])
def test_a_transfer_syntax_that_is_not_read_is_named(tmp_path, kind):
    """Video, High-Throughput JPEG 2000, which pydicom does not know, and one of a vendor's own."""
    data, video = encapsulate([b"\xff\x4f" + bytes(100)]), pydicom.uid.MPEG2MPML
    path = write_dicom(tmp_path / "x", knee_pixels(), video, PixelData=data)
    path.write_bytes(path.read_bytes().replace(video.encode(), kind.encode().ljust(23, b"\0")))
    said = refusal(path)
    assert "is not read: export it uncompressed" in said and "damaged" not in said


def test_a_compressed_picture_of_another_size_is_not_decoded(tmp_path):
    large = np.zeros((2000, 2000), np.uint8)
    for kind, syntax in (("JPEG2000", JPEG2000Lossless), ("JPEG", JPEGBaseline8Bit)):
        stream = encoded(large, kind)
        assert codestream_of(stream) == (2000, 2000, 1, 8)
        path = write_dicom(
            tmp_path / kind, knee_pixels().astype(np.uint8), syntax, PixelData=encapsulate([stream])
        )
        assert "(2000, 2000, 1)" in refusal(path)


@pytest.mark.parametrize("kind", ["raw", "JPEG2000", "JPEG"])
def test_truncated_dicom_is_refused(tmp_path, kind):
    eight = np.random.default_rng(0).integers(0, 255, (60, 50)).astype(np.uint8)
    if kind == "raw":
        whole = write_dicom(tmp_path / "whole", eight)
    else:
        syntax = JPEG2000Lossless if kind == "JPEG2000" else JPEGBaseline8Bit
        data = encapsulate([encoded(eight, kind)])
        whole = write_dicom(tmp_path / "whole", eight, syntax, PixelData=data)
    content = whole.read_bytes()
    for part in (0.1, 0.3, 0.5, 0.7, 0.9):
        cut = tmp_path / "cut.dcm"
        cut.write_bytes(content[: int(part * len(content))])
        refusal(cut)


def test_dicom_without_a_picture_is_refused(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", knee_pixels())
    data = pydicom.dcmread(path)
    del data.PixelData
    data.save_as(path)
    assert "pixels are missing" in refusal(path)
    data.FloatPixelData = bytes(4 * data.Rows * data.Columns)
    data.save_as(path)
    assert "real numbers, in FloatPixelData (7FE0,0008)" in refusal(path)
    del data.FloatPixelData, data.Rows
    data.save_as(path)
    assert "without a picture" in refusal(path)


# --- PNG and JPEG ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.dcm", "a"])
def test_png_8_and_16_bits_by_content(tmp_path, name):
    for pixels in ((knee_pixels() >> 4).astype(np.uint8), knee_pixels(top=65535)):
        Image.fromarray(pixels).save(tmp_path / name, "PNG")
        found, info = read_radiograph(tmp_path / name)
        assert (found == pixels).all()
        assert info["spacing_mm"] is None and info["format"] == "PNG"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_in_colour_modes_is_read(tmp_path, mode):
    eight = (knee_pixels() >> 4).astype(np.uint8)
    Image.fromarray(eight).convert(mode).save(tmp_path / "a.png")
    assert np.abs(read_radiograph(tmp_path / "a.png")[0] - eight).max() < 1


def test_jpeg_grey_and_rgb(tmp_path):
    eight = (knee_pixels() >> 4).astype(np.uint8)
    for mode in ("L", "RGB"):
        Image.fromarray(eight).convert(mode).save(tmp_path / "a.jpg")
        assert np.abs(read_radiograph(tmp_path / "a.jpg")[0] - eight).max() < 12


def test_a_coloured_marker_is_no_colour_photograph(tmp_path):
    picture = np.repeat((knee_pixels(200, 200) >> 4).astype(np.uint8)[..., None], 3, axis=-1)
    picture[:15, :15] = (255, 0, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    read_radiograph(tmp_path / "a.png")
    picture[:60] = (255, 120, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert "colour" in refusal(tmp_path / "a.png")


def test_pictures_that_are_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((60, 60), 7, np.uint8)).save(path)
    assert "the same value" in refusal(path) and "7" not in refusal(path)
    Image.fromarray(knee_pixels(20, 20)).save(path)
    assert "too few" in refusal(path)
    clear = np.zeros((60, 60, 4), np.uint8)
    clear[..., 0] = np.arange(60)
    Image.fromarray(clear).save(path)
    assert "transparent" in refusal(path)
    frames = [Image.fromarray((knee_pixels() >> shift).astype(np.uint8)) for shift in (4, 5)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert "animation" in refusal(path)
    frames[0].save(tmp_path / "a.gif")
    assert "accepted are DICOM" in refusal(tmp_path / "a.gif")


def test_of_a_jpeg_with_previews_the_first_picture_is_read(tmp_path):
    eight = Image.fromarray((knee_pixels() >> 4).astype(np.uint8))
    preview = eight.resize((25, 30)).rotate(180)
    eight.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[preview], quality=95)
    pixels, info = read_radiograph(tmp_path / "a.jpg")
    assert info["format"] == "JPEG" and np.abs(pixels - (knee_pixels() >> 4)).max() < 12


def test_16_bits_stay_16_bits_with_an_unused_transparent_value(tmp_path):
    picture = Image.fromarray(knee_pixels(top=40_000))
    picture.save(tmp_path / "a.png", transparency=65_535)
    assert (read_radiograph(tmp_path / "a.png")[0] == knee_pixels(top=40_000)).all()
    picture.save(tmp_path / "a.png", transparency=int(knee_pixels(top=40_000)[3, 4]))
    assert "transparent" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("side", [8001, 10_000, 50_000])
def test_a_huge_png_is_refused_from_its_header(tmp_path, side):
    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    assert "64 million pixels" in refusal(path) or "more than 64 million" in refusal(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_truncated_pictures_are_refused(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 255, (80, 80)).astype(np.uint8)
    content = encoded(noise, kind)
    for part in (0.02, 0.3, 0.6, 0.95):
        (tmp_path / "cut").write_bytes(content[: int(part * len(content))])
        refusal(tmp_path / "cut")


# --- NIfTI and NRRD -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(50, 60), (50, 60, 1), (50, 60, 1, 1)])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_pictures(tmp_path, shape, name):
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        image = kind(knee_pixels().T.reshape(shape), np.diag([-0.2, -0.25, 1, 1]))
        image.header.set_xyzt_units("mm")
        nib.save(image, tmp_path / name)
        pixels, info = read_radiograph(tmp_path / name)
        assert (pixels == knee_pixels()).all()
        assert info["spacing_mm"] == pytest.approx((0.25, 0.2)) and info["format"] == "NIfTI"


def test_a_coronal_slice_is_turned_by_its_affine(tmp_path):
    ras = knee_pixels().T[::-1, None, ::-1]  # x to the patient's right is image left, z up
    nib.save(nib.Nifti1Image(ras, np.diag([0.2, 1, 0.25, 1])), tmp_path / "a.nii")
    pixels, info = read_radiograph(tmp_path / "a.nii")
    assert (pixels == knee_pixels()).all() and info["spacing_mm"] == pytest.approx((0.25, 0.2))
    las = nib.Nifti1Image(ras[::-1].copy(), np.diag([-0.2, 1, 0.25, 1]))
    nib.save(las, tmp_path / "a.nii")
    assert (read_radiograph(tmp_path / "a.nii")[0] == knee_pixels()).all()


def laid(picture: np.ndarray, across: str, down: str) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (x, y, 1) and affine of a picture whose file runs in the directions of two letters.

    Displayed, columns run to the patient's left (L) and rows to posterior (P) or inferior (I).
    """
    step = {"R": (0.2, 0, 0), "L": (-0.2, 0, 0), "A": (0, 0.25, 0), "P": (0, -0.25, 0)}
    step |= {"S": (0, 0, 0.25), "I": (0, 0, -0.25)}
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = step[across], step[down]
    affine[:3, 2] = np.cross(affine[:3, 0], affine[:3, 1]) / 0.05
    affine[:3, 3] = -75.0
    flipped = picture[:: 1 if down in "PI" else -1, :: 1 if across in "L" else -1]
    return np.ascontiguousarray(flipped.T)[..., None], affine


@pytest.mark.parametrize("across", ["L", "R"])
@pytest.mark.parametrize("down", ["A", "P", "S", "I"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("kind", ["nii", "nrrd", "mha"])
def test_a_picture_is_turned_by_its_affine(tmp_path, across, down, transposed, kind):
    voxels, affine = laid(knee_pixels(), across, down)
    if transposed:
        voxels, affine = voxels.swapaxes(0, 1), affine[:, [1, 0, 2, 3]]
    if kind == "nii":
        nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "a.nii")
    else:
        image = sitk.GetImageFromArray(voxels.transpose(2, 1, 0))
        lps = np.diag([-1, -1, 1]) @ affine[:3]
        image.SetSpacing(np.linalg.norm(lps[:, :3], axis=0))
        image.SetDirection((lps[:, :3] / image.GetSpacing()).ravel())
        image.SetOrigin(lps[:, 3])
        sitk.WriteImage(image, str(tmp_path / f"a.{kind}"))
    pixels, info = read_radiograph(tmp_path / f"a.{kind}")
    assert (pixels == knee_pixels()).all()
    assert info["spacing_mm"] == pytest.approx((0.25, 0.2))


@pytest.mark.parametrize("codes", [0, 1])
def test_rows_from_the_bottom_as_dcm2niix_writes_them(tmp_path, codes):
    image = nib.Nifti1Image(knee_pixels()[::-1].T[..., None], None)
    image.header.set_zooms((0.2, 0.25, 1))
    affine = image.header.get_base_affine()
    image = nib.Nifti1Image(image.dataobj, affine, image.header)
    image.set_sform(affine, codes)
    image.set_qform(affine, codes)
    nib.save(image, tmp_path / "a.nii.gz")
    assert (read_radiograph(tmp_path / "a.nii.gz")[0] == knee_pixels()).all()
    nib.save(nib.as_closest_canonical(image), tmp_path / "a.nii.gz")
    assert (read_radiograph(tmp_path / "a.nii.gz")[0] == knee_pixels()).all()


@pytest.mark.parametrize("affine", [np.eye(4), np.diag([0.2, 0.25, 1, 1]), np.diag([-1, -1, 1, 1])])
def test_an_affine_that_nobody_has_set_turns_nothing(tmp_path, affine):
    nib.save(nib.Nifti1Image(knee_pixels().T[..., None], affine), tmp_path / "a.nii")
    assert (read_radiograph(tmp_path / "a.nii")[0] == knee_pixels()).all()


@pytest.mark.parametrize("shape", [(50, 60), (50, 60, 1)])
def test_a_nifti_without_any_orientation_is_taken_in_file_order(tmp_path, shape):
    image = nib.Nifti1Image(knee_pixels().T.reshape(shape), None)
    image.header.set_zooms((0.2, 0.25, 1)[: len(shape)])
    nib.save(image, tmp_path / "a.nii")
    pixels, info = read_radiograph(tmp_path / "a.nii")
    assert (pixels == knee_pixels()).all() and info["warnings"] == []
    assert info["spacing_mm"] == pytest.approx((0.25, 0.2))


def test_sform_and_qform_that_disagree_are_told(tmp_path):
    bottom_first = knee_pixels()[::-1].T[..., None]
    las, ras = (np.diag([side * 0.2, 0.25, 1, 1]) for side in (-1, 1))
    for affine in (las, ras):
        affine[:3, 3] = -5
    singular = np.diag([0.0, 0, 0, 1])
    for sform, qform, warned in ((las, ras, True), (las, las, False), (singular, las, False)):
        image = nib.Nifti1Image(bottom_first, None)
        image.set_sform(sform, 1)
        image.set_qform(qform, 1)
        nib.save(image, tmp_path / "a.nii")
        pixels, info = read_radiograph(tmp_path / "a.nii")
        assert (pixels == knee_pixels()).all()
        assert [("sform" in note) for note in info["warnings"]] == [True] * warned


def test_rgb_nifti(tmp_path):
    colours = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    picture = np.zeros((50, 60, 1), colours)
    for name in "RGB":
        picture[name] = (knee_pixels() >> 4).T[..., None]
    nib.save(nib.Nifti1Image(picture, np.eye(4)), tmp_path / "a.nii")
    pixels, info = read_radiograph(tmp_path / "a.nii")
    assert (pixels == knee_pixels() >> 4).all() and info["spacing_mm"] is None
    picture["R"] = 255
    nib.save(nib.Nifti1Image(picture, np.eye(4)), tmp_path / "a.nii")
    assert "colour" in refusal(tmp_path / "a.nii")


def test_nifti_scaling_is_applied_and_nan_refused(tmp_path):
    image = nib.Nifti1Image(knee_pixels().T, np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / "a.nii")
    assert np.allclose(read_radiograph(tmp_path / "a.nii")[0], 0.5 * knee_pixels() - 3.0)
    for odd in ([np.nan], [np.inf], [-np.inf], [3e38, -3e38]):
        values = np.array(knee_pixels(), np.float32)
        values[3, : len(odd)] = odd
        nib.save(nib.Nifti1Image(values.T, np.eye(4)), tmp_path / "b.nii")
        assert "NaN, infinite or enormous" in refusal(tmp_path / "b.nii")


@pytest.mark.parametrize("depth", [2, 3, 40])
def test_volumes_are_refused(tmp_path, depth):
    volume = np.random.default_rng(0).normal(size=(50, 60, depth)).astype(np.float32)
    nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "a.nii.gz")
    sitk.WriteImage(sitk.GetImageFromArray(volume.T), str(tmp_path / "a.nrrd"))
    for name in ("a.nii.gz", "a.nrrd"):
        message = refusal(tmp_path / name)
        assert "2-D" in message or "colour" in message


def test_a_huge_nifti_is_refused_from_its_header(tmp_path):
    header = nib.Nifti1Header()
    header.set_data_shape((10_000, 10_000))
    with gzip.open(tmp_path / "a.nii.gz", "wb") as stream:
        stream.write(header.binaryblock + bytes(4))
    assert "more than 64 million" in refusal(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("three_axes", [False, True])
def test_nrrd_pictures(tmp_path, three_axes):
    image = sitk.GetImageFromArray(knee_pixels()[None] if three_axes else knee_pixels())
    image.SetSpacing((0.2, 0.25, 3) if three_axes else (0.2, 0.25))
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"), useCompression=True)
    (tmp_path / "a.nrrd").rename(tmp_path / "a.bin")
    pixels, info = read_radiograph(tmp_path / "a.bin")
    assert (pixels == knee_pixels()).all()
    assert info["spacing_mm"] == pytest.approx((0.25, 0.2)) and info["format"] == "NRRD"


@pytest.mark.parametrize(("said", "side"), [("R", "R"), ("L", "L"), ("left", None), ("", None)])
def test_a_key_of_nrrd_states_the_side(tmp_path, said, side):
    """As Slicer's module reads it, and the shipped sample data have it."""
    sitk.WriteImage(sitk.GetImageFromArray(knee_pixels()), str(tmp_path / "a.nrrd"))
    head, blank, content = (tmp_path / "a.nrrd").read_bytes().partition(b"\n\n")
    key = f"\nXR2MRI.Laterality:={said}".encode()
    (tmp_path / "a.nrrd").write_bytes(head + key + blank + content)
    assert read_radiograph(tmp_path / "a.nrrd")[1]["laterality"] == side


def test_rgb_nrrd(tmp_path):
    eight = np.repeat((knee_pixels() >> 4).astype(np.uint8)[..., None], 3, axis=-1)
    sitk.WriteImage(sitk.GetImageFromArray(eight, isVector=True), str(tmp_path / "a.nrrd"))
    assert (read_radiograph(tmp_path / "a.nrrd")[0] == knee_pixels() >> 4).all()


@pytest.mark.parametrize("field", ["data file: secret", "DATAFILE: secret", "datafile: LIST"])
def test_headers_that_point_at_other_files_are_refused(tmp_path, field):
    (tmp_path / "secret").write_bytes(knee_pixels().tobytes())
    head = "NRRD0004\ntype: ushort\ndimension: 2\nsizes: 50 60\nencoding: raw\nendian: little\n"
    (tmp_path / "a.nrrd").write_text(f"{head}{field}\n")
    assert "another file" in refusal(tmp_path / "a.nrrd")
    text = "ObjectType = Image\nNDims = 2\nDimSize = 50 60\nElementType = MET_USHORT\n"
    (tmp_path / "a.mhd").write_text(text + "ElementDataFile = secret\n")
    assert "another file" in refusal(tmp_path / "a.mhd")
    nib.save(nib.Nifti1Pair(knee_pixels().T, np.eye(4)), tmp_path / "a.hdr")
    assert "another file" in refusal(tmp_path / "a.hdr")


def test_a_huge_nrrd_is_refused_from_its_header(tmp_path):
    head = "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 10000 10000\nencoding: gzip\n\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + gzip.compress(bytes(100)))
    assert "more than 64 million" in refusal(tmp_path / "a.nrrd")


# --- anything else --------------------------------------------------------------------------


def test_no_file_folder_empty_and_text(tmp_path):
    with pytest.raises(RadiographError, match="no such file"):
        read_radiograph(tmp_path / "gone.dcm")
    with pytest.raises(RadiographError, match="a folder"):
        read_radiograph(tmp_path)
    (tmp_path / "a.dcm").touch()
    assert "empty file" in refusal(tmp_path / "a.dcm")
    (tmp_path / "a.dcm").write_text("This is not a radiograph.\n" * 40)
    assert "accepted are DICOM" in refusal(tmp_path / "a.dcm")
    with gzip.open(tmp_path / "a.gz", "wb") as stream:
        stream.write(bytes(1000))
    assert "not NIfTI" in refusal(tmp_path / "a.gz")


STARTS = [
    b"",
    bytes(128) + b"DICM",
    b"\x08\0\x05\0",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"\x5c\x01\0\0".ljust(344, b"\0") + b"n+1\0",
    b"\x1c\x02\0\0n+2\0",
    b"NRRD0004\n",
    b"NRRD0004\ntype: uchar\ndimension: 2\nsizes: 40 40\nencoding: raw\n",
    b"\x1f\x8b",
]


@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=900))
@reuses_folder
def test_random_bytes_are_refused_whatever_they_start_with(tmp_path, start, rest):
    (tmp_path / "random").write_bytes(start + rest)
    refusal(tmp_path / "random")


@given(data=st.data(), kind=st.sampled_from(["dicom", "j2k", "PNG", "JPEG", "nii", "nrrd"]))
@reuses_folder
def test_a_damaged_file_is_read_or_refused(tmp_path, data, kind):
    path = tmp_path / f"whole.{kind}"
    if not path.exists():
        eight = (knee_pixels() >> 4).astype(np.uint8)
        stream = encapsulate([encoded(eight, "JPEG2000")])
        if kind == "dicom":
            write_dicom(path, knee_pixels())
        elif kind == "j2k":
            write_dicom(path, eight, JPEG2000Lossless, PixelData=stream)
        elif kind == "nii":
            nib.save(nib.Nifti1Image(knee_pixels().T, np.eye(4)), path)
        elif kind == "nrrd":
            sitk.WriteImage(sitk.GetImageFromArray(knee_pixels()), str(path))
        else:
            path.write_bytes(encoded(eight, kind))
    content = bytearray(path.read_bytes())
    end = min(len(content), 1200)
    for position in data.draw(st.lists(st.integers(0, end - 1), min_size=1, max_size=6)):
        content[position] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged").write_bytes(content[: data.draw(st.integers(end // 2, len(content)))])
    try:
        pixels, _ = read_radiograph(tmp_path / "damaged")
    except RadiographError as error:
        assert "\n" not in str(error)
    else:
        assert pixels.ndim == 2 and np.isfinite(pixels).all()


# --- the transforms -------------------------------------------------------------------------


def test_the_chain(tmp_path):
    path = write_dicom(
        tmp_path / "x", knee_pixels(700, 600), PixelSpacing=[0.3, 0.3], Laterality="R"
    )
    data = radiograph_transforms()({"radiograph": path, "features": {"V00XRKL": 1}})
    picture, info = data["radiograph"], data["radiograph_info"]
    assert picture.shape == (1, 256, 256) and picture.dtype == torch.float32
    assert picture.min() == -1 and picture.max() == 1
    assert info["box"] == (117, 67, 584, 534) and info["warnings"] == []  # 140 mm = 467 pixels
    assert info["laterality"] == "R" and info["mirrored"] is False
    assert data["features"] == {"V00XRKL": 1}
    assert (np.diff(np.asarray(picture[0]), axis=0) >= 0).all()  # upright, and up to the edge


def test_anisotropic_spacing_gives_a_square_in_mm(tmp_path):
    path = write_dicom(
        tmp_path / "x", knee_pixels(700, 600), PixelSpacing=[0.25, 0.5], Laterality="R"
    )
    top, left, bottom, right = radiograph_transforms()({"radiograph": path})["radiograph_info"][
        "box"
    ]
    assert (bottom - top, right - left) == (560, 280)


def test_a_square_of_rounded_pixels_that_is_handed_back_stays_as_it_is(tmp_path):
    path = write_dicom(
        tmp_path / "x", knee_pixels(700, 600), PixelSpacing=[0.25, 0.27], Laterality="R"
    )
    taken = radiograph_transforms()({"radiograph": path})["radiograph_info"]["box"]
    again = radiograph_transforms()({"radiograph": path, "box": taken})
    assert again["radiograph_info"]["box"] == taken, "a row was added"


@pytest.mark.parametrize("given_side", ["R", "L", "auto", None])
@pytest.mark.parametrize("file_side", ["R", "L", None])
def test_a_left_knee_is_mirrored(tmp_path, given_side, file_side):
    tags = {"Laterality": file_side} if file_side else {}
    path = write_dicom(tmp_path / "x", knee_pixels(256, 256), **tags)
    chain = radiograph_transforms()
    data = chain({"radiograph": path, "laterality": given_side})
    side = given_side if given_side in ("R", "L") else file_side
    plain = chain({"radiograph": path, "laterality": "R"})["radiograph"]
    expected = plain.flip(-1) if side == "L" else plain
    assert torch.equal(torch.as_tensor(data["radiograph"]), torch.as_tensor(expected))
    info = data["radiograph_info"]
    assert info["laterality"] == (side or "R") and info["mirrored"] == (side == "L")
    assert any("side" in note for note in info["warnings"]) == (side is None)
    differ = {given_side, file_side} == {"R", "L"}
    assert any("check which knee" in note for note in info["warnings"]) == differ


def test_without_spacing_the_middle_square_is_taken():
    tall = radiograph_transforms(64)({"radiograph": knee_pixels(90, 60), "laterality": "R"})
    assert tall["radiograph_info"]["box"] == (15, 0, 75, 60)
    assert "spacing unknown" in tall["radiograph_info"]["warnings"][0]
    wide = radiograph_transforms(64)({"radiograph": knee_pixels(60, 90), "laterality": "R"})
    assert wide["radiograph_info"]["box"] == (0, 15, 60, 75)
    assert any("both knees" in note for note in wide["radiograph_info"]["warnings"])


def test_a_spacing_of_a_picture_larger_than_any_film_is_not_believed(tmp_path):
    path = write_dicom(
        tmp_path / "x", knee_pixels(400, 376), PixelSpacing=[4.5, 4.5], Laterality="R"
    )
    info = radiograph_transforms(64)({"radiograph": path})["radiograph_info"]
    assert info["box"] == (12, 0, 388, 376) and info["spacing_mm"] is None
    assert "larger than any film" in info["warnings"][0]


def test_a_crop_that_leaves_the_picture_is_padded_and_told(tmp_path):
    path = write_dicom(
        tmp_path / "x", knee_pixels(224, 224), PixelSpacing=[0.47] * 2, Laterality="R"
    )
    info = radiograph_transforms(64)({"radiograph": path})["radiograph_info"]
    assert info["box"] == (-37, -37, 261, 261)  # 140 mm
    assert any(note.startswith("43% of the square") for note in info["warnings"])
    inside = radiograph_transforms(64)({"radiograph": path, "box": (-10, 0, 214, 224)})
    assert inside["radiograph_info"]["warnings"] == []


def test_a_spacing_too_small_for_a_knee_is_not_believed(tmp_path):
    path = write_dicom(
        tmp_path / "x", knee_pixels(224, 200), PixelSpacing=[0.148] * 2, Laterality="R"
    )
    info = radiograph_transforms(64)({"radiograph": path})["radiograph_info"]
    assert info["box"] == (12, 0, 212, 200) and info["spacing_mm"] is None
    assert "0.148 mm" in info["warnings"][0] and "spacing unknown" in info["warnings"][1]
    located = radiograph_transforms(64, locate=LocateKneed("radiograph"))({"radiograph": path})
    warnings = located["radiograph_info"]["warnings"]
    assert sum("0.148 mm" in note for note in warnings) == 1


@pytest.mark.parametrize(("side", "told"), [(100, True), (110, False), (170, False), (180, True)])
def test_a_given_box_of_another_size_than_models_expect_is_told(tmp_path, side, told):
    edges = round(side / 0.4)
    item = {"laterality": "R", "box": (100, 100, 100 + edges, 100 + edges)}
    path = write_dicom(tmp_path / "x", knee_pixels(700, 600), PixelSpacing=[0.4, 0.4])
    info = radiograph_transforms(64)({**item, "radiograph": path})["radiograph_info"]
    warned = [note for note in info["warnings"] if "140 mm are expected" in note]
    assert bool(warned) is told and all(f"{side} mm wide" in note for note in warned)
    info = radiograph_transforms(64)({**item, "radiograph": knee_pixels(700, 600)})
    assert info["radiograph_info"]["warnings"] == []  # of an unknown size nothing is said


def test_a_given_box_is_squared_and_padded_with_the_edge():
    item = {"radiograph": knee_pixels(60, 50), "laterality": "R", "box": (40, -10, 60, 30)}
    data = radiograph_transforms(40)(item)
    assert data["radiograph_info"]["box"] == (30, -10, 70, 30)
    [warning] = data["radiograph_info"]["warnings"]
    assert warning.startswith("44% of the square")
    picture = np.asarray(data["radiograph"][0])
    assert (picture[:, 0] == picture[:, 9]).all() and (picture[-1] == picture[30]).all()


@given(st.lists(st.integers(-200, 200) | st.floats() | st.none(), max_size=5) | st.text(max_size=4))
@settings(deadline=None)
def test_any_box_is_used_or_refused(box):
    item = {"radiograph": knee_pixels(), "laterality": "R", "box": box}
    try:
        data = radiograph_transforms(32)(item)
    except RadiographError as error:
        assert "box" in str(error)
    else:
        top, left, bottom, right = data["radiograph_info"]["box"]
        assert bottom - top == right - left and data["radiograph"].shape == (1, 32, 32)


def test_errors_come_out_of_the_chain_as_themselves(tmp_path):
    chain = radiograph_transforms()
    with pytest.raises(RadiographError, match="no such file"):
        chain({"radiograph": tmp_path / "gone"})
    with pytest.raises(InputError, match="R, L and auto"):
        chain({"radiograph": knee_pixels(), "laterality": "up"})
    empty = np.zeros((100, 100), np.float32)
    empty[0, 0] = 1
    with pytest.raises(RadiographError, match="almost empty"):
        chain({"radiograph": empty})
    for wrong in (np.zeros((3, 60, 60)), np.full((60, 60), "a"), knee_pixels().astype(complex)):
        with pytest.raises(RadiographError, match="rows, columns"):
            chain({"radiograph": wrong})


# --- real files -----------------------------------------------------------------------------


@with_reference
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("real_pair/xray.png", (224, 224)),
        ("bilateral_pa_small.png", (183, 228)),
        ("cr_monochrome1_not_a_knee_j2k.dcm", (1760, 1760)),
    ],
)
def test_real_radiographs_are_read(name, shape):
    pixels, _ = read_radiograph(REFERENCE / name)
    assert pixels.shape == shape
    data = radiograph_transforms()({"radiograph": REFERENCE / name})
    assert data["radiograph"].shape == (1, 256, 256)


@with_reference
def test_real_monochrome1_shows_bone_bright():
    pixels, info = read_radiograph(REFERENCE / "cr_monochrome1_not_a_knee_j2k.dcm")
    assert info["laterality"] == "R" and info["spacing_mm"] is None
    assert pixels.min() >= 0 and pixels.max() <= 1023  # 10 bits stored
    air, bone = pixels[600, 1150], pixels[1600, 830]
    assert bone > air


@with_reference
def test_a_real_mr_slice_is_refused_by_its_modality():
    assert "modality 'MR' is not a radiograph" in refusal(REFERENCE / "sagittal_mr_slice.dcm")
