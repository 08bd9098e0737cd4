"""A real PACS: find a radiograph, generate, store the result beside it.

Orthanc runs on loopback ports with remote access refused (its 1.10 ignores bind addresses).
"""

import io
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient
from pydicom.uid import generate_uid
from samples import draw_knee

from xr2mri_client.programs import free_port
from xr2mri_core.local_server import LocalServer
from xr2mri_core.phantom.dicom import write_radiograph_dicom

ORTHANC = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(
        not (Path(ORTHANC).exists() and PLUGIN.exists()),
        reason="needs the Debian packages orthanc and orthanc-dicomweb",
    ),
]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """URL of an empty Orthanc."""
    folder, port = tmp_path_factory.mktemp("orthanc"), free_port()
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "HttpPort": port,
                "DicomServerEnabled": False,
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "Plugins": [str(PLUGIN)],
                "DicomWeb": {"Enable": True},
            }
        )
    )
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen([ORTHANC, str(folder / "orthanc.json")], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/system", timeout=2).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "orthanc.log").read_text()
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def upload(orthanc, content: bytes) -> None:
    request = urllib.request.Request(f"{orthanc}/instances", content, method="POST")
    urllib.request.urlopen(request, timeout=20).close()


def radiograph(folder: Path, **changes) -> pydicom.Dataset:
    """A DX file of a knee as a dataset, with some attributes changed."""
    path = folder / "knee.dcm"
    pixels = draw_knee(256).astype(np.uint16) * 16
    write_radiograph_dicom(path, pixels, 0.6, patient_id="P-7")
    dataset = pydicom.dcmread(path)
    for name, value in changes.items():
        setattr(dataset, name, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def bytes_of(dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, write_like_original=False)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def one_view(orthanc, tmp_path_factory):
    dataset = radiograph(tmp_path_factory.mktemp("one"))
    upload(orthanc, bytes_of(dataset))
    return dataset


@pytest.fixture(scope="module")
def two_views(orthanc, tmp_path_factory):
    """A series with a PA and a lateral view."""
    folder = tmp_path_factory.mktemp("two")
    same = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    views = [
        radiograph(folder, SOPInstanceUID=generate_uid(), ViewPosition=view, **same)
        for view in ("PA", "LL")
    ]
    for view in views:
        upload(orthanc, bytes_of(view))
    return views


@pytest.fixture
def studies(orthanc):
    from monai_app.lib.dicomweb import DicomWebStudies

    return DicomWebStudies(f"{orthanc}/dicom-web")


def infer(client, image, **params):
    text = json.dumps({"num_slices": 3, "seed": 1, **params})
    return client.post(
        "/infer/knee_xr2mri", params={"image": image, "output": "json"}, data={"params": text}
    )


def test_series_of_radiographs_are_listed(studies, one_view, two_views):
    assert {one_view.SeriesInstanceUID, two_views[0].SeriesInstanceUID} <= set(
        studies.list_images()
    )


@pytest.mark.parametrize("level", ["SeriesInstanceUID", "SOPInstanceUID", "StudyInstanceUID"])
def test_an_image_is_fetched_by_any_of_its_uids(client, one_view, level):
    reply = infer(client, getattr(one_view, level))
    assert reply.status_code == 200, reply.text
    assert reply.json()["radiograph_spacing_mm"] == pytest.approx([0.6, 0.6], rel=1e-3)


def test_two_projections_are_never_stacked(client, two_views):
    series = two_views[0].SeriesInstanceUID
    reply = infer(client, series)
    assert reply.status_code == 422
    assert "view_position" in reply.json()["detail"] and "LL" in reply.json()["detail"]
    assert infer(client, series, view_position="PA").status_code == 200
    assert infer(client, series, sop_instance_uid=two_views[1].SOPInstanceUID).status_code == 200
    assert infer(client, series, view_position="AP").status_code == 422


def test_what_is_not_there_is_not_found(client, one_view):
    assert infer(client, "1.2.3.4.5").status_code == 404


def test_the_result_is_stored_in_the_patients_study(client, studies, one_view, orthanc):
    stored = infer(client, one_view.SeriesInstanceUID, store=True).json()["stored"]
    assert stored["study"] == one_view.StudyInstanceUID
    anybody = DICOMwebClient(f"{orthanc}/dicom-web")  # whom no request's bounds hold
    found = anybody.search_for_instances(stored["study"], stored["series"])
    assert len(found) == 3
    slice_ = anybody.retrieve_instance(
        stored["study"], stored["series"], found[0]["00080018"]["Value"][0]
    )
    assert slice_.PatientID == "P-7" and slice_.Modality == "MR"
    assert "not for diagnosis" in slice_.SeriesDescription
    assert stored["series"] not in studies.list_images()


def test_a_pacs_that_is_away_is_told_apart(client, studies, monkeypatch, one_view):
    monkeypatch.setattr(studies._client, "base_url", "http://127.0.0.1:9/dicom-web")
    reply = infer(client, one_view.SeriesInstanceUID)
    assert reply.status_code == 502 and "127.0.0.1" not in reply.text
    assert client.get("/datastore/", params={"output": "all"}).status_code == 502


def test_the_plain_command_serves_a_pacs(orthanc, one_view, app_folder, tmp_path):
    server = LocalServer(app_folder, f"{orthanc}/dicom-web", tmp_path)
    try:
        url = server.wait().url
        listed = requests.get(f"{url}/datastore/", params={"output": "all"}, timeout=60)
        assert one_view.SeriesInstanceUID in listed.json()["objects"]
        reply = requests.post(
            f"{url}/infer/knee_xr2mri",
            params={"image": one_view.SeriesInstanceUID, "output": "json"},
            data={"params": json.dumps({"num_slices": 3, "seed": 1, "store": True})},
            timeout=120,
        )
        assert reply.status_code == 200, reply.text
        assert reply.json()["stored"]["study"] == one_view.StudyInstanceUID
        download = requests.get(
            f"{url}/datastore/image", params={"image": one_view.SOPInstanceUID}, timeout=60
        )
        assert download.status_code == 404, "what is in the PACS is fetched there"
    finally:
        server.stop()


def test_a_folder_takes_no_results(tmp_path):
    from monai_app.lib.studies import Studies
    from xr2mri_core.errors import InputError

    with pytest.raises(InputError, match="only a PACS"):
        Studies(tmp_path).store([])
