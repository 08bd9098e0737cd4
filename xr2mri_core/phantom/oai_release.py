"""A small release of phantom participants, shaped as OAI's, in both layouts of distribution.

    out/folders/00m/contents.csv
    out/folders/00m/0.C.2/9000000/20040914/00000010/001      bilateral radiograph
    out/folders/00m/0.C.2/9000000/20040914/10000012/001...   COR_T1_3D_FLASH_RIGHT, 80 slices
    out/folders/tables/kxr_sq_bu00.txt, AllClinical00.txt, Enrollees.txt
    out/nda/image03.txt, oai_kxrsemiquant01.txt, ...
    out/nda/image03/00m/0.C.2/9000000/20040914/10000012.tar.gz
    out/truth.json                                           where the joints are, the grades

Every participant has two different knees, one film of both, a scan of the right knee, and what else
a session leaves: localizer, thigh, several echoes, other sequences, an aborted scan. Films are
MONOCHROME1 and 2, of 12 and of 10 bits, with and without spacing; the oddities of the tables are
in `oai_tables`. The first participant comes again after 12 months. The fourth came with a
later image release, 0.E.1, and was filmed at the screening.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from xr2mri_core.errors import InputError
from xr2mri_core.files import check_writable, write_text
from xr2mri_core.geometry import IMAGE_SIZE
from xr2mri_core.processes import each_done

from .bilateral import Film, Shadow, cast_shadow, sample_layout, take_film
from .case import case_person, make_case
from .cohort import DEFAULT_ENRICHMENT
from .dataset import case_seed
from .dicom import write_radiograph_dicom
from .mr_dicom import Acquisition
from .mri import WHITE
from .oai_scans import scans_of
from .oai_tables import (
    ListedSeries,
    Participant,
    write_contents,
    write_nda_tables,
    write_oai_tables,
)
from .shape import sample_shape

FIRST_ID = 9_000_000
SITES = "ABCDE"
VISITS = {"V00": ("00m", "0.C.2", "20040914"), "V01": ("12m", "1.C.2", "20050920")}
"""Visit -> folder, release, date of the study."""
LATER = "0.E.1"
"""Image release of the baseline that some participants' pictures came with, beside 0.C.2."""
_ID_STEP = 101  # between the identifiers of two participants
_MOST_PARTICIPANTS = 999  # as many as the numbers of series have digits for
_PIXEL_MM = (0.1, 2.0)  # accepted
_FEWEST_ROWS = 16
_PIXEL_SPREAD = (0.85, 1.15)  # of a unit's pixel size, over the average
_MARKER_MM = 12.0  # height of a side marker, and its distance from the shutters
_OLD_BITS = 10  # stored by the old units
_STREAM = 34  # of a participant's random numbers, within those of a seed

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Knees:
    """Both knees of one participant.

    Attributes:
        volume: volume of the right knee, RAS (X, 80, Z), 0..4095, at most 256 wide.
        affine: (4, 4).
        shadows: side -> what the leg does to the beam, both as right legs.
        grades: side -> OAI name -> grade.
        demographics: sex, age, BMI.
    """

    volume: NDArray[np.uint16]
    affine: NDArray[np.float64]
    shadows: dict[str, Shadow]
    grades: dict[str, dict[str, int]]
    demographics: dict[str, Any]


def make_knees(seed: int, enrichment: float = DEFAULT_ENRICHMENT) -> Knees:
    """Make two different knees of one participant (some 10 s, on a busy core a minute)."""
    other = (seed + 1) % 2**32
    person, shape, right = case_person(seed, enrichment)
    left = case_person(other, enrichment)[2]
    other_shape = sample_shape(np.random.default_rng([other, 2]), person.sex, person.bmi)
    case = make_case(seed, enrichment=enrichment)
    return Knees(
        volume=np.clip(case.mri, 0, WHITE).astype(np.uint16),
        affine=case.affine,
        shadows={"R": cast_shadow(shape, right, seed), "L": cast_shadow(other_shape, left, other)},
        grades={"R": right, "L": left},
        demographics=person.to_dict(),
    )


@dataclass(frozen=True)
class _Job:
    out: Path
    index: int
    seed: int
    spacing_mm: float
    matrix: int
    enrichment: float


def write_release(
    out: str | Path,
    participants: int,
    seed: int = 0,
    jobs: int = 1,
    spacing_mm: float = 0.2,
    matrix: int = IMAGE_SIZE,
    enrichment: float = DEFAULT_ENRICHMENT,
    progress: Progress | None = None,
    scheduler: str | None = None,
) -> Path:
    """Write a release of phantoms; the same seed gives the same bytes.

    Args:
        out: folder to write to; a release of phantoms that it holds is replaced.
        participants: number of participants, 1 to 999.
        seed: seed of the release, 0 or more.
        jobs: number of processes.
        spacing_mm: pixel size of the films on average; OAI's have 0.14 to 0.2.
        matrix: rows and columns of an MRI slice, a divisor of 256.
        enrichment: how much commoner rare findings are than in OAI, see `cohort`.
        progress: called after each participant.
        scheduler: address of a Dask scheduler, whose workers replace the processes; see
            `each_done`.

    Returns:
        ``out``.

    Raises:
        InputError: for numbers out of range, or if ``folders`` or ``nda`` holds anything but a
            release that this function wrote.
        OutputError: if the folder cannot be written to.
    """
    few, fine = 1 <= participants <= _MOST_PARTICIPANTS, _PIXEL_MM[0] <= spacing_mm <= _PIXEL_MM[1]
    if not few or seed < 0 or jobs < 1 or not fine:
        raise InputError(
            f"participants={participants}, seed={seed}, jobs={jobs}, spacing_mm={spacing_mm}: "
            f"accepted are 1-{_MOST_PARTICIPANTS} participants, a seed >= 0, jobs >= 1 and "
            f"{_PIXEL_MM[0]:g}-{_PIXEL_MM[1]:g} mm"
        )
    if matrix < _FEWEST_ROWS or IMAGE_SIZE % matrix:
        raise InputError(f"matrix {matrix}: accepted are 16, 32, 64, 128 and 256")
    out = check_writable(out)
    _remove_earlier(out)
    # Named before anything of theirs is written: so that a release that was stopped is known too.
    _write_truth(out, {_identifier(index): {} for index in range(participants)})
    work = [
        _Job(out, index, case_seed(seed, 2 * index), spacing_mm, matrix, enrichment)
        for index in range(participants)
    ]
    made = []
    done = each_done(
        _write_participant, work, min(jobs, len(work)), "makes knees", scheduler=scheduler
    )
    with closing(done):
        for participant in done:
            made.append(participant)
            if progress:
                progress(len(made), participants)
    made.sort(key=lambda participant: participant[0].index)
    people = [person for person, _ in made]
    truth = {
        person.identifier: {"joints": joints, "grades": person.grades} for person, joints in made
    }
    _write_lists(out, people)
    _write_truth(out, truth)
    return out


def _remove_earlier(out: Path) -> None:
    """Remove the release of phantoms that a folder holds, and nothing else.

    Beside it may lie what took weeks to be allowed and days to be downloaded, under the same names.

    Raises:
        InputError: if there is a file that is none of those named in its ``truth.json``.
    """
    known = _phantoms(out / "truth.json")
    parts = [out / part for part in ("folders", "nda")]
    for part in parts:
        strange = part if part.is_symlink() or part.is_file() else _strange(part, known)
        if strange is not None:
            raise InputError(
                f"{strange}: not known as a part of a release of phantoms (by {out}/truth.json), "
                f"so {part.name} is not replaced; choose another folder",
                option="out",
            )
    for part in parts:
        shutil.rmtree(part, ignore_errors=True)


def _strange(part: Path, known: set[str]) -> Path | None:
    """A file that is neither a known participant's nor a list or hidden; None if there is none."""
    for path in sorted(part.rglob("*")):
        if path.is_symlink():
            return path
        listed = bool(known) and (path.suffix in (".txt", ".csv") or path.name[0] == ".")
        if path.is_file() and not listed and not known & set(path.relative_to(part).parts):
            return path
    return None


def _phantoms(path: Path) -> set[str]:
    """The participants that a ``truth.json`` names; none where it is missing or something else."""
    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    if not isinstance(truth, dict) or not all(isinstance(knee, dict) for knee in truth.values()):
        return set()
    return set(truth)


def _write_truth(out: Path, truth: Mapping[str, Any]) -> None:
    write_text(out / "truth.json", json.dumps(truth, indent=1) + "\n")


def _identifier(index: int) -> str:
    return str(FIRST_ID + _ID_STEP * index)


def _write_lists(out: Path, people: Sequence[Participant]) -> None:
    listed = [item for person in people for item in person.series]
    for visit, (folder, *_) in VISITS.items():
        here = [item for item in listed if item.visit == visit]
        if here:
            column = "Barcode" if visit == "V00" else "AccessionNumber"
            write_contents(out / "folders" / folder / "contents.csv", here, column)
    write_oai_tables(out / "folders" / "tables", people)
    write_nda_tables(out / "nda", people)


# --- one participant ------------------------------------------------------------------------------


def _write_participant(job: _Job) -> tuple[Participant, dict[str, Any]]:
    """Write the images of one participant in both layouts; return what the lists say of them."""
    knees = make_knees(job.seed, job.enrichment)
    rng = np.random.default_rng([job.seed, _STREAM])
    person = Participant(
        index=job.index,
        identifier=_identifier(job.index),
        sex=str(knees.demographics["sex"]),
        age=int(knees.demographics["age"]),
        bmi=float(knees.demographics["bmi"]),
        site=SITES[job.index % len(SITES)],
        grades=knees.grades,
    )
    joints = {}
    for visit in VISITS if job.index == 0 else ("V00",):
        joints[visit] = _write_visit(job, person, knees, visit, rng)
    return person, joints


def _write_visit(
    job: _Job, person: Participant, knees: Knees, visit: str, rng: np.random.Generator
) -> dict[str, list[float]]:
    """Write the series of one visit; return where the joints are on the film, in pixels."""
    folder, release, date = VISITS[visit]
    if visit == "V00" and person.index % 4 == 3:
        release = LATER
    person.barcodes[visit] = f"0166{job.index:03d}{visit[1:]}{int(rng.integers(1000)):03d}"
    root = job.out / "folders" / folder / release / person.identifier / date
    shutil.rmtree(root, ignore_errors=True)

    def listed(number: str, description: str, barcode: str = "") -> Path:
        person.series.append(
            ListedSeries(person.identifier, visit, date, number, barcode, description, release)
        )
        return root / number

    film = _film(job, knees, visit, rng)
    number = f"00{job.index:03d}{visit[1:]}0"
    barcode = person.barcodes[visit]
    path = listed(number, "Bilateral PA Fixed Flexion Knee", barcode)
    _write_film(path / "001", film, person, barcode, date)
    for index, (name, write) in enumerate(
        scans_of(knees.volume, knees.affine, person.index, job.matrix).items(), 2
    ):
        number = f"1{job.index:04d}{index:03d}"
        description = name.split("#")[0]
        acquisition = Acquisition(person.identifier, description, number, date)
        write(listed(number, description), acquisition=acquisition)
    for item in person.series:
        if item.visit == visit:
            archive = job.out / "nda" / "image03" / folder / f"{item.folder}.tar.gz"
            _archive(root / item.number, archive)
    return {side: [round(edge, 1) for edge in box] for side, box in film.joints.items()}


def _film(job: _Job, knees: Knees, visit: str, rng: np.random.Generator) -> Film:
    """A film of both knees in the positioning frame, each unit with another pixel size."""
    spacing = round(job.spacing_mm * float(rng.uniform(*_PIXEL_SPREAD)), 4)
    layout = replace(sample_layout(rng, "RL", spacing), frame=True)
    if not layout.markers:
        edge = layout.size_mm[1] / 2 - max(layout.shutters) - _MARKER_MM
        layout = replace(layout, markers=(("R", -layout.size_mm[0] / 4, -edge, _MARKER_MM, 0.0),))
    return take_film(knees.shadows["R"], knees.shadows["L"], job.seed + int(visit[1:]), layout)


def _write_film(path: Path, film: Film, person: Participant, barcode: str, date: str) -> None:
    """Write a film as OAI's files are: no laterality, the barcode as accession number.

    Every second unit stores MONOCHROME1; every third, an old one, 10 bits and no pixel size.
    """
    path.parent.mkdir(parents=True)
    write_radiograph_dicom(
        path,
        film.pixels,
        film.spacing_mm,
        patient_id=person.identifier,
        exposure=film.beam.to_dict(),
        demographics={"sex": person.sex, "age": person.age},
        photometric="MONOCHROME1" if person.index % 2 else "MONOCHROME2",
    )
    header = dcmread(path)
    for keyword in ("ImageLaterality", "ViewCodeSequence"):
        if keyword in header:
            delattr(header, keyword)
    header.AccessionNumber = barcode
    header.StudyDate = header.SeriesDate = header.AcquisitionDate = header.ContentDate = date
    header.StudyDescription = "OAI^XR^KNEE (synthetic phantom)"
    header.SeriesDescription = "Bilateral PA Fixed Flexion Knee"
    if person.index % 3 == 1:
        del header.ImagerPixelSpacing, header.PixelSpacing
        header.Modality = "CR"
        lost = header.BitsStored - _OLD_BITS
        header.BitsStored, header.HighBit = _OLD_BITS, _OLD_BITS - 1
        header.PixelData = (header.pixel_array >> lost).astype("<u2").tobytes()
        levels = 1 << _OLD_BITS
        header.WindowCenter, header.WindowWidth = str(levels // 2), str(levels)
    header.save_as(path, write_like_original=False)


def _archive(folder: Path, path: Path) -> None:
    """Pack a series as the NDA does: members ``./001``; without times, so the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as archive,
    ):
        for file in sorted(folder.iterdir()):
            info = archive.gettarinfo(file, arcname=f"./{file.name}")
            info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
            with file.open("rb") as content:
                archive.addfile(info, content)
