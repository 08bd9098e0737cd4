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
    typed = text.strip().strip("\"'<>").strip()
    if not typed:
        raise BadAddress(_("The address of the server is empty."))
    if not typed.isprintable() or " " in typed:
        raise BadAddress(_("{x} is not an address.").format(x=one_line(typed, 80)))
    if typed.count(":") >= 2 and "/" not in typed and "[" not in typed:
        typed = f"[{typed}]"  # a bare IPv6 address
    written = _SCHEME.fullmatch(typed)
    scheme, rest = (written["scheme"].lower(), written["rest"]) if written else ("", typed)
    rest = rest.lstrip("/")
    if scheme not in ("", "http", "https"):
        raise BadAddress(_("An address cannot start with {x}://.").format(x=one_line(scheme, 20)))
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadAddress(_("{x} is not an address.").format(x=one_line(typed, 80))) from None
    if parts.username is not None or parts.password is not None:
        raise BadAddress(
            _("A name or password does not belong into the address."),
            _("Leave it out; the server asks for a login where it needs one."),
        )
    if port == 0 or not (_is_ip(host) or _HOST.fullmatch(host)):
        raise BadAddress(_("{x} is not an address.").format(x=one_line(typed, 80)))
    if _is_ip(host) and ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1"  # what a server prints that listens everywhere
    scheme = scheme or ("http" if is_loopback(host) else "https")
    shown = f"[{host}]" if ":" in host else host
    default = port is None or (scheme, port) in (("http", 80), ("https", 443))
    path = re.sub(r"/{2,}", "/", parts.path).rstrip("/")
    return f"{scheme}://{shown}{'' if default else f':{port}'}{_PAGES.sub('', path)}"


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
