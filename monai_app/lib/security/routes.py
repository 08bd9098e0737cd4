"""The allow-list of the guard: each route declares who may use it, and what does not is not served.

    @router.get("/info/")
    @allowed(Role.USER)
    async def info(): ...

Path, method and parameters are those of the route itself. What declares nothing does not exist for
a client.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from monai_app.lib.security.refusal import Refusal
from xr2mri_core.errors import shown

LONGEST_ID = 128
_CHARACTER = r"(?:[A-Za-z0-9_-]|\.(?!\.))"
_ID = rf"(?!\.){_CHARACTER}{{1,{LONGEST_ID}}}"
ID = re.compile(_ID)
"""Ids and all other parameters of a URL: letters, digits, ``.``, ``_``, ``-``; no leading dot, no
``..``. Nothing that could be a path."""
IMAGE_PARAMETER = re.compile(_ID.replace("A-Za-z0-9_", r"\w"))
"""The query parameter ``image`` alone: ids of images are names of files, so that the letters may be
of any script. What is looked up among the studies is `monai_app.lib.sources.IMAGE_ID`."""
_ID_RULE = f"letters, digits, '.', '_' and '-' are accepted, no leading '.', no '..', {LONGEST_ID}"


class Role(IntEnum):
    """What a user may do; each role may do all that those before it may."""

    NOBODY = 0
    """Everyone, without a login."""
    USER = 1
    """Generates volumes."""
    ADMIN = 2
    """Trains, too; sees where everybody's jobs stand, and may end them, but gets no result."""


@dataclass(frozen=True)
class Allowed:
    """What a route declares of itself.

    Args:
        role: least role that it needs.
        upload: whether the body may be a file (``max_upload_mb``); if not, it is small.
        docs: whether it describes the API (setting ``docs``).
    """

    role: Role
    upload: bool = False
    docs: bool = False


Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
_DECLARED = "xr2mri_allowed"


def allowed(role: Role, upload: bool = False, docs: bool = False) -> Callable[[Endpoint], Endpoint]:
    """Declare who may use a route; stands right above its function. See `Allowed`."""

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _DECLARED, Allowed(role, upload, docs))
        return endpoint

    return declare


@dataclass(frozen=True)
class Route:
    """One method of one path.

    Args:
        method: HTTP method.
        path: the pattern; ``{name}`` stands for an id.
        role: least role that it needs.
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
            accepted_id = IMAGE_PARAMETER if name == "image" else ID
            if value and not accepted_id.fullmatch(value):
                raise Refusal(422, f"query parameter {shown(name)}: {_ID_RULE} characters at most")
            seen.add(name)


def _query_of(dependant: Dependant) -> Iterator[str]:
    """Names of the query parameters of a route, with those of what it depends on."""
    yield from (field.alias for field in dependant.query_params)
    for other in dependant.dependencies:
        yield from _query_of(other)


class Served:
    """Everything that is served.

    Args:
        routes: routes of the application.
    """

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self.routes = tuple(routes)

    @classmethod
    def by(cls, *parts: FastAPI | APIRouter) -> Served:
        """The routes of applications or routers that declare who may use them."""
        return cls(
            Route(
                method,
                route.path,
                declared.role,
                tuple(_query_of(route.dependant)),
                declared.upload,
                declared.docs,
            )
            for part in parts
            for route in part.routes
            if isinstance(route, APIRoute)
            and (declared := getattr(route.endpoint, _DECLARED, None)) is not None
            for method in sorted(route.methods or ())
        )

    def methods_of(self, path: str) -> dict[str, Route]:
        """The routes of a path by their method; empty for a path that is not served."""
        return {route.method: route for route in self.routes if route.matches(path)}

    def only(self, schema: dict[str, Any]) -> dict[str, Any]:
        """An OpenAPI schema without the operations that no client can reach; with ``x-role``."""
        roles = {(r.method.lower(), r.path): r.role.name.lower() for r in self.routes}
        paths = {
            path: {
                method: {**operation, "x-role": roles[method, path]}
                for method, operation in item.items()
                if (method, path) in roles
            }
            for path, item in schema.get("paths", {}).items()
        }
        return {**schema, "paths": {path: item for path, item in paths.items() if item}}
