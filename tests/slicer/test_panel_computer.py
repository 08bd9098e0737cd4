"""The server on this computer, from the panel: every state with a mock, and once for real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from harness import dialogs
from own_server import LIGHT, command
from test_panel_mock import info

pytestmark = pytest.mark.gui

OWN = "http://127.0.0.1:8123"
BUTTONS = ("installButton", "startButton", "uninstallButton")


@pytest.fixture
def here(mocked):
    """Somebody who generates on this computer, where nothing is installed."""
    mocked.ui.hereRadio.click()
    return mocked


def offered(user) -> list[str]:
    """Buttons that are there and can be clicked, by what is written on them."""
    buttons = [getattr(user.ui, name) for name in BUTTONS if user.shown(name)]
    return [button.text for button in buttons if button.enabled]


def install(user, version: str = "0.1.0") -> None:
    from xr2mri_client.installation import Installed

    user.logic.computer.installed = Installed(version, "NVIDIA H200", 7_800_000_000)


def opened(user, ours: bool = True) -> None:
    from xr2mri_client.own_server import Access

    user.logic.computer.access = Access(OWN, "x" * 43)
    user.logic.computer.ours = ours


def own_info():
    """What the server on this computer says of itself."""
    from dataclasses import replace

    return replace(info(), url=OWN)


def test_one_of_two_ways_is_shown_and_remembered(mocked):
    from XR2MRILib import settings

    user, ui = mocked, mocked.ui
    for here in (True, False):
        (ui.hereRadio if here else ui.elsewhereRadio).click()
        assert user.shown("computerFrame") is here and user.shown("elsewhereFrame") is not here
        assert settings.on_this_computer() is here


def test_the_server_stops_before_it_is_installed_anew_or_removed(user, monkeypatch, tmp_path):
    from xr2mri_client.errors import InstallFailed

    logic, done = user.logic, []
    (tmp_path / "xr2mri-0.1.0-py3-none-any.whl").touch()
    monkeypatch.setattr(logic.computer.server, "stop", lambda: done.append("stop"))
    monkeypatch.setattr(logic, "_begin", lambda activity, *_: done.append(type(activity).__name__))
    with pytest.raises(InstallFailed, match="has no wheel"):
        logic.install(str(tmp_path / "typo"))
    assert done == [], "where nothing can be installed, the server goes on"
    logic.install(str(tmp_path))
    logic.uninstall()
    assert done == ["stop", "Install", "stop", "Uninstall"]


def test_whoever_has_never_connected_begins_on_this_computer(slicer):
    from harness import application  # noqa: F401  (the settings are empty now)

    from XR2MRILib import settings

    assert settings.on_this_computer()
    settings.remember_server("https://mri.hospital.example")
    assert not settings.on_this_computer()


def test_nothing_is_installed_before_the_user_has_agreed(here):
    user = here
    assert "Not installed." in user.ui.computerStatus.text and offered(user) == ["Install..."]
    assert "Install the server" in user.ui.progressNote.text and user.shown("sourceFrame")
    user.ui.installButton.click()
    assert "does not know where XR2MRI is published" in user.ui.computerStatus.text
    assert user.colour("computerStatus") == "bad" and not dialogs.shown


@pytest.mark.parametrize("offline", [True, False])
def test_what_the_user_agrees_to_is_named(here, tmp_path, offline):
    import qt

    user = here
    (tmp_path / "xr2mri-0.1.0-py3-none-any.whl").touch()
    if offline:
        (tmp_path / "torch-2.whl").touch()
    user.ui.sourceEdit.currentPath = str(tmp_path)
    dialogs.answer(qt.QMessageBox.No)
    user.ui.installButton.click()
    (asked,) = dialogs.shown
    assert "/home/eva/xr2mri" in asked and " GB" in asked and "PyTorch" in asked
    assert (f"all of it comes from\n{tmp_path}" in asked) is offline
    assert ("will be downloaded" in asked) is not offline
    assert user.logic.asked == []
    dialogs.answer(qt.QMessageBox.Yes)
    user.ui.installButton.click()
    assert user.logic.asked == [("install", str(tmp_path))]


def test_an_installation_is_followed_and_can_be_cancelled(here):
    from xr2mri_client.errors import InstallFailed
    from xr2mri_client.installing import Line, Step
    from XR2MRILib.states import State

    user, happened = here, here.logic.computer.happened
    user.logic.be(State.INSTALLING)
    assert offered(user) == ["Cancel"] and not user.ui.hereRadio.enabled
    happened.emit(Step(4, 6, "PyTorch"))
    happened.emit(Line("Downloading torch <735 MiB>"))
    assert "step 4 of 6: PyTorch" in user.ui.computerStatus.text
    assert user.ui.progressBar.maximum == 6 and user.ui.progressBar.value == 3
    user.ui.installButton.click()
    assert user.logic.asked == [("cancel",)]
    assert not user.shown("logEdit")
    user.logic.computer.half = True
    user.logic.end("failed", InstallFailed("The disk is full.", "Make room."))
    assert user.ui.computerStatus.text == "The disk is full. Make room."
    assert user.shown("logEdit") and "<735 MiB>" in user.ui.logEdit.toPlainText()
    assert offered(user) == ["Install...", "Uninstall..."], "what is there of it can be removed"
    assert user.ui.messageLabel.text == "", "it is said once"


def test_a_server_of_another_version_is_told_and_can_be_updated(here):
    from XR2MRILib.states import State

    user = here
    install(user, "0.0.9")
    user.logic.be(State.IDLE)
    assert "This module is of 0.1.0" in user.ui.computerStatus.text and user.shown("sourceFrame")
    assert offered(user) == ["Update...", "Start", "Uninstall..."]
    opened(user)
    user.logic.be(State.IDLE)
    assert offered(user) == ["Stop", "Uninstall..."], "not under a server that runs"


def test_what_is_installed_is_told_and_generate_starts_it(here, radiograph):
    from XR2MRILib.states import State

    user = here
    install(user)
    user.logic.end("finished", user.logic.computer.installed)
    shown = user.ui.computerStatus.text
    assert shown.startswith("Installed: XR2MRI 0.1.0, 7.8 GB, NVIDIA H200. Not running")
    assert offered(user) == ["Start", "Uninstall..."] and not user.shown("sourceFrame")
    assert user.ui.progressNote.text == "Choose a radiograph."
    user.choose(radiograph)
    user.press_generate()
    assert user.logic.asked == [("startServer",)]
    user.logic.be(State.STARTING)
    assert offered(user) == ["Cancel"]
    opened(user)
    user.logic.be(State.IDLE)
    user.logic.connect(own_info())
    user.until(lambda: len(user.logic.asked) > 1, "it generates by itself")
    assert user.logic.asked[1][0] == "start"
    assert "Running." in user.ui.computerStatus.text and user.colour("computerStatus") == "good"
    user.logic.asked.clear()
    user.logic.connect(own_info())
    user.events()
    assert user.logic.asked == [], "once"
    user.ui.startButton.click()
    assert user.logic.asked == [("stopServer",)]


def test_generate_waits_no_longer_for_a_server_that_does_not_start(here, radiograph):
    from xr2mri_client.errors import ServerEnded

    user = here
    install(user)
    user.choose(radiograph)
    user.press_generate()
    user.logic.computer.printed = "loading\nMemoryError"
    user.logic.end("failed", ServerEnded("The server ran out of memory.", "Close programs."))
    assert user.ui.computerStatus.text == "The server ran out of memory. Close programs."
    assert user.ui.logEdit.toPlainText() == "loading\nMemoryError" and user.shown("logEdit")
    assert user.ui.messageLabel.text == "" == user.ui.serverStatus.text, "it is said once"
    user.logic.connect(info())
    user.events()
    assert user.logic.asked == [("startServer",)]


def test_what_waits_for_the_server_is_not_generated_in_the_next_scene(here, radiograph):
    """Whose radiograph gets the same id; a server goes on starting when the scene is closed."""
    user = here
    install(user)
    first = user.choose(radiograph).GetID()
    user.press_generate()
    user.slicer.mrmlScene.Clear(0)
    user.events()
    assert user.choose(radiograph).GetID() == first
    opened(user)
    user.logic.connect(own_info())
    user.until(lambda: user.widget.panel.features.settled, "the form is whole")
    user.events(20)
    assert user.logic.asked == [("startServer",)]


@pytest.mark.parametrize("running", [False, True])
def test_on_this_computer_nothing_goes_to_the_server_that_was_connected(
    mocked, radiograph, running
):
    user = mocked
    user.logic.connect(info())
    user.choose(radiograph)
    install(user)
    if running:
        opened(user)
    user.ui.hereRadio.click()
    assert user.logic.url == "" and user.ui.serverSection.text == "Server"
    assert user.logic.asked == [("startServer",)] * running, "which finds the one that runs"
    user.press_generate()
    assert {asked[0] for asked in user.logic.asked} == {"startServer"}
    opened(user)
    user.logic.connect(own_info())
    user.until(lambda: user.logic.asked[-1][0] == "start", "it generates here")
    assert user.logic.url == OWN


def test_a_server_of_the_institution_is_not_the_one_on_this_computer(here, radiograph):
    user = here
    install(user)
    opened(user)
    user.logic.connect(own_info())
    user.choose(radiograph)
    user.ui.elsewhereRadio.click()
    assert user.logic.url == "" and user.ui.serverStatus.text == "Not connected."
    assert not user.ui.generateButton.enabled and user.logic.asked == []
    user.ui.hereRadio.click()
    assert user.logic.asked == [("startServer",)], "it still runs"


def test_no_login_is_asked_for_at_a_server_that_was_left(mocked):
    from xr2mri_client.errors import LoginNeeded

    mocked.logic.end("failed", LoginNeeded("The server asks for a login."))
    assert mocked.shown("loginFrame")
    mocked.ui.hereRadio.click()
    assert not mocked.shown("loginFrame") and mocked.ui.serverStatus.text == ""


def test_a_server_that_a_script_has_connected_is_shown_as_what_it_is(here):
    from XR2MRILib import settings

    here.logic.connect(info())
    here.ui.serverSection.collapsed = False
    assert here.ui.elsewhereRadio.checked
    assert here.shown("elsewhereFrame") and not here.shown("computerFrame")
    assert settings.on_this_computer(), "the user has chosen nothing else"


def test_whose_the_server_is_is_told(here):
    install(here)
    opened(here, ours=False)
    here.logic.connect(own_info())
    assert "Running, started by another Slicer." in here.ui.computerStatus.text


@pytest.mark.parametrize("windows", [True, False])
def test_programs_get_the_path_of_the_system_not_that_of_slicer(user, monkeypatch, windows):
    """Whichever way the system writes its name."""
    from xr2mri_client import programs
    from XR2MRILib import computer

    monkeypatch.setattr(programs, "WINDOWS", windows)
    monkeypatch.setattr(computer.slicer.util, "startupEnvironment", lambda: {"Path": "C:\\eva"})
    monkeypatch.setenv("PATH", "/slicer/bin")
    made = computer._variables()
    assert made == ({"Path": "C:\\eva"} if windows else {"Path": "C:\\eva", "PATH": "/slicer/bin"})


def test_a_folder_is_chosen_when_it_has_been_typed(here):
    from XR2MRILib import settings

    user, chosen, computer = here, [], here.logic.computer
    computer.choose = lambda path, choose=computer.choose: chosen.append(path) or choose(path)
    line = user.ui.installFolderEdit.comboBox().lineEdit()
    line.selectAll()
    for letter in "/tmp/eva":
        line.insert(letter)
    assert chosen == [] and settings.install_folder() == "", "it is still being typed"
    line.editingFinished.emit()
    assert chosen == ["/tmp/eva"] and settings.install_folder() == "/tmp/eva"
    line.insert("2")
    user.ui.installButton.click()
    assert chosen[1:] == ["/tmp/eva2"], "the button may not take the keyboard"
    dialogs.answer("/tmp/eva3")
    user.ui.installFolderEdit.browse()
    assert chosen[2:] == ["/tmp/eva3"]


def test_a_folder_that_begins_nowhere_is_one_of_the_user(user, monkeypatch, tmp_path):
    """And not one of the folder that Slicer happens to run in; nor is any called `~`."""
    from XR2MRILib import settings

    monkeypatch.setenv("HOME", str(tmp_path))
    line = user.ui.installFolderEdit.comboBox().lineEdit()
    for typed in ("~/eva", "eva"):
        line.selectAll()
        line.insert(typed)
        line.editingFinished.emit()
        wanted = str(tmp_path / "eva")
        assert user.logic.computer.folder == wanted == settings.install_folder()
        assert user.ui.installFolderEdit.currentPath == wanted, "and that is what is shown"
    line.selectAll()
    line.insert("")
    line.editingFinished.emit()
    assert user.ui.installFolderEdit.currentPath == user.logic.computer.folder != wanted


def test_where_it_comes_from_is_browsed_for_as_the_error_says(here, tmp_path):
    """CTK's line browses for files or for folders; a folder will do for a single wheel, too."""
    import qt

    user = here
    user.ui.sourceEdit.currentPath = str(tmp_path)
    user.ui.installButton.click()
    assert "Choose a folder with xr2mri-0.1.0" in user.ui.computerStatus.text
    (tmp_path / "xr2mri-0.1.0-py3-none-any.whl").touch()
    user.ui.sourceEdit.currentPath = ""
    dialogs.answer(str(tmp_path))
    user.ui.sourceEdit.browse()
    dialogs.answer(qt.QMessageBox.Yes)
    user.ui.installButton.click()
    assert user.logic.asked == [("install", str(tmp_path))]


@pytest.fixture
def impatient(user, monkeypatch):
    """Somebody whose panel asks the server all the time."""
    from xr2mri_client import own_server
    from XR2MRILib import computer

    monkeypatch.setattr(computer, "ASK_S", 0.1)
    monkeypatch.setattr(own_server, "SECONDS_TO_ANSWER", 0.5)
    user.widget.panel.computer._timer.setInterval(20)
    return user


def test_a_server_that_hangs_is_told_and_so_is_that_it_goes_on(impatient, tmp_path):
    from xr2mri_client.own_server import OwnServer

    user, computer = impatient, impatient.logic.computer
    _as_if_installed(user, tmp_path / "here")
    computer.server = OwnServer(computer.installation, command=[sys.executable, "-c", LIGHT])
    computer.server.open()
    user.ui.hereRadio.click()
    user.until_idle()  # it answers nothing but that it is there
    assert user.colour("computerStatus") == "good"
    process = computer.server._process
    os.kill(process.pid, signal.SIGSTOP)
    try:
        user.until(lambda: user.colour("computerStatus") == "bad", "it is noticed", 60)
        said = "The server does not answer any more. Stop it, and start it again."
        assert user.ui.computerStatus.text == said and offered(user) == ["Stop", "Uninstall..."]
        os.kill(process.pid, signal.SIGCONT)
        user.until(lambda: user.colour("computerStatus") == "good", "it goes on", 60)
    finally:
        os.kill(process.pid, signal.SIGCONT)
        computer.server.stop()
        computer.server.wait()


def test_a_server_that_goes_with_another_slicer_is_given_up(impatient, tmp_path):
    from xr2mri_client.own_server import OwnServer

    user, computer = impatient, impatient.logic.computer
    _as_if_installed(user, tmp_path / "here")
    other = OwnServer(computer.installation, command=[sys.executable, "-c", LIGHT])
    other.open()
    computer.server.open()
    user.ui.hereRadio.click()
    user.until_idle()
    assert "Running, started by another Slicer." in user.ui.computerStatus.text
    asked = []
    computer.ask = lambda ask=computer.ask: asked.append(1) or ask()
    user.until(lambda: len(asked) > 50, "it is asked, and answers")
    assert user.colour("computerStatus") == "good"
    other.stop()
    other.wait()
    user.until(lambda: user.colour("computerStatus") == "bad", "it is noticed", 60)
    assert "another Slicer has started does not answer" in user.ui.computerStatus.text
    assert computer.access is None and offered(user) == ["Start", "Uninstall..."]


def test_removing_it_asks_first(here):
    import qt

    install(here)
    here.logic.end("cancelled")
    dialogs.answer(qt.QMessageBox.No)
    here.ui.uninstallButton.click()
    assert here.logic.asked == [] and "/home/eva/xr2mri" in dialogs.shown[0]
    dialogs.answer(qt.QMessageBox.Yes)
    here.ui.uninstallButton.click()
    assert here.logic.asked == [("uninstall",)]


def test_a_removal_is_followed_and_can_be_cancelled(here):
    from xr2mri_client.removing import Removal
    from XR2MRILib.states import State

    user = here
    install(user)
    user.logic.be(State.UNINSTALLING)
    assert offered(user) == ["Cancel"] and user.ui.computerStatus.text == "Removing..."
    user.logic.computer.happened.emit(Removal(1200, 5000))
    text = "Removing: 1200 of 5000 files..."
    assert user.ui.computerStatus.text == text == user.ui.progressNote.text
    assert user.ui.progressBar.maximum == 5000 and user.ui.progressBar.value == 1200
    user.ui.uninstallButton.click()
    assert user.logic.asked == [("cancel",)] and not dialogs.shown
    user.logic.computer.installed, user.logic.computer.half = None, True
    user.logic.end("cancelled")
    assert "Not all of it is there." in user.ui.computerStatus.text
    assert offered(user) == ["Install...", "Uninstall..."]


def _as_if_installed(user, place: Path) -> None:
    """With this Python in the place of its own."""
    from xr2mri_client.installation import Installed

    user.ui.installFolderEdit.currentPath = str(place)
    python = user.logic.computer.installation.python
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    user.logic.computer.installation.mark(Installed("0.1.0", "CPU", 1))


def test_what_another_slicer_uses_is_removed_when_that_has_ended(user, tmp_path):
    import qt

    from xr2mri_client.own_server import OwnServer

    place = tmp_path / "here"
    _as_if_installed(user, place)
    user.ui.hereRadio.click()
    computer = user.logic.computer
    for index in range(300):
        (computer.installation.part("environment") / str(index) / "below").mkdir(parents=True)
    other = OwnServer(computer.installation, command=[sys.executable, "-c", LIGHT])
    other.open()
    try:
        dialogs.answer(qt.QMessageBox.Yes)
        user.ui.uninstallButton.click()
        user.until_idle()
        assert "another Slicer has started it. Stop it there" in user.ui.computerStatus.text
        assert computer.installed is not None
    finally:
        other.stop()
        other.wait()
    dialogs.answer(qt.QMessageBox.Yes)
    user.ui.uninstallButton.click()
    user.until(lambda: user.logic.state == "idle", "removed", 60)
    assert not place.exists() and offered(user) == ["Install..."]


def test_what_another_slicer_uses_is_not_updated(user, tmp_path):
    """Nor downloaded for; and what is there stays whole."""
    import qt

    from xr2mri_client.installation import Installed
    from xr2mri_client.own_server import OwnServer

    (tmp_path / "xr2mri-0.1.0-py3-none-any.whl").touch()
    _as_if_installed(user, tmp_path / "here")
    computer = user.logic.computer
    computer.installation.mark(Installed("0.0.9", "CPU", 1))
    user.ui.hereRadio.click()
    user.ui.sourceEdit.currentPath = str(tmp_path)
    other = OwnServer(computer.installation, command=[sys.executable, "-c", LIGHT])
    other.open()
    try:
        dialogs.answer(qt.QMessageBox.Yes)
        user.ui.installButton.click()
        user.until_idle()
        said = "another Slicer has started it. Stop it there, and install again."
        assert said in user.ui.computerStatus.text
        assert computer.installed.version == "0.0.9" and other.find() is not None
    finally:
        other.stop()
        other.wait()


def test_a_mac_that_cannot_is_told_before_anybody_agrees(here, monkeypatch, tmp_path):
    from xr2mri_client import errors, machine

    def request():
        raise errors.InstallFailed("The server needs macOS 14.", "Use a server elsewhere.")

    monkeypatch.setattr(machine, "request", request)
    (tmp_path / "xr2mri-0.1.0-py3-none-any.whl").touch()
    here.ui.sourceEdit.currentPath = str(tmp_path)
    here.ui.installButton.click()
    assert here.ui.computerStatus.text == "The server needs macOS 14. Use a server elsewhere."
    assert not dialogs.shown and here.logic.asked == []


@pytest.mark.server
def test_generate_starts_the_server_and_a_killed_one_is_told(
    user, tiny_bundle, tmp_path, radiograph
):
    """For real, with a server of this checkout in the place of an installed one."""
    from xr2mri_client.own_server import OwnServer

    computer = user.logic.computer
    _as_if_installed(user, tmp_path / "here")
    assert computer.folder == str(tmp_path / "here")
    words = command(tiny_bundle, tmp_path)
    computer.server = OwnServer(computer.installation, command=words)
    user.ui.hereRadio.click()
    assert "Not running; Generate starts it." in user.ui.computerStatus.text
    user.choose(radiograph)
    user.set_slices(2)
    user.press_generate()
    user.until(
        lambda: user.node.result is not None or user.colour("computerStatus") == "bad", "a volume"
    )
    user.until_idle()
    assert user.colour("computerStatus") == "good" and user.colour("serverStatus") == "good"
    from XR2MRILib import settings

    assert settings.servers() == [settings.DEFAULT_SERVER], "its port is not to be remembered"
    process = computer.server._process
    os.kill(process.pid, signal.SIGKILL)
    user.until(lambda: user.colour("computerStatus") == "bad", "its end is noticed")
    assert "was killed" in user.ui.computerStatus.text and user.logic.info is None
    assert user.shown("logEdit") and "XR2MRI" in user.ui.logEdit.toPlainText()
    assert offered(user) == ["Start", "Uninstall..."]


@pytest.mark.slow
@pytest.mark.server
def test_from_nothing_to_a_volume_without_a_terminal(user, tmp_path, monkeypatch, request):
    """Install from a wheel of this checkout, Sample, Generate, Uninstall, by clicking; all of it
    for real. `XR2MRI_PICTURES` names a folder for a picture of each step: those of the tutorial,
    which show `/tmp/xr2mri` as the place where it is installed."""
    import qt
    from built_wheel import built

    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        pytest.skip("needs uv in this environment")
    cache = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True)
    monkeypatch.setenv("UV_CACHE_DIR", cache.stdout.strip())  # or this would download gigabytes
    monkeypatch.setenv("PATH", f"{uv.parent}{os.pathsep}{os.environ['PATH']}")
    pictures = os.environ.get("XR2MRI_PICTURES")
    place = Path(tempfile.gettempdir()) / "xr2mri" if pictures else tmp_path / "here"
    wheel = place.with_name("xr2mri-wheel")
    wheel.mkdir()
    built(wheel)
    request.addfinalizer(lambda: shutil.rmtree(wheel))

    def step(name: str) -> None:
        if pictures:
            from screenshot import save

            save(user, Path(pictures) / f"tutorial_{name}.png")

    manager = user.slicer.app.layoutManager()
    manager.setLayout(user.slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    user.slicer.app.settings().remove("XR2MRI/OwnLayout")  # as nobody has been asked yet
    user.ui.hereRadio.click()
    user.ui.installFolderEdit.currentPath = str(place)
    user.ui.sourceEdit.currentPath = str(wheel)
    step("1_nothing")
    dialogs.answer(qt.QMessageBox.Yes)
    user.ui.logButton.checked = True
    user.ui.installButton.click()
    user.until(lambda: "step 4 of" in user.ui.computerStatus.text, "PyTorch comes", 900)
    step("2_installing")
    user.until(lambda: user.logic.state != "installing", "installed", 1500)
    user.ui.logButton.checked = False
    step("3_installed")
    assert "Installed: XR2MRI" in user.ui.computerStatus.text, user.ui.logEdit.toPlainText()
    user.ui.sampleButton.click()
    user.events()
    assert user.shown("layoutFrame")
    step("4_sample")
    user.ui.layoutYesButton.click()
    user.set_slices(30)
    user.press_generate()
    user.until(
        lambda: user.node.result is not None or user.colour("computerStatus") == "bad", "", 900
    )
    user.until_idle()
    step("5_volume")
    for name in ("Green", "Yellow", "Red"):
        composite = manager.sliceWidget(name).mrmlSliceCompositeNode()
        assert composite.GetBackgroundVolumeID() == user.node.result.GetID(), "in three planes"
    assert user.ui.serverStatus.text.endswith("XR2MRI 0.1.0."), "nobody has logged in"
    assert "19 of 19 read" in user.ui.summaryLabel.text, "as the sample says"
    values = user.slicer.util.arrayFromVolume(user.node.result)
    assert values.shape == (256, 30, 256) and values.std() > 0.05
    dialogs.answer(qt.QMessageBox.Yes)
    user.ui.uninstallButton.click()
    user.until(lambda: user.logic.state == "idle", "removed", 300)
    assert not place.exists() and offered(user) == ["Install..."]
