"""What a failed step of an installation means, from what its program has printed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from . import errors
from .machine import PYTHON
from .texts import tr as _

_KEPT_LINES = 60
_FAULT = re.compile(r"\s*(error\b|\u00d7)", re.IGNORECASE)
_TRIES = "warning: retrying"  # of pip, which tells what the network said here and not as an error


def why_it_failed(lines: Sequence[str], status: int, offline: bool = False) -> errors.InstallFailed:
    """What a program's last lines mean for the person who wants to install, and what mends it.

    Args:
        lines: what it has printed.
        status: exit status; negative for the signal that ended it.
        offline: whether all packages come from a folder.
    """
    if status < 0:
        return errors.InstallFailed(
            _("The installing program was killed."),
            _("Close other programs for want of memory, and install again."),
        )
    told = _of_the_fault(lines)
    low = "\n".join(told).lower()

    def said(*words: str) -> bool:
        return any(word in low for word in words)

    if said("no space left", "os error 28", "os error 112", "disk quota", "os error 122"):
        return errors.InstallFailed(
            _("The disk is full."), _("Make room, or choose another folder, and install again.")
        )
    if said("proxy auth", "proxy tunnel", "via proxy", "proxyerror") or (
        said("proxy", "tunnel") and re.search(r"\b407\b", low)
    ):
        return errors.InstallFailed(
            _("The proxy of your network lets the download not through."),
            _("Set HTTPS_PROXY to its address before Slicer starts, or install from a folder."),
            passing=True,
        )
    if said("certificate", "unknownissuer", "invalid peer"):
        return errors.InstallFailed(
            _("The network's certificates are not trusted."),
            _("Set SSL_CERT_FILE to the file of your institution's, or install from a folder."),
            passing=True,
        )
    if said("no interpreter found", "no python", "python download", "no download found"):
        return errors.InstallFailed(
            _("There is no Python {v} here, and it cannot be downloaded.").format(v=PYTHON),
            _("Install Python {v} from python.org, and install again.").format(v=PYTHON),
        )
    if said("http status client error"):
        why = _plain(next(line for line in told if "http status client error" in line.lower()))
        return errors.InstallFailed(
            _("What is to be downloaded is not there, or not for you: {x}").format(x=why),
            _("Choose a folder of wheels at From, or ask your administrator."),
            passing=True,
        )
    if said(
        "dns error", "failed to lookup", "error sending request", "failed to fetch", "timed out",
        "connection refused", "connection reset", "unreachable", "could not connect", "retries",
        "temporary failure in name", "no network", "network connectivity",
    ):  # fmt: skip
        return errors.InstallFailed(
            _("The network is not there, or was lost."),
            _("Install again to go on where it ended, or install from a folder of wheels."),
            passing=True,
        )
    if said("no solution found", "was not found in", "no matching distribution", "no versions of"):
        return _missing(told, offline)
    if said("failed to acquire lock", "another uv"):
        return errors.InstallFailed(
            _("Another program is installing packages at the moment."),
            _("Wait until it is done, and install again."),
            passing=True,
        )
    last = [line.strip() for line in told if line.strip()] or [f"status {status}"]
    faults = [line for line in last if line.lower().startswith("error")]  # hints come after it
    return errors.InstallFailed((faults or last)[-1])


def _of_the_fault(lines: Sequence[str]) -> list[str]:
    """The lines from the last one on that begins an error: what comes before tells of packages,
    whose names and sizes may be anything."""
    kept = list(lines[-_KEPT_LINES:])
    begins = max((index for index, line in enumerate(kept) if _FAULT.match(line)), default=0)
    tries = [line for line in kept[:begins] if line.lower().startswith(_TRIES)]
    return tries + kept[begins:]


def _missing(told: Sequence[str], offline: bool) -> errors.InstallFailed:
    """A package is not there, or none of it for this machine."""
    why = next((line for line in told if "because" in line.lower()), told[-1])
    message = _("A package is missing: {x}").format(x=_plain(why))
    if offline:
        return errors.InstallFailed(message, _("Add its wheel to the folder."))
    if "no wheels with a matching" in why:
        return errors.InstallFailed(message, _("Use a server elsewhere."))
    return errors.InstallFailed(message)


def _plain(line: str) -> str:
    """A line of uv's without what leads from the error to its cause."""
    return re.sub(r"^\W*(cause: |caused by: )?", "", line, flags=re.IGNORECASE)
