"""The shipped detector, on phantoms, on what is no knee, and on the reference pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.exposure import equalize_adapthist

from xr2mri_core.cli import main
from xr2mri_core.errors import RadiographError, WeightsError
from xr2mri_core.localization import KneeDetector, LocateKneed
from xr2mri_core.localization.boxes import iou
from xr2mri_core.localization.decision import NO_KNEE
from xr2mri_core.localization.detector import SHIPPED
from xr2mri_core.localization.locate import look_at
from xr2mri_core.localization.lying import lying_doubt
from xr2mri_core.localization.scale import RELATIVE_ERROR
from xr2mri_core.phantom import make_case
from xr2mri_core.phantom.bilateral import joint_of_case, shadow_of, take_film
from xr2mri_core.training.detector.crops import draw_crop
from xr2mri_core.training.detector.strangers import UNSEEN_PHOTOGRAPHS, photograph
from xr2mri_core.transforms.radiograph import middle_square, radiograph_transforms
from xr2mri_core.transforms.radiograph_file import read_radiograph

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"
SAMPLES = Path(__file__).parents[1] / "slicer_extension/XR2MRI/Resources/SampleData"
reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason="no reference pictures here")


@pytest.fixture(scope="module")
def detector():
    return KneeDetector.shipped()


@pytest.fixture(scope="module")
def film():
    return take_film(shadow_of(2796670091), shadow_of(928560713), seed=3)


def test_weights_are_small_and_load_once(detector):
    assert SHIPPED.stat().st_size < 6e6
    assert sum(p.numel() for p in detector.network.parameters()) < 3e6
    assert KneeDetector.shipped() is detector


def test_damaged_or_foreign_weights(tmp_path, detector):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(SHIPPED.read_bytes()[:1000])
    for path in (damaged, tmp_path / "none.safetensors"):
        with pytest.raises(WeightsError, match="no weights of the knee detector"):
            KneeDetector.load(path)
    with pytest.raises(WeightsError, match="another network"):
        KneeDetector.load(SHIPPED, width=0.35)


def test_same_picture_same_answer_in_any_units(detector):
    picture = photograph("camera")
    first = detector.detect(picture)
    assert first == detector.detect(picture)
    scaled = detector.detect(picture * 16 + 1000)
    assert [round(s, 2) for _, s in scaled] == [round(s, 2) for _, s in first]


@pytest.mark.parametrize("name", UNSEEN_PHOTOGRAPHS)
def test_photograph_is_no_knee(detector, name):
    found = detector.locate(photograph(name))
    # a hint that it may lie on its side may follow: gravel gets it
    assert found.kind == "none" and found.warnings[0] == NO_KNEE


@pytest.mark.parametrize("shape", [(300, 300), (500, 260), (240, 700)])
def test_noise_is_no_knee(detector, shape):
    noise = np.random.default_rng(1).random(shape, np.float32)
    assert detector.locate(noise).kind == "none"


def test_array_that_is_no_picture(detector):
    with pytest.raises(RadiographError):
        detector.locate(np.zeros((3, 40, 40)))


@pytest.mark.slow
def test_phantom_radiograph_is_read_at_its_true_scale_without_its_spacing(detector):
    case = make_case(20260)
    spacing = case.parameters["beam"]["spacing_mm"]
    learnt = middle_square(case.radiograph.shape, (spacing, spacing))
    assert detector.locate(case.radiograph, (spacing, spacing)).knees[0].box == learnt
    chain = radiograph_transforms(locate=LocateKneed("radiograph", detector))
    info = chain({"radiograph": case.radiograph})["radiograph_info"]
    assert info["localization"]["kind"] == "cropped" and iou(info["box"], learnt) > 0.7
    assert info["joint_spacing_mm"][0] == pytest.approx(spacing, rel=2 * RELATIVE_ERROR)
    (box, score), *_ = detector.detect(case.radiograph)
    assert score > 0.5 and iou(box, joint_of_case(case.parameters)) > 0.8


@pytest.mark.slow
def test_both_knees_of_a_film(detector, film):
    found = detector.locate(film.pixels, (film.spacing_mm,) * 2)
    assert found.kind == "bilateral"
    for side, joint in film.joints.items():
        assert iou(found.choose(side).joint, joint) > 0.75
    turned = detector.locate(np.ascontiguousarray(film.pixels[:, ::-1]))
    columns = film.pixels.shape[1]
    top, left, bottom, right = film.joints["L"]
    assert iou(turned.choose("R").joint, (top, columns - right, bottom, columns - left)) > 0.75


@pytest.mark.slow
def test_both_knees_are_found_at_the_same_place_whatever_the_pixels(detector, film):
    """A spacing of rows other than that of columns: the picture as it lies is squeezed."""
    step = film.spacing_mm
    whole = detector.locate(film.pixels, (step, step))
    for rows, columns in ((2, 1), (1, 2)):
        found = detector.locate(film.pixels[::rows, ::columns], (step * rows, step * columns))
        assert found.kind == "bilateral" and found.warnings == whole.warnings
        for knee, expected in zip(found.knees, whole.knees, strict=True):
            there = np.multiply(knee.box, (rows, columns) * 2)
            assert np.abs(there - expected.box).max() * step < 4


@pytest.mark.slow
def test_tight_equalised_crops_are_not_doubted(detector):
    leg = shadow_of(2796670091)
    for index in range(6):
        picture, (joint,) = draw_crop([leg], 5, index)
        found = detector.locate(picture)
        assert found.kind in ("cropped", "single")
        assert iou(found.knees[0].joint, joint) > 0.6


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.nrrd")), ids=lambda path: path.stem)
def test_a_knee_upside_down_or_on_its_side_is_doubted(detector, sample):
    picture, _ = read_radiograph(sample)
    said = {"on its side": (np.rot90(picture), picture.T),
            "upside down": (picture[::-1], picture[::-1, ::-1]),
            "": (picture, picture[:, ::-1])}  # fmt: skip
    for lies, pictures in said.items():
        for lying in pictures:
            warnings = " ".join(detector.locate(lying).warnings)
            assert ("seems to lie" in warnings) is bool(lies) and lies in warnings


@pytest.mark.parametrize(
    ("score", "turned", "lies"),
    [
        (0.98, None, ""),  # clear: no other look is needed
        (0.90, (2, 0.95), ""),
        (0.90, (2, 0.99), "upside down"),
        (0.20, (2, 0.6), "upside down"),
        (0.00, (1, 0.6), "on its side"),
        (0.00, (3, 0.4), ""),
    ],
)
def test_a_turned_picture_must_show_a_knee_much_more_clearly(score, turned, lies):
    doubt = lying_doubt(score, iter([turned]).__next__ if turned else None)
    assert ("seems to lie" in doubt) is bool(lies) and lies in doubt


@reference
def test_real_bilateral_radiograph(tmp_path, capsys):
    """Joint boxes against what can be seen on the picture: joint spaces at rows 78 to 82."""
    path = REFERENCE / "bilateral_pa_small.png"
    out, picture = tmp_path / "boxes.json", tmp_path / "overlay.png"
    assert main(["localize", str(path), "--out", str(out), "--picture", str(picture)]) == 0
    found = json.loads(out.read_text())
    assert found["kind"] == "bilateral" and found["warnings"] == []
    assert picture.read_bytes().startswith(b"\x89PNG")
    for knee, side, column in zip(found["knees"], "RL", (75, 158), strict=True):
        top, left, bottom, right = knee["joint"]
        assert knee["side"] == side and knee["score"] > 0.6
        assert abs((top + bottom) / 2 - 80) < 8 and abs((left + right) / 2 - column) < 8
        assert 50 < bottom - top < 80


def real_crop():
    return np.asarray(Image.open(REFERENCE / "real_pair" / "xray.png").convert("L"), np.float32)


@reference
def test_real_cropped_knee_gets_its_scale():
    """The tibial plateau is 181 pixels wide, so the joint box 253: pixels of about 0.42 mm."""
    found = look_at(REFERENCE / "real_pair" / "xray.png").found
    assert found.kind == "cropped" and found.warnings == ()
    assert found.scale.spacing_mm == pytest.approx((0.42, 0.42), rel=0.06)
    top, left, bottom, right = found.knees[0].box
    assert bottom - top == pytest.approx(1.3 * 253, rel=0.06)
    assert (left + right) / 2 == pytest.approx(112, abs=8)


@reference
@pytest.mark.parametrize("limit", [0.01, 0.05])
@pytest.mark.parametrize("tiles", [2, 8])
@pytest.mark.parametrize("cut", [(0, 0, 224), (0, 24, 200), (24, 0, 200), (20, 12, 190)])
def test_real_knee_cropped_tighter_and_equalised_is_not_doubted(detector, cut, tiles, limit):
    top, left, side = cut
    part = real_crop()[top : top + side, left : left + side] / 255
    picture = equalize_adapthist(part, kernel_size=side // tiles, clip_limit=limit)
    found = detector.locate(picture)
    assert found.kind == "cropped" and found.warnings == ()
    assert found.scale.spacing_mm[0] == pytest.approx(0.42, rel=2.1 * RELATIVE_ERROR)


@reference
def test_real_ankle_is_no_knee():
    found = look_at(REFERENCE / "cr_monochrome1_not_a_knee_j2k.dcm").found
    assert found.kind == "none" and NO_KNEE in found.warnings
