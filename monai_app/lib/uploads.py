"""Files that clients send: in memory while a session lives, never under a name on the disk."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from monai_app.lib.bounds import Bounds
from monai_app.lib.quotas import Claim, Quota
from xr2mri_core.errors import InputError, XR2MRIError

NO_ROOM = (
    "the server has no room for this file: its folder for temporary files is full or cannot be "
    "written; tell the administrator, who frees it or names another one in TMPDIR"
)
"""Message of a reply with status 507."""
SMALLEST = 64 << 10
"""Bytes as which a session counts at least: very many small ones take memory and time, too."""


class UnknownSession(XR2MRIError):
    """The session has expired or never was."""


class TooMuch(XR2MRIError):
    """What was sent is larger than this server takes."""


@dataclass
class Session:
    """One uploaded radiograph, to be used several times.

    Attributes:
        content: content of the file.
        owner: user that sent it; nobody else may use it.
        expiry: seconds without use after which it is dropped.
        claim: claim on its bytes.
    """

    content: bytes
    owner: str
    expiry: float
    claim: Claim
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: float = field(default_factory=time.time)
    used: float = field(default_factory=time.monotonic)

    def describe(self) -> dict[str, object]:
        """Describe the session as stock MONAI Label does, without a path."""
        return {
            "name": self.id,
            "image": self.id,
            "meta": {},
            "create_ts": int(self.created),
            "last_access_ts": int(time.time() - (time.monotonic() - self.used)),
            "expiry": int(self.expiry),
        }


class Sessions:
    """Sessions in memory: they go when they expire, asked for or not, and with a restart.

    Where a user has no room left, that user's longest unused sessions go; nobody else's ever do.

    Args:
        longest: seconds that a session may ask for, at most.
        quota: quota of the users.
    """

    def __init__(
        self, longest: float = 60 * Bounds.session_minutes, quota: Quota | None = None
    ) -> None:
        self.longest = longest
        self.quota = quota or Quota("sessions", Bounds.sessions_mb << 20)
        # No TTLCache of cachetools: there an item's time runs from when it was put in, whatever its
        # use since, and the next insertion drops what has expired without a word, while what is
        # dropped here gives its room back.
        self._held: dict[str, Session] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def add(
        self, content: bytes, owner: str, expiry: float = 0, account: str | None = None
    ) -> Session:
        """Keep a file. Without an expiry of 1 second or more it is the longest allowed.

        Args:
            content: content of the file.
            owner: user who may use it.
            expiry: seconds without use.
            account: user who is counted for it; None: the owner.

        Raises:
            InputError: it is empty.
            TooMuch: one user's sessions cannot hold it.
            QuotaFull: other users' sessions leave no room.
        """
        if not content:
            raise InputError("the file is empty; send a radiograph")
        if len(content) > self.quota.most_of_one:
            most = self.quota.most_of_one >> 20
            raise TooMuch(f"{len(content) >> 20} MB; the sessions of one user hold {most} MB")
        account, counted = owner if account is None else account, max(len(content), SMALLEST)
        seconds = min(expiry, self.longest) if expiry >= 1 else self.longest
        with self._lock:
            self._drop_expired()
            session = Session(content, owner, seconds, self._room(account, counted))
            self._held[session.id] = session
            self._come_back()
        return session

    def _room(self, account: str, size: int) -> Claim:
        own = [held for held in self._held.values() if held.claim.user == account]
        own = [held for held in own if held.claim.unused]  # what is being read keeps its room
        own.sort(key=lambda held: held.used)
        excess = max(
            self.quota.held(account) + size - self.quota.most_of_one,
            self.quota.held() + size - self.quota.most,
        )
        if excess <= sum(held.claim.size for held in own):
            for held in own:
                if excess <= 0:
                    break
                excess -= held.claim.size
                self._drop(held)
        return self.quota.claim(account, size)

    def _drop(self, session: Session) -> None:
        if self._held.pop(session.id, None) is not None:
            session.claim.release()

    def get(self, session_id: str, owner: str) -> Session:
        """Find a session and count it as used; raises UnknownSession."""
        with self._lock:
            return self._found(session_id, owner)

    def _found(self, session_id: str, owner: str) -> Session:
        self._drop_expired()
        session = self._held.get(session_id)
        if session is None or session.owner != owner:
            raise UnknownSession("no such session, or it has expired: send the file again")
        session.used = time.monotonic()
        return session

    @contextmanager
    def in_use(self, session_id: str, owner: str) -> Iterator[bytes]:
        """The content of a session, which counts as held within, though the session may be dropped;
        raises UnknownSession."""
        with self._lock:
            session = self._found(session_id, owner)
            claim = session.claim.held_by_another()
        try:
            yield session.content
        finally:
            claim.release()

    def remove(self, session_id: str, owner: str) -> Session:
        """Forget a session; raises UnknownSession."""
        session = self.get(session_id, owner)
        with self._lock:
            self._drop(session)
        return session

    def _drop_expired(self) -> None:
        now = time.monotonic()
        for session in list(self._held.values()):
            if now - session.used > session.expiry:
                self._drop(session)

    def _come_back(self) -> None:
        """Set the timer for the session that expires first; called with the lock held."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._held:
            first = min(session.used + session.expiry for session in self._held.values())
            self._timer = threading.Timer(max(0.1, first - time.monotonic()), self._again)
            self._timer.daemon = True
            self._timer.start()

    def _again(self) -> None:
        with self._lock:
            self._drop_expired()
            self._come_back()
