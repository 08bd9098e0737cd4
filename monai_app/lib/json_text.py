"""JSON in and out: what is read has one meaning, and what is sent can always be sent.

Python's reader takes the last of several equal names, and passes numbers that are none and lone
surrogates through; its writer, as FastAPI sets it, then fails on them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.responses import JSONResponse

from xr2mri_core.errors import InputError, encodable, shown


def read_object(text: str | bytes, what: str) -> dict[str, Any]:
    """Read a JSON object; nothing at all is an empty one.

    Args:
        text: the JSON text, UTF-8 if bytes.
        what: it is, for the message.

    Raises:
        InputError: it is no JSON, no object, or names something in it twice.
    """
    try:
        value = json.loads(text or "{}", object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} is not JSON ({error}); send an object") from None
    if not isinstance(value, dict):
        raise InputError(f"{what} is {shown(value)}; send a JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without repeated names: another reader would take another of their values."""
    read: dict[str, Any] = {}
    for name, value in pairs:
        if name in read:
            raise InputError(f"{shown(name)} is given twice in one JSON object: keep one")
        read[name] = value
    return read


def plain(value: Any) -> Any:
    """What JSON in UTF-8 can say of a value.

    Arrays become lists, NaN and infinity null, lone surrogates the text of their number, and what
    JSON does not know its text.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {encodable(str(name)): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int) else encodable(str(value))


class Json(JSONResponse):
    """A JSON reply that does not fail for its content."""

    def render(self, content: Any) -> bytes:
        return super().render(plain(content))
