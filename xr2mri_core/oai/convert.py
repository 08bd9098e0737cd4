"""Every candidate's volume and picture, made once: in parallel, resumable, each with its record.

    out/mri/9000099-V00-R.nii.gz           RAS, native resolution
    out/radiographs/9000099-V00-R.png      16 bits, the knee cut out as on the film
    out/records/9000099-V00-R.json         their source, slice means, notes; or the problem

A record that was made of the same files with the same settings is not made again, also where it
says that the files cannot be used. Where a failure that passes (`passing`) kept them from
being read, there is no record, and the next run tries again: a disk's bad hour must not cost knees.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from xr2mri_core import __version__
from xr2mri_core.errors import OutputError, RadiographError, VolumeError, WeightsError, shown
from xr2mri_core.export import write_nifti
from xr2mri_core.files import atomic_files
from xr2mri_core.oai.passing import UNREAD, Unread, unread
from xr2mri_core.oai.pictures import KneePicture, Locate, described, middle_of_half, read_knee
from xr2mri_core.oai.readings import Knee
from xr2mri_core.oai.release import Series
from xr2mri_core.oai.selection import Candidate, Excluded
from xr2mri_core.oai.sequences import Sequence as MRISequence
from xr2mri_core.oai.series_files import opened
from xr2mri_core.oai.volumes import Volume, read_series
from xr2mri_core.processes import each_done

VERSION = 4
"""Raised when the meaning of the converted files changes."""

Progress = Callable[[int, int, str], None]
"""Called with (knees done, knees in all, what is being done); may raise to stop the work."""


@dataclass(frozen=True)
class Job:
    """One knee to convert; everything that decides its files."""

    out: Path
    candidate: Candidate
    sequence: MRISequence
    locate: Locate = middle_of_half

    @property
    def mri(self) -> Path:
        return self.out / "mri" / f"{self.candidate.case}.nii.gz"

    @property
    def picture(self) -> Path:
        return self.out / "radiographs" / f"{self.candidate.case}.png"

    @property
    def record(self) -> Path:
        return self.out / "records" / f"{self.candidate.case}.json"

    @cached_property
    def origin(self) -> dict[str, Any]:
        """What makes the files of this knee these and no others."""
        knee = self.candidate
        return {
            "version": VERSION,
            "mri": _stamp(knee.mri.path),
            "earlier": [_stamp(series.path) for series in knee.earlier],
            "radiograph": _stamp(knee.radiograph.path),
            "listed": [knee.mri.description, knee.radiograph.description, knee.radiograph.barcode],
            "slices": list(self.sequence.slices),
            "locate": described(self.locate),
        }


@dataclass(frozen=True)
class Converted:
    """What is known of a knee after its conversion.

    Attributes:
        candidate: the knee.
        mri, picture: the files made of it.
        slices: number of slices of the volume.
        profile: mean grey value of each slice, posterior first.
        synthetic: whether its files say that they were made and not acquired.
        box: the knee on the film, in pixels of the film.
        shape: rows and columns of the picture; not those of the box where the film's pixels are not
            square, or it was turned.
        spacing_mm: spacing of the picture, at the detector, equal; None where unknown.
        located: how the knee was found on the film.
        notes: what was left out, chosen or is odd.
    """

    candidate: Candidate
    mri: Path
    picture: Path
    slices: int
    profile: tuple[float, ...]
    synthetic: bool
    box: tuple[int, ...]
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...] | None
    located: str
    notes: tuple[str, ...] = field(default=())


def convert(
    jobs: Sequence[Job],
    processes: int = 1,
    progress: Progress | None = None,
    scheduler: str | None = None,
) -> tuple[list[Converted], list[Excluded]]:
    """Make the files of all knees that have none yet.

    Args:
        jobs: the knees to convert.
        processes: 1 works in this process.
        progress: called after each knee; what it raises stops the work, finished knees stay.
        scheduler: address of a Dask scheduler, whose workers replace the processes; see
            `each_done`.

    Returns:
        The knees with files, and those that cannot be used or not now, both in the order of the
        jobs.

    Raises:
        OutputError: if something cannot be written, or a process was killed.
        WeightsError: if the detector's weights cannot be read.
    """
    report = progress or (lambda done, total, stage: None)
    missing = [job for job in jobs if _read_record(job) is None]
    done = len(jobs) - len(missing)
    report(done, len(jobs), "convert")
    processes = min(processes, len(missing))
    not_now: dict[Knee, Excluded] = {}
    made = each_done(_convert_one, missing, processes, "converts volumes", scheduler=scheduler)
    with closing(made):
        for count, left_out in enumerate(made, done + 1):
            if left_out is not None:
                not_now[left_out.knee] = left_out
            report(count, len(jobs), "convert")
    converted: list[Converted] = []
    excluded: list[Excluded] = []
    for job in jobs:
        result = not_now.get(job.candidate.knee) or _result(job)
        (excluded if isinstance(result, Excluded) else converted).append(result)  # type: ignore
    return converted, excluded


def _convert_one(job: Job) -> Excluded | None:
    """Make the files of one knee, or a record of why there are none; return it if not now."""
    record: dict[str, Any] = {"case": job.candidate.case, "origin": job.origin}
    step = "volume"
    try:
        volume = _read_volume(job)
        step = "picture"
        picture = _read_picture(job)
    except Unread as error:
        return Excluded(job.candidate.knee, step, UNREAD, str(error))
    except (VolumeError, RadiographError) as error:
        record["problem"] = {"step": step, "reason": str(error)}
        with atomic_files(job.record.parent) as files:
            _write_json(files.path(job.record), record)
        return None
    record |= _described(job, volume, picture)
    for folder in (job.mri.parent, job.picture.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with atomic_files(job.record.parent) as files:
        what = "synthetic phantom MRI" if volume.synthetic else "from DICOM"
        mark = f"XR2MRI {__version__} {what}"
        write_nifti(files.path(job.mri), volume.voxels, volume.affine, mark)
        Image.fromarray(picture.pixels).save(files.path(job.picture))
        _write_json(files.path(job.record), record)  # renamed last: a record means whole files
    return None


def _read_volume(job: Job) -> Volume:
    """The last scan that can be used; if none can, what is wrong with the last is raised.

    One that was not read for a passing failure is not replaced by an earlier one: it may be whole.
    """
    knee, problems = job.candidate, list[VolumeError]()
    for scan in (knee.mri, *knee.earlier):
        try:
            volume = _read_scan(job, scan)
        except VolumeError as error:
            problems.append(error)
            continue
        if not problems:
            return volume
        note = f"MRI {scan.number} was taken, for {knee.mri.number} has {problems[0]}"
        return replace(volume, notes=(*volume.notes, note))
    raise problems[0]


def _read_scan(job: Job, scan: Series) -> Volume:
    participant, _, side = job.candidate.knee
    assert scan.path is not None
    try:
        with opened(scan.path) as files:
            return read_series(files, job.sequence, side, participant)
    except OutputError:
        raise
    except Exception as error:  # one odd file among thousands must not end the work
        if passing := unread(error, f"MRI {scan.number}"):
            raise passing from error
        if isinstance(error, VolumeError):
            raise
        raise VolumeError(f"a volume that cannot be read: {shown(error)}") from error


def _read_picture(job: Job) -> KneePicture:
    knee = job.candidate
    assert knee.radiograph.path is not None and knee.radiograph.kind is not None
    try:
        with opened(knee.radiograph.path) as files:
            return read_knee(
                files,
                knee.knee[2],
                both=knee.radiograph.kind.side is None,
                locate=job.locate,
                listed_barcode=knee.barcode,
                participant=knee.knee[0],
            )
    except (Unread, OutputError, WeightsError):  # the last two are not this knee's alone
        raise
    except Exception as error:
        if passing := unread(error, f"radiograph {knee.radiograph.number}"):
            raise passing from error
        if isinstance(error, RadiographError):
            raise
        if isinstance(error, VolumeError):  # of an archive
            raise RadiographError(str(error)) from error
        raise RadiographError(f"a radiograph that cannot be read: {shown(error)}") from error


def _described(job: Job, volume: Volume, picture: KneePicture) -> dict[str, Any]:
    axis = job.sequence.axis
    return {
        "slices": volume.voxels.shape[axis],
        "profile": [round(value, 3) for value in volume.profile(axis)],
        "synthetic": volume.synthetic or picture.synthetic,
        "box": list(picture.box),
        "shape": list(picture.pixels.shape),
        "spacing_mm": None if picture.spacing_mm is None else list(picture.spacing_mm),
        "located": picture.located,
        "notes": [*job.candidate.notes, *volume.notes, *picture.notes],
    }


def _result(job: Job) -> Converted | Excluded:
    record = _read_record(job)
    if record is None:
        raise OutputError(f"{job.record} was not written; run the same command again")
    if problem := record.get("problem"):
        reason, _, detail = problem["reason"].partition(": ")
        return Excluded(job.candidate.knee, problem["step"], reason, detail)
    return Converted(
        job.candidate,
        job.mri,
        job.picture,
        record["slices"],
        tuple(record["profile"]),
        record["synthetic"],
        tuple(record["box"]),
        tuple(record["shape"]),
        None if record["spacing_mm"] is None else tuple(record["spacing_mm"]),
        record["located"],
        tuple(record["notes"]),
    )


def _read_record(job: Job) -> dict[str, Any] | None:
    """The record of a knee, if it and its files are there and were made of the same."""
    try:
        record = json.loads(job.record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("origin") != job.origin:
        return None
    whole = "problem" in record or (job.mri.is_file() and job.picture.is_file())
    return record if whole else None


def _stamp(path: Path | None) -> list[Any]:
    """Size and time of a series' files, so that one downloaded anew is converted anew."""
    try:
        if path is None or not path.exists():
            return []
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        stats = [file.stat() for file in files]
    except OSError:  # reading them will tell why
        return []
    newest = max((stat.st_mtime_ns for stat in stats), default=0)
    return [path.name, len(stats), sum(stat.st_size for stat in stats), newest]


def _write_json(path: Path, record: dict[str, Any]) -> None:
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
