"""The end of the server: on the first signal its work stops, and soon afterwards it is gone.

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


def when_told_to_end(*calls: Callable[[], object], at_last: float = Bounds.end_seconds) -> None:
    """Have something called when the process is told to end; the signals' handlers stay.

    To be called in the main thread, once uvicorn has set its handlers; does nothing elsewhere.

    Args:
        calls: that end work; each in a thread of its own, for a signal may come at any moment.
        at_last: seconds from the signal to the end of the process, whatever its threads do.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _then(signal.getsignal(number), calls, at_last))


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
