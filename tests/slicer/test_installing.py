"""Installing the server on this computer: for real with uv, and with a uv that a test directs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import textwrap
import time
from pathlib import Path

import pytest
from built_wheel import built

from xr2mri_client import errors
from xr2mri_client.client import XR2MRIClient
from xr2mri_client.events import Failed, Returned, Stopped
from xr2mri_client.folders import remove_tree
from xr2mri_client.installation import (
    VERSION,
    Installation,
    Installed,
    default_folder,
    wheel_of,
)
from xr2mri_client.installing import InstallWorker, Line, Step
from xr2mri_client.own_server import OwnServer
from xr2mri_client.removing import Removal, RemoveWorker, remove

UV = """
import pathlib, subprocess, sys, time, urllib.parse, venv
words = sys.argv[1:]
if words == ["--version"]:
    sys.exit(print("uv 0.13.9 (a test)"))
folder = pathlib.Path(__file__).parent
with (folder / "asked").open("a") as log:
    print(*words, file=log)
print("uv says", words[0])
what = (folder / "does").read_text()
if what and what.split("|")[0] in " ".join(words):
    order = what.split("|")[1]
    if order == "hang":
        time.sleep(600)
    if order.startswith("rm "):
        pathlib.Path(order[3:]).unlink()
    sys.exit(order)
if words[0] == "venv":
    venv.create(words[-1], symlinks=True, clear="--clear" in words)
    (packages,) = pathlib.Path(words[-1]).glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(OTHERS + "\\n")
elif "--no-deps" in words:
    python = words[words.index("--python") + 1]
    wheel = urllib.parse.unquote(words[-1].split("file://")[1])
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-index", "--no-compile", wheel], check=True)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = (
        tmp_path_factory.mktemp("wheel") / "Eva M\u00fcller's wheels, 100 %"
    )  # as homes are called
    folder.mkdir()
    return built(folder)


@pytest.fixture
def uv(tmp_path, monkeypatch):
    """A folder with a uv whose environments see the packages of this one; what it is asked is in
    `asked`, and what is written to `does`, `words|message`, it fails with at these words."""
    folder = tmp_path / "bin"
    folder.mkdir()
    code = UV.replace("OTHERS", repr(sysconfig.get_path("purelib")))
    (folder / "uv").write_text(f"#!{sys.executable}\n{textwrap.dedent(code)}")
    (folder / "uv").chmod(0o755)
    (folder / "does").write_text("")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def not_started(monkeypatch):
    """What was installed is not asked what it is, which takes seconds."""
    monkeypatch.setattr(InstallWorker, "_tried", lambda self: (VERSION, "CPU"))


def run(worker) -> list:
    """All that a worker tells."""
    worker.start()
    assert worker.join(900)
    return worker.drain()


def with_rmdir(folder: Path, does: str) -> str:
    """A Python that does something before it removes a folder."""
    code = "import os, runpy, sys, time\nreal = os.rmdir\n"
    code += f"def rmdir(path):\n    {does}\n    real(path)\n"
    code += "os.rmdir = rmdir\nrunpy.run_path(sys.argv.pop(1), run_name='__main__')\n"
    (folder / "code.py").write_text(code)
    (folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} {folder}/code.py "$@"\n')
    (folder / "python").chmod(0o755)
    return str(folder / "python")


def test_what_is_installed_is_known_when_all_of_it_is_and_goes_without_a_trace(uv, wheel, tmp_path):
    place = Installation(tmp_path / "Eva M\u00fcller's knees, 50 %")
    assert place.installed() is None
    (uv / "does").write_text("setuptools|error: No space left on device (os error 28)")
    *events, failed = run(InstallWorker(place, str(wheel)))
    assert isinstance(failed, Failed) and "The disk is full." in str(failed.error)
    assert [one.index for one in events if isinstance(one, Step)] == [1, 2, 3, 4]
    assert "os error 28" in [one.text for one in events if isinstance(one, Line)][-1]
    assert place.python.exists() and place.installed() is None, "half of it is not all of it"

    (uv / "does").write_text("")
    (uv / "asked").unlink()
    *events, done = run(InstallWorker(place, str(wheel)))
    assert isinstance(done, Returned), done.error.args
    asked = (uv / "asked").read_text().splitlines()
    assert not any(line.startswith("venv") for line in asked), "it went on where it had ended"
    constraints = next(place.folder.glob("**/xr2mri_core/constraints.txt"))
    torch, rest = asked[1:]
    assert "--torch-backend auto torch setuptools" in torch and str(constraints) in torch
    assert f"xr2mri[server] @ {wheel.as_uri()}" in rest and "sam2" in rest
    found = place.installed()
    assert found == done.value == Installed(VERSION, found.device, found.bytes)
    assert found.bytes > wheel.stat().st_size

    (place.folder / "of somebody else").touch()
    assert isinstance(run(RemoveWorker(place))[-1], Returned)
    assert [path.name for path in place.folder.iterdir()] == ["of somebody else"]
    assert place.installed() is None


def test_a_removal_that_is_cancelled_leaves_nothing_that_is_taken_for_whole(tmp_path, monkeypatch):
    """And the next one goes on; what a link leads to, and what others put there, stays."""
    place = Installation(tmp_path / "here")
    deep = place.part("environment") / "lib" / "a" / "b"
    for index in range(40):
        (deep / str(index)).mkdir(parents=True)
        (deep / str(index) / "file").touch()
    (tmp_path / "of others").mkdir()
    (tmp_path / "of others" / "file").touch()
    (deep / "link").symlink_to(tmp_path / "of others", target_is_directory=True)
    place.python.parent.mkdir()
    place.python.touch()
    place.mark(Installed(VERSION, "CPU", 1))
    worker = RemoveWorker(place, python=with_rmdir(tmp_path, "time.sleep(0.1)"))
    events = []

    def cancel_at_once(event):
        events.append(event)
        if isinstance(event, Removal):
            worker._stop.set()

    monkeypatch.setattr(worker, "_emit", cancel_at_once)
    worker.start()
    assert worker.join(60) and isinstance(events[-1], Stopped)
    assert events[0].total == 40 * 2 + 8, "files, folders, and the link"
    assert place.installed() is None and not place.python.exists() and place.left
    *events, done = run(RemoveWorker(place))
    assert isinstance(done, Returned), done
    assert events[-1].done <= events[-1].total
    assert not place.folder.exists() and (tmp_path / "of others" / "file").exists()


def test_what_is_read_only_goes_too_and_what_cannot_is_named(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    (tmp_path / "a").chmod(0o500)
    remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    place = Installation(tmp_path / "here")
    place.part("python").mkdir(parents=True)
    remove(place)
    assert place.part("python").exists(), (
        "of a folder that was not made for this nothing is removed"
    )
    with pytest.raises(errors.InstallFailed, match=r"holds other files, such as python\. Choose"):
        place.claim()
    place.mark(Installed(VERSION, "CPU", 1))

    def refused(path):
        raise PermissionError(13, "Access is denied", path)

    monkeypatch.setattr(os, "rmdir", refused)
    refusal = r"python.*removed.*Access is denied\. Stop every prog"
    with pytest.raises(errors.InstallFailed, match=refusal):
        remove(place)
    monkeypatch.undo()
    python = with_rmdir(tmp_path, "raise PermissionError(13, 'Access is denied', path)")
    failed = run(RemoveWorker(place, python=python))[-1]
    assert re.search(refusal, str(failed.error)), "in the program that does it, too"


@pytest.mark.usefixtures("not_started")
def test_an_update_that_fails_before_it_has_touched_anything_leaves_what_works(uv, wheel, tmp_path):
    place = Installation(tmp_path / "here")
    assert isinstance(run(InstallWorker(place, str(wheel)))[-1], Returned)
    earlier = Installed("0.0.9", "CPU", 1)
    place.mark(earlier)
    refused = errors.InstallFailed("The server is running.", "Stop it.")

    def first(_pause):
        raise refused

    assert run(InstallWorker(place, str(wheel), first=first))[-1].error is refused
    assert place.installed() == earlier
    (uv / "does").write_text("--no-deps|error: Failed to fetch: dns error")
    assert "network is not there" in str(run(InstallWorker(place, str(wheel)))[-1].error)
    assert place.installed() == earlier, "the wheel was not downloaded"
    (uv / "does").write_text("setuptools|error: Failed to fetch: dns error")
    assert "network is not there" in str(run(InstallWorker(place, str(wheel)))[-1].error)
    assert place.installed() is None, "the new one is there, with packages of the old one"


@pytest.mark.usefixtures("not_started")
def test_an_update_that_fails_while_it_replaces_files_is_no_installation(uv, wheel, tmp_path):
    place = Installation(tmp_path / "here")
    assert isinstance(run(InstallWorker(place, str(wheel)))[-1], Returned)
    (record,) = place.folder.glob("**/xr2mri-*.dist-info/RECORD")
    (uv / "does").write_text(f"--no-deps|rm {record.parent.parent / 'xr2mri_core' / 'demo.py'}")
    assert isinstance(run(InstallWorker(place, str(wheel)))[-1], Failed)
    assert place.installed() is None


@pytest.mark.usefixtures("not_started")
def test_a_python_of_another_kind_that_an_earlier_attempt_has_left_is_replaced(uv, wheel, tmp_path):
    place = Installation(tmp_path / "here")
    place.python.parent.mkdir(parents=True)
    place.python.write_text("#!/bin/sh\necho 3 12 x86_64\n")
    place.python.chmod(0o755)
    place.mark(Installed("0.0.9", "CPU", 1))
    assert isinstance(run(InstallWorker(place, str(wheel)))[-1], Returned)
    assert (uv / "asked").read_text().startswith("venv --clear --python 3.11 ")


def test_the_index_of_pip_is_that_of_uv_where_uv_has_none(uv, wheel, tmp_path, monkeypatch):
    """Institutions set pip's; without a network to PyPI nothing could be installed."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    (uv / "does").write_text("setuptools|index")
    for own, index in (("", "https://mirror.example/simple"), ("https://uv.example", "")):
        monkeypatch.setenv("UV_DEFAULT_INDEX", own)
        worker = InstallWorker(Installation(tmp_path / "here"), str(wheel))
        run(worker)
        assert worker._environment.get("UV_DEFAULT_INDEX") == (own or index)


def test_the_indexes_beside_that_of_pip_are_asked_too(uv, wheel, tmp_path, monkeypatch):
    """As where a mirror has an institution's packages alone, and PyPI stands beside it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.example https://b.example")
    (uv / "does").write_text("setuptools|index")
    for own in ("", "https://own.example"):
        if own:
            monkeypatch.setenv("UV_INDEX", own)
        worker = InstallWorker(Installation(tmp_path / "here"), str(wheel))
        run(worker)
        assert worker._environment["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
        assert worker._environment["UV_INDEX"] == (own or "https://a.example https://b.example")


def test_the_proxy_of_pip_is_that_of_uv_where_none_is_set(uv, wheel, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_PROXY", "http://proxy.example:8080")
    monkeypatch.setenv("PIP_CERT", "/etc/hospital.pem")
    (tmp_path / "uv.toml").write_text("index-url = 'https://own.example'")
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    (uv / "does").write_text("setuptools|index")
    for name in ("SSL_CERT_FILE", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for own in ("", "http://own.example"):
        monkeypatch.setenv("https_proxy", own)
        worker = InstallWorker(Installation(tmp_path / "here"), str(wheel))
        run(worker)
        proxy = None if own else "http://proxy.example:8080"
        assert worker._environment.get("HTTPS_PROXY") == proxy
        assert worker._environment["SSL_CERT_FILE"] == "/etc/hospital.pem"
        assert "UV_DEFAULT_INDEX" not in worker._environment


def test_a_mac_that_has_no_pytorch_is_refused_before_anything(uv, wheel, tmp_path, monkeypatch):
    refused = errors.InstallFailed("PyTorch is not made for it.", "Use a server elsewhere.")

    def request():
        raise refused

    monkeypatch.setattr("xr2mri_client.machine.request", request)
    assert run(InstallWorker(Installation(tmp_path / "here"), str(wheel)))[-1].error is refused
    assert not (tmp_path / "here").exists() and not (uv / "asked").exists()


def test_a_folder_that_a_file_manager_has_looked_at_is_empty(tmp_path):
    place = Installation(tmp_path)
    for name in (".DS_Store", "desktop.ini", "Thumbs.db"):
        (tmp_path / name).touch()
    place.claim()
    assert place.ours


def test_two_do_not_install_at_once(uv, wheel, tmp_path):
    from xr2mri_client.alone import alone

    place = Installation(tmp_path / "here")
    with alone(place.folder):
        occupied = pytest.raises(errors.InstallFailed, match="Another Slicer installs or removes")
        with occupied, alone(place.folder, seconds=0.1):
            pass
        worker = InstallWorker(place, str(wheel))
        worker.start()
        time.sleep(0.3)
        assert not worker.drain(), "it waits"
        worker.cancel()
        assert worker.join(10)
    assert not place.folder.exists() and not (uv / "asked").exists()
    (tmp_path / "file").touch()
    with (
        pytest.raises(errors.InstallFailed, match="cannot be made"),
        alone(tmp_path / "file" / "x"),
    ):
        pass


@pytest.mark.usefixtures("not_started")
def test_a_disk_that_fills_up_while_this_is_written_is_told(uv, wheel, tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Installation, "mark", full)
    failed = run(InstallWorker(Installation(tmp_path / "here"), str(wheel)))[-1]
    assert re.search("The disk of .*here is full. Make room", str(failed.error))


def test_from_a_folder_nothing_is_downloaded(uv, wheel, tmp_path):
    (uv / "does").write_text("sam2|No solution found\nBecause tqdm was not found in the provided")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / wheel.name).symlink_to(wheel)
    (wheels / "torch-2.whl").touch()
    worker = InstallWorker(Installation(tmp_path / "here"), str(wheels))
    *_told, failed = run(worker)
    assert "A package is missing: Because tqdm" in str(failed.error)
    assert "Add its wheel to the folder." in str(failed.error)
    asked = (uv / "asked").read_text().splitlines()
    assert len(asked) == 4 and asked[0].startswith("venv") and "--offline" in asked[0]
    for line in asked[1:]:
        assert f"--no-index --find-links {wheels}" in line and "--torch-backend" not in line


@pytest.mark.usefixtures("not_started")
def test_pytorch_comes_from_the_usual_index_where_its_own_is_not_reached(uv, wheel, tmp_path):
    (uv / "does").write_text("--torch-backend|error: Failed to fetch: dns error")
    *events, done = run(InstallWorker(Installation(tmp_path / "here"), str(wheel)))
    assert isinstance(done, Returned)
    assert "PyTorch's own index is not reached" in "".join(
        one.text for one in events if isinstance(one, Line)
    )
    last = (uv / "asked").read_text().splitlines()[-1]
    assert "sam2" in last and "--torch-backend" not in last


def test_a_cancelled_installation_ends_at_once_and_is_none(uv, wheel, tmp_path):
    (uv / "does").write_text("venv|hang")
    place = Installation(tmp_path / "here")
    worker = InstallWorker(place, str(wheel))
    worker.start()
    limit = time.monotonic() + 60
    while not (uv / "asked").exists():
        assert time.monotonic() < limit
        time.sleep(0.02)
    worker.cancel()
    assert isinstance(worker.drain()[-1], Stopped)
    assert worker.join(10), "the program has gone, and the thread"
    words = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, check=True).stdout
    assert str(uv).encode() not in words
    assert place.installed() is None


def test_lines_that_come_together_are_shown_together(tmp_path):
    worker = InstallWorker(Installation(tmp_path))
    for event in (Line("a"), Line("b"), Step(1, 6, "c"), Line("d")):
        worker._emit(event)
    assert [getattr(event, "text", "") for event in worker.drain()] == ["a\nb", "", "d"]


def test_without_uv_it_is_fetched_beside_the_rest(wheel, tmp_path, monkeypatch):
    """And never into the Python that asks, which is Slicer's."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("xr2mri_client.installing.places_of_uv", lambda _place: [])
    pip = tmp_path / "python"
    pip.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/asked; echo ERROR: connection refused >&2; exit 1\n'
    )
    pip.chmod(0o755)
    worker = InstallWorker(Installation(tmp_path / "here"), str(wheel), python=str(pip))
    assert "The network is not there" in str(run(worker)[-1].error)
    target = f"--target {tmp_path / 'here' / 'tools'} uv>=0.9.4"
    assert (tmp_path / "asked").read_text().strip().endswith(target)


def test_a_uv_that_is_too_old_is_passed_over_for_one_of_its_own(uv, wheel, tmp_path, monkeypatch):
    old = tmp_path / "old"
    old.mkdir()
    (old / "uv").write_text(
        f'#!/bin/sh\necho "$1" >> {old}/asked\n[ "$1" = --version ] && echo uv 0.5.31 && exit\n'
        "echo \"error: unexpected argument '--torch-backend' found\" >&2\nexit 2\n"
    )
    pip = tmp_path / "python"
    pip.write_text(
        f'#!/bin/sh\n[ "$3" = install ] || exec {sys.executable} "$@"\n'
        f"echo fetched >> {tmp_path}/asked\n"
        f"bin={tmp_path}/here/tools/bin\nmkdir -p $bin\n"
        f"printf '#!/bin/sh\\nexec {uv}/uv \"$@\"\\n' > $bin/uv\nchmod +x $bin/uv\n"
    )
    for program in (old / "uv", pip):
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "executable", str(pip))  # beside which there is no uv
    monkeypatch.setattr(sys, "prefix", str(old))
    place = Installation(tmp_path / "here")
    (uv / "does").write_text("setuptools|so far")
    for _again in range(2):
        *events, failed = run(InstallWorker(place, str(wheel), python=str(pip)))
        assert "so far" in str(failed.error), "PyTorch would come now"
    lines = "\n".join(one.text for one in events if isinstance(one, Line))
    assert (old / "asked").read_text().split() == ["--version"], "its own is asked first"
    assert (tmp_path / "asked").read_text().split() == ["fetched"], "and fetched once"
    assert "uv 0.13.9" in lines and "too old" not in lines


def test_where_it_comes_from(tmp_path):
    name = f"xr2mri-{VERSION}-py3-none-any.whl"
    (tmp_path / name).touch()
    assert wheel_of(str(tmp_path / name)) == (str(tmp_path / name), "")
    assert wheel_of(str(tmp_path)) == (str(tmp_path / name), ""), "there is nothing else"
    (tmp_path / "other-1.whl").touch()
    assert wheel_of(str(tmp_path)) == (str(tmp_path / name), str(tmp_path))
    assert wheel_of("https://a.example/x.whl") == ("https://a.example/x.whl", "")
    for wrong in (tmp_path / "nothing", tmp_path / "other-1.whl"):
        with pytest.raises(errors.InstallFailed, match=f"has no wheel of XR2MRI {VERSION}"):
            wheel_of(str(wrong))


def test_a_path_that_begins_with_the_home_or_nowhere_begins_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path.parent)
    wheel = tmp_path / "dist" / f"xr2mri-{VERSION}-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    for typed in ("~/dist", "dist", str(wheel.parent)):
        assert wheel_of(typed) == (str(wheel), "")
        assert Installation(typed).folder == wheel.parent
    with pytest.raises(errors.InstallFailed, match="~nobody-at-all has no wheel"):
        wheel_of("~nobody-at-all")


def test_the_release_is_that_of_this_version_and_owner(monkeypatch):
    from xr2mri_core import __version__

    assert __version__ == VERSION
    with pytest.raises(errors.InstallFailed, match="does not know where XR2MRI is published"):
        wheel_of("")
    monkeypatch.setattr("xr2mri_client.installation.OWNER", "eva")
    url, folder = wheel_of(" ")
    assert url.startswith("https://github.com/eva/xr2mri/releases/download/v") and not folder
    assert url.endswith(f"/xr2mri-{VERSION}-py3-none-any.whl")


def test_its_folder_is_where_this_kind_of_computer_keeps_what_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder({}, "linux") == tmp_path / ".local" / "share" / "xr2mri"
    assert default_folder({"XDG_DATA_HOME": "/x"}, "linux") == Path("/x/xr2mri")
    assert default_folder({}, "darwin") == tmp_path / "Library" / "Application Support" / "XR2MRI"
    assert default_folder({"LOCALAPPDATA": "/l"}, "win32") == Path("/l/XR2MRI")
    assert default_folder({"XR2MRI_FOLDER": "/y"}, "linux") == Path("/y")


def test_a_folder_that_is_full_or_cannot_be_made_is_told_before_anything(
    wheel, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    failed = run(InstallWorker(Installation(tmp_path / "file" / "x"), str(wheel)))[-1]
    assert "cannot be made" in str(failed.error)
    monkeypatch.setattr("xr2mri_client.installing.needed_gb", lambda: (1e6, 1e6))
    failed = run(InstallWorker(Installation(tmp_path / "x"), str(wheel)))[-1]
    assert "GB free; 1000000 GB are needed. Make room" in str(failed.error)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": "1"}', json.dumps({"version": 1})])
def test_a_damaged_marker_is_none(tmp_path, text):
    (tmp_path / "installed.json").write_text(text)
    place = Installation(tmp_path)
    place.python.parent.mkdir(parents=True)
    place.python.touch()
    assert place.installed() is None


def test_what_is_installed_is_read_once_as_long_as_it_is_the_same(tmp_path, monkeypatch):
    place = Installation(tmp_path)
    place.python.parent.mkdir(parents=True)
    place.python.touch()
    read, read_text = [], Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda path, **more: read.append(path) or read_text(path, **more)
    )
    for size in (1, 2):
        place.mark(Installed(VERSION, "CPU", size))
        for _again in range(3):
            assert place.installed() == Installed(VERSION, "CPU", size)
        assert len(read) == size, "it is asked at every update of the panel"
    place.unmark()
    assert place.installed() is None


@pytest.mark.slow
@pytest.mark.server
def test_the_wheel_is_installed_by_uv_and_generates(wheel, tmp_path, radiograph, monkeypatch):
    """Everything for real: uv, the package index, PyTorch, the shipped model."""
    from xr2mri_client import installing

    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        pytest.skip("needs uv in this environment")
    cache = os.popen(f"{uv} cache dir").read().strip()
    monkeypatch.setenv("UV_CACHE_DIR", cache)  # or this would download gigabytes
    monkeypatch.setattr(installing, "places_of_uv", lambda _place: [str(uv)])
    place = Installation(tmp_path / "here")
    *events, done = run(InstallWorker(place, str(wheel)))
    lines = [one.text for one in events if isinstance(one, Line)]
    assert isinstance(done, Returned), (done.error, lines[-20:])
    server = OwnServer(place)
    access = server.open()
    try:
        client = XR2MRIClient(access.url)
        with pytest.raises(errors.LoginNeeded):
            client.connect()
        client.use_token(access.token)
        assert client.connect().version == VERSION == done.value.version
        job = client.start("knee_xr2mri", radiograph, {"num_slices": 2, "steps": 1})
        limit = time.monotonic() + 600
        while not client.state(job).final:
            assert time.monotonic() < limit
            time.sleep(0.2)
        assert client.result(job).array.shape == (256, 2, 256)
        client.close()
    finally:
        server.stop()
        server.wait(60)
    remove(place)
    assert not any(place.folder.iterdir())
