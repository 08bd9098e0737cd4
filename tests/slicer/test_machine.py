"""Which Python suits a machine, and from which index packages come."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from xr2mri_client import errors, machine

LATER, EARLIER = "14.6.1", "13.7"
KINDS = {
    "Apple silicon": {"hw.optional.arm64": "1", "kern.osproductversion": LATER},
    "old": {"hw.optional.arm64": "1", "kern.osproductversion": EARLIER},
    "Intel": {"kern.osproductversion": LATER},
}


@pytest.fixture
def mac(request, monkeypatch):
    """What `sysctl` says on this kind of Mac."""
    known = KINDS[request.param]

    def run(words, **_more):
        assert words[:2] == ["/usr/sbin/sysctl", "-n"]
        return SimpleNamespace(stdout=known.get(words[2], "") + "\n")

    monkeypatch.setattr(subprocess, "run", run)


@pytest.mark.parametrize("mac", ["Apple silicon"], indirect=True)
def test_a_mac_gets_a_python_of_its_own_kind_although_slicer_is_of_intels(mac):
    assert machine.request("darwin") == "cpython-3.11-macos-aarch64-none"
    assert machine.will_do("3 11 arm64", "darwin") and not machine.will_do("3 11 x86_64", "darwin")


@pytest.mark.parametrize(
    ("mac", "said"),
    [("Intel", "not made for Macs with Intel"), ("old", "macOS 14 or later; this is .* 13.7")],
    indirect=["mac"],
)
def test_a_mac_that_has_no_pytorch_is_told_what_can_be_done(mac, said):
    with pytest.raises(errors.InstallFailed, match=f"{said}.*Use a server elsewhere"):
        machine.request("darwin")


def test_any_other_machine_has_one_kind_of_python():
    assert machine.request("linux") == machine.request("win32") == "3.11"
    done = subprocess.run([sys.executable, "-c", machine.SAY], capture_output=True, text=True)
    assert machine.will_do(done.stdout, "linux") is (sys.version_info[:2] == (3, 11))
    assert not machine.will_do("3 12 x86_64", "linux") and not machine.will_do("", "linux")


@pytest.mark.parametrize(
    ("lines", "indexes"),
    [
        (
            ["global.index-url='https://a.example/simple?x=y'", "global.cert='/x'"],
            ["https://a.example/simple?x=y"],
        ),
        (["global.index-url='https://a'", "install.index-url='https://b'"], ["https://b"]),
        ([":env:.index-url='https://c'", "install.index-url='https://b'"], ["https://c"]),
        (
            ["global.index-url='https://a'", r"global.extra-index-url='https://b\nhttps://c'"],
            ["https://a", "https://b", "https://c"],
        ),
        (["global.extra-index-url='https://a'", "WARNING: odd"], []),  # beside PyPI, which has all
        (["global.index-url=https://not-quoted"], []),
        ([], []),
    ],
)
def test_the_indexes_of_pip_are_what_its_settings_say(lines, indexes):
    found = machine.indexes_of_pip(lines)
    assert [found[name] for name in ("UV_DEFAULT_INDEX",) if found] == indexes[:1]
    assert found.get("UV_INDEX", "").split() == indexes[1:]
    assert ("UV_INDEX_STRATEGY" in found) is ("UV_INDEX" in found)


def test_proxy_and_certificates_of_pip_are_those_of_uv():
    lines = ["global.proxy='http://u:p@proxy.example:8080'", "global.cert='/etc/our own.pem'"]
    lines.append(r":env:.trusted-host='a.example\nb.example'")
    assert machine.way_of_pip(lines) == {
        "HTTPS_PROXY": "http://u:p@proxy.example:8080",
        "HTTP_PROXY": "http://u:p@proxy.example:8080",
        "SSL_CERT_FILE": "/etc/our own.pem",
        "UV_INSECURE_HOST": "a.example b.example",
    }
    assert machine.way_of_pip(["global.index-url='https://a'"]) == {}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[[index]]\nurl = 'https://a'\ndefault = true", True),
        ("[pip]\nindex-url = 'https://a'", True),
        ("native-tls = true\n# index-url = ''", False),
    ],
)
def test_what_uv_is_told_itself_goes_before(tmp_path, text, names):
    variables = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none")}
    assert not machine.index_of_uv(variables)
    assert machine.index_of_uv({**variables, "UV_INDEX_URL": "https://a"})
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text(text)
    assert machine.index_of_uv(variables) is names
