"""The server as a process of this machine: when it is there, and when it is not."""

import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from xr2mri_core.local_server import LocalServer, ServerError


class Forbids(BaseHTTPRequestHandler):
    """A proxy of a hospital: what it does not know it refuses."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_error(403)

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy(monkeypatch):
    """What the proxy of this process's environment was asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forbids)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(urllib.request, "_opener", None)  # it knows the proxies of its first use
    yield server
    server.shutdown()
    server.server_close()


def test_a_proxy_that_answers_is_not_the_server(proxy, tmp_path):
    server = LocalServer(tmp_path / "no app", tmp_path / "studies", tmp_path / "own")
    try:
        with pytest.raises(ServerError):
            server.wait(1)
    finally:
        server.stop(9)
    assert proxy.asked == []
