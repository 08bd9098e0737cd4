"""``xr2mri generate --datalist`` and ``--folder``: the knees of a cohort."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xr2mri_core.cli.options import (
    generated_here,
    generator,
    positive,
    refuse,
    request_of,
    worker_options,
    workers,
)
from xr2mri_core.cli.terminal import interrupted, progress_bar
from xr2mri_core.errors import InputError, XR2MRIError

if TYPE_CHECKING:
    from xr2mri_core.cohort import CohortKnee
    from xr2mri_core.condition import Condition
    from xr2mri_core.generation import KneeMRIGenerator
    from xr2mri_core.request import GenerationRequest
    from xr2mri_core.volume import GeneratedVolume

log = logging.getLogger("xr2mri")

_OF_ONE = {
    "features": "--features", "set": "--set", "age": "--age", "sex": "--sex", "bmi": "--bmi",
    "box": "--box", "server": "--server", "model": "--model", "login": "--login",
    "ca_file": "--ca-file",
}  # fmt: skip
_OF_COHORTS = {
    "split": "--split", "forms": "--forms", "layout": "--layout", "jobs": "--jobs",
    "scheduler": "--scheduler", "knees_at_once": "--knees-at-once",
}  # fmt: skip


STEM = "generated"
"""What the files of a knee begin with, unless told otherwise."""


def add_sources(parser: argparse.ArgumentParser, what: Any) -> None:
    """The options that name a cohort, beside ``--radiograph``."""
    what.add_argument("--datalist", type=Path, help="all knees of a datalist; no MRI is needed")
    what.add_argument("--folder", type=Path, help="all radiographs of a folder and those below it")
    parser.add_argument(
        "--split", choices=("training", "validation", "test"), help="of the datalist (default all)"
    )
    parser.add_argument("--forms", type=Path, help="of the folder: table with a column 'file'")
    parser.add_argument(
        "--layout", choices=("folders", "bids"),
        help="of a cohort's results: a folder for each knee (default), or BIDS names",
    )  # fmt: skip
    worker_options(parser, "of a cohort: ")
    parser.add_argument(
        "--knees-at-once", type=positive, metavar="N",
        help="of a cohort: knees whose slices share the denoiser's passes (default: 1); for GPUs, "
        "which one knee does not fill; a CPU gains nothing",
    )  # fmt: skip


def refuse_options_of_cohorts(arguments: argparse.Namespace) -> None:
    """Raise an InputError for an option that one radiograph has no use for."""
    refuse(arguments, _OF_COHORTS, "is for --datalist and --folder, not for one radiograph")


def generate(arguments: argparse.Namespace) -> None:
    """Generate every knee; the last line printed is the manifest's path."""
    from xr2mri_core import __version__
    from xr2mri_core.cohort import generate_cohort
    from xr2mri_core.files import check_writable

    refuse(arguments, _OF_ONE, "is for one radiograph; a cohort has its forms in its list")
    if arguments.laterality != "auto":
        raise InputError("--laterality is for one radiograph; a cohort has its sides in its list")
    who = workers(arguments)
    knees = _knees(arguments)
    write = _writing(arguments, knees)
    check_writable(arguments.out)
    model = generator(arguments)
    assert model.recipe is not None  # it comes from a bundle
    at_once = arguments.knees_at_once or 1
    with progress_bar("generate") as progress:
        counts = generate_cohort(
            knees,
            partial(_one, model),
            write,
            arguments.out,
            request_of(arguments),
            settings={
                "model": model.depends() | {"device": model.recipe.device},
                "version": __version__,
                "format": arguments.format,
                "name": arguments.name,
                "layout": arguments.layout,
                **({"knees_at_once": at_once} if at_once > 1 else {}),  # of rounding
            },
            **who,
            at_once=at_once,
            side_by_side=model.side_by_side,
            progress=progress,
            failed=lambda row: log.warning("%s: %s", row.name, row.error),
        )
    print(f"{counts.generated} generated, {counts.kept} kept, {counts.failed} failed")
    print(arguments.out / "manifest.csv")
    if counts.failed:
        raise XR2MRIError(
            f"{counts.failed} of {len(knees)} knees failed; the column 'error' of "
            f"'{arguments.out / 'manifest.csv'}' says why, and the same command tries them again"
        )


def _one(
    model: KneeMRIGenerator, radiograph: Path, condition: Condition, request: GenerationRequest
) -> GeneratedVolume:
    from xr2mri_core.progress import Callbacks

    known = condition.known_to(model.uses_demographics)
    return generated_here(model, radiograph, known, request, Callbacks(cancelled=interrupted))


def _write(
    name: str, volume_format: Any, generated: GeneratedVolume, knee: CohortKnee, out: Path
) -> list[Path]:
    from xr2mri_core.export import write_generated

    return write_generated(generated, out / knee.name, name, volume_format).files


def _writing(arguments: argparse.Namespace, knees: Sequence[CohortKnee]) -> Any:
    """How results are named."""
    from xr2mri_core.cohort import bids

    if arguments.layout != "bids":
        return partial(_write, arguments.name, arguments.format)
    if arguments.format != "nifti":
        raise InputError(f"--layout bids is NIfTI; leave out --format {arguments.format}")
    if arguments.name != STEM:
        raise InputError("--layout bids has names of its own; leave out --name")
    bids.check_bids(knees, arguments.out)
    bids.write_description(arguments.out)
    return bids.write_bids


def _knees(arguments: argparse.Namespace) -> list[CohortKnee]:
    from xr2mri_core.cohort import knees_of_datalist, knees_of_folder

    if arguments.datalist is not None:
        refuse(arguments, {"forms": "--forms"}, "is for --folder; a datalist holds its forms")
        return knees_of_datalist(arguments.datalist, arguments.split)
    refuse(arguments, {"split": "--split"}, "is for --datalist")
    return knees_of_folder(arguments.folder, arguments.forms, leave_out=arguments.out)
