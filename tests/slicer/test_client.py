"""The client against servers that misbehave in every way that was thought of, and the real one."""

import datetime
import http.client
import io
import ssl
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from faulty_server import AFFINE, JOB, SLICES, Answer, FaultyServer, info, npy, record, state
from faulty_server import volume as voxels

import xr2mri_client
from xr2mri_client import errors
from xr2mri_client.address import is_local, normalise
from xr2mri_client.client import XR2MRIClient, check_record
from xr2mri_client.dicom import unpack
from xr2mri_client.jobs import JobHandle
from xr2mri_client.network_errors import meaning_of
from xr2mri_client.transport import Transport
from xr2mri_client.volume import Volume, read_npy
from XR2MRILib.form import FeatureForm

MODULE = Path(xr2mri_client.__file__).parents[1]
JOB_HANDLE = JobHandle(JOB, "knee_xr2mri", SLICES, seed=7)
START = "POST /jobs/infer/knee_xr2mri"


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("localhost:8000", "http://localhost:8000"),
        (" http://127.0.0.1:8000/ ", "http://127.0.0.1:8000"),
        ("HTTP://LocalHost:80//", "http://localhost"),
        ("0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("http://[::]:8000", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("mri.hospital.example", "https://mri.hospital.example"),
        ("https://mri.hospital.example:443/xr2mri/", "https://mri.hospital.example/xr2mri"),
        ("10.1.2.3:8000/info/?x=1#y", "https://10.1.2.3:8000"),
        ("http://10.1.2.3:8000/docs", "http://10.1.2.3:8000"),
        ('"http://gpu-box:8000"', "http://gpu-box:8000"),
        ("http:/gpu-box", "http://gpu-box"),
        ("//gpu_box:8000", "https://gpu_box:8000"),
    ],
)
def test_what_people_type_becomes_an_address(typed, meant):
    assert normalise(typed) == meant == normalise(meant)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "is empty"),
        ("ftp://host", "cannot start with ftp://"),
        ("file:///etc/passwd", "cannot start with file://"),
        ("http://", "is not an address"),
        ("http://host:99999", "is not an address"),
        ("http://host:0", "is not an address"),
        ("http://host:port", "is not an address"),
        ("http://ho st", "is not an address"),
        ("http://ada:secret@host", "does not belong into the address"),
        ("http://[::1", "is not an address"),
        ("a\nb", "is not an address"),
    ],
)
def test_what_is_no_address_is_told_without_the_password(typed, message):
    with pytest.raises(errors.BadAddress, match=message) as caught:
        XR2MRIClient(typed)
    assert "secret" not in str(caught.value) and caught.value.remedy


def test_this_machine_is_known_by_its_names():
    assert all(map(is_local, ("http://localhost:8000", "http://127.9.9.9", "http://[::1]:1")))
    assert not any(map(is_local, ("http://10.0.0.1", "https://localhost.example")))


# --- connecting -----------------------------------------------------------------------------------


def test_connecting_tells_all_that_a_panel_needs(client, faulty):
    found = client.connect()
    assert found.url == faulty.url and found.version == "0.1.0" and found.waiting == 1
    assert found.model.name == "knee_xr2mri" and not found.models["bare"].ready
    assert found.model.limits("num_slices") == (1, 2000, 50)
    assert found.model.limits("steps") == (1, 1000, None)
    assert found.model.limits("unknown") == (None, None, None)
    assert found.model.choices("sampler") == ("ddim", "unipc")
    assert not found.login_needed and len(FeatureForm(found.form).fields) == 19
    assert client.is_local and "secret" not in repr(client)


def test_a_path_before_the_server_is_kept(faulty):
    faulty.plan = {f"{k.split()[0]} /xr{k.split()[1]}": v for k, v in faulty.plan.items()}
    assert XR2MRIClient(faulty.url + "/xr/").connect().model.ready


HUGE = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
STOCK = {"name": "Radiology", "version": "0.8", "models": {"deepedit": {}}, "trainers": {}}


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Answer(body=STOCK), errors.WrongServer, "MONAI Label server without XR2MRI.*xr2mri serve"),
        (Answer(body={"hello": 1}), errors.WrongServer, "not an XR2MRI server.*host and port"),
        (Answer(body=[1]), errors.WrongServer, "not an XR2MRI server"),
        (Answer(body=b"<html>Welcome</html>"), errors.WrongServer, "not an XR2MRI server"),
        (Answer(body=info(api_version="1")), errors.WrongServer, "not an XR2MRI server"),
        (Answer(404, b"nothing"), errors.WrongServer, "not an XR2MRI server"),
        (Answer(405), errors.WrongServer, "not an XR2MRI server"),
        (
            Answer(302, headers={"Location": "https://sso.example/login?token=x"}),
            errors.WrongServer,
            "sends on to https://sso.example. If that is the server",
        ),
        (Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), errors.WrongServer, "does not speak HTTP"),
        (Answer(raw=b"\x00\x01\x02\r\n\r\n"), errors.WrongServer, "does not speak HTTP"),
        (Answer(body=info(api_version=0)), errors.VersionMismatch, "version 0 .*Update the server"),
        (Answer(body=info(api_version=2)), errors.VersionMismatch, "version 2 .*Update the ext"),
        (Answer(body=info(form=None)), errors.BadReply, "does not describe"),
        (Answer(body=info(), cut=100), errors.BadReply, "cut off"),
        (Answer(403, {"detail": "this machine only"}), errors.Refused, "this machine only. Ask"),
        (Answer(500, {"detail": "failed", "request_id": "8c0f"}), errors.ServerFault, "8c0f"),
        (Answer(502, b"<html>Bad Gateway"), errors.ServerFault, "behind the proxy does not ans"),
        (Answer(503, headers={"Retry-After": "7"}), errors.Busy, "again in 7 s"),
        (Answer(204), errors.BadReply, "status 204"),
        (Answer(400, b"The plain HTTP request was sent to HTTPS port"), errors.TlsProblem, "https"),
        (Answer(raw=b"\x15\x03\x03\x00\x02\x02\x32\r\n"), errors.TlsProblem, "Write https://127"),
        (Answer(raw=HUGE), errors.BadReply, "too long"),
    ],
)  # fmt: skip
def test_who_is_no_server_for_us_is_told_with_a_remedy(client, faulty, answer, kind, message):
    faulty.plan["GET /info/"] = answer
    with pytest.raises(kind, match=message) as caught:
        client.connect()
    assert type(caught.value) is kind
    assert caught.value.remedy and "\n" not in str(caught.value)
    assert "token" not in str(caught.value)


def test_a_server_that_is_not_there_is_told(faulty):
    with FaultyServer() as gone:
        pass
    with pytest.raises(errors.Unreachable, match=r"Nothing answers at http.*Start the server"):
        XR2MRIClient(gone.url).connect()


def test_a_name_that_does_not_exist_is_told(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(errors.Unreachable, match=r"No machine is called no.such.host.invalid"):
        XR2MRIClient("http://no.such.host.invalid:8000").connect()


def test_a_proxy_that_fails_is_told(faulty, monkeypatch):
    with FaultyServer() as gone:
        pass
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, gone.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(errors.Unreachable, match=r"proxy between.*HTTPS_PROXY"):
        XR2MRIClient("http://no.such.host.invalid:8000").connect()
    XR2MRIClient(faulty.url).connect()  # on this machine no proxy is asked


def test_a_slow_server_is_not_waited_for_forever(faulty):
    faulty.plan["GET /info/"] = Answer(body=info(), pause=3)
    began = time.monotonic()
    with pytest.raises(errors.Unreachable, match=r"longer than 0 s") as caught:
        XR2MRIClient(faulty.url, timeout=(1, 0.5)).connect()
    assert time.monotonic() - began < 2.5 and caught.value.passing


def test_a_server_that_stops_in_the_middle_is_not_waited_for_forever(faulty):
    faulty.plan["GET /info/"] = Answer(body=info(), cut=100, stall=3)
    began = time.monotonic()
    with pytest.raises(errors.Unreachable, match="takes longer"):
        XR2MRIClient(faulty.url, timeout=(1, 0.5)).connect()
    assert time.monotonic() - began < 2.5


def test_a_server_that_hangs_up_is_told(client, faulty):
    faulty.plan["GET /info/"] = Answer(hang_up=True)
    with pytest.raises(errors.Unreachable, match=r"connection to .* broke") as caught:
        client.connect()
    assert caught.value.passing


# --- login ----------------------------------------------------------------------------------------


@pytest.fixture
def guarded(faulty):
    """A server that wants a token."""

    def secured(answer):
        def answered(asked):
            if asked.headers.get("Authorization") != "Bearer t0k3n":
                return Answer(401, {"detail": "log in first: POST /auth/token"})
            return answer(asked) if callable(answer) else answer

        return answered

    def token(asked):
        if b"password=right+one" in asked.body and b"username=ada" in asked.body:
            return Answer(body={"access_token": "t0k3n", "token_type": "Bearer"})
        return Answer(401, {"detail": "user name or password is wrong"})

    public = ("GET /auth/", "POST /auth/token")
    faulty.plan = {k: v if k in public else secured(v) for k, v in faulty.plan.items()}
    faulty.plan["GET /auth/"] = Answer(body={"enabled": True})
    faulty.plan["POST /auth/token"] = token
    faulty.plan["GET /auth/token/valid"] = secured(Answer(body={"username": "ada"}))
    return faulty


def test_a_login_gives_a_token_that_is_sent_from_then_on(guarded, client):
    with pytest.raises(errors.LoginNeeded, match=r"asks for a login. Log in"):
        client.connect()
    client.login("ada", "right one")
    found = client.connect()
    assert found.login_needed and found.user == "ada" and client.token
    assert client.clone().connect().user == "ada", "a clone shares the login"
    assert "t0k3n" not in repr(client) + repr(vars(client))
    client.logout()
    with pytest.raises(errors.LoginNeeded):
        client.connect()


def test_a_wrong_password_is_told(guarded, client):
    with pytest.raises(errors.LoginFailed, match="Name or password are wrong"):
        client.login("ada", "wrong")
    assert not client.token
    guarded.plan["POST /auth/token"] = Answer(429, {"detail": "too many"}, {"Retry-After": "30"})
    with pytest.raises(errors.Busy) as caught:
        client.login("ada", "wrong")
    assert caught.value.retry_after == 30
    guarded.plan["POST /auth/token"] = Answer(404, {"detail": "takes tokens of its issuer only"})
    with pytest.raises(errors.Refused, match="of its issuer"):
        client.login("ada", "right one")
    client.use_token("t0k3n")
    assert client.connect().user == "ada"


def test_an_old_token_is_told(guarded, client):
    client.use_token("old")
    with pytest.raises(errors.LoginNeeded, match="expired"):
        client.state(JOB_HANDLE)


@pytest.mark.parametrize("token", [3, "", "a b", "a\r\nX: y", "x" * 9000])
def test_a_token_that_cannot_be_one_is_refused(faulty, client, token):
    faulty.plan["POST /auth/token"] = Answer(body={"access_token": token})
    with pytest.raises(errors.BadReply, match="no token"):
        client.login("ada", "right one")
    assert not client.token


def test_a_login_of_another_kind_is_not_ours(faulty, client):
    faulty.plan = {"GET /info/": Answer(401), "GET /auth/": Answer(401)}
    with pytest.raises(errors.WrongServer, match="login of another kind"):
        client.connect()


def test_a_password_does_not_travel_in_the_clear():
    with pytest.raises(errors.TlsProblem, match="in the clear"):
        XR2MRIClient("http://10.255.255.1:8000").login("ada", "right one")


def test_the_passwords_of_other_programs_are_not_sent(faulty, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("default login ada password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    transport = Transport(faulty.url)
    transport.session.trust_env = True  # as for a server elsewhere
    transport.request("GET", "/info/")
    assert faulty.asked[-1].headers["Authorization"] is None


# --- TLS ------------------------------------------------------------------------------------------


def certificate(folder, name="127.0.0.1", days=1):
    """A self-signed certificate and its key."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, folder.name)])
    try:
        alternative = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    now = datetime.datetime.now(datetime.timezone.utc)  # noqa: UP017 (Python 3.9)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir()
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, str(folder / "cert.pem")


def test_a_certificate_is_trusted_by_its_authority_only(tmp_path, monkeypatch):
    context, ca_file = certificate(tmp_path / "good")
    with FaultyServer(tls=context) as server:
        with pytest.raises(errors.TlsProblem, match=r"is not trusted.*\(CA\) file"):
            XR2MRIClient(server.url).connect()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/none")  # what is given goes first
        assert XR2MRIClient(server.url, ca_file=ca_file).connect().model.ready
        with pytest.raises((errors.TlsProblem, errors.Unreachable, errors.WrongServer)):
            XR2MRIClient(server.url.replace("https", "http")).connect()


def test_a_ca_file_is_trusted_beside_the_usual_authorities(tmp_path, monkeypatch):
    usual, usual_file = certificate(tmp_path / "usual")
    own, own_file = certificate(tmp_path / "own")
    foreign, _file = certificate(tmp_path / "foreign")
    monkeypatch.setattr("requests.certs.where", lambda: usual_file)
    for context in (usual, own):
        with FaultyServer(tls=context) as server:
            assert XR2MRIClient(server.url, ca_file=own_file).connect().model.ready
    with FaultyServer(tls=foreign) as server, pytest.raises(errors.TlsProblem, match="trusted"):
        XR2MRIClient(server.url, ca_file=own_file).connect()


@pytest.mark.parametrize("kind", ["a file", "a folder", "no certificate", "gone"])
def test_the_usual_authorities_are_those_of_the_environment(tmp_path, monkeypatch, kind):
    from requests import certs

    from xr2mri_client.authorities import adapter

    _context, file = certificate(tmp_path / "hospital")
    (junk := tmp_path / "junk").write_text("nothing")
    named = {"a file": file, "a folder": str(tmp_path), "no certificate": str(junk)}
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", named.get(kind, "/none"))

    def trusted(environment):
        proxied = adapter(environment).proxy_manager_for("http://proxy.example:3128")
        context = proxied.connection_pool_kw["ssl_context"]
        assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
        return len(context.get_ca_certs())

    usual = len(ssl.create_default_context(cafile=certs.where()).get_ca_certs())
    assert trusted(environment=False) == usual > 1
    assert trusted(environment=True) == {"a file": 1, "a folder": 0}.get(kind, usual)


@pytest.mark.parametrize("kind", ["no certificate", "gone"])
def test_authorities_of_the_environment_that_are_none_are_named(tmp_path, monkeypatch, kind):
    (named := tmp_path / "bundle").write_text("nothing")
    if kind == "gone":
        named.unlink()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(named))
    monkeypatch.setattr("xr2mri_client.transport.is_local", lambda _url: False)
    context, ca_file = certificate(tmp_path / "good")
    with FaultyServer(tls=context) as server:
        with pytest.raises(errors.TlsProblem, match=r"no certificate in .*bundle.*CURL_CA") as told:
            XR2MRIClient(server.url).connect()
        assert str(named) in told.value.message
        assert XR2MRIClient(server.url, ca_file=ca_file).connect().model.ready


def test_no_setting_is_blamed_where_there_is_none(tmp_path, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("requests.certs.where", lambda: str(tmp_path / "cacert.pem"))
    missing = OSError("Could not find a suitable TLS CA certificate bundle, invalid path")
    told = meaning_of(missing, "https://host", None, 1.0)
    assert "cacert.pem" in told.message and "CA_BUNDLE" not in str(told)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"name": "other.example"}, "is for another name"), ({"days": -1}, "has expired")],
)
def test_a_wrong_certificate_is_told(tmp_path, settings, message):
    context, ca_file = certificate(tmp_path / "wrong", **settings)
    with FaultyServer(tls=context) as server, pytest.raises(errors.TlsProblem, match=message):
        XR2MRIClient(server.url, ca_file=ca_file).connect()


def test_a_server_without_tls_is_told(faulty):
    with pytest.raises(errors.TlsProblem, match=r"does not speak TLS. Write http://127.0.0.1"):
        XR2MRIClient(faulty.url.replace("http", "https")).connect()


def test_a_ca_file_that_is_none_is_told(faulty):
    with pytest.raises(errors.TlsProblem, match="There is no CA file"):
        XR2MRIClient("https://host", ca_file="/none.pem")
    with pytest.raises(errors.TlsProblem, match=r"There is no certificate in .*test_client.py"):
        XR2MRIClient(faulty.url.replace("http", "https"), ca_file=__file__).connect()


# --- starting -------------------------------------------------------------------------------------


def test_a_radiograph_is_sent_without_its_name(client, faulty, tmp_path):
    path = tmp_path / "Doe^Jane.dcm"
    path.write_bytes(b"\x00radiograph\r\n--" * 20_000)
    gone = []
    job = client.start(
        "knee_xr2mri",
        path,
        {"features": {"V00XRKL": 2}, "num_slices": SLICES, "steps": None},
        lambda done, total: gone.append((done, total)),
    )
    assert job == JobHandle(
        JOB,
        "knee_xr2mri",
        SLICES,
        seed=7,
        parameters={"features": {"V00XRKL": 2}, "num_slices": SLICES},
    )
    sent = faulty.asked[-1]
    assert b"Doe" not in sent.body and path.read_bytes() in sent.body
    assert b'filename="radiograph"' in sent.body and b'"steps"' not in sent.body
    size = path.stat().st_size
    assert gone[-1] == (size, size) and len(gone) > 10
    assert sent.headers["Accept-Encoding"] == "identity"
    assert client.start("knee_xr2mri", b"content").id == JOB


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Answer(413, {"detail": "a file of more than 64 MB"}), errors.Refused, "64 MB. Send a sm"),
        (Answer(413, b"<html>"), errors.Refused, "larger than the server takes. Send a smaller"),
        (Answer(415, {"detail": "the file is damaged"}), errors.Refused, "damaged. Choose another"),
        (Answer(422, {"detail": "steps 0: too few"}), errors.Refused, "steps 0: too few."),
        (Answer(422, {"detail": [{"loc": ["a"]}]}), errors.Refused, "loc"),
        (Answer(429, {"detail": "8 wait"}, {"Retry-After": "12"}), errors.Busy, "8 wait.*in 12 s"),
        (Answer(429, {}, {"Retry-After": "Mon, 1 Jan"}), errors.Busy, "in 10 s"),
        (Answer(404, {"detail": "no model 'x'"}), errors.Refused, "no model 'x'"),
        (Answer(500, {"detail": "failed"}), errors.ServerFault, "failed. Try again"),
        (Answer(503, {"detail": "weights"}), errors.ServerFault, "weights"),
        (Answer(401), errors.LoginNeeded, "login"),
        (Answer(200, state()), errors.BadReply, "status 200"),
        (Answer(202, {"id": JOB}), errors.BadReply, "where the job stands"),
        (Answer(202, [1]), errors.BadReply, "where the job stands"),
        (Answer(202, b"\xff\xfe"), errors.BadReply, "not JSON"),
        (Answer(202, b"[" * 100_000), errors.BadReply, "not JSON"),
        (Answer(202, state(id="../x")), errors.BadReply, "where the job stands"),
        (Answer(202, state("lost")), errors.BadReply, "where the job stands"),
        (Answer(202, state(), cut=20), errors.BadReply, "cut off"),
    ],
)
def test_a_refused_start_is_told_and_not_repeated(client, faulty, answer, kind, message):
    faulty.plan[START] = answer
    with pytest.raises(kind, match=message) as caught:
        client.start("knee_xr2mri", b"content")
    assert "\n" not in str(caught.value) and faulty.count("POST") == 1


def test_a_connection_that_breaks_in_the_upload_is_not_tried_again(client, faulty):
    faulty.plan[START] = Answer(hang_up=True)
    with pytest.raises(errors.Unreachable, match="broke"):
        client.start("knee_xr2mri", b"content")
    assert faulty.count("POST") == 1


def test_an_early_refusal_of_a_large_file_is_heard_or_the_cut_is_told(client):
    """A server that answers and hangs up before it has read everything."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1 << 16)
                body = b'{"detail": "too large"}'
                head = f"HTTP/1.1 413 X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                connection.sendall(head.encode() + body)

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises((errors.Refused, errors.Unreachable), match=r"too large|size of the"):
            XR2MRIClient(url).start("knee_xr2mri", bytes(20 << 20))
        thread.join(5)


def test_what_cannot_be_sent_is_told_before_anything_is(client, faulty, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    for radiograph, message in (
        (b"", "is empty"),
        (tmp_path / "empty", "is empty"),
        (tmp_path / "none", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
    ):
        with pytest.raises(errors.BadRadiograph, match=message):
            client.start("knee_xr2mri", radiograph)
    for value in (float("nan"), object()):
        with pytest.raises(errors.Refused, match="cannot be sent"):
            client.start("knee_xr2mri", b"content", {"guidance": value})
    assert faulty.asked == []


def test_cancelling_ends_an_upload(faulty):
    stop = threading.Event()
    client = XR2MRIClient(faulty.url, cancelled=stop.is_set)
    with pytest.raises(errors.UserCancelled):
        client.start("knee_xr2mri", bytes(8 << 20), sent=lambda done, total: stop.set())
    with pytest.raises(errors.UserCancelled):
        client.connect()
    assert faulty.count("POST") == faulty.count("GET") == 0, "no whole request came"
    client.cancel(JOB_HANDLE)  # what tells the server of it goes through
    assert faulty.count("DELETE") == 1


# --- a job ----------------------------------------------------------------------------------------


def test_a_job_is_followed_fetched_and_forgotten(client, faulty):
    job = client.start("knee_xr2mri", b"content", {"num_slices": SLICES})
    assert [client.state(job).state for _ in range(3)] == ["queued", "running", "done"]
    first, done = client.partial(job)
    again, _ = client.partial(job)
    assert done == 3 and first.array.shape == (8, SLICES, 8)
    np.testing.assert_array_equal(first.array, voxels(done=3))
    np.testing.assert_array_equal(again.array, first.array)
    result = client.result(job)
    assert result.array.dtype == np.float32 and result.array.flags.writeable
    np.testing.assert_array_equal(result.array, voxels())
    np.testing.assert_allclose(result.affine, AFFINE, atol=1e-5)
    assert result.array.T.flags.c_contiguous and again.array.T.flags.c_contiguous
    check_record(job, result, client.record(job))
    client.cancel(job)
    assert faulty.count("DELETE") == 1


def test_a_job_that_has_gone_is_told(client, faulty):
    lost = {"detail": "no such job: it has expired, was deleted, or the server restarted"}
    for method in ("GET", "DELETE"):
        faulty.plan[f"{method} /jobs/{JOB}"] = Answer(404, lost)
    for part in ("result", "record", "volume"):
        faulty.plan[f"GET /jobs/{JOB}/{part}"] = Answer(410, {"detail": "the job was cancelled"})
    with pytest.raises(errors.JobLost, match=r"restarted. Generate again"):
        client.state(JOB_HANDLE)
    for ask in (client.result, client.record, client.partial):
        with pytest.raises(errors.JobLost, match="was cancelled"):
            ask(JOB_HANDLE)
    client.cancel(JOB_HANDLE)  # as good as cancelled


def test_no_slice_yet_is_no_error(client, faulty):
    faulty.plan[f"GET /jobs/{JOB}/volume"] = Answer(409, {"detail": "no slice has come yet"})
    assert client.partial(JOB_HANDLE) is None
    faulty.plan[f"GET /jobs/{JOB}/result"] = Answer(409, {"detail": "the job is running"})
    with pytest.raises(errors.Refused, match="is running"):
        client.result(JOB_HANDLE)
    faulty.plan[f"GET /jobs/{JOB}/result"] = Answer(404, {"detail": "no mean: ask for samples"})
    with pytest.raises(errors.Refused, match="no mean"):
        client.result(JOB_HANDLE, "mean")


@pytest.mark.parametrize("answer", [state(id="other"), state(num_slices=9), state(done=-1), {}, []])
def test_a_state_of_something_else_is_refused(client, faulty, answer):
    faulty.plan[f"GET /jobs/{JOB}"] = Answer(body=answer)
    with pytest.raises(errors.BadReply):
        client.state(JOB_HANDLE)


@pytest.mark.parametrize("headers", [{}, {"X-Slices-Done": "x"}, {"X-Slices-Done": "7"}])
def test_a_partial_volume_without_its_count_is_refused(client, faulty, headers):
    faulty.plan[f"GET /jobs/{JOB}/volume"] = Answer(body=npy(), headers=headers)
    with pytest.raises(errors.BadReply, match="how many slices"):
        client.partial(JOB_HANDLE)


def test_a_reply_without_a_length_is_read_to_its_end(client, faulty):
    raw = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + npy()
    faulty.plan[f"GET /jobs/{JOB}/result"] = Answer(raw=raw)
    np.testing.assert_array_equal(client.result(JOB_HANDLE).array, voxels())
    faulty.plan[f"GET /jobs/{JOB}/result"] = Answer(raw=raw[:-200])
    with pytest.raises(errors.BadReply, match=r"incomplete|damaged"):
        client.result(JOB_HANDLE)


# --- volumes --------------------------------------------------------------------------------------


def moved(**entries):
    affine = AFFINE.copy()
    for place, value in entries.items():
        affine[int(place[1]), int(place[2])] = value
    return affine


FLAT = [[2.5, 2.5, 0, 0], [0, 0, 14.7, 0], [0, 0, 0.001, 0], [0, 0, 0, 1]]
WRONG_PLACES = {
    "singular": np.zeros((4, 4)).tolist(),
    "nan": moved(_00=float("nan")).tolist(),
    "flat": FLAT,
    "far away": moved(_03=1e9).tolist(),
    "projective": moved(_30=0.1).tolist(),
    "three rows": AFFINE[:3].tolist(),
    "ragged": [[1, 2], [3]],
    "text": "here",
    "words": [["a"] * 4] * 4,
    "number": 7,
}


@pytest.mark.parametrize("name", WRONG_PLACES)
def test_a_place_that_cannot_be_right_is_refused(client, faulty, name):
    faulty.plan[f"GET /jobs/{JOB}"] = Answer(body=state("done", affine=WRONG_PLACES[name]))
    for ask in (client.state, client.result):
        with np.errstate(all="ignore"), pytest.raises(errors.BadReply, match="place in space"):
            ask(JOB_HANDLE)


def test_a_server_that_tells_no_place_is_older(client, faulty):
    faulty.plan[f"GET /jobs/{JOB}"] = Answer(body=state("done", affine=None))
    assert client.state(JOB_HANDLE).final
    for ask in (client.result, client.partial):
        with pytest.raises(
            errors.VersionMismatch, match=r"where the volume lies\. Update the server"
        ):
            ask(JOB_HANDLE)


WRONG_VOLUMES = {
    "empty": (b"", "not a NumPy file"),
    "text": (b"<html>" * 100, "not a NumPy file"),
    "pickle": (npy(np.array([None, {}], dtype=object)), "data type"),
    "code": (npy().replace(b"(8, 6, 8)", b"(8,6,f())"), "not a NumPy file"),
    "int16": (npy(voxels(dtype=np.int16)), "data type int16, not float32"),
    "int32": (npy(voxels(dtype=np.int32)), "data type int32"),
    "float64": (npy(voxels(dtype=np.float64)), "data type float64, not float32"),
    "other slices": (npy(voxels(4)), "4 slices instead of 6"),
    "two dimensions": (npy(voxels()[0]), "shape"),
    "a series": (npy(voxels()[..., None]), "shape"),
    "no voxels": (npy(voxels()[:0]), "shape"),
    "huge": (npy().replace(b"(8, 6, 8)", b"(8, 6,8000000000)"), "shape|not a NumPy"),
    "larger than it is": (npy().replace(b"(8, 6, 8)", b"(8, 6, 9)"), "incomplete"),
    "cut off": (npy()[:-1], "incomplete"),
    "something after it": (npy() + b"more", "longer than it says"),
    "nan": (npy(voxels() * np.float32("nan")), "no numbers"),
    "infinite": (npy(voxels() * np.float32("inf")), "no numbers"),
}


@pytest.mark.parametrize("name", WRONG_VOLUMES)
def test_a_volume_that_cannot_be_right_is_refused(client, faulty, name):
    content, message = WRONG_VOLUMES[name]
    faulty.plan[f"GET /jobs/{JOB}/result"] = Answer(body=content)
    with np.errstate(all="ignore"), pytest.raises(errors.BadReply, match=message):
        client.result(JOB_HANDLE)


@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("endian", ["<", ">"])
def test_voxels_of_either_order_are_read(order, endian):
    affine = moved(_03=1.0)
    content = bytearray(npy(np.asarray(voxels(), f"{endian}f4", order=order)))
    read = read_npy(content, affine, SLICES)
    np.testing.assert_array_equal(read.array, voxels())
    np.testing.assert_array_equal(read.affine, affine)
    assert read.array.T.flags.c_contiguous and read.array.flags.writeable
    np.testing.assert_allclose(read.spacing, [2.5, 14.7, 2.5])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 8}, "another seed"),
        ({"slices": 5}, "another number"),
        ({"spacing_mm": [2.5, 1.5, 2.5]}, "another voxel size"),
        ({"spacing_mm": None}, "another voxel size"),
        ({"spacing_mm": [2.5, "x", 2.5]}, "another voxel size"),
    ],
)
def test_a_record_of_another_volume_is_refused(changed, message):
    volume = Volume(voxels(), AFFINE)
    check_record(JOB_HANDLE, volume, record())
    with pytest.raises(errors.BadReply, match=message):
        check_record(JOB_HANDLE, volume, record(**changed))


# --- DICOM ----------------------------------------------------------------------------------------


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


SERIES = zipped(**{f"1.2.{k}.dcm": bytes(128) + b"DICM" + bytes(k) for k in range(3)})


def test_a_dicom_series_is_fetched_and_unpacked(client, faulty, tmp_path):
    faulty.plan[f"GET /jobs/{JOB}/result"] = Answer(body=SERIES)
    paths = unpack(client.dicom(JOB_HANDLE), tmp_path)
    assert sorted(path.name for path in paths) == ["1.2.0.dcm", "1.2.1.dcm", "1.2.2.dcm"]
    assert faulty.asked[-1].query == "form=dicom"
    faulty.plan[f"GET /jobs/{JOB}/result"] = Answer(body=npy())
    np.testing.assert_array_equal(client.result(JOB_HANDLE).array, voxels())
    with pytest.raises(errors.BadReply, match="not a ZIP"):
        client.dicom(JOB_HANDLE)


def test_doubts_about_the_radiograph_come_with_the_job(client, faulty):
    faulty.plan[START] = Answer(202, state("queued", warnings=["perhaps\nboth knees", 3]))
    assert client.start("knee_xr2mri", b"content").warnings == ("perhaps both knees", "3")


def test_the_knee_is_located(client, faulty):
    located = {"box": [-3, 4, 100, 107], "laterality": "L", "warnings": ["perhaps"]}
    faulty.plan["POST /locate/knee_xr2mri"] = Answer(body=located)
    found = client.locate("knee_xr2mri", b"picture", {"laterality": "auto"})
    assert (found.box, found.laterality, found.warnings) == ((-3, 4, 100, 107), "L", ("perhaps",))
    for box in ([1, 2, 3], [5, 0, 4, 9], [0.0, 0, 4, 4], None):
        faulty.plan["POST /locate/knee_xr2mri"] = Answer(body={"box": box})
        with pytest.raises(errors.BadReply, match="where the knee is"):
            client.locate("knee_xr2mri", b"picture")


def test_an_older_server_does_not_locate(client, faulty):
    faulty.plan["POST /locate/knee_xr2mri"] = Answer(404, {"detail": "Not Found"})
    with pytest.raises(errors.NotOffered):
        client.locate("knee_xr2mri", b"picture")


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 and no more",
        SERIES[:-40],
        SERIES.replace(b"DICM", b"DXCM", 1),
        zipped(**{"../1.2.dcm": bytes(128) + b"DICM"}),
        zipped(**{"1.2.dcm": b"text"}),
        zipped(),
    ],
)
def test_a_dicom_series_that_cannot_be_right_is_refused(content, tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(errors.BadReply, match="DICOM series"):
        unpack(content, tmp_path / "in")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


# --- the house ------------------------------------------------------------------------------------


def test_what_takes_long_to_import_is_imported_by_who_needs_it():
    """Slicer loads all modules when it starts."""
    code = (
        "import sys, importlib\n"
        "for name in 'client worker dicom volume address'.split():\n"
        "    importlib.import_module(f'xr2mri_client.{name}')\n"
        "import XR2MRILib.form, XR2MRILib.metrics\n"
        "heavy = 'requests urllib3 scipy slicer vtk qt ctk xr2mri_core monai nibabel pydicom'\n"
        "heavy = heavy.split()\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=MODULE, capture_output=True, text=True, check=True).stdout
    assert result.strip() == "[]"


def test_inside_slicer_texts_are_translated():
    code = (
        "import sys, types\n"
        "slicer, i18n = types.ModuleType('slicer'), types.ModuleType('slicer.i18n')\n"
        "i18n.getContext = lambda path: path.rsplit('/', 1)[1]\n"
        "i18n.translate = lambda context, text: f'<{context}: {text}>'\n"
        "sys.modules.update({'slicer': slicer, 'slicer.i18n': i18n})\n"
        "from xr2mri_client.errors import Unreachable, Busy\n"
        "print(Unreachable('x').remedy, Busy('x', 3).remedy)"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=MODULE, capture_output=True, text=True, check=True).stdout
    assert result.startswith("<errors.py: Is the server running")
    assert "<errors.py: Try again in 3 s.>" in result


def test_every_error_is_one_line_whatever_the_server_says(client, faulty):
    nasty = "a\nb\r\x00\x1b[31mc\u2028d " + "x" * 9999
    faulty.plan[START] = Answer(422, {"detail": nasty})
    with pytest.raises(errors.Refused) as caught:
        client.start("knee_xr2mri", b"content")
    assert caught.value.message.isprintable() and len(caught.value.message) <= 300


def test_header_lines_without_end_are_no_http(client, faulty):
    faulty.plan["GET /info/"] = Answer(raw=b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n")
    assert http.client._MAXLINE < 100_000
    with pytest.raises((errors.WrongServer, errors.Unreachable)):
        client.connect()


# --- the real server ------------------------------------------------------------------------------


@pytest.mark.server
def test_the_real_server_from_radiograph_to_volume(server, radiograph, tmp_path):
    from xr2mri_core.geometry import volume_affine

    client = XR2MRIClient(server.removeprefix("http://"))
    found = client.connect()
    assert not found.login_needed and found.model.name == "knee_xr2mri"
    assert found.model.limits("num_slices")[1] == 2000
    assert "unipc" in found.model.choices("sampler")
    form = FeatureForm(found.form)
    form.replace({"kl_grade": 2})
    asked = {"features": form.values, "num_slices": 4, "seed": 3, "samples": 2}
    job = client.start("knee_xr2mri", radiograph, asked)
    assert (job.num_slices, job.seed, job.samples) == (4, 3, 2)
    limit = time.monotonic() + 60
    while not client.state(job).final:
        assert time.monotonic() < limit
        time.sleep(0.1)
    volumes = {kind: client.result(job, kind) for kind in ("volume", "mean", "std")}
    record = client.record(job)
    for volume in volumes.values():
        assert volume.array.shape == (64, 4, 64)
        np.testing.assert_allclose(volume.affine, volume_affine(4, 2.5, 64), atol=1e-5)
        check_record(job, volume, record)
    assert record["features"] == {"V00XRKL": 2} and "radiograph" not in record
    after, done = client.partial(job)
    assert done == 4
    np.testing.assert_array_equal(after.array, volumes["volume"].array)
    again, _ = client.partial(job)
    np.testing.assert_array_equal(again.array, after.array)
    client.cancel(job)
    with pytest.raises(errors.JobLost):
        client.state(job)


@pytest.mark.server
def test_the_real_server_makes_a_dicom_series(server, radiograph, tmp_path):
    client = XR2MRIClient(server)
    asked = {"num_slices": 3, "seed": 3, "output_format": "dicom"}
    job = client.start("knee_xr2mri", radiograph.read_bytes(), asked)
    while not client.state(job).final:
        time.sleep(0.1)
    assert len(unpack(client.dicom(job), tmp_path)) == 3
    check_record(job, client.result(job), client.record(job))


@pytest.mark.server
def test_the_real_server_says_what_to_mend(server, radiograph):
    client = XR2MRIClient(server)
    for sent, asked, message in (
        (b"no picture", {}, "Choose another radiograph"),
        (radiograph, {"features": {"V00XRKL": 9}}, "accepted are 0, 1, 2, 3, 4"),
        (radiograph, {"num_slices": 0}, "num_slices 0"),
        (radiograph, {"nonsense": 1}, "unknown parameter 'nonsense'"),
    ):
        with pytest.raises(errors.Refused, match=message):
            client.start("knee_xr2mri", sent, asked)
    with pytest.raises(errors.Refused, match="no model 'other'"):
        client.start("other", radiograph)
    with pytest.raises(errors.JobLost):
        client.state(JOB_HANDLE)


@pytest.mark.server  # it starts none, but imports what the server does
def test_the_form_of_the_answers_is_what_the_server_promises():
    """Both ends of the contract: the fields that are read here are those that are sent there."""
    from monai_app.lib.info import API_VERSION
    from monai_app.lib.routes import JobState as Sent
    from xr2mri_client import jobs

    assert jobs.API_VERSION == API_VERSION
    assert set(jobs.JobState.__dataclass_fields__) == set(Sent.model_fields)
    from monai_app.lib.device_queue import State

    assert set(jobs.STATES) == set(State)
    assert state().keys() == Sent.model_fields.keys(), "the small server of these tests, too"


# --- Slicer's application log --------------------------------------------------------------------


def test_what_is_asked_again_and_again_is_not_logged(client, faulty, caplog):
    """Slicer's root logger takes everything from DEBUG on, and urllib3 has two lines a request."""
    import requests

    with caplog.at_level("DEBUG"):
        client.connect()
        assert not [line for line in caplog.records if line.name.startswith("urllib3")]
        requests.get(f"{faulty.url}/info/", timeout=5)
        others = [line for line in caplog.records if line.name.startswith("urllib3")]
    assert others, "what other modules ask for is logged as before"


def test_warnings_about_our_own_requests_are_logged(client, caplog):
    import logging

    from xr2mri_client import transport

    client.connect()
    with caplog.at_level("DEBUG"), transport._asking:
        for level in (logging.DEBUG, logging.WARNING):
            logging.getLogger("urllib3.connectionpool").log(level, "level %d", level)
    assert [line.levelno for line in caplog.records] == [logging.WARNING]
