"""The guard: what reaches the application, and what leaves it."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from security_support import PASSWORD, REMOTE, NoAudit, ask, guarded, make_users
from served_routes import everything, routers

from monai_app.lib.bounds import Bounds
from monai_app.lib.security.guard import Guard
from monai_app.lib.security.limits import BodyLimits
from monai_app.lib.security.routes import ID, IMAGE_PARAMETER, Role, Route, Served, allowed
from monai_app.lib.security.settings import SecuritySettings

SMALL_BODY = Bounds.max_body_kb << 10

# --- routes -------------------------------------------------------------------------------------


def filled(path: str) -> str:
    return path.replace("{model}", "knee_xr2mri").replace("{id}", "4f1c")


@pytest.mark.parametrize(
    "route", everything().routes, ids=lambda route: f"{route.method} {route.path}"
)
def test_every_route_is_let_through(route):
    guard, behind = guarded()
    assert ask(guard, route.method, filled(route.path)).status_code == 200
    assert behind.calls == [f"{route.method} {filled(route.path)}"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/reload"),
        ("GET", "/logs/"),
        ("GET", "/logs/gpu"),
        ("POST", "/infer/wsi/knee"),
        ("POST", "/infer/wsi_v2/knee"),
        ("POST", "/batch/infer/knee"),
        ("POST", "/activelearning/random"),
        ("GET", "/scoring/"),
        ("GET", "/proxy/dicom/qido/studies"),
        ("GET", "/ohif/index.html"),
        ("GET", "/static/x.js"),
        ("GET", "/favicon.ico"),
        ("GET", "/model/knee"),
        ("PUT", "/model/knee"),
        ("PUT", "/datastore/"),
        ("DELETE", "/datastore/"),
        ("PUT", "/datastore/image"),
        ("GET", "/datastore/label"),
        ("PUT", "/datastore/label"),
        ("GET", "/datastore/dataset"),
        ("GET", "/datastore/image/info"),
        ("GET", "/info"),
        ("POST", "/train/"),
        ("GET", "/session/..%2f..%2fetc"),
        ("DELETE", "/session/%2e%2e"),
        ("GET", "/session/.hidden"),
        ("GET", "/jobs/a%00b"),
        ("GET", "/jobs/" + "a" * 200),
        ("TRACE", "/info/"),
        ("HEAD", "/info/"),
        ("OPTIONS", "/info/"),
    ],
)
def test_everything_else_is_not_served(method, path):
    guard, behind = guarded()
    reply = ask(guard, method, path)
    assert reply.status_code in (404, 405) and not behind.calls
    if method != "HEAD":
        assert "detail" in reply.json()


def test_a_web_socket_is_closed():
    sent = []

    async def send(message):
        sent.append(message)

    guard, behind = guarded()
    asyncio.run(guard({"type": "websocket", "path": "/info/", "headers": []}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}] and not behind.calls


@given(st.text(max_size=40))
def test_an_id_is_never_a_path(text):
    assert not ID.fullmatch(text) or IMAGE_PARAMETER.fullmatch(text)
    if IMAGE_PARAMETER.fullmatch(text):  # names of files, in any script
        assert not set(text) & set("/\\\0 %") and ".." not in text and text[0] != "."
    elif text:
        guard, behind = guarded()
        url = httpx.URL("http://127.0.0.1:8000/datastore/image", params={"image": text})
        assert ask(guard, "GET", str(url)).status_code in (414, 422) and not behind.calls


@given(st.text(max_size=60))
def test_no_path_matches_two_segments_of_a_route(text):
    for route in everything().methods_of(f"/session/{text}").values():
        assert "/" not in text and route.path.startswith("/session/")


@pytest.mark.parametrize(
    "query",
    [
        "image=/etc/passwd",
        "image=..%2F..%2Fetc",
        "image=a&image=b",
        "image=%ff",
        "image=a%00",
        "image=C:\\x",
        "uncompress=true",
        "params=x",
    ],
)
def test_parameters_that_are_no_ids_are_refused(query):
    guard, behind = guarded()
    reply = ask(guard, "POST", f"/infer/knee?{query}")
    assert reply.status_code == 422 and reply.json()["detail"] and not behind.calls


def test_stock_clients_may_leave_the_image_empty():
    guard, _ = guarded()
    assert ask(guard, "POST", "/infer/knee?image=&session_id=abc").status_code == 200


def test_a_session_is_never_unpacked():
    guard, _ = guarded()
    reply = ask(guard, "PUT", "/session/?uncompress=true")
    assert reply.status_code == 422 and "uncompress" in reply.json()["detail"]


def test_every_route_declares_who_may_use_it():
    """One that forgot it would not be served."""
    declared = {(route.method, route.path) for route in everything().routes}
    there = {
        (m, route.path) for router in routers() for route in router.routes for m in route.methods
    }
    assert declared == there and len(there) > 20


def test_what_declares_nothing_is_not_served():
    app = FastAPI()

    @app.get("/open")
    async def forgotten(): ...

    @app.get("/closed/{id}")
    @allowed(Role.ADMIN)
    async def declared(id: str, kind: str = ""): ...

    served = Served.by(app)
    assert served.methods_of("/open") == {}
    route = served.methods_of("/closed/7")["GET"]
    assert (route.role, route.query, route.upload) == (Role.ADMIN, ("kind",), False)


def test_the_page_states_the_roles_that_the_routes_declare():
    page = Path(__file__).parents[2] / "monai_app" / "docs" / "security.md"
    table = page.read_text("utf-8").split("| Route | Role |")[1].split("\n\n")[0]
    for route in everything().routes:
        row = next(
            row for row in table.splitlines() if f"`{route.path}`" in row and route.method in row
        )
        role = row.rstrip(" |").rpartition("|")[2].strip()
        assert role.startswith({Role.NOBODY: "none"}.get(route.role, route.role.name.lower())), row


def test_only_what_is_served_is_described():
    schema = {
        "openapi": "3.1.0",
        "paths": {
            "/infer/{model}": {"post": {}, "get": {}},
            "/reload": {"post": {}},
            "/datastore/": {"get": {}, "put": {}},
        },
    }
    assert everything().only(schema)["paths"] == {
        "/infer/{model}": {"post": {"x-role": "user"}},
        "/datastore/": {"get": {"x-role": "user"}},
    }


def test_a_root_path_is_taken_off():
    guard, _ = guarded()

    async def app(scope, receive, send):
        await guard(scope | {"root_path": "/mri", "path": "/mri" + scope["path"]}, receive, send)

    assert ask(app, "GET", "/info/").status_code == 200
    assert ask(app, "POST", "/reload").status_code == 404


# --- host and origin ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("[::1]:8000", 200),
        ("evil.example", 400),
        ("evil.example:8000", 400),
        ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("0.0.0.0:8000", 400),
        ("10.0.0.7", 400),
        ("localhost:8000@evil.example", 400),
        ("", 400),
    ],
)
def test_the_host_is_this_server(host, status):
    guard, behind = guarded()
    assert ask(guard, headers={"Host": host}).status_code == status
    assert bool(behind.calls) == (status == 200)


def test_a_configured_host_is_served(tmp_path):
    guard, _ = guarded(
        public_host="mri.hospital.org", allow_anonymous_remote=True, allowed_hosts=("b.org",)
    )
    for host in ("mri.hospital.org", "mri.hospital.org:8443", "B.org"):
        assert ask(guard, headers={"Host": host}).json()["role"] == Role.USER
    assert ask(guard, headers={"Host": "c.org"}).status_code == 400


def test_an_address_needs_no_configuration():
    guard, _ = guarded(host="0.0.0.0", allow_anonymous_remote=True)
    assert ask(guard, base="http://10.0.0.7:8000", client=REMOTE).status_code == 200
    reply = ask(guard, base="http://10.0.0.7:8000", client=REMOTE, headers={"Host": "evil.example"})
    assert reply.status_code == 400


def test_two_hosts_are_refused():
    guard, _ = guarded()
    headers = [("Host", "localhost"), ("Host", "evil.example")]
    assert ask(guard, headers=headers).status_code == 400


def test_a_loopback_server_refuses_its_other_addresses():
    guard, behind = guarded()
    reply = ask(guard, base="http://10.0.0.7:8000", headers={"Host": "localhost"})
    assert reply.status_code == 403 and not behind.calls


@pytest.mark.parametrize(
    "more",
    [
        {"client": REMOTE},
        {"headers": {"X-Forwarded-For": "10.1.2.3"}},
        {"headers": {"X-Forwarded-Proto": "https"}},
        {"headers": {"Via": "1.1 proxy"}},
        {"headers": {"CF-Connecting-IP": "10.1.2.3"}},
    ],
)
def test_a_proxy_does_not_open_a_server_without_a_login(more):
    guard, behind = guarded()
    assert ask(guard, **more).status_code == 403 and not behind.calls
    assert ask(guard, url="/health", **more).status_code == 200


def test_a_proxy_that_says_nothing_is_told_by_its_http():
    """As nginx with nothing but `proxy_pass`: this machine's address, as host and as client."""
    guard, behind = guarded()

    async def proxy(scope, receive, send):
        await guard({**scope, "http_version": "1.0"}, receive, send)

    assert ask(proxy).status_code == 403 and not behind.calls
    assert ask(guard).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_pages_of_other_origins_are_turned_away(method, headers):
    guard, behind = guarded()
    reply = ask(guard, method, "/jobs/4f1c", headers=headers)
    assert reply.status_code == 403 and not behind.calls
    assert not [name for name in reply.headers if name.startswith("access-control-")]


def test_its_own_pages_may_call_the_server():
    guard, _ = guarded()
    headers = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    reply = ask(guard, "POST", "/infer/count", headers=headers)
    assert reply.status_code == 200 and "access-control-allow-origin" not in reply.headers


def test_a_configured_origin_gets_cors_without_credentials():
    guard, behind = guarded(allowed_origins=("https://viewer.org",))
    reply = ask(guard, headers={"Origin": "https://viewer.org"})
    assert reply.headers["access-control-allow-origin"] == "https://viewer.org"
    assert reply.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in reply.headers
    assert ask(guard, headers={"Origin": "https://viewer.org.evil.example"}).status_code == 403
    assert len(behind.calls) == 1


def test_a_preflight_is_answered_without_a_login(tmp_path):
    guard, behind = guarded(
        allowed_origins=("https://viewer.org",), users_file=make_users(tmp_path)
    )
    asked = {"Origin": "https://viewer.org", "Access-Control-Request-Method": "DELETE"}
    reply = ask(guard, "OPTIONS", "/jobs/4f1c", headers=asked)
    assert reply.status_code == 204 and reply.content == b"" and not behind.calls
    assert "DELETE" in reply.headers["access-control-allow-methods"]
    assert "Authorization" in reply.headers["access-control-allow-headers"]
    assert ask(guard, "OPTIONS", "/reload", headers=asked).status_code == 404
    asked["Access-Control-Request-Method"] = "PUT"
    assert ask(guard, "OPTIONS", "/jobs/4f1c", headers=asked).status_code == 405
    reply = ask(guard, headers={"Origin": "https://viewer.org"})
    assert reply.status_code == 401  # and the page may read it
    assert reply.headers["access-control-allow-origin"] == "https://viewer.org"


@pytest.mark.parametrize("origins", ["*", "https://viewer.org"])
def test_a_page_of_another_origin_cannot_use_a_login_that_the_browser_remembers(origins, tmp_path):
    """Forms need no leave (CORS) to be sent, and a browser adds an HTTP Basic login by itself."""
    guard, behind = guarded(allowed_origins=(origins,), users_file=make_users(tmp_path))
    page = {"Origin": "https://viewer.org", "Sec-Fetch-Site": "cross-site"}
    reply = ask(guard, "POST", "/infer/count", headers=page, auth=("ada", PASSWORD), data={"a": 1})
    assert reply.status_code == 403 and not behind.calls
    ada = guard.authenticator.users.get("ada")
    token = guard.authenticator.tokens.issue(ada.name, ada.fingerprint)
    bearer = page | {"Authorization": f"Bearer {token}"}
    assert ask(guard, headers=bearer).status_code == 200
    assert ask(guard, auth=("ada", PASSWORD)).status_code == 200


def test_any_origin_never_comes_with_credentials(tmp_path):
    guard, _ = guarded(allowed_origins=("*",), users_file=make_users(tmp_path))
    reply = ask(guard, headers={"Origin": "https://any.org"}, auth=("ada", PASSWORD))
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in reply.headers


# --- sizes --------------------------------------------------------------------------------------


def test_announced_sizes_are_limited():
    guard, behind = guarded(max_upload_mb=1)
    limit = (1 << 20) + SMALL_BODY
    assert ask(guard, "POST", "/infer/count", content=b"x" * limit).json() == {"bytes": limit}
    reply = ask(guard, "POST", "/infer/count", content=b"x" * (limit + 1))
    assert reply.status_code == 413 and str(limit) in reply.json()["detail"]
    assert ask(guard, "POST", "/train/knee", content=b"x" * (SMALL_BODY + 1)).status_code == 413
    assert len(behind.calls) == 1


def test_streamed_sizes_are_limited():
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 1 << 16
            yield b"x" * (1 << 16)

    guard, _ = guarded(max_upload_mb=1)
    reply = ask(guard, "POST", "/infer/count", content=endless())
    assert reply.status_code == 413
    assert sent <= (1 << 20) + 3 * SMALL_BODY


def test_bodies_are_parsed_piece_by_piece_and_those_of_each_user_in_turn():
    """50 forms that take long to parse kept everybody waiting for 3 s, all of them at once."""
    looks, parsed = 0, []

    async def parse(scope, receive, send):
        more = True
        while more:
            message = await receive()
            parsed.append((scope["xr2mri.account"], looks, len(message["body"])))
            more = message["more_body"]

    bodies = BodyLimits(parse, SecuritySettings())
    route = Route("POST", "/infer/{model}", Role.USER, upload=True)

    async def asked(account):
        async def receive():
            return {"type": "http.request", "body": bytes(100_000), "more_body": False}

        scope = {"headers": [], "xr2mri.account": account, "xr2mri.route": route}
        await bodies(scope, receive, None)

    async def go():
        nonlocal looks
        requests = [asyncio.ensure_future(asked(user)) for user in ["eve"] * 30 + ["ada"]]
        while not all(request.done() for request in requests):
            looks += 1
            await asyncio.sleep(0)
        await asyncio.gather(*requests)

    asyncio.run(go())
    accounts, moments, sizes = zip(*parsed, strict=True)
    assert sum(sizes) == 31 * 100_000 and max(sizes) <= 1 << 14
    assert len(set(moments)) == len(moments), "two pieces, and nothing else between them"
    last = max(place for place, account in enumerate(accounts) if account == "ada")
    assert last <= 2 * accounts.count("ada")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Length": "1e3"}, 400),
        ({"Content-Length": "-1"}, 400),
        ({"Content-Length": "3", "Transfer-Encoding": "chunked"}, 400),
        ({f"X-{n}": "1" for n in range(Bounds.max_headers)}, 431),
        ({"X": "1" * 20_000}, 431),
        ([("Authorization", "Basic eDp5")] * 2, 400),
    ],
)
def test_odd_requests_are_refused(headers, status, tmp_path):
    guard, behind = guarded(users_file=make_users(tmp_path))
    url = "/info/" if isinstance(headers, list) else "/auth/token"
    method = "GET" if isinstance(headers, list) else "POST"
    assert ask(guard, method, url, headers=headers).status_code == status and not behind.calls


def test_a_long_query_is_refused():
    guard, _ = guarded()
    assert ask(guard, url="/datastore/?output=" + "a" * 5000).status_code == 414


# --- replies ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/info/", "/nothing", "/jobs/stream/volume"])
def test_every_reply_has_the_security_headers(path):
    guard, _ = guarded()
    headers = ask(guard, url=path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert len(headers["x-request-id"]) == 16
    assert "server" not in headers
    assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize("model", ["crash", "failed"])
def test_a_failure_tells_nothing_but_its_number(model, caplog):
    audit = NoAudit()
    guard, _ = guarded(audit)
    reply = ask(guard, "POST", f"/infer/{model}")
    assert reply.status_code == 500
    request_id = reply.headers["x-request-id"]
    assert reply.json()["request_id"] == request_id and request_id in caplog.text
    assert "home" not in reply.text and "/tmp" not in reply.text
    assert ("weights.pt" in caplog.text) == (model == "crash")
    assert audit.lines[0]["status"] == 500


def test_paths_are_taken_out_and_lengths_are_right():
    guard, _ = guarded()
    reply = ask(guard, "POST", "/infer/missing")
    assert reply.status_code == 503
    assert reply.json() == {"detail": "no '[path]' here"}
    assert int(reply.headers["content-length"]) == len(reply.content)


def test_texts_are_scrubbed_across_pieces_and_files_are_left_alone():
    guard, _ = guarded()
    assert ask(guard, url="/jobs/text/volume").text == "first [path] last"
    assert ask(guard, url="/jobs/stream/volume").text == "first /home/someone/x last"


def test_a_disconnect_reaches_the_application():
    seen = []

    async def app(scope, receive, send):
        while (message := await receive())["type"] != "http.disconnect":
            seen.append(message)
        seen.append(await receive())
        raise RuntimeError("left alone")

    messages = [
        {"type": "http.request", "body": b"x", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    audit = NoAudit()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/infer/knee",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    asyncio.run(Guard(app, SecuritySettings(), everything(), audit=audit)(scope, receive, send))
    assert [message["type"] for message in seen] == ["http.request", *["http.disconnect"]]
    assert not sent and audit.lines[0]["status"] is None


def test_half_a_reply_is_cut_off():
    async def app(scope, receive, send):
        start = {"type": "http.response.start", "status": 200, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("no more")

    guard = Guard(app, SecuritySettings(), everything(), audit=NoAudit())
    with pytest.raises(RuntimeError, match="no more"):
        ask(guard)


@budget(max_examples=200)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "X"]),
    path=st.one_of(
        st.text(max_size=30).map(lambda text: "/" + text),
        st.sampled_from([filled(route.path) for route in everything().routes]),
    ),
    query=st.binary(max_size=40),
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"host", b"origin", b"authorization", b"content-length", b"x"]),
            st.binary(max_size=30),
        ),
        max_size=5,
    ),
)
def test_no_request_makes_it_stumble(method, path, query, headers):
    """Whatever comes in: one complete reply, never a 500, and the application sees ids only."""
    reached, sent = [], []

    async def app(scope, receive, send):
        reached.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": [(b"host", b"localhost"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    asyncio.run(Guard(app, SecuritySettings(), everything(), audit=NoAudit())(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 200 if reached else 400 <= sent[0]["status"] < 500
    if reached:
        assert method in everything().methods_of(path)
    else:
        assert json.loads(sent[1]["body"])["detail"]
