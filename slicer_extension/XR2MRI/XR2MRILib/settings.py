"""What the module remembers from one start of Slicer to the next. Never a password or a token."""

from __future__ import annotations

import json
from typing import Any

import qt

DEFAULT_SERVER = "http://127.0.0.1:8000"
_GROUP = "XR2MRI"
_MOST_SERVERS = 8
_GRANTS = ("UploadsAllowed", "FilesAllowed")  # of pixels, of whole files
_file = ""  # where settings are, if not in Slicer's own


def use_file(path: str = "") -> None:
    """Remember in a file instead, as a test does, so that the user's settings stay; in Slicer's
    own again where none is named."""
    global _file
    _file = path


def servers() -> list[str]:
    """Addresses that answered, the latest first; never empty."""
    return _read("Servers", []) or [DEFAULT_SERVER]


def remember_server(url: str) -> None:
    """Put an address to the front of the history; not that of a rehearsal, which is none."""
    if not url.startswith(("http://", "https://")):
        return
    others = [known for known in _read("Servers", []) if known != url]
    _write("Servers", [url, *others][:_MOST_SERVERS])


def may_upload(url: str, whole: bool) -> bool:
    """Whether the user has allowed radiographs to be sent to this address.

    Args:
        url: the address.
        whole: as DICOM files, with the patient's name; who has allowed that has allowed pixels.
    """
    return any(url in _read(name, []) for name in _GRANTS[whole:])


def allow_upload(url: str, whole: bool) -> None:
    name = _GRANTS[whole]
    _write(name, sorted({url, *_read(name, [])}))


def ca_file() -> str:
    """Certificates to trust beside the usual ones; empty for none."""
    return str(_read("CaFile", ""))


def set_ca_file(path: str) -> None:
    _write("CaFile", path)


def on_this_computer() -> bool:
    """Whether the user generates on this computer; so does who has never connected to a server."""
    return _read("Where", "elsewhere" if _read("Servers", []) else "here") == "here"


def set_on_this_computer(here: bool) -> None:
    _write("Where", "here" if here else "elsewhere")


def install_folder() -> str:
    """Where the server is installed on this computer; empty for the usual folder."""
    return str(_read("InstallFolder", ""))


def set_install_folder(path: str) -> None:
    _write("InstallFolder", path)


def own_layout() -> bool | None:
    """Whether the module may arrange the views; None while the user has not been asked."""
    return {"yes": True, "no": False}.get(str(_read("OwnLayout", "")))


def set_own_layout(wanted: bool) -> None:
    _write("OwnLayout", "yes" if wanted else "no")


def options() -> dict[str, Any]:
    """The options of the last generation, by their names in the parameter node."""
    found = _read("Options", {})
    return found if isinstance(found, dict) else {}


def remember_options(options: dict[str, Any]) -> None:
    _write("Options", options)


def _read(name: str, default: Any) -> Any:
    """A value that was written; JSON, since Qt reads back a list of one as a plain text."""
    try:
        return json.loads(_store().value(f"{_GROUP}/{name}") or "null") or default
    except (ValueError, TypeError):
        return default


def _write(name: str, value: Any) -> None:
    _store().setValue(f"{_GROUP}/{name}", json.dumps(value))


def _store() -> qt.QSettings:
    return qt.QSettings(_file, qt.QSettings.IniFormat) if _file else qt.QSettings()
