"""``xr2mri evaluate`` and ``xr2mri robustness``: how good a model is, and how steady."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from xr2mri_core.cli.options import (
    Commands,
    count,
    generation_options,
    generator,
    positive,
    sampling,
    split_options,
    worker_options,
    workers,
)
from xr2mri_core.cli.terminal import progress_bar


def add(commands: Commands) -> None:
    """Declare the commands."""
    evaluate = commands.add("evaluate", _evaluate, "measure a model on a split of a datalist")
    split_options(evaluate)
    evaluate.add_argument(
        "--response-cases", type=count, help="cases of the feature response (default: as --cases)"
    )
    evaluate.add_argument(
        "--spacing-cases", type=count, default=2, help="cases at 30 to 500 slices (default 2)"
    )
    evaluate.add_argument(
        "--mean-cases", type=positive, default=200, help="training volumes in the mean volume (200)"
    )
    generation_options(evaluate, without="kind")
    worker_options(evaluate)

    robustness = commands.add(
        "robustness", _robustness, "how the volume moves with another radiograph of the same knee"
    )
    split_options(robustness)
    generation_options(robustness, without="samples")  # the first is measured
    worker_options(robustness)


def _evaluate(arguments: argparse.Namespace) -> None:
    from xr2mri_core.evaluation.evaluate import evaluate

    names = ("response_cases", "spacing_cases", "mean_cases")
    _measure(arguments, evaluate, **{name: getattr(arguments, name) for name in names})


def _robustness(arguments: argparse.Namespace) -> None:
    from xr2mri_core.evaluation.robustness import robustness

    _measure(arguments, robustness)


def _measure(arguments: argparse.Namespace, measure: Callable[..., str], **settings: Any) -> None:
    """Print the table that a measurement of the model on the chosen cases returns."""
    from xr2mri_core.files import check_writable

    settings |= workers(arguments)
    check_writable(arguments.out)
    model = generator(arguments)
    with progress_bar(measure.__name__) as progress:
        table = measure(
            arguments.datalist,
            model,
            arguments.out,
            split=arguments.split,
            cases=arguments.cases,
            progress=progress,
            **sampling(arguments),
            **settings,
        )
    print(table)
