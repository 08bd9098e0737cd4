"""Takes paths of the server and tracebacks out of texts that leave it.

A path is recognised by where it begins: at a folder that stands in the root of this machine's file
system, which the routes of the API do not. So ``/infer/knee_xr2mri`` stays, and a home folder goes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from monai_app.lib.security.routes import Served

WITHHELD_PATH = b"[path]"
WITHHELD_TRACE = b"[traceback withheld]"
_LONGEST_HELD = 65536


class Scrubber:
    """Scrubs texts of one server.

    Args:
        folders: folders that must not be named even where they look like a route.
        served: routes, which are no paths of the server.
    """

    def __init__(self, folders: Iterable[Path | str], served: Served) -> None:
        first = {route.path.split("/")[1] for route in served.routes}
        roots = {f"/{name}" for name in _root_folders() if name not in first}
        roots |= {str(folder).rstrip("/") for folder in folders if len(str(folder)) > 1}
        longest_first = sorted(roots, key=len, reverse=True)
        root = b"|".join(re.escape(name.encode()) for name in longest_first)
        start = rb"(?:" + root + rb")(?=[/\\\"'\s]|$)"
        self._start = re.compile(start)
        self._paths = re.compile(
            rb"(?<=')" + start + rb"[^'\"\n]*(?=')"  # in quotes a path may contain blanks
            rb"|(?<=\")" + start + rb"(?:[^\"\\\n]|\\\\)*(?=\\?\")"
            rb"|(?<![\w.~{-])" + start + rb"(?:[^\s\"'<>,;)\]}\\]|\\\\)*"
        )

    def scrub(self, text: bytes, json: bool = True) -> bytes:
        """The text without paths and tracebacks; in JSON the rest of the document survives."""
        text = (_TRACE_IN_JSON if json else _TRACE).sub(WITHHELD_TRACE, text)
        if self._start.search(text) is None:  # as nearly all replies, found in no time
            return text
        return self._paths.sub(WITHHELD_PATH, text)


class ScrubbedStream:
    """Scrubs a body that comes in pieces; holds back what a next piece could complete."""

    def __init__(self, scrubber: Scrubber, json: bool) -> None:
        self._scrubber, self._json, self._held = scrubber, json, b""

    def feed(self, piece: bytes, last: bool) -> bytes:
        """What can be sent now, everything if this is the last piece."""
        text = self._held + piece
        end = len(text) if last else max(text.rfind(b'"'), text.rfind(b"\n"), 0)
        if len(text) - end > _LONGEST_HELD:
            end = len(text)
        ready, self._held = text[:end], text[end:]
        return self._scrubber.scrub(ready, self._json)


_TRACE_IN_JSON = re.compile(rb'Traceback \(most recent call last\)(?:[^"\\]|\\.)*')
_TRACE = re.compile(rb"Traceback \(most recent call last\).*", re.DOTALL)


def _root_folders() -> list[str]:
    try:
        return [name for name in os.listdir("/") if len(name) > 1]
    except OSError:
        return ["etc", "home", "mnt", "opt", "root", "srv", "tmp", "usr", "var"]
