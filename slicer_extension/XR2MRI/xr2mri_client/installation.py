"""The server's place on this computer: a folder of the user with a Python of its own in it.

    folder/
        installed.json   what is there; written last, so that a part of it is not taken for all
        environment/     Python with torch and `xr2mri[server]`
        python/ tools/   where this computer has none: Python itself, uv
        cache/           what was downloaded, until all of it is installed
        server/          log and session of the server (`own_server`)

Nothing of it is inside of Slicer, whose own Python gets no new package.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import InstallFailed
from .programs import WINDOWS
from .texts import tr as _

VERSION = "0.1.0"
"""Of the server that this client is made for, and of both of them."""
OWNER = "OWNER"
"""Whose repository releases are downloaded from, as in the extension's CMakeLists.txt."""
RELEASE = "https://github.com/{owner}/xr2mri/releases/download/v{version}/{wheel}"
_PARTS = ("environment", "python", "tools", "cache", "server")
_MARKER = "installed.json"


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


def default_folder(known: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """Where programs keep what belongs to the user on this kind of computer.

    Args:
        known: variables of the process. `XR2MRI_FOLDER` names another folder.
        platform: as `sys.platform`.
    """
    known = os.environ if known is None else known
    if known.get("XR2MRI_FOLDER"):
        return Path(known["XR2MRI_FOLDER"])
    if platform == "win32":
        return Path(known.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "XR2MRI"
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "XR2MRI"
    return Path(known.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "xr2mri"


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
        folder: where it is or will be; `default_folder()` when left out.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = Path(folder) if folder else default_folder()

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
        """What is installed, None where nothing is, or not all of it."""
        try:
            told = json.loads((self.folder / _MARKER).read_text(encoding="utf-8"))
            found = Installed(str(told["version"]), str(told["device"]), int(told["bytes"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if self.python.exists() else None

    def mark(self, installed: Installed) -> None:
        """Say that all of it is there."""
        part = self.folder / f"{_MARKER}.part"
        part.write_text(json.dumps(asdict(installed)), encoding="utf-8")
        os.replace(part, self.folder / _MARKER)

    def unmark(self) -> None:
        """Say that it may not be whole."""
        (self.folder / _MARKER).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove all that was installed; what else is in the folder stays, and the folder then.

        Raises:
            InstallFailed: a file cannot be removed.
        """
        try:
            self.unmark()
            for name in _PARTS:
                if self.part(name).exists():
                    shutil.rmtree(self.part(name))
            if self.folder.is_dir() and not any(self.folder.iterdir()):
                self.folder.rmdir()
        except OSError as error:
            told = _("{file} cannot be removed: {why}.")
            raise InstallFailed(
                told.format(file=error.filename, why=error.strerror or error),
                _("Stop every program that uses it, and uninstall again."),
            ) from None

    def size(self) -> int:
        """Bytes that its files take."""
        total = 0
        for folder, _folders, files in os.walk(self.folder):
            for name in files:
                total += os.lstat(os.path.join(folder, name)).st_size
        return total


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
        if OWNER == "OWNER":
            raise InstallFailed(
                _("This copy of the module does not know where XR2MRI is published."),
                _("Choose a wheel of XR2MRI, or a folder of wheels, at From."),
            )
        wheel = f"xr2mri-{VERSION}-py3-none-any.whl"
        return RELEASE.format(owner=OWNER, version=VERSION, wheel=wheel), ""
    if source.startswith("https://"):
        return source, ""
    path = Path(source).expanduser()
    if path.is_file() and path.name.startswith("xr2mri-") and path.suffix == ".whl":
        return str(path.resolve()), ""
    found = path / f"xr2mri-{VERSION}-py3-none-any.whl"
    if found.is_file():
        alone = not any(other != found for other in path.glob("*.whl"))
        return str(found.resolve()), "" if alone else str(path.resolve())
    raise InstallFailed(
        _("{x} has no wheel of XR2MRI {v}.").format(x=source, v=VERSION),
        _("Choose a file {name}, or a folder with it.").format(name=found.name),
    )
