"""Processes that end with the one that started them, however that ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from multiprocessing import current_process

WORKER = "XR2MRI_WORKER"
"""Variable of a process of `each_done`: its number, one more than the last's, so that each may take
a device."""


def begin_worker(parent: int, last_signal: signal.Signals = signal.SIGTERM) -> None:
    """Prepare a worker process: interrupts are the parent's, and it ends with the parent.

    Args:
        parent: id of the parent process.
        last_signal: signal that this process gets once the other has died.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _watch(parent, os.getpid(), last_signal)
    os.environ[WORKER] = current_process().name.rpartition("-")[2]  # LokyProcess-3


def end_with(parent: int | None) -> None:
    """End this process and its process group as SIGTERM does, once its parent has died.

    For a process that is the first of its group (``start_new_session``) and works for a parent that
    may be killed before it can say so.

    Args:
        parent: the parent's process id; None never ends.
    """
    if parent is not None:
        _watch(parent, 0)


def end_with_stdin() -> None:
    """End this process as SIGTERM does, once its standard input ends.

    For the child of a program that holds the other end of a pipe: that ends when the program closes
    it, and on every system when the program is gone, however it ended. Standard input itself
    becomes empty, so that no other process keeps or reads the pipe.
    """
    pipe, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def wait_and_end() -> None:
        while os.read(pipe, 1024):
            pass
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=wait_and_end, daemon=True).start()


def _watch(parent: int, whom: int, last_signal: signal.Signals = signal.SIGTERM) -> None:
    """Once the parent has died, send a signal to `whom`, as `os.kill` takes it: 0 is the group."""

    def lives() -> bool:
        if sys.platform != "win32":
            return os.getppid() == parent
        import psutil  # there a parent's id stays, and is that of an environment's launcher

        return psutil.pid_exists(parent)

    def wait_and_end() -> None:
        while lives():
            time.sleep(0.5)
        if sys.platform == "win32" and whom == 0:
            os._exit(1)  # there are no groups
        os.kill(whom, last_signal)

    threading.Thread(target=wait_and_end, daemon=True).start()
