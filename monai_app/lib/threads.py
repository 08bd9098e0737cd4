"""Threads for one kind of work, which users share fairly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread

T = TypeVar("T")


class SharedThreads:
    """Some threads, of which one user has half: what takes long there holds up nothing else.

    Starlette's own, 40 for all that waits, are anybody's who has 40 slow requests.

    Args:
        most: threads at a time.
    """

    def __init__(self, most: int) -> None:
        self._all, self._most_of_one = CapacityLimiter(most), max(1, most // 2)
        self._shares: WeakValueDictionary[str, CapacityLimiter] = WeakValueDictionary()

    async def do(self, account: str, call: Callable[[], T]) -> T:
        """Do something in one of them, when it is the user's turn.

        Args:
            account: user who is counted.
            call: what to do.
        """
        async with self._shares.setdefault(account, CapacityLimiter(self._most_of_one)):
            return await to_thread.run_sync(call, limiter=self._all)
