"""Which knees can be used, and why the others cannot: the flow of a study, step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace

from xr2mri_core.errors import FeatureError, ReleaseError, shown
from xr2mri_core.geometry import Laterality
from xr2mri_core.oai.people import People, Person
from xr2mri_core.oai.readings import Knee, Reading
from xr2mri_core.oai.release import Release, Series, Unusable
from xr2mri_core.oai.sequences import RADIOGRAPH, Sequence

STEPS = {
    "list": "of a known participant and visit",
    "mri": "with an MRI of the sequence",
    "readings": "with usable readings of the radiograph",
    "person": "with demographics that make sense",
    "radiograph": "with the radiograph that was read",
    "files": "with their files at hand",
    "volume": "with a whole, consistent volume",
    "picture": "with a radiograph that can be read",
}
"""The steps by which knees are left out, in order, and what describes those that stay."""


@dataclass(frozen=True)
class Excluded:
    """A knee that is left out.

    Attributes:
        knee: participant, visit, side; of a series that tells none of a knee, these may be empty.
        step: one of `STEPS`.
        reason: why, in a few words, the same for all knees of the same fate.
        detail: particulars of this knee.
    """

    knee: Knee
    step: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Candidate:
    """A knee with all that a pair needs.

    Attributes:
        knee: participant, visit, side.
        mri: its series of the sequence, the last where it was repeated.
        radiograph: the series of its radiograph, of this knee or of both.
        reading: the reading that counts.
        features: OAI name -> grade.
        person: demographics of the participant.
        notes: what was chosen between, for the record.
        earlier: what ``mri`` repeats, the last first: taken where it cannot be used.
    """

    knee: Knee
    mri: Series
    radiograph: Series
    reading: Reading
    features: Mapping[str, int]
    person: Person
    notes: tuple[str, ...] = ()
    earlier: tuple[Series, ...] = ()

    @property
    def barcode(self) -> str:
        """Barcode of the radiograph; that of the reading where the release's list has lost it."""
        return self.radiograph.barcode or self.reading.barcode

    @property
    def case(self) -> str:
        """E.g. ``9000099-V00-R``."""
        return "-".join(map(str, self.knee))


@dataclass
class Selection:
    """What became of every knee.

    Attributes:
        sequence: the sequence that was asked for.
        candidates: the knees that stay, in the order of their names.
        excluded: the others.
        listed: series that the release lists, by kind, e.g. ``COR_T1_3D_FLASH`` or ``other``.
        repeated: series of the sequence that a later one replaces.
        unknown: series that cannot be used, of a knee that is unknown.
    """

    sequence: Sequence
    candidates: list[Candidate]
    excluded: list[Excluded] = field(default_factory=list)
    listed: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    unknown: list[Unusable] = field(default_factory=list)


def select_knees(
    release: Release,
    sequence: Sequence,
    readings: Mapping[Knee, Reading],
    people: People,
    missing_as: str = "paper",
    clinic_needed: bool = False,
) -> Selection:
    """Choose the MRI, the reading and the radiograph of each knee.

    A knee enters if the release lists a radiograph or an MRI of it. Of repeated series the last is
    taken (date, then series number), of an MRI the one before where that cannot be used. The
    radiograph is the one that was read, known by its barcode; where the reading names none, the
    last of the visit.

    Args:
        release: the series that there are.
        sequence: the sequence to train on.
        readings: readings, as `read_readings` returns them.
        people: demographics, as `read_people` returns them.
        missing_as: see `MISSING_AS`.
        clinic_needed: leave out participants whose clinic nobody states: where clinics are held out
            for the test, they may be of one of these.
    """
    series = _by_knee(release.series)
    selection = Selection(sequence, [])
    selection.listed = Counter(s.kind.name if s.kind else "other" for s in release.series)
    lost = _lost(release.unusable)
    for knee in sorted(series):
        volumes = [item for item in series[knee] if _named(item, sequence.name)]
        pictures = [item for item in series[knee] if _named(item, RADIOGRAPH)]
        selection.repeated += max(0, len(volumes) - 1)
        person = people.at(knee[0], knee[1])
        found = _candidate(knee, volumes, pictures, readings.get(knee), person, missing_as)
        if clinic_needed and isinstance(found, Candidate) and not person.site:
            found = Excluded(knee, "person", "clinic not stated")
        if isinstance(found, Excluded):
            unsure = [item for item in release.unusable if not item.sides]
            here = [item for item in unsure if (item.participant, item.visit) == knee[:2]]
            selection.excluded.append(_with_what_was_lost(found, [*lost.get(knee, []), *here]))
        else:
            selection.candidates.append(found)
    for knee in sorted(lost.keys() - series.keys()):
        item = lost[knee][0]
        selection.excluded.append(Excluded(knee, "list", item.reason, item.detail))
    selection.excluded += _nameless(release.series, readings, lost.keys() | series.keys())
    selection.excluded.sort(key=lambda item: item.knee)
    selection.unknown = [item for item in release.unusable if not item.sides]
    return selection


def _nameless(
    series: Iterable[Series], readings: Mapping[Knee, Reading], known: Collection[Knee]
) -> list[Excluded]:
    """The knees that were read, and of whose visit no series is named as a knee's are."""
    names: dict[tuple[str, str], list[str]] = {}
    for item in series:
        names.setdefault((item.participant, item.visit), []).append(item.description)
    return [
        Excluded(knee, "list", "no series is named as a knee's", shown("; ".join(names[knee[:2]])))
        for knee in readings
        if knee[:2] in names and knee not in known
    ]


def _lost(unusable: Iterable[Unusable]) -> dict[Knee, list[Unusable]]:
    """What cannot be used of each knee."""
    lost: dict[Knee, list[Unusable]] = {}
    for item in unusable:
        for side in item.sides:
            lost.setdefault((item.participant, item.visit, side), []).append(item)
    return lost


def _with_what_was_lost(excluded: Excluded, lost: SequenceOf[Unusable]) -> Excluded:
    """Say why an image is lacking, where a series of the knee is listed but cannot be used."""
    if excluded.step not in ("mri", "radiograph") or excluded.detail or not lost:
        return excluded
    reasons = "; ".join(f"{item.reason}: {item.detail}" for item in lost)
    return replace(excluded, detail=reasons)


def _by_knee(series: Iterable[Series]) -> dict[Knee, list[Series]]:
    """The series of each knee; a radiograph of both knees belongs to each."""
    knees: dict[Knee, list[Series]] = {}
    for item in series:
        if item.kind is not None:
            for side in (item.kind.side,) if item.kind.side else tuple(Laterality):
                knees.setdefault((item.participant, item.visit, side), []).append(item)
    return knees


def _named(series: Series, name: str) -> bool:
    return series.kind is not None and series.kind.name == name


def _candidate(
    knee: Knee,
    volumes: list[Series],
    pictures: list[Series],
    reading: Reading | None,
    person: Person,
    missing_as: str,
) -> Candidate | Excluded:
    if not volumes:
        return Excluded(knee, "mri", "no MRI of the sequence")
    if reading is None:
        return Excluded(knee, "readings", "no readings")
    features = _features(knee, reading, missing_as)
    if isinstance(features, Excluded):
        return features
    if person.problem:
        return Excluded(knee, "person", "demographics that make no sense", person.problem)
    read = _pictures_read(knee, pictures, reading)
    if isinstance(read, Excluded):
        return read
    scans, radiograph = _last_first(volumes), _last_first(read)[0]
    there = [item for item in scans if item.path is not None]
    for item in (*([] if there else scans[:1]), radiograph):
        if item.path is None:
            detail = f"{item.description} {item.number}"
            return Excluded(knee, "files", "listed, but not on the disk", detail)
    notes = _notes(scans, read, there[0], radiograph)
    return Candidate(knee, there[0], radiograph, reading, features, person, notes, tuple(there[1:]))


def _pictures_read(knee: Knee, pictures: list[Series], reading: Reading) -> list[Series] | Excluded:
    """The radiographs that may be the one that was read."""
    if not pictures:
        return Excluded(knee, "radiograph", "no radiograph")
    read = [item for item in pictures if item.barcode and item.barcode == reading.barcode]
    if reading.barcode and not read and any(item.barcode for item in pictures):
        listed = ", ".join(item.barcode for item in pictures)
        detail = f"read {reading.barcode}, listed {listed}"
        return Excluded(knee, "radiograph", "another radiograph was read", detail)
    return read or pictures


def _features(knee: Knee, reading: Reading, missing_as: str) -> dict[str, int] | Excluded:
    if reading.has_prosthesis:
        return Excluded(knee, "readings", "prosthesis")
    if reading.problem:
        return Excluded(
            knee, "readings", "readings that contradict or make no sense", reading.problem
        )
    if reading.kl is None:
        return Excluded(knee, "readings", "no Kellgren-Lawrence grade")
    try:
        return reading.features(missing_as)
    except ReleaseError:
        raise
    except FeatureError as error:
        return Excluded(knee, "readings", "readings that contradict or make no sense", str(error))


def _last_first(series: list[Series]) -> list[Series]:
    return sorted(series, key=lambda item: item.age, reverse=True)


def _notes(
    scans: list[Series], pictures: list[Series], mri: Series, radiograph: Series
) -> tuple[str, ...]:
    notes = []
    if len(scans) > 1:
        last = "the last of" if mri is scans[0] else "the last on the disk of"
        notes.append(f"MRI {mri.number} is {last} {len(scans)}")
    if len(pictures) > 1:
        notes.append(f"radiograph {radiograph.number} is the last of {len(pictures)}")
    return tuple(notes)
