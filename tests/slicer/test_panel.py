"""Clicking the buttons for real: the module in 3D Slicer's place, the real server behind it."""

from __future__ import annotations

import json
import urllib.request

import nibabel as nib
import numpy as np
import pytest

pytestmark = [pytest.mark.gui, pytest.mark.server]


def affine_of(slicer, node) -> np.ndarray:
    from vtk import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def jobs(url: str) -> list[dict]:
    with urllib.request.urlopen(f"{url}/jobs", timeout=60) as reply:
        return json.load(reply)


def test_a_volume_is_generated_by_clicking(user, server, radiograph, tmp_path):
    slicer = user.slicer
    user.connect(server)
    assert "Connected to knee_xr2mri" in user.ui.serverStatus.text
    assert user.colour("serverStatus") == "good"
    xray = user.choose(radiograph)
    user.grade(V00XRKL=2, V00XRJSM=1)
    assert "2 of" in user.ui.summaryLabel.text
    user.tell(age="61", sex="female")
    user.set_slices(30)
    volume = user.generate()
    assert volume is not None, user.says()
    values = slicer.util.arrayFromVolume(volume)
    assert values.dtype == np.float32 and values.shape[1] == 30
    assert values.min() >= 0 and values.max() <= 1 and values.std() > 0
    kept = volume.GetDisplayNode()
    request, record, job = (
        json.loads(kept.GetAttribute(f"XR2MRI.{name}")) for name in ("Request", "Record", "Job")
    )
    assert request["features"] == {"V00XRKL": 2, "V00XRJSM": 1} == record["features"]
    assert request["demographics"] == {"age": 61, "sex": "F"} == record["demographics"]
    with urllib.request.urlopen(f"{server}/jobs/{job['id']}/result", timeout=60) as reply:
        (tmp_path / "given.nii").write_bytes(reply.read())
    given = nib.load(tmp_path / "given.nii")
    assert np.array_equal(values.T, np.asarray(given.dataobj)), "the voxels that the server gives"
    assert np.allclose(affine_of(slicer, volume), given.affine, atol=1e-4)
    assert volume.GetName().startswith(xray.GetName()) and "synthetic MRI" in volume.GetName()
    assert volume.GetAttribute("XR2MRI.Synthetic") == "1"
    assert "not for diagnosis" in volume.GetAttribute("XR2MRI.Notice")


def test_cancelling_ends_the_job_on_the_server(user, server, radiograph):
    user.connect(server)
    user.choose(radiograph)
    user.set_slices(500)
    user.ui.stepsSpinBox.value = 50
    before = {job["id"] for job in jobs(server)}
    user.press_generate()
    user.until(user.volumes, "the first slices")
    (job,) = [job for job in jobs(server) if job["id"] not in before]
    assert job["state"] == "running" and job["num_slices"] == 500
    user.ui.cancelButton.click()
    assert user.logic.state == "idle" and user.volumes() == []

    def gone() -> bool:
        states = {known["id"]: known["state"] for known in jobs(server)}
        return states.get(job["id"], "cancelled") == "cancelled"

    user.until(gone, "the server ends it")
    assert user.ui.generateButton.enabled
