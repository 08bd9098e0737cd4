"""Who asks: users, passwords, tokens of this server and of another, and those who guess."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import time
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from security_support import PASSWORD, NoAudit, ask, guarded, make_users
from served_routes import everything

from monai_app.lib.security import users as users_module
from monai_app.lib.security.auth import FAILURES_OF_A_USER, FAILURES_OF_AN_ADDRESS, Authenticator
from monai_app.lib.security.guard import Guard
from monai_app.lib.security.login import login_router
from monai_app.lib.security.refusal import Refusal
from monai_app.lib.security.routes import Role
from monai_app.lib.security.settings import SecuritySettings, SettingsError
from monai_app.lib.security.throttle import Throttle
from monai_app.lib.security.tokens import InvalidToken, Issuer, OwnTokens
from monai_app.lib.security.users import (
    UserFile,
    hash_password,
    main,
    read_users,
    verify_password,
    write_users,
)


@pytest.fixture(scope="module")
def users_file(tmp_path_factory):
    return make_users(tmp_path_factory.mktemp("users"))


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


# --- roles --------------------------------------------------------------------------------------


def test_a_login_is_needed_for_all_but_health_and_login(users_file):
    guard, behind = guarded(users_file=users_file)
    for url in ("/info/", "/jobs", "/train/", "/", "/docs", "/openapi.json", "/datastore/"):
        reply = ask(guard, url=url)
        assert reply.status_code == 401 and "Bearer" in reply.headers["www-authenticate"]
    assert not behind.calls
    assert ask(guard, url="/health").status_code == ask(guard, url="/auth/").status_code == 200


def test_roles_are_checked(users_file):
    guard, _ = guarded(users_file=users_file)
    ada, root = ("ada", PASSWORD), ("root", PASSWORD)
    assert ask(guard, auth=ada).json() == {"user": "ada", "role": Role.USER}
    assert ask(guard, url="/train/", auth=ada).status_code == 403
    assert ask(guard, url="/train/", auth=root).json() == {"user": "root", "role": Role.ADMIN}


def test_without_a_login_this_machine_may_everything():
    guard, _ = guarded()
    assert ask(guard, url="/train/").json() == {"user": "anonymous", "role": Role.ADMIN}


def test_strangers_may_generate_but_not_train(users_file):
    guard, _ = guarded(allow_anonymous_remote=True, host="0.0.0.0", users_file=users_file)
    remote = {"base": "http://10.0.0.7", "client": ("10.1.2.3", 1)}
    assert ask(guard, **remote).json() == {"user": "anonymous/10.1.2.3", "role": Role.USER}
    assert ask(guard, url="/train/", **remote).status_code == 403
    assert ask(guard, url="/train/", auth=("root", PASSWORD), **remote).status_code == 200
    assert ask(guard, auth=("root", "wrong"), **remote).status_code == 401


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !!!", "Basic YWRh", "Bearer", "Bearer x.y.z", "Digest a", "None None"],
)
def test_malformed_credentials_are_401(header, users_file):
    guard, behind = guarded(users_file=users_file)
    assert ask(guard, headers={"Authorization": header}).status_code == 401 and not behind.calls


# --- the routes of the login --------------------------------------------------------------------


def application(**settings):
    """The login's routes behind the guard, as `protect` sets them up."""
    settings = SecuritySettings(**settings)
    authenticator, app, audit = Authenticator(settings, failure_seconds=0.0), FastAPI(), NoAudit()
    app.include_router(login_router(authenticator))
    return Guard(app, settings, everything(), authenticator=authenticator, audit=audit), audit


def log_in(app, name="ada", password=PASSWORD):
    form = {"username": name, "password": password, "grant_type": "password"}
    return ask(app, "POST", "/auth/token", data=form)


def test_a_stock_client_logs_in(users_file):
    app, audit = application(users_file=users_file)
    assert ask(app, url="/auth/").json()["enabled"] is True
    token = log_in(app).json()
    header = f"{token['token_type']} {token['access_token']}"  # as stock clients put it
    valid = ask(app, url="/auth/token/valid", headers={"Authorization": header})
    assert valid.json()["username"] == "ada" and valid.json()["roles"] == ["user"]
    assert [line["user"] for line in audit.lines] == [None, "ada", "ada"]
    assert ask(app, url="/auth/token/valid").status_code == 401
    wrong = log_in(app, password="wrong")
    assert wrong.status_code == 401 and "password is wrong" in wrong.json()["detail"]


def test_without_a_login_stock_clients_ask_for_none():
    app, _ = application()
    assert ask(app, url="/auth/").json()["enabled"] is False
    assert log_in(app).json() == {"access_token": None, "token_type": None}


# --- guessing -----------------------------------------------------------------------------------


@pytest.fixture
def cheap(monkeypatch, users_file):
    """Comparing a password costs nothing, so that a test can guess a lot."""
    known = {user.password for user in read_users(users_file).values()}
    monkeypatch.setattr(
        "monai_app.lib.security.auth.verify_password",
        lambda stored, password: stored in known and password == PASSWORD,
    )


def test_a_throttle_doubles_the_wait_and_forgets():
    clock = Clock()
    throttle = Throttle(allowed=2, longest=8, clock=clock)
    waits = []
    for _ in range(7):
        throttle.failed("ada")
        waits.append(throttle.wait("ada"))
    assert waits == [0, 1, 2, 4, 8, 8, 8]
    assert throttle.wait("eve") == 0
    clock.now += 8.5
    assert throttle.wait("ada") == 0
    throttle.failed("ada")
    assert throttle.wait("ada") == 0  # counted from one again
    throttle.failed("ada")
    throttle.succeeded("ada")
    throttle.failed("ada")
    assert throttle.wait("ada") == 0


def test_many_names_do_not_have_a_throttle_forget_one(monkeypatch):
    """10,000 of them made a guessed name's failures go."""
    monkeypatch.setattr("monai_app.lib.security.throttle._MOST_KEYS", 100)
    throttle = Throttle(allowed=5, clock=Clock())
    for _ in range(9):
        throttle.failed("ada")
    for number in range(500):
        throttle.failed(f"nobody-{number}")
    assert throttle.wait("ada") == 16 and len(throttle._failures) == 100
    for _ in range(6):
        throttle.failed("eve")
    assert throttle.wait("eve") == 2, "one that comes last is counted"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 20)), max_size=40))
def test_a_throttle_never_waits_longer_than_the_longest(events):
    clock = Clock()
    throttle = Throttle(allowed=2, longest=8, clock=clock)
    for key, failed, pause in events:
        (throttle.failed if failed else throttle.succeeded)(key)
        clock.now += pause
        assert 0 <= throttle.wait(key) <= 8


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_guessing_is_throttled_for_known_and_unknown_users(name, users_file, cheap):
    app, _ = application(users_file=users_file)
    statuses = [log_in(app, name, f"guess {n}").status_code for n in range(FAILURES_OF_A_USER + 1)]
    assert statuses == [401] * FAILURES_OF_A_USER + [429]
    right = log_in(app, name)  # the right password does not help before the time is over
    assert right.status_code == 429 and int(right.headers["retry-after"]) >= 1
    assert log_in(app, "root").status_code == 200


def test_guessing_many_names_is_throttled_by_address(users_file, cheap):
    clock = Clock()
    authenticator = Authenticator(SecuritySettings(users_file=users_file), clock, 0.0)

    def status(name, address):
        try:
            asyncio.run(authenticator.login(name, "guess" * 3, address))
        except Refusal as refusal:
            return refusal.status

    tries = [status(f"user{n}", "10.0.0.1") for n in range(FAILURES_OF_AN_ADDRESS + 1)]
    assert tries == [401] * FAILURES_OF_AN_ADDRESS + [429]
    assert status("other", "10.0.0.2") == 401


def test_of_long_names_little_is_remembered(users_file, cheap):
    """Each may be as long as a form, and thousands are remembered."""
    authenticator = Authenticator(SecuritySettings(users_file=users_file), failure_seconds=0.0)
    for _ in range(FAILURES_OF_A_USER):
        with pytest.raises(Refusal):
            asyncio.run(authenticator.login("a" * 60_000, "guess", "10.0.0.1"))
    with pytest.raises(Refusal, match="too many"):
        asyncio.run(authenticator.login("a" * 60_000, "guess", "10.0.0.2"))
    assert all(len(str(key)) < 100 for key in authenticator._by_user._failures)


def test_guesses_at_the_same_time_count_each(users_file, cheap):
    authenticator = Authenticator(SecuritySettings(users_file=users_file), failure_seconds=0.0)

    async def guess(n):
        try:
            await authenticator.login("ada", f"guess {n}", "10.0.0.1")
        except Refusal as refusal:
            return refusal.status

    async def all_at_once():
        return await asyncio.gather(*(guess(n) for n in range(FAILURES_OF_A_USER + 5)))

    assert sorted(asyncio.run(all_at_once())) == [401] * FAILURES_OF_A_USER + [429] * 5


def test_a_failure_is_slow_and_an_unknown_user_costs_as_much(users_file, monkeypatch):
    compared = []
    monkeypatch.setattr(
        "monai_app.lib.security.auth.verify_password",
        lambda stored, password: compared.append(stored) or False,
    )
    authenticator = Authenticator(SecuritySettings(users_file=users_file), failure_seconds=0.1)
    for name in ("ada", "nobody"):
        started = time.perf_counter()
        with pytest.raises(Refusal):
            asyncio.run(authenticator.login(name, "guess", "10.0.0.1"))
        assert time.perf_counter() - started >= 0.1
    costs = {stored.split("$")[1] for stored in compared}
    assert len(compared) == 2 and len(costs) == 1


def test_basic_logins_are_not_hashed_each_time(users_file, monkeypatch):
    authenticator = Authenticator(SecuritySettings(users_file=users_file), failure_seconds=0.0)
    asyncio.run(authenticator.login("ada", PASSWORD, "a", remember=True))
    monkeypatch.setattr("monai_app.lib.security.auth.verify_password", lambda *_: False)
    assert asyncio.run(authenticator.login("ada", PASSWORD, "a", remember=True)).name == "ada"
    with pytest.raises(Refusal):
        asyncio.run(authenticator.login("ada", PASSWORD + "!", "a", remember=True))


def test_guesses_from_elsewhere_do_not_end_a_basic_login(tmp_path, users_file, cheap):
    """They counted for the name, and each of its requests was a login again: 429."""
    path = tmp_path / "users.json"
    write_users(path, users := read_users(users_file))
    clock = Clock()
    authenticator = Authenticator(SecuritySettings(users_file=path), clock, 0.0)

    def status(address, password=PASSWORD):
        header = "Basic " + base64.b64encode(f"ada:{password}".encode()).decode()
        try:
            asyncio.run(authenticator.identify(header, address))
        except Refusal as refusal:
            return refusal.status
        return 200

    assert status("10.0.0.1") == 200
    guesses = [status("10.0.0.2", f"guess {n}") for n in range(FAILURES_OF_A_USER + 1)]
    assert guesses == [401] * FAILURES_OF_A_USER + [429]
    assert status("10.0.0.1") == 200 and status("10.0.0.2") == 429
    write_users(path, users | {"ada": replace(users["ada"], password=hash_password("new" * 9))})
    assert status("10.0.0.1") == 429, "another password ends it"
    write_users(path, users)
    clock.now += 1000
    assert status("10.0.0.1") == 200
    for _ in range(FAILURES_OF_A_USER):
        status("10.0.0.2", "guess")
    assert status("10.0.0.1", "guess") == 429 and status("10.0.0.1") == 429, "nobody guesses here"


def test_a_full_line_of_logins_is_no_failure(users_file, cheap):
    settings = SecuritySettings(users_file=users_file, logins_address=2)
    authenticator = Authenticator(settings, failure_seconds=0.0)

    async def log_in():
        try:
            return (await authenticator.login("ada", PASSWORD, "10.0.0.1", remember=True)).name
        except Refusal as refusal:
            return refusal.status, refusal.detail

    async def all_at_once():
        first = await asyncio.gather(*(log_in() for _ in range(3)))
        return first, await asyncio.gather(*(log_in() for _ in range(3)))

    first, then = asyncio.run(all_at_once())
    said = (429, "as many logins as may wait are being checked: try again in 1 s")
    assert first == ["ada", "ada", said] and then == ["ada"] * 3


# --- tokens -------------------------------------------------------------------------------------


def own_token(tokens, **changes):
    claims = jwt.decode(tokens.issue("ada", "f"), options={"verify_signature": False}) | changes
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None}, tokens._secret
    )


def test_own_tokens_are_read():
    tokens = OwnTokens(5)
    assert tokens.read(tokens.issue("ada", "f")) == tokens.read(own_token(tokens)) == ("ada", "f")


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"exp": None},
        {"aud": "other"},
        {"aud": None},
        {"iss": "other"},
        {"iss": None},
        {"sub": None},
        {"iat": None},
    ],
)
def test_tokens_with_a_wrong_claim_are_refused(changes):
    tokens = OwnTokens(5)
    with pytest.raises(InvalidToken):
        tokens.read(own_token(tokens, **changes))


def test_forged_tokens_are_refused():
    tokens = OwnTokens(5)
    good = tokens.issue("ada", "f")
    claims = jwt.decode(good, options={"verify_signature": False})
    header, payload, _ = good.split(".")
    forged = [
        jwt.encode(claims, "x" * 64, algorithm="HS256"),
        jwt.encode(claims, None, algorithm="none"),
        jwt.encode(claims, tokens._secret, algorithm="HS512"),
        f"{header}.{payload}.",
        good[:-2] + "AA",
        OwnTokens(5).issue("ada", "f"),
        "",
        "a.b.c",
        "\u20ac",
    ]
    for token in forged:
        with pytest.raises(InvalidToken):
            tokens.read(token)


def test_tokens_end_with_the_user_and_with_the_password(tmp_path):
    path = make_users(tmp_path)
    app, _ = application(users_file=path)
    token = log_in(app).json()["access_token"]

    def status():
        headers = {"Authorization": f"Bearer {token}"}
        return ask(app, url="/auth/token/valid", headers=headers).status_code

    def roles():
        headers = {"Authorization": f"Bearer {token}"}
        return ask(app, url="/auth/token/valid", headers=headers).json()["roles"]

    users = read_users(path)
    assert status() == 200 and roles() == ["user"]
    write_users(path, users | {"ada": replace(users["ada"], role=Role.ADMIN)})
    assert roles() == ["admin"]  # the role is the file's, and not the token's
    write_users(path, users)
    assert roles() == ["user"]
    write_users(path, users | {"ada": replace(users["ada"], password=hash_password("new" * 9))})
    assert status() == 401
    write_users(path, users)
    assert status() == 200
    write_users(path, {"root": users["root"]})
    assert status() == 401


def test_a_secret_of_a_file_survives_a_restart(tmp_path):
    path = tmp_path / "secret"
    path.write_text("0123456789abcdef" * 4)
    path.chmod(0o600)
    assert OwnTokens(5, path).read(OwnTokens(5, path).issue("ada", "f")) == ("ada", "f")
    path.write_text("short")
    with pytest.raises(SettingsError, match="32 bytes"):
        OwnTokens(5, path)
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        OwnTokens(5, path)


@pytest.fixture(scope="module", params=["RS256", "ES256"])
def issuer(request, tmp_path_factory):
    """Another issuer: its algorithm, private key and settings."""
    rs256 = request.param == "RS256"
    key = (
        rsa.generate_private_key(65537, 2048) if rs256 else ec.generate_private_key(ec.SECP256R1())
    )
    path = tmp_path_factory.mktemp("issuer") / "key.pem"
    path.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    settings = SecuritySettings(
        issuer="https://sso.org/realms/x", issuer_audience="xr2mri", issuer_key_file=path
    )
    return request.param, key, settings


def foreign(issuer, roles=("monailabel-user",), key=None, algorithm=None, **changes):
    now = int(time.time())
    claims = {
        "iss": issuer[2].issuer,
        "aud": "xr2mri",
        "sub": "u-1",
        "iat": now,
        "exp": now + 60,
        "preferred_username": "root",
        "realm_access": {"roles": list(roles)},
    }
    return jwt.encode(claims | changes, key or issuer[1], algorithm=algorithm or issuer[0])


def test_tokens_of_another_issuer_are_accepted(issuer):
    authenticator = Authenticator(issuer[2])
    user = asyncio.run(authenticator.identify(f"Bearer {foreign(issuer)}", "a"))
    assert (user.name, user.role) == ("external/u-1", Role.USER)
    admin = foreign(issuer, roles=("x", "xr2mri-admin", "xr2mri-user"))
    assert asyncio.run(authenticator.identify(f"bearer {admin}", "a")).role is Role.ADMIN


def test_its_forged_tokens_are_not(issuer):
    algorithm, _, settings = issuer
    public = settings.issuer_key_file.read_bytes()
    hmac_key = public.replace(b"-----BEGIN PUBLIC KEY-----", b"").strip()
    reader = Issuer(
        "https://sso.org/realms/x", "xr2mri", settings.issuer_key_file, "realm_access.roles"
    )
    other = ec.generate_private_key(ec.SECP256R1())
    bad = [
        foreign(issuer, aud="account"),
        foreign(issuer, iss="https://evil.example"),
        foreign(issuer, exp=1),
        foreign(issuer, roles=("offline_access",)),
        foreign(issuer, realm_access="xr2mri-admin"),
        foreign(issuer, realm_access={"roles": "xr2mri-admin"}),
        foreign(issuer, key=other, algorithm="ES256"),
        foreign(issuer, key=hmac_key, algorithm="HS256"),
    ]
    if algorithm == "RS256":
        bad.append(foreign(issuer, algorithm="RS512"))
    for token in bad:
        with pytest.raises(InvalidToken):
            reader.read(token)


def test_passwords_are_not_asked_for_with_an_issuer_only(issuer):
    app, _ = application(
        issuer=issuer[2].issuer, issuer_audience="xr2mri", issuer_key_file=issuer[2].issuer_key_file
    )
    assert log_in(app).status_code == 404
    assert ask(app, url="/auth/token/valid", auth=("ada", PASSWORD)).status_code == 401


def test_weak_keys_are_refused(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text("no key")
    with pytest.raises(SettingsError, match="PEM"):
        Issuer("i", "a", path, "roles")
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    path.write_bytes(
        key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    with pytest.raises(SettingsError, match="P-256"):
        Issuer("i", "a", path, "roles")


# --- the file and the command -------------------------------------------------------------------


def test_passwords_are_salted_and_compared():
    first, second = hash_password(PASSWORD), hash_password(PASSWORD)
    assert first != second and PASSWORD not in first
    assert verify_password(first, PASSWORD) and not verify_password(first, PASSWORD + " ")


def run(monkeypatch, path, *arguments, password=PASSWORD):
    monkeypatch.setattr(
        "sys.stdin",
        type(
            "Pipe", (), {"isatty": lambda self: False, "readline": lambda self: password + "\n"}
        )(),
    )
    return main(["--file", str(path), *arguments])


def test_the_command_adds_lists_and_removes(tmp_path, monkeypatch, capsys):
    path = tmp_path / "conf" / "users.json"
    assert run(monkeypatch, path, "add", "ada", "--role", "user") == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert f"--conf users_file '{path}'" in capsys.readouterr().out
    assert run(monkeypatch, path, "add", "root", "--role", "admin") == 0
    assert PASSWORD not in path.read_text()
    capsys.readouterr()
    assert run(monkeypatch, path, "list") == 0
    assert capsys.readouterr().out == "ada\tuser\nroot\tadmin\n"
    assert main(["list", "--file", str(path)]) == 0
    assert capsys.readouterr().out == "ada\tuser\nroot\tadmin\n"
    assert run(monkeypatch, path, "remove", "root") == 0
    assert run(monkeypatch, path, "remove", "ada") == 2
    assert verify_password(UserFile(path).get("ada").password, PASSWORD)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("a/b", PASSWORD),
        ("", PASSWORD),
        ("anonymous", PASSWORD),
        (".x", PASSWORD),
        ("ada", "short"),
    ],
)
def test_the_command_refuses_what_is_unsafe(name, password, tmp_path, monkeypatch, capsys):
    path = tmp_path / "users.json"
    assert run(monkeypatch, path, "add", name, password=password) == 2
    assert not path.exists() and capsys.readouterr().err.startswith("users: error: ")


def test_the_command_asks_twice_on_a_terminal(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    answers = [PASSWORD, PASSWORD + "x"]
    monkeypatch.setattr(users_module.getpass, "getpass", lambda _: answers.pop(0))
    assert main(["--file", str(tmp_path / "users.json"), "add", "ada"]) == 2


def test_a_file_that_others_can_read_is_refused(tmp_path):
    path = make_users(tmp_path)
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        UserFile(path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"users": []}',
        '{"users": {"ada": {"role": "king", "password": "x"}}}',
        '{"users": {"ada": {"role": "user", "password": "plain"}}}',
        '{"users": {}}',
    ],
)
def test_a_malformed_file_is_one_line(content, tmp_path):
    path = tmp_path / "users.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SettingsError, match=r"users\.json") as caught:
        read_users(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_breaks_lets_nobody_in(tmp_path, caplog):
    path = make_users(tmp_path)
    users = UserFile(path)
    assert users.get("ada") is not None
    path.write_text("{")
    assert users.get("ada") is None and "nobody can log in" in caplog.text
    make_users(tmp_path)
    assert users.get("ada") is not None
    os.remove(path)
    assert users.get("ada") is None


def test_a_file_that_the_servers_user_cannot_read_is_told_apart(users_file, monkeypatch):
    """It was called malformed where root had made it, as the example of the service says."""

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refused)
    with pytest.raises(SettingsError, match=r"users\.json' cannot be read: .*chown"):
        read_users(users_file)


def test_two_users_who_are_added_at_once_are_both_there(users_file, monkeypatch):
    """The second command waits for its password while the first one writes."""
    new = users_module._new_user

    def slowly(name, role):
        if name == "eve":
            assert run(monkeypatch, users_file, "add", "bob") == 0
        return new(name, role)

    monkeypatch.setattr(users_module, "_new_user", slowly)
    assert run(monkeypatch, users_file, "add", "eve") == 0
    assert {"bob", "eve"} < set(read_users(users_file))


def test_only_one_command_changes_the_users_at_a_time(users_file, monkeypatch, capsys):
    monkeypatch.setattr(users_module, "_LOCK_SECONDS", 0.05)
    with users_module._alone(users_file):
        assert run(monkeypatch, users_file, "add", "eve") == 2
        assert "another command" in capsys.readouterr().err
        assert run(monkeypatch, users_file, "list") == 0
    assert run(monkeypatch, users_file, "add", "eve") == 0


@pytest.mark.parametrize("arguments", [("list",), ("add", "eve")])
def test_a_file_in_a_folder_of_another_user_is_told(users_file, monkeypatch, capsys, arguments):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.stat", refused)
    assert run(monkeypatch, users_file, *arguments) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_root_keeps_the_users_of_a_server_that_runs_as_another(users_file, monkeypatch, capsys):
    os.chown(users_file, 12345, 12345)
    assert run(monkeypatch, users_file, "list") == 0 and "ada" in capsys.readouterr().out
    assert run(monkeypatch, users_file, "add", "eve") == 0
    state = users_file.stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o777) == (12345, 12345, 0o600)
    (lock,) = users_file.parent.glob(".*.lock")
    assert lock.stat().st_uid == 12345 and lock.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SettingsError, match="belongs to another user"):  # which a server refuses
        read_users(users_file)


def test_the_file_is_json_that_an_administrator_can_read(users_file):
    content = json.loads(users_file.read_text())
    assert content["users"]["ada"]["role"] == "user"
    assert content["users"]["ada"]["password"].startswith("scrypt$32768$8$1$")


# --- a server that a program starts for its own user -------------------------------------------


def test_the_secret_of_a_session_opens_everything_and_nothing_else_does(tmp_path):
    secret = tmp_path / "token"
    secret.write_text("s" * 43)
    secret.chmod(0o600)
    guard, behind = guarded(session_token_file=secret)
    assert ask(guard, url="/auth/").json()["user"] is None
    for sent in (b"", b"Bearer " + b"s" * 42, b"Bearer \xe9", b"Basic " + b"eDp5" * 4):
        reply = ask(guard, url="/jobs", headers={"Authorization": sent} if sent else {})
        assert reply.status_code == 401, sent
    assert behind.calls == ["GET /auth/"]
    reply = ask(guard, url="/train/", headers={"Authorization": "Bearer " + "s" * 43})
    assert reply.json() == {"user": "anonymous", "role": Role.ADMIN}


def test_a_server_proves_that_it_has_the_secret_of_the_session(tmp_path):
    secret = tmp_path / "token"
    secret.write_text("s" * 43)
    secret.chmod(0o600)
    right = hmac.digest(b"s" * 43, b"n1", hashlib.sha256).hex()
    for settings in (SecuritySettings(session_token_file=secret), SecuritySettings()):
        proof = {"proof": right} if settings.session_token_file else {}
        app = FastAPI()
        authenticator = Authenticator(settings)
        app.include_router(login_router(authenticator))
        guard = Guard(app, settings, everything(), authenticator=authenticator, audit=NoAudit())
        reply = ask(guard, url="/health?nonce=n1").json()
        assert reply == {"status": "ok"} | proof
        assert ask(guard, url="/health").json() == {"status": "ok"}
        assert ask(guard, url="/health?nonce=../x").status_code == 422


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [("short", 0o600, "32 bytes or more"), ("s" * 43, 0o644, "can be read by others")],
)
def test_a_secret_of_a_session_that_is_none_ends_the_start(tmp_path, text, mode, said):
    secret = tmp_path / "token"
    secret.write_text(text)
    secret.chmod(mode)
    with pytest.raises(SettingsError, match=said):
        Authenticator(SecuritySettings(session_token_file=secret))
