"""Bearer tokens: those that this server issues, and those of another issuer.

Both are JSON Web Tokens (RFC 7519). The algorithm is fixed by who issued the token, never read
from it; issuer, audience and expiry are required and checked.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from monai_app.lib.security.routes import Role
from monai_app.lib.security.settings import SettingsError
from monai_app.lib.security.users import check_private

_SELF = "xr2mri"
_CLAIMS = ["iss", "aud", "sub", "iat", "exp"]
_LEEWAY_SECONDS = 30
_SHORTEST_SECRET = 32
LONGEST_SUBJECT = 255
"""Characters; OpenID Connect Core 1.0, section 2."""
_ROLE_NAMES = {
    "xr2mri-user": Role.USER,
    "xr2mri-admin": Role.ADMIN,
    "monailabel-user": Role.USER,
    "monailabel-admin": Role.ADMIN,
}


class InvalidToken(Exception):
    """A token that is not to be trusted; deliberately without the reason."""


class OwnTokens:
    """Tokens of this server: HS256, short-lived.

    Args:
        minutes: life of a token.
        secret_file: file of at least 32 bytes; None: a secret is made, and a restart ends all
            tokens.
        clock: seconds since the epoch.

    Raises:
        SettingsError: the secret is missing, too short or readable by others.
    """

    def __init__(
        self,
        minutes: int,
        secret_file: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.seconds, self.clock = minutes * 60, clock
        self._secret = _read_secret(secret_file) if secret_file else secrets.token_bytes(64)

    def issue(self, name: str, fingerprint: str) -> str:
        """A token for a user."""
        now = int(self.clock())
        claims = {
            "iss": _SELF,
            "aud": _SELF,
            "sub": name,
            "iat": now,
            "exp": now + self.seconds,
            "pwd": fingerprint,
        }
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def read(self, token: str) -> tuple[str, str]:
        """Name of the user and fingerprint of the password.

        Raises:
            InvalidToken: forged, expired or for something else.
        """
        claims = _decode(token, self._secret, "HS256", _SELF, _SELF)
        fingerprint = claims.get("pwd")
        return claims["sub"], fingerprint if isinstance(fingerprint, str) else ""


class SessionToken:
    """The secret of the one user for whom a server was started, by a program of that user.

    Args:
        file: file with 32 printable characters or more; read once, so that it may be removed then.

    Raises:
        SettingsError: the secret is missing, too short or readable by others.
    """

    def __init__(self, file: Path) -> None:
        self._secret = _read_secret(file, "session_token_file")

    def matches(self, token: str) -> bool:
        """Whether a token is the secret."""
        return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._secret)

    def proof(self, nonce: str) -> str:
        """What only a server can answer that has the secret: HMAC-SHA256 of a nonce, in hex.

        So that a program never shows its secret, nor a radiograph, to another one that has taken
        the port of a server that has ended.
        """
        return hmac.new(self._secret, nonce.encode("ascii"), hashlib.sha256).hexdigest()


class Issuer:
    """Another server that issues tokens; its public key is configured, nothing is fetched.

    Args:
        issuer: the ``iss`` of its tokens.
        audience: the ``aud`` that they must have.
        key_file: public key, PEM: RSA of 2048 bits or more (RS256), or P-256 (ES256).
        roles_claim: path of the claim with the list of roles, with dots between.

    Raises:
        SettingsError: the key cannot be read or is of another kind.
    """

    def __init__(self, issuer: str, audience: str, key_file: Path, roles_claim: str) -> None:
        self.issuer, self.audience = issuer, audience
        self._roles_claim = roles_claim.split(".")
        self._key, self._algorithm = _read_key(key_file)

    def read(self, token: str) -> tuple[str, Role]:
        """Subject of the token, marked as foreign, and role.

        Raises:
            InvalidToken: forged, expired, for something else, or without a role here.
        """
        claims = _decode(token, self._key, self._algorithm, self.audience, self.issuer)
        roles: Any = claims
        for part in self._roles_claim:
            roles = roles.get(part) if isinstance(roles, Mapping) else None
        names = [name for name in roles if isinstance(name, str)] if isinstance(roles, list) else []
        role = max((_ROLE_NAMES.get(name, Role.NOBODY) for name in names), default=Role.NOBODY)
        if role is Role.NOBODY:
            raise InvalidToken
        return f"external/{claims['sub']}", role  # the name could be chosen by its user


def _decode(token: str, key: Any, algorithm: str, audience: str, issuer: str) -> dict[str, Any]:
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=audience,
            issuer=issuer,
            leeway=_LEEWAY_SECONDS,
            options={"require": _CLAIMS},
        )
    except Exception:  # whatever a foreign text does to its reader, it is no token
        raise InvalidToken from None
    subject = claims["sub"]
    known = isinstance(subject, str) and 0 < len(subject) <= LONGEST_SUBJECT
    if not (known and subject.isprintable()):
        raise InvalidToken  # it becomes a user name, in logs and replies
    return claims


def _read_secret(path: Path, setting: str = "token_secret_file") -> bytes:
    remedy = f"{_SHORTEST_SECRET} bytes or more are needed, as by openssl rand -hex 32"
    check_private(path, setting, remedy)
    secret = path.read_bytes().strip()
    if len(secret) < _SHORTEST_SECRET:
        raise SettingsError(f"{setting} '{path}': {remedy}")
    return secret


def _read_key(path: Path) -> tuple[Any, str]:
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"issuer_key_file '{path}': {error.strerror or error}") from None
    except ValueError:
        raise SettingsError(f"issuer_key_file '{path}': not a public key in PEM") from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        return key, "RS256"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key, "ES256"
    raise SettingsError(f"issuer_key_file '{path}': RSA from 2048 bits and P-256 are accepted")
