"""What drives a batch: one radiograph after another, each a generation of the logic."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import qt
import slicer

from xr2mri_client.errors import (
    BadRadiograph,
    Busy,
    FormError,
    LoginNeeded,
    PermissionNeeded,
    ServerEnded,
    TlsProblem,
    Unexpected,
    Unreachable,
    XR2MRIClientError,
)
from xr2mri_client.events import Progress
from xr2mri_client.texts import tr as _

from ..generation import Result
from ..logic import XR2MRILogic
from ..request import Request
from ..scene import known
from ..scene.picture import problem
from ..signals import Signal
from ..states import State
from .items import Item, Standing, of_node

log = logging.getLogger("xr2mri")

_ENDING = (LoginNeeded, PermissionNeeded, ServerEnded, TlsProblem, Unreachable)
"""What would befall all that follow as well."""
_LEAST_WAIT_S = 1.0


class Batch:
    """Radiographs and how far each of them is.

    Args:
        logic: logic that generates.
        request: what is asked for of an item and its radiograph; may raise FormError.

    Attributes:
        items: the radiographs, in their order.
        running: whether one follows another by itself.
        changed: signal (): an item stands otherwise than before.
    """

    def __init__(
        self, logic: XR2MRILogic, request: Callable[[Item, slicer.vtkMRMLVolumeNode], Request]
    ) -> None:
        self.items: list[Item] = []
        self.running = False
        self.changed = Signal()
        self._logic, self._request = logic, request
        self._current: Item | None = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._next)
        self._heard = (
            (logic.finished, self._on_finished),
            (logic.failed, self._on_failed),
            (logic.cancelled, self._on_cancelled),
            (logic.progressed, self._on_progressed),
            (logic.stateChanged, self._on_state),
            (logic.disconnected, self._on_disconnected),
        )
        for signal, listener in self._heard:
            signal.connect(listener)

    @property
    def left(self) -> int:
        """Radiographs without a volume."""
        return sum(not item.done for item in self.items)

    def add(self, items: list[Item]) -> None:
        self.items.extend(items)
        self.changed.emit()

    def clear(self) -> None:
        """Forget all of them; what is in the scene stays."""
        self.items = []
        self.changed.emit()

    def forget_nodes(self) -> None:
        """The scene is being closed, and with it the batch ends: the next may be another patient's.
        What came from files stays, to be generated anew: that scene gives the ids of these nodes to
        others."""
        self._halt()
        self._forget_kept()
        self.items = [item for item in self.items if not item.of_scene]
        for item in self.items:
            item.radiograph = item.volume = ""
            if item.standing in (Standing.DONE, Standing.WAITING):
                item.standing, item.detail, item.warnings = Standing.WAITING, "", []
        self.changed.emit()

    def start(self) -> None:
        """Generate from each that has no volume yet."""
        self._forget_kept()
        for item in self.items:
            if not item.done:
                item.standing, item.detail = Standing.WAITING, ""
        self.running = True
        self.changed.emit()
        self._next()

    def stop(self) -> None:
        """Begin no other one, and end the one that is being generated."""
        self._halt()
        if self._current is not None:
            self._logic.cancel()
        self.changed.emit()

    def close(self) -> None:
        self._halt()
        for signal, listener in self._heard:
            signal.disconnect(listener)

    def _halt(self) -> None:
        """Begin no other one, not even one that waits for its turn."""
        self.running = False
        self._timer.stop()

    def _later(self, seconds: float = 0.0) -> None:
        self._timer.start(round(1000 * seconds))

    def _next(self) -> None:
        """Begin the next, unless something else is being done."""
        if not self.running or self._current is not None:
            return
        waiting = (item for item in self.items if item.standing is Standing.WAITING)
        item = next(waiting, None)
        if item is None:
            self.running = False
        elif self._logic.state is not State.IDLE:
            self._later(_LEAST_WAIT_S)  # somebody compares, exports or generates meanwhile
        else:
            self._begin(item)
        self.changed.emit()

    def _begin(self, item: Item) -> None:
        try:
            if item.form is not None and item.form.problem:
                raise FormError(item.form.problem)
            node = self._loaded(item)
            self._logic.start(node, self._request(item, node))
        except XR2MRIClientError as error:
            self._fail(item, error)
            return
        except Exception as error:  # of a reader of Slicer's: one file costs one row
            log.exception("%s failed", item.name)
            self._fail(item, Unexpected(error))
            return
        self._current = item
        item.standing, item.detail = Standing.GENERATING, ""

    def _loaded(self, item: Item) -> slicer.vtkMRMLVolumeNode:
        """The radiograph of an item. A series may hold several: the others become items of their
        own, the next ones."""
        nodes = item.nodes()
        fitting = [node for node in nodes if not problem(node)]
        if not fitting:
            raise BadRadiograph(problem(nodes[0]))
        known.keep_tags(fitting[0])
        item.radiograph = fitting[0].GetID()
        place = self.items.index(item) + 1
        self.items[place:place] = [of_node(node, item.form) for node in fitting[1:]]
        return fitting[0]

    def _fail(self, item: Item, error: XR2MRIClientError) -> None:
        if isinstance(error, Busy):
            item.standing, item.detail = Standing.WAITING, error.message
            self._later(max(_LEAST_WAIT_S, error.retry_after))
        elif isinstance(error, _ENDING):
            item.standing, item.detail = Standing.WAITING, error.message
            self.running = False
        else:
            item.standing, item.detail = Standing.FAILED, str(error)
            self._later()
        self.changed.emit()

    # --- what the logic tells ---------------------------------------------------------------------

    def _on_disconnected(self) -> None:
        """What waits for its turn is not for another server: that is asked for anew."""
        self._halt()
        self._forget_kept()
        self.changed.emit()

    @property
    def _kept(self) -> bool:
        """Whether the current one waits for a login: the logic then goes on with its job, if it
        has one. What goes on, fails, ends or is cancelled until then is something else."""
        return self._current is not None and self._current.standing is Standing.WAITING

    def _forget_kept(self) -> None:
        if self._kept:
            self._current = None

    def _mine(self) -> Item | None:
        item, self._current = self._current, None
        return item

    def _on_state(self, state: State) -> None:
        if state is not State.RUNNING or not self._kept:
            return
        if self._logic.resumed and self._current is not None:
            self._current.standing, self._current.detail = Standing.GENERATING, ""
            self.changed.emit()
        else:  # somebody else's, which gives that job up
            self._current = None

    def _on_finished(self, outcome: Any) -> None:
        if not isinstance(outcome, Result):
            return
        item = self._mine()
        if item is None:
            return
        item.standing, item.volume = Standing.DONE, outcome.volume.GetID()
        item.warnings = outcome.warnings
        item.detail = _("seed {n}").format(n=outcome.seed)
        self.changed.emit()
        self._later()

    def _on_failed(self, error: XR2MRIClientError) -> None:
        if self._kept:  # a login with a wrong password, a comparison
            return
        item = self._mine()
        if item is not None:
            self._fail(item, error)
            self._current = item if isinstance(error, LoginNeeded) else None

    def _on_cancelled(self) -> None:
        self._forget_kept()  # something else is cancelled, and that job given up
        item = self._mine()
        if item is not None:
            item.standing, item.detail, self.running = Standing.CANCELLED, "", False
            self.changed.emit()

    def _on_progressed(self, progress: Progress) -> None:
        item = self._current
        if item is not None and not self._kept and progress.phase == "running":
            message = _("{n} of {m} slices").format(n=progress.slices, m=progress.num_slices)
            if message != item.detail:
                item.detail = message
                self.changed.emit()
