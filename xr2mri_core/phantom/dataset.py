"""A corpus of phantom patients on disk, with the datalist that training reads.

    out/datalist.json
    out/cases/phantom-000000/radiograph.dcm    the radiograph, DICOM DX, 12 bits
                             radiograph.png    the same pixels, 16-bit PNG
                             mri.nii.gz        int16 (256, 80, 256), RAS+
                             labels.nii.gz     uint8, the values of `tissues.Tissue`
                             features.json     grades, demographics, parameters, seed

A case is written beside its place and renamed when it is whole, so an interrupted run resumes where
it stopped. The same seed gives the same bytes, whatever the number of processes.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import xr2mri_core.phantom as phantom
from xr2mri_core import __version__
from xr2mri_core.datalist import check_ratios, save_datalist, split_by_participant, splits_of
from xr2mri_core.errors import DatalistError, InputError, OutputError, shown
from xr2mri_core.export import write_nifti
from xr2mri_core.files import alone, whole_folder
from xr2mri_core.processes import each_done

from .cohort import DEFAULT_ENRICHMENT
from .dicom import write_radiograph_dicom
from .tissues import Tissue

Progress = Callable[[int, int], None]
"""Called with (cases done, cases in all); may raise to stop the work."""

RECORD = "features.json"
RATIOS = (7.0, 2.0, 1.0)
"""Shares of training, validation and test (paper, section III-B)."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One case to make; everything that decides its content."""

    folder: Path
    seed: int
    index: int
    enrichment: float

    @property
    def case(self) -> str:
        return self.folder.name

    @property
    def origin(self) -> dict[str, Any]:
        """What makes a case on disk this case and no other."""
        return {
            "seed": self.seed,
            "index": self.index,
            "enrichment": self.enrichment,
            "version": __version__,
        }


def case_seed(seed: int, index: int) -> int:
    """The seed of case `index` of the corpus `seed`: cases are independent of each other."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint32)[0])


def write_cases(
    out: str | Path,
    cases: int,
    seed: int,
    jobs: int | None = None,
    progress: Progress | None = None,
    enrichment: float = DEFAULT_ENRICHMENT,
    start: int = 0,
    scheduler: str | None = None,
    ratios: Sequence[float] = RATIOS,
) -> Path:
    """Makes phantom patients and the datalist over all that are in the folder.

    Args:
        out: folder to write to; cases of the same corpus that it holds are kept, not made again.
        cases: number of patients.
        seed: seed of the corpus, not negative.
        jobs: processes, by default one for each core.
        progress: called after each case; what it raises stops the work, finished cases stay.
        enrichment: how much commoner rare findings are than in OAI, 0 (as OAI) to 1 (flat).
        start: index of the first case, so that a corpus can be extended, or unseen patients made.
        scheduler: address of a Dask scheduler, whose workers replace the processes; see
            `each_done`.
        ratios: shares of training, validation and test.

    Returns:
        Path of `datalist.json`: all cases in the folder, split by participant. When a corpus is
        extended, its patients keep their split, and the new ones are split by `ratios`.

    Raises:
        InputError: for numbers out of range.
        DatalistError: if the folder holds cases of another seed, enrichment or version, or a
            datalist that cannot be read; or for shares that cannot be.
        OutputError: if something cannot be written, or a process was killed.
    """
    _check(cases, seed, jobs, enrichment, start)
    enrichment = float(enrichment)
    check_ratios(ratios)
    datalist = Path(out) / "datalist.json"
    splits_of(datalist)  # a damaged one is told before hours of work
    folder = datalist.parent / "cases"
    todo = [
        _Job(folder / f"phantom-{index:06d}", seed, index, enrichment)
        for index in range(start, start + cases)
    ]
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with alone(folder.with_name(".cases.lock")):  # another run's parts are not what was left
        _refuse_strangers(folder, todo[0])
        missing = [job for job in todo if not job.folder.is_dir()]
        _clear_parts(todo)
        report = progress or (lambda done, total: None)
        there = len(todo) - len(missing)
        report(there, len(todo))
        processes = min(jobs or os.cpu_count() or 1, len(missing))
        made = each_done(_write_case, missing, processes, "makes phantoms", scheduler=scheduler)
        with closing(made):
            for count, _ in enumerate(made, 1):
                report(there + count, len(todo))
        _clear_parts(todo)
        items = _items(folder)
        save_datalist(
            datalist,
            split_by_participant(items, ratios, seed, kept=splits_of(datalist)),
            name=f"phantom-{seed}",
            description=(
                f"{len(items)} parametric phantom knees, corpus seed {seed}, XR2MRI {__version__}. "
                f"Findings as in OAI, enriched by {enrichment:g} (0 = OAI's prevalence, 1 = flat). "
                "Synthetic: no patient was imaged."
            ),
            synthetic=True,
        )
    return datalist


def _clear_parts(jobs: Sequence[_Job]) -> None:
    """Removes what killed processes left of these cases."""
    cases = {job.case for job in jobs}
    for part in jobs[0].folder.parent.glob(".phantom-*.part"):
        if part.name.split(".")[1] in cases:
            shutil.rmtree(part, ignore_errors=True)


def _check(cases: int, seed: int, jobs: int | None, enrichment: float, start: int) -> None:
    if cases < 1 or start < 0 or seed < 0 or (jobs is not None and jobs < 1):
        raise InputError(
            f"cases={cases}, start={start}, seed={seed}, jobs={jobs}: at least one case and one "
            "process, and no negative start or seed"
        )
    if not 0 <= enrichment <= 1:
        raise InputError(f"enrichment={enrichment}: from 0 (prevalences as in OAI) to 1 (flat)")


def _refuse_strangers(folder: Path, ours: _Job) -> None:
    """Raises if a case in the folder came from other settings."""
    expected = {key: value for key, value in ours.origin.items() if key != "index"}
    for record in sorted(folder.glob(f"phantom-*/{RECORD}")):
        found = _read_record(record)["origin"]
        for key, value in expected.items():
            if found.get(key) != value:
                raise DatalistError(
                    f"{record.parent} was made with {key} {shown(found.get(key))}, not "
                    f"{shown(value)}: give the same settings, or another folder"
                )


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(record[key], dict) for key in ("origin", "features", "demographics")):
            return record
    except (ValueError, KeyError, TypeError):
        pass
    raise DatalistError(f"{path} is no record of a phantom case: remove its folder and run again")


def _write_case(job: _Job) -> str:
    """Makes one case and puts it in its place, whole."""
    if job.folder.is_dir():  # by a worker that died before it could tell
        return job.case
    case = phantom.make_case(case_seed(job.seed, job.index), enrichment=job.enrichment)
    with _writing(job.folder), whole_folder(job.folder) as part:
        _write_files(part, job, case)
    return job.case


def _write_files(folder: Path, job: _Job, case: "phantom.PhantomCase") -> None:
    beam = case.parameters.get("beam", {})
    write_radiograph_dicom(
        folder / "radiograph.dcm",
        case.radiograph,
        case.radiograph_spacing,
        patient_id=job.case,
        exposure=beam,
        demographics=case.demographics,
    )
    Image.fromarray(case.radiograph).save(folder / "radiograph.png")
    mark = f"XR2MRI {__version__} synthetic phantom"
    write_nifti(folder / "mri.nii.gz", case.mri, case.affine, f"{mark} MRI")
    write_nifti(folder / "labels.nii.gz", case.labels, case.affine, f"{mark} labels")
    record = {
        "case": job.case,
        "synthetic": True,
        "laterality": "R",
        "features": case.features,
        "demographics": case.demographics,
        "origin": job.origin,
        "case_seed": case_seed(job.seed, job.index),
        "radiograph_spacing_mm": case.radiograph_spacing,
        "parameters": case.parameters,
        "labels": {tissue.name.lower(): int(tissue) for tissue in Tissue},
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _items(folder: Path) -> list[dict[str, Any]]:
    """The entries of a datalist of all cases in a folder."""
    items = []
    for record in sorted(folder.glob(f"phantom-*/{RECORD}")):
        case, content = record.parent, _read_record(record)
        items.append(
            {
                "case": case.name,
                "participant": case.name,
                "radiograph": f"cases/{case.name}/radiograph.dcm",
                "mri": f"cases/{case.name}/mri.nii.gz",
                "labels": f"cases/{case.name}/labels.nii.gz",
                "laterality": "R",
                "features": content["features"],
                **{name: content["demographics"][name] for name in ("age", "sex", "bmi")},
            }
        )
    return items


@contextmanager
def _writing(where: Path) -> Iterator[None]:
    """Turns what the file system refuses into an error with a remedy."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{error.filename or where} cannot be written ({error.strerror or error}): "
            "choose a folder with space that you may write to"
        ) from error
