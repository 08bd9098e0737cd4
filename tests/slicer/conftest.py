"""The module's HTTP side against a server of a few lines that misbehaves on demand, and the real
one; the module as a whole in 3D Slicer's place (see harness/README.md). The modules of the
extension are imported as Slicer imports them: from the module's folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "slicer_extension" / "XR2MRI"
if str(MODULE) not in sys.path:
    sys.path.insert(0, str(MODULE))


@pytest.fixture
def faulty():
    """A healthy server; a test puts its faults into `plan`."""
    from faulty_server import FaultyServer

    with FaultyServer() as server:
        yield server


@pytest.fixture
def client(faulty):
    """A client of it that does not wait long."""
    from XR2MRILib.client import XR2MRIClient

    client = XR2MRIClient(faulty.url, timeout=(2.0, 5.0))
    yield client
    client.close()


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
    application.app.settings().clear()
    application.app.testing = False
    for noted in (harness.errors, harness.warnings, pythonqt.handled):
        noted.clear()
    dialogs.reset()
    harness.vtk_messages()
    yield application
    application.mrmlScene.Clear(0)
    application.app.processEvents()
    assert not harness.errors, harness.errors[0]
    assert not harness.warnings, harness.warnings[0]
    assert not dialogs.reset(), "a dialog that the test expected did not come up"
    complaints = [line for line in harness.vtk_messages().splitlines() if line.startswith("ERROR")]
    assert not complaints, complaints
