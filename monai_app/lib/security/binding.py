"""Where and how the server listens: this machine only, unless the command line says otherwise.

``xr2mri serve`` hands over how it listens (`hand_over`). ``monailabel start_server`` hands
over nothing, and listens on every interface when it is given no ``--host``. uvicorn binds its
socket after the application has started, and the app is loaded during that start: here the host can
still be changed. Where that cannot be done (another server than uvicorn, sockets opened before),
the guard refuses whatever comes in by another address than the loopback's.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from monai_app.lib.security.connections import BoundedConnection
from monai_app.lib.security.log_lines import bound_lines_of_uvicorn, write_in_a_thread
from monai_app.lib.security.settings import SecuritySettings, SettingsError
from xr2mri_core.server_command import one_process

LOOPBACK = "127.0.0.1"
_STOCK_DEFAULT = "0.0.0.0"

log = logging.getLogger("xr2mri.security")


def is_loopback(address: str | None) -> bool:
    """Whether an address is of this machine only; so are UNIX sockets, which have none."""
    if address is None or address == "localhost" or address.startswith("/"):
        return True
    try:
        parsed = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return parsed.is_loopback


@dataclass(frozen=True)
class Start:
    """A server that is starting.

    Attributes:
        config: uvicorn's; None where it is not known.
        host: host that somebody chose; None where `config.host` is the starting command's own
            default.
    """

    config: uvicorn.Config | None
    host: str | None


def hand_over(app: FastAPI, config: uvicorn.Config) -> None:
    """Tell an application which server starts it; its host was chosen."""
    app.state.start = Start(config, config.host)


def start_of(app: FastAPI) -> Start:
    """The server that is starting an application: handed over, or else found on the stack."""
    handed: Start | None = getattr(app.state, "start", None)
    return handed or Start(_config_on_the_stack(), explicit_host(sys.argv[1:]))


def bind(settings: SecuritySettings, start: Start) -> str:
    """Make the starting server listen where it should, within bounds, without ``Server`` header.

    Args:
        settings: settings that allow or forbid to serve others.
        start: see `start_of`.

    Returns:
        The address that the server may be reached by.

    Raises:
        SettingsError: others could use the server without a login, and nobody said that they may;
            or several processes are asked for.
    """
    config, host = start.config, start.host
    if config is not None:
        if config.workers > 1:  # their common socket is open by now, at uvicorn's own default
            raise SettingsError(one_process(config.workers))
        config.timeout_graceful_shutdown = settings.grace_seconds
        tls, config.ssl = getattr(config, "ssl", None), None  # not asyncio's: see `_secure` there
        config.http_protocol_class = BoundedConnection.within(settings, tls)
        config.ws_protocol_class = None  # no other protocol, which nothing here would bound
        bound_lines_of_uvicorn(tls is not None)
        write_in_a_thread()
        if host is None and config.host == _STOCK_DEFAULT:
            config.host = LOOPBACK
            log.info("listening on this machine only; others are served with --host ADDRESS")
        host = LOOPBACK if config.uds else config.host
        config.encoded_headers = [
            header for header in config.encoded_headers if header[0] != b"server"
        ]
    host = LOOPBACK if host is None else host
    check_exposure(settings, host)
    return host


def check_exposure(settings: SecuritySettings, host: str) -> None:
    """Refuse to serve others without a login.

    Raises:
        SettingsError: as `bind`.
    """
    if settings.authentication or settings.allow_anonymous_remote:
        return
    reason = f"--host {host}" if not is_loopback(host) else ""
    reason = reason or ("public_host or allowed_hosts" if settings.hosts else "")
    if reason:
        raise SettingsError(
            f"{reason}: others could use this server without a login; add users (python -m "
            "monai_app.lib.security.users add NAME, then --conf users_file FILE), or say that this "
            "is meant: --conf allow_anonymous_remote yes"
        )


def explicit_host(arguments: Sequence[str]) -> str | None:
    """The ``--host`` of a command line; None if it has none."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("-i", "--host")
    try:
        return parser.parse_known_args(list(arguments))[0].host
    except (argparse.ArgumentError, SystemExit):
        return None


def _config_on_the_stack() -> uvicorn.Config | None:
    """The configuration of the uvicorn whose start has led to this call."""
    frame = sys._getframe()
    while frame is not None:
        config = getattr(frame.f_locals.get("self"), "config", None)
        if isinstance(config, uvicorn.Config):
            return config
        frame = frame.f_back  # type: ignore[assignment]
    return None
