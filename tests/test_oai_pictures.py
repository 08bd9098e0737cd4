"""Where a knee is on a film, and how that is stated for each knee."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from dicom_samples import bilateral_film, write_dicom

from xr2mri_core.errors import RadiographError
from xr2mri_core.geometry import Laterality
from xr2mri_core.localization import KneeDetector
from xr2mri_core.localization.decision import decide
from xr2mri_core.oai.index import _doubts
from xr2mri_core.oai.pictures import (
    DETECTED,
    DRAWN,
    HALF,
    MIDDLE,
    MIRRORED,
    Drawn,
    detected,
    read_knee,
)

R, L = Laterality.RIGHT, Laterality.LEFT
FILM = np.random.default_rng(0).random((300, 600)).astype(np.float32)
RIGHT, LEFT = (100.0, 100.0, 200.0, 200.0), (100.0, 400.0, 200.0, 500.0)


@pytest.mark.parametrize(
    ("seen", "how", "warned"),
    [
        ([(RIGHT, 0.9), (LEFT, 0.9)], {R: DETECTED, L: DETECTED}, {R: "", L: ""}),
        ([(RIGHT, 0.9)], {R: DETECTED, L: MIRRORED}, {R: "", L: "mirror image"}),
        ([(LEFT, 0.9)], {R: MIRRORED, L: DETECTED}, {R: "mirror image", L: ""}),
        ([(RIGHT, 0.9), (LEFT, 0.3)], {R: DETECTED, L: DETECTED}, {R: "", L: "check its box"}),
        ([(RIGHT, 0.3)], {R: HALF, L: HALF}, {R: "A half", L: "A half"}),
        ([], {R: HALF, L: HALF}, {R: "sees none", L: "sees none"}),
    ],
)
def test_each_knee_is_told_by_how_it_was_found_itself(monkeypatch, seen, how, warned):
    """A guess beside a knee that was found is a guess, and no stain on the other."""
    shipped = SimpleNamespace(locate=lambda pixels, spacing: decide(seen, pixels, spacing))
    monkeypatch.setattr(KneeDetector, "shipped", lambda: shipped)
    for side in Laterality:
        found = detected(FILM, None, side, True)
        assert found.how == how[side]
        assert warned[side] in found.warning and bool(found.warning) == bool(warned[side])
        assert ((found.box[1] + found.box[3]) / 2 < 300) == (side is R)


def test_every_guess_is_counted_below_the_flow():
    ways = [DETECTED, MIRRORED, HALF, HALF, MIDDLE, DRAWN]
    text = _doubts([SimpleNamespace(located=how) for how in ways])
    assert "4 of 6 knees were not found" in text
    assert f" 1 {MIRRORED}\n" in text and f" 2 {HALF}\n" in text
    assert _doubts([SimpleNamespace(located=how) for how in (DETECTED, DRAWN)]) == ""


# --- how a film lies ------------------------------------------------------------------------------


def film(path, pixels, orientation, **tags):
    return [write_dicom(path, pixels, PatientOrientation=orientation, **tags)]


@pytest.mark.parametrize("locate", [None, Drawn((200.0, 90.0, 320.0, 210.0))])
def test_a_mirrored_film_gives_the_same_knees(tmp_path, locate):
    """The header turns it; boxes, drawn and reported, are in pixels of the file."""
    upright = np.ascontiguousarray(bilateral_film() + np.arange(600, dtype=np.uint16)[:, None])
    plain = film(tmp_path / "plain", upright, ["L", "F"])
    mirrored = film(tmp_path / "mirrored", upright[:, ::-1].copy(), ["R", "F"])
    here = {} if locate is None else {"locate": locate}
    there = {} if locate is None else {"locate": Drawn((200.0, 390.0, 320.0, 510.0))}
    for side in (R, L) if locate is None else (R,):
        knee, same = read_knee(plain, side, **here), read_knee(mirrored, side, **there)
        assert np.array_equal(knee.pixels, same.pixels)
        top, left, bottom, right = knee.box
        assert same.box == (top, 600 - right, bottom, 600 - left)
        assert knee.notes == () and "PatientOrientation" in same.notes[0]


@pytest.mark.parametrize(
    ("letter", "orientation", "flipped"),
    [
        ("R", ["R", "F"], False),  # the header mirrors what a letter says is upright
        ("L", ["L", "F"], False),  # a letter of the other side
        ("L", [], False),
        ("L", ["R", "F"], True),
    ],
)
def test_a_film_whose_letter_contradicts_its_header_is_left_out(
    tmp_path, letter, orientation, flipped
):
    pixels = bilateral_film(letter)
    pixels = pixels[:, ::-1].copy() if flipped else pixels
    with pytest.raises(RadiographError, match=r"orientation conflict: .*letter"):
        read_knee(film(tmp_path / "x", pixels, orientation), R)


def test_a_film_whose_letter_is_read_in_a_mirror_alone_is_left_out(tmp_path):
    for both in (True, False):
        mirrored = film(tmp_path / f"{both}", bilateral_film("R")[:, ::-1].copy(), [])
        with pytest.raises(RadiographError, match=r"orientation conflict: .* in a mirror alone"):
            read_knee(mirrored, R, both=both)


def test_a_film_of_one_knee_whose_letter_or_header_says_the_other_is_left_out(tmp_path):
    files = film(tmp_path / "x", bilateral_film("R"), ["L", "F"])
    assert read_knee(files, R, both=False).notes == ()
    with pytest.raises(RadiographError, match=r"laterality conflict: .* says R, the laterality L"):
        read_knee(files, L, both=False)
    sides = {"ImageLaterality": "R", "Laterality": "L"}
    with pytest.raises(RadiographError, match="laterality conflict: its file says L, the list R"):
        read_knee(film(tmp_path / "y", bilateral_film("R"), [], **sides), R, both=False)


def test_what_a_header_says_against_itself_goes_into_the_notes(tmp_path):
    knee = read_knee(film(tmp_path / "x", bilateral_film(), ["A", "F"], BodyPartExamined="HAND"), R)
    assert len(knee.notes) == 2 and "'HAND'" in knee.notes[0]


@pytest.mark.parametrize("stated", ["spacing", "aspect"])
@pytest.mark.parametrize("ratio", [(2, 1), (1, 2)])
def test_a_drawn_box_cuts_the_same_place_whatever_the_pixels(tmp_path, stated, ratio):
    pixels = np.random.default_rng(0).integers(900, 1600, (600, 800)).astype(np.uint16)
    tags = {"PatientOrientation": ["L", "F"]}
    places = []
    for name, (rows, columns) in (("a", (1, 1)), ("b", ratio)):
        spacing = {"ImagerPixelSpacing": [0.5 * rows, 0.5 * columns]}
        if stated == "aspect":
            spacing = {"PixelAspectRatio": [rows, columns]}
        film = write_dicom(tmp_path / name, pixels[::rows, ::columns], **spacing, **tags)
        drawn = Drawn((200 / rows, 100 / columns, 360 / rows, 260 / columns))
        top, left, bottom, right = read_knee([film], R, locate=drawn).box
        places.append((top * rows, left * columns, bottom * rows, right * columns))
    assert places[1] == pytest.approx(places[0], abs=2)


@pytest.mark.parametrize("spacing", [(0.4, 0.2), (0.2, 0.4)])
def test_pixels_of_a_knee_are_made_square(tmp_path, spacing):
    """They were trained on squeezed: what is saved states no spacing."""
    square = np.add.outer(np.arange(1200.0), 2 * np.arange(1600.0))  # 0.2 mm
    stored = square[:: round(spacing[0] / 0.2), :: round(spacing[1] / 0.2)]
    tags = {"PatientOrientation": ["L", "F"], "BitsStored": 16, "HighBit": 15}
    knees = []
    for name, pixels, step in (("a", square, (0.2, 0.2)), ("b", stored, spacing)):
        film = write_dicom(
            tmp_path / name, pixels.astype(np.uint16), ImagerPixelSpacing=list(step), **tags
        )
        knees.append(read_knee([film], Laterality.RIGHT))
    whole, film = knees
    assert film.pixels.shape == whole.pixels.shape == (700, 700)
    assert film.spacing_mm == whole.spacing_mm == (0.2, 0.2)
    assert np.abs(film.pixels[2:-2, 2:-2].astype(int) - whole.pixels[2:-2, 2:-2]).max() <= 4
