"""What depends on the machine: which Python is asked for, and from which index packages come."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import InstallFailed
from .programs import WINDOWS
from .texts import tr as _

PYTHON = "3.11"
OLDEST_MACOS = 14
"""The macOS that the PyTorch of `constraints.txt` is built for, on Apple silicon alone."""
SAY = "import platform, sys; print(*sys.version_info[:2], platform.machine())"
"""What a Python is to run, whose line `will_do` takes."""


def request(platform: str = sys.platform) -> str:
    """The Python that uv is asked for.

    Slicer for macOS is a program for Intel's processors, and so is the uv that its pip fetches: of
    itself it would bring a Python for these, for which there is no PyTorch any more.

    Raises:
        InstallFailed: the server cannot be installed on a machine of this kind.
    """
    if platform != "darwin":
        return PYTHON
    macos = _sysctl("kern.osproductversion")
    if _sysctl("hw.optional.arm64") != "1":
        message = _("PyTorch, which the server needs, is not made for Macs with Intel processors.")
    elif int(macos.partition(".")[0] or 0) < OLDEST_MACOS:
        message = _("The server needs macOS {n} or later; this is macOS {v}.")
        message = message.format(n=OLDEST_MACOS, v=macos or "?")
    else:
        return f"cpython-{PYTHON}-macos-aarch64-none"
    raise InstallFailed(message, _("Use a server elsewhere."))


def _sysctl(name: str) -> str:
    """What macOS says about itself, to Intel's programs, too; empty where it does not know it."""
    words = ["/usr/sbin/sysctl", "-n", name]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def will_do(said: str, platform: str = sys.platform) -> bool:
    """Whether a Python that an earlier attempt has left is one that `request` asks for.

    Args:
        said: what it prints when it runs `SAY`.
        platform: platform, named as in `sys.platform`.
    """
    *version, kind = said.split() or [""]
    return ".".join(version) == PYTHON and (platform != "darwin" or kind == "arm64")


def index_of_uv(variables: Mapping[str, str]) -> bool:
    """Whether somebody has told uv which index takes the place of PyPI.

    Args:
        variables: environment of uv.
    """
    if any(variables.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_CONFIG_FILE")):
        return True
    if WINDOWS:  # whose names of variables have no case in os.environ alone
        folders = [os.environ.get("APPDATA"), os.environ.get("PROGRAMDATA")]
    else:
        folders = [variables.get("XDG_CONFIG_HOME") or str(Path.home() / ".config"), "/etc"]
        folders += (variables.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    return any(_names_an_index(Path(folder, "uv", "uv.toml")) for folder in folders if folder)


def _names_an_index(file: Path) -> bool:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(r"^\s*(index-url\s*=|index\s*=|\[\[(pip\.)?index\]\])", text, re.M) is not None


def indexes_of_pip(lines: Sequence[str]) -> dict[str, str]:
    """The index that takes the place of PyPI for pip, and those beside it, as variables for uv;
    empty where none takes its place.

    Args:
        lines: what `pip config list` prints: of variables, and of files for all of pip's commands
            or for installing.
    """
    index, extra = _set_for_pip(lines, "index-url"), _set_for_pip(lines, "extra-index-url")
    if not index:
        return {}
    any_of_them = "unsafe-best-match"  # as pip does: whichever has the version that is wanted
    more = {"UV_INDEX": " ".join(extra), "UV_INDEX_STRATEGY": any_of_them} if extra else {}
    return {"UV_DEFAULT_INDEX": index[0], **more}


def way_of_pip(lines: Sequence[str]) -> dict[str, str]:
    """The proxy, the certificates and the trusted hosts that are set for pip, as variables for uv.

    Args:
        lines: as of `indexes_of_pip`.
    """
    proxy, trusted = _set_for_pip(lines, "proxy"), _set_for_pip(lines, "trusted-host")
    way = {name: proxy[0] for name in ("HTTPS_PROXY", "HTTP_PROXY") if proxy}
    if trusted:
        way["UV_INSECURE_HOST"] = " ".join(trusted)
    certificates = " ".join(_set_for_pip(lines, "cert"))  # a path, which may have spaces
    return {**way, "SSL_CERT_FILE": certificates} if certificates else way


def _set_for_pip(lines: Sequence[str], name: str) -> list[str]:
    known = dict(line.split("=", 1) for line in lines if "=" in line)
    for section in (":env:", "install", "global"):
        if f"{section}.{name}" in known:
            try:
                return str(ast.literal_eval(known[f"{section}.{name}"])).split()
            except (ValueError, SyntaxError):
                return []
    return []
