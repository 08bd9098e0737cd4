"""Training from the server: real runs of the bundle's command on a small datalist."""

import json
import os
import shutil
import signal
import sys
import threading
import time

import psutil
import pytest
import SimpleITK as sitk
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from monailabel.client import MONAILabelClient
from served_routes import everything
from waiting import until_state

from monai_app.lib.reading_box import Crowded
from xr2mri_core.bundle import describe_bundle
from xr2mri_core.errors import OutputError
from xr2mri_core.local_server import LocalServer, app_with
from xr2mri_core.reading import PreparedRadiograph

QUICK = {"steps": 4, "epoch_length": 2, "cases_per_batch": 2, "slices_per_case": 2}


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    """A bundle of one's own, for its weights change."""
    from test_bundle import BUNDLE

    own = shutil.copytree(tiny_bundle, tmp_path / "model" / "knee_xr2mri")
    for name in ("training", "train_diffusion"):
        shutil.copy(BUNDLE / "configs" / f"{name}.yaml", own / "configs")
    (own / "models" / "model_card.json").write_text("{}")
    return own


@pytest.fixture
def service(bundle):
    from monai_app.lib.service import GenerationService

    service = GenerationService({"knee_xr2mri": bundle}, "cpu")
    yield service
    service.close()


@pytest.fixture
def runs(service, small_datalist, tmp_path):
    from monai_app.lib.training import TrainingRuns

    runs = TrainingRuns(service, small_datalist.parent, tmp_path / "runs")
    yield runs
    runs.stop()


@pytest.fixture
def client(runs):
    from monai_app.lib.routes import mount, training_router

    app = FastAPI()
    mount(app, training_router(runs))
    with TestClient(app) as client:
        yield client


def until_trained(client, *states):
    return until_state(lambda: client.get("/train/"), *states, seconds=240, pause=0.3)


def test_new_weights_are_served_and_the_old_ones_kept(client, runs, service, bundle):
    old = describe_bundle(bundle)["sha256"]
    before = service.generator("knee_xr2mri")
    assert client.post("/train/knee_xr2mri", json=QUICK).json()["state"] == "running"
    assert client.post("/train/knee_xr2mri", json=QUICK).status_code == 409
    done = until_trained(client, "done", "failed")
    assert done["state"] == "done", (runs._run.folder / "training.log").read_text()[-3000:]
    assert done["step"] == 4 and done["epoch"] == 2 and done["progress"] == 1
    assert done["losses"]["loss"] > 0 and done["validation"]["val_loss"] > 0
    new = describe_bundle(bundle)
    assert new["sha256"] != old and new["card"]["steps"] == 4
    kept = bundle / "models" / f"knee_xr2mri.{old[:8]}.safetensors"
    assert kept.is_file() and kept.with_name(f"model_card.{old[:8]}.json").is_file()
    assert service.generator("knee_xr2mri") is not before
    assert service.generator("knee_xr2mri").describe()["sha256"] == new["sha256"]
    assert not (runs._run.folder / "cache").exists()


def test_weights_that_do_not_load_are_never_served(client, runs, service, bundle, monkeypatch):
    from monai_app.lib.training import TrainingRun

    old, before = describe_bundle(bundle)["sha256"], service.generator("knee_xr2mri")
    real = TrainingRun._take_over

    def spoiled(run):
        (run.folder / "knee_xr2mri.safetensors").write_bytes(b"no weights")
        real(run)

    monkeypatch.setattr(TrainingRun, "_take_over", spoiled)
    client.post("/train/knee_xr2mri", json=QUICK)
    failed = until_trained(client, "done", "failed")
    assert failed["state"] == "failed" and "not used" in failed["error"]
    assert describe_bundle(bundle)["sha256"] == old
    assert service.generator("knee_xr2mri") is before


def test_a_training_can_be_stopped(client, runs, bundle):
    old = describe_bundle(bundle)["sha256"]
    client.post("/train/knee_xr2mri", json=QUICK | {"steps": 10**6})
    assert client.get("/train/", params={"check_if_running": True}).status_code == 200
    stopped = client.delete("/train/").json()
    assert stopped["state"] == "stopped"
    assert describe_bundle(bundle)["sha256"] == old
    assert client.get("/train/", params={"check_if_running": True}).status_code == 404


def test_earlier_weights_of_another_user_are_kept_as_a_copy(bundle, tmp_path, monkeypatch):
    """Linux refuses links to them, where `fs.protected_hardlinks` is set."""
    from monai_app.lib.training import install

    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    trained, served = tmp_path / "run", bundle / "models" / "knee_xr2mri.safetensors"
    trained.mkdir()
    old, digest = served.read_bytes(), describe_bundle(bundle)["sha256"][:8]
    for name in (served.name, "model_card.json"):
        (trained / name).write_text("new")
    install(trained, bundle)
    assert served.read_text() == "new"
    assert served.with_name(f"knee_xr2mri.{digest}.safetensors").read_bytes() == old
    assert served.with_name(f"model_card.{digest}.json").read_text() == "{}"
    assert len(list(served.parent.iterdir())) == 4


def test_a_training_takes_the_first_device_that_generates(client, service, runs, monkeypatch):
    from monai.bundle import ConfigParser

    from monai_app.lib.training import SETTINGS, TrainingRun

    commands, command = [], TrainingRun._command
    monkeypatch.setattr(
        TrainingRun,
        "_command",
        lambda run: commands.append(command(run)) or [sys.executable, "-c", ""],
    )
    monkeypatch.setattr(service.queue, "devices", ("cuda:1", "cuda:0"))
    client.post("/train/knee_xr2mri", json=QUICK)
    files = json.loads(commands[0][-1])
    assert files[-1] == str(runs._run.folder / SETTINGS)
    parser = ConfigParser()
    parser.read_config(files)
    assert parser.get_parsed_content("device") == torch.device("cuda:1")
    until_trained(client, "failed")


@pytest.fixture
def trained_at_once(bundle, monkeypatch):
    """Trainings end as soon as they have begun, with the weights that were there before."""
    from monai_app.lib.training import TrainingRun

    def command(run):
        for name in ("knee_xr2mri.safetensors", "model_card.json"):
            shutil.copy(bundle / "models" / name, run.folder)
        return [sys.executable, "-c", ""]

    monkeypatch.setattr(TrainingRun, "_command", command)


def test_what_tries_new_weights_parses_no_file(client, service, trained_at_once, monkeypatch):
    """Files of the studies are read in the box, before anything is trained."""
    load, read, seen = service.load, service.read, []

    def loaded(*arguments):
        found = load(*arguments)
        generate = found.generate
        found.generate = lambda radiograph, *more: (
            seen.append(radiograph) or generate(radiograph, *more)
        )
        return found

    def crowded_at_first(*arguments, **more):
        monkeypatch.setattr(service, "read", read)
        raise Crowded("many files wait")

    monkeypatch.setattr(service, "load", loaded)
    monkeypatch.setattr(service, "read", crowded_at_first)
    assert client.post("/train/knee_xr2mri", json=QUICK).status_code == 429
    assert client.get("/train/").json() == {}
    client.post("/train/knee_xr2mri", json=QUICK)
    assert until_trained(client, "done", "failed")["state"] == "done"
    (radiograph,) = seen
    assert isinstance(radiograph, PreparedRadiograph)


def test_a_radiograph_that_the_server_does_not_take_ends_nothing_after_hours(
    client, runs, tmp_path
):
    """A header that names another file is read by a training, and by no server."""
    studies = tmp_path / "detached"
    shutil.copytree(runs.studies, studies)
    content = json.loads((studies / "datalist.json").read_text())
    (item,) = content["validation"]
    header = studies / "knee.mhd"
    sitk.WriteImage(sitk.ReadImage(str(studies / item["radiograph"])), str(header))
    item["radiograph"] = header.name
    (studies / "datalist.json").write_text(json.dumps(content))
    runs.studies = studies
    refused = client.post("/train/knee_xr2mri", json=QUICK)
    assert refused.status_code == 422
    assert f"validation case '{item['case']}'" in refused.json()["detail"]
    assert str(tmp_path) not in refused.text


def test_what_is_served_after_a_training_is_loaded_from_the_bundle(
    client, runs, service, trained_at_once
):
    """By the processes of several devices, that is, also when the run's folder has been cleared."""
    client.post("/train/knee_xr2mri", json=QUICK)
    assert until_trained(client, "done", "failed")["state"] == "done"
    shutil.rmtree(runs._run.folder)
    served = service.generator("knee_xr2mri")
    assert served.recipe.bundle().origin["sha256"] == served.describe()["sha256"]


@pytest.mark.parametrize("trial", ["waits", "runs"])
def test_weights_are_not_served_when_their_trial_is_stopped(
    client, service, bundle, trained_at_once, monkeypatch, trial
):
    served, load = service.generator("knee_xr2mri"), service.load
    running, free = threading.Event(), threading.Event()

    def loaded(*arguments):
        found = load(*arguments)
        generate = found.generate

        def last_question(radiograph, condition, request, callbacks):
            """Generates to its end, for it was stopped too late to notice."""
            running.set()
            while not callbacks.cancelled():
                time.sleep(0.01)
            return generate(radiograph, condition, request)

        found.generate = last_question
        return found

    monkeypatch.setattr(service, "load", loaded)
    if trial == "waits":
        service.queue.submit(lambda job: free.wait(60), 1)
    try:
        client.post("/train/knee_xr2mri", json=QUICK)
        until_trained(client, "checking")
        limit = time.monotonic() + 60
        while not (running.is_set() or (trial == "waits" and service.queue.waiting)):
            assert time.monotonic() < limit
            time.sleep(0.01)
        before = time.monotonic()
        stopped = client.delete("/train/").json()
        assert stopped["state"] == "stopped" and time.monotonic() - before < 20
        assert service.queue.waiting == 0 and stopped["error"] is None
    finally:
        free.set()
    assert service.generator("knee_xr2mri") is served
    assert len(list((bundle / "models").iterdir())) == 2, "nothing was installed"


@pytest.mark.server
@pytest.mark.slow
def test_the_stock_client_trains_on_a_running_server(bundle, small_datalist, tmp_path):
    old, app = describe_bundle(bundle)["sha256"], app_with(bundle, tmp_path / "monai_app")
    options = ("--conf", "train_dir", str(tmp_path / "runs"))
    server = LocalServer(app, small_datalist.parent, tmp_path / "server", *options)
    try:
        client = MONAILabelClient(server.wait().url)
        assert client.train_start("knee_xr2mri", QUICK)["state"] == "running"
        assert client.train_status(check_if_running=True)
        limit = time.monotonic() + 600
        while (found := client.train_status())["state"] in ("running", "checking"):
            assert time.monotonic() < limit, found
            assert "knee_xr2mri" in client.info()["models"], "it answers while it trains"
            time.sleep(1)
        assert found["state"] == "done" and found["validation"]["val_loss"] > 0
        weights = client.info()["models"]["knee_xr2mri"]["weights"]
        assert weights["sha256"] == describe_bundle(bundle)["sha256"] != old
        client.train_start("knee_xr2mri", QUICK | {"steps": 10**6})
        assert client.train_stop()["state"] == "stopped"
    finally:
        server.stop()


def test_a_second_server_leaves_the_pixels_of_one_that_trains(tmp_path):
    """Those of a run that nobody works on any more go."""
    from monai_app.lib.training import CACHE, SETTINGS, TrainingRuns, hold

    for name in ("runs", "dead"):
        (tmp_path / name / CACHE).mkdir(parents=True)
        (tmp_path / name / SETTINGS).touch()
    held = hold(tmp_path / "runs")
    TrainingRuns(None, tmp_path, tmp_path)
    assert (tmp_path / "runs" / CACHE).exists() and not (tmp_path / "dead" / CACHE).exists()
    held.close()
    TrainingRuns(None, tmp_path, tmp_path)
    assert not (tmp_path / "runs" / CACHE).exists()


def test_a_training_is_stopped_where_no_program_can_be_asked_to_end(tmp_path, monkeypatch):
    """Windows has neither process groups that get a signal, nor these signals."""
    from monai_app.lib.training import TrainingParameters, TrainingRun
    from xr2mri_client import programs

    code = "import time; time.sleep(60)"
    monkeypatch.setattr(TrainingRun, "_command", lambda self: [sys.executable, "-c", code])
    run = TrainingRun(None, "knee_xr2mri", tmp_path, tmp_path / "run", TrainingParameters(), None)
    asked = []

    def taskkill(words, **_):
        asked.append(words)
        os.kill(int(words[-1]), 9)

    monkeypatch.setattr(programs, "WINDOWS", True)
    monkeypatch.setattr(programs.subprocess, "run", taskkill)
    for lacking in ("killpg", "getpgid"):
        monkeypatch.delattr(os, lacking)
    run.stop()
    assert run.describe()["state"] == "stopped"
    assert [words[0] for words in asked] == ["taskkill"]


def test_a_run_is_held_by_its_process_until_that_ends(tmp_path, monkeypatch):
    from monai_app.lib.training import TrainingParameters, TrainingRun, hold

    code = "import time; time.sleep(60)"
    monkeypatch.setattr(TrainingRun, "_command", lambda self: [sys.executable, "-c", code])
    run = TrainingRun(None, "m", tmp_path, tmp_path / "run", TrainingParameters(), None)
    run._lock.close()  # as where the server is killed
    assert hold(tmp_path / "run") is None
    run.stop()
    assert hold(tmp_path / "run") is not None


@pytest.mark.server
def test_a_killed_server_leaves_neither_a_training_nor_pixels(
    bundle, service, small_datalist, tmp_path
):
    from monai_app.lib.training import TrainingRuns

    app, runs = app_with(bundle, tmp_path / "monai_app"), tmp_path / "runs"
    options = ("--conf", "train_dir", str(runs))
    server = LocalServer(app, small_datalist.parent, tmp_path / "server", *options)
    try:
        client = MONAILabelClient(server.wait().url)
        client.train_start("knee_xr2mri", QUICK | {"steps": 10**6})
        limit = time.monotonic() + 240
        while not client.train_status().get("step"):
            assert time.monotonic() < limit, client.train_status()
            time.sleep(0.3)
        training = psutil.Process(server.process.pid).children(recursive=True)
        assert any("train_diffusion.yaml" in " ".join(one.cmdline()) for one in training)
    finally:
        server.stop(signal.SIGKILL)
    assert psutil.wait_procs(training, timeout=30)[1] == []
    assert list(runs.glob("*/cache/*")), "what was left"
    TrainingRuns(service, small_datalist.parent, runs)
    assert not list(runs.glob("*/cache")) and list(runs.glob("*/training.log"))


@pytest.mark.parametrize(
    ("model", "params", "status", "message"),
    [
        ("unknown", {}, 404, "unknown"),
        ("knee_xr2mri", {"steps": 0}, 422, "steps 0"),
        ("knee_xr2mri", {"run": "rm"}, 422, "unknown parameter 'run'; accepted are steps"),
    ],
)
def test_wrong_requests(client, model, params, status, message):
    reply = client.post(f"/train/{model}", json=params)
    assert reply.status_code == status and message in reply.json()["detail"]


def test_weights_that_could_not_be_installed_are_not_trained(client, runs, bundle, monkeypatch):
    def read_only(folder):
        assert folder == bundle / "models"
        raise OutputError(f"cannot write to '{folder}'")

    monkeypatch.setattr("monai_app.lib.training.check_writable", read_only)
    reply = client.post("/train/knee_xr2mri", json=QUICK)
    assert reply.status_code == 507 and "may not write" in reply.json()["detail"]
    assert not runs.active and str(bundle) not in reply.text and not list(runs.folder.glob("*"))


def test_studies_without_a_datalist_cannot_be_trained_on(client, runs, tmp_path):
    runs.studies = tmp_path
    reply = client.post("/train/knee_xr2mri", json={})
    assert reply.status_code == 422 and "datalist.json" in reply.json()["detail"]
    assert json.loads(reply.text)["detail"].count(str(tmp_path)) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "datalist.json: not a JSON file"),
        ("{}", "datalist.json: none of the lists"),
        ('{"training": [{"case": "a"}]}', "datalist.json, training[0]: participant is missing"),
        (
            '{"training": [{"case": "a", "participant": "p", "radiograph": "gone/a.png", '
            '"mri": "gone/a.nii.gz"}], "validation": []}',
            "'gone/a.png' does not exist at gone/a.png",
        ),
    ],
)
def test_a_datalist_is_told_by_its_path_within_the_studies(
    client, runs, tmp_path, content, message
):
    """As it leaves the server, where other paths are taken out."""
    from monai_app.lib.security.scrub import Scrubber

    runs.studies = tmp_path / "the studies"
    runs.studies.mkdir()
    (runs.studies / "datalist.json").write_text(content)
    reply = client.post("/train/knee_xr2mri", json={})
    assert reply.status_code == 422
    detail = json.loads(Scrubber([tmp_path], everything()).scrub(reply.content))["detail"]
    assert message in detail and "[path]" not in detail
