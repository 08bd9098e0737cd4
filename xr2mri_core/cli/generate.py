"""``xr2mri generate`` and ``xr2mri demo``: from radiographs to volumes."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from xr2mri_core.cli import cohort
from xr2mri_core.cli.options import (
    Commands,
    bundle_options,
    count,
    generated_here,
    generation_options,
    generator,
    knob_option,
    refuse,
    request_of,
    stem,
)
from xr2mri_core.cli.terminal import interrupted, progress_bar
from xr2mri_core.errors import InputError

if TYPE_CHECKING:
    from xr2mri_core.volume import GeneratedVolume

log = logging.getLogger("xr2mri")

_OF_THIS_MACHINE = {
    "bundle": "--bundle", "size": "--size", "weights": "--weights", "device": "--device",
    "precision": "--precision",
}  # fmt: skip
_OF_A_SERVER = {"model": "--model", "login": "--login", "ca_file": "--ca-file"}


def add(commands: Commands) -> None:
    """Declare the commands."""
    generate = commands.add("generate", _generate, "generate an MRI volume from each radiograph")
    what = generate.add_mutually_exclusive_group(required=True)
    what.add_argument("--radiograph", type=Path, help="DICOM, PNG, JPEG, NIfTI, NRRD, MetaImage")
    cohort.add_sources(generate, what)
    generate.add_argument("--features", type=Path, help="form of Table I as JSON or CSV")
    generate.add_argument(
        "--set", type=_pair, action="append", default=[], metavar="NAME=GRADE",
        help="one feature, e.g. kl_grade=2 or V00XRJSM=1 (repeatable)",
    )  # fmt: skip
    for name, text in (("age", "years"), ("sex", "F or M"), ("bmi", "kg/m2")):
        generate.add_argument(
            f"--{name}", help=f"{text}, for weights that were trained with demographics"
        )
    generate.add_argument("--out", type=Path, required=True, help="folder to write to")
    generate.add_argument(
        "--name", type=stem, default=cohort.STEM, help=f"stem of the files ({cohort.STEM})"
    )
    generate.add_argument("--format", choices=("nifti", "nrrd", "dicom"), default="nifti")
    knob_option(generate, "num_slices", "slices")
    knob_option(generate, "laterality")
    generate.add_argument(
        "--server",
        metavar="URL",
        help="generate there, not here; a login's token is taken from XR2MRI_TOKEN",
    )
    generate.add_argument("--model", metavar="NAME", help="of the server's (its first)")
    generate.add_argument(
        "--login", metavar="NAME", help="log in there first; the password is asked for"
    )
    generate.add_argument(
        "--ca-file", metavar="FILE", help="PEM of authorities that sign the server's certificate"
    )
    knob_option(generate, "box")
    generation_options(generate)

    demo = commands.add("demo", _demo, "an unseen phantom patient, from radiograph to volume")
    demo.add_argument("--out", type=Path, default=Path("demo"))
    demo.add_argument("--seed", type=count, default=0, help="another patient, other noise")
    bundle_options(demo)


def _generate(arguments: argparse.Namespace) -> None:
    from xr2mri_core.condition import Condition
    from xr2mri_core.export import write_generated
    from xr2mri_core.files import check_writable
    from xr2mri_core.progress import Callbacks

    if arguments.radiograph is None:
        cohort.generate(arguments)
        return
    cohort.refuse_options_of_cohorts(arguments)
    known = {name: getattr(arguments, name) for name in ("age", "sex", "bmi")}
    condition = Condition.parse(arguments.features, known, **_once(arguments.set))
    request = request_of(arguments)
    if not arguments.radiograph.is_file():
        raise InputError(f"no file '{arguments.radiograph}'; give a radiograph with --radiograph")
    check_writable(arguments.out)
    generate = _generating(arguments)  # here: a password is asked for, which a bar would wipe away
    with progress_bar("generate") as progress:
        generated = generate(
            arguments.radiograph,
            condition,
            request,
            Callbacks(progress=progress, cancelled=interrupted),
        )
    for warning in generated.record["warnings"]:
        log.warning(warning)
    written = write_generated(
        generated,
        arguments.out,
        name=arguments.name,
        volume_format=arguments.format,
    )
    for path in written.values():
        print(path)


def _generating(arguments: argparse.Namespace) -> Callable[..., GeneratedVolume]:
    """What generates: the model on this machine, or the server that was named."""
    if arguments.server is None:
        refuse(arguments, _OF_A_SERVER, "is for --server")
        return partial(generated_here, generator(arguments))
    refuse(arguments, _OF_THIS_MACHINE, "is for this machine's model; a server has its own")
    from xr2mri_core.remote import generate_on_server, log_in

    server, ca_file = arguments.server, arguments.ca_file
    token = os.environ.get("XR2MRI_TOKEN", "")
    if arguments.login is not None:
        password = getpass(f"Password of {arguments.login} at {server}: ")
        token = log_in(server, arguments.login, password, ca_file)
    return partial(generate_on_server, server, model=arguments.model, token=token, ca_file=ca_file)


def _demo(arguments: argparse.Namespace) -> None:
    from xr2mri_core.demo import run_demo

    run_demo(arguments.out, seed=arguments.seed, bundle=arguments.bundle, device=arguments.device)


def _once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    grades: dict[str, str] = {}
    for name, grade in pairs:
        if name in grades:
            raise InputError(f"--set {name} is given twice: {grades[name]} and {grade}")
        grades[name] = grade
    return grades


def _pair(text: str) -> tuple[str, str]:
    name, equals, grade = text.partition("=")
    if not (name and equals and grade):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=GRADE, e.g. kl_grade=2")
    return name, grade
