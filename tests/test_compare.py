"""`xr2mri compare`: statistics, trainings of equal budget, resuming, the report and its viewer."""

from __future__ import annotations

import csv
import html
import json
import os
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cloudpickle
import numpy as np
import pytest
import torch
from browser import PROGRAM, Browser
from monai.bundle import run as bundle_run
from samples import make_tiny_bundle
from scipy import ndimage
from scipy.stats import wilcoxon
from torch import nn

from xr2mri_core.baselines import METHODS
from xr2mri_core.cli import main
from xr2mri_core.cli.compare import _repeatable
from xr2mri_core.comparison import (
    experiments,
    figures,
    goals,
    measure,
    recovery,
    report,
    results,
    rows,
    run,
    seen,
    summary,
    tables,
    training,
    viewer,
)
from xr2mri_core.comparison.lines import Lines
from xr2mri_core.comparison.measure import (
    Measuring,
    Readers,
    Row,
    Truths,
    keep_volume,
    kept_volume,
    of_case,
)
from xr2mri_core.comparison.memory import tensor_megabytes
from xr2mri_core.comparison.run import Plan, compare, report_again
from xr2mri_core.comparison.training import Budget
from xr2mri_core.datalist import load_datalist, save_datalist
from xr2mri_core.errors import DatalistError, InputError, TrainingError, WeightsError
from xr2mri_core.evaluation import statistics
from xr2mri_core.evaluation.planes import LAGS
from xr2mri_core.features import VARIABLES
from xr2mri_core.files import append_line
from xr2mri_core.volume import NOTICE

CONFIGS = Path(__file__).resolve().parents[1] / "monai_app/model/knee_xr2mri/configs"
OPTIONS = {
    "epoch_length": 1,
    "cache_processes": 1,
    "validation_steps": 1,
    "cases_per_batch": 2,
    "slices_per_case": 4,
    "picture_steps": 1,
    "augmentation": "$None",
}
PLAN = Plan(
    methods=("ours", "ldm"),
    budget=Budget(samples=32),
    start=16,
    curve_cases=1,
    samples=2,
    steps=2,
    slice_counts=(3, 5),
    step_counts=(1, 2),
    reader_steps=2,
    options=OPTIONS,
    image_size=64,
)


@pytest.fixture(scope="module")
def training_bundle(tiny_bundle, tmp_path_factory) -> Path:
    """The tiny bundle with the configurations of the trainings."""
    bundle = tmp_path_factory.mktemp("bundle") / "knee_xr2mri"
    shutil.copytree(tiny_bundle, bundle)
    for name in ("training.yaml", "train_diffusion.yaml", "train_regression.yaml", "logging.conf"):
        shutil.copy(CONFIGS / name, bundle / "configs" / name)
    return bundle


@pytest.fixture(scope="module")
def compared(training_bundle, labelled_datalist, tmp_path_factory):
    """A whole comparison of two methods, whose trainings run in this process."""
    out, commands = tmp_path_factory.mktemp("compared"), []

    def run(options, log):
        commands.append(dict(options))
        bundle_run(**options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xr2mri_core.comparison.lines.each_done", _sent)
        text = compare(labelled_datalist, out, PLAN, bundle=training_bundle, device="cpu", run=run)
    return out, text, commands


def _sent(work, items, *_, **__):
    """`each_done`, whose processes are given everything as it would be sent to them."""
    for item in items:
        there, given = cloudpickle.loads(cloudpickle.dumps((work, item)))
        yield cloudpickle.loads(cloudpickle.dumps(there(given)))


def test_methods_are_trained_alike_and_measured_in_one_table(compared):
    out, text, commands = compared
    stages = [(Path(c["output_dir"]).parent.name, c["steps"]) for c in commands]
    assert stages == [("start", 2), ("ours", 2), ("ours", 2), ("ldm", 4)]  # 8 slices a step
    assert {c["seed"] for c in commands} == {0}
    assert {c["autoencoder_dir"] for c in commands} == {str(out / "autoencoder")}
    noise = [c.get("sampling#noise_length") for c in commands]
    assert noise == [6, None, 6, 6], "as volumes are drawn; a regression draws none, and refuses it"
    start = str(out / "training/start/1/unet.safetensors")
    first = str(out / "training/ours/1/knee_xr2mri.safetensors")
    assert [c.get("initial_weights") for c in commands] == [None, start, first, start]

    with (out / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ["truth", "ours", "ours_blank", "ours_mean", "ours_mean_blank", "ldm", "mean_volume",
             "other_patient", "nearest"]  # fmt: skip
    assert list(dict.fromkeys(row["row"] for row in rows)) == names
    assert all({r["case"] for r in rows if r["row"] == n} == {"case-3", "case-4"} for n in names)
    scores = {(row["row"], row["case"]): row for row in rows}
    for name in names[1:]:
        for metric in ("ssim", "psnr", "edge_f1", "dice_femur", "histogram", "spectrum", "rough"):
            assert np.isfinite(float(scores[name, "case-3"][metric])), (name, metric)
        assert METHODS.get(name) is None or METHODS[name].title in text
    # The neighbours' knees are alike but for a pixel's shift: a real volume beats an untrained net.
    assert float(scores["nearest", "case-3"]["ssim"]) > float(scores["ldm", "case-3"]["ssim"])

    with (out / "provenance.csv").open() as file:
        by_method = {row["method"]: row for row in csv.DictReader(file)}
    ours = by_method[METHODS["ours"].title]
    assert by_method["common start"]["slices seen"] == "16"
    assert ours["slices seen"] == "32" == by_method["LDM"]["slices seen"]
    assert len(ours["weights"]) == 64 and ours["weights"] != by_method["LDM"]["weights"]
    assert ours["command"].count("monai.bundle run") == 2 and "volume.yaml" in ours["command"]
    assert ours["commit"] and ours["seed"] == "0"
    for name in ("ours", "ours_blank", "ours_mean", "ours_mean_blank"):
        assert scores[name, "case-3"]["weights"] == ours["weights"]

    with (out / "experiments.csv").open() as file:
        kinds = [row["experiment"] for row in csv.DictReader(file)]
    assert kinds.count("ablation") == 5 * 2  # variants, cases
    assert kinds.count("slices") == 2 * 2 + 1  # noises, counts; the truth
    assert kinds.count("steps") == 2 * 2  # methods, counts
    assert kinds.count("best guess") == 1  # that of ours, on as many cases
    assert kinds.count("spread") == 1


def test_a_second_run_computes_nothing(compared, training_bundle, labelled_datalist, monkeypatch):
    out, _, _ = compared
    before = (out / "lines.jsonl").read_text()

    def forbidden(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr("xr2mri_core.comparison.measure.compared", forbidden)
    monkeypatch.setattr(report, "write_report", lambda *_: "reported")
    options = {"bundle": training_bundle, "device": "cpu", "run": forbidden}
    assert compare(labelled_datalist, out, PLAN, **options) == "reported"
    assert (out / "lines.jsonl").read_text() == before


def test_a_report_is_written_again_from_what_the_folder_holds(
    compared, labelled_datalist, tmp_path
):
    """Of a run that goes on too: what is not there yet is left out, and nothing is computed."""
    whole, _, _ = compared
    out = whole.with_name("going_on")  # beside it: the paths of its datalist are relative
    unneeded = shutil.ignore_patterns("cache", "*.html", "ldm", "checkpoint*", "readers")
    shutil.copytree(whole, out, ignore=unneeded)
    lines = (out / "lines.jsonl").read_text().splitlines()
    kept = [line for line in lines if json.loads(line).get("row") != "nearest"]
    (out / "lines.jsonl").write_text("\n".join(kept) + "\n")
    page = tmp_path / "docs" / "shipped.md"
    page.parent.mkdir()
    page.write_text(f"# Old\n\n{summary.NOTES}\n\n## Why\n\nBecause.\n")
    table = report_again(labelled_datalist, out, PLAN, page)
    assert METHODS["ours"].title in table and "LDM" not in table and "nearest" not in table
    starts = [(folder / "provenance.csv").read_text().splitlines()[1] for folder in (whole, out)]
    assert starts[0] == starts[1] and starts[0].startswith("common start,")
    written = page.read_text()
    assert "2 synthetic phantoms, from a denoiser that had seen 16 slices." in written
    assert written.startswith("# Results") and written.endswith("## Why\n\nBecause.\n")
    assert "| Features add 0.15 to the AUC of cysts |" in written and "# Old" not in written
    for name in re.findall(r"\]\((shipped_\w+\.\w+)\)", written):
        assert (page.parent / name).stat().st_size > 1000
    assert written.count("](shipped_") == 3 and str(tmp_path) not in written
    with pytest.raises(InputError, match="holds no results of a comparison yet"):
        report_again(labelled_datalist, tmp_path / "nothing", PLAN)
    for line in kept:  # as an earlier version left them
        line = json.loads(line)
        line["of"].pop("items")
        append_line(out / "earlier.jsonl", json.dumps(line))
    (out / "earlier.jsonl").replace(out / "lines.jsonl")
    with pytest.raises(InputError, match=r"results, but none of this plan.*earlier versions"):
        report_again(labelled_datalist, out, PLAN)


def test_the_order_in_which_processes_finish_changes_nothing(compared, labelled_datalist):
    whole, _, _ = compared
    out = whole.with_name("shuffled")
    shutil.copytree(whole, out, ignore=shutil.ignore_patterns("cache", "*.html", "checkpoint*"))
    lines = (out / "lines.jsonl").read_text().splitlines()
    (out / "lines.jsonl").write_text("\n".join(lines[::-1]) + "\n")
    report_again(labelled_datalist, out, PLAN)
    for name in ("summary.csv", "metrics.csv", "tests.csv", "summary.md"):
        assert (out / name).read_text() == (whole / name).read_text(), name


def test_the_report_is_one_file_with_everything_in_it(compared):
    out, _, _ = compared
    page = (out / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']+""", page)
    assert "Research only" in page and html.escape(NOTICE) in page
    for title in ("Methods", "Feature recovery", "Ablation of features", "Viewer",
                  "Slices by grade", "Coherence along depth", "Between two slices",
                  "Greys by place", "Calibration", "Quality, time and memory",
                  "Where each row comes from"):  # fmt: skip
        assert f"<h2>{title}" in page, title
    data = json.loads(re.search(r'id="viewer-data">(.*?)</script>', page, re.S)[1])
    (case,) = data["cases"][:1]
    volumes = [volume["title"] for volume in case["volumes"]]
    assert volumes[:2] == ["truth", METHODS["ours"].title] and "nearest radiograph" in volumes


@pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed")
def test_the_viewer_scrolls_and_shows_the_slices_of_the_volume(compared, tmp_path):
    out, _, _ = compared
    case = sorted(path.name for path in (out / "volumes").iterdir() if path.is_dir())[0]
    (truth,) = (out / "volumes" / case).glob("truth-*.npy")
    volume = viewer.smaller(kept_volume(truth))
    count, height, _ = volume.shape
    browser = Browser(out / "report.html", tmp_path / "profile")
    try:
        browser.wait("typeof viewer !== 'undefined' && viewer.ready === true")
        browser.value("document.getElementById('crosshair').click()")

        def shown(plane: str) -> np.ndarray:
            """A volume's canvas in the screenshot, at the volume's own size."""
            picture = browser.picture(f"view-0-{plane}")[..., 0].astype(int)
            across, down = browser.value(
                f"[viewer.volumes[0].canvases.{plane}.width,"
                f" viewer.volumes[0].canvases.{plane}.height]"
            )
            rows = ((np.arange(down) + 0.5) / down * picture.shape[0]).astype(int)
            columns = ((np.arange(across) + 0.5) / across * picture.shape[1]).astype(int)
            return picture[np.ix_(rows, columns)]

        def alike(plane: str, expected: np.ndarray) -> bool:
            return float(np.mean(np.abs(shown(plane) - expected) <= 1)) > 0.9

        middle = count // 2
        assert alike("coronal", volume[middle])
        for _ in range(3):
            browser.mouse("mouseWheel", "view-1-coronal", deltaX=0, deltaY=100)
        browser.wait(f"viewer.index.coronal === {middle + 3}")  # another volume's canvas: linked
        assert alike("coronal", volume[middle + 3]) and not alike("coronal", volume[0] // 2)
        for kind in ("mousePressed", "mouseReleased"):
            browser.mouse(kind, "view-0-coronal", (0.3, 0.7), button="left", clickCount=1)
        column, row = browser.value("[viewer.index.sagittal, viewer.index.axial]")
        assert abs(column - 0.3 * height) <= 1 and abs(row - 0.7 * height) <= 1
        assert alike("sagittal", volume[:, :, column].T)
        assert alike("axial", volume[::-1, row])

        first = "document.querySelector('table.sortable')"
        order = f"[...{first}.tBodies[0].rows].map(r => r.cells[1].dataset.value || '')"
        browser.value(f"{first}.querySelectorAll('th')[1].click()")
        values = [float(text) for text in browser.value(order) if text]
        assert values == sorted(values, reverse=True) and len(values) == 8
        browser.value(f"{first}.querySelectorAll('th')[1].click()")
        assert [float(text) for text in browser.value(order) if text] == sorted(values)
        asked = [e["params"]["request"]["url"] for e in browser.events
                 if e.get("method") == "Network.requestWillBeSent"]  # fmt: skip
        assert all(url.startswith(("file:", "data:")) for url in asked)
        assert not [e for e in browser.events if e.get("method") == "Runtime.exceptionThrown"]
    finally:
        browser.close()


# --- parts ------------------------------------------------------------------------------------


def test_a_patient_counts_once():
    rows = [
        {"row": "a", "participant": "p", "metrics": {"ssim": 0.2}},
        {"row": "a", "participant": "p", "metrics": {"ssim": 0.4}},
        {"row": "a", "participant": "q", "metrics": {"ssim": float("nan")}},
        {"row": "b", "participant": "q", "metrics": {"ssim": 1.0}},
    ]
    assert statistics.per_patient(rows, "a", "ssim") == {"p": pytest.approx(0.3)}


def test_intervals_cover_the_mean_as_often_as_they_say():
    random = np.random.default_rng(0)
    covered = []
    for _ in range(120):
        mean, low, high = statistics.interval(random.normal(1, 2, 60).tolist())
        assert low < mean < high
        covered.append(low < 1 < high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.06)
    assert np.isnan(statistics.interval([])).all()


def test_pairs_are_of_the_same_patient_and_tests_are_corrected():
    random = np.random.default_rng(1)
    own = {str(n): float(v) for n, v in enumerate(random.normal(0.3, 0.1, 30))}
    other = {name: value - 0.05 + 0.01 * random.normal() for name, value in own.items()}
    other["stranger"] = 9.0
    result = statistics.paired(own, other)
    differences = [own[name] - other[name] for name in own]
    assert result["mean"] == pytest.approx(np.mean(differences)) and result["n"] == 30
    assert result["p"] == pytest.approx(wilcoxon(differences).pvalue) and result["won"] > 0.9
    assert statistics.paired(own, own)["p"] == 1
    assert statistics.holm([0.01, 0.04, float("nan"), 0.03]) == pytest.approx(
        [0.03, 0.06, float("nan"), 0.06], nan_ok=True
    )


def test_budgets_are_shared_by_the_stages():
    assert Budget(samples=1000).options(batch=64, stages=1) == {"steps": 16}
    assert Budget(samples=1000).options(batch=64, stages=2) == {"steps": 8}
    assert Budget(minutes=5).options(batch=64, stages=2) == {"max_minutes": 2.5}


@pytest.mark.slow
def test_a_failed_training_names_its_log(training_bundle, labelled_datalist, tmp_path):
    setting = training.Setting(
        training_bundle, "compact", labelled_datalist, tmp_path / "no_autoencoder", tmp_path, 0,
        Budget(samples=8), {"stesp": 3},
    )  # fmt: skip
    with pytest.raises(TrainingError, match=r"stesp.*did you mean.*steps.*log\.txt"):
        training.train(METHODS["ldm"], setting)


def test_of_a_chain_of_errors_the_first_is_told():
    chain = """Traceback (most recent call last):
      File "batches.py", line 1, in run
    xr2mri_core.errors.TrainingError: slabs need every slice
    The above exception was the direct cause of the following exception:
    RuntimeError: Failed to instantiate component 'CaseBatches'
     set '_mode_=debug' to enter the debugging mode."""
    reason = training._reason(chain.replace("\n    ", "\n"))
    assert reason == "xr2mri_core.errors.TrainingError: slabs need every slice"
    assert training._reason("10 % done\nerror: the disk is full\n") == "error: the disk is full"
    assert training._reason("Killed\n") == "Killed" and training._reason("") == "it said nothing"


def _trains(setting, seen=""):
    """Train an LDM, or find it trained; whether it had to be trained."""
    made = []

    def run(options, log):
        made.append(options)
        folder = Path(options["output_dir"])
        (folder / "knee_xr2mri.safetensors").write_text(seen)
        (folder / "model_card.json").write_text('{"steps": 1}')

    training.train(METHODS["ldm"], setting, run)
    return bool(made)


@pytest.fixture
def setting(training_bundle, labelled_datalist, tmp_path):
    """A setting whose files all lie in one folder, `here`."""
    here, splits = tmp_path / "here", {}
    shutil.copytree(training_bundle / "configs", here / "bundle" / "configs")
    for item in load_datalist(labelled_datalist):
        for name in ("radiograph", "mri", "labels"):
            copy = here / f"{item['case']}-{name}{''.join(Path(item[name]).suffixes)}"
            item[name] = str(shutil.copy(item[name], copy))
        splits.setdefault(item["split"], []).append(item)
    save_datalist(here / "datalist.json", splits, "cases")
    return training.Setting(
        here / "bundle", "compact", here / "datalist.json", here / "a", here / "out", 0,
        Budget(samples=8), OPTIONS,
    )  # fmt: skip


def test_more_test_cases_train_nothing_anew(setting, tmp_path):
    def trains(**limits):
        own = run._datalist(setting.datalist, setting.out, Plan(**limits))
        return _trains(replace(setting, datalist=own))

    assert trains(cases=1) and not trains(cases=2) and not trains()
    assert trains(training_cases=1)


@pytest.mark.parametrize("changed", ["configuration", "case", "grade"])
def test_a_training_whose_contents_have_changed_is_done_anew(changed, setting, caplog):
    """And the earlier one is kept: it may have taken hours."""
    assert _trains(setting, "hours") and not _trains(setting)
    if changed == "configuration":
        file, what = setting.bundle / "configs" / "train_diffusion.yaml", "config_file"
        file.write_text(file.read_text().replace("learning_rate: ", "learning_rate: 1"))
    else:
        what = "datalist"
        content = json.loads(setting.datalist.read_text())
        if changed == "grade":
            content["training"][0]["features"]["V00XRKL"] = 4
            setting.datalist.write_text(json.dumps(content))
        else:  # made again under its name
            name, other = (content["training"][n]["radiograph"] for n in (0, 1))
            shutil.copy(setting.datalist.with_name(other), setting.datalist.with_name(name))
    assert _trains(setting, "new")
    (aside,) = (setting.out / "training" / "ldm").glob("1-earlier-*")
    assert (aside / "knee_xr2mri.safetensors").read_text() == "hours"
    assert f"a training with other {what}: kept as '{aside}'" in caplog.text


def test_a_training_is_found_again_wherever_its_files_lie(setting, tmp_path, monkeypatch):
    assert _trains(setting)
    monkeypatch.chdir(tmp_path)
    relative = {
        name: Path(os.path.relpath(getattr(setting, name)))
        for name in ("bundle", "datalist", "autoencoder", "out")
    }
    assert not _trains(replace(setting, **relative))
    (tmp_path / "here").rename(tmp_path / "there")
    moved = {name: "there" / path.relative_to("here") for name, path in relative.items()}
    assert not _trains(replace(setting, **moved))
    command = training.finished(METHODS["ldm"], moved["out"]).command
    assert "there/out" in command and "'here/" not in command


def test_trainings_of_an_earlier_version_are_kept(setting, caplog):
    folder = setting.out / "training" / "ldm" / "1"
    folder.mkdir(parents=True)
    (folder / "asked.json").write_text('{"options": "{}", "datalist.json": "digest"}')
    assert _trains(setting) and "of an earlier version" in caplog.text
    assert folder.with_name("1-earlier-1").is_dir()


def test_methods_learn_the_noise_that_they_are_asked_with():
    """As far as their stages draw it: a bundle's command refuses what it does not read."""
    bundle = CONFIGS.parent
    found = {}
    for name, method in METHODS.items():
        setting = training.Setting(bundle, "compact", Path(), Path(), Path(), 0, Budget(8), {}, 6.0)
        for number, overlays in enumerate(method.stages):
            options, _ = training._stage(method, setting, overlays, Path(), None)
            found[name, number] = options.get("sampling#noise_length")
    without = {stage for stage, noise in found.items() if noise is None}
    assert without == {("ours", 0), ("direct_regression", 0)}
    assert {noise for noise in found.values() if noise} == {6.0}


def test_cases_of_each_grade_are_shown_whether_or_not_they_count(tmp_path):
    cases = [{"case": str(n), "features": {"V00XRKL": g}} for n, g in enumerate([2, 2, 0, 4])]
    assert list(run.shown_cases(cases, tmp_path)) == ["2", "0", "3"]
    assert list(run.shown_cases([{"case": "a", "features": {}}], tmp_path)) == ["a"]


def test_unknown_methods_and_options_are_one_line(labelled_datalist, tmp_path, capsys):
    def said():
        return capsys.readouterr().err

    common = ["compare", "--datalist", str(labelled_datalist), "--out", str(tmp_path / "o")]
    assert main([*common, "--methods", "ours,gan"]) == 2
    assert "method 'gan': accepted are ours" in said()
    assert main([*common, "--set", "steps"]) == 2
    assert "is no name and value with '=' between (--set)" in said()
    assert main([*common, "--set", "cached_slices=25"]) == 2
    assert "take cases of one number of slices (--set)" in said()
    assert main([*common, "--set", "seed=3"]) == 2
    assert "a comparison sets 'seed' itself (--set)" in said()
    assert main([*common, "--set", "steps=3"]) == 2
    assert "sets 'steps' itself, by its budget: give another budget (--budget)" in said()
    assert main([*common, "--set", "max_minutes=3", "--minutes", "2"]) == 2
    assert "give another budget (--minutes)" in said()
    assert main([*common, "--set", "initial_weights=x", "--start-budget", "8"]) == 2
    assert "leave one of the two out (--set)" in said()
    assert main([*common, "--fid", str(tmp_path / "none.pth")]) == 1  # before any training
    assert "no such weights file (--fid)" in said()
    assert main([*common, "--report-only"]) == 2
    assert "holds no results of a comparison yet (--out)" in said()
    with pytest.raises(InputError, match="no method to compare"):
        compare(labelled_datalist, tmp_path / "o", Plan(methods=()))


def test_windows_that_differ_in_length_are_told_before_any_training(
    labelled_datalist, training_bundle, tmp_path
):
    splits = {s: load_datalist(labelled_datalist, s) for s in ("training", "validation", "test")}
    splits["training"][-1]["window"] = [30, 38]  # one slice less than the others'
    uneven = save_datalist(tmp_path / "uneven.json", splits, "uneven")

    def never(options, log):
        raise AssertionError("a training began")

    with pytest.raises(DatalistError, match="of methods, need cases of one number of slices"):
        compare(uneven, tmp_path / "o", PLAN, bundle=training_bundle, run=never)


def test_lines_survive_a_killed_run(tmp_path):
    lines = Lines(tmp_path / "lines.jsonl")
    lines.add({"row": "a", "case": "1", "of": {"sha256": "x"}, "value": 1})
    with lines.path.open("a") as file:
        file.write('{"row": "b", "ca')
    again = Lines(lines.path)
    assert again.find(row="a", case="1", of={"sha256": "x"})["value"] == 1
    assert again.find(row="a", case="1", of={"sha256": "y"}) is None and len(again.rows) == 1
    again.add({"row": "b", "case": "1"})  # is not lost with the half line before it
    assert [row["row"] for row in Lines(lines.path).rows] == ["a", "b"]


def test_what_a_plan_leaves_open_is_the_bundle_s_way_to_draw_volumes(training_bundle):
    filled = Plan(steps=2).filled(training_bundle, "compact")
    assert (filled.steps, filled.sampler, filled.noise_length) == (2, "unipc", 6.0)
    assert filled.request(METHODS["ours_paper"])["noise_length"] == 0
    assert Plan(steps=2, sampler="ddim", noise_length=0.0).filled(Path(), "none").steps == 2


def test_a_method_that_takes_features_has_a_row_without_them(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    found = {
        name: [row.name for row in rows.rows_of(
            training.given(METHODS[name], tmp_path / "w.safetensors"), PLAN)]
        for name in METHODS
    }  # fmt: skip
    assert found["aldm"] == ["aldm", "aldm_blank"] and found["cola_diff"] == ["cola_diff"]
    assert found["ours"] == ["ours", "ours_blank", "ours_mean", "ours_mean_blank"]
    assert {name for name in METHODS if len(found[name]) > 1} == {
        name for name, method in METHODS.items() if method.features
    }
    assert set(METHODS) - set(Plan().methods) == {"x_diffusion_axes"}


def test_a_mean_of_three_volumes_is_no_draw(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    methods = [METHODS[name] for name in ("ours", "x_diffusion", "x_diffusion_axes")]
    given = [training.given(method, tmp_path / "w.safetensors") for method in methods]
    own = [next(rows.rows_of(one, PLAN)) for one in given]
    items = [_case(str(n), participant=str(n)) for n in range(4)]
    lines = [
        {"row": row.name, "case": item["case"], "participant": item["participant"],
         "of": row.of_case(item), "readers": "r", "metrics": {"ssim": value}}
        for row, value in zip(own, (0.5, 0.4, 0.6), strict=True) for item in items
    ]  # fmt: skip
    found = results.Results(tmp_path, PLAN, given, own, items, lines, {}, {}, Readers(of="r"))
    (goal,) = [goal for goal in goals.goals(found) if goal.text.endswith("draw: SSIM")]
    assert goal.reached, "not measured against the mean, which is nearer by its nature"
    shown = tables.methods(found)
    assert "X-Diffusion, three axes <small>mean of draws</small>" in shown
    assert "X-Diffusion <small>draw</small>" in shown


def _case(name="1", **more):
    return {"case": name, "participant": "p", "features": {}, **more}


def _measured(lines, rows, items, readers="r", folder=Path()):
    found = results.Results(folder, Plan(), [], rows, items, lines, {}, {}, Readers(of=readers))
    return found.measured


def test_results_of_other_weights_are_not_reported():
    own = [Row("ours", "ours", rows.no_volume, {"sha256": "new", "kind": "mean"})]
    line = {"row": "ours", "case": "1", "of": own[0].of_case(_case()), "readers": "r"}
    assert _measured([line], own, [_case()]) == [line]
    assert not _measured([line], own, [_case()], "other")
    assert not _measured([{**line, "of": {**line["of"], "sha256": "old"}}], own, [_case()])
    assert not _measured([{**line, "case": "2"}], own, [_case()])
    earlier = {
        **line,
        "of": {"sha256": "new", "kind": "mean"},
    }  # of a version that knew no contents
    assert not _measured([earlier], own, [_case()])


def test_results_of_metrics_that_meant_something_else_are_made_anew(monkeypatch, tmp_path):
    own = [Row("ours", "ours", rows.no_volume, {"sha256": "w"})]
    lines = Lines(tmp_path / "lines.jsonl")
    for row, of in (("ours", own[0].of_case(_case())), ("truth", of_case({}, _case()))):
        lines.add({"row": row, "case": "1", "of": of, "readers": "r"})
    by = Measuring(Truths(64), Readers(of="r"), {}, 0)
    assert not by.is_open("ours", own[0].of_case(_case()), _case(), lines)
    assert len(_measured(lines.rows, own, [_case()])) == 2
    monkeypatch.setattr(measure, "METRICS_VERSION", measure.METRICS_VERSION + 1)
    assert by.is_open("ours", own[0].of_case(_case()), _case(), lines)
    assert not _measured(lines.rows, own, [_case()])


@pytest.mark.parametrize("changed", ["features", "laterality", "box", "radiograph", "labels"])
def test_what_was_measured_of_a_case_before_it_was_corrected_does_not_count(changed, tmp_path):
    """Neither of the truth, nor of another patient whose volume was taken instead."""
    for name in ("radiograph", "mri", "labels"):
        (tmp_path / name).write_text("old")
    files = {name: str(tmp_path / name) for name in ("radiograph", "mri", "labels")}
    items = [_case("1", **files), _case("2", participant="q")]
    own = [Row("ours", "ours", rows.no_volume, {"sha256": "w"}, "sample")]
    lines, by = Lines(tmp_path / "lines.jsonl"), Measuring(Truths(64), Readers(of="r"), {}, 0)
    own.append(rows.trivial_row("other_patient", "", rows.others_of(items, Plan()), Plan()))
    kept = {}
    for row in (Row("truth", "truth", rows.no_volume), *own):
        for item in items:
            of = row.of_case(item)
            kept[row.name, item["case"]] = measure.kept_file(tmp_path, row.name, of)
            lines.add({"row": row.name, "case": item["case"], "of": of, "readers": "r"})
            assert not by.is_open(row.name, of, item, lines)

    def still():
        others = rows.others_of(items, Plan())
        now = [own[0], rows.trivial_row("other_patient", "", others, Plan())]
        found = {(one["row"], one["case"]) for one in _measured(lines.rows, now, items)}
        for row in now:
            for item in items:
                of, pair = row.of_case(item), (row.name, item["case"])
                assert by.is_open(row.name, of, item, lines) == (pair not in found)
                same = measure.kept_file(tmp_path, row.name, of) == kept[pair]
                assert same == (pair in found)
        return found

    assert still() == set(kept)
    items[0] = {**items[0], **{name: str(tmp_path / "." / name) for name in files}}
    assert still() == set(kept), "another spelling"
    if changed in files:
        (tmp_path / changed).write_text("corrected")
    else:
        items[0] = {**items[0], changed: {"V00XRKL": 4} if changed == "features" else "R"}
    assert still() == {("truth", "2"), ("ours", "2")}


def test_volumes_of_another_precision_are_others():
    full, half = (replace(PLAN, precision=p).of(METHODS["ours"], "w") for p in ("fp32", "bf16"))
    assert full != half and "precision" not in full  # lines of earlier runs count


def test_a_comparison_generates_in_the_precision_of_its_plan(
    labelled_datalist, capsys, monkeypatch
):
    monkeypatch.setattr("xr2mri_core.comparison.run.compare", lambda *a, **_: str(a[2].precision))
    given = ("compare", "--datalist", labelled_datalist, "--out", "x", "--precision", "bf16")
    assert main([*map(str, given)]) == 0
    assert capsys.readouterr().out.startswith("bf16")


def _depends(experiment, one, plan, readers):
    """What an experiment with a method depends on, whatever the case."""
    if experiment == "steps":
        return results.but_steps(next(rows.rows_of(one, plan)).of)
    return plan.of_experiments(experiment, one.method, one.sha256, readers)[0]


@pytest.mark.parametrize(
    ("experiment", "other", "readers"),
    [
        ("ablation", {}, "others"),
        ("ablation", {"seed": 1}, "own"),
        ("steps", {"sampler": "unipc"}, "own"),
        ("spread", {"noise_length": 3.0}, "own"),
        ("slices", {"steps": 3}, "own"),
    ],
)
def test_experiments_of_another_setting_are_not_reported(experiment, other, readers, tmp_path):
    """Not even those that were computed later than this plan's own."""
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    one = training.given(METHODS["ours"], tmp_path / "w.safetensors")
    plan = Plan(steps=2, sampler="ddim", noise_length=6.0, cases=1)
    own = list(rows.rows_of(one, plan))

    def line(plan, readers, value):
        of = _depends(experiment, one, plan, readers)
        counts = {"samples": 6, "steps": 8, "slices": 30, "curve": "c"}
        known = {"experiment": experiment, "case": "1", "of": of_case(of, _case()), **counts}
        return {**known, "value": value}

    held = [line(plan, "own", "right"), line(replace(plan, **other), readers, "stale")]
    corrected = of_case(held[0]["of"], _case(box=[1, 2, 3, 4]))
    held.append({**held[0], "of": corrected, "value": "of the case before"})
    found = results.Results(tmp_path, plan, [one], own, [_case()], held, {}, {}, Readers(of="own"))
    assert [known["value"] for known in found.experiments] == ["right"]


def test_experiments_of_more_than_the_plan_asks_for_are_not_reported(tmp_path):
    """Lines of earlier settings stay in the folder, not in curves and tables."""
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    one = training.given(METHODS["ours"], tmp_path / "w.safetensors")
    plan = Plan(samples=4, curve_cases=1, ablation_cases=1, step_counts=(1, 2),
                slice_counts=(30,), steps=6, sampler="unipc", noise_length=6.0)  # fmt: skip
    items, held = [_case("a"), _case("b")], []
    for name, more in (
        ("spread", {"samples": (4, 6)}), ("steps", {"steps": (1, 32)}),
        ("slices", {"slices": (30, 50)}), ("ablation", {"variant": ("all",)}),
    ):  # fmt: skip
        of = _depends(name, one, plan, "r")
        ((key, values),) = more.items()
        for item in items:
            line = {"experiment": name, "case": item["case"], "curve": "c"}
            held += [{**line, "of": of_case(of, item), key: value} for value in values]
    held.append({"experiment": "slices", "case": "a", "curve": "truth", "slices": 50,
                 "of": of_case({}, items[0])})  # fmt: skip

    def found(plan):
        own = list(rows.rows_of(one, plan))
        known = results.Results(tmp_path, plan, [one], own, items, held, {}, {}, Readers(of="r"))
        names = ("experiment", "case", "samples", "steps", "slices")
        return {tuple(line[name] for name in names if name in line) for line in known.experiments}

    own = {("spread", "a", 4), ("steps", "a", 1), ("slices", "a", 30), ("slices", "a", 50),
           ("ablation", "a")}  # fmt: skip
    assert found(plan) == own
    assert found(replace(plan, samples=0)) == own - {("spread", "a", 4)}
    assert ("ablation", "b") in found(replace(plan, ablation_cases=None))


def test_a_distance_of_few_patients_says_so_and_is_not_the_best(tmp_path):
    """A structure that is not found has no surface: what is found is where it was easy."""
    names = {"ours": "sample", "ours_mean": "mean", "ldm": "sample"}
    table_rows = [Row(name, f"<{name}>", rows.no_volume, kind=kind)
                  for name, kind in names.items()]  # fmt: skip
    items = [{"case": str(n), "participant": str(n), "features": {}} for n in range(10)]
    lines = [
        {"row": row.name, "case": item["case"], "participant": item["participant"],
         "of": row.of_case(item), "readers": "r",
         "metrics": {"ssim": 0.25, "surface_femur": 0.5 if row.name == "ldm" else 5.0 + n}}
        for row in table_rows for n, item in enumerate(items)
    ]  # fmt: skip
    for line in lines:
        if line["row"] == "ldm" and int(line["case"]) > 3:
            line["metrics"]["surface_femur"] = float("nan")
    found = results.Results(
        tmp_path, Plan(), [], table_rows, items, lines, {}, {"name": "few"}, Readers(of="r")
    )
    assert found.number_of("ldm", "surface_femur") == (4, 10)
    drawn = tables.methods(found)
    assert "(4 of 10)" in drawn and "(10 of 10)" not in drawn
    best = re.findall(r'class="best" data-value="([0-9.]+)"', drawn)
    assert best == ["0.25", "9.5"], "not the 0.5 of four patients"
    (goal,) = [
        one for one in goals.goals(found) if "Best guess" in one.text and "femur" in one.text
    ]
    assert goal.reached is False and "<ldm> (4 of 10) 0.50" in goal.found
    assert "0.50 [0.50, 0.50] (4 of 10)" in summary.summary_table(found)
    assert {(test["own"], test["row"]) for test in found.tests} == {
        ("ours", "ours_mean"), ("ours", "ldm"), ("ours_mean", "ours"), ("ours_mean", "ldm")
    }  # fmt: skip
    compared = tables.tests(found)
    assert compared.count("<table") == 2 and "&lt;ldm&gt; <small>draw</small>" in compared


def test_the_common_autoencoder_is_that_of_the_weights(tmp_path):
    bundles = [make_tiny_bundle(tmp_path / str(seed) / "b", seed=seed) for seed in (0, 1)]

    def made(bundle):
        folder = training.common_autoencoder(bundle, "compact", None, tmp_path / "out")
        return (folder / "diffusion_pytorch_model.safetensors").read_bytes()

    first = made(bundles[0])
    (tmp_path / "out" / "autoencoder" / "kept").touch()
    assert made(bundles[0]) == first and (tmp_path / "out" / "autoencoder" / "kept").exists()
    assert made(bundles[1]) != first


def test_what_was_trained_otherwise_is_trained_anew(training_bundle, labelled_datalist, tmp_path):
    made = []

    def run(options, log):
        folder = Path(options["output_dir"])
        made.append((options["steps"], (folder / "checkpoint.pt").exists()))
        (folder / "checkpoint.pt").touch()
        if len(made) == 1:
            raise TrainingError("interrupted")
        (folder / "knee_xr2mri.safetensors").write_bytes(b"weights")
        (folder / "model_card.json").write_text('{"steps": 1, "minutes": 2.5}')

    def trained(samples, method="ldm"):
        setting = training.Setting(
            training_bundle, "compact", labelled_datalist, tmp_path / "a", tmp_path, 0,
            Budget(samples=samples), OPTIONS,
        )  # fmt: skip
        return training.train(METHODS[method], setting, run)

    with pytest.raises(TrainingError):
        trained(8)
    trained(8)  # goes on from its checkpoint
    assert trained(8).samples == 8  # and is not done again
    trained(16)  # another budget: nothing of the old one is left
    assert made == [(1, False), (1, True), (2, False)]
    both = trained(16, "ours")  # of two stages
    assert both.samples == 16 and both.card["minutes"] == 5
    again = training.finished(METHODS["ours"], tmp_path)
    assert (again.sha256, again.samples, again.card) == (both.sha256, 16, both.card)
    assert again.command == both.command
    assert training.finished(METHODS["aldm"], tmp_path) is None


def test_weights_that_were_given_are_told_apart(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    given = training.given(METHODS["ldm"], tmp_path / "w.safetensors")
    data = {"name": "<pair>", "training": [1, 2]}

    def about(trained):
        return report.about(
            results.Results(tmp_path, PLAN, trained, [], [], [], {}, data, Readers())
        )

    text = about([given])
    assert "Weights of LDM were given" in text and "&lt;pair&gt;</b> (acquired data), 2" in text
    assert "autoencoder" not in text.partition("Weights of LDM")[0]  # nobody knows
    assert "were given" not in about([])
    here = replace(given, command="monai.bundle run")
    alike = about([here])
    assert "Methods were trained alike: 32 slices each, on 2 acquired cases." in alike
    assert "seeds and noise, autoencoder and data as well." in alike
    assert "noise, those trained here autoencoder and data as well." in about([here, given])


def _noise(monkeypatch, scale=0.1):
    """Volumes that are drawn as `truths` are, by a generator that knows all but chance."""
    random, shape = np.random.default_rng(0), (6, 64, 64)
    mean, asked = random.random(shape), []
    deviation = scale * random.uniform(0.5, 1.5, shape)

    def drawn(*_):
        return mean + deviation * random.normal(size=shape)

    monkeypatch.setattr(experiments, "asked", lambda *_, **request: asked.append(request))
    monkeypatch.setattr(experiments, "frame_slices", drawn)
    truth = SimpleNamespace(slices=drawn(), body=np.ones(shape, bool))
    return asked, lambda item: (truth, None)


@pytest.mark.parametrize("samples", [4, 6])
def test_a_generator_that_draws_as_the_truth_was_drawn_is_calibrated(
    samples, tmp_path, monkeypatch
):
    _, truths = _noise(monkeypatch)
    lines = Lines(tmp_path / "lines.jsonl")
    experiments.spread(None, [_case()], truths, lines, 0, {}, samples)
    (line,) = lines.rows
    assert line["ratio"] == pytest.approx(1, abs=0.02)
    assert line["cover80"] == pytest.approx(0.8, abs=0.015)
    assert np.allclose([p["error"] / p["spread"] for p in line["curve"]], 1, atol=0.08)


def test_two_draws_are_enough_for_intervals_but_not_for_a_curve(tmp_path, monkeypatch):
    _, truths = _noise(monkeypatch)
    lines = Lines(tmp_path / "lines.jsonl")
    experiments.spread(None, [_case()], truths, lines, 0, {}, 2)
    assert lines.rows[0]["curve"] == [] and figures.svg(figures.calibration(lines.rows))


def test_best_guesses_are_timed_as_draws_are(tmp_path, monkeypatch):
    """On the same cases, and none of them by the first volume, which takes longer."""
    asked, truths = _noise(monkeypatch)
    lines, items = Lines(tmp_path / "lines.jsonl"), [_case("1"), _case("2")]
    one = SimpleNamespace(model=nn.Linear(250_000, 1, bias=False))  # of 1 MB
    for title, kind, counts in (("a draw", "sample", (1, 2)), ("<a guess>", "mean", None)):
        of = {"kind": kind}
        for _ in range(2):  # again: nothing is left to do
            experiments.steps(title, one, items, truths, lines, 0, of, counts, kind=kind)
    assert [request.get("steps") for request in asked] == [1, 1, 1, 2, 2, None, None, None]
    own = [Row("ours", "a draw", rows.no_volume, {"kind": "sample"}),
           Row("ours_mean", "<a guess>", rows.no_volume, {"kind": "mean"})]  # fmt: skip

    assert [line["tensor_megabytes"] for line in lines.rows] == [1] * len(lines.rows)

    def shown(**cost):
        of_lines = [{**line, "seconds": 3.0, **cost} for line in lines.rows]
        if not cost:
            of_lines = [{k: v for k, v in line.items() if "mega" not in k} for line in of_lines]
        plan = Plan(step_counts=(1, 2))
        return tables.times(
            results.Results(tmp_path, plan, [], own, items, of_lines, {}, {}, Readers())
        )

    for row, count in (("a draw", "1"), ("a draw", "2"), ("&lt;a guess&gt;", "-")):
        start = f"<td>{row}</td><td>{count}</td><td>3.0</td>"
        assert f"{start}<td>7</td>" in shown(tensor_megabytes=7.0)
        assert f"{start}<td>-</td>" in shown(), "a line of an earlier version"


def test_memory_is_that_of_the_work_whatever_came_before():
    model = nn.Linear(250_000, 1, bias=False)  # 1 MB

    def work(megabytes):
        first = torch.zeros(megabytes * 250_000)
        second = first + 1
        del first
        return second * 2  # two at one time

    small, large = (tensor_megabytes(partial(work, size), model) for size in (1, 16))
    assert small == pytest.approx(3, abs=0.1) and large == pytest.approx(33, abs=0.1)
    assert tensor_megabytes(partial(work, 1), model) == pytest.approx(small, abs=0.01)


def test_networks_that_are_brought_are_known_by_their_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "load_or_train", lambda *_: None)
    slices = SimpleNamespace(fingerprint="f" * 16, arrays={})

    def known(folder, weights=b"weights"):
        files = tuple(tmp_path / folder / name for name in ("alexnet.pth", "linear.pth"))
        for file in files:
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(weights)
        return run._readers(slices, tmp_path, replace(PLAN, lpips=files), (None, None)).of

    assert known("a") == known("b") != known("a", b"others")


def test_ablations_leave_out_one_finding_each():
    form = {variable.name: 1 for variable in VARIABLES}
    left = {name: leave(form) for name, leave in experiments.ablations().items()}
    assert left["none"] == {} and left["all"] == form
    assert set(form) - set(left["without attrition"]) == {"V00XRATTM", "V00XRATTL"}
    assert len(left["without cysts"]) == 15 and len(left["without chondrocalcinosis"]) == 17


def test_recovery_of_a_finding_is_the_mean_over_its_variables():
    names = [variable.name for variable in VARIABLES]
    truth = {str(n): np.full(len(names), np.nan) for n in range(40)}
    scores = {str(n): np.zeros(len(names)) for n in range(40)}
    medial, lateral = names.index("V00XRCHM"), names.index("V00XRCHL")
    for n in range(40):
        truth[str(n)][[medial, lateral]] = n % 2
        scores[str(n)][medial] = n % 2  # perfect; the lateral one is chance
    found = recovery.recovered(scores, truth, draws=30)
    assert found["V00XRCHM"][0] == 1 and found["V00XRCHL"][0] == 0.5
    assert found["chondrocalcinosis"][0] == found["all"][0] == 0.75
    assert np.isnan(found["cysts"]).all()


def test_knees_of_one_patient_are_drawn_together():
    """Two knees that are alike tell no more than one: the interval is as wide as with one each."""
    names = [variable.name for variable in VARIABLES]
    random, cyst = np.random.default_rng(3), names.index("V00XRCYTL")
    truth = {f"{n}R": np.full(len(names), np.nan) for n in range(24)}
    scores = {f"{n}R": np.zeros(len(names)) for n in range(24)}
    for n in range(24):
        truth[f"{n}R"][cyst], scores[f"{n}R"][cyst] = n % 2, n % 2 + random.normal()
    both = [one | {f"{case[:-1]}L": row for case, row in one.items()} for one in (scores, truth)]
    patients = {case: case[:-1] for case in both[1]}
    single = recovery.recovered(scores, truth)["cysts"]
    assert recovery.recovered(*both, patients=patients)["cysts"] == pytest.approx(single)
    apart = recovery.recovered(*both)["cysts"]
    assert apart[0] == pytest.approx(single[0]) and apart[2] - apart[1] < single[2] - single[1]


def test_what_features_add_is_told_on_the_same_cases():
    names = [variable.name for variable in VARIABLES]
    random, cyst = np.random.default_rng(0), names.index("V00XRCYTL")
    truth = {str(n): np.full(len(names), np.nan) for n in range(40)}
    with_, without = ({str(n): random.normal(size=len(names)) for n in range(40)} for _ in "ab")
    for n in range(40):
        truth[str(n)][cyst] = n % 2
        with_[str(n)][cyst] = n % 2  # perfect
    areas = [recovery.recovered(scores, truth, 30)["cysts"][0] for scores in (with_, without)]
    gain = recovery.gained(with_, without, truth, 30)["cysts"]
    assert gain[0] == pytest.approx(areas[0] - areas[1]) and gain[1] < gain[0] < gain[2]
    assert recovery.gained(with_, with_, truth, 30)["cysts"] == (0, 0, 0)
    assert recovery.gained(with_, {}, truth) == {}
    lines = [
        {"variant": name, "case": case, "scores": scores.tolist(), "ssim": 0.3}
        for name, every in (("all", with_), ("without cysts", without))
        for case, scores in every.items()
    ]
    found = recovery.ablated(lines, truth)
    assert list(found) == ["without cysts", "all"]
    assert found["without cysts"]["lost"]["cysts"][0] == pytest.approx(gain[0])
    assert np.isnan(found["all"]["lost"]["cysts"]).all()
    there = recovery.occurrences([{"features": {"V00XRCYTL": 1, "V00XRCYTM": 1}}, {"features": {}}])
    assert there["cysts"] == 1 and there["attrition"] == 0


def few_cysts(present):
    """Truth and scores of 30 patients: so many have a cyst, always seen; half attrition, never."""
    names = [variable.name for variable in VARIABLES]
    cyst, attrition = names.index("V00XRCYTL"), names.index("V00XRATTM")
    truth = {str(n): np.full(len(names), np.nan) for n in range(30)}
    scores = {str(n): np.zeros(len(names)) for n in range(30)}
    for n in range(30):
        truth[str(n)][cyst], truth[str(n)][attrition] = n < present, n % 2
        scores[str(n)][cyst] = n < present
    return truth, scores


def test_what_too_few_patients_have_proves_no_goal_and_moves_no_mean():
    def told(present):
        truth, scores = few_cysts(present)
        blank = {case: np.zeros_like(one) for case, one in scores.items()}
        lines = [
            {"variant": name, "case": case, "scores": one.tolist(), "ssim": 0.3}
            for name, every in (("all", scores), ("without cysts", blank))
            for case, one in every.items()
        ]
        found = SimpleNamespace(
            gains={"ours": recovery.gained(scores, blank, truth)},
            ablation=recovery.ablated(lines, truth),
        )
        asked = [*goals._gains(found), *goals._ablation(found)]
        return [(g.found, g.reached) for g in asked if "cysts" in g.text]

    assert told(1) == told(4) == [("not measured: too few patients", None)] * 2
    assert [reached for _, reached in told(5)] == [True, True]
    few, enough = (recovery.recovered(*few_cysts(n)[::-1]) for n in (4, 5))
    assert few["cysts"][0] == 1 and np.isnan(few["cysts"][1:]).all()
    assert few["all"] == pytest.approx((0.5,) * 3) and enough["all"] == pytest.approx((0.75,) * 3)


def test_a_rare_variable_falls_out_of_no_draw():
    """Where it did, the mean of all was that of others, and lay outside of its own interval."""
    truth, scores = few_cysts(5)
    (drawn,) = recovery._areas([scores], truth, 500, None)
    assert drawn["all"] == pytest.approx(np.full(501, 0.75))


def test_a_goal_is_reached_when_intervals_are_apart():
    titles = {"ours": "ours", "ldm": "LDM"}

    def apart(own, other, way):
        return goals._apart("SSIM", {"ours": own, "ldm": other}, "ours", titles, 2, way)

    assert apart((0.5, 0.45, 0.55), (0.4, 0.35, 0.44), 1).reached is True
    touching = apart((0.5, 0.45, 0.55), (0.4, 0.35, 0.46), 1)
    assert touching.reached is False and "not apart from LDM 0.40 [0.35, 0.46]" in touching.found
    assert apart((0.5, 0.45, 0.55), (0.7, 0.6, 0.8), -1).reached is True
    assert apart(statistics.NOTHING, (0.7, 0.6, 0.8), 1).reached is None


def test_sets_of_slices_are_compared_by_what_was_kept_of_them(tmp_path):
    """FID and KID of all patients together, from files that know weights, row and request."""
    (tmp_path / "inception.pth").write_bytes(b"weights")
    kept = seen.Seen(tmp_path / "inception.pth", tmp_path / "seen")
    kept.network = lambda slices: slices.mean(2).repeat(2, 1)  # instead of 100 MB of weights
    random = np.random.default_rng(0)
    items = [{"case": str(n), "participant": str(n // 2)} for n in range(16)]
    rows = {"truth": ({}, 0.0), "same": ({"sha256": "a"}, 0.0), "other": ({"sha256": "a"}, 0.4)}

    def distances(row, of):
        return kept.distances(
            (
                item["participant"],
                *(kept.file(*pair, item["case"]) for pair in (("truth", {}), (row, of))),
            )
            for item in items
        )

    for row, (of, shift) in rows.items():
        for item in items:
            slices = random.random((20, 8, 8)) + shift
            kept.keep(kept.file(row, of, item["case"]), slices)
    same, other = (distances(row, rows[row][0]) for row in ("same", "other"))
    assert abs(same["fid"][0]) < 0.01 * other["fid"][0] and np.isnan(other["fid"][1])
    assert same["kid"][1] < 0 < same["kid"][2] and same["kid"][2] < other["kid"][1]
    true, own = (
        np.concatenate([np.load(kept.file(row, rows[row][0], item["case"])) for item in items])
        for row in ("truth", "other")
    )
    assert true.shape == (16 * seen.SLICES, 16)
    expected = 1000 * seen.kernel_distance(true, own)
    assert other["kid"][0] == pytest.approx(expected)
    assert distances("other", {"sha256": "b"}) == {}
    with pytest.raises(WeightsError, match="no such weights file"):
        seen.Seen(tmp_path / "none.pth", tmp_path)


def test_the_command_is_told_without_this_machine():
    typed = ["compare", "--out", "/data/a b/out", "--page", "docs/r.md", "--steps", "6"]
    where = ["--report-only", "--jobs", "8", "--page=docs/other.md"]
    command = summary._portable(_repeatable([*typed, *where]))
    assert command == ["compare", "--out", "out", "--steps", "6"]
    brought = ["--load", "ours=/data/w.safetensors", "--out=/data/out", "--set", "precision=bf16"]
    expected = ["--load", "ours=w.safetensors", "--out=out", "--set", "precision=bf16"]
    assert summary._portable(brought) == expected


def test_every_metric_stands_in_a_table():
    shown = [metric for _, metrics in tables.METRICS.values() for metric in metrics]
    assert sorted(shown) == sorted(results.COLUMNS)


def test_sobel_is_the_slope():
    ramp = np.tile(np.arange(20) * 0.02, (20, 1))
    assert np.allclose(figures.sobel(ramp)[1:-1, 1:-1], 0.02)
    turned = figures.sobel(ndimage.rotate(ramp, 90))
    assert np.allclose(turned[1:-1, 1:-1], 0.02)


def test_kept_volumes_are_true_to_half_a_grey(tmp_path):
    slices = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
    keep_volume(tmp_path / "a" / "v.npy", slices)
    assert np.abs(kept_volume(tmp_path / "a" / "v.npy") - slices).max() <= 0.501 / 255
    assert viewer.smaller(np.full((2, 9, 9), 0.5)).shape == (2, 4, 4)


def test_correlations_stand_at_the_distance_of_the_truth_s_own_slices():
    metrics = {f"lag{lag}": 1 / lag for lag in LAGS}
    lines = [{"row": "truth", "metrics": metrics, "greys": [0.5] * 25}]
    (axis,) = figures.over_distance(lines, {}).axes
    np.testing.assert_allclose(axis.get_lines()[0].get_xdata(), np.array(LAGS) * 73.5 / 24, 1e-2)
