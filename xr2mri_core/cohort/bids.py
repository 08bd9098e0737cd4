"""Results named as a derivative of the Brain Imaging Data Structure (BIDS, version 1.10).

    sub-9000099/ses-V00/anat/sub-9000099_ses-V00_acq-right_desc-syntheticsample_T1w.nii.gz

with the record as sidecar ``.json`` of each volume. BIDS has no entity for a knee's side; ``acq``
is free text. https://bids-specification.readthedocs.io/en/stable/derivatives/introduction.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from xr2mri_core import __version__
from xr2mri_core.cohort.knees import CohortKnee
from xr2mri_core.cohort.run import Row, check_replaces, read_journal
from xr2mri_core.errors import DatalistError, InputError, shown
from xr2mri_core.export.files import write_json, write_nifti
from xr2mri_core.export.writing import volumes_of
from xr2mri_core.files import atomic_files
from xr2mri_core.geometry import Laterality
from xr2mri_core.volume import NOTICE, GeneratedVolume

_SIDES = {"R": "right", "L": "left"}


def check_bids(knees: Sequence[CohortKnee], out: Path) -> None:
    """Raise a DatalistError where a knee has no BIDS name, or two knees would have the same.

    The other one may be an earlier cohort's, in the folder of results.
    """
    names = {knee.name for knee in knees}
    there: dict[str, list[Row]] = {}
    for row in read_journal(out).values():
        if row.name not in names:
            sided = {name.lower().partition("_desc-")[0] for name in row.files or ()}
            for stem in sided | {stem.rpartition("-")[0] for stem in sided}:
                there.setdefault(stem, []).append(row)
    seen: dict[tuple[str, str], list[Laterality | None]] = {}
    for knee in knees:
        participant = _label(knee.participant)
        if not participant:
            raise DatalistError(
                f"{shown(knee.name)}: participant {shown(knee.participant)} has no letter or digit "
                "that BIDS names take (A to Z, a to z, 0 to 9); give each a number"
            )
        try:
            side = Laterality.parse(knee.laterality)
        except InputError:
            continue  # its row will say so
        sides = seen.setdefault((participant.lower(), _label(knee.visit).lower()), [])
        if side in sides or (sides and None in (side, *sides)):
            raise DatalistError(
                f"{shown(knee.name)}: participant {shown(knee.participant)} has several knees of "
                "one visit; BIDS names need the side or the visit of each"
            )
        sides.append(side)
        stem = _stem(knee, f"-{_SIDES[str(side)]}" if side else "").lower()
        for row in there.get(stem, ()):
            check_replaces(knee, row, out, "a participant, visit or side")


def write_bids(generated: GeneratedVolume, knee: CohortKnee, out: Path) -> list[Path]:
    """Write the volume (and mean and deviation, if sampled), each with its record beside it.

    Returns:
        The files.

    Raises:
        OutputError: nothing was written.
    """
    stem = out / _stem(knee, f"-{_SIDES.get(generated.record['laterality'], 'unknown')}")
    written: list[Path] = []
    with atomic_files(stem.parent) as files:
        for _, what, volume, description in volumes_of(generated):
            name = f"{stem.name}_desc-synthetic{what}_T1w"
            file, record = stem.with_name(f"{name}.nii.gz"), stem.with_name(f"{name}.json")
            write_nifti(files.path(file), volume, generated.affine, description)
            write_json(files.path(record), {**generated.record, "kind": what})
            written += [file, record]
    return written


def write_description(out: Path) -> None:
    """Write the file that says what the data set is: a derivative, and synthetic."""
    with atomic_files(out) as files:
        write_json(
            files.path(out / "dataset_description.json"),
            {
                "Name": f"XR2MRI volumes; {NOTICE}",
                "BIDSVersion": "1.10.0",
                "DatasetType": "derivative",
                "GeneratedBy": [{"Name": "xr2mri", "Version": __version__, "Description": NOTICE}],
            },
        )


def _stem(knee: CohortKnee, side: str) -> str:
    """What the names of a knee's files begin with, up to its side (``-right``)."""
    entities = [f"sub-{_label(knee.participant)}"]
    entities += [f"ses-{_label(knee.visit)}"] if _label(knee.visit) else []
    return "/".join([*entities, "anat", "_".join([*entities, f"acq{side}"])])


def _label(text: str) -> str:
    """BIDS labels are letters and digits."""
    return re.sub(r"[^0-9A-Za-z]", "", text)
