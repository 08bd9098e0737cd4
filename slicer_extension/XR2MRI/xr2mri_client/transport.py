"""One HTTP connection to one server: everything that goes over the wire passes here.

Requests go to this address only (no redirects), with time limits; replies are read up to a bound
and must be whole. Whatever goes wrong becomes one of `errors`.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .address import is_local, normalise
from .errors import (
    BadReply,
    Busy,
    LoginNeeded,
    Refused,
    ServerFault,
    TlsProblem,
    UserCancelled,
    WrongServer,
    XR2MRIClientError,
    one_line,
)
from .multipart import PIECE
from .network_errors import cut_off, meaning_of, needs_https
from .texts import tr as _

MOST_JSON = 8 << 20


class Login:
    """The bearer token of a user. It lives in memory only; no text shows it."""

    def __init__(self) -> None:
        self.token = ""

    def __call__(self, request: Any) -> Any:
        """Sign a request, as `requests` asks its `auth` to. Always set, so that a password of
        this address in the user's `.netrc` is not sent instead."""
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request


@dataclass(frozen=True)
class Reply:
    """A whole answer. Its content is as it was read: a copy of a large one would hold Python, and
    with it the GUI, up."""

    status: int
    headers: Mapping[str, str]
    content: bytearray

    def json(self) -> Any:
        """The content as JSON; raises BadReply."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            raise BadReply(_("The server's answer is not JSON.")) from None

    @property
    def fields(self) -> dict[str, Any]:
        """The content where it is a JSON object, else nothing."""
        try:
            fields = json.loads(self.content)
        except (ValueError, RecursionError):
            return {}
        return fields if isinstance(fields, dict) else {}

    @property
    def detail(self) -> str:
        """What the server says about a refusal; empty where it says nothing a user can read."""
        detail = self.fields.get("detail", "")
        return one_line(detail if isinstance(detail, str) else json.dumps(detail))


class Transport:
    """Requests to one server.

    Args:
        url: address in any form that people type.
        ca_file: certificates of authorities to trust beside the usual ones, PEM.
        timeout: seconds to wait for the connection, and for each piece of an answer.
        login: login whose token is sent; shared between transports to the same server.
        cancelled: asked between requests and while data flows.

    Raises:
        BadAddress, TlsProblem: address or CA file cannot be used.
    """

    def __init__(
        self,
        url: str,
        ca_file: str | None = None,
        timeout: tuple[float, float] = (5.0, 30.0),
        login: Login | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self.url, self.ca_file, self.timeout = normalise(url), ca_file, timeout
        self.login, self.cancelled = login or Login(), cancelled or (lambda: False)
        if ca_file and not os.path.isfile(ca_file):
            raise TlsProblem(_("There is no CA file {x}.").format(x=ca_file))
        self._session: Any = None

    def check(self) -> None:
        """Raise UserCancelled if the user has cancelled."""
        if self.cancelled():
            raise UserCancelled

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._session is not None:
            self._session.close()

    @property
    def session(self) -> Any:
        """The `requests.Session`, made by the thread that asks first: the import takes a while."""
        if self._session is None:
            import requests  # Slicer bundles it

            _quieten()
            session = requests.Session()
            session.trust_env = not is_local(self.url)  # no proxy between two programs here
            if self.ca_file:
                from . import authorities

                session.mount("https://", authorities.adapter(session.trust_env))
            session.auth = self.login
            session.headers.update({"Accept-Encoding": "identity", "User-Agent": "XR2MRI-Slicer"})
            self._session = session
        return self._session

    def request(
        self,
        method: str,
        path: str,
        accept: tuple[int, ...] = (200,),
        most: int = MOST_JSON,
        seconds: float | None = None,
        stoppable: bool = True,
        **more: Any,
    ) -> Reply:
        """Ask once, and wait for the whole answer.

        Args:
            method, path: HTTP method, and path that begins with a slash.
            accept: what is not an error.
            most: bytes of the answer.
            seconds: longest time to wait for the answer to begin; the transport's own when left
                out.
            stoppable: whether cancelling ends it; what must be heard to the end is not.
            more: more arguments for `requests`: `params`, `data`, `headers`.

        Raises:
            UserCancelled: the user has cancelled.
            Unreachable, TlsProblem, WrongServer, BadReply: no answer, or none of HTTP.
            LoginNeeded, Busy, Refused, ServerFault: an answer with another status.
        """
        if stoppable:
            self.check()
        timeout = (self.timeout[0], seconds or self.timeout[1])
        try:
            with (
                _asking,
                self.session.request(
                    method,
                    self.url + path,
                    timeout=timeout,
                    verify=self.ca_file or True,
                    allow_redirects=False,
                    stream=True,
                    **more,
                ) as response,
            ):
                content = self._read(response, most, stoppable)
        except XR2MRIClientError:
            raise
        except Exception as error:
            raise meaning_of(error, self.url, self.ca_file, timeout[1]) from error
        reply = Reply(response.status_code, response.headers, content)
        if reply.status not in accept:
            raise self._fault(reply)
        return reply

    def _read(self, response: Any, most: int, stoppable: bool) -> bytearray:
        length = response.headers.get("Content-Length", "")
        announced = int(length) if length.isdigit() else None
        too_long = BadReply(_("The server's answer is too long."))
        if announced is not None and announced > most:
            raise too_long
        content = bytearray()
        for piece in response.iter_content(PIECE):
            content += piece
            if len(content) > most:
                raise too_long
            if stoppable:
                self.check()
        plain = "Content-Encoding" not in response.headers
        if plain and announced is not None and len(content) < announced:
            raise cut_off()
        return content

    def _fault(self, reply: Reply) -> XR2MRIClientError:
        """The error that an unaccepted status means."""
        status, detail = reply.status, reply.detail
        if status == 401:
            expired = _("Your login has expired, or is of another server.")
            return LoginNeeded(expired if self.login.token else _("The server asks for a login."))
        if status == 429 or (status == 503 and "Retry-After" in reply.headers):
            message = detail or _("The server takes no more at the moment.")
            return Busy(_sentence(message), _seconds(reply.headers.get("Retry-After", "")))
        if 300 <= status < 400:
            target = urlsplit(reply.headers.get("Location", ""))
            where = f"{target.scheme}://{target.netloc}" if target.netloc else target.path or "?"
            return WrongServer(
                _("{url} sends on to {where}.").format(url=self.url, where=one_line(where, 100)),
                _("If that is the server, enter it as the address."),
            )
        if status == 400 and b"HTTP request was sent to HTTPS port" in reply.content:
            return needs_https(self.url)
        if 400 <= status < 500:
            message = detail or _plain_words(status)
            return Refused(_sentence(message), status)
        if status >= 500:
            known = reply.fields.get("request_id") or reply.headers.get("X-Request-ID", "")
            message = _sentence(detail or _plain_words(status))
            # a proxy's own page while the server restarts, or the server's word?
            passing = status in (502, 503, 504) and not detail
            return ServerFault(message, status, str(known), passing)
        return BadReply(_("The server answers with status {n}.").format(n=status))


class _Asking(threading.local):
    """Whether a request of this module is under way in a thread."""

    now = False

    def __enter__(self) -> None:
        self.now = True

    def __exit__(self, *_error: Any) -> None:
        self.now = False


_asking = _Asking()


def _of_others(line: logging.LogRecord) -> bool:
    """Whether a line of urllib3 is to be logged: not what it says of every request of ours."""
    return line.levelno > logging.INFO or not _asking.now


def _quieten() -> None:
    """Keep two lines a poll out of Slicer's application log, which takes everything from DEBUG on;
    what other modules ask for is logged as before."""
    for name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
        logger = logging.getLogger(name)
        for known in list(logger.filters):
            if getattr(known, "__name__", "") == _of_others.__name__:
                logger.removeFilter(known)  # of this module before it was loaded again
        logger.addFilter(_of_others)


def _sentence(text: str) -> str:
    """A detail of the server as a sentence."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _seconds(retry_after: str) -> float:
    """Seconds of a `Retry-After` header; 10 where it is empty, or a date."""
    return float(min(int(retry_after), 86400)) if retry_after.isdigit() else 10.0


def _plain_words(status: int) -> str:
    """The meaning of a status, for a server or proxy that says no more."""
    words = {
        403: _("The server does not allow this"),
        404: _("The server does not know this"),
        413: _("The radiograph is larger than the server takes"),
        502: _("The server behind the proxy does not answer"),
        503: _("The server is not available"),
        504: _("The server behind the proxy takes too long"),
    }
    return words.get(status) or _("The server answers with status {n}").format(n=status)
