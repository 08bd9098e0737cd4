"""The server's place on this computer: a folder of the user with a Python of its own in it.

    folder/
        xr2mri.txt       says whose the folder is; written first
        installed.json   what is there; written last, so that a part of it is not taken for all
        environment/     Python with torch and `xr2mri[server]`
        python/ tools/   where this computer has none: Python itself, uv
        cache/           what was downloaded, until all of it is installed
        server/          log and session of the server (`own_server`)
        removed/         what has not yet been removed of one that was uninstalled (`removing`)

Nothing of it is inside of Slicer, whose own Python gets no new package.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .alone import BUSY
from .errors import InstallFailed
from .programs import WINDOWS
from .texts import tr as _
from .writing import write_whole

VERSION = "0.1.0"
"""The version of this client and of the server that it is made for."""
OWNER = "OWNER"
"""The account whose releases are downloaded, as in the extension's CMakeLists.txt."""
RELEASE = "https://github.com/{owner}/xr2mri/releases/download/v{version}/{wheel}"
_PARTS = ("environment", "python", "tools", "cache", "server")
_MARKER, _OWN = "installed.json", "xr2mri.txt"
_OF_SYSTEMS = (BUSY, ".ds_store", "desktop.ini", "thumbs.db")
"""Files that are nobody's, in small letters: Finder and Explorer leave some in what they show."""


@dataclass(frozen=True)
class Installed:
    """What is installed.

    Attributes:
        version: version of xr2mri.
        device: device on which it generates: name of the GPU, or "CPU".
        bytes: size on the disk.
    """

    version: str
    device: str
    bytes: int


def published() -> bool:
    """Whether this copy knows an account: `make slicer-repository` names it."""
    return OWNER != "OWNER"


def default_folder(known: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """Where programs keep what belongs to the user on this kind of computer.

    Args:
        known: variables of the process. `XR2MRI_FOLDER` names another folder.
        platform: platform, named as in `sys.platform`.
    """
    known = os.environ if known is None else known
    if known.get("XR2MRI_FOLDER"):
        return Path(known["XR2MRI_FOLDER"])
    if platform == "win32":
        return Path(known.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "XR2MRI"
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "XR2MRI"
    return Path(known.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "xr2mri"


def as_typed(path: Path | str) -> Path:
    """The absolute path that somebody means: `~` is the home, and a path that begins nowhere begins
    there, too: the folder that an application runs in is none that its user knows."""
    return Path.home() / os.path.expanduser(path)


def has_gpu() -> bool:
    """Whether there is a driver for an NVIDIA GPU."""
    return shutil.which("nvidia-smi") is not None


MOST_GB = (3.5, 8.5)
"""GB to download and GB on the disk with the PyTorch for GPUs (measured on Linux)."""


def needed_gb() -> tuple[float, float]:
    """GB to download, and GB on the disk when all of it is installed.

    A computer without a GPU needs less, if PyTorch's own index is reached: the usual one has the
    build for GPUs alone.
    """
    return MOST_GB if has_gpu() else (1.0, 3.0)


class Installation:
    """What is in a folder.

    Args:
        folder: where it is or will be, see `as_typed`; `default_folder()` when left out.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = as_typed(folder or default_folder())
        self._read: tuple[int, ...] = ()  # which marker was read last
        self._marked: Installed | None = None  # what it says

    def part(self, name: str) -> Path:
        """A folder in it: environment, python, tools, cache or server."""
        assert name in _PARTS
        return self.folder / name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        below = ("Scripts", "python.exe") if WINDOWS else ("bin", "python")
        return self.part("environment").joinpath(*below)

    def installed(self) -> Installed | None:
        """What is installed, None where nothing is, or not all of it. Quick to ask: the marker is
        read again only when it has changed."""
        path = self.folder / _MARKER
        try:
            state = path.stat()
        except OSError:
            return None
        now = state.st_mtime_ns, state.st_size, state.st_ino
        if now != self._read:
            self._read, self._marked = now, _read_marker(path)
        return self._marked if self.python.exists() else None

    @property
    def ours(self) -> bool:
        """Whether the folder was made for this: nothing is removed from another one."""
        return (self.folder / _OWN).is_file()

    def claim(self) -> None:
        """Mark the folder as one of this installation.

        Raises:
            InstallFailed: the folder holds something else, which might be removed with it.
            OSError: the mark cannot be written.
        """
        if self.ours:
            return
        names = (path.name for path in self.folder.iterdir())
        others = sorted(name for name in names if name.lower() not in _OF_SYSTEMS)
        if others:
            message = _("{folder} holds other files, such as {name}.")
            raise InstallFailed(
                message.format(folder=self.folder, name=others[0]),
                _("Choose a folder that is new or empty."),
            )
        self._claim()

    def _claim(self) -> None:
        text = "Made by the module XR2MRI of 3D Slicer, whose button Uninstall removes it.\n"
        (self.folder / _OWN).write_text(text, encoding="utf-8")

    def mark(self, installed: Installed) -> None:
        """Note that all of it is installed; raises OSError."""
        self._claim()
        write_whole(self.folder / _MARKER, json.dumps(asdict(installed)))

    def unmark(self) -> None:
        """Note that it may not be whole; raises OSError."""
        (self.folder / _MARKER).unlink(missing_ok=True)

    @property
    def aside(self) -> Path:
        """Where what is to be removed lies; whatever is there belongs to nothing."""
        return self.folder / "removed"

    @property
    def left(self) -> bool:
        """Whether anything of an installation is there, whole or not."""
        return self.ours

    def let_go(self) -> None:
        """Take the mark of `claim` away, when nothing of it is left. Raises OSError."""
        (self.folder / _OWN).unlink(missing_ok=True)

    def put_aside(self, *names: str) -> None:
        """Move all of it, or parts, to `aside`, which takes a moment. Raises OSError."""
        if not self.ours:
            return
        if not names:
            self.unmark()
        for name in names or _PARTS:
            if self.part(name).exists():
                self.aside.mkdir(parents=True, exist_ok=True)
                os.replace(self.part(name), self.aside / f"{name}-{secrets.token_hex(4)}")

    def size(self) -> int:
        """Bytes that its files take."""
        total = 0
        for folder, _folders, files in os.walk(self.folder):
            for name in files:
                total += os.lstat(os.path.join(folder, name)).st_size
        return total


def _read_marker(path: Path) -> Installed | None:
    """What a marker says; None where it is damaged."""
    try:
        marker = json.loads(path.read_text(encoding="utf-8"))
        return Installed(str(marker["version"]), str(marker["device"]), int(marker["bytes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def wheel_of(source: str) -> tuple[str, str]:
    """The wheel to install, and the folder that everything else comes from.

    Args:
        source: a wheel or a folder with nothing but that (the rest is downloaded), a folder with
            all wheels (nothing is downloaded), an https address of a wheel, or nothing: the release
            that matches this module.

    Returns:
        Path or address of the wheel; folder with all other wheels, empty where a package index has
        them.

    Raises:
        InstallFailed: there is no such wheel.
    """
    source = source.strip()
    if not source:
        if not published():
            raise InstallFailed(
                _("This copy of the module does not know where XR2MRI is published."),
                _("Choose a folder with its wheel at From."),
            )
        wheel = f"xr2mri-{VERSION}-py3-none-any.whl"
        return RELEASE.format(owner=OWNER, version=VERSION, wheel=wheel), ""
    if source.startswith("https://"):
        return source, ""
    path = as_typed(source)
    if path.is_file() and path.name.startswith("xr2mri-") and path.suffix == ".whl":
        return str(path.resolve()), ""
    found = path / f"xr2mri-{VERSION}-py3-none-any.whl"
    if found.is_file():
        alone = not any(other != found for other in path.glob("*.whl"))
        return str(found.resolve()), "" if alone else str(path.resolve())
    raise InstallFailed(
        _("{x} has no wheel of XR2MRI {v}.").format(x=source, v=VERSION),
        _("Choose a folder with {name}.").format(name=found.name),
    )
