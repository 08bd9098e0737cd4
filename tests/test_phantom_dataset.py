"""A corpus on disk: whole cases, the same bytes every time, resumable, split by participant."""

import json
import os
import threading
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image

import xr2mri_core.phantom as phantom
from xr2mri_core.datalist import SPLITS, load_datalist
from xr2mri_core.errors import Cancelled, DatalistError, InputError, OutputError
from xr2mri_core.phantom import dataset
from xr2mri_core.phantom.case import PhantomCase
from xr2mri_core.phantom.cohort import sample_features
from xr2mri_core.phantom.dataset import case_seed, write_cases

FILES = {"radiograph.dcm", "radiograph.png", "mri.nii.gz", "labels.nii.gz", "features.json"}


@pytest.fixture
def made(monkeypatch):
    """Replaces the painter by noise; the list of seeds that it was asked for."""
    seeds: list[int] = []

    def make_case(seed, features=None, enrichment=0.35):
        seeds.append(seed)
        rng = np.random.default_rng(seed)
        return PhantomCase(
            radiograph=rng.integers(0, 4096, (24, 24)).astype(np.uint16),
            radiograph_spacing=0.31,
            mri=rng.integers(0, 900, (8, 6, 8)).astype(np.int16),
            labels=rng.integers(0, 9, (8, 6, 8)).astype(np.uint8),
            affine=np.diag([0.625, 1.5, 0.625, 1]),
            features=sample_features(rng, enrichment),
            demographics={"sex": "M", "age": 60, "bmi": 28.0, "height_cm": 175.0},
            parameters={"beam": {"kvp": 70.0, "mas": 9.0}},
        )

    monkeypatch.setattr(phantom, "make_case", make_case)
    return seeds


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_case_is_a_pair_with_labels_and_a_record(tmp_path, made):
    path = write_cases(tmp_path, 1, seed=4, jobs=1)
    case = tmp_path / "cases" / "phantom-000000"
    assert path == tmp_path / "datalist.json"
    assert {file.name for file in case.iterdir()} == FILES
    dicom = pydicom.dcmread(case / "radiograph.dcm")
    picture = np.asarray(Image.open(case / "radiograph.png"))
    assert dicom.PatientID == "phantom-000000" and dicom.PatientSex == "M"
    np.testing.assert_array_equal(dicom.pixel_array, picture)
    mri, labels = nib.load(case / "mri.nii.gz"), nib.load(case / "labels.nii.gz")
    assert (mri.get_data_dtype(), labels.get_data_dtype()) == (np.int16, np.uint8)
    assert nib.aff2axcodes(mri.affine) == ("R", "A", "S")
    assert "synthetic" in str(mri.header["descrip"])
    record = json.loads((case / "features.json").read_text())
    assert record["synthetic"] is True and record["case_seed"] == made[0] == case_seed(4, 0)
    assert record["labels"]["cyst"] == int(phantom.Tissue.CYST)
    assert len(record["features"]) == 19


def test_datalist_is_split_by_participant_and_loads(tmp_path, made):
    path = write_cases(tmp_path, 20, seed=1, jobs=1, enrichment=0.5)
    splits = {name: load_datalist(path, name) for name in ("training", "validation", "test")}
    assert [len(items) for items in splits.values()] == [14, 4, 2]
    assert Path(splits["test"][0]["radiograph"]).name == "radiograph.dcm"
    content = json.loads(path.read_text())
    assert content["synthetic"] is True and "enriched by 0.5" in content["description"]
    assert content["training"][0]["mri"].startswith("cases/phantom-")


def test_a_test_patient_stays_one_when_a_corpus_grows(tmp_path, made):
    def cases(path):
        return {s: {i["case"] for i in load_datalist(path, s)} for s in SPLITS}

    before = cases(write_cases(tmp_path, 20, seed=1, jobs=1))
    after = cases(write_cases(tmp_path, 60, seed=1, jobs=1))
    assert all(before[split] < after[split] for split in SPLITS)
    assert [len(after[split]) for split in SPLITS] == [42, 12, 6]


def test_the_shares_of_the_splits_can_be_chosen(tmp_path, made):
    path = write_cases(tmp_path, 10, seed=1, jobs=1, ratios=(5, 1, 4))
    assert [len(load_datalist(path, split)) for split in SPLITS] == [5, 1, 4]
    with pytest.raises(DatalistError, match="give three numbers"):
        write_cases(tmp_path / "none", 1, seed=1, jobs=1, ratios=(1, 1))
    assert not (tmp_path / "none").exists()


def test_a_damaged_datalist_is_told_before_hours_of_work(tmp_path, made):
    (tmp_path / "datalist.json").write_text("{", encoding="utf-8")
    with pytest.raises(DatalistError, match="datalist"):
        write_cases(tmp_path, 3, seed=1, jobs=1)
    assert not made and not (tmp_path / "cases").exists()


def test_the_same_seed_gives_the_same_bytes_wherever_it_is_written(tmp_path, made, monkeypatch):
    write_cases(tmp_path / "a", 3, seed=2, jobs=1)
    monkeypatch.chdir(tmp_path)
    write_cases("b", 3, seed=2, jobs=1)
    write_cases("c", 3, seed=3, jobs=1)
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")
    assert _bytes(tmp_path / "a") != _bytes(tmp_path / "c")


def test_an_interrupted_run_resumes_and_leaves_no_parts(tmp_path, made):
    reports = []

    def stop_after_two(done, total):
        reports.append((done, total))
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        write_cases(tmp_path / "a", 4, seed=0, jobs=1, progress=stop_after_two)
    assert reports == [(0, 4), (1, 4), (2, 4)]
    assert len(list((tmp_path / "a" / "cases").iterdir())) == 2
    (tmp_path / "a" / "cases" / ".phantom-000002.part").mkdir()
    made.clear()
    write_cases(tmp_path / "a", 4, seed=0, jobs=1)
    assert len(made) == 2
    write_cases(tmp_path / "b", 4, seed=0, jobs=1)
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")


def test_a_second_run_on_the_same_folder_waits_for_the_first(tmp_path, made, monkeypatch):
    """It cleared what the first was writing as if a killed process had left it."""
    writing, second = threading.Event(), []
    write = dataset.write_nifti

    def slowly(*args, **kwargs):
        if not writing.is_set():
            writing.set()
            second.append(threading.Thread(target=write_cases, args=(tmp_path, 2, 0, 1)))
            second[0].start()
            second[0].join(1)  # long enough to clear, were it not waiting
        return write(*args, **kwargs)

    monkeypatch.setattr(dataset, "write_nifti", slowly)
    write_cases(tmp_path, 2, seed=0, jobs=1)
    second[0].join()
    assert len(made) == 2 and len(load_datalist(tmp_path / "datalist.json")) == 2


def test_a_fault_inside_a_case_leaves_nothing_of_it(tmp_path, made, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("xr2mri_core.phantom.dataset.write_nifti", full)
    with pytest.raises(OutputError, match="No space left"):
        write_cases(tmp_path, 2, seed=0, jobs=1)
    assert not list((tmp_path / "cases").iterdir())
    assert not (tmp_path / "datalist.json").exists()


def test_a_corpus_can_be_extended(tmp_path, made):
    write_cases(tmp_path, 2, seed=0, jobs=1)
    path = write_cases(tmp_path, 2, seed=0, jobs=1, start=2)
    assert [item["case"] for item in sorted(load_datalist(path), key=lambda i: i["case"])] == [
        f"phantom-{index:06d}" for index in range(4)
    ]


@pytest.mark.parametrize("change", [{"seed": 1}, {"enrichment": 0.1}])
def test_a_folder_of_other_settings_is_refused(tmp_path, made, change):
    write_cases(tmp_path, 1, seed=0, jobs=1)
    with pytest.raises(DatalistError, match=f"{next(iter(change))}.*another folder"):
        write_cases(tmp_path, **{"cases": 2, "seed": 0, "jobs": 1, **change})


def test_a_damaged_record_is_named(tmp_path, made):
    write_cases(tmp_path, 1, seed=0, jobs=1)
    (tmp_path / "cases" / "phantom-000000" / "features.json").write_text("{")
    with pytest.raises(DatalistError, match=r"phantom-000000.*remove"):
        write_cases(tmp_path, 1, seed=0, jobs=1)


@pytest.mark.parametrize(
    "wrong", [{"cases": 0}, {"seed": -1}, {"jobs": 0}, {"start": -1}, {"enrichment": 2}]
)
def test_numbers_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        write_cases(tmp_path, **{"cases": 1, "seed": 0, **wrong})


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_cases(tmp_path / "file", 1, seed=0)


def test_case_seeds_are_distinct():
    seeds = {case_seed(seed, index) for seed in range(3) for index in range(300)}
    assert len(seeds) == 900 and max(seeds) < 2**53


@pytest.mark.slow
def test_processes_do_not_change_the_bytes(tmp_path):
    write_cases(tmp_path / "one", 2, seed=0, jobs=1)
    write_cases(tmp_path / "two", 2, seed=0, jobs=2)
    assert _bytes(tmp_path / "one") == _bytes(tmp_path / "two")
    assert os.path.getsize(tmp_path / "one/cases/phantom-000000/mri.nii.gz") < 8e6
