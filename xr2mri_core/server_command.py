"""The command ``monailabel``: MONAI Label's own program, started by a script of ours.

MONAI Label brings a shell script of that name, in a folder of its wheel that is named unlike the
wheel: pip installs it, uv leaves it where no shell finds it. Where it is installed it starts the
``python`` that comes first on the ``PATH``, so that it fails in an environment that is not
activated, and it splits arguments at spaces. This one belongs to its environment.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from xr2mri_core.local_server import is_taken
from xr2mri_core.this_process import LeaveAtOnce, same_products, wait_passively

_NOT_STARTED = 3  # what uvicorn ends with then


def main() -> None:
    """Run ``monailabel`` with the arguments of this process, and end the process.

    The exit status is MONAI Label's: 0 also for a server that Ctrl-C has ended; 130 where that came
    before there was a server, 1 without MONAI Label, 2 where the port is taken or
    several processes are asked for.
    """
    wait_passively()
    same_products()
    leave = LeaveAtOnce()
    leave.status = _run()


def _run() -> int:
    if refused := _refused(sys.argv[1:]):  # said now, and not after all that a server loads
        return _fail(refused, 2)
    try:
        from monailabel.main import Main

        Main().run()
    except ModuleNotFoundError as error:
        if error.name != "monailabel":
            raise
        return _fail(
            "MONAI Label is not installed in this environment; the server needs it: `make env`, or "
            "pip install '.[server]' in a checkout of XR2MRI",
            1,
        )
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except SystemExit as stop:  # a wrong argument, or a server that could not start
        if stop.code == _NOT_STARTED:
            return _fail("the server has not started; the log above says why", _NOT_STARTED)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def one_process(workers: int) -> str:
    """Why a server is not started with several processes."""
    return (
        f"--workers {workers}: jobs, sessions and the line before all devices are one process's; "
        "for several devices give --conf device cuda:0,cuda:1 instead"
    )


def _refused(arguments: Sequence[str]) -> str:
    """Why a server cannot be started by these arguments; empty where it may.

    Several processes are refused here, too, since uvicorn kills those that it starts and that load
    for longer than it waits, and starts others, again and again.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("command", nargs="?")
    parser.add_argument("-i", "--host", default="127.0.0.1")
    parser.add_argument("-p", "--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=os.environ.get("WEB_CONCURRENCY", "1"))
    try:
        given, _ = parser.parse_known_args(list(arguments))
    except (argparse.ArgumentError, SystemExit):
        return ""  # MONAI Label says it
    if given.command != "start_server":
        return ""
    if given.workers > 1:
        return one_process(given.workers)
    if is_taken(given.host, given.port):
        return (
            f"port {given.port} of {given.host} is taken: does a server run there already? End it, "
            "or choose another --port"
        )
    return ""


def _fail(message: str, status: int) -> int:
    print(f"monailabel: error: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
