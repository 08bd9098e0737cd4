"""A cohort: all knees of a datalist or folder, resumable, with a manifest."""

import csv
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from samples import draw_knee

from xr2mri_core.bundle import digest
from xr2mri_core.cli import main
from xr2mri_core.cohort import CohortKnee, bids, generate_cohort, knees_of_folder
from xr2mri_core.cohort import run as cohort_run
from xr2mri_core.cohort.run import knee_seed
from xr2mri_core.condition import Condition
from xr2mri_core.errors import DatalistError
from xr2mri_core.files import write_text
from xr2mri_core.request import GenerationRequest


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_knee(seed=seed)).save(path)
    return path


@pytest.fixture
def collection(tmp_path) -> Path:
    """Two knees as public collections name them, and a third under a name of its own."""
    folder = tmp_path / "collection"
    picture(folder / "2" / "9003175L.png", 1)
    picture(folder / "0" / "9003176R.png", 2)
    picture(folder / "ward" / "knee.png", 3)
    (folder / "readme.txt").write_text("no picture")
    (folder / ".DS_Store").write_text("")
    return folder


@pytest.fixture
def run(tiny_bundle, tmp_path, capsys):
    """Run a cohort; returns its exit status, rows by name, and what it said."""

    def cohort(*arguments, out: Path = tmp_path / "out"):
        status = main(
            ["generate", "--bundle", str(tiny_bundle), "--device", "cpu", "--slices", "2",
             "--jobs", "1", "--out", str(out), *map(str, arguments)]
        )  # fmt: skip
        printed = "".join(capsys.readouterr())
        rows = {}
        if (out / "manifest.csv").is_file():
            with (out / "manifest.csv").open(encoding="utf-8", newline="") as file:
                rows = {row["name"]: row for row in csv.DictReader(file)}
        return status, rows, printed

    return cohort


def test_a_folder_gives_sides_and_grades_by_its_names(run, collection, tmp_path):
    status, rows, _ = run("--folder", collection)
    assert status == 0 and list(rows) == ["0/9003176R", "2/9003175L", "ward/knee"]
    record = json.loads((tmp_path / "out" / "2" / "9003175L" / "generated.json").read_text())
    assert record["features"] == {"V00XRKL": 2} and record["laterality"] == "L"
    assert record["seed"] == int(rows["2/9003175L"]["seed"]) == knee_seed(0, "2/9003175L")
    assert len({row["seed"] for row in rows.values()}) == 3
    assert (tmp_path / "out" / "ward" / "knee" / "generated_sample.nii.gz").is_file()
    listed = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [knee["status"] for knee in listed["knees"]] == ["generated"] * 3
    assert "not for diagnosis" in listed["notice"]


def test_a_row_gives_what_one_radiograph_gives(run, collection, tmp_path, tiny_bundle, one_thread):
    _, rows, _ = run("--folder", collection)
    seed = rows["2/9003175L"]["seed"]
    one = ["generate", "--bundle", str(tiny_bundle), "--device", "cpu", "--slices", "2",
           "--radiograph", str(collection / "2" / "9003175L.png"), "--set", "V00XRKL=2",
           "--laterality", "L", "--seed", seed, "--out", str(tmp_path / "one")]  # fmt: skip
    assert main(one) == 0
    name = "generated_sample.nii.gz"
    cohorts = tmp_path / "out" / "2" / "9003175L" / name
    assert cohorts.read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_forms_win_over_names_and_a_bad_file_costs_its_row(run, collection, tmp_path):
    forms = tmp_path / "forms.csv"
    forms.write_text(
        "\ufefffile;laterality;V00XRKL;V00XRJSM;age;remark\n"
        "9003175L;R;3;1;61;seen twice\nknee.png;L;9;;;\n",
        encoding="utf-8",
    )
    (collection / "0" / "9003176R.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    status, rows, printed = run("--folder", collection, "--forms", forms)
    assert status == 1 and "2 of 3 knees failed" in printed and "1 generated" in printed
    assert rows["0/9003176R"]["status"] == "failed" and rows["0/9003176R"]["error"]
    assert "9" in rows["ward/knee"]["error"] and "V00XRKL" in rows["ward/knee"]["error"]
    record = json.loads((tmp_path / "out" / "2" / "9003175L" / "generated.json").read_text())
    assert record["features"] == {"V00XRKL": 3, "V00XRJSM": 1} and record["laterality"] == "R"


def test_a_film_of_both_knees_may_have_a_row_for_each(collection):
    forms = collection.parent / "forms.csv"
    forms.write_text("file,laterality,V00XRKL\nknee,R,2\nward/knee.png,2: Left,3\n")
    right, left = knees_of_folder(collection, forms)[2:]
    forms.write_text("file,side,V00XRKL\nknee,1.0,2\nknee,2.0,3\n")  # as pandas writes it
    assert [knee.name for knee in knees_of_folder(collection, forms)[2:]] == [right.name, left.name]
    assert (right.name, left.name) == ("ward/knee_R", "ward/knee_L")
    assert right.radiograph == left.radiograph and right.participant == left.participant
    assert (right.laterality, right.features) == ("R", {"v00xrkl": "2"})
    assert (left.laterality, left.features) == ("2: Left", {"v00xrkl": "3"})


def test_a_row_leaves_what_it_does_not_name_to_the_folder(collection):
    forms = collection.parent / "forms.csv"
    forms.write_text("file,XRJSM\n9003175L,1\n")
    known = Condition.parse(knees_of_folder(collection, forms)[1].features)
    assert known.features == {"V00XRKL": 2, "V00XRJSM": 1}
    forms.write_text("file,kl_grade\n9003175L,3\n")
    assert knees_of_folder(collection, forms)[1].features == {"kl_grade": "3"}


def test_a_folder_that_cannot_be_read_is_told_and_costs_no_other(collection, monkeypatch, caplog):
    def fails(path, call=os.scandir):
        if Path(path).name == "2":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return call(path)

    monkeypatch.setattr(os, "scandir", fails)
    names = [knee.name for knee in knees_of_folder(collection)]
    assert (
        names == ["0/9003176R", "ward/knee"] and f"{collection / '2'} cannot be read" in caplog.text
    )


def test_what_is_done_and_whole_is_kept(run, collection, tmp_path):
    out = tmp_path / "out"
    _, first, _ = run("--folder", collection)
    volumes = sorted(out.rglob("*.nii.gz"))
    times = [path.stat().st_mtime_ns for path in volumes]
    status, again, _ = run("--folder", collection)
    assert status == 0 and {row["status"] for row in again.values()} == {"kept"}
    assert [path.stat().st_mtime_ns for path in volumes] == times
    assert again["ward/knee"]["files"] == first["ward/knee"]["files"]

    damaged = out / "ward" / "knee" / "generated_sample.nii.gz"
    good = damaged.read_bytes()
    damaged.write_bytes(good[:-1])
    picture(collection / "0" / "9003176R.png", 9)
    _, mended, _ = run("--folder", collection)
    states = {name: row["status"] for name, row in mended.items()}
    assert states == {"0/9003176R": "generated", "2/9003175L": "kept", "ward/knee": "generated"}
    assert damaged.read_bytes() == good

    _, other, _ = run("--folder", collection, "--seed", "5")
    assert {row["status"] for row in other.values()} == {"generated"}


def test_a_knee_made_anew_leaves_no_file_of_the_one_before(run, collection, tmp_path):
    folder, journal = tmp_path / "out", tmp_path / "out" / "manifest.jsonl"

    def there():
        return {path.relative_to(folder).as_posix() for path in (folder / "9003176R").rglob("*.*")}

    dicom = ("--folder", collection / "0", "--format", "dicom")
    _, first, _ = run(*dicom)
    foreign = folder / "9003176R" / "generated_dicom" / "mine.dcm"
    foreign.write_bytes(b"of somebody else")
    outside = tmp_path / "outside"
    outside.write_bytes(b"of somebody else")
    row = json.loads(journal.read_text())
    sha256 = hashlib.sha256(b"of somebody else").hexdigest()
    row["files"] |= {"../outside": sha256}  # a manifest is no reason to reach beyond its folder
    journal.write_text(json.dumps(row) + "\n")

    film = collection / "0" / "9003176R.png"
    good = film.read_bytes()
    film.write_bytes(b"broken")
    assert run(*dicom, "--seed", "1")[1]["9003176R"]["status"] == "failed"
    assert there() > set(first["9003176R"]["files"].split())
    film.write_bytes(good)
    _, second, _ = run(*dicom, "--seed", "1")
    listed = set(second["9003176R"]["files"].split())
    assert there() == listed | {foreign.relative_to(folder).as_posix()} and len(listed) == 4
    foreign.unlink()
    _, third, _ = run("--folder", collection / "0", "--name", "other")
    assert there() == set(third["9003176R"]["files"].split()) and len(there()) == 3
    assert not foreign.parent.exists() and outside.is_file()


def test_a_second_cohort_leaves_the_first_ones_knees_and_rows_in_the_same_folder(
    run, collection, tmp_path
):
    out, other = tmp_path / "out", tmp_path / "other"
    _, first, _ = run("--folder", collection / "0")
    picture(other / "9003176R.png", 8)  # called as a knee of the first
    picture(other / "new.png", 9)
    volume = out / "9003176R" / "generated_sample.nii.gz"
    written = volume.read_bytes()
    status, rows, printed = run("--folder", other)
    assert status == 2 and rows == first and volume.read_bytes() == written
    assert not (out / "new").exists() and "'9003176R' is in" in printed and "--out" in printed

    shutil.copy(collection / "0" / "9003176R.png", other)  # moved: the same radiograph
    status, rows, _ = run("--folder", other)
    assert {name: row["status"] for name, row in rows.items()} == {
        "9003176R": "kept",
        "new": "generated",
    }
    (other / "9003176R.png").unlink()
    _, rows, printed = run("--folder", other)
    assert list(rows) == ["new", "9003176R"] and "0 generated, 1 kept" in printed
    assert rows["9003176R"]["status"] == "kept"
    assert rows["9003176R"]["files"] == first["9003176R"]["files"]
    volume.unlink()
    assert list(run("--folder", other)[1]) == ["new"]


@pytest.fixture
def copied(tmp_path):
    """Run a cohort whose volumes are copies of their radiographs; returns name -> row."""

    def generate(radiograph, condition, request):
        record = {"laterality": str(request.laterality), "warnings": []}
        return SimpleNamespace(record=record, content=radiograph.read_bytes())

    def write(layout, generated, knee, out):
        stem = knee.name if layout == "folders" else bids._stem(knee, f"-{knee.laterality}")
        write_text(out / f"{stem}_desc-synthetic.txt", generated.content.hex())
        return [out / f"{stem}_desc-synthetic.txt"]

    def cohort(*knees, layout="folders"):
        out = tmp_path / "out"
        if layout == "bids":
            bids.check_bids(knees, out)
        settings = {"layout": layout}
        request = GenerationRequest()
        generate_cohort(knees, generate, partial(write, layout), out, request, settings=settings)
        listed = json.loads((out / "manifest.json").read_text())["knees"]
        return {row["name"]: row for row in listed}

    return cohort


def test_a_relative_folder_of_another_working_directory_is_another_cohort(
    copied, tmp_path, monkeypatch
):
    for seed, study in enumerate(("one", "two")):
        picture(tmp_path / study / "knees" / "1.png", seed)
    knee = CohortKnee("1", Path("knees/1.png"))
    monkeypatch.chdir(tmp_path / "one")
    first = copied(knee)
    assert first["1"]["radiograph"] == str(tmp_path / "one" / "knees" / "1.png")
    journal = tmp_path / "out" / "manifest.jsonl"
    for relative in (False, True):  # as an earlier version has written it
        if relative:
            journal.write_text(journal.read_text().replace(f"{tmp_path}/one/", ""))
        monkeypatch.chdir(tmp_path / "two")
        with pytest.raises(DatalistError, match=r"'1' is in .* its files would be replaced"):
            copied(knee)
        monkeypatch.chdir(tmp_path / "one")
        assert copied(knee)["1"]["status"] == "kept"


def test_a_knee_that_failed_before_it_was_read_is_known_by_what_its_files_were_made_of(
    copied, tmp_path
):
    knee = CohortKnee("1", picture(tmp_path / "here" / "1.png", 1))
    copied(knee)
    assert copied(replace(knee, features={"V00XRKL": 9}))["1"]["status"] == "failed"
    (tmp_path / "here").rename(tmp_path / "there")
    moved = replace(knee, radiograph=tmp_path / "there" / "1.png")
    assert copied(moved)["1"]["status"] == "generated"


def test_no_file_of_another_cohort_is_read(copied, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(cohort_run, "digest", lambda path: read.append(path) or digest(path))
    copied(CohortKnee("1", picture(tmp_path / "1.png", 1)))
    read.clear()
    second = CohortKnee("2", picture(tmp_path / "2.png", 2))
    assert list(copied(second)) == ["2", "1"]
    assert {path.name for path in read} == {"2.png", "2_desc-synthetic.txt"}


def test_a_second_cohort_takes_no_bids_names_of_the_first(copied, tmp_path):
    radiographs = [picture(tmp_path / f"{seed}.png", seed) for seed in range(2)]
    first = CohortKnee("img001", radiographs[0], "right", participant="A 17")
    copied(first, layout="bids")
    volume = tmp_path / "out" / "sub-A17" / "anat" / "sub-A17_acq-right_desc-synthetic.txt"
    written = volume.read_bytes()
    other = CohortKnee("img900", radiographs[1], "R", participant="a17")
    for side in ("R", "auto"):
        with pytest.raises(DatalistError, match=r"'img001' is in .* or a participant, visit or"):
            copied(replace(other, laterality=side), layout="bids")
    assert volume.read_bytes() == written
    assert copied(replace(other, laterality="left"), layout="bids").keys() == {"img900", "img001"}
    assert copied(replace(first, name="film"), layout="bids").keys() == {"film", "img900"}
    corrected = replace(other, laterality="right", participant="A17")  # a table that was mended
    rows = copied(replace(first, name="film", participant="18"), corrected, layout="bids")
    assert {name: next(iter(row["files"]))[:7] for name, row in rows.items()} == {
        "film": "sub-18/",
        "img900": "sub-A17",
    }


def test_a_file_has_one_row_when_one_radiograph_has_had_two_names(copied, tmp_path):
    knee = CohortKnee("a", picture(tmp_path / "1.png", 1), "right", participant="17")
    for name in ("a", "b"):
        copied(replace(knee, name=name), layout="bids")
    third = CohortKnee("c", picture(tmp_path / "2.png", 2), "right", participant="18")
    assert copied(third, layout="bids").keys() == {"c", "b"}


def test_a_datalist_needs_no_mri(run, collection, tmp_path):
    datalist = tmp_path / "list.json"
    items = [
        {"case": "a/R", "participant": "a", "radiograph": "collection/0/9003176R.png",
         "features": {"V00XRKL": 1}, "laterality": "R"},
        {"case": "b", "participant": "b", "radiograph": "collection/2/9003175L.png"},
    ]  # fmt: skip
    write_text(datalist, json.dumps({"test": items[:1], "training": items[1:]}))
    status, rows, _ = run("--datalist", datalist, "--split", "test", "--format", "dicom")
    assert status == 0 and list(rows) == ["a/R"]
    assert rows["a/R"]["files"].count(".dcm") == 2
    assert run("--datalist", datalist)[1].keys() == {"a/R", "b"}


def test_a_radiograph_that_is_not_there_costs_its_row_and_an_mri_that_is_not_there_nothing(
    run, collection, tmp_path
):
    items = [
        {"case": "a", "participant": "a", "radiograph": "collection/0/9003176R.png",
         "mri": "elsewhere.nii.gz", "labels": "elsewhere.nii.gz"},
        {"case": "b", "participant": "b", "radiograph": "collection/lost.png"},
    ]  # fmt: skip
    write_text(tmp_path / "list.json", json.dumps({"test": items}))
    status, rows, _ = run("--datalist", tmp_path / "list.json")
    assert status == 1 and rows["a"]["status"] == "generated"
    assert rows["b"]["status"] == "failed" and "lost.png" in rows["b"]["error"]


def test_bids_names_and_sidecars(run, collection, tmp_path):
    forms = tmp_path / "forms.csv"
    forms.write_text("file,participant,visit,laterality\nknee.png,Mr. X,V 01,L\n")
    status, rows, _ = run(
        "--folder", collection, "--forms", forms, "--layout", "bids", "--samples", "2"
    )
    out = tmp_path / "out"
    assert status == 0
    assert json.loads((out / "dataset_description.json").read_text())["DatasetType"] == "derivative"
    stem = "sub-MrX_ses-V01_acq-left_desc-synthetic{}_T1w"
    anat = out / "sub-MrX" / "ses-V01" / "anat"
    assert sorted(path.name for path in anat.iterdir()) == sorted(
        stem.format(kind) + ending
        for kind in ("sample", "mean", "std")
        for ending in (".nii.gz", ".json")
    )
    sidecar = json.loads((anat / (stem.format("std") + ".json")).read_text())
    assert sidecar["kind"] == "std" and "not for diagnosis" in sidecar["notice"]
    assert (
        rows["2/9003175L"]["files"].split()[0].startswith("sub-9003175/anat/sub-9003175_acq-left")
    )


@pytest.mark.parametrize("kind", ["sample", "mean"])
def test_bids_has_the_volume_of_either_kind(kind, run, collection, tmp_path):
    status, rows, _ = run("--folder", collection / "0", "--layout", "bids", "--kind", kind)
    stem = f"sub-9003176/anat/sub-9003176_acq-right_desc-synthetic{kind}_T1w"
    assert status == 0 and rows["9003176R"]["files"].split() == [f"{stem}.nii.gz", f"{stem}.json"]
    assert (tmp_path / "out" / f"{stem}.nii.gz").is_file()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("9003175L,L,p\nother,L,p", "several knees of one visit"),
        ("9003175L,left,p\nother,L,P", "several knees of one visit"),  # one file all the same
        ("9003175L,L,p\nother,auto,p", "several knees of one visit"),
        ("9003175L,L,p\nother,L,\u0418\u0432\u0430\u043d", "no letter or digit"),
    ],
)
def test_bids_needs_to_tell_two_knees_apart(table, says, run, collection):
    picture(collection / "3" / "other.png", 7)
    forms = collection.parent / "forms.csv"
    forms.write_text(f"file,laterality,participant\n{table}\n", encoding="utf-8")
    status, rows, printed = run("--folder", collection, "--forms", forms, "--layout", "bids")
    assert status == 2 and not rows and says in printed


def test_a_killed_run_goes_on_where_it_was(run, collection, tmp_path, tiny_bundle):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "xr2mri_core.cli", "generate", "--bundle", tiny_bundle]
    command += ["--device", "cpu", "--slices", "2", "--jobs", "1"]
    command += ["--folder", collection, "--out", out]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = out / "manifest.jsonl"
    while not (journal.is_file() and journal.read_text().count("\n")):
        assert child.poll() is None
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with journal.open("a") as file:
        file.write('{"name": "ward/kn')  # as a machine that went down would leave it
    status, rows, _ = run("--folder", collection)
    assert status == 0 and rows["0/9003176R"]["status"] == "kept"
    assert {row["status"] for row in run("--folder", collection)[1].values()} == {"kept"}
    expected, _, _ = run("--folder", collection, out=tmp_path / "whole")
    assert expected == 0
    for path in (tmp_path / "whole").rglob("*.nii.gz"):
        twin = out / path.relative_to(tmp_path / "whole")
        assert np.array_equal(twin.read_bytes(), path.read_bytes())


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("name2;V00XRKL\nknee;1\n", "no column 'file'"),
        ("file;V00XRKL\nnobody;1\n", "line 2: 'nobody': no such radiograph"),
        ("file;V00XRKL\nknee;1\nward/knee.png;2\n", "line 3: 'ward/knee.png': an earlier row"),
        ("file;side;XRKL\nknee;R;1\nknee;right;2\n", "line 3: 'knee': an earlier row"),
        ("file;side;XRKL\nknee;R;1\nknee;;2\n", "line 3: 'knee': an earlier row"),
        ("file;side;XRKL\nknee;R;1\nknee;x;2\n", "line 3: 'knee': laterality 'x': accepted"),
        ("file;V00XRKL\nsame;1\n", "several radiographs"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_before_anything_is_generated(
    table, says, collection, tmp_path
):
    picture(collection / "a" / "same.png", 4)
    picture(collection / "b" / "same.png", 5)
    forms = tmp_path / "forms.csv"
    forms.write_text(table)
    with pytest.raises(DatalistError, match=says):
        knees_of_folder(collection, forms)


def test_forms_of_a_spreadsheet(collection):
    """Decimal commas, empty lines behind the last, and names whose accents lie apart."""
    folder = collection.parent / "accents"
    picture(folder / unicodedata.normalize("NFD", "Müller.png"), 1)
    forms = collection.parent / "forms.csv"
    forms.write_text(
        unicodedata.normalize(
            "NFC", "\ufefffile;V00XRKL;V00XRJSM;bmi;;\nMüller.png;2;1,5;27,5;;\n;;;;;\n"
        )
    )
    (knee,) = knees_of_folder(folder, forms)
    known = Condition.parse(knee.features, knee.demographics)
    assert known.features == {"V00XRKL": 2, "V00XRJSM": 1} and known.demographics == {"bmi": 27.5}
    forms.write_text("file,bmi,V00XRKL\nMüller.png,27,5,2\n")
    with pytest.raises(DatalistError, match="line 2 has 4 cells, the header 3"):
        knees_of_folder(folder, forms)


@pytest.mark.parametrize(
    "name", ["M\u00fcller \u2013 links", "\u043a\u043e\u043b\u0435\u043d\u043e"]
)
def test_names_in_a_code_page_are_read_or_told_to_be_guessed(name, collection):
    folder, forms = collection.parent / "code_page", collection.parent / "forms.csv"
    picture(folder / f"{name}.png", 1)
    western = name[0] == "M"
    forms.write_bytes(f"file;V00XRKL\n{name};2\n".encode("cp1252" if western else "cp1251"))
    if western:
        assert knees_of_folder(folder, forms)[0].features == {"v00xrkl": "2"}
    else:
        with pytest.raises(DatalistError, match=r"no such radiograph.*save it as CSV UTF-8"):
            knees_of_folder(folder, forms)


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
def test_a_file_whose_name_is_no_text_is_a_knee_like_others(run, tmp_path):
    folder = tmp_path / "collection"
    picture(folder / os.fsdecode(b"kn\xe9e.png"), 1)
    picture(folder / "knee\u2028.png", 2)  # by which text has lines, and the journal has not
    status, rows, _ = run("--folder", folder)
    assert status == 0 and {row["status"] for row in rows.values()} == {"generated"}
    again = run("--folder", folder)[1]
    assert {row["status"] for row in again.values()} == {"kept"} and "kn\\udce9e" in again


@pytest.mark.parametrize("case", ["../x", "/x", "a/../../x", "c:x", "", "\ud800", "x" * 300])
def test_a_case_names_no_folder_outside(case, run, collection, tmp_path):
    item = {"case": case, "participant": "a", "radiograph": "collection/0/9003176R.png"}
    write_text(tmp_path / "list.json", json.dumps({"test": [item]}))
    status, rows, printed = run("--datalist", tmp_path / "list.json")
    assert status == 2 and not rows and "case" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["collection", "list.json"]


def test_another_configuration_of_the_bundle_makes_its_knees_anew(
    run, collection, tmp_path, tiny_bundle
):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    mine = ("--folder", collection / "0", "--bundle", bundle)
    states = [run(*mine)[1]["9003176R"]["status"] for _ in range(2)]
    for name, old, new in (("inference", "  steps: 3", "  steps: 4"),
                           ("compact", "squaredcos_cap_v2", "linear")):  # fmt: skip
        config = bundle / "configs" / f"{name}.yaml"
        text = config.read_text()
        assert old in text
        config.write_text(text.replace(old, new))
        states.append(run(*mine)[1]["9003176R"]["status"])
    assert states == ["generated", "kept", "generated", "generated"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--set", "kl_grade=2"], "--set is for one radiograph"),
        (["--laterality", "R"], "--laterality is for one radiograph"),
        (["--server", "http://localhost:1"], "--server is for one radiograph"),
        (["--split", "test"], "--split is for --datalist"),
        (["--layout", "bids", "--format", "nrrd"], "--layout bids is NIfTI"),
        (["--layout", "bids", "--name", "mine"], "--layout bids has names of its own"),
        (["--name", "../x"], "'../x' is no stem of a file's name"),
        (["--name", ""], "is no stem of a file's name"),
        (["--radiograph", "x.png"], "not allowed with"),
    ],
)
def test_options_of_one_radiograph_are_refused(more, says, run, collection):
    status, _, printed = run("--folder", collection, *more)
    assert status == 2 and says in printed


def test_dicom_files_without_an_ending_are_found_and_results_are_not(collection, tmp_path, caplog):
    (collection / "series").mkdir()
    (collection / "series" / "1.2.840.7").write_bytes(bytes(128) + b"DICM")
    (collection / "series" / "notes").write_text("none")
    (collection / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    picture(collection / "out" / "generated.png", 6)
    names = ["0/9003176R", "2/9003175L", "series/1.2.840.7", "ward/knee"]
    found = knees_of_folder(collection, leave_out=collection / "out")
    assert [knee.name for knee in found] == names
    row = {"name": "a", "radiograph_sha256": None, "status": "failed"}
    (collection / "out" / "manifest.jsonl").write_text(json.dumps(row) + "\n")
    assert [knee.name for knee in knees_of_folder(collection, leave_out=tmp_path)] == names
    assert "passed over as results of earlier runs: ['out']" in caplog.text
    with pytest.raises(DatalistError, match=r"no radiograph in it.*passed over.*\['inner'\]"):
        (tmp_path / "above").mkdir()
        (collection / "out").rename(tmp_path / "above" / "inner")
        knees_of_folder(tmp_path / "above")


def test_a_manifest_of_another_kind_or_in_the_folder_itself_hides_nothing(collection):
    names = [knee.name for knee in knees_of_folder(collection)]
    (collection / "2" / "manifest.jsonl").write_text('{"image": "9003175L.png", "kl": 2}\n')
    (collection / "0" / "manifest.jsonl").touch()
    row = {"name": "a", "radiograph_sha256": None, "status": "failed"}
    (collection / "manifest.jsonl").write_text(json.dumps(row) + "\n")
    assert [knee.name for knee in knees_of_folder(collection)] == names


def test_results_do_not_go_among_the_radiographs(run, collection):
    status, _, printed = run("--folder", collection, out=collection / "2" / "..")
    assert status == 2 and "--out" in printed and "the folder of the radiographs" in printed
    assert not list(collection.glob("manifest*"))
