"""The audit log: one line of JSON a request, with who and what, never with whom.

    {"time": "2025-01-31T09:26:53.589Z", "id": "8c0f5e2a9b1d4c37", "user": "ada",
     "address": "10.1.2.3", "method": "POST", "route": "/jobs/infer/{model}", "status": 202,
     "ms": 41, "model": "knee_xr2mri", "seed": 7, "job": "..."}

The route is the pattern, not the path; there is no query, body, file name or form. A handler adds
to ``scope["xr2mri.audit"]``, and only `FIELDS` with short plain values get through.

A thread writes, so that a disk that hangs holds up nobody; a request is served once the lines of
all that ended before are written. While the file cannot be written (its disk is full, or hangs),
the guard serves nothing but `/health`; the lines of requests that were under way by then are
counted, and the first line afterwards says how many are lost. Where lines go to standard error,
nobody waits for who reads it.

Who has not logged in could push out all that the files tell of others: of such requests the first
`IN_FULL` of an address and minute have a line, the others are counted, and failures of the server
apart from the rest. What has started a generation always has one (``scope["xr2mri.generation"]``).
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import FileIO
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from monai_app.lib.security.asgi import ASGIApp, Message, Receive, Scope, Send, address_of
from monai_app.lib.security.auth import is_stranger
from monai_app.lib.security.log_lines import NeverWaiting
from monai_app.lib.security.refusal import Refusal
from monai_app.lib.security.settings import SettingsError
from monai_app.lib.security.throttle import network_of

log = logging.getLogger("xr2mri.security")

FIELDS = ("model", "seed", "job", "steps", "slices", "samples", "device", "study", "series")
"""Fields that a handler may add to its request's line."""
IN_FULL = 10
"""Lines of one address in a minute about requests without a login."""
_ADDRESSES = 64  # that are told apart in a minute
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PATIENCE_SECONDS = 2.0
"""How long a request waits for a disk that takes no line."""
_PLAIN = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class _Line(logging.LogRecord):
    """A line, and how many are lost when it cannot be written."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        super().__init__("audit", logging.INFO, "", 0, json.dumps(content), None, None)
        self.lost: int = content.get("lost", content.get("more", 1))


class _WithoutLogin:
    """The first requests without a login of each address and minute, and the number of the others.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self._minute = clock, 0.0
        self._asked: Counter[tuple[str, bool]] = Counter()

    def is_first(self, address: str | None, failed: bool) -> bool:
        """Count a request, which the server may have failed; False: it is not to be written."""
        kind = network_of(address or "-"), failed
        if kind not in self._asked and len(self._asked) >= _ADDRESSES:
            kind = "-", failed
        self._asked[kind] += 1
        return self._asked[kind] <= IN_FULL

    def told(self, now: bool = False) -> list[dict[str, Any]]:
        """Lines about a minute that is over, or with `now` about the one that is not."""
        minute = self.clock() // 60
        if minute == self._minute and not now:
            return []
        asked, self._minute, self._asked = self._asked, minute, Counter()
        return [
            {"time": _now(), "address": address, "more": count - IN_FULL}
            | ({"failed": True} if failed else {})
            for (address, failed), count in asked.items()
            if count > IN_FULL
        ]


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
            target: logging.Handler = (
                _PrivateFile(path, maxBytes=max_mb << 20, backupCount=keep, encoding="utf-8")
                if path
                else logging.StreamHandler(sys.stderr)
            )
        except OSError as error:
            raise SettingsError(
                f"audit_file '{path}': {error.strerror or error}; accepted is a file in a folder "
                "where the server may write"
            ) from None
        self._handler = NeverWaiting(target)
        self._handler.handleError = self._failed  # type: ignore[method-assign]
        self.required, self.lost = path is not None, 0
        self._told = False
        self._lock = threading.RLock()
        self._without_login = _WithoutLogin()

    async def ready(self) -> bool:
        """Whether requests may be served: all lines so far are in the file, or go to standard error
        anyway.

        After a failure, writing is tried again. A disk that takes no line, and does not fail
        either, is waited for once; after that the answer is no at once, until it goes on.
        """
        with self._lock:
            lost, self.lost = self.lost, 0
            if lost:
                self._emit({"time": _now(), "lost": lost})
        if not self.required:
            return True
        written = await self._handler.has_written(_PATIENCE_SECONDS) and not self.lost
        self._told = self._told and not written
        return written

    def _emit(self, line: Mapping[str, Any]) -> None:
        self._handler.handle(_Line(line))

    def _failed(self, record: logging.LogRecord) -> None:
        """A line could not be written; called in its exception, by the thread that writes or, where
        too many wait for that, by who has the line."""
        with self._lock:
            if not (self._told or self.lost):
                reason = str(sys.exc_info()[1]) or "nobody takes its lines"
                log.error("the audit log cannot be written (%s)", reason)
                self._told = self.required
            self.lost += record.lost if isinstance(record, _Line) else 1

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
        generation: bool = False,
    ) -> None:
        """Write the line of one request; ``status`` None: the client went before the reply;
        ``generation``: it has started one."""
        status = status or 499
        line = {
            "time": _now(),
            "id": request_id,
            "user": user or "-",
            "address": address or "-",
            "method": method if method in _METHODS else "-",
            "route": route or "-",
            "status": status,
            "ms": round(milliseconds),
            **_plain(fields or {}),
        }
        nobody = user is None or is_stranger(user)
        with self._lock:
            self._tell_counts()
            always = generation or not nobody
            if always or self._without_login.is_first(address, status >= 500):
                self._emit(line)

    def _tell_counts(self, now: bool = False) -> None:
        for line in self._without_login.told(now):
            self._emit(line)

    def close(self) -> None:
        """Write what waits, and close the file."""
        with self._lock:
            self._tell_counts(now=True)
        self._handler.close()
        if self.required and self._handler.idle:
            self._handler.target.close()


class Audited:
    """Names each request, and writes its line once it has ended.

    Args:
        app: the application behind.
        audit: the audit log.
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
                generation=scope.get("xr2mri.generation", False),
            )


class WhileAudited:
    """Lets requests through while lines can be written, and those for ``/health`` always.

    Args:
        app: the application behind.
        audit: the audit log.
    """

    def __init__(self, app: ASGIApp, audit: AuditLog) -> None:
        self.app, self.audit = app, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["xr2mri.route"].path != "/health" and not await self.audit.ready():
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
    """A rotating file with mode 600, which is made anew where another program has taken it away."""

    def _open(self) -> Any:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        return _WholeLines(os.open(self.baseFilename, flags, 0o600), "a")

    def emit(self, record: logging.LogRecord) -> None:
        """Append a line to the file of that name; called with the handler's lock."""
        try:
            if self.stream is not None and not _is_named(self.stream, self.baseFilename):
                self.stream.close()
                self.stream = None
        except OSError:
            self.handleError(record)
        else:
            super().emit(record)


def _is_named(file: IO[Any], name: str) -> bool:
    try:
        return os.path.samestat(os.stat(name), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(fields: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value
        for name, value in fields.items()
        if name in FIELDS
        and (isinstance(value, int | float) or (isinstance(value, str) and _PLAIN.fullmatch(value)))
    }
