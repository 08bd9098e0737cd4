"""What whoever starts the server reads."""

import asyncio

import pytest
import uvicorn

from monai_app.lib.dicomweb import DicomWebStudies
from monai_app.lib.greeting import address, greet_when_ready, greeting
from monai_app.lib.security.settings import SecuritySettings
from monai_app.lib.studies import Studies

URL = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, URL),
        ({"host": "0.0.0.0", "port": 8080}, "http://127.0.0.1:8080"),
        ({"host": "::"}, "http://[::1]:8000"),
        ({"host": "10.1.2.3"}, "http://10.1.2.3:8000"),
        ({"ssl_keyfile": "key.pem", "ssl_certfile": "cert.pem"}, "https://127.0.0.1:8000"),
    ],
)
def test_the_address_is_one_that_can_be_typed(options, expected):
    assert address(uvicorn.Config("app", **options)) == expected


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)


def test_a_log_gets_no_name_of_a_file(tmp_path):
    """The journal of a service, say: files are named after patients."""
    (tmp_path / "Doe-John.dcm").write_bytes(b"x")
    text = greeting(URL, SecuritySettings(), Studies(tmp_path), "m")
    assert "Doe" not in text and "-F file=@knee.dcm" in text


def test_the_example_names_a_radiograph_of_the_folder(tmp_path, terminal):
    for name in ("case/labels.nii.gz", "case/mri.nii.gz", "case/radiograph.dcm", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    text = greeting(URL, SecuritySettings(), Studies(tmp_path), "knee_xr2mri")
    assert f"'{URL}/infer/knee_xr2mri?image=case.radiograph&output=image'" in text
    assert "this machine only" in text and "-F file" not in text and "-u" not in text


@pytest.mark.parametrize("pacs", [True, False])
def test_without_a_known_image_the_example_sends_a_file(tmp_path, pacs, terminal):
    studies = DicomWebStudies("http://127.0.0.1:9/dicom-web") if pacs else Studies(tmp_path)
    text = greeting(URL, SecuritySettings(), studies, "knee_xr2mri")
    assert f"-F file=@knee.dcm '{URL}/infer/knee_xr2mri?output=image'" in text


@pytest.mark.parametrize(
    ("settings", "whom"),
    [
        ({}, "this machine only"),
        ({"users_file": "u", "public_host": "mri.example"}, "those who log in"),
        ({"allow_anonymous_remote": True}, "everybody who reaches it, without a login"),
        ({"allow_anonymous_remote": True, "users_file": "u"}, "everybody who reaches it, without"),
    ],
)
def test_who_may_come_in_is_said_by_the_settings(tmp_path, settings, whom):
    """The address that is printed is one of this machine also where all are listened to."""
    text = greeting(URL, SecuritySettings(**settings), Studies(tmp_path), "m")
    assert f", for {whom}" in text
    assert ("-u NAME" in text) is (whom == "those who log in")
    assert ("https://mri.example" in text) is ("public_host" in settings)


def test_it_is_printed_once_when_the_server_answers(capsys, tmp_path):
    config = uvicorn.Config("app")
    greet_when_ready(config, SecuritySettings(), Studies(tmp_path), "m")
    assert capsys.readouterr().out == ""
    asyncio.run(config.callback_notify())
    assert capsys.readouterr().out.count(f"answers at {URL}") == 1
    assert config.callback_notify is None


@pytest.mark.parametrize("config", [None, uvicorn.Config("app", port=0)])
def test_where_the_address_is_not_known_nothing_is_claimed(config, tmp_path):
    greet_when_ready(config, SecuritySettings(), Studies(tmp_path), "m")
    assert config is None or config.callback_notify is None
