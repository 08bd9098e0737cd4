"""The command ``monailabel``: MONAI Label's own program, started by a script of ours.

MONAI Label brings a shell script of that name, in a folder of its wheel that is named unlike the
wheel: pip installs it, uv leaves it where no shell finds it. Where it is installed it starts the
``python`` that comes first on the ``PATH``, so that it fails in an environment that is not
activated, and it splits arguments at spaces. This one belongs to its environment.
"""

from __future__ import annotations

import atexit
import os
import sys


def main() -> None:
    """Run ``monailabel`` with the arguments of this process, and end the process.

    The exit status is MONAI Label's: 0 also for a server that Ctrl-C has ended; 130 where that came
    before there was a server, 1 without MONAI Label.
    """
    status = 0

    def end() -> None:
        # Threads that load weights or generate are inside of C++, and taking Python away from under
        # them is an abort: the process ends before that, when all else is done.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)

    atexit.register(end)  # before all that is imported below, so that it comes last
    status = _run()


def _run() -> int:
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
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def _fail(message: str, status: int) -> int:
    print(f"monailabel: error: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
