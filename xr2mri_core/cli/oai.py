"""``xr2mri oai index``: an OAI release becomes a datalist."""

from __future__ import annotations

import argparse
from pathlib import Path

from xr2mri_core.cli.options import Commands, count, positive, worker_options, workers
from xr2mri_core.cli.terminal import progress_bar


def add(commands: Commands) -> None:
    """Declare the command and its action."""
    text = "check, convert and split the radiograph-MRI pairs of an OAI release"
    actions = commands.group("oai", "make a datalist of an OAI release")
    index = actions.add("index", _index, text)
    index.add_argument(
        "--images", type=Path, nargs="+", required=True,
        help="folders of visits (00m/) or of the NDA's archives, packed or unpacked; where no list "
        "(contents.csv, image03.txt) is among them, the files' headers tell what they are",
    )  # fmt: skip
    index.add_argument("--tables", type=Path, nargs="+", required=True, help="folders of tables")
    index.add_argument("--out", type=Path, required=True, help="folder to write to")
    index.add_argument("--visit", nargs="+", default=[], help="e.g. V00 or 12m (default: all)")
    index.add_argument("--sequence", default="COR_T1_3D_FLASH", help="coronal sequence of the MRI")
    index.add_argument(
        "--window", type=count, nargs=2, metavar=("LOW", "HIGH"),
        help="keep slices between these percentages (default: the sequence's, 16 78)",
    )  # fmt: skip
    index.add_argument(
        "--slices", type=positive, nargs=2, metavar=("LEAST", "MOST"),
        help="slices of a whole volume (default: the sequence's, 80 80)",
    )  # fmt: skip
    index.add_argument(
        "--missing", default="paper", choices=("paper", "not-expected-zero"),
        help="features that were not read: missing, as in the paper, or grade 0 where by design",
    )  # fmt: skip
    index.add_argument(
        "--ratios", type=float, nargs=3, default=(7, 2, 1), metavar=("TRAIN", "VALID", "TEST")
    )
    index.add_argument("--test-site", nargs="+", default=[], help="hold out clinics, e.g. D E")
    index.add_argument(
        "--locate", choices=("detected", "middle_of_half"),
        help="how a knee is found on a film (default: the detector, where it is installed)",
    )  # fmt: skip
    index.add_argument(
        "--boxes", type=Path,
        help="CSV of drawn joint boxes (barcode, side, top, left, bottom, right): they win",
    )  # fmt: skip
    index.add_argument("--seed", type=count, default=0, help="of the split (default 0)")
    worker_options(index)


def _index(arguments: argparse.Namespace) -> None:
    from xr2mri_core.oai import pictures
    from xr2mri_core.oai.index import Settings, index_release

    who = workers(arguments)
    settings = Settings(
        visits=tuple(arguments.visit),
        sequence=arguments.sequence,
        window=arguments.window and tuple(arguments.window),
        slices=arguments.slices and tuple(arguments.slices),
        missing_as=arguments.missing,
        ratios=tuple(arguments.ratios),
        test_sites=tuple(arguments.test_site),
        seed=arguments.seed,
    )
    with progress_bar("index") as progress:
        flow = index_release(
            arguments.images,
            arguments.tables,
            arguments.out,
            settings,
            **who,
            locate=getattr(pictures, arguments.locate) if arguments.locate else None,
            boxes=arguments.boxes,
            progress=progress,
        )
    print(flow, end="")
