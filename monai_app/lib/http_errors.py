"""Which HTTP status a fault has. The detail is the error's own line: it says what to mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException

from lib.device_queue import QueueFull
from lib.dicomweb import Unreachable
from lib.service import UnknownModel
from lib.training import Busy
from lib.uploads import TooMuch, UnknownSession
from xr2mri_core.errors import InputError, UndecodableError, WeightsError, XR2MRIError


class NotFound(XR2MRIError):
    """What was named is not here."""


_STATUS: tuple[tuple[type[XR2MRIError], int], ...] = (  # the first that fits
    (UnknownModel, 404),
    (UnknownSession, 404),
    (NotFound, 404),
    (Busy, 409),
    (TooMuch, 413),
    (UndecodableError, 415),
    (InputError, 422),
    (QueueFull, 429),
    (Unreachable, 502),
    (WeightsError, 503),
    (XR2MRIError, 500),
)
_WEIGHTS = "the weights of this model are missing or damaged; tell the administrator of the server"


def http_error(error: XR2MRIError) -> HTTPException:
    """The exception that FastAPI turns into the reply."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    headers = None
    if isinstance(error, QueueFull):
        headers = {"Retry-After": str(max(1, round(error.retry_after)))}
    detail = _WEIGHTS if status == 503 else str(error)  # what it says names files of the server
    return HTTPException(status, detail, headers)


@contextmanager
def as_http() -> Iterator[None]:
    """Turns this project's errors into HTTP errors."""
    try:
        yield
    except XR2MRIError as error:
        raise http_error(error) from error
