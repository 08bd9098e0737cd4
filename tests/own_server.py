"""The command that starts the server of this checkout, as `own_server.OwnServer` takes it."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

LIGHT = """
import hashlib, hmac, http.server, json, sys, threading, urllib.parse
secret = open(sys.argv[sys.argv.index("session_token_file") + 1], "rb").read()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        nonce = urllib.parse.parse_qs(self.path.split("?")[1])["nonce"][0].encode()
        proof = hmac.new(secret, nonce, hashlib.sha256).hexdigest()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"proof": proof}).encode())
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[4])), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
"""
"""What a server is from outside, for what needs no real one."""


def command(bundle: Path, folder: Path) -> list[str]:
    """The words before the options of `xr2mri serve`: with another bundle than the one that ships,
    by this checkout's code, whatever the variables of the process say."""
    app = folder / "app"
    if not app.exists():
        (app / "model").mkdir(parents=True)
        (app / "main.py").symlink_to(ROOT / "monai_app" / "main.py")
        (app / "model" / "knee_xr2mri").symlink_to(bundle)
    ours = [str(ROOT), str(ROOT / "slicer_extension/XR2MRI")]
    code = f"import sys; sys.path[:0] = {ours!r}; from xr2mri_core.cli import main"
    return [sys.executable, "-c", f"{code}; sys.exit(main())", "serve", "--app", str(app)]
