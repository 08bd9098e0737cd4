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
            it is there, is the usual one.
    """
    from requests.adapters import HTTPAdapter

    bundle = usual_bundle(environment)

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
            super().init_poolmanager(*arguments, **more, ssl_context=_trusting(bundle))

        def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
            return super().proxy_manager_for(proxy, **more, ssl_context=_trusting(bundle))

    return Adapter()


def usual_bundle(environment: bool) -> str:
    """The file or folder of the usual authorities; see `adapter`."""
    from requests import certs

    variables = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if environment else ()
    named = next((os.environ[name] for name in variables if os.environ.get(name)), "")
    return named if os.path.exists(named) else certs.where()


def _trusting(bundle: str) -> ssl.SSLContext:
    """A context of its own for each pool: urllib3 adds the authorities of the request to it."""
    if os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
