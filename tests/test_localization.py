"""What is made of joints that a detector has found: boxes, sides, fallbacks, box files."""

import json

import numpy as np
import pytest
import torch
from dicom_samples import write_dicom

from xr2mri_core.errors import DatalistError, InputError
from xr2mri_core.geometry import Laterality
from xr2mri_core.localization import KneeDetector, LocateKneed
from xr2mri_core.localization.boxes import EXPANSION, RISE, crop_of, iou, squared
from xr2mri_core.localization.boxfile import read_boxes
from xr2mri_core.localization.decision import NO_KNEE, Localization, decide, fills
from xr2mri_core.localization.detector import MARGIN, WIDE_MARGIN
from xr2mri_core.localization.frames import frame_of, to_picture
from xr2mri_core.localization.locate import side_of
from xr2mri_core.localization.marker import read_markers
from xr2mri_core.localization.network import FRAME
from xr2mri_core.localization.scale import JOINT_MM, RELATIVE_ERROR, scale_of
from xr2mri_core.oai.pictures import read_drawn_boxes
from xr2mri_core.phantom.bilateral import (
    SHADOW_MM,
    Layout,
    Shadow,
    joint_of_case,
    sample_layout,
    take_film,
)
from xr2mri_core.phantom.dataset import case_seed
from xr2mri_core.training.detector import legs
from xr2mri_core.training.detector.augment import augmented
from xr2mri_core.training.detector.crops import draw_crop, processed
from xr2mri_core.training.detector.films import FilmCorpus, draw_film, shrunk, write_films
from xr2mri_core.training.detector.network import TrainableKneeSSD
from xr2mri_core.training.detector.score import score_crops
from xr2mri_core.training.detector.stage import DetectorStage, FilmBatches
from xr2mri_core.transforms.radiograph import CROP_MM, middle_square, radiograph_transforms


def square(row, column, side):
    return row - side / 2, column - side / 2, row + side / 2, column + side / 2


def blank(rows, columns):
    return np.random.default_rng(0).random((rows, columns), np.float32)


class TestCrop:
    def test_is_the_joint_and_thirty_percent_a_sixth_higher(self):
        top, left, bottom, right = crop_of(square(300, 200, 100))
        assert (bottom - top, right - left) == (130, 130) == (round(100 * EXPANSION),) * 2
        assert (left + right) / 2 == 200
        assert (top + bottom) / 2 == pytest.approx(300 - RISE * 100, abs=0.5)

    def test_is_140_mm_where_the_spacing_is_known(self):
        top, left, bottom, right = crop_of(square(600, 500, 300), (0.2, 0.4))
        assert ((bottom - top) * 0.2, (right - left) * 0.4) == (CROP_MM, CROP_MM)

    def test_shows_a_case_as_its_middle_square_does(self):
        """A phantom's joint box leads back to the 140 mm that the model has learnt from."""
        shape = {"plateau_width": 74.0, "scale": 1.0, "field_x": -2.0, "field_z": 19.0}
        beam = {"size": 512, "spacing_mm": 0.31, "centre_mm": [0, 0], "magnification": 1.035}
        joint = joint_of_case({"shape": shape, "beam": beam})
        found = crop_of(joint, (0.31, 0.31))
        learnt = middle_square((512, 512), (0.31, 0.31))
        assert iou(found, learnt) > 0.94

    @pytest.mark.parametrize("spacing", [(0.4, 0.2), (0.2, 0.4)])
    def test_of_a_box_is_the_same_square_in_mm_whatever_the_pixels(self, spacing):
        box = (300.0, 200.0, 500.0, 320.0)  # 40 x 24 mm
        joint = [edge * 0.2 / step for edge, step in zip(box, spacing * 2, strict=True)]
        where = np.multiply(crop_of(joint, spacing), spacing * 2)
        assert where == pytest.approx(np.multiply(crop_of(box, (0.2, 0.2)), 0.2), abs=0.4)
        assert np.multiply(squared(joint, spacing), spacing * 2) == pytest.approx([60, 32, 100, 72])

    def test_iou(self):
        assert iou((0, 0, 2, 2), (0, 0, 2, 2)) == 1
        assert iou((0, 0, 2, 2), (0, 1, 2, 3)) == pytest.approx(1 / 3)
        assert iou((0, 0, 2, 2), (5, 5, 6, 6)) == 0


class TestDecision:
    def test_two_joints_are_right_and_left_by_position(self):
        boxes = [(square(200, 400, 110), 0.9), (square(190, 140, 120), 0.8)]
        found = decide(boxes, blank(400, 560), None)
        assert found.kind == "bilateral" and found.warnings == ()
        assert [k.side for k in found.knees] == [Laterality.RIGHT, Laterality.LEFT]
        assert found.choose("L").joint == boxes[0][0]
        assert found.choose("auto").joint == boxes[1][0]
        json.dumps(found.to_dict())

    def test_second_knee_may_be_less_sure_but_is_told_of(self):
        boxes = [(square(200, 400, 110), 0.9), (square(190, 140, 120), 0.3)]
        found = decide(boxes, blank(400, 560), None)
        assert found.kind == "bilateral" and "right knee was not found" in found.warnings[0]

    @pytest.mark.parametrize(
        "other", [square(30, 140, 110), square(200, 320, 110), square(200, 140, 40)]
    )
    def test_no_pair_one_above_the_other_too_near_or_of_another_size(self, other):
        found = decide([(square(200, 400, 110), 0.9), (other, 0.8)], blank(400, 800), None)
        assert found.knees[0].joint == square(200, 400, 110)

    def test_knee_sized_square_keeps_the_middle(self):
        found = decide([(square(300, 250, 340), 0.9)], blank(512, 512), (0.31, 0.31))
        assert found.kind == "cropped"
        assert found.knees[0].box == middle_square((512, 512), (0.31, 0.31))

    def test_spacing_too_small_for_a_knee_is_not_believed(self):
        """224 x 224 of a picture that was larger when its 0.148 mm were measured."""
        joint = square(140, 112, 210)
        found = decide([(joint, 0.9)], blank(224, 224), (0.148, 0.148))
        assert found.kind == "cropped" and found.knees[0].box == crop_of(joint)
        assert found.spacing_mm is None and "33 mm" in found.warnings[0]
        assert decide([], blank(500, 400), (0.148, 0.148)).spacing_mm == (0.148, 0.148)

    def test_tight_crop_without_spacing_gets_the_scale_of_its_joint(self):
        joint = square(140, 112, 214)
        found = decide([(joint, 0.9)], blank(224, 224), None)
        assert found.kind == "cropped" and found.knees[0].source == "detector"
        top, left, bottom, right = found.knees[0].box
        assert bottom - top == right - left == round(EXPANSION * 214)
        assert (bottom - top) * found.scale.spacing_mm[0] == pytest.approx(CROP_MM, rel=0.01)
        assert found.to_dict()["scale"] == {
            "spacing_mm": [0.5, 0.5],
            "relative_error": RELATIVE_ERROR,
            "source": "joint",
        }

    def test_crop_that_shows_what_the_model_expects_is_kept_whole(self):
        found = decide([(square(131, 112, 170), 0.9)], blank(224, 224), None)
        assert found.kind == "cropped" and found.knees[0].box == (0, 0, 224, 224)
        assert found.knees[0].source == "picture" and found.scale is not None

    def test_tight_crop_with_its_spacing_is_padded_about_its_joint(self):
        """105 mm: the middle 140 mm would have the joint too high."""
        joint = square(112, 112, 220)
        found = decide([(joint, 0.9)], blank(224, 224), (0.47, 0.47))
        assert found.kind == "cropped" and found.scale is None and found.warnings == ()
        assert found.knees[0].box == crop_of(joint, (0.47, 0.47))

    def test_a_joint_much_larger_than_its_picture_is_cut_out_twice_as_large(self):
        """As far as a box may reach, so that generation takes it."""
        found = decide([(square(180, 170, 555), 0.9)], blank(360, 360), None)
        top, left, bottom, right = found.knees[0].box
        assert found.kind == "cropped" and bottom - top == right - left == 720
        assert (left + right) / 2 == 170
        chain = radiograph_transforms(64)
        chain({"radiograph": blank(360, 360), "box": found.knees[0].box})

    def test_a_joint_that_fills_its_picture(self):
        assert fills(square(120, 112, 230), (224, 224))
        for box in (square(120, 112, 150), square(120, 180, 230), square(40, 112, 230)):
            assert not fills(box, (224, 224))
        assert not fills(square(112, 250, 230), (224, 500))

    def test_a_picture_too_wide_for_a_film_is_not_halved(self):
        assert decide([(square(70, 150, 120), 0.4)], blank(140, 500), None).kind == "none"

    @pytest.mark.parametrize(
        ("pixels", "believed", "words"),
        [
            (0.31, True, ()),
            (0.155, False, ("53 mm wide", "cannot be right", "unknown")),
            (1.0, False, ("344 mm wide", "cannot be right", "unknown")),
            (0.22, True, ("76 mm wide", "is the pixel spacing right?")),
            (0.48, True, ("165 mm wide", "is the pixel spacing right?")),
        ],
    )
    def test_spacing_is_held_against_the_size_of_the_joint(self, pixels, believed, words):
        joint = square(290, 256, 344)
        found = decide([(joint, 0.9)], blank(512, 512), (pixels, pixels))
        assert found.spacing_mm == ((pixels, pixels) if believed else None)
        assert len(found.warnings) == bool(words)
        assert all(word in found.warnings[0] for word in words)
        if not believed:
            assert found.knees[0].box == decide([(joint, 0.9)], blank(512, 512), None).knees[0].box

    def test_stated_spacing_of_a_film_does_not_hide_its_second_knee(self):
        """A film of 400 mm whose spacing says 160: both knees are found, at their own scale."""
        boxes = [(square(200, 400, 107), 0.9), (square(190, 140, 107), 0.8)]
        found = decide(boxes, blank(400, 560), (0.3, 0.3))
        assert found.kind == "bilateral" and found.spacing_mm is None
        assert found.scale.spacing_mm == pytest.approx((1.0, 1.0))

    def test_scale_keeps_the_shape_of_pixels(self):
        scale = scale_of((0, 0, 200, 214), (0.2, 0.1))
        assert scale.spacing_mm == pytest.approx((2 * JOINT_MM / 214, JOINT_MM / 214))
        assert scale_of((0, 0, 214, 214)).words == "0.5 mm a pixel (± 12%)"

    @pytest.mark.parametrize("shape", [(900, 500), (600, 600)])
    def test_one_leg_on_a_larger_film_is_cut_out(self, shape):
        joint = square(260, 240, 190)
        found = decide([(joint, 0.9)], blank(*shape), None)
        assert found.kind == "single" and found.knees[0].box == crop_of(joint)
        assert found.knees[0].side is None

    def test_missing_fellow_is_the_mirror_image(self):
        found = decide([(square(200, 150, 120), 0.9)], blank(400, 600), None)
        assert [k.source for k in found.knees] == ["detector", "mirrored"]
        assert found.choose("L").joint == square(200, 450, 120)
        assert "left knee was not found" in found.warnings[0]

    def test_unsure_wide_picture_is_halved_with_a_warning(self):
        found = decide([(square(200, 150, 120), 0.4)], blank(400, 600), None)
        assert [k.source for k in found.knees] == ["half", "half"]
        assert found.knees[0].box[3] <= 301 and found.knees[1].box[1] >= 299
        assert "half of the picture is taken" in found.warnings[0]

    def test_unsure_square_picture_is_no_knee(self):
        assert decide([(square(200, 150, 120), 0.4)], blank(400, 400), None).kind == "none"

    @pytest.mark.parametrize("found", [[], [(square(200, 150, 120), 0.1)]])
    def test_nothing_is_no_knee(self, found):
        said = decide(found, blank(400, 600), None)
        assert (said.kind, said.knees, said.warnings) == ("none", (), (NO_KNEE,))
        assert said.choose("R") is None


class Looks(KneeDetector):
    """A detector that sees what the test says at each margin about the picture."""

    def __init__(self, seen):
        self.seen = seen

    def _found(self, picture, windows):
        return list(self.seen.get(round(windows[0][2] / max(picture.shape), 2), []))


class TestFilling:
    """A joint that fills its picture, where the first look is sure of nothing."""

    filling = (square(120, 112, 230), 0.9)

    def detect(self, first=(), wide=(), shape=(224, 224)):
        return Looks({MARGIN: first, WIDE_MARGIN: wide}).detect(blank(*shape))

    def test_counts_when_seen_with_a_wide_margin(self):
        ((box, score),) = self.detect(wide=[self.filling])
        assert box == pytest.approx(self.filling[0]) and score == 0.9

    def test_is_not_looked_for_where_something_is_sure(self):
        sure = [(square(100, 100, 60), 0.8)]
        assert self.detect(sure, [self.filling]) == sure

    @pytest.mark.parametrize(
        "seen", [[], [(square(121, 112, 240), 0.55)], [(square(121, 112, 150), 0.9)]]
    )
    def test_must_be_sure_and_fill_its_picture(self, seen):
        assert self.detect(wide=seen) == []

    def test_is_not_looked_for_in_a_long_picture(self):
        assert self.detect(wide=[(square(112, 250, 230), 0.9)], shape=(224, 500)) == []


class Told:
    """A detector that finds what the test says."""

    def __init__(self, *boxes, score=0.9):
        self.found = [(box, score) for box in boxes]

    def locate(self, picture, spacing_mm=None) -> Localization:
        return decide(self.found, np.asarray(picture), spacing_mm)


class TestLocateKneed:
    def read(self, picture, detector, **data):
        chain = radiograph_transforms(64, locate=LocateKneed("radiograph", detector))
        return chain({"radiograph": picture, **data})

    def test_takes_the_knee_of_the_side(self):
        both = Told(square(200, 140, 120), square(200, 420, 120))
        info = self.read(blank(400, 560), both, laterality="L")["radiograph_info"]
        assert info["box"] == crop_of(square(200, 420, 120)) and info["mirrored"]
        info = self.read(blank(400, 560), both)["radiograph_info"]
        assert info["box"] == crop_of(square(200, 140, 120)) and info["laterality"] == "R"
        assert any("both knees are shown" in note for note in info["warnings"])

    def one_of_two(self, column, **data):
        """What is read of a wide picture in which one knee is seen."""
        info = self.read(blank(400, 560), Told(square(200, column, 120)), **data)["radiograph_info"]
        return info["box"], info["laterality"], " ".join(info["warnings"])

    @pytest.mark.parametrize(("column", "side"), [(140, "R"), (420, "L")])
    def test_the_only_knee_that_is_seen_is_taken(self, column, side):
        box, taken, told = self.one_of_two(column)
        assert box == crop_of(square(200, column, 120)) and taken == side
        assert "one knee is seen" in told and "both knees" not in told
        assert "mirror image" not in told, "of a box that is not taken"

    @pytest.mark.parametrize(("asked", "told"), [("L", False), ("R", True)])
    def test_what_is_said_of_the_other_box_is_not_said_of_the_one_that_is_taken(self, asked, told):
        found = decide(
            [(square(200, 420, 120), 0.9), (square(200, 140, 120), 0.3)], blank(400, 560), None
        )
        unsure = "the right knee was not found with certainty: check its box"
        assert unsure in found.warnings
        assert (unsure in found.warnings_of(found.choose(asked))) is told

    @pytest.mark.parametrize("columns", [[140], [420], [140, 420]])
    def test_what_may_be_a_knee_is_not_said_to_be_one(self, columns):
        unsure = Told(*(square(200, column, 120) for column in columns), score=0.4)
        notes = self.read(blank(400, 560), unsure)["radiograph_info"]["warnings"]
        told = "perhaps both knees" if len(columns) == 2 else "what may be a knee is seen"
        assert any(note.startswith(told) for note in notes)
        assert not any(note.startswith(("one knee", "both knees")) for note in notes)

    @pytest.mark.parametrize("asked", ["auto", "R"])
    @pytest.mark.parametrize(("column", "doubted"), [(140, False), (420, True)])
    def test_the_only_knee_is_of_the_side_that_its_file_states(self, column, doubted, asked):
        picture, step = blank(400, 560), LocateKneed("radiograph", Told(square(200, column, 120)))
        info = {"spacing_mm": None, "laterality": "R", "warnings": []}
        item = {"radiograph": torch.from_numpy(picture)[None], "laterality": asked}
        done = step({**item, "radiograph_info": info})
        assert done["box"] == crop_of(square(200, column, 120))
        info = done["radiograph_info"]
        assert info["laterality"] == "R" and "both knees" not in " ".join(info["warnings"])
        assert ("it is taken as the file says, R" in " ".join(info["warnings"])) is doubted

    def test_the_other_one_is_its_mirror_image_where_it_is_asked_for(self):
        box, taken, told = self.one_of_two(140, laterality="L")
        assert box == crop_of(square(200, 420, 120)) and taken == "L"
        assert "the left knee was not found" in told and "both knees" not in told

    @pytest.mark.parametrize(("column", "side"), [(150, "R"), (450, "L")])
    def test_of_two_halves_the_one_that_may_show_a_knee_is_taken(self, column, side):
        found = decide([(square(200, column, 120), 0.4)], blank(400, 600), None)
        assert [k.source for k in found.knees] == ["half", "half"]
        assert found.choose().side == side and found.choose("R").side == "R"

    def test_given_box_wins(self):
        knee = Told(square(200, 140, 120))
        info = self.read(blank(400, 400), knee, box=(10, 20, 110, 120))["radiograph_info"]
        assert info["box"] == (10, 20, 110, 120) and "localization" not in info

    def test_a_given_box_tells_the_side_of_the_knee_in_it(self):
        both, film = Told(square(200, 140, 120), square(200, 420, 120)), blank(400, 560)
        for column, side, other in ((140, "R", "L"), (420, "L", "R")):
            box = crop_of(square(190, column, 100))
            info = self.read(film, both, box=box)["radiograph_info"]
            assert info["box"] == box and info["laterality"] == side
            assert any("by its place" in note for note in info["warnings"])
            info = self.read(film, both, box=box, laterality=side)["radiograph_info"]
            assert not any("place" in note or "lies" in note for note in info["warnings"])
            info = self.read(film, both, box=box, laterality=other)["radiograph_info"]
            assert info["laterality"] == other
            assert any("check the side, or the box" in note for note in info["warnings"])
        info = self.read(film, both, box=(0, 0, 400, 560))["radiograph_info"]
        assert not any("place" in note for note in info["warnings"])  # it holds both

    @pytest.mark.parametrize(
        ("shape", "spacing", "wide"),
        [((400, 280), (0.5, 1.0), True), ((400, 560), (1.0, 0.5), False), ((400, 560), None, True)],
    )
    def test_letters_beside_a_given_box_are_a_film_s_where_it_is_wide_in_mm(
        self, monkeypatch, shape, spacing, wide
    ):
        asked = []
        monkeypatch.setattr(
            "xr2mri_core.localization.locate.letter_doubts",
            lambda picture, turn, side, both: asked.append(both) or (),
        )
        info = {"spacing_mm": spacing, "laterality": None, "warnings": []}
        picture = torch.from_numpy(blank(*shape))[None]
        item = {"radiograph": picture, "radiograph_info": info, "box": (0, 0, 100, 100)}
        LocateKneed("radiograph", Told())(item)
        assert asked == [wide]

    def test_a_given_box_is_as_large_as_the_joint_says(self):
        for side, told in ((90, True), (150, False), (240, True)):
            box = (200 - side // 2, 200 - side // 2, 200 + side // 2, 200 + side // 2)
            read = self.read(blank(400, 400), Told(square(215, 200, 120)), box=box)
            notes = read["radiograph_info"]["warnings"]
            assert any("140 mm are expected" in note for note in notes) is told

    def test_cropped_picture_comes_out_as_without_a_detector(self):
        picture = blank(300, 300)
        plain = radiograph_transforms(64)({"radiograph": picture})
        located = self.read(picture, Told(square(185, 150, 230)))
        assert torch.equal(plain["radiograph"], located["radiograph"])

    def test_tight_crop_is_scaled_padded_and_told(self):
        picture = blank(224, 224)
        located = self.read(picture, Told(square(140, 112, 250)))
        info = located["radiograph_info"]
        assert info["box"] == crop_of(square(140, 112, 250)) and info["spacing_mm"] is None
        assert info["joint_spacing_mm"] == pytest.approx((0.428, 0.428))
        assert any("0.43 mm a pixel (± 12%)" in note for note in info["warnings"])
        assert any("lies outside the picture" in note for note in info["warnings"])
        assert located["radiograph"].shape == (1, 64, 64)

    def test_spacing_that_cannot_be_true_is_unknown_from_here_on(self, tmp_path, monkeypatch):
        picture, joint = blank(512, 512), square(290, 256, 344)
        step = LocateKneed("radiograph", Told(joint))
        info = {"spacing_mm": (1.0, 1.0), "laterality": "R", "warnings": []}
        done = step({"radiograph": torch.from_numpy(picture)[None], "radiograph_info": info})
        assert done["box"] == crop_of(joint) and done["radiograph_info"]["spacing_mm"] is None
        assert "cannot be right" in done["radiograph_info"]["warnings"][0]
        assert "pixel spacing unknown: taken as 0.31" in done["radiograph_info"]["warnings"][-1]

    def test_a_spacing_that_is_refused_is_not_used_with_a_given_box_either(self):
        """Of a picture in which no joint tells another one."""
        info = {"spacing_mm": (0.05, 0.05), "laterality": "R", "warnings": []}
        picture = torch.from_numpy(blank(400, 400))[None]
        item = {"radiograph": picture, "radiograph_info": info, "box": (100, 100, 300, 300)}
        info = LocateKneed("radiograph", Told())(item)["radiograph_info"]
        assert info["spacing_mm"] is None and "taken as unknown" in info["warnings"][0]

    def test_side_of_an_item_is_that_of_its_picture(self, monkeypatch):
        film, both = blank(400, 560), Told(square(200, 140, 120), square(200, 420, 120))
        monkeypatch.setattr(KneeDetector, "shipped", lambda: both)
        read = self.read(film, both)["radiograph_info"]
        assert side_of({"radiograph": film, "laterality": "auto"}) == read["laterality"] == "R"
        assert side_of({"radiograph": film, "laterality": "L"}) is Laterality.LEFT
        assert side_of({"radiograph": film, "box": (0, 0, 90, 90)}) is None
        assert side_of({"mri": "knee.nii.gz"}) is None

    def test_stranger_is_read_as_without_a_detector_and_warned_of(self):
        picture = blank(300, 420)
        plain = radiograph_transforms(64)({"radiograph": picture})
        located = self.read(picture, Told())
        assert torch.equal(plain["radiograph"], located["radiograph"])
        assert NO_KNEE in located["radiograph_info"]["warnings"]


class TestBoxFile:
    def write(self, folder, text):
        (folder / "boxes.csv").write_text(text)
        (folder / "a.png").touch()
        return folder / "boxes.csv"

    @pytest.mark.parametrize(
        "text",
        [
            "image,side,top,left,bottom,right\na.png,1,10,20,50,60\n",
            "Filename;Laterality;xmin;ymin;xmax;ymax\na;R;20;10;60;50\n",
            "file,side,x,y,w,h,reader\na.png,right,20,10,40,40,me\n",
        ],
    )
    def test_columns(self, tmp_path, text):
        boxes = read_boxes(self.write(tmp_path, text))
        assert boxes == {tmp_path / "a.png": [(Laterality.RIGHT, (10, 20, 50, 60))]}

    @pytest.mark.parametrize(
        ("first", "separator", "encoding"),
        [("sep=;\r\n", ";", "utf-8-sig"), ("", "\t", "utf-16"), ("", ";", "cp1252")],
    )
    def test_of_a_spreadsheet(self, tmp_path, first, separator, encoding):
        path = self.write(tmp_path, "")
        rows = ["image", "reader", "side", *["top", "left", "bottom", "right"]]
        rows = [rows, ["a.png", "M\u00fcller", "1.0", "10,5", "20", "50,5", "60"]]
        text = first + "\r\n".join([*map(separator.join, rows), separator * 6, ""])
        path.write_bytes(text.encode(encoding))
        assert read_boxes(path) == {tmp_path / "a.png": [(Laterality.RIGHT, (10.5, 20, 50.5, 60))]}

    def test_a_name_whose_letters_are_guessed_is_doubted(self, tmp_path):
        text = "image;x1;y1;x2;y2\n\u043a\u043e\u043b\u0435\u043d\u043e;0;0;99;99\n"
        for encoding, doubted in (("cp1251", True), ("utf-8", False)):
            path = self.write(tmp_path, "")
            path.write_bytes(text.encode(encoding))
            with pytest.raises(DatalistError, match="no single picture") as refusal:
                read_boxes(path)
            assert ("CSV UTF-8" in str(refusal.value)) is doubted

    def test_a_film_is_known_by_its_barcode_where_a_file_is_named_too(self, tmp_path):
        head = "file,barcode,side,top,left,bottom,right\n"
        path = self.write(tmp_path, f"{head}7,16600000456,R,10,20,110,120\n")
        assert list(read_drawn_boxes(path)) == [("016600000456", Laterality.RIGHT)]
        with pytest.raises(DatalistError, match="line 2: give the radiograph's barcode"):
            read_drawn_boxes(self.write(tmp_path, f"{head}7,,R,10,20,110,120\n"))

    def test_box_is_left_as_it_was_drawn(self, tmp_path):
        path = self.write(tmp_path, "image,x1,y1,x2,y2\na.png,0,0,10,20\n")
        assert read_boxes(path)[tmp_path / "a.png"] == [(None, (0, 0, 20, 10))]

    def test_a_path_without_its_extension_is_that_of_its_folder(self, tmp_path):
        for name in ("1.png", "L/1.png", "R/1.png", "L/[2].png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        path = self.write(tmp_path, "image,x1,y1,x2,y2\nL/1,0,0,99,99\nL/[2],0,0,99,99\n")
        assert list(read_boxes(path)) == [tmp_path / "L" / "1.png", tmp_path / "L" / "[2].png"]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("image,top\na.png,1\n", "line 2.*no box"),
            ("image,x1,y1,x2,y2\nb.png,0,0,99,99\n", "line 2.*no single picture"),
            ("image,x1,y1,x2,y2\na.png,5,0,1,1\n", "line 2.*empty"),
            ("image;x1;y1;x2;y2\na.png;1,450;2,400;2,150;3,100\n", "line 2.*thousands sep"),
            ("image;x1;y1;x2;y2\na.png;2,400;250;3,100;950\n", "line 2.*thousands sep"),
            ("image;x;y;w;h\na.png;2,400;1,450;700;700\n", "line 2.*thousands sep"),
            ("image,x1,y1,x2,y2\na.png,?,0,1,1\n", "line 2"),
            ("image,x1,y1,x2,y2\na.png,0,0,inf,1\n", "line 2.*not four numbers"),
            ("image,x,y,w,h\na.png,0,0,1e300,1\n", "line 2.*not four numbers"),
            (f'image,x1,y1,x2,y2\n"{"a" * 200_000}",0,0,1,1\n', "boxes.csv: .*field larger"),
            ("image,x1,y1,x2,y2\n", "no line"),
        ],
    )
    def test_faults_name_the_line(self, tmp_path, text, words):
        with pytest.raises(DatalistError, match=words):
            read_boxes(self.write(tmp_path, text))


def leg(seed=0):
    """A shadow of the right size with a bone in it, without the seconds that painting takes."""
    rows, columns = 640, 400
    x = (torch.arange(columns) - columns / 2) * SHADOW_MM
    z = (rows / 2 - torch.arange(rows))[:, None] * SHADOW_MM
    soft = 2.4 * (1 - (x / 62) ** 2).clamp_min(0).sqrt().expand(rows, -1)
    wide = 17 + 20 * torch.exp(-((z / 30) ** 2))
    bone = 0.9 * torch.sigmoid((wide - x.abs()) / 2) * (z.abs() > 2)
    return Shadow(soft.clone(), bone, 20 * bone, 77.0, seed)


class TestLegs:
    @pytest.fixture(autouse=True)
    def painted(self, monkeypatch):
        layer = torch.zeros(4, 4)
        monkeypatch.setattr(legs, "shadow_of", lambda s: Shadow(layer, layer, layer, 70.0, s))

    def test_are_resumed_and_extended(self, tmp_path):
        messages = []
        legs.write_legs(tmp_path, 2, seed=77)
        legs.write_legs(tmp_path, 3, seed=77, progress=lambda *done: messages.append(done))
        assert messages == [(2, 3), (3, 3)]
        assert [s.seed for s in legs.read_legs(tmp_path)] == [case_seed(77, i) for i in range(3)]

    def test_of_another_seed_are_refused(self, tmp_path):
        legs.write_legs(tmp_path, 2, seed=77)
        with pytest.raises(DatalistError, match=r"leg-000000.*another seed than 78") as refused:
            legs.write_legs(tmp_path, 2, seed=78)
        assert refused.value.option == "legs_seed"

    def test_that_are_damaged_are_named(self, tmp_path):
        legs.write_legs(tmp_path, 1, seed=77)
        (tmp_path / "leg-000000.npz").write_bytes(b"no leg")
        with pytest.raises(DatalistError, match=r"leg-000000.*remove it"):
            legs.write_legs(tmp_path, 1, seed=77)

    def test_a_film_needs_two(self):
        with pytest.raises(InputError, match="from two") as refused:
            draw_film([leg()], 5, 0)
        assert refused.value.option == "legs 2"


class TestFilm:
    def layout(self, **changes):
        joints = {"R": (5.0, -80.0), "L": (-5.0, 80.0)}
        return Layout((300.0, 400.0), 1.0, joints, {"R": 0.0, "L": 0.0}, **changes)

    def test_joints_lie_where_the_layout_has_them(self):
        film = take_film(leg(), leg(1), 3, self.layout())
        assert film.pixels.shape == (300, 400) and film.pixels.dtype == np.uint16
        top, left, bottom, right = film.joints["R"]
        assert ((top + bottom) / 2, (left + right) / 2) == (155, 120)
        assert bottom - top == right - left == pytest.approx(1.4 * 77)
        assert film.joints["L"][1] > right

    def test_same_seed_same_film(self):
        a, b = (take_film(leg(), leg(1), 3) for _ in range(2))
        assert np.array_equal(a.pixels, b.pixels) and a.joints == b.joints

    def test_left_leg_is_mirrored(self):
        lopsided = leg()
        lopsided.bone[:, 200:] = 0  # lateral half only: image left of a right knee
        film = take_film(lopsided, lopsided, 3, self.layout(frame=False))
        row = film.pixels[20].astype(float)
        assert row[105:118].mean() > row[122:135].mean()
        assert row[282:295].mean() > row[265:278].mean()

    def test_drawn_layouts_keep_the_joints_on_the_film(self):
        for seed in range(60):
            for sides in ("RL", "R", "L"):
                layout = sample_layout(np.random.default_rng(seed), sides)
                for down, across in layout.joints.values():
                    assert abs(down) < layout.size_mm[0] / 2 - 30
                    assert abs(across) < layout.size_mm[1] / 2 - 30

    def test_letters_are_read(self):
        markers = (("R", -110.0, -165.0, 18.0, 4.0), ("L", -110.0, 165.0, 18.0, 0.0))
        layout = self.layout(frame=False, markers=markers)
        read = read_markers(take_film(leg(), leg(1), 4, layout).pixels.astype(np.float32))
        assert {(m.side, m.column < 200) for m in read} == {("R", True), ("L", False)}

    def test_letter_of_a_mirrored_film_is_not_read(self):
        layout = self.layout(frame=False, markers=(("R", -110.0, -165.0, 18.0, 4.0),))
        film = take_film(leg(), leg(1), 4, layout).pixels.astype(np.float32)
        assert len(read_markers(film)) == 1
        assert read_markers(np.ascontiguousarray(film[:, ::-1])) == []


class TestCrops:
    def test_are_tight_and_a_function_of_seed_and_index(self):
        shares = []
        for index in range(12):
            picture, (joint,) = draw_crop([leg()], 1, index)
            again, _ = draw_crop([leg()], 1, index)
            assert np.array_equal(picture, again) and picture.dtype == np.uint8
            shares.append(picture.shape[1] / (joint[3] - joint[1]))
            row, column = (joint[0] + joint[2]) / 2, (joint[1] + joint[3]) / 2
            assert 0.2 < row / picture.shape[0] < 0.8 and 0.2 < column / picture.shape[1] < 0.8
        assert 0.6 < min(shares) < 0.9 and 1.1 < max(shares) < 1.4
        with pytest.raises(InputError, match="no painted leg") as refused:
            draw_crop([], 1, 0)
        assert refused.value.option == "legs 2"

    def test_processing_moves_nothing(self):
        """A step stays where it is, whatever is done to its contrast."""
        picture = np.full((120, 100), 1000, np.uint16)
        picture[:, 40:] = 3000
        for seed in range(25):
            done = processed(picture, np.random.default_rng(seed))
            assert done.shape == picture.shape and done.dtype == np.uint8
            jump = np.abs(np.diff(done.astype(float).mean(0)))
            assert abs(int(jump.argmax()) - 39) <= 3

    def test_are_part_of_the_corpus(self, tmp_path):
        path = write_films(tmp_path / "films.npz", [leg(), leg(1)], 1, 2, seed=3, crops=3)
        corpus = FilmCorpus.load(path)
        assert len(corpus) == 6
        assert [len(corpus[i][1]) for i in range(6)] == [2, 1, 1, 1, 0, 0]
        picture, joints = draw_crop([leg(), leg(1)], 3, 0)
        factor = 384 / max(picture.shape)
        assert corpus[1][1][0] == pytest.approx(np.array(joints[0]) * factor, abs=1e-2)

    def test_of_drawn_boxes_have_square_pixels_as_the_detector_sees_them(self, tmp_path):
        pixels = np.random.default_rng(0).integers(900, 1600, (400, 300)).astype(np.uint16)
        film = write_dicom(tmp_path / "film", pixels, ImagerPixelSpacing=[0.5, 1.0])
        boxes = {film: [(None, (100, 50, 300, 150))]}
        path = write_films(tmp_path / "films.npz", [], 0, 0, boxes=boxes)
        picture, joints = FilmCorpus.load(path)[0]
        assert picture.shape == (256, 384)  # 200 x 300 mm
        assert joints.tolist() == [[64, 64, 192, 192]]

    def test_score_counts_the_doubted_and_measures_the_size(self):
        legs = [leg(), leg(1)]
        truth = [(draw_crop(legs, 4, index)[1][0]) for index in range(4)]

        class Half:
            """Finds every second joint, a tenth too large."""

            def locate(self, picture):
                top, left, bottom, right = joint = truth.pop(0)
                row, column = (top + bottom) / 2, (left + right) / 2
                seen = [(square(row, column, 1.1 * (joint[2] - joint[0])), 0.9)]
                return decide(seen if len(truth) % 2 else [], picture, None)

        scores = score_crops(Half(), legs, 4, 4)
        assert (scores["crops"], scores["doubted"], scores["missed"]) == (4, 2, 2)
        assert scores["size_bias"] == pytest.approx(0.1, abs=1e-3)


class TestLearning:
    def corpus(self):
        pictures = np.zeros((3, 384, 384), np.uint8)
        film, factor = shrunk(take_film(leg(), leg(1), 1).pixels)
        pictures[:2, : film.shape[0], : film.shape[1]] = film
        pictures[2] = np.random.default_rng(0).integers(0, 255, (384, 384))
        joints = np.full((3, 2, 4), np.nan, np.float32)
        boxes = np.array(list(take_film(leg(), leg(1), 1).joints.values())) * factor
        joints[0] = joints[1] = boxes
        return FilmCorpus(pictures, np.array([film.shape, film.shape, (384, 384)]), joints)

    def test_frame_and_back(self):
        picture = torch.rand(300, 500)
        window = (150.0, 100.0, 400.0)
        frame = frame_of(picture, window)
        assert frame.shape == (1, FRAME, FRAME) and 0 <= frame.min() < frame.max() <= 1
        assert to_picture((0, 0, FRAME, FRAME), window) == (-50, -100, 350, 300)
        assert frame[0, :30].abs().max() == 0 and frame[0, :, :60].abs().max() == 0

    def test_boxes_follow_the_picture(self):
        """A bright square stays within its box, whatever happens to the picture."""
        picture = np.full((300, 384), 20, np.uint8)
        picture[100:180, 150:230] = 250
        hits = 0
        for seed in range(30):
            rng = np.random.default_rng(seed)
            frame, boxes = augmented(picture, np.array([[100, 150, 180, 230]], np.float32), rng)
            assert frame.shape == (1, FRAME, FRAME) and len(boxes) <= 1
            if len(boxes):
                left, top, right, bottom = boxes[0].round().long().tolist()
                inside = frame[0, top:bottom, left:right]
                middle = frame[
                    0, (3 * top + bottom) // 4 : (top + 3 * bottom) // 4,
                    (3 * left + right) // 4 : (left + 3 * right) // 4,
                ]  # fmt: skip
                assert inside.numel() > 100
                hits += abs(float(middle.median()) - float(frame[0].median())) > 0.2
        assert hits > 15

    def test_batches_are_a_function_of_seed_and_step(self):
        a, b = (FilmBatches(self.corpus(), 4, seed=1)[7] for _ in range(2))
        assert torch.equal(a["image"], b["image"])
        assert not torch.equal(a["image"], FilmBatches(self.corpus(), 4, seed=1)[8]["image"])

    def test_frames_without_a_knee_teach(self):
        torch.manual_seed(0)
        stage = DetectorStage(TrainableKneeSSD(0.35)).train()
        batch = {"image": torch.rand(2, 1, FRAME, FRAME), "boxes": torch.full((2, 2, 4), np.nan)}
        losses = stage(batch)
        assert losses["knee"] > 0 and losses["offset"] == losses["iou"] == 0

    def test_loss_falls(self):
        torch.manual_seed(0)
        stage = DetectorStage(TrainableKneeSSD(0.35)).train()
        optimizer = torch.optim.AdamW(stage.parameters(), 2e-3)
        batch = FilmBatches(self.corpus(), 4, seed=2)[0]
        losses = []
        for _ in range(8):
            optimizer.zero_grad()
            loss = stage(batch)["loss"]
            loss.backward()
            optimizer.step()
            losses.append(float(loss))
        assert losses[-1] < 0.8 * losses[0]
