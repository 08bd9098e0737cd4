"""A signal in plain Python: Qt's own, subclassed from Python, are not safe in PythonQt."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger("xr2mri")


class Signal:
    """Calls everybody who is connected, in the order in which they came.

        finished = Signal()
        finished.connect(lambda result: print(result))
        finished.emit(result)

    A listener that raises is logged and does not keep the others from hearing.
    """

    def __init__(self) -> None:
        self._listeners: list[Callable[..., Any]] = []

    def connect(self, listener: Callable[..., Any]) -> None:
        self._listeners.append(listener)

    def disconnect(self, listener: Callable[..., Any]) -> None:
        """Forget a listener; it is no error if there is none such."""
        self._listeners = [known for known in self._listeners if known != listener]

    def emit(self, *arguments: Any) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(*arguments)
            except Exception:
                log.exception("a listener of a signal failed")
