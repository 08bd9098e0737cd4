"""`xr2mri serve`: what it refuses before a port is open, and what the guard is handed."""

from __future__ import annotations

import socket

import pytest
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from security_support import make_certificate, make_users

from monai_app.lib.security.binding import bind, hand_over, start_of
from monai_app.lib.security.certificate import check_certificate
from monai_app.lib.security.protect import check_parts
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
        (["--conf", "users_file", "gone"], "users_file 'gone' is not there: make it with python"),
        (["--ssl_certfile", "gone"], "--ssl_certfile 'gone': No such file or directory"),
        (["--ssl_keyfile", "gone"], "--ssl_keyfile: --ssl_certfile has to name its certificate"),
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


def test_a_server_that_ends_in_its_start_is_one_line_more_than_its_log(
    tmp_path, capsys, monkeypatch
):
    def ended(_):
        raise SystemExit(3)  # as uvicorn does it

    monkeypatch.setattr("atexit.register", lambda *_: None)
    monkeypatch.setattr("uvicorn.Server.run", ended)
    assert main(["serve", "--studies", str(tmp_path), "--port", "0"]) == 1
    assert "error: the server has not started; the log" in capsys.readouterr().err


@pytest.fixture
def pem(tmp_path):
    """A folder with a certificate, its key, and files that are not."""
    certificate, none = make_certificate(tmp_path, "localhost"), serialization.NoEncryption()
    other = ec.generate_private_key(ec.SECP256R1())
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = serialization.BestAvailableEncryption(b"secret")
    (tmp_path / "encrypted.pem").write_bytes(other.private_bytes(*form, secret))
    (tmp_path / "other.pem").write_bytes(other.private_bytes(*form, none))
    (tmp_path / "junk.pem").write_text("junk")
    key = (tmp_path / "privkey.pem").read_bytes()
    (tmp_path / "both.pem").write_bytes(certificate.read_bytes() + key)
    return tmp_path


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("junk.pem", "privkey.pem", "--ssl_certfile '.*junk.pem': no certificate"),
        ("privkey.pem", "fullchain.pem", "--ssl_certfile '.*privkey.pem': no certificate"),
        ("fullchain.pem", "gone.pem", "--ssl_keyfile '.*gone.pem': No such file"),
        ("fullchain.pem", "junk.pem", "--ssl_keyfile '.*junk.pem': no private key"),
        ("fullchain.pem", None, "--ssl_certfile '.*fullchain.pem': no private key .*--ssl_keyfile"),
        ("fullchain.pem", "encrypted.pem", "--ssl_keyfile '.*encrypted.pem': .* .openssl pkey"),
        ("fullchain.pem", "other.pem", "--ssl_keyfile '.*other.pem': not the key of .*fullchain"),
    ],
)
def test_a_wrong_certificate_or_key_is_named(pem, certificate, key, said):
    with pytest.raises(SettingsError, match=said):
        check_certificate(pem / certificate, key and pem / key)


def test_a_certificate_with_its_key_is_taken(pem):
    check_certificate(pem / "fullchain.pem", pem / "privkey.pem")
    check_certificate(pem / "both.pem", None)
    check_certificate(None, None)


def test_what_guards_the_server_is_tried_before_it_starts(tmp_path, monkeypatch):
    users = make_users(tmp_path)
    check_parts(SecuritySettings(users_file=users, audit_file=tmp_path / "audit.log"))
    with pytest.raises(SettingsError, match=r"audit_file '.*gone.*': No such file .*accepted is"):
        check_parts(SecuritySettings(audit_file=tmp_path / "gone" / "audit.log"))
    with pytest.raises(SettingsError, match=r"token_secret_file '.*gone' is not there: 32 bytes"):
        check_parts(SecuritySettings(token_secret_file=tmp_path / "gone"))
    users.chmod(0o640)
    with pytest.raises(SettingsError, match=r"users_file '.*' can be read by others: chmod 600"):
        check_parts(SecuritySettings(users_file=users))
    monkeypatch.setenv("MONAI_LABEL_AUTH_ENABLE", "true")
    with pytest.raises(SettingsError, match="MONAI_LABEL_AUTH_ENABLE"):
        check_parts(SecuritySettings())


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
