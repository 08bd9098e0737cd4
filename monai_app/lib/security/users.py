"""Users of this server, and the command that makes them.

    python -m monai_app.lib.security.users add ada --role user

(in the app folder) asks for a password and writes the user into a JSON file that only its owner
may read; ``--conf users_file FILE`` makes the server use it. Passwords are kept as scrypt hashes
(RFC 7914; N = 2^15, r = 8, p = 1: 32 MiB and some 0.1 s a guess). A changed file counts from the
next request on: a removed user is out, and a new password ends the tokens made with the old one.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from monai_app.lib.security.routes import Role
from monai_app.lib.security.settings import SettingsError
from xr2mri_core.errors import InputError, XR2MRIError, shown
from xr2mri_core.files import atomic_files, check_writable

ANONYMOUS = "anonymous"
"""The name of whoever has not logged in; nobody can be called so."""
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1024
_PROGRAM = "monai_app.lib.security.users"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOCK_SECONDS = 10.0
_COST = (2**15, 8, 1)
_ROLES = {role.name.lower(): role for role in (Role.USER, Role.ADMIN)}

log = logging.getLogger("xr2mri.security")


@dataclass(frozen=True)
class StoredUser:
    """A user as the file has it: name, role, and ``scrypt$N$r$p$salt$hash``."""

    name: str
    role: Role
    password: str

    @property
    def fingerprint(self) -> str:
        """Changes with the password; tells nothing of it."""
        return hashlib.sha256(self.password.encode()).hexdigest()[:16]


def hash_password(password: str) -> str:
    """The salted hash of a password."""
    salt = secrets.token_bytes(16)
    parts = (salt, _scrypt(password, salt, *_COST))
    return "$".join(
        ["scrypt", *map(str, _COST), *(base64.b64encode(part).decode() for part in parts)]
    )


def verify_password(stored: str, password: str) -> bool:
    """Whether a password is the one behind a hash; takes the same time for every wrong one."""
    n, r, p, salt, expected = _parts(stored)
    return hmac.compare_digest(_scrypt(password, salt, n, r, p), expected)


def _parts(stored: str) -> tuple[int, int, int, bytes, bytes]:
    """N, r, p, salt and hash; a ValueError if it is no such text."""
    kind, n, r, p, salt, expected = stored.split("$")
    if kind != "scrypt":
        raise ValueError(kind)
    return int(n), int(r), int(p), base64.b64decode(salt), base64.b64decode(expected)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=n * r * 128 * 2, dklen=32)


NOBODYS_PASSWORD = hash_password(secrets.token_urlsafe(32))
"""What the password of an unknown user is compared with, so that it takes as long."""


def check_private(path: Path, setting: str, remedy: str, anyones: bool = False) -> None:
    """See to it that only its owner, who runs the server, can read a file with secrets.

    Args:
        path: the file.
        setting: what names it.
        remedy: how it is made.
        anyones: accept one of another user, as root does who keeps a server's.

    Raises:
        SettingsError: it is missing, others may read it, or this process may not.
    """
    named = f"{setting} '{path}'"
    try:
        state = path.stat()
        with path.open("rb"):
            pass
    except PermissionError:
        raise SettingsError(
            f"{named} cannot be read: give it to the user that runs the server (chown)"
        ) from None
    except (FileNotFoundError, NotADirectoryError):
        raise SettingsError(f"{named} is not there: {remedy}") from None
    except OSError as error:
        raise SettingsError(f"{named}: {error.strerror or error}") from None
    if os.name == "posix":
        if state.st_mode & 0o077:
            raise SettingsError(f"{named} can be read by others: chmod 600 '{path}'")
        if state.st_uid not in (os.geteuid(), 0) and not anyones:
            raise SettingsError(f"{named} belongs to another user: chown it to this server's")


def read_users(path: Path, anyones: bool = False) -> dict[str, StoredUser]:
    """The users of a file; `anyones`: see `check_private`.

    Raises:
        SettingsError: the file is missing, malformed, readable by others, not readable here, or
            without users.
    """
    check_private(
        path, "users_file", f"make it with python -m {_PROGRAM} add NAME --file '{path}'", anyones
    )
    try:
        content = json.loads(path.read_text("utf-8"))["users"]
        users = {
            name: StoredUser(name, _ROLES[entry["role"]], entry["password"])
            for name, entry in content.items()
        }
        for user in users.values():
            if not _NAME.fullmatch(user.name) or user.name == ANONYMOUS:
                raise ValueError(user.name)
            _parts(user.password)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise SettingsError(
            f"users_file '{path}' is malformed: make it with python -m {_PROGRAM}"
        ) from None
    if not users:
        raise SettingsError(f"users_file '{path}' has no user: python -m {_PROGRAM} add")
    return users


def write_users(path: Path, users: Mapping[str, StoredUser]) -> None:
    """Write a file of users, whole or not at all, for its owner only; who owned it still does."""
    content = {
        user.name: {"role": user.role.name.lower(), "password": user.password}
        for user in users.values()
    }
    with atomic_files(path.parent) as files:
        temporary = files.path(path)
        temporary.touch(0o600)
        temporary.write_text(json.dumps({"users": content}, indent=2) + "\n", "utf-8")
        if os.name == "posix" and path.exists():
            owner = path.stat()
            os.chown(temporary, owner.st_uid, owner.st_gid)


class UserFile:
    """The users of a server: read at the start, and again whenever the file has changed.

    Raises:
        SettingsError: as `read_users`, at the start. Later a file that cannot be used lets
            nobody in until it is mended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._users, self._state = read_users(path), self._look()

    def get(self, name: str) -> StoredUser | None:
        """The user of that name."""
        state = self._look()
        if state != self._state:
            self._state = state
            try:
                self._users = read_users(self.path)
            except SettingsError as error:
                log.error("nobody can log in: %s", error)
                self._users = {}
        return self._users.get(name)

    def _look(self) -> tuple[int, ...] | None:
        try:
            state = self.path.stat()
        except OSError:
            return None
        return state.st_ino, state.st_mtime_ns, state.st_size, state.st_mode, state.st_uid


# --- the command --------------------------------------------------------------------------------


def default_file() -> Path:
    """Where the command keeps users unless another file is named."""
    configuration = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(os.environ.get("XR2MRI_USERS_FILE") or Path(configuration) / "xr2mri/users.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    arguments = _parser().parse_args(argv)
    path: Path = arguments.file
    try:
        users = _users_of(path)
        if arguments.command == "list":
            for user in users.values():
                print(f"{user.name}\t{user.role.name.lower()}")
            return 0
        new = None
        if arguments.command == "add":
            new = _new_user(arguments.name, _ROLES[arguments.role])
        with _alone(path):
            users = _users_of(path)  # others may have come while the password was asked for
            if new is not None:
                users[new.name] = new
            elif users.pop(arguments.name, None) is None:
                raise InputError(f"no user {shown(arguments.name)} in '{path}'")
            elif not users:
                raise InputError(f"{shown(arguments.name)} is the last user: delete '{path}'")
            write_users(path, users)
    except XR2MRIError as error:
        print(f"users: error: {error}", file=sys.stderr)
        return 2
    print(f"users in '{path}': {len(users)}; start the server with --conf users_file '{path}'")
    return 0


def _users_of(path: Path) -> dict[str, StoredUser]:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError:
        pass  # reading says what is wrong
    return read_users(path, anyones=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keeps others from changing the file meanwhile: of two commands, one's user would be lost."""
    folder = check_writable(path.parent)
    lock = FileLock(folder / f".{path.name}.lock", _LOCK_SECONDS, mode=0o600)
    try:
        lock.acquire()
        if os.name == "posix" and os.geteuid() == 0:  # the server's own user has to open it, too
            owner = (path if path.exists() else folder).stat()
            os.chown(lock.lock_file, owner.st_uid, owner.st_gid)
    except Timeout:
        raise InputError(f"'{path}' is being changed by another command; try again") from None
    except OSError as error:
        raise InputError(f"'{lock.lock_file}': {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def _new_user(name: str, role: Role) -> StoredUser:
    if not _NAME.fullmatch(name) or name == ANONYMOUS:
        raise InputError(
            f"user name {shown(name)}: letters, digits, '.', '_' and '-' are accepted, 64 at most, "
            f"and not '{ANONYMOUS}'"
        )
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password of {name}: ")
        if password != getpass.getpass("Once more: "):
            raise InputError("the two passwords differ")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InputError(f"a password of {SHORTEST_PASSWORD} characters or more is needed")
    return StoredUser(name, role, hash_password(password))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {_PROGRAM}", description="Users of the XR2MRI server."
    )
    of_file: dict[str, Any] = {"type": Path, "help": f"of the users (default: {default_file()})"}
    parser.add_argument("--file", default=default_file(), **of_file)
    commands = parser.add_subparsers(dest="command", required=True)

    def declared(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--file", default=argparse.SUPPRESS, **of_file)  # behind it, too
        return command

    text = "add a user or change it; the password is asked for, or read from a pipe"
    add = declared("add", text)
    add.add_argument("name")
    add.add_argument("--role", choices=sorted(_ROLES), default="user")
    declared("remove", "remove a user").add_argument("name")
    declared("list", "names and roles")
    return parser


if __name__ == "__main__":
    sys.exit(main())
