"""The command line: ``xr2mri phantom | oai | localize | generate | evaluate | robustness | ...``.

Results go to standard output and to files, everything else to standard error. A fault is one line
that names what was wrong and the remedy, and an exit status: 2 for what was handed in, 130 for an
interrupt, 1 for the rest. Heavy libraries are imported by the command that needs them, so that
help is instant.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from xr2mri_core import __version__
from xr2mri_core.errors import Cancelled, InputError, XR2MRIError

if TYPE_CHECKING:
    from xr2mri_core.generation import GeneratedVolume

log = logging.getLogger("xr2mri")


class Progress(Protocol):
    """What draws a bar: ``progress(done, total, stage)``."""

    def __call__(self, done: int, total: int, stage: str = ...) -> None: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (never raises, except in a debugger's hands)."""
    debug = "--debug" in (sys.argv[1:] if argv is None else argv)
    try:
        arguments = _parser().parse_args(_spelled_out(sys.argv[1:] if argv is None else argv))
        _set_up(debug)
        arguments.run(arguments)
        return 0
    except SystemExit as stop:  # argparse has printed help, the version or an error
        return stop.code if isinstance(stop.code, int) else 1
    except (KeyboardInterrupt, Cancelled):
        return _fail("interrupted; no partial file was left", 130)
    except XR2MRIError as error:
        if debug:
            log.exception("traceback:")
        return _fail(str(error), 2 if isinstance(error, InputError) else 1)
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


def _spelled_out(argv: Sequence[str]) -> list[str]:
    """``localize FILE`` is short for ``localize find FILE``."""
    short = len(argv) > 1 and argv[0] == "localize" and argv[1] not in (*_LOCALIZE, "-h", "--help")
    return ["localize", "find", *argv[1:]] if short else [*argv]


# --- commands -----------------------------------------------------------------------------------


def _phantom(arguments: argparse.Namespace) -> None:
    from xr2mri_core.files import check_writable
    from xr2mri_core.phantom.cohort import DEFAULT_ENRICHMENT
    from xr2mri_core.phantom.dataset import write_cases

    out = check_writable(arguments.out)
    if arguments.as_oai:
        _phantom_release(arguments)
        return
    with _progress_bar("phantom") as progress:
        written = write_cases(
            out,
            arguments.cases,
            seed=arguments.seed,
            jobs=arguments.jobs,
            progress=progress,
            enrichment=(
                DEFAULT_ENRICHMENT if arguments.enrichment is None else arguments.enrichment
            ),
            start=arguments.start,
        )
    print(written)


def _phantom_release(arguments: argparse.Namespace) -> None:
    from xr2mri_core.phantom.cohort import DEFAULT_ENRICHMENT
    from xr2mri_core.phantom.oai_release import write_release

    if arguments.start:
        raise InputError("--start goes with plain phantoms, not with --as-oai; leave it out")
    with _progress_bar("phantom release") as progress:
        written = write_release(
            arguments.out,
            arguments.cases,
            seed=arguments.seed,
            jobs=arguments.jobs,
            enrichment=(
                DEFAULT_ENRICHMENT if arguments.enrichment is None else arguments.enrichment
            ),
            progress=progress,
        )
    print(written)


def _oai_index(arguments: argparse.Namespace) -> None:
    from xr2mri_core.oai import pictures
    from xr2mri_core.oai.index import Settings, index_release

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
    with _progress_bar("index") as progress:
        flow = index_release(
            arguments.images,
            arguments.tables,
            arguments.out,
            settings,
            jobs=arguments.jobs,
            locate=getattr(pictures, arguments.locate) if arguments.locate else None,
            progress=progress,
        )
    print(flow, end="")


def _generate(arguments: argparse.Namespace) -> None:
    from xr2mri_core.export import write_generated
    from xr2mri_core.files import check_writable

    features = _read_form(arguments.features, dict(arguments.set))
    if not arguments.radiograph.is_file():
        raise InputError(f"no file '{arguments.radiograph}'; give a radiograph with --radiograph")
    check_writable(arguments.out)
    with _progress_bar("generate") as progress:
        generated = _generating(arguments)(
            arguments.radiograph,
            features,
            num_slices=arguments.slices,
            steps=arguments.steps,
            sampler=arguments.sampler,
            seed=arguments.seed,
            samples=arguments.samples,
            guidance=arguments.guidance,
            laterality=arguments.laterality,
            box=arguments.box,
            progress=progress,
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
        return partial(_generator(arguments).generate, batch_size=arguments.batch_size)
    from xr2mri_core.remote import generate_on_server

    token = os.environ.get("XR2MRI_TOKEN", "")
    return partial(generate_on_server, arguments.server, token=token)


def _evaluate(arguments: argparse.Namespace) -> None:
    from xr2mri_core.evaluation.compare import evaluate
    from xr2mri_core.files import check_writable

    check_writable(arguments.out)
    generator = _generator(arguments)
    with _progress_bar("evaluate") as progress:
        table = evaluate(
            arguments.datalist,
            generator,
            arguments.out,
            split=arguments.split,
            cases=arguments.cases,
            steps=arguments.steps,
            sampler=arguments.sampler,
            guidance=arguments.guidance,
            seed=arguments.seed,
            batch_size=arguments.batch_size,
            samples=arguments.samples,
            response_cases=arguments.response_cases,
            spacing_cases=arguments.spacing_cases,
            mean_cases=arguments.mean_cases,
            jobs=arguments.jobs,
            progress=progress,
        )
    print(table)


def _robustness(arguments: argparse.Namespace) -> None:
    from xr2mri_core.evaluation.robustness import robustness
    from xr2mri_core.files import check_writable

    check_writable(arguments.out)
    generator = _generator(arguments)
    with _progress_bar("robustness") as progress:
        text = robustness(
            arguments.datalist,
            generator,
            arguments.out,
            split=arguments.split,
            cases=arguments.cases,
            steps=arguments.steps,
            sampler=arguments.sampler,
            guidance=arguments.guidance,
            seed=arguments.seed,
            batch_size=arguments.batch_size,
            progress=progress,
        )
    print(text)


def _demo(arguments: argparse.Namespace) -> None:
    from xr2mri_core.demo import run_demo

    run_demo(arguments.out, seed=arguments.seed, bundle=arguments.bundle, device=arguments.device)


def _weights_import(arguments: argparse.Namespace) -> None:
    from xr2mri_core.networks import pretrained

    print(pretrained.import_weights(arguments.kind, arguments.source, arguments.out))


def _localize_find(arguments: argparse.Namespace) -> None:
    import json

    from xr2mri_core.files import check_writable
    from xr2mri_core.localization import KneeDetector
    from xr2mri_core.localization.overlay import write_overlay
    from xr2mri_core.transforms.radiograph_file import read_radiograph

    for path in filter(None, (arguments.out, arguments.picture)):
        check_writable(path.parent)
    picture, info = read_radiograph(arguments.file)
    found = KneeDetector.shipped().locate(picture, info["spacing_mm"])
    for warning in found.warnings:
        log.warning(warning)
    text = json.dumps({"radiograph": arguments.file.name, **found.to_dict()}, indent=1)
    if arguments.picture is not None:
        write_overlay(arguments.picture, picture, found)
    if arguments.out is None:
        print(text)
    else:
        arguments.out.write_text(text + "\n", encoding="utf-8")
        print(arguments.out)


def _localize_films(arguments: argparse.Namespace) -> None:
    from xr2mri_core.files import check_writable
    from xr2mri_core.localization.boxfile import read_boxes
    from xr2mri_core.localization.films import write_films
    from xr2mri_core.localization.legs import read_legs, write_legs

    out = check_writable(arguments.out)
    boxes = None
    if arguments.boxes is not None:
        boxes = read_boxes(arguments.boxes, arguments.images)
    with _progress_bar("legs") as progress:
        legs = write_legs(
            out / "legs", arguments.legs, arguments.legs_seed, arguments.jobs, progress=progress
        )
    with _progress_bar("films") as progress:
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
        )
    print(written)


def _localize_score(arguments: argparse.Namespace) -> None:
    import json

    from xr2mri_core.localization import KneeDetector, score
    from xr2mri_core.localization.boxfile import read_boxes
    from xr2mri_core.localization.legs import read_legs, write_legs

    detector = KneeDetector.shipped()
    if arguments.weights is not None:
        detector = KneeDetector.load(arguments.weights)
    scores: dict[str, Any] = {}
    with _progress_bar("score") as progress:
        if arguments.boxes is not None:
            boxes = read_boxes(arguments.boxes, arguments.images)
            scores["boxes"] = score.score_boxes(detector, boxes, progress)
        if arguments.films:
            first, count = arguments.first_leg, arguments.legs
            folder = write_legs(
                arguments.leg_folder, count, arguments.legs_seed, arguments.jobs, first, progress
            )
            legs = read_legs(folder, first, count)
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
        arguments.out.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")


def _info(arguments: argparse.Namespace) -> None:
    import json

    if arguments.form:
        from xr2mri_core.features import form_schema

        print(json.dumps(form_schema(), indent=2))
        return
    from xr2mri_core.generation import describe_bundle, versions

    print(
        json.dumps({"versions": versions(), "bundle": describe_bundle(arguments.bundle)}, indent=2)
    )


def _read_form(path: Path | None, keywords: dict[str, str]) -> dict[str, int]:
    """The features of a form, or of a record (of a phantom or of a generation) that holds one."""
    import json

    from xr2mri_core.features import parse_features

    source: Any = path
    if path is not None and path.suffix.lower() == ".json" and path.is_file():
        with suppress(OSError, ValueError, RecursionError):
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict) and isinstance(content.get("features"), dict):
                source = content["features"]
    return parse_features(source, **keywords)


def _generator(arguments: argparse.Namespace) -> Any:
    from xr2mri_core.generation import KneeMRIGenerator

    return KneeMRIGenerator.from_bundle(
        arguments.bundle,
        device=arguments.device,
        precision=arguments.precision,
        size=arguments.size,
        weights=arguments.weights,
    )


# --- arguments ----------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"xr2mri: error: {message}; see '{self.prog} --help'\n")


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show tracebacks and library messages")
    parser = _Parser(
        prog="xr2mri",
        description="A knee MRI volume generated from one radiograph. Research only.",
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"xr2mri {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str) -> _Parser:
        sub = commands.add_parser(name, help=text, description=text, parents=[common])
        sub.set_defaults(run=run)
        return sub

    phantom = command("phantom", _phantom, "write paired phantom knees and their datalist")
    phantom.add_argument("--cases", type=_positive, required=True, help="number of knees")
    phantom.add_argument("--seed", type=_seed, default=0, help="same seed, same files (default 0)")
    phantom.add_argument("--out", type=Path, required=True, help="folder to write to")
    phantom.add_argument("--jobs", type=_positive, default=_cores(), help="processes (default all)")
    phantom.add_argument(
        "--enrichment",
        type=float,
        help="how much commoner rare findings are: 0 as in OAI, 1 all grades alike",
    )
    phantom.add_argument(
        "--start", type=_seed, default=0, help="number of the first knee (default 0)"
    )

    phantom.add_argument(
        "--as-oai", action="store_true",
        help="write a small release in the shape of OAI's instead; --cases are participants",
    )  # fmt: skip

    oai = commands.add_parser("oai", help="make a datalist of an OAI release")
    _oai_arguments(oai.add_subparsers(required=True, metavar="ACTION"), common)

    generate = command("generate", _generate, "generate an MRI volume from a radiograph")
    generate.add_argument("--radiograph", type=Path, required=True, help="DICOM, PNG, NIfTI, NRRD")
    generate.add_argument("--features", type=Path, help="form of Table I as JSON or CSV")
    generate.add_argument(
        "--set", type=_pair, action="append", default=[], metavar="NAME=GRADE",
        help="one feature, e.g. kl_grade=2 or V00XRJSM=1 (repeatable)",
    )  # fmt: skip
    generate.add_argument("--out", type=Path, required=True, help="folder to write to")
    generate.add_argument("--name", default="generated", help="stem of the files")
    generate.add_argument("--format", choices=("nifti", "nrrd", "dicom"), default="nifti")
    generate.add_argument("--slices", type=_positive, default=50, help="slices (default 50)")
    generate.add_argument("--laterality", default="auto", help="R, L or auto (from the file)")
    generate.add_argument(
        "--server",
        metavar="URL",
        help="generate there, not here; a login's token is taken from XR2MRI_TOKEN",
    )
    generate.add_argument(
        "--box", type=int, nargs=4, metavar=("TOP", "LEFT", "BOTTOM", "RIGHT"),
        help="the knee in the radiograph, in pixels",
    )  # fmt: skip
    _generation_options(generate)

    evaluate = command("evaluate", _evaluate, "measure a model on a split of a datalist")
    _split_options(evaluate)
    evaluate.add_argument(
        "--response-cases", type=_count, help="cases of the feature response (default: as --cases)"
    )
    evaluate.add_argument(
        "--spacing-cases", type=_count, default=8, help="cases at 100 and 200 slices (default 8)"
    )
    evaluate.add_argument(
        "--mean-cases", type=_positive, default=200, help="training volumes in the mean volume"
    )
    evaluate.add_argument("--jobs", type=_positive, default=1, help="processes beside the model")
    _generation_options(evaluate)

    robustness = command(
        "robustness", _robustness, "how the volume moves with another radiograph of the same knee"
    )
    _split_options(robustness)
    _generation_options(robustness)

    demo = command("demo", _demo, "an unseen phantom patient, from radiograph to volume")
    demo.add_argument("--out", type=Path, default=Path("demo"))
    demo.add_argument("--seed", type=_seed, default=0, help="another patient, other noise")
    _bundle_options(demo)

    localize = commands.add_parser("localize", help="find the knees in a plain radiograph")
    _localize_arguments(localize.add_subparsers(required=True, metavar="FILE | ACTION"), common)

    weights = commands.add_parser("weights", help="bring pretrained weights")
    actions = weights.add_subparsers(required=True, metavar="ACTION")
    _weights_arguments(actions, common)

    info = command("info", _info, "versions and the bundle's model, or the form of features")
    info.add_argument("--form", action="store_true", help="JSON schema of the feature form instead")
    _bundle_options(info)
    return parser


def _weights_arguments(actions: Any, common: argparse.ArgumentParser) -> None:
    importer = actions.add_parser("import", help="Zero-123 and CLIP checkpoints", parents=[common])
    importer.add_argument("kind", choices=("zero123", "clip"))
    importer.add_argument("source", type=Path, help="the checkpoint: .ckpt, .pt or .safetensors")
    importer.add_argument("out", type=Path, help="safetensors file to write, or to add to")
    importer.set_defaults(run=_weights_import)


def _split_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--datalist", type=Path, required=True, help="MONAI datalist of pairs")
    parser.add_argument("--split", default="test", choices=("training", "validation", "test"))
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and figures")
    parser.add_argument("--cases", type=_positive, help="the first N cases (default all)")


def _oai_arguments(actions: Any, common: argparse.ArgumentParser) -> None:
    text = "check, convert and split the radiograph-MRI pairs of an OAI release"
    index = actions.add_parser("index", help=text, description=text, parents=[common])
    index.set_defaults(run=_oai_index)
    index.add_argument(
        "--images", type=Path, nargs="+", required=True,
        help="folders of visits (00m/ with contents.csv), or of the NDA's tar.gz files",
    )  # fmt: skip
    index.add_argument("--tables", type=Path, nargs="+", required=True, help="folders of tables")
    index.add_argument("--out", type=Path, required=True, help="folder to write to")
    index.add_argument("--visit", nargs="+", default=[], help="e.g. V00 or 12m (default: all)")
    index.add_argument("--sequence", default="COR_T1_3D_FLASH", help="coronal sequence of the MRI")
    index.add_argument(
        "--window", type=_count, nargs=2, metavar=("LOW", "HIGH"),
        help="keep slices between these percentages (default: the sequence's, 16 78)",
    )  # fmt: skip
    index.add_argument(
        "--slices", type=_positive, nargs=2, metavar=("LEAST", "MOST"),
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
    index.add_argument("--seed", type=_seed, default=0, help="of the split (default 0)")
    index.add_argument("--jobs", type=_positive, default=_cores(), help="processes (default all)")


_LOCALIZE = ("find", "films", "score")


def _localize_arguments(actions: Any, common: argparse.ArgumentParser) -> None:
    def action(name: str, run: Callable[[argparse.Namespace], None], text: str) -> _Parser:
        parser = actions.add_parser(name, help=text, description=text, parents=[common])
        parser.set_defaults(run=run)
        return parser

    find = action("find", _localize_find, "boxes of the knees in a radiograph, as JSON")
    find.add_argument("file", type=Path, help="DICOM, PNG, JPEG, NIfTI, NRRD")
    find.add_argument("--out", type=Path, help="JSON file to write (default: print it)")
    find.add_argument("--picture", type=Path, help="PNG to write, with the boxes drawn")

    films = action("films", _localize_films, "make the pictures that the detector learns from")
    films.add_argument("--out", type=Path, required=True, help="folder to write to")
    films.add_argument("--films", type=_positive, default=2000, help="both knees or one leg")
    films.add_argument("--strangers", type=_count, default=600, help="pictures without a knee")
    films.add_argument("--datalist", type=Path, help="phantom cases: their radiographs too")
    films.add_argument("--knees", type=_count, default=1400, help="of them, at most")

    score = action("score", _localize_score, "measure a detector on phantoms or drawn boxes")
    score.add_argument("--weights", type=Path, help="safetensors (default: the shipped ones)")
    score.add_argument("--films", type=_count, default=0, help="unseen films to measure on")
    score.add_argument("--leg-folder", type=Path, default=Path("data/legs"), help="kept legs")
    score.add_argument("--first-leg", type=_count, default=1000, help="of the unseen ones")
    score.add_argument("--strangers", type=Path, help="folder of more pictures without a knee")
    score.add_argument("--datalist", type=Path, help="phantom cases: their radiographs too")
    score.add_argument("--split", default="test", choices=("training", "validation", "test"))
    score.add_argument("--out", type=Path, help="JSON file for the figures")
    for parser, legs in ((films, 64), (score, 20)):
        parser.add_argument("--boxes", type=Path, help="CSV of drawn joint boxes (docs: boxfile)")
        parser.add_argument("--images", type=Path, help="folder of its pictures (default: its own)")
        parser.add_argument("--legs", type=_positive, default=legs, help="painted legs to lay out")
        parser.add_argument("--legs-seed", type=_seed, default=77, help="of the painted legs")
        parser.add_argument("--seed", type=_seed, default=5, help="of the films")
        parser.add_argument("--jobs", type=_positive, default=1, help="processes")


def _bundle_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, help="MONAI bundle (default: the shipped one)")
    parser.add_argument("--device", default=None, help="cpu, cuda, cuda:1 (default: best)")


def _generation_options(parser: argparse.ArgumentParser) -> None:
    _bundle_options(parser)
    parser.add_argument("--size", default="compact", help="size overlay of the bundle (compact)")
    parser.add_argument("--weights", type=Path, help="safetensors of that size (the bundle's own)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--steps", type=_positive, help="denoising steps (default: the bundle's)")
    parser.add_argument("--sampler", help="ddim, unipc, dpm (default: the bundle's)")
    parser.add_argument("--guidance", type=float, help="classifier-free guidance on the features")
    parser.add_argument("--seed", type=_seed, default=0, help="same seed, same volume (default 0)")
    parser.add_argument("--samples", type=_positive, default=1, help="with 2 or more: mean and std")
    parser.add_argument("--batch-size", type=_positive, help="slices at a time: bounds the memory")


def _positive(text: str) -> int:
    return _integer(text, 1)


def _count(text: str) -> int:
    return _integer(text, 0)


def _seed(text: str) -> int:
    return _integer(text, 0)


def _integer(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value < 2**63:
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer >= {least}")
    return value


def _pair(text: str) -> tuple[str, str]:
    name, equals, grade = text.partition("=")
    if not (name and equals and grade):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=GRADE, e.g. kl_grade=2")
    return name, grade


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- terminal -----------------------------------------------------------------------------------


def _set_up(debug: bool) -> None:
    """Logging to stderr; quiet libraries; SIGTERM ends a run as cleanly as Ctrl-C does."""
    logging.basicConfig(stream=sys.stderr, format="xr2mri: %(levelname)s: %(message)s", force=True)
    logging.getLogger().setLevel(logging.INFO if debug else logging.WARNING)
    logging.addLevelName(logging.WARNING, "warning")
    if not debug:
        warnings.simplefilter("ignore")
    with suppress(ValueError):  # not the main thread: the caller handles signals
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def _progress_bar(title: str) -> Iterator[Progress | None]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def progress(done: int, total: int, stage: str = title) -> None:
            bar.update(task, completed=done, total=total, description=stage)

        yield progress


if __name__ == "__main__":
    sys.exit(main())
