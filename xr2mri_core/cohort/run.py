"""Generate all knees of a cohort: one bad file costs one row, and an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from xr2mri_client.synthetic_files import JOURNAL
from xr2mri_core.bundle import digest
from xr2mri_core.cohort.knees import CohortKnee
from xr2mri_core.condition import Condition
from xr2mri_core.errors import (
    Cancelled,
    DatalistError,
    InputError,
    OutputError,
    WeightsError,
    shown,
)
from xr2mri_core.files import append_line, atomic_files, records_of
from xr2mri_core.processes import each_done
from xr2mri_core.request import KNOBS, GenerationRequest
from xr2mri_core.tables import write_csv
from xr2mri_core.volume import NOTICE, GeneratedVolume

_UNDECODABLE = "backslashreplace"
"""Bytes of a file's name that are no text are written as JSON reads them back: ``\\udce9``."""

GENERATED, KEPT, FAILED = "generated", "kept", "failed"

Generate = Callable[[Path, Condition, GenerationRequest], GeneratedVolume]
"""``generate(radiograph, condition, request)``."""

_OF_A_KNEE = ("laterality", "box", "seed")
"""Fields of a request that differ from knee to knee."""

SideBySide = Callable[[Sequence[Callable[[], "Row"]], int], list["Row"]]
"""``side_by_side(works, knees)`` -> what each work returns."""

Write = Callable[[GeneratedVolume, CohortKnee, Path], Iterable[Path]]
"""``write(generated, knee, out)`` -> the files that were written, below ``out``."""


@dataclass(frozen=True)
class Row:
    """What became of one knee.

    Attributes:
        name: name of the knee.
        radiograph: the file, by its absolute path.
        radiograph_sha256, laterality, seed: what it was made from; None where work ended before.
        status: ``generated``, ``kept`` from an earlier run, or ``failed``.
        files: relative path -> SHA-256.
        seconds: seconds of reading, generating and writing.
        warnings: warnings of the record.
        error: why it failed.
        key: digest of all that the files depend on.
    """

    name: str
    radiograph: str
    radiograph_sha256: str | None = None
    laterality: str | None = None
    seed: int | None = None
    status: str = FAILED
    files: Mapping[str, str] | None = None
    seconds: float = 0.0
    warnings: Sequence[str] = ()
    error: str = ""
    key: str = ""


@dataclass(frozen=True)
class Counts:
    """How many knees were generated, kept from an earlier run, and failed."""

    generated: int
    kept: int
    failed: int


def generate_cohort(
    knees: Sequence[CohortKnee],
    generate: Generate,
    write: Write,
    out: Path | str,
    request: GenerationRequest,
    *,
    settings: Mapping[str, Any],
    jobs: int = 1,
    scheduler: str | None = None,
    at_once: int = 1,
    side_by_side: SideBySide | None = None,
    progress: Callable[..., None] | None = None,
    failed: Callable[[Row], None] | None = None,
) -> Counts:
    """Generate the volume of every knee into ``out``.

    ``manifest.csv`` and ``manifest.json`` tell what became of each knee, also of those of an
    interrupted run, and of an earlier run's that are not among these while their files are there.
    What an earlier run has done is kept if its inputs, its settings and its files are the same to
    the bit. Whoever works on a knee reads and writes its files; only its row
    travels.

    Args:
        knees: names are unique.
        generate: called with the radiograph's path, the condition and the knee's request; where
            others work too, it and ``write`` are sent to them.
        write: called with what came of it.
        out: created if needed.
        request: how all are generated. The side and the box are each knee's own. With its name the
            seed gives the knee's own seed, in the manifest, so that noise differs between knees and
            depends on no order.
        settings: whatever else the files depend on: model, format.
        jobs, scheduler: processes, or a Dask scheduler, for the knees; see
            `xr2mri_core.processes.each_done`.
        at_once: knees that each of them has under way at a time.
        side_by_side: how, if more than one; as `KneeMRIGenerator.side_by_side`.
        progress: ``progress(done, total, name)``.
        failed: called with the row of a knee that failed.

    Raises:
        DatalistError: an earlier run has made a knee of the same name of another radiograph;
            nothing was generated.
        OutputError: ``out`` cannot be written to, or a process or the scheduler was lost.
        Cancelled: whoever `generate` asks said so; the manifest holds what is done.
    """
    out = Path(out)
    earlier = read_journal(out)
    for knee in knees:
        if knee.name in earlier:
            check_replaces(knee, earlier[knee.name], out, "rename the radiograph")
    names = {knee.name for knee in knees}
    others = [
        replace(row, status=KEPT)
        for row in earlier.values()
        if row.name not in names and _complete(row, out)
    ]
    settings = {**settings, "request": _alike(request), "seed": request.seed}
    rows: dict[str, Row] = {}
    some = _Knees(generate, write, out, request, settings, at_once, side_by_side)
    todo = [(knee, earlier.get(knee.name)) for knee in knees]
    groups = [todo[start : start + at_once] for start in range(0, len(todo), at_once)]
    report = progress or (lambda done, total, name: None)
    report(0, len(knees), "generate")
    try:
        processes = min(jobs, len(groups))
        done = each_done(some, groups, processes, "generates", scheduler=scheduler, lost=_lost)
        with closing(done):
            for row in chain.from_iterable(done):
                if row.status != KEPT:
                    _append(out / JOURNAL, row)
                if row.status == FAILED and failed is not None:
                    failed(row)
                rows[row.name] = row
                report(len(rows), len(knees), row.name)
    finally:  # an interrupted run did not reach what an earlier one may have done
        known = earlier | rows
        here = [known[knee.name] for knee in knees if knee.name in known]
        taken = {name for row in here for name in row.files or ()}  # as BIDS names may be
        there = [row for row in others if taken.isdisjoint(row.files or ())]
        _write_manifest(out, [*here, *there])
    states = [row.status for row in rows.values()]
    return Counts(*(states.count(state) for state in (GENERATED, KEPT, FAILED)))


def knee_seed(seed: int, name: str) -> int:
    """A seed of 31 bits from that of the cohort and the name of a knee."""
    return (
        int.from_bytes(
            hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogatepass")).digest()[:4], "big"
        )
        >> 1
    )


def _alike(request: GenerationRequest) -> dict[str, Any]:
    """What all knees are asked alike, by which an earlier run is known."""
    asked = {name: getattr(request, name) for name in KNOBS if name not in _OF_A_KNEE}
    del asked["depths"]  # where none are given, an earlier run's number of slices says all
    return asked if request.depths is None else {**asked, "depths": request.positions.tolist()}


@dataclass(frozen=True)
class _Knees:
    """Generates some knees, or keeps them; whatever is wrong with one becomes its row."""

    generate: Generate
    write: Write
    out: Path
    request: GenerationRequest
    settings: Mapping[str, Any]
    at_once: int
    side_by_side: SideBySide | None

    def __call__(self, jobs: Sequence[tuple[CohortKnee, Row | None]]) -> list[Row]:
        works = [partial(self._one, *job) for job in jobs]
        if self.side_by_side is None or self.at_once == 1:
            return [work() for work in works]
        return self.side_by_side(works, self.at_once)

    def _one(self, knee: CohortKnee, earlier: Row | None) -> Row:
        started = time.perf_counter()
        entry: dict[str, Any] = {"name": knee.name, "radiograph": str(knee.radiograph.absolute())}
        try:
            _check_there(knee.radiograph)
            condition = Condition.parse(knee.features, knee.demographics)
            entry["radiograph_sha256"] = digest(knee.radiograph)
            entry["seed"] = knee_seed(self.request.seed, knee.name)
            entry["key"] = self._key(entry, knee, condition)
            if earlier is not None and earlier.key == entry["key"] and _whole(earlier, self.out):
                return Row(**{**asdict(earlier), "status": KEPT})
            request = replace(
                self.request, laterality=knee.laterality, box=knee.box, seed=entry["seed"]
            )
            generated = self.generate(knee.radiograph, condition, request)
            written = self.write(generated, knee, self.out)
            files = {path.relative_to(self.out).as_posix(): digest(path) for path in written}
            if earlier is not None:
                _remove(earlier.files or {}, files, self.out)
        except (Cancelled, OutputError, WeightsError):  # the last is not this knee's alone
            raise
        except InputError as error:
            return Row(**entry, error=str(error), seconds=_since(started))
        except Exception as error:  # also a shortage of memory for one huge picture is its row
            text = " ".join(f"unexpected {type(error).__name__}: {error}".split())[:300]
            return Row(**entry, error=text, seconds=_since(started))
        return Row(
            **entry,
            laterality=generated.record["laterality"],
            status=GENERATED,
            files=files,
            seconds=_since(started),
            warnings=list(generated.record["warnings"]),
        )

    def _key(self, entry: Mapping[str, Any], knee: CohortKnee, condition: Condition) -> str:
        """Digest of all that the files depend on."""
        own = {"radiograph": knee.radiograph.name, "laterality": knee.laterality, "box": knee.box}
        if self.settings.get("layout") == "bids":  # whose names these are
            own |= {"participant": knee.participant, "visit": knee.visit}
        content = {**entry, **own, **asdict(condition), **self.settings}
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def check_replaces(knee: CohortKnee, row: Row, out: Path, remedy: str) -> None:
    """Refuse a knee that would replace the files of another radiograph, those of a row.

    One that was moved is the same, and so is one whose file was mended where it lies. A relative
    path, as rows of earlier versions have it, does not say where that is.

    Raises:
        DatalistError: with the remedy, beside a folder of its own.
    """
    if not any((out / name).is_file() for name in row.files or ()):
        return
    if Path(row.radiograph) == knee.radiograph.absolute():
        return
    with suppress(OSError, ValueError):  # the latter for a path that no system takes
        if digest(knee.radiograph) == row.radiograph_sha256:
            return
    raise DatalistError(
        f"{shown(row.name)} is in '{out}' already, made of '{row.radiograph}' and not of "
        f"'{knee.radiograph}': its files would be replaced; give each cohort a folder of its "
        f"own, or {remedy}",
        option="out",
    )


def _lost(jobs: Sequence[tuple[CohortKnee, Row | None]], why: str) -> list[Row]:
    """Rows of knees that have killed whoever worked on them."""
    return [Row(knee.name, str(knee.radiograph.absolute()), error=why) for knee, _ in jobs]


def _check_there(path: Path) -> None:
    try:
        if path.is_file():
            return
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror})") from error
    raise InputError(f"no file '{path}'")


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)


def _remove(earlier: Mapping[str, str], files: Mapping[str, str], out: Path) -> None:
    """Remove what is left of a knee that was made anew under other names, as DICOM series are.

    Only what is to the bit what an earlier run wrote, below ``out``; then a folder that is empty.
    """
    for name, known in earlier.items():
        path = out / name
        if name in files or not path.resolve().is_relative_to(out.resolve()):
            continue
        with suppress(OSError):
            if path.is_file() and digest(path) == known:
                path.unlink()
                path.parent.rmdir()


def _complete(row: Row, out: Path) -> bool:
    """Whether the files of an earlier run are there."""
    files = row.files or {}
    return row.status != FAILED and bool(files) and all((out / name).is_file() for name in files)


def _whole(row: Row, out: Path) -> bool:
    """Whether they are there to the bit."""
    files = row.files or {}
    return _complete(row, out) and all(digest(out / name) == files[name] for name in files)


# --- the manifest ---------------------------------------------------------------------------------


def _append(path: Path, row: Row) -> None:
    try:
        append_line(path, json.dumps(asdict(row), ensure_ascii=False), _UNDECODABLE)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error


def read_journal(out: Path) -> dict[str, Row]:
    """Name -> its last row in a folder of results; what is no row is passed over.

    A knee that failed still has the files of the row before, and says what these were made of: its
    next row replaces them. A file is that of the last knee that has written it, as one radiograph
    under two names does in BIDS; the other's row is gone.
    """
    rows: dict[str, Row] = {}
    writers: dict[str, str] = {}
    for record in records_of(out / JOURNAL):
        try:
            row = Row(**record)
        except (ValueError, TypeError):
            continue
        before = rows.get(row.name)
        if row.status == FAILED and before is not None and before.files:
            row = replace(
                row,
                radiograph=before.radiograph,
                radiograph_sha256=before.radiograph_sha256,
                files=before.files,
            )
        for name in row.files or ():
            writer = writers.get(name)
            if writer in rows and name in (rows[writer].files or ()):
                del rows[writer]
            writers[name] = row.name
        rows[row.name] = row
    return rows


def _write_manifest(out: Path, rows: Sequence[Row]) -> None:
    cells = [
        {
            **asdict(row),
            "files": " ".join(row.files or ()),
            "warnings": " | ".join(row.warnings),
        }
        for row in rows
    ]
    with atomic_files(out) as files:
        content = {"notice": NOTICE, "knees": [asdict(row) for row in rows]}
        files.path(out / "manifest.json").write_text(
            json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8", _UNDECODABLE
        )
        write_csv(files.path(out / "manifest.csv"), cells, list(Row.__dataclass_fields__))
