"""Slows those who guess passwords."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Hashable

_MOST_KEYS = 10_000


def network_of(address: str) -> str:
    """Whom an address stands for: itself, and of IPv6 the /64, all of which one client may have."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


class Throttle:
    """Lets a key fail some times; after that every failure doubles the time until the next try.

    Failures are forgotten after the longest wait, so that no key is shut out for good. A key is a
    user name, known or not, or an address.

    Args:
        allowed: failures before the first wait.
        longest: wait, in seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self, allowed: int, longest: float = 900.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.allowed, self.longest, self.clock = allowed, longest, clock
        self._failures: dict[Hashable, tuple[int, float]] = {}

    def wait(self, key: Hashable) -> float:
        """Seconds until ``key`` may try again; 0 if it may now."""
        count, last = self._failures.get(key, (0, 0.0))
        if count < self.allowed:
            return 0.0
        pause = min(2.0 ** min(count - self.allowed, 30), self.longest)
        return max(0.0, last + pause - self.clock())

    def failed(self, key: Hashable) -> None:
        """Count a failure."""
        now = self.clock()
        count, last = self._failures.pop(key, (0, now))
        self._failures[key] = (1 if now - last > self.longest else count + 1, now)
        if len(self._failures) > _MOST_KEYS:
            others = [each for each in self._failures if each != key]
            del self._failures[min(others, key=self._worth)]

    def _worth(self, key: Hashable) -> tuple[int, float]:
        """What is forgotten first has the least: a key with many failures is not pushed out by
        many keys with few."""
        count, last = self._failures[key]
        return (0 if self.clock() - last > self.longest else count), last

    def succeeded(self, key: Hashable) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)
