"""The allow-list: every route that the app serves, who may use it, and with which parameters.

What is not in `ROUTES` does not exist for a client, whatever MONAI Label mounts. Left out on
purpose, with the reason:

- ``POST /reload``: runs what lies in the app folder, with no login;
- ``/logs/``: show the requests of everyone, and paths of the server;
- ``PUT|DELETE /datastore/``, ``PUT|DELETE /datastore/image``: write and delete files, paths too;
- ``/datastore/label``, ``.../info``, ``/datastore/updatelabelinfo``: this app has no labels; tags
  are paths in the stock server;
- ``GET /datastore/dataset``: all patients in one archive;
- ``POST /train/``: trains whatever there is; training is started by the name of the model;
- ``/model/``: downloads and replaces weights; new ones come from training, on the server;
- ``/infer/wsi/``, ``/infer/wsi_v2/``: whole-slide pathology, with a path as image;
- ``/batch/``, ``/scoring/``, ``/activelearning/``: have no meaning for generation;
- ``/proxy/``: lets a client speak to the DICOM server with this server's credentials;
- ``/ohif/``, ``/static/``, ``/favicon.ico``: files of a viewer that is not used;
- every WebSocket.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from urllib.parse import parse_qsl

from monai_app.lib.security.refusal import Refusal
from xr2mri_core.errors import shown

LONGEST_ID = 128
_CHARACTER = r"(?:[A-Za-z0-9_-]|\.(?!\.))"
_ID = rf"(?!\.){_CHARACTER}{{1,{LONGEST_ID}}}"
ID = re.compile(_ID)
"""Ids and all other parameters of a URL: letters, digits, ``.``, ``_``, ``-``; no leading dot, no
``..``. Nothing that could be a path."""
IMAGE_ID = re.compile(_ID.replace("A-Za-z0-9_", r"\w"))
"""Ids of images are names of files, so that the letters may be of any script."""
_ID_RULE = f"letters, digits, '.', '_' and '-' are accepted, no leading '.', no '..', {LONGEST_ID}"


class Role(IntEnum):
    """Who may; each role may what the ones before it may."""

    NOBODY = 0
    """Everyone, without a login."""
    USER = 1
    """Generates volumes."""
    ADMIN = 2
    """Trains, too; sees where everybody's jobs stand, and may end them, but gets no result."""


@dataclass(frozen=True)
class Route:
    """One method of one path.

    Args:
        method: of HTTP.
        path: the pattern; ``{name}`` stands for an id.
        role: that it needs.
        query: names of the accepted query parameters; their values are ids, or empty.
        upload: whether the body may be a file (``max_upload_mb``); if not, it is small.
        docs: whether it describes the API (setting ``docs``).
    """

    method: str
    path: str
    role: Role
    query: tuple[str, ...] = ()
    upload: bool = False
    docs: bool = False
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pattern = re.sub(r"\\\{\w+\\\}", lambda _: _ID, re.escape(self.path))
        object.__setattr__(self, "_pattern", re.compile(pattern))

    def matches(self, path: str) -> bool:
        """Whether a decoded path is this route's."""
        return self._pattern.fullmatch(path) is not None

    def check_query(self, query: bytes) -> None:
        """Refuse (422) a query string that is not made of this route's parameters."""
        try:
            pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
        except ValueError:
            raise Refusal(422, "the query is not percent-encoded UTF-8") from None
        seen = set()
        for name, value in pairs:
            if name not in self.query:
                accepted = ", ".join(self.query) or "none"
                raise Refusal(422, f"query parameter {shown(name)}: accepted are {accepted}")
            if name in seen:
                raise Refusal(422, f"query parameter {shown(name)} is given more than once")
            accepted_id = IMAGE_ID if name == "image" else ID
            if value and not accepted_id.fullmatch(value):
                raise Refusal(422, f"query parameter {shown(name)}: {_ID_RULE} characters at most")
            seen.add(name)


_IMAGE = ("image", "session_id")

ROUTES: tuple[Route, ...] = (
    Route("GET", "/health", Role.NOBODY, ("nonce",)),
    Route("GET", "/auth/", Role.NOBODY),
    Route("POST", "/auth/token", Role.NOBODY),
    Route("GET", "/auth/token/valid", Role.USER),
    Route("GET", "/info/", Role.USER),
    Route("POST", "/infer/{model}", Role.USER, (*_IMAGE, "output"), upload=True),
    Route("POST", "/locate/{model}", Role.USER, _IMAGE, upload=True),
    Route("POST", "/jobs/infer/{model}", Role.USER, _IMAGE, upload=True),
    Route("GET", "/jobs", Role.USER),
    Route("GET", "/jobs/{id}", Role.USER),
    Route("DELETE", "/jobs/{id}", Role.USER),
    Route("GET", "/jobs/{id}/record", Role.USER),
    Route("GET", "/jobs/{id}/result", Role.USER, ("kind", "form")),
    Route("GET", "/jobs/{id}/volume", Role.USER, ("form",)),
    Route("PUT", "/session/", Role.USER, ("expiry", "client_id"), upload=True),
    Route("GET", "/session/{id}", Role.USER),
    Route("DELETE", "/session/{id}", Role.USER),
    Route("GET", "/datastore/", Role.USER, ("output",)),
    Route("GET", "/datastore/image", Role.USER, ("image",)),
    Route("GET", "/train/", Role.ADMIN, ("check_if_running",)),
    Route("POST", "/train/{model}", Role.ADMIN),
    Route("DELETE", "/train/", Role.ADMIN),
    Route("GET", "/", Role.USER, docs=True),
    Route("GET", "/docs", Role.USER, docs=True),
    Route("GET", "/openapi.json", Role.USER, docs=True),
)
"""Everything that is served."""


def methods_of(path: str) -> dict[str, Route]:
    """The routes of a path by their method; empty for a path that is not served."""
    return {route.method: route for route in ROUTES if route.matches(path)}


def served_only(schema: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI schema without the operations that no client can reach."""
    served = {(route.method.lower(), _nameless(route.path)) for route in ROUTES}
    paths = {
        path: {
            method: operation
            for method, operation in item.items()
            if (method, _nameless(path)) in served
        }
        for path, item in schema.get("paths", {}).items()
    }
    return {**schema, "paths": {path: item for path, item in paths.items() if item}}


def _nameless(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)
