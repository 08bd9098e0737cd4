"""`xr2mri generate --server` where people have to log in."""

import json
from contextlib import contextmanager

import pytest
from security_support import PASSWORD

from xr2mri_core.cli import main

pytestmark = pytest.mark.server


@pytest.fixture
def generate(secured, radiograph, tmp_path, monkeypatch, capsys):
    """Runs the command with more words and a typed password: its status, and what it said."""
    monkeypatch.delenv("XR2MRI_TOKEN", raising=False)
    words = ["generate", "--server", secured.url, "--radiograph", str(radiograph), "--slices", "3"]

    def run(*more, password=PASSWORD):
        monkeypatch.setattr("xr2mri_core.cli.generate.getpass", lambda prompt: password)
        return main([*words, "--out", str(tmp_path / "out"), *more]), capsys.readouterr().err

    return run


def test_a_login_is_asked_for_by_the_option_that_gives_it(generate, tmp_path):
    status, said = generate()
    assert status == 1 and "asks for a login" in said and "--login NAME" in said
    status, said = generate("--login", "ada", password="of somebody else")
    assert status == 1 and "wrong" in said
    assert generate("--login", "ada")[0] == 0
    assert json.loads((tmp_path / "out" / "generated.json").read_text())["slices"] == 3


def test_a_password_is_asked_for_before_a_bar_is_drawn(generate, monkeypatch):
    said = []

    @contextmanager
    def bar(title):
        said.append(title)
        yield None

    monkeypatch.setattr("xr2mri_core.cli.generate.progress_bar", bar)
    monkeypatch.setattr("xr2mri_core.remote.log_in", lambda *_: said.append("login") or "")
    generate("--login", "ada")
    assert said == ["login", "generate"]


def test_a_certificate_file_that_is_not_there_is_told(generate, tmp_path):
    status, said = generate("--ca-file", str(tmp_path / "none.pem"))
    assert status == 1 and "none.pem" in said and "Traceback" not in said
