"""What the commands' arguments have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from xr2mri_core.processes import cores as cores

# Those of xr2mri_core.diffusion, which takes seconds to import; a test holds them together.
SAMPLERS = ("ddim", "unipc", "dpmsolver")

Run = Callable[[argparse.Namespace], None]


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"xr2mri: error: {message}; see '{self.prog} --help'\n")


class Commands:
    """Commands, or actions of a command.

    Args:
        parser: whose they are.
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
    """Which cases are measured, and where to."""
    parser.add_argument("--datalist", type=Path, required=True, help="MONAI datalist of pairs")
    parser.add_argument("--split", default="test", choices=("training", "validation", "test"))
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and figures")
    parser.add_argument("--cases", type=positive, help="the first N cases (default all)")


def bundle_options(parser: argparse.ArgumentParser) -> None:
    """Which bundle, on what."""
    parser.add_argument("--bundle", type=Path, help="MONAI bundle (default: the shipped one)")
    parser.add_argument("--device", default=None, help="cpu, cuda, cuda:1 (default: best)")


def generation_options(parser: argparse.ArgumentParser) -> None:
    """Which model, and how it denoises."""
    bundle_options(parser)
    parser.add_argument("--size", default="compact", help="size overlay of the bundle (compact)")
    parser.add_argument("--weights", type=Path, help="safetensors of that size (the bundle's own)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--steps", type=positive, help="denoising steps (default: the bundle's)")
    parser.add_argument("--sampler", choices=SAMPLERS, help="(default: the bundle's)")
    parser.add_argument("--guidance", type=float, help="classifier-free guidance on the features")
    parser.add_argument("--seed", type=seed, default=0, help="same seed, same volume (default 0)")
    parser.add_argument("--samples", type=positive, default=1, help="with 2 or more: mean and std")
    parser.add_argument("--batch-size", type=positive, help="slices at a time: bounds the memory")


def sampling(arguments: argparse.Namespace) -> dict[str, Any]:
    """The denoising that was asked for, as keywords of ``KneeMRIGenerator.generate``."""
    names = ("steps", "sampler", "guidance", "seed", "samples", "batch_size")
    return {name: getattr(arguments, name) for name in names}


def generator(arguments: argparse.Namespace) -> Any:
    """The generator that `generation_options` name."""
    from xr2mri_core.generation import KneeMRIGenerator

    return KneeMRIGenerator.from_bundle(
        arguments.bundle,
        device=arguments.device,
        precision=arguments.precision,
        size=arguments.size,
        weights=arguments.weights,
    )


# --- types of arguments -------------------------------------------------------------------------


def positive(text: str) -> int:
    """An integer of at least 1."""
    return _integer(text, 1)


def pair(text: str) -> int:
    """An integer of at least 2."""
    return _integer(text, 2)


def count(text: str) -> int:
    """An integer of at least 0."""
    return _integer(text, 0)


def seed(text: str) -> int:
    """A seed, 0 or more."""
    return _integer(text, 0)


def _integer(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value < 2**63:
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer >= {least}")
    return value
