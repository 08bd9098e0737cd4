"""What the module is doing, one thing at a time."""

from __future__ import annotations

from enum import Enum


class State(str, Enum):
    """A state of `logic.XR2MRILogic`; everything but IDLE ends by itself or by `cancel`."""

    IDLE = "idle"
    CONNECTING = "connecting"
    INSTALLING = "installing"
    """The server is being installed on this computer."""
    UNINSTALLING = "uninstalling"
    STARTING = "starting"
    """The server on this computer is being started, or looked for."""
    RUNNING = "running"
    """The server generates, or is about to."""
    IMPORTING = "importing"
    """Volumes have come and become nodes, a step at a time."""
    CANCELLING = "cancelling"
    LOCATING = "locating"
    """The server looks for the knee in a radiograph."""
    COMPARING = "comparing"
    EXPORTING = "exporting"
