"""The audit log: one line of JSON a request, with who and what, never with whom.

    {"time": "2025-01-31T09:26:53.589Z", "id": "8c0f5e2a9b1d4c37", "user": "ada",
     "address": "10.1.2.3", "method": "POST", "route": "/jobs/infer/{model}", "status": 202,
     "ms": 41, "model": "knee_xr2mri", "seed": 7, "job": "..."}

The route is the pattern, not the path; there is no query, body, file name or form. A handler adds
to ``scope["xr2mri.audit"]``, and only `FIELDS` with short plain values get through.

While the file cannot be written (its disk is full), the guard serves nothing but `/health`; the
lines of requests that were under way by then are counted, and the first line afterwards says how
many are lost. Standard error is written by a thread, so that nobody waits for who reads it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from io import FileIO
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any
from uuid import uuid4

from monai_app.lib.security.asgi import ASGIApp, Message, Receive, Scope, Send, address_of
from monai_app.lib.security.log_lines import NeverWaiting
from monai_app.lib.security.refusal import Refusal
from monai_app.lib.security.settings import SettingsError

log = logging.getLogger("xr2mri.security")

FIELDS = ("model", "seed", "job", "steps", "slices", "samples", "device")
"""What a handler may add."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PLAIN = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class AuditLog:
    """Writes the lines to a file that only its owner reads and that is rotated, or to stderr.

    Args:
        path: path of the file; None: standard error.
        max_mb: size at which it is rotated, MiB.
        keep: rotated files that are kept.

    Raises:
        SettingsError: the file cannot be written.
    """

    def __init__(self, path: Path | None = None, max_mb: int = 16, keep: int = 10) -> None:
        try:
            self._handler = (
                _PrivateFile(path, maxBytes=max_mb << 20, backupCount=keep, encoding="utf-8")
                if path
                else NeverWaiting(logging.StreamHandler(sys.stderr))
            )
        except OSError as error:
            raise SettingsError(f"audit_file '{path}': {error.strerror or error}") from None
        self.required, self.lost = path is not None, 0
        self._handler.handleError = self._failed  # type: ignore[method-assign]
        self._lock = threading.RLock()

    def ready(self) -> bool:
        """Whether requests may be served: lines can be written, or go to standard error anyway.

        After a failure, writing is tried again.
        """
        with self._lock:
            if self.lost:
                lost = self.lost
                self._emit({"time": _now(), "lost": lost})
                if self.lost == lost:  # it has been written
                    self.lost = 0
                else:
                    self.lost = lost
            return not (self.required and self.lost)

    def _emit(self, line: Mapping[str, object]) -> None:
        text = json.dumps(line)
        self._handler.handle(logging.LogRecord("audit", logging.INFO, "", 0, text, None, None))

    def _failed(self, record: logging.LogRecord) -> None:
        """A line could not be written; called by the handler, in its exception."""
        with self._lock:  # standard error fails in the thread that writes it
            if not self.lost:
                reason = str(sys.exc_info()[1]) or "nobody takes its lines"
                log.error("the audit log cannot be written (%s)", reason)
            self.lost += 1

    def write(
        self,
        *,
        request_id: str,
        user: str | None,
        address: str | None,
        method: str,
        route: str | None,
        status: int | None,
        milliseconds: float,
        fields: Mapping[str, object] | None = None,
    ) -> None:
        """Write the line of one request; ``status`` None: the client went before the reply."""
        line = {
            "time": _now(),
            "id": request_id,
            "user": user or "-",
            "address": address or "-",
            "method": method if method in _METHODS else "-",
            "route": route or "-",
            "status": status or 499,
            "ms": round(milliseconds),
            **_plain(fields or {}),
        }
        with self._lock:
            self._emit(line)

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._handler.close()


class Audited:
    """Names each request, and writes its line once it has ended.

    Args:
        app: the application behind.
        audit: the log.
    """

    def __init__(self, app: ASGIApp, audit: AuditLog) -> None:
        self.app, self.audit = app, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), None
        scope["xr2mri.request_id"], scope["xr2mri.audit"] = uuid4().hex[:16], {}

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = scope.get("xr2mri.route")
            self.audit.write(
                request_id=scope["xr2mri.request_id"],
                user=scope.get("xr2mri.user"),
                address=address_of(scope),
                method=scope["method"],
                route=route.path if route else None,
                status=status,
                milliseconds=(time.perf_counter() - started) * 1000,
                fields=scope["xr2mri.audit"],
            )


class WhileAudited:
    """Lets requests through while lines can be written, and those for ``/health`` always.

    Args:
        app: the application behind.
        audit: the log.
    """

    def __init__(self, app: ASGIApp, audit: AuditLog) -> None:
        self.app, self.audit = app, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["xr2mri.route"].path != "/health" and not self.audit.ready():
            raise Refusal(507, "the audit log cannot be written: tell the administrator")
        await self.app(scope, receive, send)


class _WholeLines(FileIO):
    """A file to which lines are appended whole or not at all."""

    def write(self, line: Any) -> int:
        content, size = line.encode(), os.fstat(self.fileno()).st_size
        written = 0
        try:
            while written < len(content):  # a disk that fills up takes a part, and then fails
                written += os.write(self.fileno(), content[written:])
        except OSError:
            os.ftruncate(self.fileno(), size)
            raise
        return written


class _PrivateFile(RotatingFileHandler):
    """A rotating file with mode 600."""

    def _open(self) -> Any:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        return _WholeLines(os.open(self.baseFilename, flags, 0o600), "a")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(fields: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value
        for name, value in fields.items()
        if name in FIELDS
        and (isinstance(value, int | float) or (isinstance(value, str) and _PLAIN.fullmatch(value)))
    }
