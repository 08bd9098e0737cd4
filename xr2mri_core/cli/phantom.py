"""``xr2mri phantom``: paired phantom knees, or a release in OAI's shape."""

from __future__ import annotations

import argparse
from pathlib import Path

from xr2mri_core.cli.options import Commands, count, positive, worker_options, workers
from xr2mri_core.cli.terminal import progress_bar
from xr2mri_core.errors import InputError


def add(commands: Commands) -> None:
    """Declare the command."""
    phantom = commands.add("phantom", _phantom, "write paired phantom knees and their datalist")
    phantom.add_argument("--cases", type=positive, required=True, help="number of knees")
    phantom.add_argument("--seed", type=count, default=0, help="same seed, same files (default 0)")
    phantom.add_argument("--out", type=Path, required=True, help="folder to write to")
    worker_options(phantom)
    phantom.add_argument(
        "--enrichment",
        type=float,
        help="how much commoner rare findings are: 0 as in OAI, 1 all grades alike (0.35)",
    )
    phantom.add_argument(
        "--start", type=count, default=0, help="number of the first knee (default 0)"
    )
    phantom.add_argument(
        "--split", type=_shares, metavar="TRAINING,VALIDATION,TEST",
        help="shares of the knees that are in no split yet (default 7,2,1)",
    )  # fmt: skip
    phantom.add_argument(
        "--as-oai", action="store_true",
        help="write a small release in the shape of OAI's instead; --cases are participants",
    )  # fmt: skip


def _phantom(arguments: argparse.Namespace) -> None:
    from xr2mri_core.files import check_writable
    from xr2mri_core.phantom.cohort import DEFAULT_ENRICHMENT

    who = workers(arguments)
    out = check_writable(arguments.out)
    if arguments.enrichment is None:
        arguments.enrichment = DEFAULT_ENRICHMENT
    with progress_bar("phantom") as progress:
        settings = {
            "seed": arguments.seed,
            **who,
            "enrichment": arguments.enrichment,
            "progress": progress,
        }
        if arguments.as_oai:
            from xr2mri_core.phantom.oai_release import write_release

            for option in ("start", "split"):
                if getattr(arguments, option):
                    raise InputError(
                        f"--{option} goes with plain phantoms, not with --as-oai; leave it out"
                    )
            written = write_release(out, arguments.cases, **settings)
        else:
            from xr2mri_core.phantom.dataset import RATIOS, write_cases

            settings |= {"start": arguments.start, "ratios": arguments.split or RATIOS}
            written = write_cases(out, arguments.cases, **settings)
    print(written)


def _shares(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(share) for share in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("three numbers with commas between, as in 7,2,1") from None
