"""The page that describes the API, made of the OpenAPI schema: without scripts, from nobody else.

The pages that FastAPI and MONAI Label come with load scripts of other hosts, in whatever version
these hold today, into a page that may ask for everything that its reader may.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from monai_app.lib.json_text import Json
from monai_app.lib.security.routes import Role, allowed

_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "h2{font:bold 1em monospace;margin:2em 0 0;border-top:1px solid #ccc;padding-top:1em}"
    "td{vertical-align:top;padding:0 1em 0 0}td:first-child{font-family:monospace}"
)
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'"
"""Content-Security-Policy of the page."""


def description_router(schema: Callable[[], Mapping[str, Any]]) -> APIRouter:
    """``/``, ``/docs`` and ``/openapi.json``.

    Args:
        schema: returns the OpenAPI schema of what is served.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    @router.get("/docs")
    @allowed(Role.USER, docs=True)
    async def described() -> HTMLResponse:
        return HTMLResponse(page(schema()))

    @router.get("/openapi.json")
    @allowed(Role.USER, docs=True)
    async def raw() -> Json:
        return Json(schema())

    return router


def page(schema: Mapping[str, Any]) -> str:
    """The routes of an OpenAPI schema as HTML."""
    title = escape(str(schema.get("info", {}).get("title", "API")))
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>",
        f"<style>{_STYLE}</style><h1>{title}</h1>",
        "<p>The same for programs: <a href=openapi.json>openapi.json</a>",
    ]
    for path, item in schema.get("paths", {}).items():
        for method, operation in item.items():
            parts.append(_operation(schema, method.upper(), path, operation))
    return "\n".join(parts)


def _operation(
    schema: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]
) -> str:
    rows = [
        (each["name"], f"{each['in']}: {_described(each)}")
        for each in operation.get("parameters", ())
    ]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        body = _resolved(schema, content.get("schema", {}))
        rows += [(name, f"{kind}: {_described(each)}") for name, each in body["properties"].items()]
    table = "".join(f"<tr><td>{escape(name)}<td>{escape(text)}" for name, text in rows)
    return (
        f"<h2>{method} {escape(path)}</h2><p>{escape(operation.get('summary', ''))}"
        f" (role: {operation.get('x-role', 'nobody')})<p>{escape(operation.get('description', ''))}"
        f"<table>{table}</table>"
    )


def _resolved(schema: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """A schema, that it refers to looked up; with ``properties`` in any case."""
    name = str(inner.get("$ref", "")).rpartition("/")[2]
    found = schema.get("components", {}).get("schemas", {}).get(name, inner)
    return {"properties": {}, **found}


def _described(described: Mapping[str, Any]) -> str:
    kind = described.get("schema", described).get("type", "")
    return " ".join(filter(None, (kind, described.get("description", ""))))
