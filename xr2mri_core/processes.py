"""Processes: the same work for many items in several, and ones that end with their parent."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from xr2mri_core.errors import OutputError

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Processor cores that this process may use (all of them where the system does not say)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait; to be called before torch is imported.

    They spin otherwise, which saves microseconds on an idle machine and costs whole cores on one
    that does other work too. A policy that the environment states is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next tensor; other C libraries are left as they are.

    Networks free and ask for the same tens of megabytes in every layer, and the system hands them
    out anew each time, page by page and zeroed: a tenth of a volume's time. The process is no
    larger for it at its largest, but stays so: for commands, not for servers.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for trim_or_mmap_threshold in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
        mallopt(trim_or_mmap_threshold, 2**30)


class LeaveAtOnce:
    """Ends this process, when all else is done, before Python takes itself away.

    Threads of a server that load weights or generate are inside of C++, and taking Python away from
    under them is an abort. To be made before the libraries are imported whose own work at the exit
    has to come first.

    Attributes:
        status: to exit with.
    """

    def __init__(self) -> None:
        self.status = 0
        atexit.register(self._leave)

    def _leave(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(self.status)


def each_done(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    jobs: int,
    doing: str,
    environment: Mapping[str, str] | None = None,
) -> Generator[Result, None, None]:
    """Yield ``work(item)`` of every item as it gets done.

    Work has one torch thread whatever ``jobs`` is, since sums depend on the number of threads in
    their last bit. An interrupt is this process's to handle; it waits for at most one item for each
    process. Close the generator (`contextlib.closing`) to end the processes early.

    Args:
        work: a function of a module, or a partial of one.
        items: picklable.
        jobs: processes; 1 or fewer works in this process, in order.
        doing: what a process does, for the error, e.g. "makes phantoms".
        environment: variables that the processes find set, unless they are set already.

    Raises:
        OutputError: a process was killed.
    """
    if jobs <= 1:
        import torch  # here: the command line counts cores without it

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield from map(work, items)
        finally:
            torch.set_num_threads(threads)
        return
    pool = new_pool(jobs)
    os.environ.update(dict(environment or {}) | os.environ)
    waiting: set[Future[Result]] = set()
    rest = iter(items)
    try:
        while True:
            waiting |= {pool.submit(work, item) for item in islice(rest, jobs - len(waiting))}
            if not waiting:
                return
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
    except BrokenProcessPool:
        raise OutputError(
            f"a process that {doing} was killed, probably for want of memory: run the same command "
            "again with fewer processes; what was finished is kept"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def new_pool(jobs: int) -> ProcessPoolExecutor:
    """Processes with one torch thread each that end with this one, however that ends."""
    return ProcessPoolExecutor(jobs, get_context("spawn"), _start_process, (os.getpid(),))


def _start_process(parent: int) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _watch(parent, os.getpid())
    torch.set_num_threads(1)


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


def _watch(parent: int, whom: int) -> None:
    """Once the parent has died, send SIGTERM to `whom`, as `os.kill` takes it: 0 is the group."""

    def wait_and_end() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(whom, signal.SIGTERM)

    threading.Thread(target=wait_and_end, daemon=True).start()
