"""Security settings: from --conf and the environment, documented, refused when half-said."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from monai_app.lib.bounds import Bounds
from monai_app.lib.security.binding import check_exposure, explicit_host, is_loopback
from monai_app.lib.security.settings import SecuritySettings, SettingsError

DOCS = Path(__file__).parents[2] / "monai_app" / "docs" / "security.md"


def test_the_defaults_open_nothing():
    settings = SecuritySettings.from_conf({"models": "all", "device": "cpu"})
    assert settings == SecuritySettings()
    assert not settings.authentication and not settings.hosts and not settings.allowed_origins


def test_the_command_line_precedes_the_environment(monkeypatch):
    for name, text in (("TOKEN_MINUTES", "5"), ("DOCS", "off"), ("MAX_QUEUE", ""),
                       ("ALLOWED_HOSTS", "a.org, b.org"), ("ISSUER", "")):  # fmt: skip
        monkeypatch.setenv(f"XR2MRI_{name}", text)
    settings = SecuritySettings.from_conf({"token_minutes": "7", "docs": ""})
    assert (settings.token_minutes, settings.docs) == (7, "off")
    assert settings.allowed_hosts == ("a.org", "b.org")
    assert settings.max_queue == SecuritySettings.max_queue, "empty is not given"
    monkeypatch.setenv("XR2MRI_TOKEN_MINUTES", "many")
    with pytest.raises(SettingsError, match=r"token_minutes 'many': a whole number from 1 to 1440"):
        SecuritySettings.from_conf({})


def test_lists_and_paths_are_read():
    settings = SecuritySettings.from_conf(
        {
            "public_host": "MRI.Hospital.org",
            "allowed_hosts": "a.org, 10.0.0.7,[::2]",
            "allowed_origins": "https://Viewer.org,http://localhost:3000",
            "users_file": "~/users.json",
            "allow_anonymous_remote": "Yes",
        }
    )
    assert settings.hosts == {"mri.hospital.org", "a.org", "10.0.0.7", "[::2]"}
    assert settings.allowed_origins == ("https://viewer.org", "http://localhost:3000")
    assert settings.users_file == Path.home() / "users.json"
    assert settings.allow_anonymous_remote and not settings.login_needed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("public_host", "https://mri.hospital.org"),
        ("public_host", "mri.hospital.org:443"),
        ("allowed_hosts", "*"),
        ("allowed_origins", "viewer.org"),
        ("allowed_origins", "https://viewer.org/page"),
        ("allowed_origins", "null"),
        ("token_minutes", "0"),
        ("token_minutes", "-5"),
        ("token_minutes", "1e3"),
        ("max_upload_mb", "9999"),
        ("max_upload_mb", "129"),  # more than a user's uploads may be
        ("results_mb", "255"),  # less than one user's
        ("max_queue", "many"),
        ("max_queue", "0"),  # a generation waits before it runs: none would ever
        ("max_seconds", "0"),
        ("max_seconds", "²"),
        ("max_seconds", "9" * 5000),
        ("allow_anonymous_remote", "perhaps"),
        ("docs", "loopback"),
        ("allowed_origins", "*"),  # without a login
        ("issuer", "https://sso.hospital.org"),  # without its key
    ],
)
def test_bad_values_are_one_line_that_names_the_setting(name, value):
    with pytest.raises(SettingsError) as caught:
        SecuritySettings.from_conf({name: value})
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_every_setting_is_documented():
    text = DOCS.read_text("utf-8")
    for item in fields(SecuritySettings):
        assert f"`{item.name}`" in text


def test_page_and_code_state_the_same_bounds():
    """A row each with its default, no others; and each of them bounds something."""
    section = DOCS.read_text("utf-8").partition("## Bounds")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| \S", section, re.MULTILINE)
    assert rows == [(item.name, str(item.default)) for item in fields(Bounds)]
    app = DOCS.parents[1]
    code = "".join(
        path.read_text("utf-8")
        for path in [app / "main.py", *app.glob("lib/**/*.py")]
        if path.name != "bounds.py"
    )
    quotas = {f"{kind}{whose}_mb" for kind in ("uploads", "sessions", "results", "pacs")
              for whose in ("", "_user")}  # fmt: skip
    for item in fields(Bounds):
        assert re.search(rf"\.{item.name}\b", code) or item.name in quotas, item.name


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("/run/xr2mri.sock", True),
        (None, True),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.7", False),
        ("localhost.evil.example", False),
    ],
)
def test_loopback(address, loopback):
    assert is_loopback(address) is loopback


@pytest.mark.parametrize(
    ("arguments", "host"),
    [
        ("start_server --app a --studies s", None),
        ("start_server --app a --studies s --conf device cpu -p 9000", None),
        ("start_server --app a --host 0.0.0.0 --studies s", "0.0.0.0"),
        ("start_server --app a --host=10.0.0.7", "10.0.0.7"),
        ("start_server -a a -i ::", "::"),
        ("start_server -a a -i0.0.0.0", "0.0.0.0"),
        ("start_server --ho 0.0.0.0", "0.0.0.0"),
        ("start_server --host", None),
    ],
)
def test_an_explicit_host_is_found(arguments, host):
    assert explicit_host(arguments.split()) == host


def test_others_are_served_with_a_login_or_in_so_many_words(tmp_path):
    check_exposure(SecuritySettings(), "127.0.0.1")
    with pytest.raises(SettingsError, match=r"--host 0\.0\.0\.0: .*allow_anonymous_remote yes"):
        check_exposure(SecuritySettings(), "0.0.0.0")
    with pytest.raises(SettingsError, match="public_host"):
        check_exposure(SecuritySettings(public_host="mri.org"), "127.0.0.1")
    check_exposure(SecuritySettings(users_file=tmp_path), "0.0.0.0")
    check_exposure(SecuritySettings(allow_anonymous_remote=True), "0.0.0.0")
