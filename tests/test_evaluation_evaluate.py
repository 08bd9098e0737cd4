"""The evaluation run: its rows, its files, and the feature response against a switched phantom."""

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from xr2mri_core.condition import Condition
from xr2mri_core.datalist import load_datalist
from xr2mri_core.errors import DatalistError
from xr2mri_core.evaluation import evaluate as evaluation
from xr2mri_core.evaluation.cases import unfinished
from xr2mri_core.evaluation.summary import markdown, summarise
from xr2mri_core.evaluation.truth import mean_of_training, mean_volume
from xr2mri_core.geometry import slices_to_volume, volume_affine
from xr2mri_core.request import GenerationRequest


class Oracle:
    """Stands in for a generator: knows the truth, blurs it a little where it knows less."""

    image_size, draws, mean_of = 64, True, None

    def __init__(self, items):
        self.known = {item["radiograph"]: item for item in items}
        self.calls = []

    def describe(self):
        return {"weights": "none"}

    depends = describe

    def plan(self, request):
        return SimpleNamespace(mean_of=self.mean_of)

    def condition_of(self, item):
        return Condition(item["features"])

    def generate(self, radiograph, condition, request):
        features, count, side = condition.features, request.num_slices, request.laterality
        more = {name: getattr(request, name) for name in ("kind", "steps", "noise_length")}
        more = {name: value for name, value in more.items() if value is not None}
        self.calls.append((radiograph.name, dict(features), count, request.seed, side, more))
        slices, _ = evaluation.read_slices(self.known[str(radiograph)], self.image_size)
        slices = evaluation.resampled(slices, count)
        if not features:
            slices = 0.8 * slices
        if side == "L":
            slices = slices[:, :, ::-1]
        volume = slices_to_volume(slices)
        mean = volume if request.samples > 1 else None
        return SimpleNamespace(
            volume=volume, affine=volume_affine(count), mean=mean, std=mean,
            record={"laterality": side},
        )  # fmt: skip


@pytest.fixture
def oracle(small_datalist):
    from xr2mri_core.datalist import load_datalist

    return Oracle(load_datalist(small_datalist))


@pytest.fixture
def few_slices(small_datalist) -> Path:
    """The small datalist with windows of ten slices: what is measured on each takes its time."""
    content = json.loads(small_datalist.read_text())
    for item in content["test"]:
        item["window"] = [30, 39]
    path = small_datalist.with_name("few_slices.json")
    path.write_text(json.dumps(content))
    return path


def test_rows_and_files_of_an_evaluation(small_datalist, oracle, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "SPACINGS", (3, 50, 60))
    text = evaluation.evaluate(
        small_datalist, oracle, tmp_path, samples=2, spacing_cases=1, seed=5, steps=4
    )
    of_rows = [call for call in oracle.calls if call[2] == oracle.calls[0][2]]
    own = [call for call in of_rows if "noise_length" not in call[5] and call[3] == 5]
    assert [(name, features, more["kind"]) for name, features, *_, more in own] == [
        ("3.png", {"V00XRKL": 3}, "sample"), ("3.png", {"V00XRKL": 3}, "mean"),
        ("4.png", {"V00XRKL": 3}, "mean"), ("3.png", {}, "mean"),
    ]  # fmt: skip  # every row of a case has the same noise and the request
    assert [call[4] for call in own] == ["R", "R", "L", "R"]
    assert {call[3] for call in oracle.calls} == {5, 6}
    assert {call[5]["steps"] for call in oracle.calls} == {4}
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    others = ["mean volume", "other patient", "other radiograph", "features blanked"]
    methods = ["model", "model, sample", *others, "empty edge map", "truth"]
    assert [row["method"] for row in rows if row["case"] == "case-3"] == methods
    assert {row["case"] for row in rows} == {"case-3", "case-4"}
    for name in methods:
        assert name in text
    scores = {(row["case"], row["method"]): row for row in rows}
    for case in ("case-3", "case-4"):  # the second is a left knee
        assert float(scores[case, "model"]["psnr"]) == float("inf")
        assert float(scores[case, "model"]["rssim"]) == pytest.approx(1)
        for other in others:
            assert float(scores[case, other]["ssim"]) < 1
        floor = float(scores[case, "empty edge map"]["rssim"])
        assert 0 < floor < 1
        truth = float(scores[case, "truth"]["adjacent"])
        assert float(scores[case, "model"]["adjacent"]) == pytest.approx(truth)
        for name in ("rough", "comb", "lag2"):
            true = float(scores[case, "truth"][name])
            assert float(scores[case, "model, sample"][name]) == pytest.approx(true)
        for name in ("ssim_sagittal", "ssim_axial", "ssim_3d"):
            assert float(scores[case, "model"][name]) == pytest.approx(1)
            assert float(scores[case, "other patient"][name]) < 1
        assert float(scores[case, "model, sample"]["power32"]) == pytest.approx(1)
        assert float(scores[case, "model, sample"]["spread"]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["settings"]["steps"] == 4 and summary["settings"]["phantom"] is False
    assert summary["advantage"]["other patient"]["ssim"]["won"] == 1
    at = [f"{n} {noise} noise" for n in evaluation.SPACINGS for noise in ("own", "independent")]
    assert list(summary["spacing"]) == ["truth", *at]
    assert {call[5].get("noise_length") for call in oracle.calls} == {None, 0.0}
    assert {"boxplots.png", "planes.png", "montage.png", "spacing.png", "summary.md"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_an_interrupted_evaluation_goes_on(few_slices, oracle, tmp_path):
    """To the same tables; of another setting nothing is taken, and when it is whole nothing is
    left."""
    options = {"spacing_cases": 0, "steps": 4}

    def tables(out):
        return [(out / name).read_bytes() for name in ("metrics.csv", "summary.json")]

    evaluation.evaluate(few_slices, oracle, tmp_path / "whole", **options)
    calls, usual = len(oracle.calls), oracle.generate

    def interrupted(radiograph, condition, request):
        if radiograph.name == "4.png" and request.seed == 1:  # the second case
            raise KeyboardInterrupt
        return usual(radiograph, condition, request)

    oracle.generate = interrupted
    for out in ("own", "other"):
        with pytest.raises(KeyboardInterrupt):
            evaluation.evaluate(few_slices, oracle, tmp_path / out, **options)
    oracle.generate = usual
    with (tmp_path / "own" / "unfinished" / "evaluate" / "cases.jsonl").open("a") as file:
        file.write('{"index": 1, "key"')
    with unfinished(tmp_path / "own", "robustness") as folder:
        (folder / "cases.jsonl").touch()  # another command's, and whole
    with pytest.raises(KeyboardInterrupt), unfinished(tmp_path / "own", "robustness"):
        raise KeyboardInterrupt
    oracle.calls.clear()
    evaluation.evaluate(few_slices, oracle, tmp_path / "own", **options)
    assert {call[3] for call in oracle.calls} == {1}, "the first case is not done again"
    assert tables(tmp_path / "own") == tables(tmp_path / "whole")
    assert (tmp_path / "own" / "montage.png").is_file()
    assert not (tmp_path / "own" / "unfinished").exists()
    oracle.calls.clear()
    evaluation.evaluate(few_slices, oracle, tmp_path / "other", **options | {"steps": 5})
    assert len(oracle.calls) == calls


@pytest.mark.slow
def test_a_best_guess_that_is_a_mean_of_draws_is_expected_to_err_as_one(few_slices, oracle):
    """By sqrt(1 + 1 / m) of the draws' deviation: without, a calibrated model scored 6 % over 1."""
    items = load_datalist(few_slices, "test")
    truth = evaluation.read_truth(items[0], (), oracle.image_size)
    request = GenerationRequest()
    run = evaluation._Run(oracle, few_slices.parent, None, 0, 2, request)
    *_, exact = run.case(truth, items[1], 0)
    oracle.mean_of = 8
    *_, of_eight = run.case(truth, items[1], 0)
    assert of_eight == pytest.approx(np.sqrt(1 + 1 / 8) * exact) and exact.any()


@pytest.mark.slow
def test_several_processes_measure_the_same(small_datalist, oracle, tmp_path):
    alone, together = (
        evaluation.evaluate(
            small_datalist, oracle, tmp_path / str(jobs), spacing_cases=0, jobs=jobs
        )
        for jobs in (1, 2)
    )
    assert alone == together


def test_the_side_that_only_the_radiograph_tells_is_everybodys(small_datalist, tmp_path):
    """Training, generation and evaluation take it alike."""
    from xr2mri_core.datalist import load_datalist
    from xr2mri_core.phantom.dicom import write_radiograph_dicom
    from xr2mri_core.reading import prepare_radiograph
    from xr2mri_core.training.cache import SliceCache, to_bytes

    pixels = np.random.default_rng(0).integers(0, 4000, (300, 300)).astype(np.uint16)
    write_radiograph_dicom(tmp_path / "left.dcm", pixels, 0.5, patient_id="x", laterality="L")
    item = load_datalist(small_datalist, "training")[0]
    item |= {"radiograph": str(tmp_path / "left.dcm"), "laterality": "auto"}
    slices, _ = evaluation.read_slices(item, 64)
    sided, _ = evaluation.read_slices({**item, "laterality": "L"}, 64)
    other, _ = evaluation.read_slices({**item, "laterality": "R"}, 64)
    np.testing.assert_array_equal(slices, sided)
    np.testing.assert_array_equal(slices, other[:, :, ::-1])
    np.testing.assert_array_equal(mean_volume([item], size=64), slices)
    assert prepare_radiograph(item["radiograph"], 64).side == "L"
    trained = SliceCache.build([item], tmp_path, size=64, processes=1).arrays["slices"][0]
    np.testing.assert_array_equal(trained, to_bytes(2 * slices - 1))


def test_mean_of_volumes_of_differing_length_has_that_of_the_first(small_datalist):
    from xr2mri_core.datalist import load_datalist

    items = load_datalist(small_datalist, "training")
    windows = [(20, 46), (20, 43)]
    uneven = [{**item, "window": w} for item, w in zip(items, windows, strict=True)]
    first = int(np.random.default_rng(0).permutation(2)[0])
    mean = mean_volume(uneven, size=64)
    assert mean.shape == (windows[first][1] - windows[first][0], 64, 64)
    own, other = (evaluation.read_slices(uneven[k], 64)[0] for k in (first, 1 - first))
    np.testing.assert_allclose(mean[0], (own[0] + other[0]) / 2, atol=1e-6)
    np.testing.assert_allclose(mean[-1], (own[-1] + other[-1]) / 2, atol=1e-6)


def test_the_mean_volume_is_made_anew_when_a_training_volume_was_corrected(
    small_datalist, tmp_path
):
    here = shutil.copytree(small_datalist.parent, tmp_path / "here")
    (item, *_) = load_datalist(here / small_datalist.name, "training")

    def made() -> str | None:
        return mean_of_training(here / small_datalist.name, 2, 64, tmp_path)

    first = made()
    assert made() == first
    corrected = nib.load(item["mri"])
    nib.save(nib.Nifti1Image(np.asarray(corrected.dataobj)[::-1], corrected.affine), item["mri"])
    assert made() != first


def test_one_patient_has_no_other(small_datalist, oracle, tmp_path):
    with pytest.raises(DatalistError, match="at least two"):
        evaluation.evaluate(small_datalist, oracle, tmp_path, cases=1)
    assert not list(tmp_path.iterdir())


def test_a_switched_phantom_changes_only_there(tmp_path, monkeypatch):
    """The truth is rendered again from the case's own seed with one grade changed."""
    asked = {}

    def make_case(seed, features, enrichment):
        asked.update(seed=seed, features=features, enrichment=enrichment)
        volume = np.full((64, 80, 64), 500, np.int16)
        volume[:, :, :8] = 0
        volume[30:40, 35:45, 30:40] += 400 * features["V00XRCYFM"]
        volume[:4] = 1000  # more than the percentile clips
        return SimpleNamespace(mri=volume, affine=np.diag([2.5, 1.5, 2.5, 1]))

    monkeypatch.setattr("xr2mri_core.phantom.make_case", make_case)
    import nibabel as nib

    grades = {"V00XRKL": 1, "V00XRCYFM": 1}
    case = make_case(1, grades, 0.5)
    nib.save(nib.Nifti1Image(case.mri, case.affine), tmp_path / "mri.nii.gz")
    record = {"case_seed": 77, "origin": {"enrichment": 0.25}}
    (tmp_path / "features.json").write_text(json.dumps(record))
    item = {"case": "a", "mri": str(tmp_path / "mri.nii.gz"), "features": grades}
    truth = evaluation.read_truth(item, ["V00XRCYFM"], size=64)
    assert asked == {
        "seed": 77, "enrichment": 0.25, "features": {"V00XRKL": 1, "V00XRCYFM": 0},
    }  # fmt: skip
    [(name, off, on)] = truth.toggles
    assert name == "V00XRCYFM"
    np.testing.assert_array_equal(on, truth.reference.slices)
    change = on - off
    assert change.max() > 0.1 and (np.abs(change) > 0.05).mean() < 0.05


def test_cysts_and_chondrocalcinosis_take_turns():
    pairs = [evaluation._variables(index) for index in range(4)]
    assert {cyst for cyst, _ in pairs} == set(evaluation.CYSTS) and len(evaluation.CYSTS) == 4
    assert {other for _, other in pairs} == set(evaluation.CHONDROCALCINOSIS)


def test_the_summary_counts_wins_and_the_right_direction():
    cases = [
        {"model": {"ssim": 0.5 + d, "rssim": 0.8}, "mean volume": {"ssim": 0.45, "rssim": 0.7}}
        for d in (0.0, 0.02, -0.1)
    ]
    keys = ("voxels", "inside", "outside", "ratio", "gain", "agreement", "correlation")
    response = [
        dict(zip(keys, (50, 0.2, 0.02, 10, gain, 0.9, 0.8), strict=True))
        | {"case": str(gain), "variable": "V00XRCYFM"}
        for gain in (0.6, -0.2)
    ]
    summary = summarise(cases, ["p1", "p2", "p3"], response, [])
    assert summary["advantage"]["mean volume"]["ssim"]["won"] == pytest.approx(2 / 3)
    assert summary["advantage"]["mean volume"]["rssim"]["mean"] == pytest.approx(0.1)
    assert summary["response"]["all cysts"]["right"] == 0.5
    assert summary["response"]["V00XRCYFM"]["gain"]["mean"] == pytest.approx(0.2)
    text = markdown(summary)
    assert "all cysts" in text and "mean volume" in text


def test_knees_of_one_patient_count_once():
    """Both knees at two visits say nearly the same: four times as many cases are no more sure."""
    random = np.random.default_rng(0)
    of_patients = random.normal(0.01, 0.05, 20)

    def advantage(knees):
        ssim = (of_patients[:, None] + random.normal(0, 1e-3, (20, knees))).ravel()
        cases = [{"model": {"ssim": 0.5 + d}, "mean volume": {"ssim": 0.5}} for d in ssim]
        people = [str(index // knees) for index in range(len(cases))]
        return summarise(cases, people, [], [])["advantage"]["mean volume"]["ssim"]

    one, four = advantage(1), advantage(4)
    assert one["n"] == four["n"] == 20
    assert four["high"] - four["low"] == pytest.approx(one["high"] - one["low"], rel=0.05)
