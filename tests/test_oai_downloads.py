"""Releases as people have them: no lists, unpacked, saved again by spreadsheets, with litter."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pydicom
import pytest
from oai_samples import FLASH, cheap_release, selected, selected_of, series_of

from xr2mri_core.datalist import load_datalist
from xr2mri_core.errors import Cancelled, ReleaseError, VolumeError
from xr2mri_core.geometry import Laterality
from xr2mri_core.oai import headers, tables
from xr2mri_core.oai.dicom_files import is_dicom, pictures_among
from xr2mri_core.oai.index import Settings, index_release
from xr2mri_core.oai.passing import UNREAD
from xr2mri_core.oai.people import read_people
from xr2mri_core.oai.pictures import middle_of_half, read_knee
from xr2mri_core.oai.readings import read_readings
from xr2mri_core.oai.release import read_release
from xr2mri_core.oai.series_files import opened
from xr2mri_core.oai.tables import read_table, visit_of, visit_of_path
from xr2mri_core.oai.values import barcode, date_of, identifier, participant_of, read_cell
from xr2mri_core.oai.volumes import read_series

R, L = Laterality.RIGHT, Laterality.LEFT
FIRST, SECOND = "9000000", "9000101"


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    """Two participants, the first of them at two visits."""
    return cheap_release(tmp_path_factory.mktemp("phantoms"), 2)


@pytest.fixture
def folders(phantoms, tmp_path) -> Path:
    """A copy of OAI's form that a test may spoil: links to the series, copies of the tables."""
    return linked(phantoms / "folders", tmp_path / "folders")


def linked(source: Path, target: Path) -> Path:
    """A tree of real folders whose DICOM files and archives are hard links."""

    def copy(one: str, other: str) -> None:
        (shutil.copy2 if Path(one).suffix in (".csv", ".txt") else os.link)(one, other)

    shutil.copytree(source, target, copy_function=copy)
    return target


def known(series, *names: str) -> list[tuple]:
    """What distinguishes series, whatever stated it."""
    chosen = names or ("participant", "visit", "date", "number", "barcode", "description")
    return sorted(tuple(str(getattr(item, name)) for name in chosen) for item in series)


def listed(phantoms) -> list[tuple]:
    return known(read_release([phantoms / "folders"], [phantoms / "folders/tables"]).series)


def index(images: Path, tables: Path, out: Path, **settings) -> str:
    chosen = Settings(("V00",), **{"ratios": (1, 0, 0), **settings})
    return index_release([images], [tables], out, chosen, locate=middle_of_half)


def cases(out: Path) -> list[str]:
    return [item["case"] for item in load_datalist(out / "datalist.json")]


def excluded(out: Path) -> dict[str, dict[str, str]]:
    with (out / "excluded.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return {f"{row['participant']}-{row['visit']}-{row['side']}": row for row in rows}


# --- no list of the images ------------------------------------------------------------------------


@pytest.fixture
def unlisted(folders) -> Path:
    for path in folders.rglob("contents.csv"):
        path.unlink()
    return folders


def test_folders_that_cannot_be_listed_end_no_work(folders, monkeypatch, caplog):
    """A drive's ``lost+found``; a participant's folder that a network drive has lost."""
    for path in folders.rglob("contents.csv"):
        path.unlink()
    for place in (folders, *folders.glob("*m")):
        (place / "lost+found").mkdir()
    lost = next(folders.glob(f"00m/*/{FIRST}"))
    before = {item.participant for item in read_release([folders], [folders], ["V00"]).series}

    def fails(path=".", call=os.scandir):
        if Path(path).name in ("lost+found", lost.name):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return call(path)

    monkeypatch.setattr(os, "scandir", fails)
    release = read_release([folders], [folders], ["V00"])
    assert {item.participant for item in release.series} == before - {lost.name}
    assert [(it.participant, it.reason) for it in release.unusable if it.participant] == [
        (lost.name, UNREAD)
    ]
    assert read_readings([folders], ["V00"]) and "lost+found" in caplog.text


def test_without_a_list_the_headers_tell_the_same(phantoms, unlisted):
    found = read_release([unlisted], [unlisted / "tables"])
    assert found.layout == "headers" and known(found.series) == listed(phantoms)
    assert all(item.path and item.path.is_dir() for item in found.series)


def test_archives_without_a_list_tell_the_same(phantoms):
    found = read_release([phantoms / "nda" / "image03"], [phantoms / "folders/tables"])
    assert known(found.series) == listed(phantoms)
    assert {item.path.name[-7:] for item in found.series} == {".tar.gz"}


def test_headers_are_read_once_and_again_where_something_changed(unlisted, tmp_path, monkeypatch):
    cache, read, progress = tmp_path / "cache" / "headers.jsonl", [], []
    original = headers._first_header
    monkeypatch.setattr(headers, "_first_header", lambda path: read.append(path) or original(path))

    def again():
        read.clear()
        return read_release([unlisted], [tmp_path], (), cache, lambda *done: progress.append(done))

    first = again()
    count = len(read)
    assert count == len(first.series) and progress[-1] == (count, count, "read headers")
    assert [done for done, total, _ in progress if total] == list(range(count + 1))
    assert again().series == first.series and read == []
    changed = first.series[3].path
    os.utime(changed, ns=(1, 1))
    assert again().series == first.series and read == [changed]
    with cache.open("a") as stream:
        stream.write('{"version": 1, "path": "cut o')  # stopped while it wrote
    assert again().series == first.series and read == []


def test_a_scan_that_was_stopped_goes_on(unlisted, tmp_path):
    def stop(done, total, stage):
        if done == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        read_release([unlisted], [tmp_path], (), tmp_path / "h.jsonl", stop)
    done = []
    read_release([unlisted], [tmp_path], (), tmp_path / "h.jsonl", lambda *d: done.append(d))
    assert next(first for first, total, _ in done if total) >= 5


def test_a_visit_without_a_list_is_not_forgotten_beside_one_that_has_it(phantoms, folders):
    (folders / "12m" / "contents.csv").unlink()
    found = read_release([folders], [folders / "tables"])
    assert found.layout == "folders and headers" and known(found.series) == listed(phantoms)


def test_a_release_without_a_list_becomes_the_same_datalist(phantoms, unlisted, tmp_path):
    index(unlisted, unlisted / "tables", tmp_path / "a")
    index(phantoms / "folders", phantoms / "folders/tables", tmp_path / "b")
    assert cases(tmp_path / "a") == cases(tmp_path / "b") == [f"{FIRST}-V00-R", f"{SECOND}-V00-R"]
    for name in cases(tmp_path / "a"):
        one, other = (tmp_path / part / "mri" / f"{name}.nii.gz" for part in "ab")
        assert one.read_bytes() == other.read_bytes()
    assert (tmp_path / "a" / "headers.jsonl").stat().st_size > 1000
    assert not (tmp_path / "b" / "headers.jsonl").exists()


def test_stray_files_are_no_series_and_hide_none(phantoms, unlisted, tmp_path):
    for folder in (unlisted, unlisted / "00m", unlisted / "00m" / "0.C.2"):
        (folder / "LICENSE").write_text("of the data")
        with zipfile.ZipFile(folder / "manual.zip", "w") as packed:
            packed.writestr("manual", b"no picture")
    for _ in range(2):
        found = read_release([unlisted], [unlisted], (), tmp_path / "headers.jsonl")
        assert known(found.series) == listed(phantoms) and found.unusable == []


def test_an_image_release_without_a_list_is_not_forgotten(phantoms, folders):
    """`contents.csv` within 0.C.2, and nothing beside 0.E.1."""
    month = folders / "00m"
    (month / "contents.csv").rename(month / "0.C.2" / "contents.csv")
    (month / "0.E.1").mkdir()
    (month / "0.C.2" / SECOND).rename(month / "0.E.1" / SECOND)
    contents = month / "0.C.2" / "contents.csv"
    lines = contents.read_text().splitlines()
    contents.write_text("\n".join(line for line in lines if SECOND not in line) + "\n")
    assert known(read_release([folders], [folders]).series) == listed(phantoms)


def test_both_forms_of_a_series_are_one(phantoms):
    found = read_release([phantoms], [phantoms])
    assert found.layout.startswith("nda and folders") and known(found.series) == listed(phantoms)


def test_a_series_that_lies_there_twice_is_taken_once(phantoms, unlisted):
    shutil.copytree(unlisted / "00m" / "0.C.2", unlisted / "00m" / "copy of 0.C.2")
    found = read_release([unlisted], [unlisted])
    assert known(found.series) == listed(phantoms)
    assert any("lie there twice" in note for note in found.notes)


def test_series_that_share_a_uid_are_no_copies(phantoms, unlisted):
    """Programs that take names out of files give many of them the same."""
    for path in sorted((unlisted / "00m/0.C.2" / SECOND).glob("*/*/001")):
        rewrite(path, SeriesInstanceUID="1.2.3")
    found = read_release([unlisted], [unlisted])
    assert known(found.series) == listed(phantoms)


def test_a_participant_whose_series_have_no_name_stands_in_the_table(unlisted, tmp_path):
    for path in sorted((unlisted / "00m/0.C.2" / SECOND).glob("*/*/001")):
        rewrite(path, SeriesDescription="", ProtocolName="", StudyDescription="KNEE")
    index(unlisted, unlisted, tmp_path / "out")
    rows = excluded(tmp_path / "out")
    for side in "RL":
        row = rows[f"{SECOND}-V00-{side}"]
        assert (row["step"], row["reason"]) == ("list", "no series is named as a knee's")
    assert all(SECOND not in case for case in cases(tmp_path / "out"))


def test_links_and_spaces_are_followed_and_circles_are_not(phantoms, unlisted, tmp_path):
    root = tmp_path / "my downloads (2)" / "Package_1201234"
    root.mkdir(parents=True)
    (root / "00m").symlink_to(unlisted / "00m")
    (unlisted / "00m" / "0.C.2" / "again").symlink_to(unlisted / "00m")
    found = read_release([root.parent], [tmp_path / "folders/tables"])
    assert known(found.series) == [item for item in listed(phantoms) if item[1] == "V00"]


def test_series_whose_headers_tell_nothing_stand_in_the_table(unlisted, tmp_path):
    flash = sorted((unlisted / "00m/0.C.2" / SECOND).glob("*/1*"))
    broken = next(f for f in flash if "FLASH" in pydicom.dcmread(f / "001").SeriesDescription)
    for path in list(broken.iterdir()):
        path.unlink()
        path.write_bytes(b"nothing")
    other = series_folder(unlisted, FIRST, "Bilateral")
    rewrite(other / "001", PatientID="9000777")
    found = read_release([unlisted], [unlisted / "tables"], ["V00"])
    reasons = {item.reason: item for item in found.unusable}
    assert reasons["a series whose files cannot be read"].participant == SECOND
    assert "9000777" in reasons["another participant"].detail
    assert reasons["another participant"].sides == (R, L)
    chosen = selected_of(found)
    fate = {item.knee: item for item in chosen.excluded}
    assert fate[FIRST, "V00", R].reason == "no radiograph"
    assert "its files say 9000777" in fate[FIRST, "V00", R].detail
    assert [item.participant for item in chosen.unknown] == [SECOND]
    assert fate[SECOND, "V00", R].reason == "no MRI of the sequence"
    assert broken.name in fate[SECOND, "V00", R].detail


def series_folder(root: Path, participant: str, description: str) -> Path:
    for folder in sorted((root / "00m").glob(f"*/{participant}/*/*")):
        first = min(path for path in folder.iterdir())
        if description in pydicom.dcmread(first, stop_before_pixels=True).SeriesDescription:
            return folder
    raise AssertionError(description)


def rewrite(path: Path, **attributes) -> None:
    """Replace a hard-linked file by one with other attributes."""
    dataset = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    path.unlink()
    dataset.save_as(path, write_like_original=False)


def test_neither_list_nor_files_is_refused(tmp_path):
    (tmp_path / "Thumbs.db").write_bytes(b"1")
    with pytest.raises(ReleaseError, match="and no series of DICOM files"):
        read_release([tmp_path], [tmp_path])


# --- archives -------------------------------------------------------------------------------------


def repack(archive: Path, form: str) -> Path:
    """The same series in another form, in the archive's place."""
    stem = archive.name.removesuffix(".tar.gz")
    folder = archive.parent / stem
    folder.mkdir()
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()
    if form == "folder":
        return folder
    if form == "nested folder":
        inner = folder / stem
        inner.mkdir()
        for path in [path for path in folder.iterdir() if path != inner]:
            path.rename(inner / path.name)
        return folder
    made = archive.parent / f"{stem}{form}"
    if form.lower() == ".zip":
        with zipfile.ZipFile(made, "w", strict_timestamps=False) as packed:
            for path in sorted(folder.iterdir()):
                packed.write(path, f"{stem}/{path.name}")
    else:
        with tarfile.open(made, "w:gz" if "gz" in form.lower() else "w") as packed:
            packed.add(folder, arcname=stem)
    shutil.rmtree(folder)
    return made


@pytest.mark.parametrize(
    "form", ["folder", "nested folder", ".zip", ".tgz", ".tar", ".TAR.GZ", ".ZIP"]
)
def test_archives_may_be_unpacked_or_packed_otherwise(phantoms, tmp_path, form):
    nda = linked(phantoms / "nda", tmp_path / "nda")
    listing = read_release([nda], [nda], ["V00"])
    flash = next(
        item for item in listing.series
        if item.participant == SECOND and item.description == "COR_T1_3D_FLASH_RIGHT"
    )  # fmt: skip
    with opened(flash.path) as files:
        before = read_series(files, FLASH, R, SECOND).voxels
    made = repack(flash.path, form)
    again = next(i for i in read_release([nda], [nda], ["V00"]).series if i.number == flash.number)
    assert again.path == made and replace(again, path=flash.path) == flash
    with opened(made) as files:
        assert np.array_equal(read_series(files, FLASH, R, SECOND).voxels, before)
    (nda / "image03.txt").unlink()
    found = read_release([nda], [tmp_path], ["V00"]).series
    if form != "nested folder":
        assert known([again]) == known(item for item in found if item.number == again.number)


def test_everything_unpacked_gives_the_same_pairs(phantoms, tmp_path):
    nda = linked(phantoms / "nda", tmp_path / "nda")
    for archive in sorted(nda.rglob("*.tar.gz")):
        repack(archive, "folder")
    index(nda, nda, tmp_path / "out")
    assert cases(tmp_path / "out") == [f"{FIRST}-V00-R", f"{SECOND}-V00-R"]


def test_an_archive_goes_before_its_half_unpacked_folder(phantoms, tmp_path):
    nda = linked(phantoms / "nda", tmp_path / "nda")
    path = read_release([nda], [nda], ["V00"]).series[0].path
    (path.parent / path.name.removesuffix(".tar.gz")).mkdir()
    assert read_release([nda], [nda], ["V00"]).series[0].path == path


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short"])
def test_a_damaged_zip_is_told(tmp_path, content):
    (tmp_path / "10000001.zip").write_bytes(content)
    with pytest.raises(VolumeError, match="a damaged archive"), opened(tmp_path / "10000001.zip"):
        pass


def test_a_zip_cannot_write_outside(tmp_path):
    with zipfile.ZipFile(tmp_path / "1.zip", "w") as packed:
        packed.writestr("../../evil", b"evil")
    with opened(tmp_path / "1.zip") as files:
        assert [path.name for path in files] == ["evil"]
    assert not list(tmp_path.parent.glob("evil")) and not (tmp_path / "evil").exists()


def test_packages_lie_in_folders_of_any_case_below_numbers(phantoms, tmp_path):
    root = tmp_path / "data" / "1201234" / "Results"
    root.mkdir(parents=True)
    linked(phantoms / "nda" / "image03" / "00m" / "0.C.2", root / "0.c.2")
    shutil.copy(phantoms / "nda" / "image03.txt", tmp_path / "data" / "1201234" / "IMAGE03.TXT")
    found = read_release([tmp_path / "data"], [tmp_path], ["V00"])
    assert len(found.series) > 10 and all(item.path for item in found.series)


def test_lists_may_have_lost_leading_zeros(phantoms, folders):
    contents = folders / "00m" / "contents.csv"
    rows = list(csv.reader(contents.open()))
    for row in rows[1:]:
        *above, number = row[0].split("/")
        row[0], row[1] = "/".join([*above, number.lstrip("0")]), f"{row[1]}.0"
    with contents.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    found = read_release([folders], [folders], ["V00"])
    assert all(item.path for item in found.series)
    assert {item.participant for item in found.series} == {FIRST, SECOND}


# --- visits and image releases --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "visit"),
    [
        ("Screening", "V00"), ("SCREENING VISIT", "V00"), ("Enrollment", "V00"),
        ("Baseline visit", "V00"), ("Initial Eligibility Interview", "V00"), ("month 12", "V01"),
        ("24-month follow-up visit", "V03"), ("36_month", "V05"), ("Screening 2", None),
    ],
)  # fmt: skip
def test_screening_and_enrollment_are_the_baseline(text, visit):
    assert visit_of(text) == visit


@pytest.mark.parametrize(
    ("path", "visit"),
    [
        ("00m/0.C.2", "V00"), ("results/0.C.1", "V00"), ("0.E.1/9000099", "V00"),
        ("x/0.E.2/9000099/20050811", "V00"), ("results/0.c.2", "V00"), ("1.C.2", "V01"),
        ("6.E.1/9000099", "V06"), ("10.C.2", "V10"), ("24m/0.C.2", "V03"), ("4.X.9", "V04"),
        ("OAIScreeningImages/results", "V00"), ("OAIBaselineImages", "V00"),
        ("OAI12MonthImages", "V01"), ("oai_24_month_mri", "V03"), ("OAI_Screening", "V00"),
        ("data/9000099", None), ("screenings", None), ("oai", None), ("OAI1234", None),
    ],
)  # fmt: skip
def test_folders_tell_the_visit(path, visit):
    assert visit_of_path(PurePosixPath(path)) == visit


def test_films_of_the_screening_go_with_scans_of_the_baseline(phantoms, tmp_path):
    """As the package OAIScreeningImages has them: another image release, another visit's name."""
    nda = linked(phantoms / "nda", tmp_path / "nda")
    (nda / "image03" / "results").mkdir()
    text = (nda / "image03.txt").read_text().splitlines()
    for number, line in enumerate(text):
        if "Bilateral" in line and '"V00"' in line:
            line = line.replace('"V00"', '"Screening"')
            text[number] = line.replace("00m/0.C.2", "results/0.C.1")
    (nda / "image03.txt").write_text("\n".join(text) + "\n")
    for film in sorted((nda / "image03/00m").glob("0.C.2/*/*/0*")):
        target = nda / "image03/results/0.C.1" / film.relative_to(nda / "image03/00m/0.C.2")
        target.parent.mkdir(parents=True)
        film.rename(target)
    index(nda, nda, tmp_path / "out")
    assert cases(tmp_path / "out") == [f"{FIRST}-V00-R", f"{SECOND}-V00-R"]
    (nda / "image03.txt").unlink()
    found = read_release([nda], [nda], ["V00"])
    assert known(found.series) == [item for item in listed(phantoms) if item[1] == "V00"]


@pytest.mark.parametrize("name", ["0.C.1", "0.E.1", "0.E.2"])
def test_image_releases_lie_beside_each_other(phantoms, folders, name):
    person = folders / "00m" / "0.C.2" / SECOND
    (folders / "00m" / name).mkdir()
    person.rename(folders / "00m" / name / SECOND)
    contents = folders / "00m" / "contents.csv"
    contents.write_text(contents.read_text().replace(f"0.C.2/{SECOND}", f"{name}/{SECOND}"))
    assert known(read_release([folders], [folders]).series) == listed(phantoms)


def test_lines_of_an_unknown_visit_stand_in_the_table(phantoms, tmp_path):
    nda = linked(phantoms / "nda", tmp_path / "nda")
    text = (nda / "image03.txt").read_text().splitlines()
    for number, line in enumerate(text):
        if SECOND in line:
            line = line.replace('"V00"', '"some day"').replace("0.C.2", "images")
            text[number] = line.replace("/00m/", "/somewhere/")
    (nda / "image03.txt").write_text("\n".join(text) + "\n")
    index(nda, nda, tmp_path / "out")
    row = excluded(tmp_path / "out")[f"{SECOND}--R"]
    assert (row["step"], row["reason"]) == ("list", "its visit is not stated")
    assert row["detail"].startswith("image03.txt: ")
    assert "its visit is not stated" in (tmp_path / "out" / "flow.txt").read_text()


# --- dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("20050103", "20050103"), ("2005-01-03", "20050103"), ("01/03/2005", "20050103"),
        ("1/3/05", "20050103"), ("13/01/2005", "20050113"), ("03JAN2005", "20050103"),
        ("03-Jan-2005", "20050103"), ("Jan 3, 2005", "20050103"), ("38355", "20050103"),
        ("2005-01-03T08:15:00", "20050103"), ("1/3/2005 0:00", "20050103"),
        ("20050103.0", "20050103"), ("12/31/2004", "20041231"), ("03jan05:10:00", "20050103"),
        ("03JAN2005:08:15:00", "20050103"), ("20050103081500", "20050103"),
        ("20050103T081500", "20050103"), ("Monday, January 3, 2005", "20050103"),
        ("3. Jan. 2005", "20050103"), ("Jan-03-2005", "20050103"), ("2005-JAN-03", "20050103"),
        ('="01/03/2005"', "20050103"), ("2005\u5e741\u67083\u65e5", "20050103"),
        ("20050103081", ""), ("2005-003", ""), ("99999999", ""), ("Jan", ""),
        ("03.01.2005", "20050103"), ("3.1.05", "20050103"), ("03.01.2005 08:15", "20050103"),
        ("01.13.2005", "20050113"),
        ("02/30/2005", ""), ("20051301", ""), ("soon", ""), ("", ""), ("99", ""),
    ],
)  # fmt: skip
def test_dates_are_parsed(text, date):
    assert date_of(text) == date


@pytest.mark.parametrize("form", ["{m}/{d}/{y}", "{y}-{m}-{d}", "{d}{month}{y}"])
def test_of_rescans_over_new_year_the_last_counts(folders, form):
    """With dates alone: the folders' names tell none."""
    contents = folders / "00m" / "contents.csv"
    rows = list(csv.reader(contents.open()))
    dates = iter([("2004", "12", "31", "DEC"), ("2005", "01", "03", "JAN")])
    chosen = {}
    for row in rows[1:]:
        person, day, number = row[0].split("/")[1:]
        place = folders / "00m" / "0.C.2" / person
        if (place / day).exists():
            (place / day).rename(place / "visit")
        row[0] = f"0.C.2/{person}/visit/{number}"
        if person == FIRST and row[5].strip() == "COR_T1_3D_FLASH_RIGHT":
            y, m, d, month = next(dates, ("2004", "06", "01", "JUN"))
            row[2] = form.format(y=y, m=m, d=d, month=month)
            chosen[row[2]] = number
    rows = [rows[0], *rows[1:][::-1]]
    with contents.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    found = read_release([folders], [folders / "tables"], ["V00"])
    knee = selected_of(found).candidates[0]
    assert knee.mri.date == "20050103"
    assert knee.mri.number == chosen[form.format(y="2005", m="01", d="03", month="JAN")]


# --- litter among the pictures --------------------------------------------------------------------

LITTER = ["Thumbs.db", "desktop.ini", "._001", ".DS_Store", "md5sums.txt", "series.md5", "MD5",
          "DICOMDIR", "~lock", "preview.JPG", "notes", "checksums.sha256", "_SYNCAPP"]  # fmt: skip


@pytest.fixture
def flash(phantoms, tmp_path) -> Path:
    source = series_of(phantoms, "COR_T1_3D_FLASH_RIGHT", SECOND)
    return Path(shutil.copytree(source, tmp_path / "flash"))


def read(folder: Path) -> np.ndarray:
    with opened(folder) as files:
        return read_series(files, FLASH, R, SECOND).voxels


def test_litter_among_pictures_is_passed_over(flash):
    before = read(flash)
    for name in LITTER:
        (flash / name).write_bytes(b"\x00\x05\x16\x07 no picture")
    (flash / "empty").touch()
    assert np.array_equal(read(flash), before)


def test_litter_beside_a_film_is_no_second_projection(phantoms, tmp_path):
    source = series_of(phantoms, "Bilateral PA Fixed Flexion Knee", SECOND)
    folder = Path(shutil.copytree(source, tmp_path / "film"))
    for name in LITTER:
        (folder / name).write_bytes(b"no picture")
    with opened(folder) as files:
        assert read_knee(files, R).pixels.any()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\0" * 4096])
def test_a_picture_that_is_damaged_is_no_litter(flash, content):
    (flash / "040").write_bytes(content)
    with pytest.raises(VolumeError, match="a corrupt file: 040"):
        read(flash)


def test_names_of_other_forms_are_pictures_too(flash, tmp_path):
    before = read(flash)
    for path in list(flash.iterdir()):
        path.rename(path.with_name(f"IM-{path.name}.dcm"))
    assert np.array_equal(read(flash), before)
    (flash / "IM-017.dcm").write_bytes(b"damaged")
    with pytest.raises(VolumeError, match=r"a corrupt file: IM-017\.dcm"):
        read(flash)


def test_a_folder_of_litter_alone_is_told(tmp_path):
    (tmp_path / "Thumbs.db").write_bytes(b"1")
    with pytest.raises(VolumeError, match=r"no picture: 1 other files, such as Thumbs\.db"):
        read(tmp_path)


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
@pytest.mark.parametrize("meta", [False, True])
def test_files_without_a_preamble_are_read(flash, syntax, meta):
    before = read(flash)
    for path in flash.iterdir():
        dataset = pydicom.dcmread(path)
        if syntax == "implicit":
            dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
            dataset.is_implicit_VR = True
        if meta:
            dataset.save_as(path, write_like_original=False)
            path.write_bytes(path.read_bytes()[132:])
        else:
            del dataset.file_meta, dataset.preamble
            dataset.save_as(path, write_like_original=True)
        assert path.read_bytes()[128:132] != b"DICM" and is_dicom(path)
    assert np.array_equal(read(flash), before)
    (flash / "Thumbs.db").write_bytes(b"1" * 500)
    assert len(pictures_among(flash.iterdir())) == 80


def test_series_without_preamble_are_found_without_a_list(phantoms, unlisted):
    film = series_folder(unlisted, SECOND, "Bilateral") / "001"
    dataset = pydicom.dcmread(film)
    del dataset.file_meta, dataset.preamble
    film.unlink()
    dataset.save_as(film, write_like_original=True)
    assert known(read_release([unlisted], [unlisted]).series) == listed(phantoms)


# --- tables that a spreadsheet has saved again ----------------------------------------------------

CELLS = [
    ["ID", "SIDE", "V00XRKL", "Note"],
    ["9000099", "1", "2", "naïve"],
    ["9000100", "2", "", "x"],
]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("separator", [";", "|", "\t", ","])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_in_any_form(tmp_path, encoding, separator, end):
    text = end.join(separator.join(line) for line in CELLS) + end
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    table = read_table(tmp_path / "a.csv")
    assert table.frame.columns.tolist() == ["id", "side", "v00xrkl", "note"]
    assert table.frame.values.tolist() == CELLS[1:]


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\n', "\n\n", "\ufeff", "  \n",
    "Table 1. Readings\n", "# downloaded 2024\n"])  # fmt: skip
def test_what_stands_before_a_header_is_passed_over(tmp_path, first):
    text = first + "\n".join(";".join(line) for line in CELLS)
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert read_table(tmp_path / "a.csv").frame.values.tolist() == CELLS[1:]


def test_quoted_cells_may_hold_the_separator(tmp_path):
    (tmp_path / "a.csv").write_text('ID;NOTE\n1;"a; b"\n2;c\n')
    assert read_table(tmp_path / "a.csv").frame.values.tolist() == [["1", "a; b"], ["2", "c"]]


def test_a_byte_that_is_no_utf8_costs_no_column(tmp_path):
    text = "\n".join(";".join(line) for line in CELLS).encode("latin-1")
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + text)
    assert read_table(tmp_path / "a.csv").frame.columns.tolist()[0] == "id"


@pytest.mark.parametrize("last", ["9000100;2;", "9000100;2;;;;", "9000100;2;;x;"])
def test_separators_behind_the_last_column_are_no_columns(tmp_path, last):
    (tmp_path / "a.csv").write_text(f"ID;SIDE;;;\n9000099;1;;;\n{last}\n")
    table = read_table(tmp_path / "a.csv")
    assert table.frame.values.tolist() == [["9000099", "1"], ["9000100", "2"]]


@pytest.mark.parametrize("closed", [True, False])
def test_an_open_quote_costs_its_row_and_swallows_no_others(tmp_path, closed):
    rows = ["1;2;x", '2;3;"old film', "3;4;y", "4;0;z"]
    if closed:  # by another slip, rows further down
        rows[3] = '4;0;z"'
    (tmp_path / "a.csv").write_text("ID;V00XRKL;NOTE\n" + "\n".join(rows) + '\n5;1;"a\nb"\n')
    table = read_table(tmp_path / "a.csv")
    assert table.frame["id"].tolist() == list("12345")
    assert table.frame["v00xrkl"].tolist() == list("23401")
    assert table.frame["note"].tolist()[-1] == "a\nb"
    assert table.odd == {1: "line 3 has a quote that is not closed"}


@pytest.mark.parametrize("separator", ["|", "\t", ",", ";"])
def test_rows_that_r_has_named_are_not_shifted(tmp_path, separator):
    """Its header names no column of these names, and so has one name less than rows have cells."""
    rows = [[str(number), *cells] for number, cells in enumerate(CELLS[1:], 1)]
    text = "\n".join(separator.join(line) for line in [CELLS[0], *rows]) + "\n"
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    table = read_table(tmp_path / "a.csv")
    assert table.frame.values.tolist() == CELLS[1:] and table.odd == {}
    assert table.frame.columns.tolist() == ["id", "side", "v00xrkl", "note"]


def test_columns_of_nothing_are_no_names_of_rows(tmp_path):
    (tmp_path / "a.csv").write_text("ID;SIDE\n9000099;1;\n9000100;2;\n")
    table = read_table(tmp_path / "a.csv")
    assert table.frame["id"].tolist() == ["9000099", "9000100"]


def test_decimal_commas_are_numbers():
    assert read_cell('="2: Minimal"').number == read_cell("'2").number == 2
    assert read_cell("27,5").number == 27.5 and read_cell("2,0: Minimal").number == 2
    with pytest.raises(ReleaseError):
        read_cell("1,234,567")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9000099.0", "9000099"), ("9000099.000", "9000099"), ("9000099,0", "9000099"),
        ("'9000099", "9000099"), ("9.000099E+06", "9000099"), (" 9000099 ", "9000099"),
        ("9000099", "9000099"), ("9.0E+06", "9.0E+06"), ("NDAR_INV1", "NDAR_INV1"), ("nan", ""),
        ('="9000099"', "9000099"), ("9,000,099", "9000099"), ("9.000.099", "9000099"),
        ("9\u00a0000\u00a0099", "9000099"), ("1,234", "1,234"), ("9,00,099", "9,00,099"),
    ],
)  # fmt: skip
def test_numbers_of_spreadsheets_are_identifiers(text, expected):
    assert identifier(text) == expected


def test_zeros_in_front_are_no_part_of_a_participant_and_part_of_a_barcode():
    assert participant_of("0009000099") == "9000099" and participant_of("A01") == "A01"
    assert barcode("16600123456.0") == barcode("'016600123456") == "016600123456"


def test_a_line_with_too_many_cells_is_told_and_the_others_are_read(tmp_path):
    lines = ["ID|SIDE|V00XRKL", "1|1|2", "2|1|2|what|is this", "3|1|3||", "4|2"]
    (tmp_path / "kxr_sq_bu00.txt").write_text("\n".join(lines) + "\n")
    table = read_table(tmp_path / "kxr_sq_bu00.txt")
    assert table.frame["id"].tolist() == ["1", "2", "3", "4"]
    assert table.odd == {1: "line 3 has 5 cells, the header 3"}
    found = read_readings([tmp_path], ["V00"])
    assert found["1", "V00", R].kl == 2 and found["3", "V00", R].problem == ""
    assert found["2", "V00", R].problem == "kxr_sq_bu00.txt: line 3 has 5 cells, the header 3"


def test_a_line_too_long_of_the_nda_is_counted_after_the_line_that_explains(tmp_path):
    lines = ["src_subject_id\tvisit", "The subject\tThe visit", "9000099\tV00", "9000100\tV00\tx"]
    (tmp_path / "image03.txt").write_text("\n".join(lines) + "\n")
    table = read_table(tmp_path / "image03.txt")
    assert len(table) == 2 and list(table.odd) == [1]


def test_sas_transport_files_are_tables(tmp_path, monkeypatch):
    import pandas as pd

    asked = []
    frame = pd.DataFrame({"ID": ["9000099"], "V00XRKL": [2.0]})
    monkeypatch.setattr(tables.pd, "read_sas", lambda path, **o: asked.append(o["format"]) or frame)
    (tmp_path / "KXR_SQ_BU00.XPT").write_bytes(b"")
    (path,) = tables.find_tables([tmp_path], r"kxr_sq_bu\d\d")
    assert read_table(path).frame.values.tolist() == [["9000099", "2"]] and asked == ["xport"]


# --- one odd cell costs a knee --------------------------------------------------------------------


def spoil(path: Path, column: str, value: str, person: str = SECOND, side: str = "") -> None:
    """Put a value into the lines of a participant's (right) knee."""
    text = path.read_text()
    separator = max("|\t,", key=text.split("\n", 1)[0].count)
    rows = list(csv.reader(text.splitlines(), delimiter=separator))
    names = [name.lower() for name in rows[0]]
    ids = next(names.index(n) for n in ("id", "src_subject_id", "participantid") if n in names)
    for row in rows[1:]:
        if row[ids] == person and (not side or row[names.index("side")][:1] == side):
            row[names.index(column.lower())] = value
    with path.open("w", newline="") as stream:
        csv.writer(stream, delimiter=separator).writerows(rows)


ODD_CELLS = [
    ("folders", "tables/kxr_sq_bu00.txt", "V00XRKL", "two", "readings", "'two'"),
    ("folders", "tables/kxr_sq_bu00.txt", "V00XROSFM", "#REF!", "readings", "#REF!"),
    ("folders", "tables/kxr_sq_bu00.txt", "READPRJ", "fifteen", "readings", "'fifteen'"),
    ("folders", "tables/kxr_sq_bu00.txt", "SIDE", "3: Middle", "readings", "3: Middle"),
    ("folders", "tables/AllClinical00.txt", "V00AGE", "sixty", "person", "'sixty'"),
    ("folders", "tables/AllClinical00.txt", "P01BMI", "#DIV/0!", "person", "#DIV/0!"),
    ("folders", "tables/AllClinical00.txt", "P01BMI", "2800", "person", "2800"),
    ("folders", "00m/contents.csv", "Folder", "", "files", ""),
    ("nda", "oai_kxrsemiquant01.txt", "xrkl", "n.k.", "readings", "n.k."),
    ("nda", "oai_kxrsemiquant01.txt", "readprj", "?", "readings", "?"),
    ("nda", "oai_kxrsemiquant01.txt", "side", "x", "readings", "'x'"),
    ("nda", "oai_oarisk01.txt", "bmi", "heavy", "person", "'heavy'"),
    ("nda", "image03.txt", "image_file", "", "files", ""),
]


@pytest.mark.parametrize(("form", "name", "column", "value", "step", "message"), ODD_CELLS)
def test_one_odd_cell_costs_a_knee_and_no_run(
    phantoms, tmp_path, form, name, column, value, step, message
):
    root = linked(phantoms / form, tmp_path / form)
    spoil(root / name, column, value)
    chosen = selected(root, root)
    assert [knee.case for knee in chosen.candidates] == [f"{FIRST}-V00-R"]
    fate = {item.knee: item for item in chosen.excluded}[SECOND, "V00", R]
    assert fate.step == step and message in fate.detail


@pytest.mark.parametrize(
    ("form", "name", "column"),
    [
        ("folders", "tables/Enrollees.txt", "P02SEX"),
        ("folders", "tables/Enrollees.txt", "V00SITE"),
        ("folders", "00m/contents.csv", "StudyDate"),
        ("nda", "image03.txt", "accession_number"),
        ("nda", "oai_enrollee01.txt", "sex"),
        ("nda", "image03.txt", "visit"),  # the folder tells it as well
    ],
)
def test_what_is_not_needed_may_be_odd(phantoms, tmp_path, form, name, column):
    root = linked(phantoms / form, tmp_path / form)
    spoil(root / name, column, "??")
    assert [knee.case for knee in selected(root, root).candidates] == [
        f"{person}-V00-R" for person in (FIRST, SECOND)
    ]


def test_an_odd_number_counts_only_where_no_other_table_tells(tmp_path):
    for name, column, age in (
        ("oai_enrollee01.txt", "ageyears", "old"),
        ("oai_oarisk01.txt", "interview_age", "743"),
    ):
        lines = f"src_subject_id\tvisit\t{column}\n1\tV00\t{age}\n"
        (tmp_path / name).write_text(lines)
    person = read_people([tmp_path]).at("1", "V00")
    assert person.age == 61 and person.problem == ""


def test_a_line_of_a_list_that_is_odd_costs_its_series(phantoms, folders, tmp_path):
    contents = folders / "00m" / "contents.csv"
    lines = contents.read_text().splitlines()
    for number, line in enumerate(lines):
        if SECOND in line and "COR_T1_3D_FLASH_RIGHT" in line:
            lines[number] = line + ",and,more"
    contents.write_text("\n".join(lines) + "\n")
    index(folders, folders / "tables", tmp_path / "out")
    assert cases(tmp_path / "out") == [f"{FIRST}-V00-R"]
    row = excluded(tmp_path / "out")[f"{SECOND}-V00-R"]
    assert row["reason"] == "no MRI of the sequence" and "has 8 cells" in row["detail"]


def test_participants_missing_from_a_table_are_told(phantoms, folders, tmp_path):
    path = folders / "tables" / "kxr_sq_bu00.txt"
    path.write_text("\n".join(t for t in path.read_text().splitlines() if SECOND not in t) + "\n")
    for name in ("AllClinical00.txt", "Enrollees.txt"):
        (folders / "tables" / name).unlink()
    index(folders, folders / "tables", tmp_path / "out")
    assert excluded(tmp_path / "out")[f"{SECOND}-V00-R"]["reason"] == "no readings"
    item = load_datalist(tmp_path / "out" / "datalist.json")[0]
    assert not {"age", "bmi", "sex"} & item.keys()
