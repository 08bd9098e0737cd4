"""The same work for many items: here, in several processes, or on a cluster."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import Any, Generic, TypeVar, cast

from xr2mri_core import __version__
from xr2mri_core.errors import InputError, OutputError, XR2MRIError, shown
from xr2mri_core.parents import begin_worker
from xr2mri_core.parents import end_with as end_with  # copies of the bundle have it from here
from xr2mri_core.this_process import keep_freed_memory

log = logging.getLogger("xr2mri")

Item = TypeVar("Item")
Result = TypeVar("Result")


def each_done(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    jobs: int,
    doing: str,
    scheduler: str | None = None,
    lost: Callable[[Item, str], Result] | None = None,
) -> Generator[Result, None, None]:
    """Yield ``work(item)`` of every item as it gets done: here, in processes, or on a cluster.

    Work has one thread wherever it is done, since sums depend on the number of threads in their
    last bit. An interrupt is this process's to handle; it waits for at most one item for each
    process. Close the generator (`contextlib.closing`) to end the processes early.

    An item whose process dies, or whose worker on a cluster does, is done again by another, so work
    has to be such that a second time changes nothing. It is given up after four deaths, of which
    all but the first were its own: it was alone then. Workers of a cluster read and write files
    themselves, under the same paths.

    Args:
        work: a function of a module, or a partial of one.
        items: the items, which can be pickled.
        jobs: processes (joblib's loky); 1 or fewer works in this process, in order.
        doing: what a process does, for the error, e.g. "makes phantoms".
        scheduler: address of a Dask scheduler, ``tcp://host:8786``, whose workers take the place of
            the processes; ``jobs`` is passed over.
        lost: ``lost(item, why)`` takes the place of the result of an item that is given up.

    Raises:
        OutputError: an item is given up, and there is no ``lost``; or the scheduler was lost.
        InputError: there is no such scheduler, or its workers have another version.
    """
    piece = _Piece(work, __version__)
    if scheduler is None and jobs <= 1:
        yield from map(piece, items)
        return
    pool: _Processes | _Cluster = (
        _Processes(jobs, doing) if scheduler is None else _Cluster(scheduler, doing)
    )
    waiting: dict[Future[Result], _Given[Item]] = {}
    again: list[_Given[Item]] = []
    rest = map(_Given, items)
    with pool:
        while True:
            room = max(0, pool.room() - len(waiting))
            if again:  # each by itself: one of them may be what kills
                given, again = ([], again) if waiting else (again[:1], again[1:])
            else:
                given = list(islice(rest, room))
            try:
                while given:
                    waiting[pool.executor.submit(piece, given[0].item)] = given[0]
                    del given[0]
            except BrokenExecutor:  # one that had nothing to do has died
                again = given + again
            if not (waiting or again):
                return
            finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
            broken = not waiting or any(_is_broken(future) for future in finished)
            if broken:  # whatever was under way is lost with the one
                finished, _ = wait(waiting)
            for future in finished:
                one = waiting.pop(future)
                if _is_broken(future) and one.deaths + 1 < _MOST_DEATHS:
                    again.append(_Given(one.item, one.deaths + 1))
                elif lost is not None and pool.has_given_up(future):
                    yield lost(one.item, _GIVEN_UP.format(doing, _MOST_DEATHS))
                else:
                    yield future.result()
            if broken:
                pool.begin_again()


_MOST_DEATHS = 4
"""Of processes with the same item; as many as Dask takes."""
_GIVEN_UP = "a process that {} was killed {} times with it, probably for want of memory"


@dataclass(frozen=True)
class _Given(Generic[Item]):
    """An item that is given to a process, and how many have died with it."""

    item: Item
    deaths: int = 0


def _is_broken(future: Future[Any]) -> bool:
    return isinstance(future.exception(), BrokenExecutor)


@dataclass(frozen=True)
class _Piece(Generic[Item, Result]):
    """Work as it is sent: one item at a time in each process, with one thread."""

    work: Callable[[Item], Result]
    version: str

    def __call__(self, item: Item) -> Result:
        if self.version != __version__:
            raise InputError(
                f"a worker has xr2mri {__version__}, this is {self.version}: install one version "
                "everywhere",
                option="scheduler",
            )
        with _ALONE, _one_thread():
            return self.work(item)


_ALONE = threading.RLock()
"""Dask's workers may have several threads; networks and their settings are one for all of them."""


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch  # here: the command line counts cores without it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _libraries().limit(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(threads)


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


# loky itself, and no joblib.Parallel: that kills its processes in the middle of an item when its
# generator is closed early or another item fails, where each of these finishes its own; and it
# keeps them for the next call, where these give their memory back and are numbered anew (`WORKER`).
class _Processes:
    """Processes of this machine, which end when this process ends, however it does."""

    def __init__(self, jobs: int, doing: str) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        self._jobs, self._doing = jobs, doing
        given = os.getpid(), list(warnings.filters)
        self._make = partial(ProcessPoolExecutor, jobs, initializer=_begin, initargs=given)
        self.executor: Executor = self._make()

    def begin_again(self) -> None:
        """New processes in the place of those of which one has died."""
        log.warning("a process that %s was killed: what it was doing is done again", self._doing)
        self.executor.shutdown(wait=True)
        self.executor = self._make()

    def has_given_up(self, future: Future[Any]) -> bool:
        """Whether an item has killed its processes."""
        return _is_broken(future)

    def room(self) -> int:
        """How many items may be under way at once."""
        return self._jobs

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self.executor.shutdown(wait=True)
        if isinstance(error, BrokenExecutor):
            raise OutputError(
                f"a process that {self._doing} was killed {_MOST_DEATHS} times with the same "
                "piece, probably for want of memory: run the same command again with fewer "
                "processes; what was finished is kept"
            ) from None


_CONNECT_SECONDS = 10


class _Cluster:
    """The workers of a Dask scheduler."""

    def __init__(self, address: str, doing: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise InputError(
                "a scheduler needs Dask: install the wheel with its extra 'cluster', or run "
                "`make env` in a checkout",
                option="scheduler",
            ) from None
        self._address, self._doing = address, doing
        for name in ("distributed", "distributed.client"):  # what is lost is reported below
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            self._client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {address} ({shown(error)}); start one with "
                "'dask scheduler', or leave the option out",
                option="scheduler",
            ) from error
        self.executor: Executor = self._client.get_executor(pure=False)
        if not self._client.nthreads():
            log.warning("the scheduler %s has no worker yet; waiting for one", address)

    def room(self) -> int:
        """One item that is being done by each worker, and one that is on its way to it."""
        return 2 * max(1, len(self._client.nthreads()))

    def begin_again(self) -> None:
        """Dask does that by itself."""

    def has_given_up(self, future: Future[Any]) -> bool:
        """Whether an item has killed its workers."""
        from distributed.scheduler import KilledWorker

        return isinstance(future.exception(), KilledWorker)

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        from distributed import CancelledError
        from distributed.scheduler import KilledWorker

        lost = self._client.status != "running" or isinstance(error, CancelledError | OSError)
        with suppress(Exception):  # whether or not there is someone to tell
            self.executor.shutdown(wait=False)
        with suppress(Exception):
            self._client.close(timeout=2)
        if isinstance(error, KilledWorker):
            raise OutputError(
                f"the same piece of what {self._doing} has killed {error.allowed_failures + 1} "
                "workers, probably for want of memory: run the same command again with workers "
                "that have more; what was finished is kept"
            ) from None
        if lost and error is not None and not isinstance(error, GeneratorExit | XR2MRIError):
            raise OutputError(
                f"the scheduler {self._address} was lost: run the same command again when it is "
                "back; what was finished is kept"
            ) from None


def _begin(parent: int, filters: list[Any]) -> None:
    begin_worker(parent)
    cast(list[Any], warnings.filters)[:] = filters  # what the parent does not tell, nobody does
    keep_freed_memory()
