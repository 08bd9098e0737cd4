"""However a film lies in its file: it is read upright, and its places are given as it lies."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_samples import bilateral_film, knee_pixels, write_dicom

from xr2mri_core.errors import RadiographError
from xr2mri_core.localization import LocateKneed
from xr2mri_core.localization.decision import decide
from xr2mri_core.localization.marker import read_markers
from xr2mri_core.localization.sides import turned_wrongly
from xr2mri_core.reading import prepare_radiograph
from xr2mri_core.transforms import radiograph_transforms, read_radiograph
from xr2mri_core.transforms.orientation import Turn, turn_of
from xr2mri_core.transforms.radiograph import LoadRadiographd

CASES = Path(__file__).parents[2] / "shared" / "cases"
with_cases = pytest.mark.skipif(not CASES.exists(), reason="no case files")

LYING = {
    "L\\F": lambda upright: upright,
    "R\\F": np.fliplr,
    "L\\H": np.flipud,
    "R\\H": lambda upright: np.rot90(upright, 2),
    "F\\L": np.transpose,
    "H\\L": lambda upright: np.fliplr(upright.T),
    "F\\R": lambda upright: np.flipud(upright.T),
    "H\\R": lambda upright: np.rot90(upright.T, 2),
}
"""What the upright picture looks like in a file of a Patient Orientation."""


def lying(path: Path, orientation: str, pixels: np.ndarray, **tags) -> Path:
    """A file in which an upright picture lies in another way."""
    stored = np.ascontiguousarray(LYING[orientation](pixels))
    return write_dicom(path, stored, PatientOrientation=orientation.split("\\"), **tags)


@pytest.mark.parametrize("orientation", LYING)
def test_a_picture_is_read_upright(tmp_path, orientation):
    spacing = [0.2, 0.3] if orientation[0] in "LR" else [0.3, 0.2]
    path = lying(
        tmp_path / "x", orientation, knee_pixels(), PixelSpacing=spacing, ImageLaterality="R"
    )
    pixels, info = read_radiograph(path)
    assert (pixels == knee_pixels()).all()
    assert info["spacing_mm"] == (0.2, 0.3)
    assert bool(info["warnings"]) == (orientation != "L\\F") == ("turn" in info)
    assert all("PatientOrientation (0020,0020)" in note for note in info["warnings"])
    assert ("mirrored" in str(info["warnings"])) == (
        orientation in ("R\\F", "L\\H", "F\\L", "H\\R")
    )


@pytest.mark.parametrize("orientation", LYING)
def test_boxes_are_told_in_pixels_of_the_file(tmp_path, orientation):
    """Whoever draws a box sees the picture as it lies, and gets the box back so."""
    chain, marked = radiograph_transforms(32), np.zeros((90, 120), bool)
    marked[10:50, 70:110] = True
    rows, columns = (np.flatnonzero(LYING[orientation](marked).any(axis)) for axis in (1, 0))
    box = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    path = lying(tmp_path / "x", orientation, knee_pixels(90, 120), ImageLaterality="R")
    data = chain({"radiograph": path, "box": box})
    assert data["radiograph_info"]["box"] == box
    upright = chain(
        {"radiograph": knee_pixels(90, 120), "laterality": "R", "box": (10, 70, 50, 110)}
    )
    assert np.array_equal(np.asarray(data["radiograph"]), np.asarray(upright["radiograph"]))
    middle = chain({"radiograph": path})["radiograph_info"]["box"]
    assert middle[2] - middle[0] == middle[3] - middle[1] == 90


@pytest.mark.parametrize("box", [(1, 2, 3), "abcd", (None,) * 4])
def test_what_is_no_box_is_refused_on_a_turned_picture_too(tmp_path, box):
    path = lying(tmp_path / "x", "R\\H", knee_pixels())
    with pytest.raises(RadiographError, match="box"):
        radiograph_transforms(32)({"radiograph": path, "box": box})


@pytest.mark.parametrize("orientation", [["A", "F"], ["L", "P"], ["L", "R"], ["L"], ["X", "Y"]])
def test_no_frontal_orientation_is_told(tmp_path, orientation):
    path = write_dicom(tmp_path / "x", knee_pixels(), PatientOrientation=orientation)
    pixels, info = read_radiograph(path)
    assert (pixels == knee_pixels()).all()
    assert "no frontal view has" in info["warnings"][0]


@pytest.mark.parametrize("orientation", [None, [], ["", ""], ["LF", "FR"], ["l", "f"]])
def test_an_orientation_that_is_upright_or_unsaid_is_no_matter(tmp_path, orientation):
    tags = {} if orientation is None else {"PatientOrientation": orientation}
    pixels, info = read_radiograph(write_dicom(tmp_path / "x", knee_pixels(), **tags))
    assert (pixels == knee_pixels()).all() and info["warnings"] == [] and "turn" not in info


@pytest.mark.parametrize(
    ("cosines", "orientation"),
    [
        ([1, 0, 0, 0, 0, -1], "L\\F"),
        ([-1, 0, 0, 0, 0, -1], "R\\F"),
        ([0, 0, 1, 1, 0, 0], "H\\L"),
        ([1, 0, 0, 0, 1, 0], "L\\F"),  # what is written where nobody knows: no coronal picture
    ],
)
def test_cosines_stand_in_for_letters(tmp_path, cosines, orientation):
    stored = np.ascontiguousarray(LYING[orientation](knee_pixels()))
    path = write_dicom(tmp_path / "x", stored, ImageOrientationPatient=cosines)
    assert (read_radiograph(path)[0] == knee_pixels()).all()


@pytest.mark.parametrize(
    ("letters", "cosines", "warning"),
    [
        (["L", "F"], [-1, 0, 0, 0, 0, -1], "contradicts itself: by ImageOrientationPatient"),
        (["R", "H"], [1, 0, 0, 0, 0, -1], "contradicts itself: by ImageOrientationPatient"),
        (None, [0, 1, 0, 0, 0, -1], "no frontal view has"),
        (["L", "F"], [1, 0, 0, 0, 0, -1], ""),
        (["L", "F"], [1, 0, 0, 0, 1, 0], ""),
    ],
)
def test_letters_and_cosines_are_held_against_each_other(tmp_path, letters, cosines, warning):
    tags = {} if letters is None else {"PatientOrientation": letters}
    path = write_dicom(tmp_path / "x", knee_pixels(), ImageOrientationPatient=cosines, **tags)
    pixels, info = read_radiograph(path)
    assert warning in " ".join(info["warnings"]) and bool(warning) == bool(info["warnings"])
    assert (pixels == (knee_pixels()[::-1, ::-1] if letters == ["R", "H"] else knee_pixels())).all()


@pytest.mark.parametrize("aspect", [[2, 1], [1, 2], [3, 2]])
@pytest.mark.parametrize("orientation", ["L\\F", "H\\R"])
def test_pixels_that_are_not_square_are_made_so(tmp_path, aspect, orientation):
    """Whole and half pixels of a smooth picture, in a box that is square on the film."""
    rows, columns = 120 // aspect[0], 120 // aspect[1]
    row, column = np.mgrid[:rows, :columns] + 0.5
    picture = 4000 * (row / rows * 0.7 + column / columns * 0.3)
    tags = {"PixelAspectRatio": aspect} if orientation[0] == "L" else {}
    tags = tags or {"PixelAspectRatio": aspect[::-1]}
    path = lying(tmp_path / "x", orientation, picture.astype(np.uint16), **tags)
    pixels, info = read_radiograph(path)
    height, width = pixels.shape
    assert height == width and info["spacing_mm"] is None
    row, column = np.mgrid[:height, :width] + 0.5
    expected = 4000 * (row * 0.7 + column * 0.3) / height
    inner = slice(4, -4)
    assert np.abs(pixels - expected)[inner, inner].max() < 4000 * 0.03
    assert "PixelAspectRatio (0028,0034)" in info["warnings"][-1]
    box = radiograph_transforms(32)({"radiograph": path})["radiograph_info"]["box"]
    stored = picture.shape if orientation[0] == "L" else picture.T.shape
    assert box == (0, 0, *stored)


def test_an_aspect_ratio_beside_a_spacing_says_nothing(tmp_path):
    tags = {"PixelAspectRatio": [2, 1], "PixelSpacing": [0.2, 0.2]}
    pixels, info = read_radiograph(write_dicom(tmp_path / "x", knee_pixels(), **tags))
    assert pixels.shape == knee_pixels().shape and info["spacing_mm"] == (0.2, 0.2)
    pixels, info = read_radiograph(
        write_dicom(tmp_path / "y", knee_pixels(), PixelAspectRatio=[1, 90])
    )
    assert pixels.shape == knee_pixels().shape and "not believed" in info["warnings"][0]


@pytest.mark.parametrize("orientation", LYING)
def test_slicers_pixels_say_how_they_lie(tmp_path, orientation):
    """A picture that Slicer sends without its DICOM header is turned all the same."""
    from XR2MRILib.nrrd import encode

    spacing = (0.2, 0.3) if orientation[0] in "LR" else (0.3, 0.2)
    stored = np.ascontiguousarray(LYING[orientation](knee_pixels()))
    (tmp_path / "x.nrrd").write_bytes(encode(stored, spacing, orientation))
    pixels, info = read_radiograph(tmp_path / "x.nrrd")
    assert (pixels == knee_pixels()).all() and info["spacing_mm"] == pytest.approx((0.2, 0.3))
    assert ("turn" in info) == (orientation != "L\\F")
    assert b"PatientOrientation" not in encode(stored, spacing, "L\\F\ndata file: /etc/passwd")
    assert b"PatientOrientation" not in encode(stored, spacing)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([[0, 0, 1], [-0.3, 0, 0], [0, 0.3, 0]], True),  # rows to posterior, columns to superior
        ([[-0.3, 0, 0], [0, 0, 1], [0, 0.3, 0]], False),
        ([[-0.3, 0.05, 0], [0.05, 0, 1], [0, 0.3, 0]], False),  # oblique
        ([[1, 0, 0], [0, 0.3, 0], [0, 0, 0.3]], False),  # what scripts write
    ],
)
def test_a_view_from_the_side_is_told_of_other_formats_too(tmp_path, columns, message):
    affine = np.eye(4)
    affine[:3, :3] = columns
    pixels = knee_pixels(60, 50)[..., None] if columns[0][0] != 1 else knee_pixels(60, 50)[None]
    nib.save(nib.Nifti1Image(pixels.astype(np.int16), affine), tmp_path / "x.nii.gz")
    warnings = read_radiograph(tmp_path / "x.nii.gz")[1]["warnings"]
    assert any("sagittal" in warning for warning in warnings) is message


# --- lead letters ---------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", ["R\\F", "R\\H", "F\\L"])
def test_a_letter_that_the_header_turns_away_is_a_doubt(tmp_path, orientation):
    right, info = read_radiograph(lying(tmp_path / "right", orientation, bilateral_film()))
    assert [marker.side for marker in read_markers(right)] == ["R"]
    assert turned_wrongly(right, info["turn"]) == ""
    wrong, info = read_radiograph(
        write_dicom(
            tmp_path / "wrong", bilateral_film(), PatientOrientation=orientation.split("\\")
        )
    )
    doubt = turned_wrongly(wrong, info["turn"])
    assert "letter R" in doubt and "header may be wrong" in doubt
    assert turned_wrongly(bilateral_film().astype(np.float32), Turn()) == ""


def test_the_doubt_reaches_whoever_asks(tmp_path):
    path = write_dicom(
        tmp_path / "x", bilateral_film(), PatientOrientation=["R", "F"], ImageLaterality="R"
    )
    load, locate = LoadRadiographd("radiograph"), LocateKneed("radiograph")
    for item in ({"radiograph": path}, {"radiograph": path, "box": (100, 100, 500, 500)}):
        warnings = locate(load(item))["radiograph_info"]["warnings"]
        assert sum("header may be wrong" in note for note in warnings) == 1


def letters_of(path, item, step):
    info = step(LoadRadiographd("radiograph")({"radiograph": path, **item}))["radiograph_info"]
    return [note for note in info["warnings"] if "letter" in note]


@pytest.mark.parametrize("box", [{}, {"box": (100, 100, 500, 500)}])
@pytest.mark.parametrize(
    ("letter", "mirrored", "side", "message"),
    [
        ("R", False, "R", ""),
        ("R", False, None, ""),
        ("R", False, "L", "says R, the laterality L"),
        ("L", False, "R", "says L, the laterality R"),
        ("R", True, "R", "read in a mirror alone"),
    ],
)
def test_a_letter_against_the_side_or_in_a_mirror_is_a_doubt(
    tmp_path, box, letter, mirrored, side, message
):
    """Of one knee: whether the request, the header, or both tell the side."""
    pixels = bilateral_film(letter)
    pixels = pixels[:, ::-1].copy() if mirrored else pixels
    step = LocateKneed("radiograph")
    by_header = write_dicom(tmp_path / "a", pixels, **({"ImageLaterality": side} if side else {}))
    silent = write_dicom(tmp_path / "b", pixels)
    for doubts in (
        letters_of(by_header, box, step),
        letters_of(silent, {"laterality": side, **box}, step),
    ):
        assert len(doubts) == bool(message) and all(message in doubt for doubt in doubts)


@pytest.mark.parametrize("given", [False, True])
def test_a_letter_on_the_other_side_of_a_film_of_both_knees_is_a_doubt(tmp_path, given):
    class Both:
        def locate(self, picture, spacing_mm=None):
            joints = [((260, left, 340, left + 80), 0.9) for left in (130, 590)]
            return decide(joints, picture, spacing_mm)

    wide = np.pad(bilateral_film("L"), ((0, 0), (0, 200)), mode="edge")
    right = np.pad(bilateral_film("R"), ((0, 0), (0, 200)), mode="edge")
    item = {"laterality": "R", **({"box": (200, 100, 420, 320)} if given else {})}
    step = LocateKneed("radiograph", Both())
    (doubt,) = letters_of(write_dicom(tmp_path / "x", wide), item, step)
    assert "letter L stands on image left" in doubt and "may be mirrored" in doubt
    assert letters_of(write_dicom(tmp_path / "y", right), item, step) == []


def test_letters_of_parts_of_the_patient():
    assert turn_of("L", "F") == Turn() and turn_of("R", "F") == Turn(flipped=(False, True))
    assert turn_of("A", "F") is None and turn_of("", "") is None
    assert Turn().text == "left as it lies"


# --- the cases ------------------------------------------------------------------------------------


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@with_cases
@pytest.mark.parametrize("name", ["01_mirrored_RF", "02_rot180_RH"])
def test_cases_that_lie_otherwise(name):
    chain = radiograph_transforms()
    found, plain = (
        np.asarray(chain({"radiograph": CASES / f"{name}.dcm"})["radiograph"])
        for name in (name, "plain_R")
    )
    assert correlation(found, plain) > 0.99


@with_cases
def test_case_of_a_mirrored_bilateral_film():
    film, plain = CASES / "01_film_mirrored_RF.dcm", CASES / "film_plain.dcm"
    found, expected = (prepare_radiograph(path, 256, "R") for path in (film, plain))
    assert correlation(found.picture.numpy(), expected.picture.numpy()) > 0.99
    assert found.info["box"][1] > 330 - expected.info["box"][3] - 3  # on image right of the file


@with_cases
def test_case_of_pixels_that_are_not_square():
    chain = radiograph_transforms()
    found, plain = (
        np.asarray(chain({"radiograph": CASES / name, "laterality": "R"})["radiograph"])
        for name in ("15_pixel_aspect_ratio.dcm", "plain.png")
    )
    assert correlation(found, plain) > 0.99
