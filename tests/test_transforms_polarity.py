"""Negatives: whole films, crops, CLAHE'd crops; inverted where sure, doubted where not."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from skimage import exposure

from xr2mri_core.cli import main as command
from xr2mri_core.errors import RadiographError
from xr2mri_core.geometry import Laterality
from xr2mri_core.localization import LocateKneed
from xr2mri_core.localization.decision import decide
from xr2mri_core.oai import pictures
from xr2mri_core.reading import prepare_radiograph
from xr2mri_core.training.polarity import main
from xr2mri_core.transforms import polarity as module
from xr2mri_core.transforms import radiograph_transforms, read_radiograph
from xr2mri_core.transforms.polarity import (
    DOUBTED,
    INVERTED,
    SURE,
    Shows,
    is_negative,
    middle_scales,
    polarity,
)

KNEE, PERHAPS, NONE = Shows
SHARED = Path(__file__).parents[2] / "shared"
SAMPLES = Path(__file__).parents[1] / "slicer_extension/XR2MRI/Resources/SampleData"


@pytest.fixture(scope="module")
def phantoms() -> list[np.ndarray]:
    """Two knees that the template was not fitted on, values in [0, 1]."""
    read = [read_radiograph(path)[0] for path in sorted(SAMPLES.glob("*.nrrd"))]
    assert len(read) == 2
    return [picture / picture.max() for picture in read]


def crops(picture: np.ndarray):
    """Wide and tight ones, as they are, equalised, sharpened by hand, and half as large."""
    middle = len(picture) // 2
    for part in (1.0, 0.8, 0.6):
        half = int(middle * part)
        crop = picture[middle - half : middle + half, middle - half : middle + half]
        yield crop
        yield exposure.equalize_adapthist(crop, clip_limit=0.03)
        yield exposure.equalize_hist(crop)[::2, ::2]
        yield np.sqrt(crop)[:, ::-1]


def test_the_score_of_a_negative_is_the_opposite(phantoms):
    for crop in crops(phantoms[0]):
        np.testing.assert_allclose(middle_scales(1 - crop), -middle_scales(crop), atol=1e-4)


def test_bone_is_seen_to_be_bright_in_every_kind_of_crop(phantoms):
    scores = [polarity(crop) for picture in phantoms for crop in crops(picture)]
    assert min(scores) > 0 and np.median(scores) > SURE


def test_a_template_is_fitted_from_pictures_with_bright_bone(tmp_path, phantoms, capsys):
    files = [str(path) for path in sorted(SAMPLES.glob("*.nrrd"))]
    main([*files, "--out", str(tmp_path / "template.safetensors"), "--copies", "8"])
    template = load_file(tmp_path / "template.safetensors")["template"]
    assert template.shape == (256,) and "held out 8" in capsys.readouterr().out
    scores = [float(middle_scales(crop).ravel() @ template) for crop in crops(phantoms[1])]
    assert np.mean(scores) > 0 and np.mean(np.array(scores) > 0) > 0.8


def warnings_of(data) -> list[str]:
    notes = data["radiograph_info"]["warnings"]
    return [note for note in notes if note in (INVERTED, DOUBTED)]


@pytest.mark.parametrize("equalised", [False, True])
def test_a_negative_is_inverted_with_a_warning(phantoms, equalised):
    picture = phantoms[1]
    if equalised:
        picture = exposure.equalize_adapthist(picture, clip_limit=0.03)
    chain = radiograph_transforms(64)
    positive, negative = (
        chain({"radiograph": p, "laterality": "R"}) for p in (picture, 1 - picture)
    )
    assert warnings_of(positive) == [] and warnings_of(negative) == [INVERTED]
    assert negative["radiograph_info"]["inverted"] is True
    np.testing.assert_allclose(negative["radiograph"], positive["radiograph"], atol=1e-3)


def test_what_is_not_sure_is_doubted_and_left_alone(phantoms, monkeypatch):
    chain = radiograph_transforms(64)
    plain = chain({"radiograph": phantoms[0], "laterality": "R"})
    monkeypatch.setattr(module, "polarity", lambda crop: -0.5 * SURE)
    doubted = chain({"radiograph": 1 - phantoms[0], "laterality": "R"})
    assert warnings_of(doubted) == [DOUBTED] and doubted["radiograph_info"]["inverted"] is False
    pair = (np.asarray(data["radiograph"]).ravel() for data in (plain, doubted))
    assert np.corrcoef(*pair)[0, 1] < -0.9


@pytest.mark.parametrize(
    ("first", "then", "verdict"),
    [
        ((3.0, KNEE), None, False),
        ((0.2, KNEE), (-0.2, KNEE), None),  # near zero nothing is sure, so it is doubted
        ((-1.5, KNEE), (1.5, KNEE), None),
        ((-3.0, KNEE), (3.0, KNEE), True),
        ((0.2, PERHAPS), None, False),
        ((-1.5, PERHAPS), (1.5, PERHAPS), None),
        ((-3.0, PERHAPS), (3.0, PERHAPS), True),
        ((3.0, NONE), None, False),
        ((0.2, NONE), (-0.2, NONE), False),  # a picture of no knee has its own warning
        ((0.2, NONE), (-0.2, KNEE), False),
        ((-1.5, NONE), (1.5, NONE), None),
        ((-3.0, NONE), (3.0, NONE), None),
        ((0.2, NONE), (4.0, KNEE), True),  # a knee that only the negative shows
    ],
)
def test_a_verdict_takes_a_knee_and_a_sure_score(first, then, verdict):
    judged = iter([first, then])
    assert is_negative(np.eye(3), lambda picture: next(judged)) is verdict
    assert list(judged) == ([None] if then is None else [])  # looked at again only if in doubt


def test_a_negative_in_which_no_knee_is_found_is_inverted_for_its_negative(phantoms, tmp_path):
    """A detector that knows bright bone alone, and a negative that has a wide black frame."""

    class Bright:
        def locate(self, picture, spacing_mm=None):
            seen = picture[100:200].mean() > 0.5  # the frame
            return decide([] if seen else [((190, 190, 550, 550), 0.9)], picture, spacing_mm)

    picture = np.pad(phantoms[0], 100)
    chain = radiograph_transforms(64, locate=LocateKneed("radiograph", Bright()))
    positive, negative = (
        chain({"radiograph": p, "laterality": "R"}) for p in (picture, 1 - picture)
    )
    assert warnings_of(positive) == [] and warnings_of(negative) == [INVERTED]
    np.testing.assert_allclose(negative["radiograph"], positive["radiograph"], atol=1e-3)


@pytest.mark.parametrize("inverted", [False, True])
def test_localize_tells_of_negatives(tmp_path, phantoms, inverted, capsys):
    picture = 1 - phantoms[1] if inverted else phantoms[1]
    Image.fromarray((picture * 255).astype(np.uint8)).save(tmp_path / "knee.png")
    assert command(["localize", str(tmp_path / "knee.png")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "cropped" and (INVERTED in found["warnings"]) is inverted


def test_a_given_box_is_judged_not_the_whole_picture(phantoms):
    picture = 1 - phantoms[0]
    framed = np.pad(picture, 200, constant_values=0.5)
    box = (200, 200, 200 + picture.shape[0], 200 + picture.shape[1])
    data = radiograph_transforms(64)({"radiograph": framed, "laterality": "R", "box": box})
    assert warnings_of(data) == [INVERTED]


class Finds:
    """A detector of one box, or of none."""

    def __init__(self, *found):
        self.found = found

    def locate(self, picture, spacing_mm=None):
        return decide([(box, 0.9) for box in self.found], picture, spacing_mm)


@pytest.mark.parametrize(
    ("found", "inverted"),
    [((), False), (((157, 44, 449, 336),), True), (((110, 50, 400, 340),), True)],
)
def test_a_box_handed_back_gives_the_same_picture(phantoms, found, inverted):
    """Also the middle square: taken because no knee was found (it looks like a negative, and must
    not be inverted for being pointed at), or because there is one."""
    picture = 1 - phantoms[0][:, :380]
    chain = radiograph_transforms(64, locate=LocateKneed("radiograph", Finds(*found)))
    item = {"radiograph": picture, "laterality": "R"}
    first = chain(item)
    again = chain({**item, "box": first["radiograph_info"]["box"]})
    assert first["radiograph_info"]["inverted"] is inverted
    assert warnings_of(again) == warnings_of(first) and warnings_of(first)
    assert again["radiograph_info"]["box"] == first["radiograph_info"]["box"]
    np.testing.assert_array_equal(again["radiograph"], first["radiograph"])


def test_the_release_is_not_indexed_with_a_negative(tmp_path, phantoms, monkeypatch):
    from test_transforms_radiograph import write_dicom

    def read(picture):
        path = write_dicom(tmp_path / "film", (picture * 4095).astype(np.uint16))
        box = (0, 0, *picture.shape)
        seen = pictures.Located(box, pictures.DETECTED)
        return pictures.read_knee([path], Laterality.RIGHT, False, lambda *_: seen)

    assert DOUBTED not in read(phantoms[0]).notes
    with pytest.raises(RadiographError, match="a negative film: bone is dark"):
        read(1 - phantoms[0])
    monkeypatch.setattr(pictures, "polarity", lambda crop: -0.5 * SURE)
    assert read(phantoms[0]).notes == (DOUBTED,)


@pytest.mark.skipif(not (SHARED / "cases").exists(), reason="no cases")
@pytest.mark.parametrize(
    ("name", "like", "inverted"),
    [
        ("03_plain_R_dcm2niix.nii.gz", "plain_R.dcm", False),
        ("03_mono1_dcm2niix.nii.gz", "plain_R.dcm", True),
        ("04_negative.png", "plain.png", True),
        ("04_negative_unsaid.dcm", "plain_R.dcm", True),
        ("14_phone.mpo.jpg", "plain.png", False),
    ],
)
def test_peculiar_files_are_prepared_as_the_plain_one(name, like, inverted):
    found, plain = (prepare_radiograph(SHARED / "cases" / n, 256, "R") for n in (name, like))
    assert (INVERTED in found.info["warnings"]) == inverted
    assert INVERTED not in plain.info["warnings"] and DOUBTED not in plain.info["warnings"]
    pair = (p.picture.numpy().ravel() for p in (found, plain))
    assert np.corrcoef(*pair)[0, 1] > 0.99


@pytest.mark.skipif(not (SHARED / "reference").exists(), reason="no reference files")
def test_real_knees_are_no_negatives():
    real = Image.open(SHARED / "reference" / "real_pair" / "xray.png").convert("L")
    crop = np.asarray(real, np.float32)
    assert polarity(crop) > SURE and polarity(-crop) < -SURE
    film, _ = read_radiograph(SHARED / "reference" / "bilateral_pa_small.png")
    for half in np.array_split(film, 2, axis=1):
        assert polarity(half) > SURE
