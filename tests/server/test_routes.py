"""The HTTP interface: volumes for good requests, one line for bad ones, nothing left behind."""

import asyncio
import copy
import gc
import io
import json
import shutil
import threading
import time
import weakref
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from anyio import to_thread
from dicom_samples import bilateral_film, write_dicom
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from safetensors.torch import save_file
from samples import draw_knee, make_tiny_bundle
from security_support import NoAudit
from starlette.routing import Mount
from waiting import until, until_state

from monai_app.lib.device_queue import QueueFull
from monai_app.lib.dicomweb import Unreachable
from monai_app.lib.jobs import Key, OtherRequest
from monai_app.lib.json_text import Json
from monai_app.lib.quotas import Claim, Quota
from monai_app.lib.replies import VolumeReply, partial_reply
from monai_app.lib.routes import ListedJob, info_router, mount
from monai_app.lib.security.audit import Audited
from monai_app.lib.service import GenerationService
from monai_app.lib.tasks import KneeMRITask
from monai_app.lib.threads import SharedThreads
from xr2mri_core.errors import Cancelled
from xr2mri_core.geometry import volume_affine
from xr2mri_core.networks.model import read_safetensors
from xr2mri_core.phantom.dicom import write_radiograph_dicom
from xr2mri_core.reading import prepare_radiograph
from xr2mri_core.request import GenerationRequest

CASES = Path(__file__).parents[3] / "shared" / "cases"
NOISE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
SMALL = {"num_slices": 4, "seed": 3, "features": {"V00XRKL": 2}}


def picture(array, form="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form)
    return buffer.getvalue()


@pytest.fixture
def knee(radiograph):
    return radiograph.read_bytes()


def infer(client, knee=None, params=SMALL, **query):
    files = {"file": ("Doe^Jane.png", knee)} if knee is not None else None
    text = params if isinstance(params, str) else json.dumps(params)
    return client.post("/infer/knee_xr2mri", params=query, data={"params": text}, files=files)


def read_nifti(content, tmp_path):
    path = tmp_path / "volume.nii"
    path.write_bytes(content)
    return nib.load(path)


# --- plain inference -----------------------------------------------------------------------------


def test_an_image_is_float32_with_its_exact_affine(client, knee, tmp_path):
    reply = infer(client, knee, output="image")
    assert reply.status_code == 200
    image = read_nifti(reply.content, tmp_path)
    assert image.shape == (64, 4, 64) and image.get_data_dtype() == np.float32
    np.testing.assert_allclose(image.affine, volume_affine(4, 2.5, 64), atol=1e-5)


def test_json_tells_what_was_used_and_what_not(client, knee):
    record = infer(client, knee, output="json").json()
    assert record["features"] == {"V00XRKL": 2} and len(record["features_missing"]) == 18
    assert record["seed"] == 3 and record["notice"] == "synthetic, not for diagnosis"
    assert record["box"] and record["seconds"] and record["versions"]["torch"]
    assert any("spacing unknown" in warning for warning in record["warnings"])
    assert "Jane" not in json.dumps(record)


def test_both_come_as_multipart_as_stock_clients_read_it(client, knee):
    reply = infer(client, knee)
    assert reply.headers["content-type"].startswith("multipart/form-data")
    assert b'name="params"' in reply.content and b'name="image"' in reply.content


def test_the_same_request_gives_the_same_bytes_from_file_study_and_session(
    client, knee, monkeypatch
):
    session = client.put("/session/", files={"files": ("a.png", knee)}).json()["session_id"]
    replies = [
        infer(client, knee, output="image"),
        infer(client, image="case-7.radiograph", output="image"),
        infer(client, session_id=session, output="image"),
    ]
    monkeypatch.setattr("monai_app.lib.sources.IN_MEMORY", 100)  # larger ones go as files
    replies.append(infer(client, knee, output="image"))
    assert len({reply.content for reply in replies}) == 1 and replies[0].status_code == 200


def test_nrrd_and_dicom(client, knee):
    assert (
        infer(client, knee, SMALL | {"output_format": "nrrd"}, output="image").content[:4]
        == b"NRRD"
    )
    reply = infer(client, knee, SMALL | {"output_format": "dicom"}, output="image")
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert len(archive.namelist()) == 4


def dicom(tmp_path, **tags):
    """A DX file of a knee."""
    path = tmp_path / "radiograph"
    write_radiograph_dicom(
        path, draw_knee(128).astype(np.uint16) * 16, 1.3, patient_id="P-7", **tags
    )
    return path.read_bytes()


def test_a_finished_job_keeps_of_the_header_what_its_export_needs(client, store, tmp_path):
    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(dicom(tmp_path)))
    dataset.private_block(0x0011, "SOMEBODY", create=True).add_new(1, "OB", bytes(400_000))
    dataset.PatientComments = "x" * 300_000  # 10,240 are allowed
    dataset.save_as(tmp_path / "large")
    files = {"file": ("a", (tmp_path / "large").read_bytes())}
    reply = client.post("/jobs/infer/knee_xr2mri", data={"params": json.dumps(SMALL)}, files=files)
    entry = store.get(reply.json()["id"], None)
    assert entry.job.wait(60)
    kept = entry.job.result.source
    assert kept.PatientID == "P-7" and kept.StudyInstanceUID == dataset.StudyInstanceUID
    assert len(kept.to_json()) < 5000 and not any(e.tag.is_private for e in kept.iterall())
    result = client.get(f"/jobs/{entry.job.id}/result", params={"form": "dicom"})
    with zipfile.ZipFile(io.BytesIO(result.content)) as archive:
        slice_ = pydicom.dcmread(io.BytesIO(archive.read(archive.namelist()[0])))
    assert slice_.PatientID == "P-7"
    assert slice_.SourceImageSequence[0].ReferencedSOPInstanceUID == dataset.SOPInstanceUID


def computed_radiography(tmp_path):
    """The same as CR, which has fewer attributes."""
    import pydicom

    path = tmp_path / "radiograph"
    path.write_bytes(dicom(tmp_path))
    dataset = pydicom.dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.Modality = "CR"
    dataset.save_as(path)
    return path.read_bytes()


def nrrd(tmp_path):
    import SimpleITK as sitk

    sitk.WriteImage(sitk.GetImageFromArray(draw_knee()), str(tmp_path / "knee.nrrd"))
    return (tmp_path / "knee.nrrd").read_bytes()


KINDS = {
    "DX": dicom,
    "CR": computed_radiography,
    "PNG": lambda folder: picture(draw_knee()),
    "JPEG": lambda folder: picture(draw_knee(), "JPEG"),
    "NIfTI": lambda folder: nib.Nifti1Image(draw_knee().T, np.eye(4)).to_bytes(),
    "NRRD": nrrd,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_read_by_its_content(client, tmp_path, kind):
    reply = infer(client, KINDS[kind](tmp_path), output="json")
    assert reply.status_code == 200, reply.text
    spacing = reply.json()["radiograph_spacing_mm"]
    assert (spacing is not None) == (kind in ("DX", "CR"))


def test_a_left_knee_is_told_and_comes_back_left(client, tmp_path):
    record = infer(client, dicom(tmp_path, laterality="L"), output="json").json()
    assert record["laterality"] == "L"
    assert any("left knee: mirrored" in warning for warning in record["warnings"])
    right = infer(client, dicom(tmp_path), SMALL | {"laterality": "R"}, output="json").json()
    assert not any("mirrored" in warning for warning in right["warnings"])


def test_every_parameter_has_its_effect(client, knee):
    wanted = {
        "features": {"V00XRKL": 3, "V00XRJSM": 1},
        "laterality": "L",
        "box": [10, 12, 80, 82],
        "depths": [0.2, 0.4, 0.6],
        "steps": 2,
        "sampler": "ddim",
        "guidance": 1.5,
        "samples": 2,
        "seed": 11,
    }
    record = infer(client, knee, wanted, output="json").json()
    recorded = {name: record[name] for name in wanted if name != "depths"}
    assert recorded == {name: value for name, value in wanted.items() if name != "depths"}
    assert record["slices"] == 3 and record["depths"] == [0.2, 0.6]


# --- where the knee is ---------------------------------------------------------------------------


def locate(client, knee=None, params=SMALL, **query):
    files = {"file": ("Doe^Jane.png", knee)} if knee is not None else None
    data = {"params": json.dumps(params)}
    return client.post("/locate/knee_xr2mri", params=query, data=data, files=files)


def test_locating_tells_what_generation_takes(client, knee, tmp_path):
    for content, params in (
        (knee, SMALL),
        (knee, SMALL | {"box": [10, 12, 80, 90], "laterality": "L"}),
        (dicom(tmp_path), SMALL),
    ):
        located, record = (
            locate(client, content, params),
            infer(client, content, params, output="json"),
        )
        assert located.status_code == 200, located.text
        located, record = located.json(), record.json()
        assert located["box"] == record["box"] and located["laterality"] == record["laterality"]
        assert located["spacing_mm"] == record["radiograph_spacing_mm"]
        assert located["warnings"] == record["warnings"]
    assert (
        locate(client, image="case-7.radiograph").json()["box"]
        == locate(client, knee).json()["box"]
    )


def test_doubts_about_a_radiograph_reach_every_reply(client, knee, service, monkeypatch):
    doubt, prepare = "no knee found: is this a knee radiograph?", service.box.prepare

    def doubtful(*arguments, **options):
        prepared = prepare(*arguments, **options)
        seen = {"kind": "none", "knees": []}
        return replace(prepared, info={**prepared.info, "warnings": [doubt], "localization": seen})

    monkeypatch.setattr(service.box, "prepare", doubtful)
    assert infer(client, knee, output="json").json()["warnings"] == [doubt]
    located = locate(client, knee).json()
    assert located["warnings"] == [doubt] and located["localization"]["kind"] == "none"
    started = start(client, knee).json()
    assert started["warnings"] == [doubt]
    until_job(client, started["id"], "done")
    assert client.get(f"/jobs/{started['id']}/record").json()["warnings"] == [doubt]


def test_a_picture_without_a_knee_is_doubted(client):
    located = locate(client, picture(NOISE[..., 0])).json()
    assert any("is this a knee radiograph?" in warning for warning in located["warnings"])
    assert located["localization"]["kind"] == "none" and located["localization"]["knees"] == []


@pytest.mark.skipif(not CASES.is_dir(), reason="no cases here")
@pytest.mark.parametrize("name", sorted(path.name for path in CASES.glob("[0-9]*")))
def test_peculiar_files_are_read_here_as_on_the_command_line(client, name):
    path = CASES / name
    reply = locate(client, path.read_bytes(), {"laterality": "R"})
    read = prepare_radiograph(path, 64, "R").info
    assert reply.status_code == 200, reply.text
    reply = reply.json()
    assert reply["box"] == list(read["box"]) and reply["laterality"] == read["laterality"]
    assert reply["warnings"] == [str(warning) for warning in read["warnings"]]
    assert reply["localization"] == read["localization"]


@pytest.mark.parametrize("params", [{}, {"box": [20, 20, 500, 500]}])
def test_a_letter_of_the_other_side_is_doubted(client, tmp_path, params):
    path = write_dicom(tmp_path / "x", bilateral_film("L"), ImageLaterality="R")
    warnings = locate(client, path.read_bytes(), params).json()["warnings"]
    assert any("says L, the laterality R" in warning for warning in warnings)


def test_what_was_located_and_handed_back_gives_the_same_volume(client, tmp_path):
    content = dicom(tmp_path, laterality="L")
    located = locate(client, content).json()
    asked = SMALL | {"box": located["box"], "laterality": located["laterality"]}
    given = infer(client, content, asked, output="image")
    found = infer(client, content, output="image")
    assert given.status_code == 200 and given.content == found.content


@pytest.mark.parametrize(
    ("content", "query", "status"),
    [(b"no picture", {}, 415), (None, {}, 422), (None, {"image": "nobody"}, 404)],
)
def test_what_cannot_be_located_is_refused_as_for_generation(client, content, query, status):
    assert locate(client, content, **query).status_code == status


# --- wrong input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "status", "message"),
    [
        ({"features": {"V00XRKL": 9}}, 422, "V00XRKL"),
        ({"features": {"nonsense": 1}}, 422, "nonsense"),
        ({"laterality": "left"}, 422, "laterality"),
        ({"colour": 1}, 422, "unknown parameter 'colour'"),
        ({"box": [0, 0, 0, 0]}, 422, "box"),
        ({"depths": [0.9, 0.1]}, 422, "ascending"),
        ("not json", 422, "params is not JSON"),
    ],
)  # fmt: skip
def test_wrong_parameters(client, knee, params, status, message):
    reply = infer(client, knee, params)
    assert reply.status_code == status and message in reply.json()["detail"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"samples": 2, "steps": 9}, "4 slices, 2 samples and 9 steps"),
        ({"samples": 6}, "4 slices, 6 samples and 3 steps"),
        ({"depths": [0.1, 0.2], "samples": 12}, "2 slices, 12 samples and 3 steps"),
    ],
)
def test_a_request_that_would_hold_the_device_too_long(client, knee, service, more, message):
    """By what was timed: here a pass took a second."""
    asked = {**SMALL, **more}
    if "depths" in more:
        del asked["num_slices"]
    service.pace.timed(100, 100)
    generator = service.generator("knee_xr2mri")
    request = GenerationRequest(**{k: v for k, v in asked.items() if k != "features"})
    needed = generator.plan(request.filled(generator.settings)).passes
    service.max_seconds = needed - 1
    for route in ("infer", "jobs/infer"):
        files = {"file": ("a.png", knee)}
        data = {"params": json.dumps(asked)}
        reply = client.post(f"/{route}/knee_xr2mri", data=data, files=files)
        detail = reply.json()["detail"]
        assert reply.status_code == 422, detail
        assert f"{message} would take some {needed} s on this device" in detail
        assert f"may take {needed - 1}; lower num_slices" in detail and "or steps" in detail
    assert service.queue.waiting == 0 and client.get("/jobs").json() == []
    service.max_seconds = needed
    assert infer(client, knee, asked, output="json").status_code == 200
    assert service.pace.seconds_a_pass < 1, "what was generated was timed, too"


def test_a_fast_device_is_timed_before_a_large_request_is_refused(
    client, knee, service, monkeypatch
):
    monkeypatch.setattr("xr2mri_core.localization.KneeDetector.shipped", None)  # is in the box
    service.max_seconds = 4
    assert not service.pace.measured and service.pace.seconds(32) > 4
    assert infer(client, knee, {**SMALL, "steps": 7}, output="json").status_code == 200
    assert service.pace.measured and service.pace.seconds(32) < 4


def test_what_runs_for_much_longer_than_was_expected_is_ended(client, knee, service):
    service.max_seconds = 1
    service.pace.timed(1e9, 100)
    job = start(client, knee, num_slices=1000, steps=1000).json()["id"]
    state = until_job(client, job, "failed")
    assert "twice what one may" in state["error"] and 2 <= state["seconds"] < 20


def test_a_request_that_would_take_the_memory(client, knee, service):
    """2,000 slices of two samples with a single step are little work, and took 5 GB."""
    many = {"num_slices": 2000, "steps": 1, "samples": 2}
    service.max_memory_mb = 8 * 2000 * 64 * 64 * 4 // 2**20 - 1
    reply = infer(client, knee, many)
    assert reply.status_code == 422 and "lower num_slices" in reply.json()["detail"]
    assert "or ask for one sample" in reply.json()["detail"]
    assert infer(client, knee, SMALL | {"samples": 2}, output="json").status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 415, "empty"),
        (b"hello, this is no picture", 415, "accepted are DICOM"),
        (picture(np.zeros((64, 64), np.uint8)), 422, ""),
        (picture(NOISE), 422, "colour"),
        (picture(NOISE[..., 0])[:200], 415, "damaged"),
        (nib.Nifti1Image(np.random.rand(8, 8, 8), np.eye(4)).to_bytes(), 422, "3-D"),
        (bytes(2 << 20), 413, "more than 1 MB"),
    ],
    ids=["empty", "text", "constant", "photograph", "truncated", "volume", "large"],
)  # fmt: skip
def test_what_is_no_radiograph(client, content, status, message):
    reply = infer(client, content)
    assert (reply.status_code, message in reply.json()["detail"]) == (status, True), reply.text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 422),
        ({"image": "unknown"}, 404),
        ({"image": "../../etc/passwd"}, 404),
        ({"image": "/etc/hostname"}, 404),
        ({"session_id": "0" * 32}, 404),
    ],
)
def test_no_such_radiograph(client, query, status):
    assert infer(client, None, **query).status_code == status


def test_unknown_model_and_missing_weights(client, knee):
    files = {"file": ("a.png", knee)}
    assert client.post("/infer/unknown", files=files).status_code == 404
    reply = client.post("/infer/bare", files=files)
    assert reply.status_code == 503 and "/" not in reply.json()["detail"]


@pytest.mark.parametrize("drawing", [True, False])
def test_what_a_model_can_give_is_offered(tmp_path, drawing):
    bundle = make_tiny_bundle(tmp_path / "knee", volume=True)
    weights = bundle / "models" / "knee_xr2mri.safetensors"
    state, metadata = read_safetensors(weights)
    if not drawing:  # its regression is all of it
        state = {n: v for n, v in state.items() if not n.startswith("regression.unet.")}
    save_file(state, weights, metadata)
    asked = KneeMRITask(GenerationService({"knee": bundle}, "cpu"), "knee").info()
    kind, samples = (asked["parameters"]["properties"][name] for name in ("kind", "samples"))
    assert kind["anyOf"][0]["enum"] == (["sample", "mean"] if drawing else ["mean"])
    assert samples["maximum"] == (16 if drawing else 1)
    assert asked["weights"].keys() == {"weights", "megabytes", "sha256", "card"}


def test_info_describes_the_model_that_generates_not_the_files(tiny_bundle, tmp_path):
    """Which an update, or the training of another server, replaces under a running one."""
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "knee"))
    weights, card = (bundle / "models" / n for n in ("knee_xr2mri.safetensors", "model_card.json"))
    card.write_text('{"steps": 1}')
    service = GenerationService({"knee": bundle}, "cpu")
    told = KneeMRITask(service, "knee").info
    before = told()["weights"]
    generator = service.generator("knee")
    assert told()["weights"] == before and before["card"] == {"steps": 1}
    state, metadata = read_safetensors(weights)
    save_file({name: value + 1 for name, value in state.items()}, weights, metadata)
    card.write_text('{"steps": 2}')
    assert told()["weights"] == before and before["sha256"] == generator.describe()["sha256"]
    service.replace("knee", service.load("knee"))
    after = told()["weights"]
    assert after["sha256"] == service.generator("knee").describe()["sha256"] != before["sha256"]
    assert after["card"] == {"steps": 2}


def test_demographics_are_for_models_that_were_trained_with_them(
    client, service, knee, tiny_bundle, tmp_path
):
    guided = Path(shutil.copytree(tiny_bundle, tmp_path / "guided"))
    model = service.generator("knee_xr2mri").model
    with_people = copy.deepcopy(model)
    with_people.guidance.add_demographics()
    for parameter in with_people.guidance.demographics.parameters():
        torch.nn.init.normal_(parameter)
    with_people.save_weights(guided / "models" / "knee_xr2mri.safetensors")
    assert KneeMRITask(service, "knee_xr2mri").info()["demographics"] is None
    person = {**SMALL, "demographics": {"age": 61, "sex": "female", "bmi": 27.5}}
    reply = infer(client, knee, person, output="json")
    assert reply.status_code == 422 and "trained without demographics" in reply.json()["detail"]

    service.bundles["knee_xr2mri"] = guided
    service.replace("knee_xr2mri", service.load("knee_xr2mri"))
    asked = KneeMRITask(service, "knee_xr2mri").info()["demographics"]["properties"]
    assert asked["age"]["maximum"] == 110 and asked["sex"]["enum"] == ["F", "M", None]
    record = infer(client, knee, person, output="json").json()
    assert record["demographics"] == {"age": 61, "sex": "F", "bmi": 27.5}
    older = {**person, "demographics": {**person["demographics"], "age": 90}}
    images = [infer(client, knee, asked, output="image").content for asked in (person, older)]
    assert images[0] != images[1]


# --- jobs ----------------------------------------------------------------------------------------


@pytest.fixture
def gate(service, monkeypatch):
    """Holds the model before each denoising step until it is set."""
    free = threading.Event()
    algorithm = service.generator("knee_xr2mri").algorithm
    real = algorithm._denoise

    def held(*arguments):
        while not free.wait(0.01):
            pass
        return real(*arguments)

    monkeypatch.setattr(algorithm, "_denoise", held)
    yield free
    free.set()


def start(client, knee, user="", **more):
    return client.post(
        "/jobs/infer/knee_xr2mri",
        data={"params": json.dumps(SMALL | more)},
        files={"file": ("a.png", knee)},
        headers={"X-User": user},
    )


def until_job(client, job, state, seconds=30, user=""):
    who = {"X-User": user}
    return until_state(lambda: client.get(f"/jobs/{job}", headers=who), state, seconds=seconds)


def test_a_job_from_start_to_result(client, knee, tmp_path):
    reply = start(client, knee, samples=2)
    assert reply.status_code == 202
    job = reply.json()["id"]
    done = until_job(client, job, "done")
    assert (
        done["done"] == done["total"] == 8 and done["slices"] == 4 and done["seconds_left"] is None
    )
    volume = read_nifti(client.get(f"/jobs/{job}/result").content, tmp_path)
    np.testing.assert_allclose(volume.affine, volume_affine(4, 2.5, 64), atol=1e-5)
    for kind in ("mean", "std"):
        assert client.get(f"/jobs/{job}/result", params={"kind": kind}).status_code == 200
    assert client.get(f"/jobs/{job}/record").json()["samples"] == 2
    assert [entry["id"] for entry in client.get("/jobs").json()] == [job]
    assert client.delete(f"/jobs/{job}").status_code == 200
    assert client.get(f"/jobs/{job}").status_code == 404


def test_slices_can_be_seen_as_they_come(client, knee, service):
    service.batch_size = 2
    hold = threading.Event()
    algorithm = service.generator("knee_xr2mri").algorithm
    real, passes = algorithm._denoiser, []

    def second_waits(*arguments):
        passes.append(1)
        while len(passes) > 1 and not hold.wait(0.01):
            pass
        return real(*arguments)

    algorithm._denoiser = second_waits
    try:
        job = start(client, knee).json()["id"]
        while (state := client.get(f"/jobs/{job}").json())["slices"] < 2:
            time.sleep(0.02)
        assert state["state"] == "running" and client.get(f"/jobs/{job}/result").status_code == 409
        reply = client.get(f"/jobs/{job}/volume", params={"form": "npy"})
        partial = np.load(io.BytesIO(reply.content))
        assert reply.headers["x-slices-done"] == "2"
        assert partial[:, :2].std() > 0 and not partial[:, 2:].any()
        hold.set()
        until_job(client, job, "done")
        whole = np.load(io.BytesIO(client.get(f"/jobs/{job}/volume?form=npy").content))
        np.testing.assert_array_equal(whole[:, :2], partial[:, :2])
    finally:
        hold.set()
        del algorithm._denoiser


def test_cancelling_ends_the_work_and_frees_the_line(client, knee, gate, service):
    job, second = (start(client, knee).json()["id"] for _ in range(2))
    until_job(client, job, "running")
    assert client.get(f"/jobs/{second}").json()["queue_position"] == 1
    (entry,) = service.queue._running.values()
    gate.set()
    assert client.delete(f"/jobs/{job}").json()["state"] in ("cancelled", "done")
    assert entry.wait(5)
    until_job(client, second, "done")


def test_a_full_line_says_when_to_come_back(client, knee, gate):
    job = start(client, knee).json()["id"]
    until_job(client, job, "running")
    replies = [start(client, knee) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [202, 202, 202, 429]
    assert int(replies[-1].headers["retry-after"]) >= 1
    gate.set()


def test_one_user_leaves_room_in_the_line_for_others(client, knee, gate, service):
    service.queue.most_of_one = 2
    until_job(client, start(client, knee, user="ann").json()["id"], "running", user="ann")
    replies = [start(client, knee, user="ann") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [202, 202, 429]
    assert "2 generations of yours" in replies[-1].json()["detail"]
    assert int(replies[-1].headers["retry-after"]) >= 1
    plain = client.post(
        "/infer/knee_xr2mri",
        data={"params": json.dumps(SMALL)},
        files={"file": ("a.png", knee)},
        headers={"X-User": "ann"},
    )
    assert plain.status_code == 429
    assert start(client, knee, user="bob").status_code == 202
    gate.set()


def test_lists_of_jobs_hold_up_nobody(client, knee, store, monkeypatch):
    """A thousand jobs take a while to describe: not where all are answered, one list of a user."""
    job = start(client, knee).json()["id"]
    until_job(client, job, "done")
    describe, go_on, under_way = store.describe, threading.Event(), []

    def slowly(entry):
        if threading.current_thread().name.startswith("AnyIO"):
            under_way.append(entry)
            assert go_on.wait(20)
        return describe(entry)

    monkeypatch.setattr(store, "describe", slowly)
    lists = []
    asking = [
        threading.Thread(target=lambda: lists.append(client.get("/jobs").json()), daemon=True)
        for _ in range(4)
    ]
    for thread in asking:
        thread.start()
    try:
        until(lambda: under_way)
        assert client.get(f"/jobs/{job}").json()["state"] == "done"
        assert len(under_way) == 1
    finally:
        go_on.set()
        for thread in asking:
            thread.join(20)
    assert [listed["id"] for (listed,) in lists] == [job] * 4
    assert ListedJob(**lists[0][0]).owner == "anonymous"


def test_an_administrator_sees_and_ends_all_jobs_but_gets_no_result(client, knee, gate, store):
    def ask(method, path, user):
        return client.request(method, path, headers={"X-User": user})

    running, waiting = (start(client, knee, user="ann").json() for _ in range(2))
    assert running["warnings"], "about the radiograph, and for its sender"
    until_job(client, running["id"], "running", user="ann")
    assert [job["owner"] for job in ask("GET", "/jobs", "ann").json()] == ["ann", "ann"]
    assert ask("GET", "/jobs", "bob").json() == []
    assert ask("GET", f"/jobs/{waiting['id']}", "bob").status_code == 404
    assert ask("DELETE", f"/jobs/{waiting['id']}", "bob").status_code == 404

    listed = ask("GET", "/jobs", "root").json()
    assert [(job["id"], job["owner"]) for job in listed] == [
        (running["id"], "ann"),
        (waiting["id"], "ann"),
    ]
    assert not any(job["warnings"] for job in listed)
    seen = ask("GET", f"/jobs/{waiting['id']}", "root").json()
    assert seen["state"] == "queued" and seen["warnings"] == []
    ended = ask("DELETE", f"/jobs/{waiting['id']}", "root").json()
    assert ended["state"] == "cancelled" and ended["warnings"] == []
    assert ask("GET", f"/jobs/{waiting['id']}", "ann").status_code == 404
    gate.set()
    until_job(client, running["id"], "done", user="ann")
    for part in ("result", "record", "volume"):
        refused = ask("GET", f"/jobs/{running['id']}/{part}", "root")
        assert refused.status_code == 403 and "nobody else" in refused.json()["detail"]
        assert ask("GET", f"/jobs/{running['id']}/{part}", "ann").status_code == 200
        assert ask("GET", f"/jobs/{running['id']}/{part}", "bob").status_code == 404


def test_a_plain_request_is_a_job_while_it_works(client, knee, gate, service, store):
    """So that an administrator can end it, of which its client hears."""
    replies = []
    sent = {"data": {"params": json.dumps(SMALL)}, "files": {"file": ("a.png", knee)}}

    def send():
        replies.append(client.post("/infer/knee_xr2mri", headers={"X-User": "ann"}, **sent))

    thread = threading.Thread(target=send)
    thread.start()
    limit = time.monotonic() + 30
    while not (jobs := client.get("/jobs", headers={"X-User": "root"}).json()):
        assert time.monotonic() < limit
        time.sleep(0.02)
    assert jobs[0]["owner"] == "ann" and jobs[0]["state"] in ("queued", "running")
    threading.Timer(0.2, gate.set).start()
    ended = client.delete(f"/jobs/{jobs[0]['id']}", headers={"X-User": "root"})
    assert ended.json()["state"] == "cancelled"
    thread.join(30)
    assert replies[0].status_code == 410 and "cancelled" in replies[0].json()["detail"]
    assert infer(client, knee, output="json").status_code == 200
    assert store.of(None) == [], "with its reply, it is forgotten"


def test_a_failed_job_tells_nothing_of_the_server(client, knee, service, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("/secret/path exploded")

    monkeypatch.setattr(service.generator("knee_xr2mri").algorithm, "_denoise", broken)
    job = start(client, knee).json()["id"]
    assert "secret" not in json.dumps(until_job(client, job, "failed"))
    reply = client.get(f"/jobs/{job}/result")
    assert reply.status_code == 500 and "secret" not in reply.text


def test_results_expire_by_age_and_by_size(client, knee, store):
    store.results = Quota("results", (64 * 64 * 5 * 4 + 300_000))
    jobs = []
    for _ in range(2):
        jobs.append(start(client, knee).json()["id"])
        until_job(client, jobs[-1], "done")
    assert [client.get(f"/jobs/{job}").status_code for job in jobs] == [404, 200]
    store.keep_seconds = 0
    assert client.get(f"/jobs/{jobs[1]}").status_code == 404


def test_openapi_documents_all_of_it(client):
    paths = client.app.openapi()["paths"]
    assert {"/infer/{model}", "/jobs/infer/{model}", "/jobs/{id}", "/session/"} <= set(paths)
    assert {"/locate/{model}", "/datastore/image"} <= set(paths)
    assert all(method["summary"] for path in paths.values() for method in path.values())


def test_nothing_of_the_stock_application_is_left():
    app = FastAPI()
    app.mount("/static", FastAPI())
    for path in ("/reload", "/session/", "/info/"):
        app.add_api_route(path, lambda: {"stock": True}, methods=["POST", "GET"])
    mount(app, info_router(lambda: {"ours": True}))
    with TestClient(app) as client:
        assert client.get("/info/").json() == {"ours": True}
        assert client.post("/info/").status_code == 405
        assert client.post("/reload").status_code == client.get("/session/").status_code == 404
        assert list(client.app.openapi()["paths"]) == ["/info/"]
    assert not any(isinstance(route, Mount) for route in app.router.routes)


def test_only_what_has_changed_becomes_text_anew(monkeypatch):
    said, written = {"fixed": {"a": [1, None]}, "pace": 1.5}, []
    monkeypatch.setattr(
        "monai_app.lib.routes.Json",
        type("Noted", (Json,), {"render": lambda me, c: written.append(c) or Json.render(me, c)}),
    )
    app = FastAPI()
    mount(app, info_router(lambda: dict(said)))
    with TestClient(app) as client:
        for pace in (1.5, 1.5, 2.5):
            said["pace"] = pace
            reply = client.get("/info/")
            assert reply.json() == said and reply.headers["content-type"] == "application/json"
    assert written == [{"fixed": said["fixed"]}, {"pace": 1.5}, {"pace": 2.5}]


def test_a_form_has_few_parts(client, knee):
    """Each file of a form may be one of those that the process may have open."""
    files = [("file", ("a.png", knee))] * 3
    reply = client.post("/infer/knee_xr2mri", files=files)
    assert reply.status_code == 400 and "Too many files" in reply.json()["detail"]
    reply = client.post(
        "/infer/knee_xr2mri", data={f"x{n}": "" for n in range(20)}, files=files[:1]
    )
    assert reply.status_code == 400 and "Too many fields" in reply.json()["detail"]
    assert infer(client, knee, output="json").status_code == 200


def test_whatever_a_stranger_is_called_the_turns_are_those_of_one(
    client, knee, service, monkeypatch
):
    asked, prepare = [], service.box.prepare
    monkeypatch.setattr(
        service.box, "prepare", lambda *a, owner, **k: asked.append(owner) or prepare(*a, **k)
    )
    for path in ("/locate/knee_xr2mri", "/jobs/infer/knee_xr2mri", "/infer/knee_xr2mri"):
        form = {"data": {"params": json.dumps(SMALL)}, "files": {"file": ("a.png", knee)}}
        who = {"X-User": f"stranger/{len(asked)}"}
        if path.startswith("/locate"):
            form["data"] = {}
        assert client.post(path, headers=who, **form).status_code in (200, 202)
    assert asked == ["stranger"] * 3


def test_one_users_archives_stand_in_the_line_once():
    """Whoever asks for many, or for one again and again, holds others up by one."""
    order: list[str] = []

    def make(name):
        order.append(name)
        time.sleep(0.02)
        return io.BytesIO()

    async def ask():
        archiving = SharedThreads(1)
        many = [archiving.do("ann", partial(make, f"ann {n}")) for n in range(5)]
        tasks = [asyncio.ensure_future(one) for one in many]
        await asyncio.sleep(0)
        await asyncio.gather(*tasks, archiving.do("bob", partial(make, "bob")))

    asyncio.run(ask())
    assert order.index("bob") == 1 and len(order) == 6


def test_replies_that_take_long_to_make_hold_up_no_other_work():
    """60 volumes as NRRD, which is compressed, held all threads: another's upload took 139 s."""
    hold, making = threading.Event(), []

    def pieces(who):
        making.append(who)
        hold.wait(20)
        yield b"x"

    async def sent(who, sending):
        entry = SimpleNamespace(claim=Claim(Quota("results", 1), who), sending=sending)
        reply = VolumeReply(entry, pieces(who), 1, {})
        return b"".join([piece async for piece in reply.body_iterator])

    async def ask():
        sending = SharedThreads(4)
        many = [asyncio.ensure_future(sent("ann", sending)) for _ in range(50)]
        while len(making) < 2:
            await asyncio.sleep(0.01)
        many.append(asyncio.ensure_future(sent("bob", sending)))
        assert await asyncio.wait_for(to_thread.run_sync(lambda: "done"), 5) == "done"
        while "bob" not in making:
            await asyncio.sleep(0.01)
        assert making == ["ann", "ann", "bob"]
        hold.set()
        assert set(await asyncio.gather(*many)) == {b"x"}

    asyncio.run(asyncio.wait_for(ask(), 60))


def test_a_request_sent_again_is_the_same_job(client, knee, gate, service):
    key = {"Idempotency-Key": "made-up-by-the-client"}

    def send(seed):
        return client.post(
            "/jobs/infer/knee_xr2mri",
            data={"params": json.dumps(SMALL | {"seed": seed})},
            files={"file": ("a.png", knee)},
            headers=key,
        )

    first, again = send(1), send(1)
    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"] and len(client.get("/jobs").json()) == 1
    other = send(2)
    assert other.status_code == 422 and "another request" in other.json()["detail"]
    key["Idempotency-Key"] = "../etc/passwd"
    assert send(1).status_code == 422
    gate.set()


def test_requests_that_start_a_generation_are_told_from_others_in_the_audit_log(client, knee):
    """Of those, a stranger's are always written: by others they could be pushed out."""
    audit = NoAudit()
    audited = TestClient(Audited(client.app, audit))

    def sent(route, headers=None):
        data = {"params": json.dumps(SMALL)}
        return audited.post(route, data=data, files={"file": ("a.png", knee)}, headers=headers)

    key = {"Idempotency-Key": "made-up-by-the-client"}
    job = sent("/jobs/infer/knee_xr2mri", key).json()["id"]
    assert sent("/jobs/infer/knee_xr2mri", key).json()["id"] == job
    sent("/locate/knee_xr2mri")
    sent("/infer/knee_xr2mri")
    sent("/infer/nothing")
    audited.delete(f"/jobs/{job}")
    generations = [line["generation"] for line in audit.lines]
    assert generations == [True, False, False, True, False, False]
    assert [line["status"] for line in audit.lines] == [202, 202, 200, 200, 404, 200]


class Held:
    """A generation of so many bytes, which runs until it is let go or cancelled."""

    slices, warnings = 0, ()

    def __init__(self, size=100, free=None):
        self.size, self.free = size, free

    def lined_up(self, line, owner):
        return line.submit(self, 1, owner, cost=8)

    def __call__(self, job):
        while self.free is not None and not self.free.wait(0.005):
            if job.is_cancelled():
                raise Cancelled
        return SimpleNamespace(volume=self.size)


def held_in(store, size=100, owner="ann", digest=None, free=None):
    key = Key("key-of-mine", digest) if digest else None
    return store.start(Held(size, free), "m", owner, owner, [], key)


def test_of_two_under_one_key_that_come_at_once_one_is_done(store, service):
    """Both were looked up before either had started: what is done then leaves nothing behind."""
    store.results = Quota("results", 1000)
    free = threading.Event()
    first = held_in(store, digest="a", free=free)
    assert held_in(store, digest="a", free=free) is first
    with pytest.raises(OtherRequest, match="another request"):
        held_in(store, digest="b", free=free)
    assert service.queue.waiting + sum(job is not None for job in service.queue.running) == 1
    assert store.results.held() == 100
    stranger = held_in(store, owner="bob", digest="b", free=free)
    assert stranger is not first and store.results.held() == 200
    free.set()
    assert first.job.wait(10) and stranger.job.wait(10)
    store.remove(first.job.id, "ann")
    assert store.find("ann", Key("key-of-mine", "a")) is None and store.results.held("ann") == 0


def test_a_refused_job_costs_no_result(store, service):
    store.results = Quota("results", 1000)
    made = held_in(store, 500)
    assert made.job.wait(10)
    service.queue.max_waiting, most = 0, service.queue.max_waiting
    with pytest.raises(QueueFull):
        held_in(store, 600)
    assert store.get(made.job.id, "ann") is made and store.results.held() == 500
    service.queue.max_waiting = most
    assert held_in(store, 600).job.wait(10)
    assert store.of("ann") != [made] and store.results.held() == 600


def test_a_result_comes_in_any_form(client, knee, tmp_path):
    job = start(client, knee, output_format="dicom", samples=2).json()["id"]
    until_job(client, job, "done")

    def result(**query):
        return client.get(f"/jobs/{job}/result", params=query)

    assert result().content[:4] == b"PK\x03\x04"
    image = read_nifti(result(form="nifti").content, tmp_path)
    assert image.shape == (64, 4, 64)
    np.testing.assert_array_equal(np.load(io.BytesIO(result(form="npy").content)), image.dataobj)
    np.testing.assert_allclose(client.get(f"/jobs/{job}").json()["affine"], image.affine)
    assert result(form="nrrd", kind="std").content[:4] == b"NRRD"
    for form in ("nifti", "npy"):  # what is not compressed says how long it is
        reply = result(form=form, kind="mean")
        assert int(reply.headers["content-length"]) == len(reply.content) > 64 * 4 * 64 * 4
    assert result(kind="mean").status_code == 422 and "form" in result(kind="mean").text
    assert result(form="mp4").status_code == 422


def test_what_has_arrived_counts_while_a_reply_holds_it(client, knee, gate, service, store):
    """Clients that did not read on held a second volume beside each result, uncounted."""
    job = start(client, knee, samples=1).json()["id"]
    until_job(client, job, "running")
    entry = store.get(job, "anonymous")
    until(lambda: entry.generation.partial() is not None)
    reply = partial_reply(entry, entry.generation.partial(), 0, "npy")
    gate.set()
    until_job(client, job, "done")
    size = entry.job.result.volume.nbytes
    assert store.results.held() == entry.claim.size + size
    del reply
    gc.collect()
    assert store.results.held() == entry.claim.size


def test_warnings_are_told_before_anything_is_generated(client, knee, gate):
    warnings = start(client, knee, laterality="L").json()["warnings"]
    assert any("spacing unknown" in warning for warning in warnings)
    assert any("mirrored" in warning for warning in warnings)
    gate.set()


def test_a_cancelled_job_lets_go_of_its_memory(client, knee, gate, service, store):
    job = start(client, knee, samples=4).json()["id"]
    until_job(client, job, "running")
    generation = store.get(job, "anonymous").generation
    until(lambda: generation._partial is not None)  # the device has it a moment later
    voxels = weakref.ref(generation._partial)
    gate.set()
    client.delete(f"/jobs/{job}")
    entry_gone = client.get(f"/jobs/{job}").status_code == 404
    gc.collect()
    assert entry_gone and voxels() is None and generation.partial() is None
    assert generation._radiograph is None and generation._generator is None


# --- studies -------------------------------------------------------------------------------------


def test_studies_are_listed_and_handed_out_by_their_id(client, knee):
    listed = client.get("/datastore/", params={"output": "all"}).json()["objects"]
    assert list(listed) == ["case-7.radiograph"]
    assert client.get("/datastore/").json()["total"] == 1
    reply = client.get("/datastore/image", params={"image": "case-7.radiograph"})
    assert reply.content == knee
    assert 'filename="case-7.radiograph.png"' in reply.headers["content-disposition"]


def test_only_a_radiograph_of_the_studies_has_its_result_stored(
    client, knee, studies, service, tmp_path, monkeypatch
):
    """A sent file's header is its sender's word: it must not choose a patient's study."""
    stored, asked = [], SMALL | {"store": True}

    def store(series, cancelled=None):
        stored.extend(series)
        return {"series": "1.2.3"} if series else {}

    monkeypatch.setattr(studies, "store", store)
    forged = dicom(tmp_path)
    session = client.put("/session/", files={"files": ("a", forged)}).json()["session_id"]
    with monkeypatch.context() as unused:
        unused.setattr(service, "prepare", lambda *_: pytest.fail("a generation was queued"))
        for content, query in (
            (forged, {}),
            (forged, {"image": "case-7.radiograph"}),
            (None, {"session_id": session}),
            (None, {"session_id": session, "image": "case-7.radiograph"}),
        ):
            files = {"file": ("a", content)} if content else None
            for route in ("infer", "jobs/infer"):
                reply = client.post(
                    f"/{route}/knee_xr2mri",
                    params=query,
                    data={"params": json.dumps(asked)},
                    files=files,
                )
                assert reply.status_code == 422 and "by image" in reply.json()["detail"]
    assert not stored
    record = infer(client, None, asked, image="case-7.radiograph", output="json").json()
    assert len(stored) == 4 and record["stored"] == {"series": "1.2.3"}


def test_a_result_that_could_not_be_stored_is_there_and_says_so(client, studies, monkeypatch):
    """The volume was dropped for it, after all the work."""

    def store(series, cancelled=None):
        if series:
            raise Unreachable("the PACS answered with 503")

    monkeypatch.setattr(studies, "store", store)
    asked = {
        "params": {"image": "case-7.radiograph"},
        "data": {"params": json.dumps(SMALL | {"store": True})},
    }
    job = client.post("/jobs/infer/knee_xr2mri", **asked).json()["id"]
    state, said = until_job(client, job, "done"), "not stored: the PACS answered with 503"
    assert said in state["warnings"] and state["error"] is None
    record = client.get(f"/jobs/{job}/record").json()
    assert (
        record["stored"] == {"error": "the PACS answered with 503"} and said in record["warnings"]
    )
    assert client.get(f"/jobs/{job}/result").status_code == 200
    for output, status in (("all", 200), ("image", 502), ("json", 502)):
        asked["params"]["output"] = output
        reply = client.post("/infer/knee_xr2mri", **asked)
        assert reply.status_code == status and "the PACS answered with 503" in reply.text


@pytest.mark.parametrize("image", ["nobody", "../case-7/radiograph", "/etc/hostname", "", "case-7"])
def test_no_such_image(client, image):
    reply = client.get("/datastore/image", params={"image": image})
    assert reply.status_code == 404 and "/" not in reply.json()["detail"]


# --- MONAI Label's own interface -----------------------------------------------------------------


def test_inference_without_http(service, radiograph, tmp_path):

    task = KneeMRITask(service, "knee_xr2mri")
    request = {**SMALL, "image": str(radiograph), "output_dir": str(tmp_path / "out")}
    path, record = task(request)
    assert nib.load(path).shape == (64, 4, 64) and record["seed"] == 3
    assert task.is_valid() and task.info()["parameters"]["properties"]["seed"]


# --- sessions ------------------------------------------------------------------------------------


def test_a_session_comes_and_goes(client, knee):
    session = client.put(
        "/session/", params={"expiry": 60}, files={"files": ("a.png", knee)}
    ).json()
    described = client.get(f"/session/{session['session_id']}").json()
    assert described["expiry"] == 60 and "/" not in json.dumps(described)
    assert client.delete(f"/session/{session['session_id']}").status_code == 200
    assert client.get(f"/session/{session['session_id']}").status_code == 404


def test_several_files_are_no_session(client, knee):
    files = [("files", ("a.png", knee)), ("files", ("meta.info", b"{}"))]
    assert client.put("/session/", files=files).status_code == 422
