"""Bounds on the bytes that users hold: claimed before they are held, by one user and by all."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from xr2mri_core.errors import XR2MRIError


class QuotaFull(XR2MRIError):
    """A user, or all of them, hold as much as they may.

    Attributes:
        own: whether it is this user's share that is full.
        retry_after: seconds, after which to try again.
    """

    def __init__(self, message: str, own: bool, retry_after: float = 30.0) -> None:
        super().__init__(message)
        self.own, self.retry_after = own, retry_after


class Quota:
    """Bytes of one kind that users hold.

    Args:
        name: name of the kind, in the plural: it stands in messages.
        most: bytes of all users.
        most_of_one: bytes of one; None: as much as all.
    """

    def __init__(self, name: str, most: int, most_of_one: int | None = None) -> None:
        self.name, self.most = name, most
        self.most_of_one = most if most_of_one is None else min(most, most_of_one)
        self._held: Counter[str] = Counter()
        self._lock = threading.RLock()  # `count` may give back wherever memory is collected

    def count(self, user: str, size: int) -> Callable[[], None]:
        """Count bytes that are held whatever the bound, so that claims wait for them; what it
        returns gives them back."""
        with self._lock:
            self._held[user] += size
        return partial(self._give_back, user, size)

    def claim(self, user: str, size: int = 0, going: Sequence[Claim] = ()) -> Claim:
        """Count bytes as held by a user; raises QuotaFull.

        Args:
            user: who holds them.
            size: how many.
            going: claims that are about to be released, in whose room they may be.
        """
        claim = Claim(self, user)
        claim.grow(size, going)
        return claim

    def held(self, user: str | None = None) -> int:
        """Bytes that a user holds, or with None all of them."""
        with self._lock:
            return self._held.total() if user is None else self._held[user]

    def _add(self, user: str, size: int, going: Sequence[Claim]) -> None:
        with self._lock:
            freed = sum(claim.size for claim in going)
            own_freed = sum(claim.size for claim in going if claim.user == user)
            own = self._held[user] - own_freed + size > self.most_of_one
            if own or self._held.total() - freed + size > self.most:
                whose, most = ("yours", self.most_of_one) if own else ("all users", self.most)
                raise QuotaFull(
                    f"{self.name} of {whose} take up to {most >> 20} MB at a time, and there is no "
                    f"room for {size / 2**20:.3g} MB more; try again later",
                    own,
                )
            self._held[user] += size

    def _give_back(self, user: str, size: int) -> None:
        with self._lock:
            self._held[user] -= size
            if self._held[user] <= 0:
                del self._held[user]


class Claim:
    """Bytes that a user holds, until the last one who uses them calls `release`."""

    def __init__(self, quota: Quota, user: str) -> None:
        self.quota, self.user, self.size = quota, user, 0
        self._uses, self._lock = 1, threading.Lock()

    @classmethod
    def of_nobody(cls) -> Claim:
        """One that counts nowhere."""
        return cls(Quota("", 0), "")

    @property
    def unused(self) -> bool:
        """Whether nobody but the one who has claimed the bytes uses them."""
        return self._uses <= 1

    def grow(self, size: int, going: Sequence[Claim] = ()) -> None:
        """Claim more, as `Quota.claim` does; raises QuotaFull, and then holds what it held."""
        self.quota._add(self.user, size, going)
        with self._lock:
            self.size += size

    def held_by_another(self) -> Claim:
        """Count one more who uses the bytes and will call `release`."""
        with self._lock:
            self._uses += 1
        return self

    def release(self) -> None:
        """Count one less who uses the bytes; after the last one they are free for others."""
        with self._lock:
            self._uses -= 1
            last = self._uses == 0
        if last:
            self.give_back()

    def give_back(self) -> None:
        """Free the bytes at once, whoever uses them."""
        with self._lock:
            size, self.size = self.size, 0
        self.quota._give_back(self.user, size)
