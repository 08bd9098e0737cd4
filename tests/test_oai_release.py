"""A release, in both forms, becomes a datalist; what must not be used is reported, never used."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from oai_samples import MATRIX, cheap_knees, cheap_release, copied, series_of
from PIL import Image

from xr2mri_core.cli import main
from xr2mri_core.datalist import SPLITS, load_datalist, splits_of
from xr2mri_core.errors import (
    DatalistError,
    InputError,
    RadiographError,
    ReleaseError,
    VolumeError,
)
from xr2mri_core.geometry import Laterality
from xr2mri_core.oai import convert
from xr2mri_core.oai import index as index_module
from xr2mri_core.oai.index import Settings, index_release
from xr2mri_core.oai.pictures import Located, middle_of_half, read_knee
from xr2mri_core.oai.release import read_release
from xr2mri_core.oai.sequences import sequence_named
from xr2mri_core.oai.series_files import opened
from xr2mri_core.oai.values import barcode
from xr2mri_core.oai.volumes import read_series
from xr2mri_core.phantom import oai_release
from xr2mri_core.transforms.mri import mri_transforms

R, L = Laterality.RIGHT, Laterality.LEFT
FLASH = sequence_named("COR_T1_3D_FLASH")
PEOPLE = ["9000000", "9000101", "9000202", "9000303"]
SPACING = 0.8


@pytest.fixture(scope="session")
def release(tmp_path_factory) -> Path:
    """Four participants of cheap knees, the first of them at two visits."""
    return cheap_release(tmp_path_factory.mktemp("release"), 4, spacing_mm=SPACING)


def index(release: Path, out: Path, form: str = "folders", **settings) -> str:
    root = release / form
    tables = root / "tables" if form == "folders" else root
    return index_release([root], [tables], out, Settings(**settings), locate=middle_of_half)


@pytest.fixture(scope="session")
def indexed(release, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("indexed")
    index(release, out)
    return out


def excluded(out: Path) -> dict[str, tuple[str, str, str]]:
    with (out / "excluded.csv").open() as stream:
        return {
            f"{row['participant']}-{row['visit']}-{row['side']}": (
                row["step"],
                row["reason"],
                row["detail"],
            )
            for row in csv.DictReader(stream)
        }


def items(out: Path) -> dict[str, dict]:
    return {item["case"]: item for item in load_datalist(out / "datalist.json")}


def truth(release: Path) -> dict:
    return json.loads((release / "truth.json").read_text())


# --- the whole way --------------------------------------------------------------------------------


def test_every_right_knee_with_an_mri_becomes_a_pair(release, indexed):
    found = items(indexed)
    assert sorted(found) == sorted([*(f"{person}-V00-R" for person in PEOPLE), "9000000-V01-R"])
    for case, item in found.items():
        grades = truth(release)[case[:7]]["grades"]["R"]
        assert item["laterality"] == "R" and item["participant"] == case[:7]
        assert item["features"]["V00XRKL"] == grades["V00XRKL"]
        assert all(grades[name] == grade for name, grade in item["features"].items())
        assert item["sex"] in "FM" and 45 <= item["age"] <= 81 and item["site"] in "ABCD"
        assert item["readings"]["missing"] == "paper" and "window" not in item
    assert found["9000000-V01-R"]["age"] == found["9000000-V00-R"]["age"] + 1
    assert found["9000202-V00-R"]["readings"]["project"] == "37"
    assert set(excluded(indexed).values()) == {("mri", "no MRI of the sequence", "")}


def test_both_forms_of_distribution_give_the_same_pairs(release, indexed, tmp_path):
    index(release, tmp_path, "nda")
    ours, theirs = items(indexed), items(tmp_path)
    assert ours.keys() == theirs.keys()
    for case, item in ours.items():
        other = theirs[case]
        assert item["features"] == other["features"] and item["split"] == other["split"]
        assert {item[key] == other[key] for key in ("sex", "age", "bmi", "site")} == {True}
        for key in ("mri", "radiograph"):
            assert Path(item[key]).read_bytes() == Path(other[key]).read_bytes()


def test_the_volume_is_the_scan_whatever_the_files_are_called(release, indexed):
    for number, person in enumerate(PEOPLE):
        knees = cheap_knees(oai_release.case_seed(3, 2 * number))
        image = nib.load(items(indexed)[f"{person}-V00-R"]["mri"])
        assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
        np.testing.assert_array_equal(np.asarray(image.dataobj), knees.volume)
        moved = knees.affine.copy()
        moved[0, 3] += 85
        np.testing.assert_allclose(image.affine, moved, atol=1e-4)
    names = sorted(p.name for p in series_of(release, f"{FLASH.name}_RIGHT", "9000202").iterdir())
    first = [
        pydicom.dcmread(series_of(release, f"{FLASH.name}_RIGHT", "9000202") / n) for n in names
    ]
    assert np.abs(np.diff([float(f.ImagePositionPatient[1]) for f in first])).max() > 2


def test_the_picture_is_the_knee_of_the_film_with_bone_bright(release, indexed):
    """MONOCHROME1 and 2, twelve and ten bits, with and without a pixel size."""
    kinds = set()
    for person in PEOPLE:
        header = pydicom.dcmread(
            series_of(release, "Bilateral PA Fixed Flexion Knee", person) / "001"
        )
        kinds.add((header.PhotometricInterpretation, header.BitsStored, "PixelSpacing" in header))
        picture = np.asarray(Image.open(items(indexed)[f"{person}-V00-R"]["radiograph"]))
        assert picture.dtype == np.uint16 and picture.max() < 2**header.BitsStored
        rows, columns = picture.shape
        assert rows == columns
        if "PixelSpacing" in header:
            assert rows * float(header.PixelSpacing[0]) == pytest.approx(140, abs=1)
        box = json.loads((indexed / "records" / f"{person}-V00-R.json").read_text())["box"]
        film = header.pixel_array.astype(int)
        film = (
            film if header.PhotometricInterpretation[-1] == "2" else 2**header.BitsStored - 1 - film
        )
        top, left, bottom, right = truth(release)[person]["joints"]["V00"]["R"]
        joint = film[int(top) : int(bottom), int(left) : int(right)]
        above, width = joint[: len(joint) // 3], joint.shape[1]
        bone, flesh = above[:, int(0.4 * width) : int(0.6 * width)], above[:, : width // 10]
        assert np.median(bone) > 1.1 * np.median(flesh)
        inside = np.s_[max(box[0], 0) : box[2], max(box[1], 0) : box[3]]
        offset = max(-box[0], 0), max(-box[1], 0)
        ours = picture[offset[0] :, offset[1] :][: film[inside].shape[0], : film[inside].shape[1]]
        np.testing.assert_array_equal(ours, film[inside])
    assert kinds == {
        ("MONOCHROME2", 12, True),
        ("MONOCHROME1", 10, False),
        ("MONOCHROME1", 12, True),
    }


def test_of_rescans_the_last_counts(release, indexed):
    scans = sorted((release / "folders/00m/0.C.2/9000000/20040914").iterdir())
    flash = [
        folder.name
        for folder in scans
        if pydicom.dcmread(next(folder.iterdir()), stop_before_pixels=True).SeriesDescription
        == "COR_T1_3D_FLASH_RIGHT"
    ]
    assert len(flash) == 2
    notes = items(indexed)["9000000-V00-R"]["notes"]
    assert f"MRI {flash[-1]} is the last of 2" in notes
    record = json.loads((indexed / "index.json").read_text())
    assert (
        record["repeated_series"] == 2 and record["notes"] and "repeated line" in record["notes"][0]
    )


def test_the_same_release_gives_the_same_bytes_and_nothing_is_made_twice(
    release, indexed, tmp_path, monkeypatch
):
    index(release, tmp_path)
    for name in ("datalist.json", "excluded.csv", "flow.txt", "grey_values.csv"):
        assert (tmp_path / name).read_bytes() == (indexed / name).read_bytes()

    made = []
    original = convert._convert_one
    monkeypatch.setattr(convert, "_convert_one", lambda job: made.append(job) or original(job))
    index(release, tmp_path)
    assert made == []
    content = json.loads((tmp_path / "datalist.json").read_text())
    content["training"], content["test"] = content["test"], content["training"]  # as if drawn so
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    index(release, tmp_path)
    again = json.loads((tmp_path / "datalist.json").read_text())
    assert all(again[split] == content[split] for split in SPLITS)
    (tmp_path / "mri" / "9000101-V00-R.nii.gz").unlink()
    index(release, tmp_path)
    assert [job.candidate.case for job in made] == ["9000101-V00-R"]


@pytest.mark.slow  # each process imports torch
def test_processes_make_the_same_as_one(release, indexed, tmp_path):
    root = release / "folders"
    index_release([root / "00m"], [root / "tables"], tmp_path, Settings(), 2, middle_of_half)
    for file in (tmp_path / "mri").iterdir():
        assert file.read_bytes() == (indexed / "mri" / file.name).read_bytes()
    assert len(list((tmp_path / "mri").iterdir())) == 4


def test_a_broken_rescan_does_not_cost_the_knee(release, tmp_path):
    spoilt = copied(release, tmp_path / "release")
    last = series_of(spoilt, "COR_T1_3D_FLASH_RIGHT", "9000000")
    first = sorted(
        folder.name
        for folder in last.parent.iterdir()
        if pydicom.dcmread(next(folder.iterdir()), stop_before_pixels=True).SeriesDescription
        == "COR_T1_3D_FLASH_RIGHT"
    )[0]
    shutil.rmtree(last.with_name(first))  # was broken off after 32 slices
    shutil.copytree(last, last.with_name(first))
    sorted(last.iterdir())[7].unlink()
    index(spoilt, tmp_path / "out")
    notes = items(tmp_path / "out")["9000000-V00-R"]["notes"]
    assert any(note.startswith(f"MRI {first} was taken, for {last.name} has") for note in notes)

    shutil.rmtree(last)
    index(spoilt, tmp_path / "gone")
    notes = items(tmp_path / "gone")["9000000-V00-R"]["notes"]
    assert f"MRI {first} is the last on the disk of 2" in notes


def test_drawn_boxes_win_and_name_their_knees(release, indexed, tmp_path):
    listed = read_release([release / "folders"], [release / "folders" / "tables"], ("V00",))
    case, before = next(iter(items(indexed).items()))
    person, visit, side = case.split("-")
    film = next(
        image.barcode
        for image in listed.series
        if (image.participant, image.visit) == (person, visit) and image.barcode
    )
    top, left, bottom, right = 40, 30, 120, 100
    table = tmp_path / "boxes.csv"
    head = "barcode,side,top,left,bottom,right\n"
    line = f"{int(film)},{side},{top},{left},{bottom},{right}\n"  # leading zeros lost, as happens
    table.write_text(head + line + f"016699999999,{side},1,1,99,99\n")
    out = tmp_path / "out"
    root = release / "folders"

    def run(boxes):
        return index_release(
            [root], [root / "tables"], out, Settings(), locate=middle_of_half, boxes=boxes
        )

    said = run(table)
    assert f"drawn boxes of no knee that is taken, 1: 016699999999 {side}\n" in said
    assert json.loads((out / "index.json").read_text())["unused_boxes"] == [["016699999999", side]]
    found = items(out)
    assert found[case]["located"] == "drawn box"
    assert {item["located"] for name, item in found.items() if name != case} == {
        item["located"] for name, item in items(indexed).items() if name != case
    }
    record = json.loads((out / "records" / f"{case}.json").read_text())
    box = record["box"]
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    assert middle[1] == pytest.approx((left + right) / 2, abs=1)
    assert 80 - 0.2 * 80 < middle[0] < 80  # a little above the joint space
    assert before["located"] != "drawn box"

    for text, message in (
        (head + f"016699999999,{side},1,1,99,99\n", "none of its barcodes"),
        (head + line + line, "line 3: a second box"),
        (head + f"{film},,1,1,99,99\n", "line 2: give the radiograph's barcode and the side"),
        (head + "knee.png,R,1,1,99,99\n", "line 2: give the radiograph's barcode"),
    ):
        table.write_text(text)
        with pytest.raises(DatalistError, match=message):
            run(table)


def test_a_better_detector_cuts_anew(monkeypatch, tmp_path):
    from xr2mri_core.localization import detector
    from xr2mri_core.oai.pictures import described, detected

    before = described(detected)
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"better")
    monkeypatch.setattr(detector, "SHIPPED", other)
    assert described(detected) != before
    assert described(middle_of_half) == "middle_of_half"


def test_visits_can_be_chosen(release, tmp_path):
    index(release, tmp_path, visits=("12m",), ratios=(1, 0, 0))
    found = items(tmp_path)
    assert list(found) == ["9000000-V01-R"]
    kl = truth(release)["9000000"]["grades"]["R"]["V00XRJSM"]
    assert found["9000000-V01-R"]["features"]["V00XRJSM"] == kl  # read as 1.4, that is grade 1


def test_left_knees_and_other_sequences_come_with_their_own_window(release, tmp_path):
    index(release, tmp_path, sequence="COR_IW_TSE", visits=("V00",))
    found, left_out = items(tmp_path), excluded(tmp_path)
    assert found.keys() == {f"{p}-V00-{s}" for p in PEOPLE for s in "RL"} - left_out.keys()
    assert left_out == {"9000202-V00-L": ("readings", "prosthesis", "")}
    item = found["9000101-V00-L"]
    assert item["window"] == [5, 31] and item["laterality"] == "L"
    data = mri_transforms(32)({"mri": item["mri"], "laterality": "L", "window": item["window"]})
    assert data["mri"].shape == (26, 1, 32, 32) and data["depths"].shape == (26,)


def test_reformats_lose_their_reference_image(release, tmp_path):
    index(release, tmp_path, sequence="COR_MPR", visits=("V00",))
    item = items(tmp_path)["9000000-V00-R"]
    assert nib.load(item["mri"]).shape[1] == 66
    assert "1 reference image in another plane left out" in item["notes"]


def test_gaps_can_be_grade_zero_and_the_datalist_says_so(release, indexed, tmp_path):
    index(release, tmp_path, missing_as="not-expected-zero")
    paper, filled = items(indexed), items(tmp_path)
    assert {case for case, item in paper.items() if len(item["features"]) == 3} == {
        "9000000-V00-R",
        "9000000-V01-R",
        "9000303-V00-R",
    }
    for case in ("9000000-V00-R", "9000000-V01-R"):  # coded .A
        assert len(filled[case]["features"]) == 19
        assert filled[case]["readings"]["missing"] == "not-expected-zero"
    # blank, but for one incomplete workbook: nobody knows
    assert filled["9000303-V00-R"]["features"] == paper["9000303-V00-R"]["features"]
    assert "have grade 0" in json.loads((tmp_path / "datalist.json").read_text())["description"]


def test_windows_and_slice_counts_can_be_chosen(release, tmp_path):
    index(release, tmp_path, window=(25, 75), visits=("V00",))
    assert {tuple(item["window"]) for item in items(tmp_path).values()} == {(20, 60)}
    with pytest.raises(DatalistError, match="no knee"):
        index(release, tmp_path / "b", slices=(50, 60))
    assert {reason for _, reason, _ in excluded(tmp_path / "b").values()} == {
        "no MRI of the sequence",
        "number of slices",
    }


@pytest.mark.parametrize(
    "settings",
    [
        {"sequence": "T1"},
        {"window": (80, 20)},
        {"slices": (0, 3)},
        {"missing_as": "zero"},
        {"visits": ("V77",)},
    ],
)
def test_settings_that_mean_nothing_are_refused(release, tmp_path, settings):
    with pytest.raises(ReleaseError):
        index(release, tmp_path, **settings)


@pytest.mark.parametrize(
    "settings", [{"ratios": (7, 2)}, {"ratios": (0, 0, 1), "test_sites": ("B",)}]
)
def test_ratios_that_split_nothing_are_refused_at_once(settings):
    with pytest.raises(DatalistError, match="give three numbers"):
        Settings(**settings)


def test_a_slip_in_a_site_is_told_before_anything_is_converted(release, tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "convert", lambda *_: pytest.fail("converted"))
    with pytest.raises(DatalistError, match=r"\['Q'\].*come from A, B, C, D"):
        index(release, tmp_path, test_sites=("Q",))


def test_whoever_cannot_be_read_for_once_comes_back_to_the_same_split(spoiled, tmp_path):
    datalist = tmp_path / "out" / "datalist.json"
    index(spoiled, tmp_path / "out")
    first = datalist.read_bytes()
    split = splits_of(datalist)["9000303"]
    scans = series_of(spoiled, f"{FLASH.name}_RIGHT", "9000303")
    scans.rename(tmp_path / "elsewhere")
    for _ in range(2):
        index(spoiled, tmp_path / "out")
        assert json.loads(datalist.read_text())["absent"] == {"9000303": split}
    (tmp_path / "elsewhere").rename(scans)
    index(spoiled, tmp_path / "out")
    assert datalist.read_bytes() == first


@pytest.mark.parametrize("listed", ["D, E", "E, D", "e, d", " d, E, D"])
def test_clinics_that_are_held_out_are_the_same_in_any_order_and_case(listed, tmp_path):
    datalist, split = tmp_path / "datalist.json", {"training": [{"participant": "9000099"}]}
    how = f"4 knees. test: participants of site {listed}, 7:2:1, seed 0. Made by xr2mri."
    datalist.write_text(json.dumps({"description": how, **split}))
    for sites in (("D", "E"), ("E", "D"), ("e", " D", "d")):
        kept = index_module._earlier_splits(datalist, Settings(test_sites=sites))
        assert kept == {"9000099": "training"}
    for other in (Settings(test_sites=("D",)), Settings(test_sites=("D", "E"), seed=1), Settings()):
        assert index_module._earlier_splits(datalist, other) == {}


def test_whose_clinic_nobody_states_is_left_out_where_clinics_are_held_out(spoiled, tmp_path):
    """They may be of a clinic that is held out."""
    (table,) = (spoiled / "folders" / "tables").glob("Enrollees*")
    text = table.read_text()
    row = next(line for line in text.splitlines() if line.startswith("9000303"))
    table.write_text(text.replace(row, f"{row}|one cell too many"))
    index(spoiled, tmp_path / "out", test_sites=("B",))
    assert excluded(tmp_path / "out")["9000303-V00-R"][:2] == ("person", "clinic not stated")


def test_reports_are_written_where_the_split_fails_in_the_end(spoiled, tmp_path):
    """No knee of the clinic to hold out can be read."""
    path = series_of(spoiled, "Bilateral PA Fixed Flexion Knee", "9000303") / "001"
    path.write_bytes(b"nonsense")
    with pytest.raises(DatalistError, match=r"\['D'\].*come from A, B, C;"):
        index(spoiled, tmp_path / "out", test_sites=("D",))
    assert "3 knees of 3 participants" in (tmp_path / "out" / "flow.txt").read_text()
    assert excluded(tmp_path / "out")["9000303-V00-R"][0] == "picture"


def test_reports_tell_where_every_knee_went(release, indexed):
    flow = (indexed / "flow.txt").read_text()
    assert "5 of 5 knees were not found by the detector" in flow
    assert "10 knees of 4 participants" in flow and "5 no MRI of the sequence" in flow
    record = json.loads((indexed / "index.json").read_text())
    first, last = record["flow"][0], record["flow"][-1]
    lost = sum(sum(stage["left_out"].values()) for stage in record["flow"])
    assert (first["knees"], last["knees"], lost) == (10, 5, 5)
    assert record["series"]["other"] == 5  # thighs
    counts = list(csv.reader((indexed / "slice_counts.csv").open()))
    assert ["COR_T1_3D_FLASH", "80", "5"] in counts and ["COR_T1_3D_FLASH", "32", "2"] in counts
    greys = list(csv.reader((indexed / "grey_values.csv").open()))
    assert len(greys) == 6 and np.argmax([float(v) for v in greys[1][1:]]) == pytest.approx(
        15, abs=2
    )
    for name in ("flow", "slice_counts", "grey_values"):
        assert Image.open(indexed / f"{name}.png").size[0] > 400


# --- lists ----------------------------------------------------------------------------------------


def test_lists_may_lie_in_the_release_folder_and_paths_begin_anywhere(release, tmp_path):
    root = copied(release / "folders" / "00m", tmp_path / "data" / "00m")
    contents = root / "contents.csv"
    text = contents.read_text().replace("0.C.2/", "/oai/00m/0.C.2/")
    contents.unlink()
    (root / "0.C.2" / "Contents.CSV").write_text(text)
    found = read_release([root], [tmp_path])
    assert found.layout == "folders" and all(item.path for item in found.series)


def test_a_folder_that_does_not_tell_its_visit_needs_one(release, tmp_path):
    root = copied(release / "folders" / "00m", tmp_path / "mine")
    contents = root / "contents.csv"
    for name, other in (("0.C.2", "images"), ("0.E.1", "more")):
        (root / name).rename(root / other)
        contents.write_text(contents.read_text().replace(name, other))
    with pytest.raises(ReleaseError, match="visit") as refused:
        read_release([root], [tmp_path])
    assert refused.value.option == "visit"
    assert {item.visit for item in read_release([root], [tmp_path], ["V00"]).series} == {"V00"}


def test_the_second_visit_calls_the_barcode_otherwise(release):
    head = (release / "folders/12m/contents.csv").read_text().splitlines()[0]
    assert "AccessionNumber" in head and "Barcode" not in head
    found = read_release([release / "folders" / "12m"], [release])
    assert {len(item.barcode) for item in found.series} == {0, 12}


def test_every_package_of_the_nda_lists_its_own_images(release, tmp_path):
    """Films in one, scans in another; one visit in one, one in another; a third lists all again."""
    whole = read_release([release / "nda"], [release / "nda"])
    lines = (release / "nda" / "image03.txt").read_text().splitlines()
    head, rows = lines[:2], lines[2:]
    for expected in ("Bilateral", '"V00"'):
        root = tmp_path / expected.strip('"')
        parts = (
            [row for row in rows if expected in row],
            [row for row in rows if expected not in row],
        )
        packages = []
        for number, part in enumerate((*parts, rows)):
            package = root / f"package{number}"
            package.mkdir(parents=True)
            (package / "image03.txt").write_text("\n".join([*head, *part]) + "\n")
            packages.append(package)
        (packages[0] / "image03").symlink_to(release / "nda" / "image03")
        for given in (packages[:2], packages):
            found = read_release(given, [release / "folders" / "tables"])
            assert len(found.series) == len(whole.series) and found.visits == ("V00", "V01")
            assert {item.number for item in found.series} == {i.number for i in whole.series}


def test_nothing_to_read_is_refused_in_plain_words(tmp_path):
    with pytest.raises(ReleaseError, match="no such folder"):
        read_release([tmp_path / "none"], [tmp_path])
    with pytest.raises(ReleaseError, match=r"neither contents.csv nor image03.txt"):
        read_release([tmp_path], [tmp_path])


# --- one knee spoiled -----------------------------------------------------------------------------


@pytest.fixture
def spoiled(release, tmp_path) -> Path:
    """A copy of the participants' first visit that a test may spoil."""
    root = tmp_path / "spoiled"
    shutil.copytree(release / "folders" / "00m", root / "folders" / "00m")
    shutil.copytree(release / "folders" / "tables", root / "folders" / "tables")
    return root


def fate(spoiled: Path, out: Path, person: str = "9000303") -> tuple[str, str, str]:
    """Why the right knee of a participant is left out, the others being there."""
    index(spoiled, out)
    assert len(items(out)) == 3
    return excluded(out)[f"{person}-V00-R"]


def test_listed_files_that_are_not_there(spoiled, tmp_path):
    shutil.rmtree(series_of(spoiled, f"{FLASH.name}_RIGHT", "9000303"))
    assert fate(spoiled, tmp_path / "out")[:2] == ("files", "listed, but not on the disk")


def test_a_knee_without_a_radiograph(spoiled, tmp_path):
    contents = spoiled / "folders" / "00m" / "contents.csv"
    kept = [
        line
        for line in contents.read_text().splitlines()
        if not ("9000303" in line and "Bilateral" in line)
    ]
    contents.write_text("\n".join(kept))
    assert fate(spoiled, tmp_path / "out") == ("radiograph", "no radiograph", "")


def test_readings_of_another_radiograph(spoiled, tmp_path):
    contents = spoiled / "folders" / "00m" / "contents.csv"
    lines = contents.read_text().splitlines()
    row = next(i for i, line in enumerate(lines) if "9000303" in line and "Bilateral" in line)
    cells = lines[row].split(",")
    cells[3] = "16699999999"
    lines[row] = ",".join(cells)
    contents.write_text("\n".join(lines))
    step, reason, detail = fate(spoiled, tmp_path / "out")
    assert (step, reason) == ("radiograph", "another radiograph was read")
    assert "listed 016699999999" in detail


def test_a_file_that_says_it_is_another_radiograph(spoiled, tmp_path):
    change(series_of(spoiled, "Bilateral PA Fixed Flexion Knee", "9000303") / "001",
           AccessionNumber="016611111111")  # fmt: skip
    assert fate(spoiled, tmp_path / "out")[:2] == ("picture", "another radiograph")


def test_a_list_without_barcodes_hides_no_other_radiograph(spoiled, tmp_path):
    """A spreadsheet has left ``1.66E+10`` of them: the reading's own is held against the file."""
    contents = spoiled / "folders" / "00m" / "contents.csv"
    contents.write_text(re.sub(r",166\d{8},", ",1.66E+10,", contents.read_text()))
    film = series_of(spoiled, "Bilateral PA Fixed Flexion Knee", "9000303") / "001"
    change(film, AccessionNumber="016611111111")
    assert fate(spoiled, tmp_path / "out")[:2] == ("picture", "another radiograph")


def test_a_list_without_barcodes_hides_no_drawn_box(spoiled, indexed, tmp_path):
    box = json.loads((indexed / "records" / "9000303-V00-R.json").read_text())["box"]
    contents = spoiled / "folders" / "00m" / "contents.csv"
    film = next(line for line in contents.read_text().splitlines() if "9000303" in line
                and "Bilateral" in line)  # fmt: skip
    barcode = re.search(r",(166\d{8}),", film)[1]
    contents.write_text(re.sub(r",166\d{8},", ",1.66E+10,", contents.read_text()))
    table = tmp_path / "boxes.csv"
    line = ",".join(map(str, [barcode, "R", *box]))
    table.write_text(f"barcode,side,top,left,bottom,right\n{line}\n")
    root = spoiled / "folders"
    index_release([root], [root / "tables"], tmp_path / "out", Settings(), locate=middle_of_half,
                  boxes=table)  # fmt: skip
    assert items(tmp_path / "out")["9000303-V00-R"]["located"] == "drawn box"


def test_readings_that_are_missing_or_make_no_sense(spoiled, tmp_path):
    path = spoiled / "folders" / "tables" / "kxr_sq_bu00.txt"
    original = path.read_text().splitlines()
    names = original[0].split("|")

    def with_kl(value: str) -> str:
        lines = list(original)
        for number, line in enumerate(lines):
            cells = line.split("|")
            if cells[0] == "9000303" and cells[1] == "1":
                cells[names.index("V00XRKL")] = value
                lines[number] = "|".join(cells)
        path.write_text("\n".join(lines))
        return fate(spoiled, tmp_path / "out")[1]

    assert with_kl(".: Missing Form/Incomplete Workbook") == "no Kellgren-Lawrence grade"
    assert with_kl(".P") == "prosthesis"
    assert with_kl("7") == with_kl("bad") == "readings that contradict or make no sense"
    path.write_text("\n".join(line for line in original if not line.startswith("9000303")))
    assert fate(spoiled, tmp_path / "out")[1] == "no readings"


def test_a_damaged_archive_is_reported(release, tmp_path):
    root = copied(release / "nda", tmp_path / "r" / "nda")
    archive = next(
        item.path
        for item in read_release([root], [root], ["V00"]).series
        if item.participant == "9000303" and item.description == "COR_T1_3D_FLASH_RIGHT"
    )
    archive.write_bytes(archive.read_bytes()[:5000])
    index(tmp_path / "r", tmp_path / "out", "nda", visits=("V00",))
    assert excluded(tmp_path / "out")["9000303-V00-R"][:2] == ("volume", "a damaged archive")


def test_archives_cannot_write_outside_their_folder(tmp_path):
    import io
    import tarfile

    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("../../evil")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"evil"))
    with pytest.raises(VolumeError, match="damaged archive"), opened(tmp_path / "evil.tar.gz"):
        pass
    assert not list(tmp_path.parent.glob("evil"))


# --- volumes --------------------------------------------------------------------------------------


def change(path: Path, **attributes) -> None:
    """Rewrite a DICOM file with other attributes; None removes one."""
    dataset = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path, write_like_original=False)


@pytest.fixture
def flash(release, tmp_path) -> Path:
    """The files of one whole FLASH series, to spoil."""
    return copied(series_of(release, f"{FLASH.name}_RIGHT", "9000101"), tmp_path / "flash")


def read(folder: Path, sequence=FLASH, side=R, participant="9000101"):
    with opened(folder) as files:
        return read_series(files, sequence, side, participant)


def test_a_whole_series_reads(flash):
    volume = read(flash)
    assert volume.voxels.shape == (MATRIX, 80, MATRIX) and volume.voxels.dtype == np.int16
    assert volume.synthetic and volume.notes == ()
    assert len(volume.profile(1)) == 80


@pytest.mark.parametrize(
    ("change_one", "message"),
    [
        (lambda f: (f / "040").unlink(), "missing slice positions: 1 between 79"),
        (lambda f: (f / "001").unlink(), "number of slices: 79"),
        (lambda f: shutil.copy(f / "040", f / "081"), "duplicate slice positions: 1 of 81"),
        (lambda f: (f / "040").write_bytes(b"nonsense"), "a corrupt file: 040"),
        (lambda f: (f / "040").write_bytes((f / "040").read_bytes()[:900]), "a corrupt file: 040"),
        (lambda f: (f / "040").write_bytes((f / "040").read_bytes()[:-99]), "a corrupt file: 040"),
        (lambda f: change(f / "040", ImagePositionPatient=None), "a corrupt file: 040"),
        (lambda f: change(f / "040", PixelSpacing=[1, 1]), "slices of different PixelSpacing"),
        (
            lambda f: change(f / "040", ImageOrientationPatient=[0, 1, 0, 0, 0, -1]),
            "slices of different orientation",
        ),
        (lambda f: change(f / "040", SeriesInstanceUID="1.2.3"), "several series in one folder"),
        (lambda f: change(f / "001", PatientID="9009999"), "another participant"),
        (lambda f: change(f / "001", SeriesDescription="COR_IW_TSE_RIGHT"), "another sequence"),
        (
            lambda f: change(f / "001", SeriesDescription="COR_T1_3D_FLASH_LEFT"),
            "laterality conflict: its SeriesDescription says L",
        ),
        (lambda f: change(f / "001", Laterality="L"), "laterality conflict: its Laterality says L"),
    ],
)
def test_what_makes_no_regular_volume_is_refused(flash, change_one, message):
    change_one(flash)
    with pytest.raises(VolumeError, match=message):
        read(flash)


def test_a_tag_that_says_nothing_about_the_side_is_no_conflict(flash):
    change(flash / "001", Laterality="B")
    assert read(flash).voxels.shape[1] == 80


def test_a_volume_on_the_other_side_of_the_scanner_is_noted(flash):
    for path in flash.iterdir():
        position = [float(v) for v in pydicom.dcmread(path).ImagePositionPatient]
        change(path, ImagePositionPatient=[position[0] + 170, *position[1:]])
    assert "other side of the scanner's middle" in read(flash).notes[0]


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("SAG_T2_MAP_RIGHT", "another sequence"),
        ("MP_LOCATOR_RIGHT", "another sequence"),
        ("AX_T1_THIGH", "wrong orientation: slices are axial"),
    ],
)
def test_decoys_are_not_volumes_of_the_sequence(release, description, message):
    with pytest.raises(VolumeError, match=message):
        read(series_of(release, description, "9000101"))


def test_several_echoes_are_never_stacked(release, tmp_path):
    folder = copied(series_of(release, "SAG_T2_MAP_RIGHT", "9000101"), tmp_path / "echoes")
    for path in folder.iterdir():
        change(path, SeriesDescription="COR_T1_3D_FLASH_RIGHT")
    with pytest.raises(VolumeError, match=r"duplicate slice positions: 18 of 21 \(7 echo times"):
        read(folder, replace(FLASH, axis=0))


def test_pictures_of_another_plane_are_refused(release, tmp_path):
    folder = copied(series_of(release, "AX_T1_THIGH", "9000101"), tmp_path / "axial")
    with pytest.raises(VolumeError, match="slices are axial or oblique"):
        read(folder)


def test_a_localizer_is_no_volume(release, tmp_path):
    folder = copied(series_of(release, "MP_LOCATOR_RIGHT", "9000101"), tmp_path / "locator")
    for path in folder.iterdir():
        change(path, SeriesDescription="COR_T1_3D_FLASH_RIGHT")
    with pytest.raises(VolumeError, match="slices of different"):
        read(folder)


# --- pictures -------------------------------------------------------------------------------------


@pytest.fixture
def film(release, tmp_path) -> Path:
    source = series_of(release, "Bilateral PA Fixed Flexion Knee", "9000303") / "001"
    return Path(shutil.copy(source, tmp_path / "001"))


def test_both_knees_of_a_film_are_cut_from_their_own_half(film):
    right, left = (read_knee([film], side) for side in (R, L))
    middle = pydicom.dcmread(film).Columns / 2
    assert right.box[1] + right.box[3] < 2 * middle < left.box[1] + left.box[3]
    assert right.spacing_mm == left.spacing_mm and right.spacing_mm is not None
    assert not np.array_equal(right.pixels, left.pixels)


def test_two_projections_are_never_one_picture(film):
    with pytest.raises(RadiographError, match="several projections in one series: 2"):
        read_knee([film, film], R)


@pytest.mark.parametrize(
    ("attributes", "both", "side", "message"),
    [
        ({"SeriesDescription": "PA Fixed Flexion Left Knee"}, False, R, "its file says L"),
        ({"SeriesDescription": "PA Fixed Flexion Left Knee"}, True, L, "list both knees"),
        ({}, False, R, "its file says both knees, the list R"),
        ({"ImageLaterality": "L"}, True, L, "its file says L, the list both knees"),
        ({"PatientID": "9000000"}, True, R, "another participant"),
        ({"AccessionNumber": "16600000001"}, True, R, "another radiograph"),
        ({"PixelData": None}, True, R, "cannot be read"),
        ({"Modality": "MR"}, True, R, "not a radiograph"),
    ],
)
def test_films_that_contradict_the_list_are_refused(film, attributes, both, side, message):
    listed = barcode(pydicom.dcmread(film).AccessionNumber)
    change(film, **attributes)
    with pytest.raises(RadiographError, match=message):
        read_knee([film], side, both, middle_of_half, listed, "9000303")


def test_a_film_of_one_knee_is_taken_from_its_middle(film):
    change(film, SeriesDescription="PA Fixed Flexion Right Knee", ImageLaterality="R")
    header = pydicom.dcmread(film)
    knee = read_knee([film], R, both=False)
    assert (knee.box[1] + knee.box[3]) / 2 == pytest.approx(header.Columns / 2, abs=1)


def test_a_locator_decides_where_the_knee_is(film):
    def locate(pixels, spacing, side, both):
        return Located((10, 20, 60, 70), "given", "doubtful")

    knee = read_knee([film], R, locate=locate)
    assert knee.pixels.shape == (50, 50) and (knee.located, knee.notes) == ("given", ("doubtful",))


def test_without_a_pixel_size_the_half_is_taken_whole():
    picture = np.zeros((100, 300), np.float32)
    assert middle_of_half(picture, None, R, True).box == (0, 25, 100, 125)
    assert middle_of_half(picture, None, L, True).box == (0, 175, 100, 275)
    assert middle_of_half(picture, None, L, False).box == (0, 100, 100, 200)


# --- commands -------------------------------------------------------------------------------------


def test_commands(release, tmp_path, capsys):
    words = ["oai", "index", "--images", str(release / "folders/00m"), "--tables"]
    words += [str(release / "folders/tables"), "--out", str(tmp_path / "out"), "--jobs", "1"]
    words += ["--locate", "middle_of_half"]
    assert main([*words, "--test-site", "B"]) == 0
    assert "COR_T1_3D_FLASH" in capsys.readouterr().out
    assert [item["site"] for item in load_datalist(tmp_path / "out/datalist.json", "test")] == ["B"]
    assert main([*words, "--sequence", "SAG_3D_DESS"]) == 2
    assert "coronal" in capsys.readouterr().err


def test_a_release_of_phantoms_is_the_same_every_time(release, tmp_path, monkeypatch):
    monkeypatch.setattr(oai_release, "make_knees", cheap_knees)
    oai_release.write_release(tmp_path, 2, seed=3, spacing_mm=SPACING, matrix=MATRIX)
    for file in tmp_path.rglob("0.C.2/**/*"):
        if file.is_file():
            assert file.read_bytes() == (release / file.relative_to(tmp_path)).read_bytes()
    assert len(list(tmp_path.rglob("*.tar.gz"))) > 10


@pytest.mark.parametrize("part", ["nda", "folders"])
def test_a_download_is_never_replaced_by_phantoms(tmp_path, monkeypatch, part):
    monkeypatch.setattr(oai_release, "make_knees", cheap_knees)
    images = "image03/00m/0.C.2" if part == "nda" else "00m/0.C.2"
    real = tmp_path / part / images / "9000099" / "real"
    real.parent.mkdir(parents=True)
    real.write_text("real")

    def refused() -> bool:
        with pytest.raises(InputError, match=f"real.*{part} is not replaced") as refusal:
            write()
        assert refusal.value.option == "out"
        return real.read_text() == "real"

    def write() -> None:
        oai_release.write_release(tmp_path, 1, seed=3, spacing_mm=SPACING, matrix=MATRIX)

    assert refused() and sorted(path.name for path in tmp_path.iterdir()) == [part]
    shutil.rmtree(tmp_path / part)
    write()
    real.parent.mkdir(parents=True)
    real.write_text("real")  # downloaded into a release of phantoms
    assert refused()


def test_a_release_of_phantoms_is_replaced_also_where_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(oai_release, "make_knees", cheap_knees)
    with monkeypatch.context() as patch:
        patch.setattr(oai_release, "write_nda_tables", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            oai_release.write_release(tmp_path, 2, spacing_mm=SPACING, matrix=MATRIX)
    oai_release.write_release(tmp_path, 1, spacing_mm=SPACING, matrix=MATRIX)
    assert list(truth(tmp_path)) == ["9000000"]
    assert [path.name for path in (tmp_path / "folders/00m/0.C.2").iterdir()] == ["9000000"]


@pytest.mark.parametrize("numbers", [{"participants": 0}, {"seed": -1}, {"matrix": 100}])
def test_releases_that_cannot_be_made_are_refused(tmp_path, numbers):
    with pytest.raises(InputError):
        oai_release.write_release(tmp_path, **{"participants": 1, **numbers})


@pytest.mark.slow  # paints two whole legs
def test_phantoms_fill_a_release(tmp_path):
    oai_release.write_release(tmp_path, 1, seed=5, spacing_mm=0.6, matrix=64)
    index(tmp_path, tmp_path / "out", visits=("V00",), ratios=(1, 0, 0))
    item = items(tmp_path / "out")["9000000-V00-R"]
    volume = np.asarray(nib.load(item["mri"]).dataobj)
    assert volume.shape == (64, 80, 64)
    greys = volume.mean(axis=(0, 2))
    assert greys[:40].max() > 1.3 * greys[50:].max()  # the calf, as in the paper's Fig. 4b
    recorded = truth(tmp_path)["9000000"]
    assert recorded["grades"]["R"] != recorded["grades"]["L"]
    film = pydicom.dcmread(series_of(tmp_path, "Bilateral PA Fixed Flexion Knee") / "001")
    for side, (top, left, bottom, right) in recorded["joints"]["V00"].items():
        assert 60 < (bottom - top) * float(film.PixelSpacing[0]) < 140
        assert ((left + right) / 2 < film.Columns / 2) == (side == "R")
