"""Authentication by bearer token or HTTP Basic, with slow checks of passwords.

Passwords are compared in constant time, by few threads of their own and one of an address at a
time; a user who does not exist costs as much as one who does, and whoever fails again and again
waits (`throttle`), by user name and by address.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import math
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

from cachetools import TTLCache

from monai_app.lib.bounds import Bounds
from monai_app.lib.security.refusal import Refusal
from monai_app.lib.security.routes import Role
from monai_app.lib.security.settings import SecuritySettings
from monai_app.lib.security.throttle import Throttle, network_of
from monai_app.lib.security.tokens import InvalidToken, Issuer, OwnTokens, SessionToken
from monai_app.lib.security.users import (
    ANONYMOUS,
    LONGEST_PASSWORD,
    NOBODYS_PASSWORD,
    StoredUser,
    UserFile,
    verify_password,
)

FAILURES_OF_A_USER, FAILURES_OF_AN_ADDRESS = Bounds.failures_user, Bounds.failures_address
SECONDS_OF_A_FAILURE = 0.5
_MOST_REMEMBERED = 256
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="xr2mri", Basic realm="xr2mri", charset="UTF-8"'}


@dataclass(frozen=True)
class User:
    """Who sent a request.

    Attributes:
        name: name by which jobs and sessions are the user's own.
        role: what the user may do.
        account: account that is counted for what the user takes.
    """

    name: str
    role: Role
    account: str


LOCAL = User(ANONYMOUS, Role.ADMIN, ANONYMOUS)
"""Whoever sits at this machine while no login is configured and nobody else is served."""
SESSION_HEADER = "x-session"
_SESSION = re.compile(r"[A-Za-z0-9_-]{16,64}")


def account_of(address: str | None) -> str:
    """The account of requests without credentials: one for each address."""
    return f"{ANONYMOUS}/{network_of(address or 'local')}"


def stranger(address: str | None, sessions: Sequence[str] = ()) -> User:
    """A client without credentials, on a server for everyone: one owner an address and session.

    So strangers do not see each other's work, nor an administrator's. A
    session is a random text that a client makes up and sends along; without one, its owner is all
    who come from there without one. Whatever they call themselves, those of one address (of IPv6:
    its /64) share what one user may take.

    Args:
        address: where the request comes from.
        sessions: values of the header `X-Session`.

    Raises:
        Refusal: the session is not 16 to 64 letters, digits, `-` and `_`.
    """
    account = account_of(address)
    if not sessions:
        return User(f"{ANONYMOUS}/{address or 'local'}", Role.USER, account)
    if len(sessions) > 1 or not _SESSION.fullmatch(sessions[0]):
        raise Refusal(400, "X-Session: 16 to 64 letters, digits, '-' and '_' are accepted, once")
    digest = hashlib.sha256(sessions[0].encode()).hexdigest()[:16]  # names stand in logs
    return User(f"{ANONYMOUS}/{address or 'local'}/{digest}", Role.USER, account)


def is_stranger(owner: str) -> bool:
    """Whether it is the name of a `stranger`."""
    return owner.startswith(f"{ANONYMOUS}/")


def unnamed(owner: str) -> bool:
    """Whether several strangers may be behind a name: all of an address who name no session."""
    return is_stranger(owner) and owner.count("/") == 1


class Authenticator:
    """Tells who sent a request.

    Args:
        settings: settings of the server.
        clock: monotonic seconds, of the throttles.
        failure_seconds: least duration of a failed login.

    Raises:
        SettingsError: users, secret or key cannot be used.
    """

    def __init__(
        self,
        settings: SecuritySettings,
        clock: Callable[[], float] = time.monotonic,
        failure_seconds: float = SECONDS_OF_A_FAILURE,
    ) -> None:
        self.settings, self.failure_seconds, self.clock = settings, failure_seconds, clock
        self.users = UserFile(settings.users_file) if settings.users_file else None
        self.tokens = OwnTokens(settings.token_minutes, settings.token_secret_file)
        file = settings.session_token_file
        self.session = SessionToken(file) if file else None
        self.issuer = (
            Issuer(
                settings.issuer,
                settings.issuer_audience,
                settings.issuer_key_file,
                settings.issuer_roles_claim,
            )
            if settings.issuer_key_file
            else None
        )
        self._by_user = Throttle(settings.failures_user, clock=clock)
        self._by_address = Throttle(settings.failures_address, clock=clock)
        self._comparing = ThreadPoolExecutor(settings.login_threads, "xr2mri-login")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting: Counter[str] = Counter()
        self._key = secrets.token_bytes(32)
        self._remembered: TTLCache[tuple[str, str], bytes]
        self._remembered = TTLCache(_MOST_REMEMBERED, self.tokens.seconds, timer=clock)

    async def identify(self, authorization: str, address: str) -> User:
        """The user behind an ``Authorization`` header.

        Raises:
            Refusal: 401 the credentials are wrong, 429 too many were.
        """
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return self._bearer(credentials.strip())
        if scheme.lower() == "basic":
            return await self.login(*_basic(credentials.strip()), address, remember=True)
        raise unauthorized("bearer tokens and basic login are accepted")

    async def login(self, name: str, password: str, address: str, remember: bool = False) -> User:
        """The user of a name and a password.

        Args:
            name: name as sent, known or not.
            password: password as sent.
            address: address of the client.
            remember: a right password for the life of a token, so that HTTP Basic, which sends it
                with every request, does not cost a hash each time.

        Raises:
            Refusal: 401 name or password are wrong, 429 too many were.
        """
        address, known_as = network_of(address), _short(name)
        if (user := self._recalled(name, password, address)) is not None:
            return User(user.name, user.role, user.name)
        self._check_throttles(known_as, address)
        if (
            self._waiting[address] >= self.settings.logins_address
            or self._waiting.total() >= self.settings.logins
        ):
            raise _wait("as many logins as may wait are being checked", 1.0)
        self._waiting[address] += 1
        try:
            # one of an address at a time, so that whoever guesses much delays others little; one of
            # a name, so that each guess is counted before the next
            async with self._turn(f"address {address}"), self._turn(f"name {known_as}"):
                user = self._recalled(name, password, address)  # others may have come, or failed
                if user is None:
                    self._check_throttles(known_as, address)
                    user = await self._verified(name, password)
                    if user is None:
                        self._by_user.failed(known_as)
                        self._by_address.failed(address)
                    else:
                        self._by_user.succeeded(known_as)
                        if remember:
                            self._remembered[known_as, address] = self._digest(user, password)
        finally:
            self._waiting[address] -= 1
            self._waiting += Counter()  # those with nobody are left out
        if user is None:
            await asyncio.sleep(self.failure_seconds)
            raise unauthorized("user name or password is wrong")
        return User(user.name, user.role, user.name)

    def issue(self, user: User) -> dict[str, str | int]:
        """The reply to a login: a token, as OAuth 2 (RFC 6749, 5.1) and stock clients have it."""
        stored = self.users.get(user.name) if self.users else None
        if stored is None:
            raise unauthorized("user name or password is wrong")
        token = self.tokens.issue(stored.name, stored.fingerprint)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self.tokens.seconds,
        }

    def _bearer(self, token: str) -> User:
        if self.session and self.session.matches(token):
            return LOCAL
        if self.users:
            try:
                name, fingerprint = self.tokens.read(token)
                stored = self.users.get(name)
                if stored and _same(stored.fingerprint, fingerprint):
                    return User(stored.name, stored.role, stored.name)
            except InvalidToken:
                pass
        if self.issuer:
            try:
                name, role = self.issuer.read(token)
                return User(name, role, name)
            except InvalidToken:
                pass
        raise unauthorized("the token is not valid, or has expired: log in again")

    def _recalled(self, name: str, password: str, address: str) -> StoredUser | None:
        """The user of a password that was right before, however often others have failed since.

        Only from where it came then, and the first wrong one from there ends it: nobody can try
        more passwords here than the throttles allow.
        """
        known = self._remembered.get((_short(name), address))
        stored = self.users.get(name) if self.users and known else None
        if known is None or stored is None:
            return None
        if hmac.compare_digest(known, self._digest(stored, password)):
            return stored
        self._remembered.pop((_short(name), address), None)
        return None

    def _digest(self, user: StoredUser, password: str) -> bytes:
        """What is remembered of a right password: another one, once the user gets another."""
        text = f"{user.name}\0{password}\0{user.password}"
        return hmac.digest(self._key, _bytes(text), hashlib.sha256)

    async def _verified(self, name: str, password: str) -> StoredUser | None:
        stored = self.users.get(name) if self.users else None
        known = stored.password if stored else NOBODYS_PASSWORD
        compare = partial(verify_password, known, password[:LONGEST_PASSWORD])
        right = await asyncio.get_running_loop().run_in_executor(self._comparing, compare)
        return stored if right else None

    def _turn(self, key: str) -> asyncio.Lock:
        """The lock of a name or an address; forgotten when nobody waits for it."""
        return self._turns.setdefault(key, asyncio.Lock())

    def _check_throttles(self, name: str, address: str) -> None:
        wait = max(self._by_user.wait(name), self._by_address.wait(address))
        if wait > 0:
            raise _wait("too many failed logins", wait)


def _short(name: str) -> str:
    """What is remembered of a name that somebody has sent, which may be as long as a form."""
    return hashlib.sha256(_bytes(name)).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(_bytes(one), _bytes(other))


def unauthorized(detail: str) -> Refusal:
    """401, with the ways to log in."""
    return Refusal(401, detail, _CHALLENGE)


def _wait(why: str, wait: float) -> Refusal:
    seconds = math.ceil(wait)
    return Refusal(429, f"{why}: try again in {seconds} s", {"Retry-After": str(seconds)})


def _basic(credentials: str) -> tuple[str, str]:
    try:
        name, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if not colon:
        raise unauthorized("the basic login is malformed")
    return name, password
