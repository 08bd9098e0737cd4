"""How long a generation takes on this device, by those that it has made."""

from __future__ import annotations

import threading

ASSUMED = {"cpu": 0.15, "cuda": 0.015}
"""Seconds of a pass, a slow machine's, until one has been timed."""
_ENOUGH = 1.0  # seconds of work that were timed, from which it is believed
_KEPT = 0.8  # weight of what came before: the machine may have other work now


class Pace:
    """Seconds that a pass takes: one slice once through denoiser or decoder.

    What is timed is added up with the older's weight fading, so that long generations count for
    more than short ones, whose passes cost more.

    Args:
        device: kind of the device, ``cpu`` or ``cuda``.
    """

    def __init__(self, device: str) -> None:
        self.assumed = ASSUMED.get(device, ASSUMED["cpu"])
        self._passes = self._seconds = self._ever = 0.0
        self._lock = threading.Lock()

    def timed(self, passes: float, seconds: float) -> None:
        """Take note of work that was done."""
        if passes > 0 and seconds > 0:
            with self._lock:
                self._passes = _KEPT * self._passes + passes
                self._seconds = _KEPT * self._seconds + seconds
                self._ever += seconds

    @property
    def measured(self) -> bool:
        """Whether enough has been timed to tell by it what else will take."""
        return self._ever >= _ENOUGH

    @property
    def seconds_a_pass(self) -> float:
        """Seconds of a pass; assumed where nothing has been timed."""
        with self._lock:
            return self._seconds / self._passes if self._passes else self.assumed

    def seconds(self, passes: float) -> float:
        """Seconds that so many passes will take."""
        return passes * self.seconds_a_pass

    def describe(self) -> dict[str, float | bool]:
        """The part of `/info/` about speed."""
        return {"seconds_a_pass": float(f"{self.seconds_a_pass:.3g}"), "measured": self.measured}
