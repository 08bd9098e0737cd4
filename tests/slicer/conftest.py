"""The module's HTTP side against a server of a few lines that misbehaves on demand, and the real
one. The modules of the extension are imported as Slicer imports them: from the module's folder."""

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
