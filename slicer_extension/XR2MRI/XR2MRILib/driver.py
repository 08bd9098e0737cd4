"""What drives an activity on the GUI's thread: its thread's events, then the steps of importing."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from typing import Any

import qt
import slicer

from xr2mri_client.errors import Unexpected, UserCancelled, XR2MRIClientError
from xr2mri_client.events import Event, Failed, Final, Stopped
from xr2mri_client.tasks import Task
from xr2mri_client.texts import tr as _

from .activity import Activity, Steps

log = logging.getLogger("xr2mri")

TICK_MS, YIELD_S, LONGEST_TICK_MS = 20, 0.01, 500
"""Between two looks at what a thread has done, and for how long a look waits. Slicer's event loop
keeps Python's lock while it waits for something to happen, so that a thread gets on only while
Python runs on the GUI's thread: with these two, downloads take as long as they would by themselves.
While the thread rests between two questions to the server, or between two looks at a program that
installs, removes or starts, which is nearly always, nobody looks and nothing waits; a comparison is
computed in the thread, which never rests then. Results are imported without pauses, a step a turn
of the event loop."""


class Driver:
    """Drives one activity at a time, and threads that nobody wants anything of any more until they
    have ended.

    Args:
        heard: called with the activity and each of its events; the last one, a success, before its
            steps.
        done: called with the activity, which has ended then, and what came of it.
        failed: called with the error, and the server's job where there may be one; to call `end`.
            Both may be waited in: nothing follows.
        changed: called when `busy` may have changed.

    All of them are methods of an object that keeps the driver, and is not kept by it.

    Attributes:
        activity: what is being done; None while nothing is.
        outcome: what came of the last one, or its error.
    """

    def __init__(
        self,
        heard: Callable[[Activity, Event], None],
        done: Callable[[Activity, Any], None],
        failed: Callable[[XR2MRIClientError, Any], None],
        changed: Callable[[], None],
    ) -> None:
        self.activity: Activity | None = None
        self.outcome: Any = None
        self._heard, self._done = _weak(heard), _weak(done)
        self._failed, self._changed = _weak(failed), _weak(changed)
        self._steps: Steps | None = None
        self._ending: list[Task] = []
        self._telling: Activity | None = None  # of which listeners hear just now
        self._waits = 0  # of which one may be in a listener that another tells
        self._timer = qt.QTimer()
        self._timer.setInterval(TICK_MS)
        self._timer.connect("timeout()", _weak(self._tick))

    @property
    def busy(self) -> bool:
        """Whether a thread works, or results are imported."""
        return self.activity is not None or bool(self._ending)

    def begin(self, activity: Activity) -> None:
        activity.worker.start()
        self.activity, self.outcome = activity, None
        self._watch()

    def end(self, outcome: Any) -> Activity | None:
        """Nothing is being done any more; returns what was."""
        activity, self.activity, self._steps = self.activity, None, None
        self.outcome = outcome
        self._timer.setInterval(TICK_MS)
        return activity

    def let_go(self, activity: Activity | None) -> None:
        """Have an activity that was ended leave nothing behind, here and on the server."""
        if activity is not None:
            activity.drop()
            self.follow(activity.worker)

    def follow(self, task: Task) -> None:
        """Let a thread get on until it has ended."""
        self._ending.append(task)
        self._watch()

    def wait(self) -> Any:
        """See `XR2MRILogic.wait`."""
        self._waits += 1
        try:
            while self.activity is not None:
                if self.activity is self._telling:
                    raise busy()
                slicer.app.processEvents()
                self._tick()
                if self.activity is not None and self.activity.worker.rest:
                    time.sleep(YIELD_S)
        finally:
            self._waits -= 1
        if isinstance(self.outcome, XR2MRIClientError):
            raise self._error()
        return self.outcome

    def _error(self) -> XR2MRIClientError:
        """The outcome, which the last who waits for it has forgotten here: once raised, its
        traceback keeps him, and the driver."""
        error: XR2MRIClientError = self.outcome
        if not self._waits:
            self.outcome = None
        return error

    def join(self, seconds: float) -> None:
        """Wait so long for the threads that were let go, and follow them no more."""
        limit = time.monotonic() + seconds
        for worker in self._ending:
            worker.join(max(0.0, limit - time.monotonic()))
        self._ending.clear()
        self._watch()

    def _watch(self) -> None:
        """Tick while a thread works, and only then."""
        if self.busy:
            self._timer.start()
        else:
            self._timer.stop()
        self._changed()

    def _tick(self) -> None:
        """Take what the thread has done since, or do the next step of importing it."""
        activity, outer = self.activity, self._telling
        if activity is not None and activity is outer:  # a listener may have opened a dialog
            return
        failure: Failed | None = None
        over, found = False, None
        self._telling = activity
        try:
            self._ending = [worker for worker in self._ending if not worker.join(0)]
            if self._steps is not None:
                next(self._steps)
            elif activity is not None:
                failure = self._drain(activity)
            if self._steps is None and failure is None and self.busy:
                self._yield()
        except StopIteration as end:
            over, found = True, end.value
        except XR2MRIClientError as error:
            failure = Failed(error.with_traceback(None))  # which would keep the driver
        except Exception as error:
            log.exception("%s failed", type(activity).__name__)
            failure = Failed(Unexpected(error))
        finally:
            self._telling = outer
        if activity is not None and activity is self.activity:
            if failure is not None:
                self._failed(failure.error, failure.job)
            elif over:
                self.end(found)
                self._done(activity, found)
        self._watch()

    def _yield(self) -> None:
        """Let threads get on, and look again when they may have done something."""
        workers = [*self._ending, *([self.activity.worker] if self.activity else [])]
        rest = min(worker.rest for worker in workers)
        if not rest:
            time.sleep(YIELD_S)
        pause = min(max(TICK_MS, round(1000 * rest)), LONGEST_TICK_MS)
        if self._timer.interval != pause:
            self._timer.setInterval(pause)

    def _drain(self, activity: Activity) -> Failed | None:
        """Tell what the thread has done since; returns what it failed with, if it did."""
        for event in activity.worker.drain():
            if isinstance(event, Failed):
                return event
            if isinstance(event, Stopped):
                return Failed(UserCancelled())
            if isinstance(event, Final):
                self._steps = activity.steps(event)
                self._timer.setInterval(0)
            self._heard(activity, event)
            if self.activity is not activity:
                break
        return None


def busy() -> XR2MRIClientError:
    """The error for what cannot begin beside what is being done."""
    return XR2MRIClientError(_("The module is busy."), _("Wait until it is done, or cancel it."))


def _weak(method: Callable[..., None]) -> Callable[..., None]:
    """A method that does not keep its object, and is not called any more once that has gone: a
    listener may have dropped it. Qt would keep it for ever, and a cycle until some thread collects
    it, with a timer that is the GUI thread's.
    """
    known = weakref.WeakMethod(method)

    def call(*arguments: Any) -> None:
        found = known()
        if found is not None:
            found(*arguments)

    call.__qualname__ = method.__qualname__  # which handler it is; `wraps` would keep the method
    return call
