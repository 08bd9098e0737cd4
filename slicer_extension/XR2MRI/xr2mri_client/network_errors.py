"""What an exception of the network means: names, proxies, time limits, TLS, broken answers."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from .authorities import bundle_of_environment
from .errors import (
    BadAddress,
    BadReply,
    TlsProblem,
    Unreachable,
    WrongServer,
    XR2MRIClientError,
)
from .texts import tr as _

_GARBAGE = (http.client.BadStatusLine, http.client.LineTooLong, http.client.UnknownProtocol)


def meaning_of(
    error: Exception, url: str, ca_file: str | None, seconds: float
) -> XR2MRIClientError:
    """The error that an exception of `requests`, or of what it uses, means.

    Args:
        error: the exception; one that means nothing here is raised again.
        url: address of the server.
        ca_file: certificates that are trusted beside the usual ones.
        seconds: seconds during which an answer was awaited.
    """
    from requests import exceptions

    causes = list(_causes(error))
    if "find a suitable TLS CA certificate bundle" in str(error):  # a plain OSError of requests'
        return _no_certificate(ca_file)
    if isinstance(error, exceptions.SSLError):
        return _tls_problem(" ".join(map(str, causes)), url, ca_file)
    cut = (exceptions.ChunkedEncodingError, exceptions.ContentDecodingError)
    found = _too_slow_or_kept_away(error, causes, url, seconds)
    if found is None and (isinstance(error, cut) or _any(causes, http.client.IncompleteRead)):
        return cut_off()
    return found or _not_reached(error, causes, url)


def _any(causes: list[BaseException], *kinds: Any) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _too_slow_or_kept_away(
    error: Exception, causes: list[BaseException], url: str, seconds: float
) -> XR2MRIClientError | None:
    from requests import exceptions

    if isinstance(error, exceptions.ProxyError):
        return Unreachable(
            _("The proxy between here and {url} does not let us through.").format(url=url),
            _("Check the proxy settings of this machine (HTTPS_PROXY, NO_PROXY)."),
        )
    if isinstance(error, exceptions.ConnectTimeout):
        return Unreachable(_("{url} does not answer.").format(url=url))
    if isinstance(error, exceptions.ReadTimeout) or _any(causes, socket.timeout, TimeoutError):
        return Unreachable(
            _("{url} takes longer than {n:.0f} s to answer.").format(n=seconds, url=url),
            _("It may be overloaded: try again later."),
        )
    return None


def _not_reached(error: Exception, causes: list[BaseException], url: str) -> XR2MRIClientError:
    """What keeps an answer from coming, as far as it is no matter of time."""
    from requests import exceptions

    if isinstance(error, (exceptions.InvalidURL, exceptions.InvalidSchema, UnicodeError)):
        return BadAddress(_("{url} is not an address.").format(url=url))
    if _any(causes, socket.gaierror) or "NameResolution" in repr(causes):
        return Unreachable(
            _("No machine is called {host}.").format(host=urlsplit(url).hostname),
            _("Check the address, and whether this machine is on the network."),
        )
    if _any(causes, ConnectionRefusedError):
        return Unreachable(
            _("Nothing answers at {url}.").format(url=url),
            _("Start the server there, or check host and port."),
        )
    if any(isinstance(c, _GARBAGE) and not isinstance(c, OSError) for c in causes):
        if url.startswith("http:") and "\\x15\\x03" in repr(causes):
            return needs_https(url)  # the alert of a TLS server
        return WrongServer(_("{url} does not speak HTTP.").format(url=url))
    if isinstance(error, exceptions.RequestException):
        return Unreachable(
            _("The connection to {url} broke.").format(url=url),
            _("Try again; if it stays so, check address, network and size of the file."),
        )
    if isinstance(error, OSError):
        return Unreachable(f"{url}: {error}")
    raise error


def _tls_problem(text: str, url: str, ca_file: str | None) -> TlsProblem:
    said = text.lower()
    if "wrong_version_number" in said or "wrong version number" in said:
        plain = url.replace("https:", "http:", 1)
        return TlsProblem(
            _("{url} does not speak TLS.").format(url=url),
            _("Write {url} if you trust the network in between.").format(url=plain),
        )
    if "record_layer_failure" in said or "unexpected_eof" in said:
        return TlsProblem(_("{url} breaks off the TLS handshake.").format(url=url))
    if "expired" in said:
        reason = _("The certificate of {url} has expired.")
        return TlsProblem(
            reason.format(url=url), _("Tell the administrator; check this machine's date.")
        )
    if "hostname mismatch" in said or "doesn't match" in said or "ip address mismatch" in said:
        reason = _("The certificate of {url} is for another name.")
        return TlsProblem(
            reason.format(url=url), _("Use the name that the certificate is made out to.")
        )
    if "no_certificate_or_crl" in said or "no certificate or crl" in said:
        return _no_certificate(ca_file)
    if "certificate" in said:
        return TlsProblem(_("The certificate of {url} is not trusted.").format(url=url))
    return TlsProblem(_("No secure connection to {url}.").format(url=url))


def _no_certificate(ca_file: str | None) -> TlsProblem:
    from requests.certs import where

    message = _("There is no certificate in {x}.")
    bundle = bundle_of_environment()
    if ca_file or not bundle:
        return TlsProblem(message.format(x=ca_file or where()))
    return TlsProblem(
        message.format(x=bundle),
        _("REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names it, a setting of this machine: mend it."),
    )


def needs_https(url: str) -> TlsProblem:
    """The error for a server that is asked without TLS and speaks nothing else."""
    secure = url.replace("http:", "https:", 1)
    return TlsProblem(
        _("{url} speaks TLS only.").format(url=url),
        _("Write {url}.").format(url=secure),
    )


def cut_off() -> BadReply:
    """The error for an answer that was cut off."""
    return BadReply(_("The server's answer was cut off."), passing=True)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that it came from, by any of the ways in which urllib3 tells it."""
    seen: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        found = waiting.pop()
        if not isinstance(found, BaseException) or any(found is other for other in seen):
            continue
        seen.append(found)
        yield found
        waiting += [found.__cause__, found.__context__, getattr(found, "reason", None), *found.args]
