"""``xr2mri compare``: the methods trained alike, measured and reported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xr2mri_core.cli.options import (
    Commands,
    bundle_options,
    count,
    jobs,
    jobs_option,
    knob_option,
    positive,
    precision_option,
)
from xr2mri_core.cli.terminal import progress_bar
from xr2mri_core.errors import InputError

if TYPE_CHECKING:
    from xr2mri_core.comparison.plan import Plan


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "compare", _compare, "train, generate and measure the compared methods on one datalist"
    )
    parser.add_argument("--datalist", type=Path, required=True, help="MONAI datalist of pairs")
    parser.add_argument("--out", type=Path, required=True, help="folder of everything; resumed")
    parser.add_argument(
        "--methods",
        default=None,
        help="names, with commas between (default: all but optional ones; see the manual)",
    )
    parser.add_argument(
        "--load", action="append", default=[], metavar="METHOD=FILE",
        help="weights that are not trained here; again for each",
    )  # fmt: skip
    spent = parser.add_mutually_exclusive_group()
    spent.add_argument(
        "--budget", type=positive, default=64_000, help="slices that each training sees (64000)"
    )
    spent.add_argument("--minutes", type=_minutes, help="instead: minutes of each training")
    parser.add_argument(
        "--start-budget", type=count, default=0, metavar="SLICES",
        help="slices that a denoiser of knees sees first, from which all trainings start (0: none)",
    )  # fmt: skip
    parser.add_argument("--training-cases", type=positive, help="the first N (default all)")
    parser.add_argument("--cases", type=positive, help="the first N test cases (default all)")
    parser.add_argument(
        "--ablation-cases", type=positive, help="cases of the ablation of features (default all)"
    )
    parser.add_argument(
        "--curve-cases", type=positive, default=2, help="cases over slices and steps (default 2)"
    )
    parser.add_argument(
        "--samples", type=count, default=6,
        help="draws for calibration, 4 at least for its curve; 0: none (default 6)",
    )  # fmt: skip
    parser.add_argument(
        "--slice-counts", type=_counts, help="of the curve over slices (default 30,50,100,...,500)"
    )
    parser.add_argument(
        "--step-counts", type=_counts, help="of the curve over steps (default 1,2,4,8,16,32)"
    )
    parser.add_argument(
        "--reader-steps", type=positive, default=600,
        help="training steps of the network that reads bones; the grader's are 3 times that (600)",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="an option of the bundle's training, for all methods, such as precision=bf16",
    )  # fmt: skip
    parser.add_argument("--autoencoder", type=Path, help="folder (default: that of the weights)")
    parser.add_argument("--weights", type=Path, help="model of the autoencoder (the bundle's own)")
    parser.add_argument("--size", default="compact", help="size overlay of the bundle (compact)")
    precision_option(parser)
    parser.add_argument(
        "--lpips", type=Path, nargs=2, metavar=("ALEXNET", "LINEAR"),
        help="weights that you bring, of torchvision's AlexNet and of LPIPS",
    )  # fmt: skip
    parser.add_argument(
        "--fid", type=Path, metavar="INCEPTION",
        help="weights that you bring, of torchvision's Inception v3: adds FID and KID",
    )  # fmt: skip
    parser.add_argument(
        "--page", type=Path, metavar="FILE.md",
        help="write the page of results there as well, its figures beside it",
    )  # fmt: skip
    parser.add_argument(
        "--report-only", action="store_true",
        help="write the report of what the folder holds by now, and compute nothing",
    )  # fmt: skip
    parser.add_argument("--seed", type=count, default=0, help="of trainings and noise (default 0)")
    for name in ("steps", "sampler", "noise_length"):
        knob_option(parser, name)
    bundle_options(parser)
    jobs_option(parser)


def _plan_of(arguments: argparse.Namespace) -> Plan:
    """What is compared, by the options."""
    from xr2mri_core.baselines import DEFAULT
    from xr2mri_core.comparison.plan import Plan
    from xr2mri_core.comparison.training import Budget

    counts = {name: getattr(arguments, name) for name in ("slice_counts", "step_counts")}
    return Plan(
        methods=arguments.methods.split(",") if arguments.methods else DEFAULT,
        budget=Budget(None if arguments.minutes else arguments.budget, arguments.minutes),
        start=arguments.start_budget,
        load={name: Path(file) for name, file in _pairs(arguments.load, "load")},
        training_cases=arguments.training_cases,
        cases=arguments.cases,
        curve_cases=arguments.curve_cases,
        ablation_cases=arguments.ablation_cases,
        samples=arguments.samples,
        steps=arguments.steps,
        sampler=arguments.sampler,
        noise_length=arguments.noise_length,
        reader_steps=arguments.reader_steps,
        seed=arguments.seed,
        precision=arguments.precision,
        options=dict(_pairs(arguments.set, "set")),
        lpips=tuple(arguments.lpips) if arguments.lpips else None,
        fid=arguments.fid,
        **{name: value for name, value in counts.items() if value is not None},
    )


def _compare(arguments: argparse.Namespace) -> None:
    """Compare, or write the report of what there is; print the table and where the report lies."""
    from xr2mri_core.comparison.run import compare, report_again

    plan, command = _plan_of(arguments), _repeatable(sys.argv[1:])
    if arguments.report_only:
        text = report_again(
            arguments.datalist,
            arguments.out,
            plan,
            arguments.page,
            bundle=arguments.bundle,
            size=arguments.size,
            command=command,
        )
    else:
        with progress_bar("compare") as progress:
            text = compare(
                arguments.datalist,
                arguments.out,
                plan,
                bundle=arguments.bundle,
                size=arguments.size,
                weights=arguments.weights,
                autoencoder=arguments.autoencoder,
                device=arguments.device,
                jobs=jobs(arguments),
                progress=progress,
                page=arguments.page,
                command=command,
            )
    print(text)
    print(arguments.out / "report.html")


def _repeatable(arguments: Sequence[str]) -> list[str]:
    """The words that make the same results again: without those that only say where and how."""
    words, rest = [], iter(arguments)
    for word in rest:
        option, sign, _ = word.partition("=")
        if option in ("--page", "--jobs"):
            if not sign:
                next(rest, None)
        elif word != "--report-only":
            words.append(word)
    return words


def _pairs(given: list[str], option: str) -> list[tuple[str, str]]:
    parts = [text.partition("=") for text in given]
    for text, (name, sign, value) in zip(given, parts, strict=True):
        if not (name and sign and value):
            raise InputError(f"'{text}' is no name and value with '=' between", option=option)
    return [(name, value) for name, _, value in parts]


def _counts(text: str) -> tuple[int, ...]:
    return tuple(positive(part) for part in text.split(","))


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of minutes above 0")
    return value
