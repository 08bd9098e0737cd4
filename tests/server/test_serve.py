"""`xr2mri serve`: what it refuses before a port is open, and what the guard is handed."""

from __future__ import annotations

import socket

import pytest
import uvicorn
from fastapi import FastAPI

from monai_app.lib.security.binding import bind, hand_over, start_of
from monai_app.lib.security.settings import SecuritySettings, SettingsError
from xr2mri_core.cli import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--studies", "no such folder"], "studies 'no such folder': accepted is a folder"),
        (["--conf", "devise", "cpu"], "conf 'devise': no such setting; did you mean device?"),
        (["--conf", "x", "1"], "no such setting; accepted are allow_anonymous_remote"),
        (["--conf", "max_queue", "many"], "max_queue 'many': a whole number"),
        (["--conf", "device", "gpu"], "device 'gpu': accepted are cpu, cuda"),
        (["--conf", "device", "cuda:99"], "device 'cuda:99': this machine has"),
        (["--conf", "docs", "maybe"], "docs 'maybe': accepted are auto, on, off"),
        (["--host", "0.0.0.0"], "--host 0.0.0.0: others could use this server without a login"),
        (["--app", "no such app"], "accepted is a folder with a main.py"),
    ],
)
def test_what_cannot_be_used_is_one_line_before_a_port_is_open(
    words, said, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("atexit.register", lambda *_: None)  # of a process that ends itself
    monkeypatch.setattr("uvicorn.Server.run", lambda _: pytest.fail("it has been started"))
    status = main(["serve", "--studies", str(tmp_path), "--port", "0", *words])
    printed = capsys.readouterr().err
    assert status == 2 and said in printed
    assert printed.splitlines()[-1].startswith("xr2mri: error: ") and "Traceback" not in printed


def test_a_taken_port_is_said_at_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("atexit.register", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "--studies", str(tmp_path), "--port", str(port)]) == 2
    assert f"port {port} of 127.0.0.1 is taken" in capsys.readouterr().err


def test_the_guard_is_handed_the_host_and_asks_no_command_line(monkeypatch):
    monkeypatch.setattr("sys.argv", ["anything", "--host", "127.0.0.1"])
    app = FastAPI()
    hand_over(app, uvicorn.Config(app, host="0.0.0.0"))
    with pytest.raises(SettingsError, match=r"--host 0\.0\.0\.0"):
        bind(SecuritySettings(), start_of(app))
    config = uvicorn.Config(app, host="127.0.0.1", port=8123)
    hand_over(app, config)
    assert bind(SecuritySettings(), start_of(app)) == "127.0.0.1"
    assert config.timeout_graceful_shutdown and config.http_protocol_class != "auto"


def test_without_a_server_that_is_known_the_guard_lets_nobody_else_in(monkeypatch):
    monkeypatch.setattr("sys.argv", ["pytest"])
    start = start_of(FastAPI())
    assert start.config is None and bind(SecuritySettings(), start) == "127.0.0.1"
