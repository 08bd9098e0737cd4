"""What an administrator can set: ``--conf key value``, or ``XR2MRI_KEY`` in the environment.

The defaults are those of the plain start command: this machine only, no login, nothing for web
pages of other origins. Whatever opens more has to be said, and half of a configuration is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from monai_app.lib.bounds import Bounds, whole
from monai_app.lib.options import read_options
from monai_app.lib.quotas import Quota
from xr2mri_core.errors import InputError

ANY_ORIGIN = "*"

_WITHIN = (
    ("max_upload_mb", "uploads_user_mb"),
    ("uploads_user_mb", "uploads_mb"),
    ("max_upload_mb", "sessions_user_mb"),
    ("sessions_user_mb", "sessions_mb"),
    ("results_user_mb", "results_mb"),
    ("max_upload_mb", "pacs_user_mb"),
    ("pacs_user_mb", "pacs_mb"),
)
"""Bounds, the first of which is not larger than the second."""
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")


class SettingsError(InputError):
    """A setting has a value that cannot be used, or does not go with the others."""


def _host(value: str) -> str:
    if not _HOST.fullmatch(value.lower()):
        raise ValueError("a host name or address, without scheme and port, is accepted")
    return value.lower()


def _hosts(value: str) -> tuple[str, ...]:
    return tuple(_host(item.strip()) for item in value.split(",") if item.strip())


def _origin(value: str) -> str:
    parts = urlsplit(value.lower())
    if value != ANY_ORIGIN and (
        parts.scheme not in ("http", "https") or value.lower() != f"{parts.scheme}://{parts.netloc}"
    ):
        raise ValueError("origins as https://viewer.hospital.org are accepted, with commas between")
    return value.lower()


def _origins(value: str) -> tuple[str, ...]:
    return tuple(_origin(item.strip()) for item in value.split(",") if item.strip())


_Path = Annotated[Path | None, AfterValidator(lambda path: path.expanduser())]


@dataclass(frozen=True)
class SecuritySettings(Bounds):
    """How the server is guarded. Every field, the bounds' too, is the name of its ``--conf`` key.

    The annotations say what is accepted; see `monai_app.lib.options`.
    """

    public_host: Annotated[str, AfterValidator(_host)] = ""
    """The name by which others reach the server, that of the reverse proxy. Default: none."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)] = ()
    """More names that a ``Host`` header may carry, with commas between. Default: none."""
    allowed_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = ()
    """Origins of web pages that may call the server, or ``*`` with a login. Default: none."""
    users_file: _Path = None
    """Users who may log in, made by the command of `users`. Default: no login."""
    token_minutes: Annotated[int, whole(1, 24 * 60)] = 60
    """Life of a bearer token of this server, 1 to 1440. Default: 60."""
    token_secret_file: _Path = None
    """At least 32 random bytes that sign the tokens. Default: made anew at each start."""
    session_token_file: _Path = None
    """A secret of 32 characters or more, of the program that starts this server for one user.

    Whoever has it may do everything, nobody else anything. Default: none."""
    issuer: str = ""
    """``iss`` of tokens that another server issues, a Keycloak realm say. Default: none."""
    issuer_audience: str = ""
    """``aud`` that such tokens must carry. No default: set with ``issuer``."""
    issuer_key_file: _Path = None
    """The issuer's public key, PEM: RSA for RS256, P-256 for ES256. Set with ``issuer``."""
    issuer_roles_claim: str = "realm_access.roles"
    """Where such a token lists roles. Default: ``realm_access.roles``."""
    allow_anonymous_remote: bool = False
    """Serve other machines without a login (yes or no). Default: no."""
    pacs_store: Annotated[Literal["no", "user", "admin"], BeforeValidator(str.lower)] = "user"
    """Whose results may be stored in the PACS: nobody's, those of users who have logged in, or of
    administrators. Whoever sits at this machine while nobody can log in is one. Default: user."""
    docs: Annotated[Literal["auto", "on", "off"], BeforeValidator(str.lower)] = "auto"
    """The pages that describe the API: ``auto`` shows them on this machine. Default: auto."""
    audit_file: _Path = None
    """The audit log, a line a request; rotated. Default: standard error."""
    audit_max_mb: Annotated[int, whole(1, 1024)] = 16
    """Size at which the audit log is rotated, 1 to 1024 MiB. Default: 16."""
    audit_keep: Annotated[int, whole(1, 1000)] = 10
    """Rotated audit logs that are kept, 1 to 1000. Default: 10."""

    def __post_init__(self) -> None:
        for less, more in _WITHIN:
            if getattr(self, less) > getattr(self, more):
                raise SettingsError(
                    f"{less} {getattr(self, less)}: {more} is {getattr(self, more)}, and that has "
                    "to hold it; raise it, too"
                )
        issuer = {
            "issuer": self.issuer,
            "issuer_audience": self.issuer_audience,
            "issuer_key_file": self.issuer_key_file,
        }
        missing = [name for name, value in issuer.items() if not value]
        if len(missing) not in (0, len(issuer)):
            raise SettingsError(
                f"{', '.join(missing)}: tokens of another issuer need {', '.join(issuer)} together"
            )
        if ANY_ORIGIN in self.allowed_origins and not self.authentication:
            raise SettingsError(
                "allowed_origins *: every web page could use this server; name the origins, or "
                "ask for a login (users_file)"
            )

    @classmethod
    def from_conf(cls, conf: Mapping[str, str]) -> SecuritySettings:
        """Read the settings; ``conf`` precedes the environment, and its other keys are left alone.

        Args:
            conf: configuration as MONAI Label hands it to the app.

        Raises:
            SettingsError: a value is not accepted, or does not go with the others.
        """
        try:
            return cls(**read_options(cls, conf))
        except SettingsError:
            raise
        except ValueError as error:
            raise SettingsError(str(error)) from None

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The ``--conf`` keys that are read here."""
        return tuple(item.name for item in fields(cls))

    @property
    def authentication(self) -> bool:
        """Whether anybody can log in."""
        return bool(self.users_file or self.session_token_file or self.issuer)

    @property
    def login_needed(self) -> bool:
        """Whether a request without credentials is turned away."""
        return self.authentication and not self.allow_anonymous_remote

    @property
    def shared(self) -> bool:
        """Whether there are several users; one alone may have what all may have."""
        return self.authentication or self.allow_anonymous_remote

    def quota(self, kind: str, name: str = "") -> Quota:
        """The bound on `uploads`, `sessions`, `results` or images of a `pacs`; how it is called."""
        own: int = getattr(self, f"{kind}_user_mb") << 20
        return Quota(name or kind, getattr(self, f"{kind}_mb") << 20, own if self.shared else None)

    @property
    def max_upload_bytes(self) -> int:
        """Largest upload in bytes."""
        return self.max_upload_mb << 20

    @property
    def hosts(self) -> frozenset[str]:
        """Names besides those of the loopback that a ``Host`` header may carry."""
        return frozenset(filter(None, (self.public_host, *self.allowed_hosts)))
