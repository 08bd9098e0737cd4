"""The command line: ``xr2mri phantom | oai | localize | generate | evaluate | robustness | ...``.

Results go to standard output and to files, everything else to standard error. A fault is one line
that names what was wrong and the remedy, and an exit status: 2 for what was handed in, 130 for an
interrupt, 1 for the rest. Each module is a family of commands: its ``add`` declares them, and heavy
libraries are imported by the command that needs them, so that help is instant.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from xr2mri_core import __version__
from xr2mri_core.cli import compare, generate, info, localize, measure, oai, phantom, serve
from xr2mri_core.cli.options import Commands, Parser
from xr2mri_core.cli.terminal import set_up
from xr2mri_core.errors import Cancelled, InputError, XR2MRIError, with_option
from xr2mri_core.this_process import keep_freed_memory, same_products, wait_passively

log = logging.getLogger("xr2mri")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (never raises, except in a debugger's hands)."""
    given = sys.argv[1:] if argv is None else argv
    debug = "--debug" in given
    wait_passively()
    same_products()
    keep_freed_memory()
    try:
        arguments = _parser().parse_args(localize.spelled_out(given))
        set_up(debug)
        arguments.run(arguments)
        return 0
    except SystemExit as stop:  # argparse has printed help, the version or an error
        return stop.code if isinstance(stop.code, int) else 1
    except (KeyboardInterrupt, Cancelled):
        return _fail("interrupted; no partial file was left", 130)
    except XR2MRIError as error:
        if debug:
            log.exception("traceback:")
        said = with_option(error, lambda name: name.replace("_", "-"))
        return _fail(said, 2 if isinstance(error, InputError) else 1)
    except BrokenPipeError:  # whoever reads has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to flush
        return 128 + 13  # what a shell tells of SIGPIPE
    except MemoryError:
        return _fail("out of memory; try a smaller --batch-size", 1)
    except Exception as error:
        if debug:
            log.exception("traceback:")
        if "out of memory" in str(error).lower():
            return _fail("out of memory; try a smaller --batch-size or --device cpu", 1)
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return _fail(f"unexpected {text}; run again with --debug for the traceback", 1)


def _fail(message: str, status: int) -> int:
    print(f"xr2mri: error: {message}", file=sys.stderr, flush=True)
    return status


def _parser() -> Parser:
    common = Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show tracebacks and library messages")
    parser = Parser(
        prog="xr2mri",
        description="A knee MRI volume generated from one radiograph. Research only.",
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"xr2mri {__version__}")
    commands = Commands(parser, "COMMAND", common)
    for family in (phantom, oai, localize, generate, serve, measure, compare, info):
        family.add(commands)
    return parser
