"""The module's HTTP side against a server of a few lines that misbehaves on demand, and the real
one; the module as a whole in 3D Slicer's place (see harness/README.md). The modules of the
extension are imported as Slicer imports them: from the module's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from own_process import (  # noqa: F401  (pytest finds its hooks here)
    is_own_process,
    pytest_configure,
    pytest_runtest_logfinish,
    pytest_runtest_logreport,
    pytest_runtest_protocol,
    pytest_unconfigure,
)

TESTS = Path(__file__).resolve().parents[1]
MODULE = TESTS.parent / "slicer_extension" / "XR2MRI"
SELF_TESTS = MODULE / "Testing" / "Python"
for folder in (SELF_TESTS, MODULE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture
def faulty():
    """A healthy server; a test puts its faults into `plan`."""
    from faulty_server import FaultyServer

    with FaultyServer() as server:
        yield server


@pytest.fixture
def client(faulty):
    """A client of it that does not wait long."""
    from xr2mri_client.client import XR2MRIClient

    client = XR2MRIClient(faulty.url, timeout=(2.0, 5.0))
    yield client
    client.close()


@pytest.fixture(scope="session")
def tiny_bundle(request, tmp_path_factory) -> Path:
    """Where the windows are, one guided by demographics, so that the panel asks for them; made
    elsewhere, because torch must not be loaded there."""
    if not is_own_process():
        return request.getfixturevalue("tiny_bundle")  # the one of all tests
    bundle = tmp_path_factory.mktemp("bundle") / "knee_xr2mri"
    code = f"from samples import make_tiny_bundle; make_tiny_bundle({str(bundle)!r}, True)"
    subprocess.run([sys.executable, "-c", code], cwd=TESTS, check=True)
    return bundle


@pytest.fixture
def server(request) -> str:
    """The base URL of the real server: of one that runs already, if `XR2MRI_SERVER` tells it."""
    return os.environ.get("XR2MRI_SERVER") or request.getfixturevalue("running").url


@pytest.fixture(scope="session")
def application():
    """3D Slicer's place, started once."""
    import harness

    why_not = harness.missing()
    if why_not:
        pytest.skip(why_not)
    yield harness.start()
    harness.stop()


@pytest.fixture
def slicer(application):
    """The module `slicer` with an empty scene; whatever goes wrong unseen is a failure."""
    import harness
    from harness import dialogs, pythonqt

    application.mrmlScene.Clear(0)
    for node in application.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
        application.mrmlScene.RemoveNode(node)  # singletons outlive a scene, but not a test
    application.app.settings().clear()
    application.app.settings().setValue("XR2MRI/OwnLayout", '"yes"')  # asked in a test of its own
    application.app.testing = False
    application.dicomDatabase.closeDatabase()
    for noted in (harness.errors, harness.warnings, pythonqt.handled):
        noted.clear()
    dialogs.reset()
    harness.vtk_messages()
    yield application
    application.util.mainWindow().hide()  # a window that is not shown draws nothing
    application.mrmlScene.Clear(0)
    application.app.processEvents()
    assert not harness.errors, harness.errors[0]
    assert not harness.warnings, harness.warnings[0]
    assert not dialogs.reset(), "a dialog that the test expected did not come up"
    told = harness.vtk_messages()
    assert not any(line.startswith("ERROR") for line in told.splitlines()), told


@pytest.fixture
def user(slicer):
    """Somebody in front of the panel; leaves no thread and no library behind."""
    from user import User

    yield from _in_front(slicer, User)


@pytest.fixture
def mocked(slicer):
    """Somebody in front of a panel whose logic does what the test says."""
    from mock_logic import MockedUser

    yield from _in_front(slicer, MockedUser)


@pytest.fixture
def ready(user, faulty, radiograph):
    """Somebody whose panel is connected to a healthy server, with a radiograph chosen."""
    user.connect(faulty.url)
    user.choose(radiograph)
    assert user.ui.generateButton.enabled, user.says()
    return user


def _in_front(slicer, kind):
    import threading

    known = {name: code for name, code in sys.modules.items() if _ours(name)}
    for name in known:
        del sys.modules[name]
    user = kind(slicer)
    yield user
    user.leave()
    threads = [t for t in threading.enumerate() if t.name.startswith("XR2MRI")]
    for thread in threads:
        thread.join(20)  # it may be waiting for an answer that nobody wants any more
    left = [thread.name for thread in threads if thread.is_alive()]
    for name in [name for name in sys.modules if _ours(name)]:
        del sys.modules[name]
    sys.modules.update(known)
    assert not left, left


def _ours(name: str) -> bool:
    return name.split(".")[0] in ("XR2MRILib", "xr2mri_client", "rehearsal", "XR2MRISelfTest")
