"""Whatever is sent, the server answers 2xx or 4xx with one JSON line, and goes on."""

import json
from pathlib import Path

import nibabel
import pydicom
import pytest
import requests
from checks import without_paths
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_app.lib.parameters import GenerationParameters

pytestmark = pytest.mark.server

SMALL = {"num_slices": 2, "steps": 1, "seed": 0}
LARGEST = 8 << 20


def image_files():
    """The image files of pydicom's and nibabel's own test data, as installed here."""
    folders = [
        Path(pydicom.__file__).parent / "data" / "test_files",
        Path(pydicom.__file__).parent / "data" / "charset_files",
        Path(nibabel.__file__).parent / "tests" / "data",
        Path(nibabel.__file__).parent / "nicom" / "tests" / "data",
    ]
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [path for path in files if path.suffix != ".py" and path.stat().st_size < LARGEST]


def check(reply):
    assert 200 <= reply.status_code < 300 or 400 <= reply.status_code < 500, reply.text
    if reply.status_code >= 400:
        detail = reply.json()["detail"]
        text = detail if isinstance(detail, str) else json.dumps(detail)
        assert text and without_paths(text)


def test_every_file_of_other_projects_test_data(server, running):
    files = image_files()
    assert len(files) > 100
    seen, before = set(), set(running.temp.rglob("*"))
    with requests.Session() as session:
        for path in files:
            reply = session.post(
                f"{server}/infer/knee_xr2mri",
                params={"output": "json"},
                data={"params": json.dumps(SMALL)},
                files={"file": (path.name, path.read_bytes())},
                timeout=60,
            )
            check(reply)
            seen.add(reply.status_code)
    assert {415, 422} <= seen
    assert set(running.temp.rglob("*")) == before


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
names = st.sampled_from([*GenerationParameters.model_fields, "client_id", "image", "session"])
few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few
@given(st.dictionaries(names, values, max_size=3) | values)
def test_any_parameters(server, params):
    if isinstance(params, dict):
        params = {**params, **{k: v for k, v in SMALL.items() if k != "seed"}}
    reply = requests.post(
        f"{server}/infer/knee_xr2mri",
        params={"image": "knee", "output": "json"},
        data={"params": json.dumps(params)},
        timeout=60,
    )
    check(reply)


@few
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
    st.sampled_from(["infer", "jobs", "session", "locate", "datastore", "train", "info", "x", ""]),
    st.text(st.characters(codec="ascii", exclude_characters="#?"), max_size=20),
    st.dictionaries(st.sampled_from(["image", "output", "session_id", "kind"]), st.text()),
)
def test_any_route(server, method, first, rest, query):
    url = f"{server}/{first}/{requests.utils.quote(rest)}"
    reply = requests.request(method, url, params=query, timeout=60, allow_redirects=False)
    assert reply.status_code < 500, (method, url, reply.text)
    assert without_paths(reply.text)


@few
@given(st.binary(max_size=400), st.sampled_from([b"", b"\0" * 128 + b"DICM", b"NRRD0005\n"]))
def test_any_bytes(server, content, head):
    check(
        requests.post(
            f"{server}/infer/knee_xr2mri",
            data={"params": json.dumps(SMALL)},
            files={"file": ("x", head + content)},
            timeout=60,
        )
    )
