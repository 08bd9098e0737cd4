"""The spread of the volume under other radiographs of the same knee."""

import csv
import json

import numpy as np
import pytest
import torch

from xr2mri_core.cli import main
from xr2mri_core.datalist import load_datalist
from xr2mri_core.errors import DatalistError
from xr2mri_core.evaluation import robustness as module
from xr2mri_core.evaluation.robustness import changed, robustness
from xr2mri_core.transforms.augmentation import CHANGES


def test_every_change_of_every_case_is_measured_beside_the_scale(
    tiny_bundle, labelled_datalist, tmp_path, capsys
):
    words = [
        "robustness",
        "--bundle",
        tiny_bundle,
        "--datalist",
        labelled_datalist,
        "--out",
        tmp_path,
    ]
    assert main([*map(str, words), "--device", "cpu", "--steps", "1", "--jobs", "1"]) == 0
    text = (tmp_path / "robustness.md").read_text()
    with (tmp_path / "robustness.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ["unchanged", "other noise", "other patient", *CHANGES]
    assert [row["change"] for row in rows if row["case"] == "case-3"] == names
    assert {row["case"] for row in rows} == {"case-3", "case-4"}
    summary = json.loads((tmp_path / "robustness.json").read_text())
    assert list(summary) == names and all(name in text for name in names)
    assert summary["unchanged"]["self_rms"] == 0
    assert summary["unchanged"]["self_ssim"] == pytest.approx(1)
    for name in names[1:]:
        assert summary[name]["self_rms"] > 0 and summary[name]["self_ssim"] < 1
    assert capsys.readouterr().out.strip() == text.strip()
    assert not (tmp_path / "unfinished").exists()


def test_a_generator_that_ignores_its_radiograph_does_not_move(
    generator, labelled_datalist, tmp_path, monkeypatch
):
    code = generator.model.encode_radiograph(torch.zeros(1, 1, 64, 64))
    monkeypatch.setattr(generator.model, "encode_radiograph", lambda radiograph: code)
    robustness(labelled_datalist, generator, tmp_path, cases=2, steps=1)
    summary = json.loads((tmp_path / "robustness.json").read_text())
    assert all(summary[name]["self_rms"] == 0 for name in ["other patient", *CHANGES])
    assert summary["other noise"]["self_rms"] > 0


def test_a_changed_radiograph_keeps_its_notes_and_its_original(generator, small_datalist):
    item = load_datalist(small_datalist)[0]
    own = generator.read(item["radiograph"], laterality="R")
    before = own.picture.clone()
    other = changed(own, "crop", seed=4)
    assert other.picture.shape == own.picture.shape and other.info == own.info
    assert not torch.equal(other.picture, before) and torch.equal(own.picture, before)
    assert torch.equal(other.picture, changed(own, "crop", seed=4).picture)


def test_a_phantom_is_taken_anew(generator, small_datalist, monkeypatch):
    item = load_datalist(small_datalist)[0]
    asked = {}

    def make_case(**arguments):
        asked.update(arguments)
        pixels = np.random.default_rng(0).integers(0, 4096, (512, 512)).astype(np.uint16)
        return type("Case", (), {"radiograph": pixels, "radiograph_spacing": 0.3})

    monkeypatch.setattr("xr2mri_core.phantom.make_case", make_case)
    monkeypatch.setattr(module, "phantom_origin", lambda item: {"seed": 8, "enrichment": 0.5})
    anew = module._taken_anew(generator, item, generator.read(item["radiograph"]))
    assert asked == {
        "seed": 8, "enrichment": 0.5, "features": item["features"], "exposure": 9,
    }  # fmt: skip
    assert anew.picture.shape == (1, 1, 64, 64)
    top, left, bottom, _ = anew.info["box"]
    assert (bottom - top) * 0.3 == pytest.approx(140, abs=0.5) and top == left


@pytest.mark.slow
def test_another_exposure_is_the_same_knee():
    from xr2mri_core.phantom import make_case

    one, anew = make_case(5), make_case(5, exposure=6)
    assert np.array_equal(one.mri, anew.mri) and one.features == anew.features
    assert not np.array_equal(one.radiograph, anew.radiograph)
    assert np.corrcoef(one.radiograph.ravel(), anew.radiograph.ravel())[0, 1] > 0.8


def test_a_single_patient_has_no_scale(generator, small_datalist, tmp_path):
    with pytest.raises(DatalistError, match="at least two"):
        robustness(small_datalist, generator, tmp_path, cases=1)
    assert not list(tmp_path.iterdir())
