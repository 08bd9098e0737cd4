"""``xr2mri localize``: find the knees in a radiograph, and train and measure what finds them."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xr2mri_core.cli.options import Commands, count, pair, positive
from xr2mri_core.cli.terminal import progress_bar
from xr2mri_core.errors import InputError

log = logging.getLogger("xr2mri")

_ACTIONS = ("find", "films", "score")


def spelled_out(argv: Sequence[str]) -> list[str]:
    """``localize FILE`` is short for ``localize find FILE``, also behind ``--debug``."""
    command = next((i for i, word in enumerate(argv) if not word.startswith("-")), len(argv))
    before, given = argv[:command], argv[command:]
    short = (
        len(given) > 1 and given[0] == "localize" and given[1] not in (*_ACTIONS, "-h", "--help")
    )
    return [*before, "localize", "find", *given[1:]] if short else [*argv]


def add(commands: Commands) -> None:
    """Declare the command and its actions."""
    actions = commands.group("localize", "find the knees in a plain radiograph", "FILE | ACTION")
    find = actions.add("find", _find, "boxes of the knees in a radiograph, as JSON")
    find.add_argument("file", type=Path, help="DICOM, PNG, JPEG, NIfTI, NRRD, MetaImage")
    find.add_argument("--out", type=Path, help="JSON file to write (default: print it)")
    find.add_argument("--picture", type=Path, help="PNG to write, with the boxes drawn")

    films = actions.add("films", _films, "make the pictures that the detector learns from")
    films.add_argument("--out", type=Path, required=True, help="folder to write to")
    films.add_argument("--films", type=positive, default=2000, help="both knees or one leg")
    films.add_argument("--crops", type=count, default=1500, help="tight, equalised, of one joint")
    films.add_argument("--strangers", type=count, default=600, help="pictures without a knee")
    films.add_argument("--datalist", type=Path, help="phantom cases: their radiographs too")
    films.add_argument("--knees", type=count, default=1400, help="of them, at most")

    score = actions.add("score", _score, "measure a detector on phantoms or drawn boxes")
    score.add_argument("--weights", type=Path, help="safetensors (default: the shipped ones)")
    score.add_argument("--films", type=count, default=0, help="unseen films to measure on")
    score.add_argument("--crops", type=count, default=0, help="tight, equalised crops, likewise")
    score.add_argument("--leg-folder", type=Path, default=Path("data/legs"), help="kept legs")
    score.add_argument("--first-leg", type=count, default=1000, help="of the unseen ones")
    score.add_argument("--strangers", type=Path, help="folder of more pictures without a knee")
    score.add_argument("--datalist", type=Path, help="phantom cases: their radiographs too")
    score.add_argument("--split", default="test", choices=("training", "validation", "test"))
    score.add_argument("--out", type=Path, help="JSON file for the figures")
    for parser, legs in ((films, 64), (score, 20)):
        parser.add_argument("--boxes", type=Path, help="CSV of drawn joint boxes (docs: boxfile)")
        parser.add_argument("--images", type=Path, help="folder of its pictures (default: its own)")
        parser.add_argument("--legs", type=pair, default=legs, help="painted legs to lay out")
        parser.add_argument("--legs-seed", type=count, default=77, help="of the painted legs")
        parser.add_argument("--seed", type=count, default=5, help="of the films")
        parser.add_argument("--jobs", type=positive, default=1, help="processes")


def _find(arguments: argparse.Namespace) -> None:
    from xr2mri_core.files import check_file, write_text
    from xr2mri_core.localization.locate import look_at
    from xr2mri_core.localization.overlay import write_overlay

    for path in filter(None, (arguments.out, arguments.picture)):
        check_file(path)
    look = look_at(arguments.file, detached=True)
    for warning in look.found.warnings:
        log.warning(warning)
    found = look.found.in_file(look.turn).to_dict()
    text = json.dumps({"radiograph": arguments.file.name, **found}, indent=1)
    if arguments.picture is not None:
        write_overlay(arguments.picture, look.picture, look.found)
    if arguments.out is None:
        print(text)
    else:
        write_text(arguments.out, text + "\n")
        print(arguments.out)


def _films(arguments: argparse.Namespace) -> None:
    from xr2mri_core.files import check_writable
    from xr2mri_core.localization.boxfile import read_boxes
    from xr2mri_core.training.detector.films import write_films
    from xr2mri_core.training.detector.legs import read_legs, write_legs

    out = check_writable(arguments.out)
    boxes = None
    if arguments.boxes is not None:
        boxes = read_boxes(arguments.boxes, arguments.images)
    with progress_bar("legs") as progress:
        legs = write_legs(
            out / "legs", arguments.legs, arguments.legs_seed, arguments.jobs, progress=progress
        )
    with progress_bar("films") as progress:
        written = write_films(
            out / "films.npz",
            read_legs(legs, 0, arguments.legs),
            arguments.films,
            arguments.strangers,
            arguments.datalist,
            knees=arguments.knees if arguments.datalist else 0,
            boxes=boxes,
            seed=arguments.seed,
            progress=progress,
            crops=arguments.crops,
        )
    print(written)


def _score(arguments: argparse.Namespace) -> None:
    from xr2mri_core.files import check_file, write_text
    from xr2mri_core.localization import KneeDetector
    from xr2mri_core.localization.boxfile import read_boxes
    from xr2mri_core.training.detector import score
    from xr2mri_core.training.detector.legs import read_legs, write_legs

    if not (arguments.films or arguments.crops or arguments.boxes or arguments.datalist):
        raise InputError("nothing to measure on; give --films, --crops, --boxes or --datalist")
    if arguments.out is not None:
        check_file(arguments.out)
    detector = KneeDetector.shipped()
    if arguments.weights is not None:
        detector = KneeDetector.load(arguments.weights)
    scores: dict[str, Any] = {}
    with progress_bar("score") as progress:
        if arguments.boxes is not None:
            boxes = read_boxes(arguments.boxes, arguments.images)
            scores["boxes"] = score.score_boxes(detector, boxes, progress)
        if arguments.films or arguments.crops:
            first, count = arguments.first_leg, arguments.legs
            folder = write_legs(
                arguments.leg_folder, count, arguments.legs_seed, arguments.jobs, first, progress
            )
            legs = read_legs(folder, first, count)
        if arguments.crops:
            scores["crops"] = score.score_crops(
                detector, legs, arguments.crops, arguments.seed, progress
            )
        if arguments.films:
            scores["films"] = score.score_films(
                detector, legs, arguments.films, arguments.seed, progress=progress
            )
            strangers = sorted(arguments.strangers.iterdir()) if arguments.strangers else []
            scores["strangers"] = score.score_strangers(detector, 100, arguments.seed, strangers)
        if arguments.datalist is not None:
            scores["knees"] = score.score_knees(
                detector, arguments.datalist, arguments.split, progress
            )
    print(score.table(scores))
    if arguments.out is not None:
        write_text(arguments.out, json.dumps(scores, indent=1) + "\n")
