"""Pictures of the panel's server section in each state of the server on this computer.

    python tests/slicer/screenshot_computer.py docs              # the two of the tutorial
    python tests/slicer/screenshot_computer.py out/panel --all

The states are those of a mock: nothing is installed or started. The window is the harness's (see
harness/README.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness import start, stop
from mock_logic import MockedUser

WIDTH = 520
INSTALLED = ("0.1.0", "NVIDIA H200", 7_800_000_000)


def states(user, faulty_info):
    """Names of pictures, with the panel in the state that each shows."""
    from xr2mri_client.errors import InstallFailed, ServerEnded
    from xr2mri_client.installation import Installed
    from xr2mri_client.installing import Line, Step
    from xr2mri_client.own_server import Access
    from XR2MRILib.states import State

    logic, computer = user.logic, user.logic.computer
    user.ui.hereRadio.click()
    yield "nothing"
    logic.be(State.INSTALLING)
    computer.happened.emit(Step(4, 6, "PyTorch, which is large"))
    for line in ("[4/6] PyTorch, which is large", "Resolved 29 packages", "Downloading torch"):
        computer.happened.emit(Line(line))
    user.ui.logButton.checked = True
    yield "installing"
    computer.half = True
    computer.happened.emit(Line("error: No space left on device (os error 28)"))
    logic.end("failed", InstallFailed("The disk is full.", "Make room, and install again."))
    yield "failed"
    computer.installed = Installed(*INSTALLED)
    user.ui.logButton.checked = False
    logic.be(State.STARTING)
    logic.be(State.IDLE)
    yield "installed"
    logic.be(State.STARTING)
    yield "starting"
    computer.access = Access("http://127.0.0.1:49321", "x" * 43)
    logic.be(State.IDLE)
    logic.connect(faulty_info)
    yield "running"
    computer.access, computer.printed = None, "[INFO] (xr2mri) loading\nMemoryError"
    logic.info = None
    logic.end("failed", ServerEnded("The server ran out of memory and has ended.", "Start it."))
    yield "ended"
    user.ui.logButton.checked = False
    user.ui.elsewhereRadio.click()
    yield "elsewhere"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--all", action="store_true", help="every state")
    given = parser.parse_args()
    slicer = start()
    user = MockedUser(slicer)
    from test_panel_mock import info

    parent = user._parent
    parent.resize(WIDTH, 1000)
    parent.show()
    for name in states(user, info(queue={"max": 8, "waiting": 0})):
        if given.all or name in ("nothing", "running"):
            user.events(10)
            section = user.ui.serverSection
            section.grab().save(str(given.out / f"slicer_computer_{name}.png"))
    user.leave()
    stop()


if __name__ == "__main__":
    main()
