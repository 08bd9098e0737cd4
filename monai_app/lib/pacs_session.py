"""The HTTP session with a PACS, which may keep nobody waiting and fill no memory."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from monai_app.lib.quotas import Claim
from monai_app.lib.uploads import TooMuch

_CONNECT, _SILENCE = 5.0, 60.0  # seconds, the second between two parts of an answer
_PIECE = 64 << 10
_LOOK = 0.2  # seconds between two looks whether a request is to stop


class _Asking(threading.local):
    """What this thread may ask of the PACS: latest time (monotonic seconds), most bytes of an
    answer, who is counted for these, and when to stop."""

    def __init__(self) -> None:
        self.end, self.most = math.inf, 0
        self.claim: Claim | None = None
        self.counts = False
        self.call: _Call | None = None
        self.stop: Callable[[], bool] = _never


def _never() -> bool:
    return False


_asking = _Asking()


class _Call:
    """A request under way, whose connection another thread shuts when its time is over, or it is
    asked to stop: one that trickles, in a header say, never times out by itself."""

    def __init__(self, end: float, stop: Callable[[], bool]) -> None:
        self._end, self._stop = end, stop
        self._over, self._done = False, threading.Event()
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> _Call:
        _asking.call = self
        threading.Thread(target=self._watch, name="xr2mri-pacs-watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        _asking.call = None
        self._done.set()

    def uses(self, connection: socket.socket) -> None:
        """Say which connection it has."""
        with self._lock:
            self._socket = connection
            over = self._over
        if over:
            raise requests.Timeout("the PACS took too long")

    def _watch(self) -> None:
        while not self._done.wait(max(0.01, min(_LOOK, self._end - time.monotonic()))):
            if time.monotonic() >= self._end or self._stop():
                with self._lock:
                    self._over, connection = True, self._socket
                if connection is not None and not self._done.is_set():
                    with suppress(
                        OSError, TypeError
                    ):  # below TLS, which would wait for the other side
                        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Findable:
    """A connection that the call of its thread knows."""

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self._tell()

    def putrequest(self, *arguments: Any, **options: Any) -> None:
        self._tell()
        super().putrequest(*arguments, **options)  # type: ignore[misc]

    def _tell(self) -> None:
        used = getattr(self, "sock", None)
        if used is not None and _asking.call is not None:
            _asking.call.uses(used)


class _Http(_Findable, HTTPConnection):
    pass


class _Https(_Findable, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _Adapter(HTTPAdapter):
    """Makes such connections, also to a proxy."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self._findable(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        return self._findable(super().proxy_manager_for(*arguments, **options))

    def _findable(self, manager: Any) -> Any:
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager


class PacsSession(requests.Session):
    """A session that never waits for ever, and takes no more bytes than it was allowed.

    An answer that is larger is not read to its end, one to somewhere else is not followed, and
    cookies are not kept: each answer could bring some megabytes more of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    @contextmanager
    def bounded(self, seconds: float, most_bytes: int) -> Iterator[None]:
        """What this thread asks for within must come in that time, each answer of that size."""
        _asking.end, _asking.most = time.monotonic() + seconds, most_bytes
        try:
            yield
        finally:
            _asking.end, _asking.most = math.inf, 0

    @contextmanager
    def asked_by(self, claim: Claim | None, stop: Callable[[], bool]) -> Iterator[None]:
        """For whom this thread asks within, and when it is to stop."""
        _asking.claim, _asking.stop = claim, stop
        try:
            yield
        finally:
            _asking.claim, _asking.stop = None, _never

    @contextmanager
    def counting(self) -> Iterator[None]:
        """What comes within is held for longer, and counted."""
        _asking.counts = True
        try:
            yield
        finally:
            _asking.counts = False

    def stopped(self) -> bool:
        """Whether who asks wants no answer any more."""
        return _asking.stop()

    def request(self, *args: Any, **options: Any) -> requests.Response:
        left = self._left()
        options |= {"stream": True, "allow_redirects": False}
        options["timeout"] = min(_CONNECT, left), min(_SILENCE, left)
        with (
            _Call(_asking.end, _asking.stop),
            super().request(*args, **options) as response,
        ):
            if response.is_redirect:
                raise requests.HTTPError(response=response)
            content = self._content_of(response)
            self._left()  # where no length is stated, what was cut off looks whole
            response._content = content  # as if `stream` had not been asked for
        return response

    def _content_of(self, response: requests.Response) -> bytes:
        content = bytearray()
        for piece in response.iter_content(_PIECE):
            if len(content) + len(piece) > _asking.most:
                raise TooMuch(
                    f"an answer of the PACS of more than {_asking.most >> 20} MB; "
                    "choose a radiograph"
                )
            if _asking.counts and _asking.claim is not None:
                _asking.claim.grow(len(piece))
            content += piece
        return bytes(content)

    def _left(self) -> float:
        left: float = _asking.end - time.monotonic()
        if left <= 0 or self.stopped():
            raise requests.Timeout("the PACS took too long")
        return left
