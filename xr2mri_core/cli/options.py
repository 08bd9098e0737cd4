"""What the commands' arguments have in common."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from xr2mri_core.errors import InputError
from xr2mri_core.recipe import PRECISIONS
from xr2mri_core.request import KNOBS, GenerationRequest, checked, left_to_the_model
from xr2mri_core.this_process import cores

if TYPE_CHECKING:
    from xr2mri_core.condition import Condition
    from xr2mri_core.generation import KneeMRIGenerator
    from xr2mri_core.progress import Callbacks
    from xr2mri_core.volume import GeneratedVolume

Run = Callable[[argparse.Namespace], None]

_LONGEST_STEM = 200
"""Bytes; file systems take 255, and endings follow."""


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"xr2mri: error: {message}; see '{self.prog} --help'\n")


class Commands:
    """Commands, or actions of a command.

    Args:
        parser: parser that gets the options.
        metavar: what they are called in its help.
        common: parser of the arguments that all of them have.
    """

    def __init__(self, parser: argparse.ArgumentParser, metavar: str, common: Parser) -> None:
        self._parsers = parser.add_subparsers(
            title="commands", required=True, metavar=metavar, parser_class=Parser
        )
        self._common = common

    def add(self, name: str, run: Run, text: str) -> Parser:
        """A command that is carried out by ``run(arguments)``."""
        parser = self._parsers.add_parser(name, help=text, description=text, parents=[self._common])
        parser.set_defaults(run=run)
        return parser

    def group(self, name: str, text: str, metavar: str = "ACTION") -> Commands:
        """A command that has actions."""
        return Commands(self._parsers.add_parser(name, help=text), metavar, self._common)


# --- groups of arguments ------------------------------------------------------------------------


def split_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options for the cases that are measured and the folder of the results."""
    parser.add_argument("--datalist", type=Path, required=True, help="MONAI datalist of pairs")
    parser.add_argument("--split", default="test", choices=("training", "validation", "test"))
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and figures")
    parser.add_argument("--cases", type=positive, help="the first N cases (default all)")


def bundle_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options for the bundle and the device."""
    parser.add_argument("--bundle", type=Path, help="MONAI bundle (default: the shipped one)")
    parser.add_argument("--device", default=None, help="cpu, cuda, cuda:1 (default: best)")


def precision_option(parser: argparse.ArgumentParser, default: str | None = PRECISIONS[0]) -> None:
    """Declare the option for the precision of the networks."""
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=default,
        help="bf16 is faster on a GPU, and on a CPU with AMX (default: fp32)",
    )


def generation_options(parser: argparse.ArgumentParser, without: str = "") -> None:
    """Declare the options for the model and how it generates, without one that has no choice."""
    bundle_options(parser)
    parser.add_argument("--size", help="size overlay of the bundle (compact)")
    parser.add_argument("--weights", type=Path, help="safetensors of that size (the bundle's own)")
    precision_option(parser, None)
    for name in _SAMPLING:
        if name != without:
            knob_option(parser, name)


def refuse(arguments: argparse.Namespace, options: Mapping[str, str], why: str) -> None:
    """Raise an InputError for an option, by its argument, that was given where it has no use."""
    for name, option in options.items():
        if getattr(arguments, name) not in (None, []):
            raise InputError(f"{option} {why}")


def jobs_option(parser: argparse.ArgumentParser, what: str = "") -> None:
    """Declare ``--jobs``, which `jobs` takes; see `worker_options`."""
    parser.add_argument(
        "--jobs",
        type=positive,
        help=f"{what}processes (default: one for each core, or for each GPU that is used)",
    )


def worker_options(parser: argparse.ArgumentParser, what: str = "") -> None:
    """Declare the options for several processes, which `workers` takes.

    Args:
        parser: parser of the command.
        what: said before the help, e.g. which of the command's uses they are for.
    """
    jobs_option(parser, what)
    parser.add_argument(
        "--scheduler",
        type=_scheduler,
        metavar="tcp://HOST:8786",
        help=f"{what}Dask scheduler whose workers do the work, under the same paths, in place of "
        "processes of this machine",
    )


def workers(arguments: argparse.Namespace) -> dict[str, Any]:
    """``jobs`` and ``scheduler`` of `xr2mri_core.processes.each_done`.

    Paths become absolute for a scheduler: its workers stand in other folders.
    """
    if arguments.scheduler is None:
        return {"jobs": jobs(arguments), "scheduler": None}
    if arguments.jobs is not None:
        raise InputError("--jobs is for processes of this machine; a scheduler has its workers")
    for name, value in vars(arguments).items():
        if isinstance(value, Path):
            setattr(arguments, name, value.absolute())
        elif isinstance(value, list) and all(isinstance(each, Path) for each in value):
            setattr(arguments, name, [each.absolute() for each in value])
    return {"jobs": 1, "scheduler": arguments.scheduler}


def jobs(arguments: argparse.Namespace) -> int:
    """Processes by ``--jobs``; by default one for each core, or for each GPU that is used."""
    if arguments.jobs is not None:
        return int(arguments.jobs)
    if not hasattr(arguments, "device"):
        return cores()
    import torch

    from xr2mri_core.devices import best_device

    device = arguments.device or best_device()
    if device == "cpu":
        return cores()
    return max(1, torch.cuda.device_count()) if device == "cuda" else 1


def _scheduler(text: str) -> str:
    if not re.fullmatch(r"(tcp|tls)://[^\s/]+:\d+", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not tcp://HOST:PORT or tls://HOST:PORT")
    return text


_SAMPLING = tuple(
    name for name in KNOBS if name not in ("laterality", "box", "num_slices", "depths")
)
"""Knobs of all commands that generate; the others are of one radiograph, or of one command."""


def knob_option(parser: argparse.ArgumentParser, name: str, option: str | None = None) -> None:
    """An option for a field of `GenerationRequest`, with its limits, default and help."""
    knob, limits = KNOBS[name], KNOBS[name].metadata
    default = "the bundle's" if left_to_the_model(name) else knob.default
    accepted: dict[str, Any] = {"type": _of(name)}
    if "parse" in limits:
        accepted["metavar"] = f"{{{','.join(limits['choices'])}}}"
    elif "choices" in limits:
        accepted = {"choices": tuple(limits["choices"])}
    elif "names" in limits:
        names = tuple(part.upper() for part in limits["names"])
        accepted = {"type": int, "nargs": len(names), "metavar": names}
    parser.add_argument(
        f"--{option or name.replace('_', '-')}",
        dest=name,
        default=knob.default,
        help=limits["help"] + ("" if default is None else f" (default: {default})"),
        **accepted,
    )


def _of(name: str) -> Callable[[str], Any]:
    """The type of an option for a number, or for a choice with several spellings."""

    def one(text: str) -> Any:
        value: Any = text
        if "least" in (limits := KNOBS[name].metadata):
            with suppress(ValueError):  # refused below, with what is accepted
                value = int(text) if limits.get("whole") else float(text)
        try:
            return checked(name, value)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return one


def sampling(arguments: argparse.Namespace) -> dict[str, Any]:
    """How to generate, as the fields of a `GenerationRequest` that all commands have."""
    return {name: getattr(arguments, name) for name in _SAMPLING if hasattr(arguments, name)}


def request_of(arguments: argparse.Namespace) -> GenerationRequest:
    """How to generate: every knob that the command has an option for."""
    return GenerationRequest(
        **{name: getattr(arguments, name) for name in KNOBS if hasattr(arguments, name)}
    )


def generator(arguments: argparse.Namespace) -> KneeMRIGenerator:
    """The generator that `generation_options` name.

    Where a scheduler's workers generate, theirs is the device, and this machine need not have it.
    """
    from xr2mri_core.devices import best_device
    from xr2mri_core.generation import KneeMRIGenerator

    device = arguments.device or best_device()
    elsewhere = getattr(arguments, "scheduler", None) is not None
    given = {name: getattr(arguments, name) for name in ("precision", "size")}
    model = KneeMRIGenerator.from_bundle(
        arguments.bundle,
        device="cpu" if elsewhere else device,
        weights=arguments.weights,
        **{name: value for name, value in given.items() if value is not None},
    )
    if elsewhere:
        model.bound_for(device)
    return model


def generated_here(
    model: KneeMRIGenerator,
    radiograph: Path,
    condition: Condition,
    request: GenerationRequest,
    callbacks: Callbacks,
) -> GeneratedVolume:
    """Call `KneeMRIGenerator.generate` on a file of this machine's user."""
    from xr2mri_core.reading import prepare_radiograph

    read = prepare_radiograph(
        radiograph, model.image_size, request.laterality, request.box, detached=True
    )
    return model.generate(read, condition, request, callbacks)


# --- types of arguments -------------------------------------------------------------------------


def positive(text: str) -> int:
    """An integer of at least 1."""
    return _integer(text, 1)


def pair(text: str) -> int:
    """An integer of at least 2."""
    return _integer(text, 2)


def count(text: str) -> int:
    """An integer of at least 0: how many, or a seed."""
    return _integer(text, 0)


def stem(text: str) -> str:
    """What names of files begin with: no path, for a cohort's results would share it."""
    hidden = text.startswith(".")
    if not text or hidden or set(text) & set("/\\\0") or len(os.fsencode(text)) > _LONGEST_STEM:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no stem of a file's name; a folder is given with --out"
        )
    return text


def _integer(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value < 2**63:
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer >= {least}")
    return value
