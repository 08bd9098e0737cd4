"""A process that generates on one device, for servers with several: its end is not the server's.

What goes to it is how to load a generator (`xr2mri_core.recipe.Recipe`), a picture, a condition
and a request; back come slices as they are made, and the volume. It starts with the first job and,
after a crash, with the next one.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

import torch

from monai_app.lib.device_queue import NICE, DeviceLost
from xr2mri_core.condition import Condition
from xr2mri_core.generation import loaded
from xr2mri_core.parents import begin_worker
from xr2mri_core.progress import Callbacks
from xr2mri_core.reading import PreparedRadiograph
from xr2mri_core.recipe import Recipe
from xr2mri_core.request import GenerationRequest
from xr2mri_core.volume import GeneratedVolume

log = logging.getLogger("xr2mri")

_LOOK_SECONDS = 0.1
"""Seconds between two looks whether a job has been cancelled."""

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # in Windows the latter ends it at once, too

Asked: TypeAlias = tuple[Recipe, PreparedRadiograph, Condition, GenerationRequest]


class DeviceWorker:
    """One job at a time; called from the thread of its device.

    Args:
        device: ``cuda:0``, ``cpu``, ...
        threads: number of threads of torch there; only a CPU has a use for several.
    """

    def __init__(self, device: str, threads: int = 1) -> None:
        self.device, self.threads = device, threads
        self._process: Any = None
        self._pipe: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Id of the process; None while none runs."""
        return None if self._process is None else self._process.pid

    def generate(
        self,
        recipe: Recipe,
        radiograph: PreparedRadiograph,
        condition: Condition,
        request: GenerationRequest,
        callbacks: Callbacks,
    ) -> GeneratedVolume:
        """Call `KneeMRIGenerator.generate` in the process; raises what that raises.

        Raises:
            DeviceLost: the process ended in the middle.
        """
        try:
            pipe = self._started()
            _send(pipe, (replace(recipe, device=self.device), radiograph, condition, request))
            return self._followed(pipe, callbacks)
        except (EOFError, OSError) as error:
            self.close()
            log.error("the process of the device %s ended in the middle of a job", self.device)
            raise DeviceLost(
                "the process that generates ended unexpectedly, twice, most likely for want of "
                "memory; lower num_slices (or give fewer depths) or samples"
            ) from error

    def _followed(self, pipe: Connection, callbacks: Callbacks) -> GeneratedVolume:
        told: dict[str, Any] = {"progress": callbacks.progress, "arrived": callbacks.arrived}
        sent = False
        while True:
            if not sent and callbacks.cancelled is not None and callbacks.cancelled():
                _send(pipe, None)
                sent = True
            if not pipe.poll(_LOOK_SECONDS):
                continue
            kind, content = _receive(pipe)
            if kind == "done":
                generated: GeneratedVolume = content
                return generated
            if kind == "failed":
                raise content
            if told[kind] is not None:
                told[kind](*content)

    def _started(self) -> Connection:
        if self._pipe is None or not self._process.is_alive():
            self.close()
            context = get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(
                target=_serve, args=(theirs, self.threads, os.getpid()), daemon=True
            )
            self._process.start()
            theirs.close()  # so that the pipe reports its end
        return self._pipe

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None


def _send(pipe: Connection, what: object) -> None:
    pipe.send_bytes(pickle.dumps(what, pickle.HIGHEST_PROTOCOL))  # tensors as bytes, not as files


def _receive(pipe: Connection) -> Any:
    return pickle.loads(pipe.recv_bytes())


def _serve(pipe: Connection, threads: int, parent: int) -> None:
    """What the process does."""
    begin_worker(parent, last_signal=_KILL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # of a whole service: what runs may be waited for
    torch.set_num_threads(threads)
    if hasattr(os, "nice"):
        os.nice(NICE)
    while True:
        try:
            asked = _receive(pipe)
        except (EOFError, OSError):
            return
        if asked is not None:  # None ends a job that had ended by itself
            _send(pipe, _answered(pipe, asked))


def _answered(pipe: Connection, asked: Asked) -> tuple[str, Any]:
    recipe, radiograph, condition, request = asked
    callbacks = Callbacks(
        progress=lambda *arguments: _send(pipe, ("progress", arguments)),
        arrived=lambda *arguments: _send(pipe, ("arrived", arguments)),
        cancelled=pipe.poll,  # nothing but the end is said while a job runs
    )
    try:
        generated = loaded(recipe).generate(radiograph, condition, request, callbacks)
    except Exception as error:
        plain = error.with_traceback(None)
        try:
            pickle.loads(pickle.dumps(plain))
        except Exception:  # of a library, with more than its text
            plain = RuntimeError(f"{type(error).__name__}: {error}")
        return "failed", plain
    return "done", generated
