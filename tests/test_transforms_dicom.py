"""DICOM radiographs as devices, converters and people really write them.

Each peculiarity is made here; where the case files lie beside the repository, they are read too.
"""

import io
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_samples import encoded, item, knee_pixels, write_dicom
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixel_data_handlers.rle_handler import rle_encode_frame
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from xr2mri_core.errors import RadiographError
from xr2mri_core.transforms.dicom_statements import MODALITIES, RADIOGRAPHS
from xr2mri_core.transforms.radiograph_file import read_radiograph

CASES = Path(__file__).parents[2] / "shared" / "cases"
DATA = Path(__file__).parent / "data"
with_cases = pytest.mark.skipif(not CASES.exists(), reason="no case files")
EIGHT = (knee_pixels() >> 4).astype(np.uint8)


def read(folder: Path, pixels: np.ndarray | None = None, **tags) -> tuple[np.ndarray, list[str]]:
    """Pixels and warnings of a file."""
    found, info = read_radiograph(
        write_dicom(folder / "x", knee_pixels() if pixels is None else pixels, **tags)
    )
    return found, info["warnings"]


def refusal(path: Path) -> str:
    """The sentence with which a file is refused: one line, in nobody's words but ours."""
    with pytest.raises(RadiographError) as caught:
        read_radiograph(path)
    message = str(caught.value)
    assert "\n" not in message and path.name in message
    assert not re.search(r"ufunc|dtype|Error|NoneType|numpy|object|broadcast", message), message
    return message


# --- modality -------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", MODALITIES)
def test_modalities_that_are_read(tmp_path, modality):
    pixels, notes = read(tmp_path, Modality=modality)
    assert (pixels == knee_pixels()).all()
    assert [modality in note for note in notes] == [True] * (modality not in RADIOGRAPHS)


@pytest.mark.parametrize(("modality", "note"), [("cr", "capitals"), ("Dx", "capitals"), ("dr", "")])
def test_a_modality_in_lower_case_is_read(tmp_path, modality, note):
    _, (warning,) = read(tmp_path, Modality=modality)
    assert modality in warning and note in warning


@pytest.mark.parametrize("modality", ["MR", "CT", "US", "MG", "PT", "SR", "mr"])
def test_other_modalities_are_refused(tmp_path, modality):
    path = write_dicom(tmp_path / "x", knee_pixels(), Modality=modality)
    assert f"modality '{modality}' is not a radiograph" in refusal(path)


# --- spacing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("imager", "pixel", "scanned", "spacing", "warned"),
    [
        ([0.2, 0.2], [0.2, 0.2], None, (0.2, 0.2), False),
        ([0.2, 0.2], [0.17, 0.17], None, (0.2, 0.2), False),  # calibrated for the knee
        ([0.1, 0.1], [0.2, 0.2], None, (0.2, 0.2), True),  # reduced by 2, the first left over
        ([0.4, 0.4], [0.2, 0.2], None, (0.4, 0.4), True),  # reduced by 2, the second left over
        ([0.2, 0.4], [0.2, 0.2], None, (0.2, 0.4), True),
        (None, [1, 1], None, None, False),
        ([1, 1], None, None, None, False),
        ([1, 1], [0.2, 0.2], None, (0.2, 0.2), False),
        ([0.2, 0.2], [1, 1], None, (0.2, 0.2), False),
        (None, None, [0.17, 0.17], (0.17, 0.17), False),  # of a film scanner
        (None, [0.2, 0.2], [0.17, 0.17], (0.2, 0.2), False),
        (None, "0,2\\0,2", None, (0.2, 0.2), False),
        (None, "wide\\0.2", None, None, True),
    ],
)
def test_spacings_are_held_against_each_other(tmp_path, imager, pixel, scanned, spacing, warned):
    tags = {"ImagerPixelSpacing": imager, "PixelSpacing": pixel}
    tags["NominalScannedPixelSpacing"] = scanned
    tags = {name: value for name, value in tags.items() if value is not None}
    if isinstance(pixel, str):
        path = write_dicom(tmp_path / "x", knee_pixels(), PixelSpacing=["9.25", "9.25"])
        raw = path.read_bytes().replace(b"9.25\\9.25 ", pixel.encode().ljust(10))
        path.write_bytes(raw)
    else:
        path = write_dicom(tmp_path / "x", knee_pixels(), **tags)
    info = read_radiograph(path)[1]
    assert info["spacing_mm"] == spacing and bool(info["warnings"]) == warned
    assert all("Spacing (" in note for note in info["warnings"])


# --- statements -----------------------------------------------------------------------------------

LATERAL = item(CodeValue="399067008", CodingSchemeDesignator="SCT", CodeMeaning="seitlich")
OLD_LATERAL = item(CodeValue="R-102CD", CodingSchemeDesignator="SRT", CodeMeaning="")
SNOMED_LATERAL = item(CodeValue="R-10236", CodingSchemeDesignator="SNM3", CodeMeaning="")
RIGHT_KNEE = item(
    CodeValue="72696002", CodingSchemeDesignator="SCT", CodeMeaning="Knee",
    AnatomicRegionModifierSequence=item(CodeValue="24028007", CodingSchemeDesignator="SCT"),
)  # fmt: skip
FRONTAL = item(CodeValue="399348003", CodingSchemeDesignator="SCT", CodeMeaning="Antero-posterior")


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"ImageLaterality": "R", "Laterality": "L"}, "Laterality (0020,0060) L"),
        ({"ImageLaterality": "L", "SeriesDescription": "Right knee PA"}, "SeriesDescription"),
        ({"Laterality": "R", "ProtocolName": "KNEE LT AP"}, "ProtocolName (0018,1030) L"),
        ({"ViewPosition": "LL"}, "ViewPosition (0018,5101) is 'LL'"),
        ({"ViewPosition": "LATERAL"}, "not a frontal view"),
        ({"ViewPosition": "Sunrise"}, "not a frontal view"),
        ({"ViewCodeSequence": LATERAL}, "ViewCodeSequence (0054,0220)"),
        ({"ViewCodeSequence": OLD_LATERAL}, "is 'LATERAL'"),
        ({"BodyPartExamined": "HAND"}, "BodyPartExamined (0018,0015) is 'HAND'"),
        ({"BodyPartExamined": "chest"}, "is this a knee"),
        ({"AnatomicRegionSequence": item(CodeValue="1", CodeMeaning="Hand")}, "is this a knee"),
        ({"PresentationLUTShape": "INVERSE"}, "PresentationLUTShape (2050,0020) is INVERSE"),
        ({"ViewPosition": "LATERO-MEDIAL"}, "not a frontal view"),
        ({"ViewPosition": "RLAT"}, "not a frontal view"),
        ({"ViewPosition": "Cross table"}, "not a frontal view"),
        ({"ViewPosition": "seitlich"}, "not a frontal view"),
        ({"SeriesDescription": "KNEE_LAT"}, "SeriesDescription (0008,103E) is 'KNEE_LAT'"),
        ({"ProtocolName": "Knee sunrise"}, "not a frontal view"),
        ({"ViewCodeSequence": SNOMED_LATERAL}, "is 'LEFT LATERAL'"),
        ({"ImageLaterality": "R", "SeriesDescription": "KNEE_LEFT"}, "SeriesDescription"),
        ({"ImageLaterality": "R", "SeriesDescription": "Knie links"}, "L: R is taken"),
        ({"ImageLaterality": "L", "ProtocolName": "R knee PA"}, "ProtocolName (0018,1030) R"),
        ({"ImageLaterality": "R", "BodyPartExamined": "LKNEE"}, "BodyPartExamined (0018,0015) L"),
        ({"ImageLaterality": "L", "AnatomicRegionSequence": RIGHT_KNEE}, "(0008,2220) R"),
        ({"SeriesDescription": "LEFT KNEE AP"}, "nothing states the side: give the laterality L"),
        ({"ImageLaterality": "B"}, "ImageLaterality (0020,0062) says both knees"),
        ({"ImageLaterality": ["R", "L"]}, "says both knees"),
        ({"ImageLaterality": "RX"}, "unknown laterality 'RX'"),
    ],
)
def test_a_header_that_contradicts_itself_is_told(tmp_path, tags, message):
    _, notes = read(tmp_path, **tags)
    assert len(notes) == 1 and message in notes[0]


def test_presentation_of_monochrome1_may_contradict_it_too(tmp_path):
    tags = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"}
    assert "contradicts itself" in read(tmp_path, **tags)[1][0]
    assert read(tmp_path, **{**tags, "PresentationLUTShape": "INVERSE"})[1] == []


@pytest.mark.parametrize(
    "tags",
    [
        {"ImageLaterality": "R", "Laterality": "R", "SeriesDescription": "right knee"},
        {"ImageLaterality": "R", "SeriesDescription": "both knees, left and right"},
        {"Laterality": "L", "SeriesDescription": "brighter copyright slept"},
        {"ViewPosition": "PA", "ViewCodeSequence": FRONTAL},
        {"ViewPosition": "AP BILATERAL", "BodyPartExamined": "Knee"},
        {"ViewPosition": "", "BodyPartExamined": "LOWER EXTREMITY"},
        {"BodyPartExamined": "GENOU", "PresentationLUTShape": "IDENTITY"},
        {"BodyPartExamined": "LEG", "ViewCodeSequence": Sequence()},
        {"SeriesDescription": "Knee AP, lateral and sunrise"},
        {"SeriesDescription": "Bilateral PA fixed flexion knee"},
        {"ImageLaterality": "L", "SeriesDescription": "L-KNEE 2V", "BodyPartExamined": "LEFTKNEE"},
        {"ImageLaterality": "R", "AnatomicRegionSequence": RIGHT_KNEE},
        {"ImageLaterality": "U", "SeriesDescription": "knee standing"},
    ],
)
def test_a_header_that_agrees_with_itself_is_not_told(tmp_path, tags):
    assert read(tmp_path, **tags)[1] == []


def test_the_side_may_be_that_of_the_region(tmp_path):
    path = write_dicom(tmp_path / "x", knee_pixels(), AnatomicRegionSequence=RIGHT_KNEE)
    assert read_radiograph(path)[1]["laterality"] == "R"


# --- rescale and lookup tables --------------------------------------------------------------------


def with_raw(folder: Path, keyword: str, written: bytes, **tags) -> Path:
    """A file in which a decimal number is written so, whatever the rules say."""
    path = write_dicom(folder / "x", knee_pixels(), **{**tags, keyword: "77777.77"})
    assert len(written) <= 8
    raw = path.read_bytes()
    assert raw.count(b"77777.77") == 1
    path.write_bytes(raw.replace(b"77777.77", written.ljust(8)))
    return path


@pytest.mark.parametrize(
    ("tags", "slope", "intercept"),
    [
        ({"RescaleSlope": "", "RescaleIntercept": ""}, 1, 0),
        ({"RescaleSlope": None, "RescaleIntercept": None}, 1, 0),
        ({"RescaleSlope": "2"}, 2, 0),
        ({"RescaleSlope": "", "RescaleIntercept": "-5"}, 1, -5),
        ({"RescaleIntercept": "7"}, 1, 7),
        ({"ModalityLUTSequence": Sequence(), "RescaleSlope": "2"}, 2, 0),
    ],
)
def test_rescale_that_is_partly_empty(tmp_path, tags, slope, intercept):
    path = write_dicom(tmp_path / "x", knee_pixels())
    data = pydicom.dcmread(path)
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path)
    assert np.allclose(read_radiograph(path)[0], slope * knee_pixels() + float(intercept))


@pytest.mark.parametrize("written", [b"2,0", b"2.0", b" 2 ", b"+2,000", b"2e0", b"2\0"])
@pytest.mark.parametrize("syntax", [pydicom.uid.ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_decimal_commas_are_read(tmp_path, written, syntax):
    path = with_raw(tmp_path, "RescaleSlope", written, syntax=syntax)
    assert np.allclose(read_radiograph(path)[0], 2.0 * knee_pixels())


@pytest.mark.parametrize("written", [b"two", b"1,0,0", b"nan", b"inf", b"0"])
def test_rescale_that_is_no_number_is_named(tmp_path, written):
    assert "RescaleSlope (0028,1053)" in refusal(with_raw(tmp_path, "RescaleSlope", written))


def lookup(table: np.ndarray, bits: int, first: int = 0, kind: str = "US") -> Sequence:
    sequence = item(LUTDescriptor=[len(table) % 65536, first, bits], ModalityLUTType="US")
    packed = table.astype("<u2").tobytes() if kind == "OW" else [int(n) for n in table]
    sequence[0].add_new(0x00283006, kind, packed)
    return sequence


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["US", "OW"])
def test_a_lookup_table_of_any_number_of_bits(tmp_path, bits, kind):
    table = np.round(np.sqrt(np.linspace(0, 1, 4096)) * ((1 << bits) - 1)).astype(int)
    pixels, _ = read(tmp_path, ModalityLUTSequence=lookup(table, bits, kind=kind))
    assert (pixels == table[knee_pixels()]).all()


def test_a_lookup_table_of_bytes_and_one_that_starts_elsewhere(tmp_path):
    table = np.arange(200, 0, -1)
    sequence = lookup(table, 8, first=100)
    sequence[0].add_new(0x00283006, "OW", table.astype(np.uint8).tobytes())
    pixels, _ = read(tmp_path, ModalityLUTSequence=sequence)
    assert (pixels == table[np.clip(knee_pixels().astype(int) - 100, 0, 199)]).all()
    stored = knee_pixels().astype(np.int16) - 2048
    sequence = lookup(np.arange(4096) // 2, 11)
    sequence[0].add_new(0x00283002, "US", [4096, 65536 - 2048, 11])
    pixels, _ = read(tmp_path, stored, ModalityLUTSequence=sequence)
    assert (pixels == knee_pixels() // 2).all()


def test_a_lookup_table_of_monochrome1(tmp_path):
    table = np.arange(4096) // 2
    tags = {"ModalityLUTSequence": lookup(table, 11), "PhotometricInterpretation": "MONOCHROME1"}
    assert (read(tmp_path, **tags)[0] == 2047 - table[knee_pixels()]).all()


def test_a_damaged_lookup_table_is_named(tmp_path):
    short = lookup(np.arange(10), 12)
    short[0].LUTDescriptor = [4096, 0, 12]
    path = write_dicom(tmp_path / "x", knee_pixels(), ModalityLUTSequence=short)
    assert "LUTData (0028,3006)" in refusal(path)
    short[0].LUTDescriptor = [4096, 0]
    path = write_dicom(tmp_path / "x", knee_pixels(), ModalityLUTSequence=short)
    assert "LUTDescriptor (0028,3002)" in refusal(path)


# --- padding --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "tags"),
    [
        (np.uint16(0), {"PixelPaddingValue": 0}),
        (np.uint16(65535), {"PixelPaddingValue": 65535}),  # beyond Bits Stored
        (np.int16(-3000), {"PixelPaddingValue": 65536 - 3000, "BitsStored": 16, "HighBit": 15}),
        (np.int16(-32768), {"PixelPaddingValue": 32768, "BitsStored": 16, "HighBit": 15}),
        (np.uint16(5), {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 9}),
        (np.uint16(5), {"PixelPaddingValue": 9, "PixelPaddingRangeLimit": 0}),
        (np.uint16(63000), {"PixelPaddingValue": 61000, "PixelPaddingRangeLimit": 65535}),
        (np.int16(-2990), {"PixelPaddingValue": 62536, "PixelPaddingRangeLimit": 62600,
                           "BitsStored": 16, "HighBit": 15}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_dark_however_it_is_written(tmp_path, stored, tags, photometric):
    pixels = (knee_pixels(top=4000) + 20).astype(stored.dtype)
    pixels[:, :6] = stored
    path = write_dicom(tmp_path / "x", pixels, PhotometricInterpretation=photometric)
    data = pydicom.dcmread(path)
    for name, value in tags.items():
        if name.startswith("PixelPadding"):
            data.add_new(pydicom.datadict.tag_for_keyword(name), "US", value)
        else:
            setattr(data, name, value)
    data.save_as(path)
    found, info = read_radiograph(path)
    assert info["warnings"] == [] and (found[:, :6] == found[:, 6:].min()).all()
    sign = -1 if photometric == "MONOCHROME1" else 1
    assert np.ptp(sign * found[:, 6:] - pixels[:, 6:].astype(np.float32)) == 0


def test_a_picture_of_padding_alone_keeps_its_values(tmp_path):
    tags = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}
    assert (read(tmp_path, **tags)[0] == knee_pixels()).all()


# --- bits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_values_beyond_bits_stored_are_not_folded(tmp_path, signed, photometric):
    stored = knee_pixels().astype(np.int32) - 2048 * signed
    tags = {"BitsStored": 10, "HighBit": 9, "PhotometricInterpretation": photometric}
    pixels, (note,) = read(tmp_path, stored.astype(np.int16 if signed else np.uint16), **tags)
    sign = -1 if photometric == "MONOCHROME1" else 1
    assert np.ptp(sign * pixels - stored) == 0
    assert "BitsStored (0028,0101) is 10, but values have 12 bits" in note


def waves(levels: int) -> np.ndarray:
    """A smooth picture (60, 50) that passes through the middle of its values often."""
    rows, columns = np.mgrid[:60, :50]
    return np.rint((1 + np.sin(rows / 7) * np.cos(columns / 5)) / 2 * (levels - 1)).astype(int)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("stored", [12, 16])
@pytest.mark.parametrize(
    ("form", "signed"),  # an unsigned header of JPEG 2000 is no matter: the stream has the sign
    [("raw", False), ("raw", True), ("RLE", False), ("RLE", True), ("JPEG 2000", True)],
)
def test_values_of_the_other_sign_are_not_folded(tmp_path, signed, photometric, stored, form):
    """Streams and devices keep signs otherwise than the header says."""
    true = waves(1 << stored) - (0 if signed else 1 << (stored - 1))
    kind = np.uint16 if signed else np.int16
    tags = {"PixelRepresentation": int(signed), "PhotometricInterpretation": photometric,
            "BitsStored": stored, "HighBit": stored - 1}  # fmt: skip
    if form == "RLE":
        data = encapsulate([rle_encode_frame(true.astype(kind))])
        tags |= {"syntax": RLELossless, "PixelData": data}
    if form == "JPEG 2000":
        stream = encoded(true.astype(np.uint16), "JPEG2000")
        tags |= {"syntax": JPEG2000Lossless, "PixelData": encapsulate([stream])}
    pixels, (note,) = read(tmp_path, true.astype(kind), **tags)
    sign = -1 if photometric == "MONOCHROME1" else 1
    assert np.ptp(sign * pixels - true) == 0
    assert f"PixelRepresentation (0028,0103) is {int(signed)}, but the values are" in note


@pytest.mark.parametrize("signed", [False, True])
def test_a_white_or_black_frame_is_no_seam(tmp_path, signed):
    for value in (0, 4095):
        framed = np.pad(waves(4096), 8, constant_values=value) - 2048 * signed
        pixels, notes = read(tmp_path, framed.astype(np.int16 if signed else np.uint16))
        assert (pixels == framed).all() and notes == []


@pytest.mark.parametrize("stored", [None, "", 0, 99])
def test_bits_stored_that_says_nothing(tmp_path, stored):
    path = write_dicom(tmp_path / "x", knee_pixels(), HighBit=None)
    data = pydicom.dcmread(path)
    if stored is None:
        del data.BitsStored
    else:
        data.BitsStored = stored or None if stored == "" else stored
    data.save_as(path)
    assert (read_radiograph(path)[0] == knee_pixels()).all()


def test_eight_bits_in_sixteen_allocated(tmp_path):
    """Of a compressed picture the stream says how many bits it has."""
    tags = {"BitsAllocated": 16, "BitsStored": 8, "HighBit": 7}
    for syntax, stream in (
        (JPEG2000Lossless, encoded(EIGHT, "JPEG2000")),
        (JPEGLSLossless, (DATA / "knee_8_bits.jls").read_bytes()),
        (JPEGBaseline8Bit, encoded(EIGHT, "JPEG")),
    ):
        pixels, notes = read(
            tmp_path, EIGHT, syntax=syntax, PixelData=encapsulate([stream]), **tags
        )
        assert np.abs(pixels - EIGHT).max() < (12 if syntax == JPEGBaseline8Bit else 1)
        assert notes == []


def test_sixteen_bits_in_eight_allocated(tmp_path):
    stream = encapsulate([encoded(knee_pixels(), "JPEG2000")])
    pixels, _ = read(tmp_path, EIGHT, syntax=JPEG2000Lossless, PixelData=stream)
    assert (pixels == knee_pixels()).all()


# --- colours --------------------------------------------------------------------------------------


def rgb_of(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


RGB = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}


def test_grey_in_colours_is_read(tmp_path):
    interleaved = rgb_of(EIGHT)
    assert (read(tmp_path, interleaved, **RGB)[0] == EIGHT).all()
    unsaid = {name: value for name, value in RGB.items() if name != "PlanarConfiguration"}
    assert (read(tmp_path, interleaved, **unsaid)[0] == EIGHT).all()
    planes = np.ascontiguousarray(interleaved.transpose(2, 0, 1)).tobytes()
    tags = {**RGB, "PlanarConfiguration": 1, "PixelData": planes}
    assert (read(tmp_path, interleaved, **tags)[0] == EIGHT).all()
    sixteen = rgb_of(knee_pixels())
    assert (read(tmp_path, sixteen, **RGB)[0] == knee_pixels()).all()


def test_grey_in_luminance_and_colour_is_read(tmp_path):
    full = np.stack([EIGHT, np.full_like(EIGHT, 128), np.full_like(EIGHT, 128)], axis=-1)
    tags = {**RGB, "PhotometricInterpretation": "YBR_FULL"}
    assert (read(tmp_path, full, **tags)[0] == EIGHT).all()
    half = np.empty((60, 25, 4), np.uint8)  # two of luminance share blue and red
    half[..., 0], half[..., 1], half[..., 2:] = EIGHT[:, ::2], EIGHT[:, 1::2], 128
    tags = {**tags, "PhotometricInterpretation": "YBR_FULL_422", "PixelData": half.tobytes()}
    assert (read(tmp_path, full, **tags)[0] == EIGHT).all()


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422", "YBR_RCT"])
def test_grey_in_compressed_colours_is_read(tmp_path, photometric):
    stream, buffer = rgb_of(EIGHT), io.BytesIO()
    if photometric == "YBR_RCT":
        Image.fromarray(stream).save(buffer, "JPEG2000", no_jp2=True, mct=1)
    else:
        Image.fromarray(stream).save(buffer, "JPEG", quality=95)
    syntax = JPEG2000Lossless if photometric == "YBR_RCT" else JPEGBaseline8Bit
    data = encapsulate([buffer.getvalue()])
    tags = {**RGB, "PhotometricInterpretation": photometric, "PixelData": data}
    pixels, _ = read(tmp_path, stream, syntax=syntax, **tags)
    assert np.abs(pixels - EIGHT).max() < 6


@pytest.mark.parametrize(
    ("syntax", "name"), [("57", "knee_rgb_lossless.jpg"), ("80", "knee_rgb.jls")]
)
def test_colours_that_are_compressed_without_loss_are_read_as_they_are(tmp_path, syntax, name):
    """As DCMTK writes grey that is stored as RGB."""
    stream = encapsulate([(DATA / name).read_bytes()])
    uid = UID(f"1.2.840.10008.1.2.4.{syntax}")
    pixels, notes = read(tmp_path, rgb_of(EIGHT), syntax=uid, **RGB, PixelData=stream)
    assert (pixels == EIGHT).all() and notes == []


def palette(**tags) -> dict:
    """A palette of 256 greys, darkest first."""
    greys = (np.arange(256) * 257).astype("<u2").tobytes()
    colours = {}
    for name in ("Red", "Green", "Blue"):
        colours[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        colours[f"{name}PaletteColorLookupTableData"] = greys
    return {"PhotometricInterpretation": "PALETTE COLOR", **colours, **tags}


def test_a_palette_of_greys_is_read(tmp_path):
    assert (read(tmp_path, EIGHT, **palette())[0] == EIGHT.astype(np.float32) * 257).all()


def test_real_colours_are_refused(tmp_path):
    colour = rgb_of(EIGHT)
    colour[..., 0] = 255 - colour[..., 0]
    assert "colour" in refusal(write_dicom(tmp_path / "x", colour, **RGB))
    blue = palette(BluePaletteColorLookupTableData=bytes(512))
    assert "colour" in refusal(write_dicom(tmp_path / "x", EIGHT, **blue))


# --- what stays refused, and what a stranger's file may not cost ----------------------------------


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"NumberOfFrames": 3}, "NumberOfFrames (0028,0008) is 3"),
        ({"BitsAllocated": 1}, "BitsAllocated (0028,0100) is 1"),
        ({"BitsAllocated": 64}, "BitsAllocated (0028,0100) is 64"),
        ({"SamplesPerPixel": 3}, "SamplesPerPixel (0028,0002) is 3"),
        ({"PhotometricInterpretation": "HSV"}, "PhotometricInterpretation (0028,0004) is 'HSV'"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "RedPaletteColorLookupTableData (0028,"),
        ({"PixelData": knee_pixels().tobytes()[:-2]}, "PixelData (7FE0,0010) has 5998 bytes"),
        ({"PixelData": b""}, "PixelData (7FE0,0010)"),
        ({"Rows": 65535, "Columns": 65535}, "million"),
        ({**RGB, "Rows": 10}, "too few"),
    ],
)
def test_what_stays_refused_is_named_by_its_tag(tmp_path, tags, message):
    assert message in refusal(write_dicom(tmp_path / "x", knee_pixels(), **tags))


@pytest.mark.parametrize("missing", ["SamplesPerPixel", "PixelRepresentation", "HighBit"])
def test_what_goes_without_saying_may_be_missing(tmp_path, missing):
    assert (read(tmp_path, **{missing: None})[0] == knee_pixels()).all()


def test_a_missing_photometric_interpretation_is_told(tmp_path):
    for tags in ({"PhotometricInterpretation": None}, {"PhotometricInterpretation": "MONOCHROME"}):
        pixels, (note,) = read(tmp_path, **tags)
        assert (pixels == knee_pixels()).all() and "PhotometricInterpretation (0028,0004)" in note


def test_a_size_stated_anew_behind_the_pixels_is_not_believed(tmp_path):
    path = write_dicom(tmp_path / "x", knee_pixels())
    whole = path.read_bytes()
    for count, message in ((40, "stated twice"), (60000, "million")):
        again = (b"\x28\0\x10\0", b"\x28\0\x11\0")
        size = b"".join(tag + b"US\2\0" + count.to_bytes(2, "little") for tag in again)
        path.write_bytes(whole + size)
        assert message in refusal(path)


def test_what_unpacks_to_more_than_the_picture_is_not_unpacked(tmp_path):
    offsets = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56)
    bomb = offsets + b"\x81\x07" * 50_000  # 128 times a 7, again and again
    tags = {"PixelData": encapsulate([bomb]), "syntax": RLELossless}
    assert "unpacks to more" in refusal(write_dicom(tmp_path / "x", EIGHT, **tags))
    runs = b"".join(bytes([49]) + row.tobytes() for row in EIGHT)  # 50 literal bytes
    pixels, _ = read(tmp_path, EIGHT, syntax=RLELossless, PixelData=encapsulate([offsets + runs]))
    assert (pixels == EIGHT).all()


def test_a_stream_of_many_components_is_not_decoded(tmp_path):
    stream = bytearray(encoded(EIGHT, "JPEG2000"))
    start = stream.find(b"\xff\x4f\xff\x51")
    stream[start + 40 : start + 42] = (16384).to_bytes(2, "big")
    tags = {"PixelData": encapsulate([bytes(stream)]), "syntax": JPEG2000Lossless}
    assert "16384" in refusal(write_dicom(tmp_path / "x", EIGHT, **tags))


# --- the cases ------------------------------------------------------------------------------------


def correlation(name: str, plain: str = "plain_R.dcm") -> float:
    found, expected = (read_radiograph(CASES / file)[0] for file in (name, plain))
    return float(np.corrcoef(found.ravel(), expected.ravel())[0, 1])


@with_cases
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("05_pixelspacing_1_1", 0.99),
        ("06_rescale_empty", 0.99),
        ("06_rescale_decimal_comma", 0.99),
        ("06_modality_lut_12_bits", 0.99),
        ("07_padding_US_in_signed", 0.5),
        ("07_padding_beyond_bits_stored", 0.5),
        ("08_name_cp1251_no_charset", 0.99),
        ("10_says_lateral_hand", 0.99),
        ("11_modality_DR", 0.99),
        ("12_bits_stored_too_small", 0.99),
        ("13_rgb_grey", 0.99),
        ("16_j2k_8_of_16_bits", 0.99),
    ],
)
def test_cases_that_are_the_plain_picture(name, least):
    assert correlation(f"{name}.dcm") > least


@with_cases
@pytest.mark.parametrize("name", ["07_padding_US_in_signed", "07_padding_beyond_bits_stored"])
def test_cases_of_padding_have_dark_strips(name):
    pixels = read_radiograph(CASES / f"{name}.dcm")[0]
    assert (pixels[:, [0, -1]] == pixels.min()).all()


@with_cases
@pytest.mark.parametrize(
    ("name", "spacing"),
    [("05_pixelspacing_1_1", None), ("05_imager_spacing_stale", (0.5908, 0.5908))],
)
def test_cases_of_spacing(name, spacing):
    info = read_radiograph(CASES / f"{name}.dcm")[1]
    assert info["spacing_mm"] == spacing and info["warnings"]


@with_cases
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("04_mono2_shape_inverse", ["PresentationLUTShape"]),
        ("09_image_R_series_L", ["Laterality (0020,0060) L"]),
        ("10_says_lateral_hand", ["'LL'", "ViewCodeSequence", "'HAND'", "PatientOrientation"]),
        ("11_modality_DR", ["'DR'"]),
        ("12_bits_stored_too_small", ["BitsStored"]),
    ],
)
def test_cases_that_are_told(name, message):
    notes = read_radiograph(CASES / f"{name}.dcm")[1]["warnings"]
    assert all(any(text in note for note in notes) for text in message), notes
