"""Which HTTP status a fault has. The detail is the error's own line: it says what to mend."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as PlainHTTPException
from starlette.responses import Response

from monai_app.lib.device_queue import QueueFull
from monai_app.lib.dicomweb import Unreachable
from monai_app.lib.json_text import Json
from monai_app.lib.quotas import QuotaFull
from monai_app.lib.reading_box import ClientGone, Crowded
from monai_app.lib.service import UnknownModel
from monai_app.lib.training import Busy
from monai_app.lib.uploads import NO_ROOM, TooMuch, UnknownSession
from xr2mri_core.errors import (
    Cancelled,
    InputError,
    OutputError,
    UndecodableError,
    WeightsError,
    XR2MRIError,
    shown,
)

log = logging.getLogger("xr2mri")


class NotFound(XR2MRIError):
    """What was named is not here."""


class NotAllowed(XR2MRIError):
    """Others may, this user may not."""


CLIENT_GONE = 499
"""Nobody reads it; the audit log does."""
_STATUS: tuple[tuple[type[XR2MRIError], int], ...] = (  # the first that fits
    (NotAllowed, 403),
    (UnknownModel, 404),
    (UnknownSession, 404),
    (NotFound, 404),
    (Busy, 409),
    (TooMuch, 413),
    (UndecodableError, 415),
    (InputError, 422),
    (Crowded, 429),
    (QueueFull, 429),
    (QuotaFull, 429),
    (ClientGone, CLIENT_GONE),
    (Cancelled, CLIENT_GONE),
    (Unreachable, 502),
    (WeightsError, 503),
    (OutputError, 507),
    (XR2MRIError, 500),
)
_WEIGHTS = "the weights of this model are missing or damaged; tell the administrator of the server"


def http_error(error: XR2MRIError) -> HTTPException:
    """What the reply to a fault says."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    headers = None
    if isinstance(error, Crowded | QueueFull | QuotaFull):
        headers = {"Retry-After": str(max(1, round(error.retry_after)))}
    detail = _WEIGHTS if status == 503 else str(error)  # what it says names files of the server
    return HTTPException(status, detail, headers)


def speak_plainly(app: FastAPI) -> None:
    """Answer every fault of an application's routes by one line, `{"detail": ...}`.

    Handlers raise this project's errors as they are. FastAPI's own reply to a request of the wrong
    form repeats what was sent, whether or not that can be written as JSON; ours names it.
    """

    async def ours(_: Request, error: XR2MRIError) -> Response:
        return _reply(http_error(error))

    async def theirs(_: Request, error: PlainHTTPException) -> Response:
        if isinstance(error.__cause__, OSError):  # while a form's file was put on the disk
            log.error("an upload could not be kept: %s", error.__cause__)
            return _reply(HTTPException(507, NO_ROOM))
        return _reply(error)

    async def malformed(_: Request, error: RequestValidationError) -> Response:
        return _reply(HTTPException(422, _sentence_of(error.errors())))

    app.add_exception_handler(XR2MRIError, ours)  # type: ignore[arg-type]
    app.add_exception_handler(PlainHTTPException, theirs)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, malformed)  # type: ignore[arg-type]


def _reply(error: PlainHTTPException) -> Response:
    return Json({"detail": error.detail}, error.status_code, error.headers)


def _sentence_of(faults: Any) -> str:
    """The first fault of a request as one line: where, with which value, and what is accepted."""
    first: Mapping[str, Any] = next(iter(faults), {})
    where = ".".join(str(part) for part in first.get("loc", ()) if part != "body")
    value = first.get("input")
    given = f" {shown(value)}" if isinstance(value, str | int | float | list) else ""
    return f"{where or 'the request'}{given}: {first.get('msg', 'is malformed')}"
