"""The commands of the front page, as they stand there, in the environment that `make` has built."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import pytest
import requests

from xr2mri_client.programs import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGES = [(ROOT / page).read_text("utf-8") for page in ("README.md", "docs/tutorials/server.md")]
BUILT = ROOT / ".venv"
MAKE = "make serve STUDIES=/data/studies"
PLAIN = ".venv/bin/monailabel start_server --app monai_app --studies /data/studies"

ENVIRONMENT = {  # of a terminal, also where `make test` runs this
    name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
}


def here(command: str) -> list[str]:
    """The words of a documented command, with the environment of this test where it is another."""
    prefix = Path(sys.prefix)
    words = shlex.split(command)
    if words[0] == "make":  # `-o`: whether the environment is up to date is not asked
        named = [] if prefix == BUILT else [f"VENV={prefix}"]
        stamp = ".venv/.installed" if prefix == BUILT else f"{prefix}/.installed"
        return ["make", "-o", stamp, *named, *words[1:]]
    return [words[0].replace(".venv", str(prefix)) if prefix != BUILT else words[0], *words[1:]]


class Typed:
    """A command in a terminal of its own, at the root of the checkout.

    Attributes:
        url: where its server is to answer.
    """

    def __init__(self, command: str, log: Path, port: int) -> None:
        self.url, self._log = f"http://127.0.0.1:{port}", log
        with log.open("w") as printed:
            self.process = subprocess.Popen(
                here(command),
                cwd=ROOT,
                env=ENVIRONMENT,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
            )

    @property
    def printed(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def until(self, text: str, seconds: float = 300) -> None:
        """Wait until it has printed something."""
        limit = time.monotonic() + seconds
        while text not in self.printed:
            assert self.process.poll() is None and time.monotonic() < limit, self.printed
            time.sleep(0.1)

    def interrupt(self) -> int:
        """Ctrl-C: the whole process group gets the signal, make and the server alike."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(60)

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def typed(studies_folder, tmp_path_factory):
    """Both ways to start the server, `make` by `xr2mri serve`, side by side: a start takes 15 s."""
    folder = tmp_path_factory.mktemp("typed")
    servers = {}
    for name, command, more in (
        ("make", MAKE, "OPTIONS='--port {}'"),
        ("plain", PLAIN, "--port {}"),
    ):
        command = command.replace("/data/studies", str(studies_folder))
        port = free_port()
        servers[name] = Typed(f"{command} {more.format(port)}", folder / f"{name}.log", port)
    yield servers
    for server in servers.values():
        server.end()


@pytest.mark.server
@pytest.mark.parametrize(
    ("name", "command", "status"),
    [("plain", PLAIN, 0), ("make", MAKE, -signal.SIGINT)],  # make ends itself by the signal
)
def test_a_documented_command_serves_and_ends_by_ctrl_c(
    typed, studies_folder, name, command, status, tmp_path
):
    assert any(command in page.splitlines() for page in PAGES)
    server = typed[name]
    server.until("Ctrl-C")
    assert f"answers at {server.url}" in server.printed and "3D Slicer" in server.printed
    info = requests.get(f"{server.url}/info/", timeout=20).json()
    assert list(info["models"]) == ["knee_xr2mri"]
    if name == "make" and shutil.which("curl"):
        line = next(line for line in server.printed.splitlines() if " curl " in line)
        address = line.strip().removeprefix("curl").strip()
        shutil.copy(studies_folder / "knee.png", tmp_path / "knee.dcm")  # known by its content
        subprocess.run(f"{address} -sS --fail", shell=True, cwd=tmp_path, check=True, timeout=300)
        image = nib.load(tmp_path / "volume.nii")
        assert image.shape == (256, 50, 256) and b"synthetic" in image.header["descrip"].item()
    assert server.interrupt() == status, server.printed  # "plain" still loads its weights
    assert not re.search("Traceback|terminate called|Error", server.printed), server.printed
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.url}/info/", timeout=20)


@pytest.mark.parametrize("studies", ["/no/such/folder", "README.md"])
def test_make_serve_names_a_folder_that_is_not_there(studies):
    done = subprocess.run(
        here(f"make serve STUDIES={studies}"),
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and f"no folder {studies}" in done.stderr
    assert "starting" not in done.stdout


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (SystemExit(3), 3, "the server has not started"),
        (SystemExit(255), 255, ""),
        (SystemExit(), 0, ""),
        (None, 0, ""),
    ],
)
def test_the_status_is_that_of_monai_label(monkeypatch, capsys, raised, status, said):
    from xr2mri_core import server_command

    def run(_):
        if raised is not None:
            raise raised

    monkeypatch.setattr(sys, "argv", ["monailabel", "--version"])
    monkeypatch.setattr("monailabel.main.Main.run", run)
    assert server_command._run() == status
    assert said in capsys.readouterr().err


def test_a_taken_port_is_told_at_once(monkeypatch, capsys):
    from xr2mri_core import server_command

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = ["monailabel", "start_server", "--app", "a", "--studies", "b", "-p", str(port)]
        monkeypatch.setattr(sys, "argv", words)
        assert server_command._run() == 2
    assert f"port {port} of 127.0.0.1 is taken" in capsys.readouterr().err
    assert not server_command._refused(words[1:])


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["apps", "-p", "1"],
        ["start_server", "--port", "many"],
        ["start_server", "--port", "70000"],
        ["start_server", "--port", "0"],
        ["start_server", "--host", "no.such.host.invalid"],
        ["start_server", "--workers", "many", "--port", "0"],
        ["start_server", "--workers", "1", "--port", "0"],
        ["apps", "--workers", "2"],
    ],
)
def test_what_cannot_be_understood_is_left_to_monai_label(words):
    from xr2mri_core import server_command

    assert not server_command._refused(words)


class Absent:
    """A finder that knows of no MONAI Label."""

    def find_spec(self, name, *_):
        if name == "monailabel":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_without_monai_label_the_command_says_what_is_missing(monkeypatch, capsys):
    from xr2mri_core import server_command

    monkeypatch.setattr(sys, "argv", ["monailabel", "--version"])
    for name in [name for name in sys.modules if name.partition(".")[0] == "monailabel"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    assert server_command._run() == 1
    assert "'.[server]'" in capsys.readouterr().err


def test_pydicom_finds_its_own_data():
    from pydicom.data import get_testdata_file

    assert Path(get_testdata_file("CT_small.dcm")).is_file()
