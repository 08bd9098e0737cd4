"""The address of a server, as people type it, brought to one form."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from .errors import BadAddress, one_line
from .texts import tr as _

_PAGES = re.compile(r"(/(info|docs|redoc|health|openapi\.json|auth|jobs))+$")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):/+(?P<rest>.*)")
_HOST = re.compile(r"[\w-]+(\.[\w-]+)*\.?")


def normalise(text: str) -> str:
    """The base URL that a typed address means: `scheme://host[:port][/path]`.

    A missing scheme is http on this machine and https elsewhere: what is sent are patients'
    pictures. Trailing slashes, queries and the server's own pages (`/docs`) are cut off; another
    path is kept, for proxies that serve under one.

    Raises:
        BadAddress: naming what is wrong.
    """
    typed = _tidied(text)
    scheme, rest = _scheme_of(typed)
    host, port, path = _parts_of(rest, typed)
    if _is_ip(host) and ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1"  # what a server prints that listens everywhere
    scheme = scheme or ("http" if is_loopback(host) else "https")
    shown = f"[{host}]" if ":" in host else host
    default = port is None or (scheme, port) in (("http", 80), ("https", 443))
    path = re.sub(r"/{2,}", "/", path).rstrip("/")
    return f"{scheme}://{shown}{'' if default else f':{port}'}{_PAGES.sub('', path)}"


def _tidied(text: str) -> str:
    """What was typed, without what is pasted along; raises BadAddress."""
    typed = text.strip().strip("\"'<>").strip()
    if not typed:
        raise BadAddress(_("The address of the server is empty."))
    if not typed.isprintable() or " " in typed:
        raise _no_address(typed)
    if typed.count(":") >= 2 and "/" not in typed and "[" not in typed:
        return f"[{typed}]"  # a bare IPv6 address
    return typed


def _scheme_of(typed: str) -> tuple[str, str]:
    """Scheme, empty where there is none, and the rest; raises BadAddress."""
    written = _SCHEME.fullmatch(typed)
    scheme, rest = (written["scheme"].lower(), written["rest"]) if written else ("", typed)
    if scheme not in ("", "http", "https"):
        raise BadAddress(_("An address cannot start with {x}://.").format(x=one_line(scheme, 20)))
    return scheme, rest.lstrip("/")


def _parts_of(rest: str, typed: str) -> tuple[str, int | None, str]:
    """Host, port and path of what follows the scheme; raises BadAddress."""
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _no_address(typed) from None
    if parts.username is not None or parts.password is not None:
        raise BadAddress(
            _("A name or password does not belong into the address."),
            _("Leave it out; the server asks for a login where it needs one."),
        )
    if port == 0 or not (_is_ip(host) or _HOST.fullmatch(host)):
        raise _no_address(typed)
    return host, port, parts.path


def _no_address(typed: str) -> BadAddress:
    return BadAddress(_("{x} is not an address.").format(x=one_line(typed, 80)))


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if _is_ip(host):
        return ipaddress.ip_address(host).is_loopback
    return host.rstrip(".").lower() == "localhost"


def is_local(url: str) -> bool:
    """Whether a URL leads to this machine, so that nothing that is sent leaves it."""
    return is_loopback(urlsplit(url).hostname or "")


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
