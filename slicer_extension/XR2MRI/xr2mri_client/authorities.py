"""Whom a secure connection trusts: the usual authorities, and those of a file beside them.

`requests` trusts those of a file in place of the usual ones.
"""

from __future__ import annotations

import os
import ssl
from typing import Any


def adapter(environment: bool) -> Any:
    """An adapter for a `requests.Session` that trusts the usual authorities, whatever file of
    others a request names.

    Args:
        environment: whether the bundle that `REQUESTS_CA_BUNDLE` or `CURL_CA_BUNDLE` names, where
            it can be used, is the usual one.
    """
    from requests.adapters import HTTPAdapter

    bundle = bundle_of_environment() if environment else ""

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
            super().init_poolmanager(*arguments, **more, ssl_context=_trusting(bundle))

        def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
            return super().proxy_manager_for(proxy, **more, ssl_context=_trusting(bundle))

    return Adapter()


def bundle_of_environment() -> str:
    """The file or folder that takes the place of the usual authorities; empty where none does."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or ""


def _trusting(bundle: str) -> ssl.SSLContext:
    """A context of its own for each pool: urllib3 adds the authorities of the request to it."""
    from requests import certs

    if os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    try:
        return ssl.create_default_context(cafile=bundle or certs.where())
    except OSError:  # it is not there, or holds no certificate; those of the request may do
        return ssl.create_default_context(cafile=certs.where())
