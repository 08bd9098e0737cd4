"""Generation on a real server through the Slicer module's client, from Python and the shell."""

import json
import time

import nibabel as nib
import numpy as np
import pytest

from xr2mri_client.programs import free_port
from xr2mri_core.cli import main
from xr2mri_core.condition import Condition
from xr2mri_core.local_server import ServerError
from xr2mri_core.progress import Callbacks
from xr2mri_core.remote import generate_on_server
from xr2mri_core.request import GenerationRequest

pytestmark = pytest.mark.server
FORM = {"V00XRKL": 3, "V00XRCYTM": 1}


@pytest.mark.parametrize("side", ["R", "L"])
def test_a_server_gives_what_this_machine_would(server, generator, radiograph, side):
    condition = Condition.parse(FORM)
    request = GenerationRequest(num_slices=6, seed=4, steps=2, samples=2, laterality=side)
    seen = []
    watched = Callbacks(progress=lambda *step: seen.append(step))
    there = generate_on_server(server, radiograph, condition, request, watched)
    here = generator.generate(radiograph, condition, request)
    for name in ("volume", "mean", "std", "affine", "radiograph"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), atol=1e-5)
    assert there.record["features"] == here.record["features"]
    assert there.record["seed"] == 4 and there.record["laterality"] == side
    assert "fetching" in {phase for *_, phase in seen}


def test_the_command_generates_on_a_server(server, radiograph, tmp_path, capsys):
    out, record = tmp_path / "out", tmp_path / "record.json"
    record.write_text(json.dumps({"laterality": "R", "features": {"V00XRKL": 2}}))
    arguments = ["generate", "--server", server, "--radiograph", str(radiograph)]
    asked = ["--features", str(record), "--slices", "5", "--seed", "9", "--out", str(out)]
    assert main([*arguments, *asked]) == 0
    assert nib.load(out / "generated_sample.nii.gz").shape[1] == 5
    record = json.loads((out / "generated.json").read_text())
    assert record["seed"] == 9 and record["features"] == {"V00XRKL": 2}
    assert (out / "generated.png").is_file()
    assert "generated_sample.nii.gz" in capsys.readouterr().out


def test_a_refusal_says_what_to_mend(server, radiograph, tmp_path):
    with pytest.raises(ServerError, match="V00XRKL"):
        generate_on_server(server, radiograph, Condition({"V00XRKL": 9}), GenerationRequest())
    note = tmp_path / "note.png"
    note.write_text("no picture")
    with pytest.raises(ServerError):
        generate_on_server(server, note, Condition(), GenerationRequest())


def test_nobody_there_is_told_in_one_line(radiograph, tmp_path, capsys):
    address = f"http://127.0.0.1:{free_port()}"
    arguments = ["--server", address, "--radiograph", str(radiograph), "--out", str(tmp_path / "o")]
    assert main(["generate", *arguments]) == 1
    printed = capsys.readouterr().err
    assert address in printed and "Traceback" not in printed
    assert not (tmp_path / "o").exists() or not list((tmp_path / "o").iterdir())


def test_an_interrupt_ends_the_job_on_the_server(server, radiograph, monkeypatch):
    from xr2mri_client.client import XR2MRIClient
    from xr2mri_client.errors import JobLost

    started = []
    start = XR2MRIClient.start

    def noted(*arguments, **options):
        started.append(start(*arguments, **options))
        return started[-1]

    def interrupt(done, total, phase):
        if phase == "running":
            raise KeyboardInterrupt

    monkeypatch.setattr(XR2MRIClient, "start", noted)
    with pytest.raises(KeyboardInterrupt):
        long = GenerationRequest(num_slices=400, steps=100)
        generate_on_server(server, radiograph, Condition(), long, Callbacks(progress=interrupt))
    (job,) = started
    client = XR2MRIClient(server)
    with pytest.raises(JobLost):  # cancelled, it is forgotten
        for _ in range(300):
            client.state(job)
            time.sleep(0.1)
