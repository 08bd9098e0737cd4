"""The end of the server: on the first signal its work stops, and soon afterwards it is gone.

With `Bounds.drain_seconds` a first SIGTERM, which is what orchestrators send, lets work come to its
end before; the server answers meanwhile. The next signal, or Ctrl-C, ends it at once.

uvicorn waits for what is being answered (for `Bounds.grace_seconds`), and Python for its threads,
which may decode a picture or wait for a PACS.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from monai_app.lib.bounds import Bounds

log = logging.getLogger("xr2mri")


def when_asked_to_end(
    *calls: Callable[[], object],
    at_last: float = Bounds.end_seconds,
    drain: Callable[[], object] | None = None,
) -> None:
    """Call functions when the process is asked to end; the signals' handlers stay.

    To be called in the main thread, once uvicorn has set its handlers; does nothing elsewhere.

    Args:
        calls: functions that end work; each in a thread of its own, for a signal may come at any
            moment.
        at_last: seconds from the signal to the end of the process, whatever its threads do.
        drain: called on SIGTERM, before all that; returns when the work has come to its end, or its
            time.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _then(signal.getsignal(number), calls, at_last))
    if drain is not None:
        signal.signal(signal.SIGTERM, _drained(signal.getsignal(signal.SIGTERM), drain))


def _drained(handler: object, drain: Callable[[], object]) -> Callable[..., None]:
    """Drains at the first signal, and sends it again when that is done."""
    begun = threading.Event()

    def work() -> None:
        log.info("asked to end: what is under way comes to its end first")
        drain()
        os.kill(os.getpid(), signal.SIGTERM)

    def drained_first(number: int, frame: FrameType | None) -> None:
        if begun.is_set():
            assert callable(handler)
            handler(number, frame)
        else:
            begun.set()
            threading.Thread(target=work, name="xr2mri-draining", daemon=True).start()

    return drained_first


def _then(
    handler: object, calls: tuple[Callable[[], object], ...], at_last: float
) -> Callable[..., None]:
    begun = threading.Event()

    def ended(number: int, frame: FrameType | None) -> None:
        if not begun.is_set():
            begun.set()
            for call in calls:
                threading.Thread(target=call, name="xr2mri-ending", daemon=True).start()
            timer = threading.Timer(at_last, os._exit, (128 + number,))
            timer.daemon = True
            timer.start()
        if callable(handler):
            handler(number, frame)

    return ended
