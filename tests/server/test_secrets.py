"""Secrets are no arguments: whoever lists the processes of the machine would have them."""

import json
import sys
from contextlib import suppress

import psutil
import pytest
import requests
from security_support import PASSWORD

from monai_app.lib.dicomweb import DicomWebStudies
from monai_app.serve import serve
from xr2mri_core.errors import InputError


@pytest.mark.server
def test_no_process_of_the_server_shows_a_secret(secured):
    """A token secret that was an argument was read by a file whose header named /proc."""
    folder = secured.temp.parent
    login = {"username": "ada", "password": PASSWORD}
    token = requests.post(f"{secured.url}/auth/token", data=login, timeout=30).json()
    users = json.loads((folder / "users.json").read_text())["users"]
    secrets = [(folder / "secret").read_text(), PASSWORD, token["access_token"]]
    secrets += [user["password"] for user in users.values()]
    server = psutil.Process(secured.process.pid)
    tree = [server, *server.children(recursive=True)]
    assert len(tree) > 1, "the processes that read files"
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            shown = "\n".join([*process.cmdline(), *process.environ().values(), process.name()])
            assert not [secret for secret in secrets if secret in shown]


@pytest.mark.server
@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")
def test_no_process_of_the_server_leaves_its_memory_on_the_disk(running):
    """A fault of native code wrote radiographs, results and secrets into a core dump."""
    import resource

    server = psutil.Process(running.process.pid)
    for process in [server, *server.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            assert resource.prlimit(process.pid, resource.RLIMIT_CORE) == (0, 0), process.cmdline()


@pytest.mark.parametrize("name", ["token_secret", "password", "users", "dicomweb_password"])
def test_no_setting_takes_a_secret_itself(tmp_path, name):
    with pytest.raises(InputError, match="no such setting"):
        serve(str(tmp_path), conf={name: "x" * 32})


@pytest.mark.parametrize("login", ["ada:letmein12345@", "letmein12345@", ":letmein12345@", "@"])
def test_the_address_of_a_pacs_names_no_login(login):
    address = f"https://{login}pacs.example/dicom-web"
    for start in (DicomWebStudies, serve):
        with pytest.raises(InputError, match="MONAI_LABEL_DICOMWEB_PASSWORD") as refused:
            start(address)
        assert "letmein" not in str(refused.value)


@pytest.mark.parametrize("address", ["http://", "https://[::1", "http://pacs:99999/x", "http:///x"])
def test_what_is_no_address_is_refused_at_the_start(address):
    with pytest.raises(InputError, match="not the address of a PACS"):
        serve(address)
