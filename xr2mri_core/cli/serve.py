"""``xr2mri serve``: the server, with the app and the bundle that are installed."""

from __future__ import annotations

import argparse
from pathlib import Path

from xr2mri_core.cli.options import Commands
from xr2mri_core.errors import InputError, XR2MRIError


def add(commands: Commands) -> None:
    """Declare the command."""
    serve = commands.add("serve", _serve, "serve generation to 3D Slicer and other clients")
    serve.add_argument("--studies", required=True, help="folder of radiographs, or URL of a PACS")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (this machine)")
    serve.add_argument("--port", type=int, default=8000, help="(8000)")
    serve.add_argument(
        "--conf", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="a setting of the server, see its documentation (repeatable)",
    )  # fmt: skip
    serve.add_argument("--app", type=Path, help="app with another folder model (the installed one)")
    serve.add_argument("--ssl_certfile", type=Path, help="PEM, for TLS without a proxy")
    serve.add_argument("--ssl_keyfile", type=Path, help="PEM")
    serve.add_argument(
        "--end_with_stdin", action="store_true",
        help="end when standard input does: as the child of a program, also when that is killed",
    )  # fmt: skip
    serve.add_argument("--root_path", default="", help="under which a proxy serves it")


def _serve(arguments: argparse.Namespace) -> None:
    from xr2mri_core.parents import end_with_stdin
    from xr2mri_core.this_process import LeaveAtOnce

    leave = LeaveAtOnce()
    leave.status = 1
    if arguments.end_with_stdin:
        end_with_stdin()
    try:
        from monai_app.serve import log_to_stderr, serve
    except ModuleNotFoundError as error:
        if error.name != "monailabel":
            raise
        raise XR2MRIError(
            "MONAI Label is not installed in this environment; the server needs it: install the "
            "wheel with its extra 'server', or run `make env` in a checkout"
        ) from None
    log_to_stderr()
    try:
        serve(
            arguments.studies,
            host=arguments.host,
            port=arguments.port,
            conf=dict(arguments.conf),
            app=arguments.app,
            ssl_certfile=arguments.ssl_certfile,
            ssl_keyfile=arguments.ssl_keyfile,
            root_path=arguments.root_path,
        )
        leave.status = 0
    except InputError:
        leave.status = 2
        raise
    except KeyboardInterrupt:
        leave.status = 130
        raise
