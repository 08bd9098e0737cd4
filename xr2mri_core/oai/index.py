"""From a release to a datalist that the training commands read: what ``xr2mri oai index`` does.

out/datalist.json                      the pairs, split; see `xr2mri_core.datalist`
out/excluded.csv                       every knee that was left out, the step and the reason
out/flow.txt, flow.png                 counts at each step
out/slice_counts.csv, slice_counts.png slices of a series, by sequence (the paper's Fig. 4a)
out/grey_values.csv, grey_values.png   grey value by proportional position (Fig. 4b)
out/index.json                         settings, counts, notes, versions
out/headers.jsonl                      what the files state of themselves, where no list does
out/mri, radiographs, records          the converted files; see `convert`
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from xr2mri_core import __version__
from xr2mri_core.datalist import SPLITS, check_ratios, save_datalist, splits_of
from xr2mri_core.errors import DatalistError, ReleaseError, shown
from xr2mri_core.files import atomic_files, check_writable
from xr2mri_core.geometry import Laterality, slice_window
from xr2mri_core.oai import headers, reports
from xr2mri_core.oai.convert import Converted, Job, Progress, convert
from xr2mri_core.oai.people import read_people
from xr2mri_core.oai.pictures import GUESSED, Drawn, Locate, default_locate, read_drawn_boxes
from xr2mri_core.oai.readings import MISSING_AS, read_readings
from xr2mri_core.oai.release import Release, read_release
from xr2mri_core.oai.selection import Excluded, Selection, select_knees
from xr2mri_core.oai.sequences import DEFAULT, sequence_named
from xr2mri_core.oai.sequences import Sequence as MRISequence
from xr2mri_core.oai.splits import check_sites, split_by_kl, split_by_site

_SITES = re.compile(r"(?<=test: participants of site ).+?(?=, [^, ]+:[^ ]+, seed )")
"""The sites that a description of `_how_split` names, before the ratios."""


@dataclass(frozen=True)
class Settings:
    """What a datalist depends on besides the release.

    Attributes:
        visits: visits to take, e.g. ``V00``; none takes all.
        sequence: name of the MRI, see `SEQUENCES`.
        window: proportional positions in percent between which slices are kept; None takes the
            sequence's own.
        slices: least and most slices of a volume; None takes the sequence's own.
        missing_as: how features that were not read enter, see
            `MISSING_AS`.
        ratios: shares of training, validation and test.
        test_sites: clinics whose participants make the test split; none splits at random.
        seed: seed of the split.

    Raises:
        DatalistError: for ratios that split nothing.
    """

    visits: tuple[str, ...] = ()
    sequence: str = DEFAULT
    window: tuple[int, int] | None = None
    slices: tuple[int, int] | None = None
    missing_as: str = "paper"
    ratios: tuple[float, float, float] = (7, 2, 1)
    test_sites: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        check_ratios(self.ratios, by_site=bool(self.test_sites))

    def mri_sequence(self) -> MRISequence:
        """The sequence, with the window and the slices that were asked for.

        Raises:
            ReleaseError: naming the setting that is not accepted.
        """
        sequence = sequence_named(self.sequence)
        if self.window is not None:
            if not 0 <= self.window[0] < self.window[1] <= 100:
                raise ReleaseError(
                    f"window {shown(self.window)}: two percentages are accepted, e.g. 16 78"
                )
            sequence = replace(sequence, window=self.window)
        if self.slices is not None:
            if not 2 <= self.slices[0] <= self.slices[1]:
                raise ReleaseError(f"slices {shown(self.slices)}: least and most, e.g. 80 80")
            sequence = replace(sequence, slices=self.slices)
        if self.missing_as not in MISSING_AS:
            raise ReleaseError(
                f"missing {shown(self.missing_as)}: accepted are {' and '.join(MISSING_AS)}"
            )
        return sequence


def index_release(
    images: Sequence[Path | str],
    tables: Sequence[Path | str],
    out: Path | str,
    settings: Settings | None = None,
    jobs: int = 1,
    locate: Locate | None = None,
    boxes: Path | str | None = None,
    progress: Progress | None = None,
    scheduler: str | None = None,
) -> str:
    """Make a datalist of the radiograph-MRI pairs of a release, with everything it needs.

    Run again with the same settings it converts only what is new; the same release gives the same
    datalist.

    Args:
        images: folders of the images, see `read_release`.
        tables: folders of the tables.
        out: folder to write to.
        settings: see `Settings`.
        jobs: processes that convert.
        locate: finds the knee on a film; None takes the shipped detector, see `pictures`.
        boxes: CSV of joint boxes that were drawn, by barcode and side: they win over ``locate``.
        progress: called after each knee; what it raises stops the work.
        scheduler: address of a Dask scheduler, whose workers replace the processes; see
            `each_done`.

    Returns:
        The flow as text.

    Raises:
        ReleaseError: if lists or tables are missing or malformed.
        DatalistError: if the sites of the test are not among the participants', or the box file is
            malformed or of other radiographs, or an earlier datalist is damaged, before anything is
            converted; if no knee is left, or the split cannot be made of those that are, after the
            reports are written.
        OutputError: if something cannot be written.
    """
    settings = settings or Settings()
    sequence = settings.mri_sequence()
    out = check_writable(out)
    kept = _earlier_splits(out / "datalist.json", settings)  # a damaged one is told at once
    release = read_release(images, tables, settings.visits, out / headers.CACHE, progress)
    readings = read_readings(release.tables, release.visits)
    people = read_people(release.tables)
    by_clinic = bool(settings.test_sites)
    selection = select_knees(
        release, sequence, readings, people, settings.missing_as, clinic_needed=by_clinic
    )
    if by_clinic and selection.candidates:  # a slip must not come out after hours
        check_sites(settings.test_sites, (knee.person.site for knee in selection.candidates))
    drawn = read_drawn_boxes(boxes) if boxes is not None else {}
    locate = locate or default_locate()
    work = [
        Job(out, knee, sequence, drawn.pop((knee.barcode, knee.knee[2]), locate))
        for knee in selection.candidates
    ]
    if len(drawn) and not any(isinstance(job.locate, Drawn) for job in work):
        raise DatalistError(
            f"{boxes}: none of its barcodes is among the radiographs; is it of this release?"
        )
    converted, unreadable = convert(work, jobs, progress, scheduler)
    excluded = [*selection.excluded, *unreadable]
    report = partial(
        _write_reports, out, release, selection, converted, excluded, sorted(drawn), settings
    )
    try:
        items = _items(converted, sequence, settings)
        splits = _split(items, settings, kept) if converted else {}
    except DatalistError:  # all of a site may have been left out: the reports tell why
        report({})
        raise
    text = report(splits)
    if not converted:
        raise DatalistError(
            f"no knee is left of the release's {len(excluded)}; see {out / 'excluded.csv'}"
        )
    save_datalist(
        out / "datalist.json",
        splits,
        name=f"OAI {' '.join(release.visits)} {sequence.name}",
        description=_description(settings, sequence, len(converted)),
        synthetic=any(item.synthetic for item in converted),
        kept=kept,
    )
    return text


def _items(
    converted: Sequence[Converted], sequence: MRISequence, settings: Settings
) -> list[dict[str, Any]]:
    """The knees as items of a datalist."""
    items = []
    for knee in converted:
        participant, visit, side = knee.candidate.knee
        window = sequence.window_of(knee.slices)
        item: dict[str, Any] = {
            "case": knee.candidate.case,
            "participant": participant,
            "radiograph": str(knee.picture.resolve()),
            "mri": str(knee.mri.resolve()),
            "box": [0, 0, *knee.shape],  # cut already
            "laterality": str(side),
            "features": dict(knee.candidate.features),
            "visit": visit,
            **knee.candidate.person.to_dict(),
            "readings": {
                "project": knee.candidate.reading.project,
                "missing": settings.missing_as,
            },
            "sequence": sequence.name,
            "located": knee.located,
        }
        if window != slice_window(knee.slices):
            item["window"] = list(window)
        if knee.notes:
            item["notes"] = list(knee.notes)
        items.append(item)
    return items


def _split(
    items: list[dict[str, Any]], settings: Settings, kept: Mapping[str, str]
) -> dict[str, Any]:
    if settings.test_sites:
        return split_by_site(items, settings.test_sites, settings.ratios, settings.seed, kept)
    return split_by_kl(items, settings.ratios, settings.seed, kept)


def _earlier_splits(path: Path, settings: Settings) -> dict[str, str]:
    """`splits_of` a datalist that was split as these settings ask for."""

    def spelt(description: str) -> str:  # once it named the sites as they were given
        return _SITES.sub(lambda sites: _listed(sites[0].split(",")), description)

    return splits_of(path, _how_split(settings), spelt)


def _listed(sites: Iterable[str]) -> str:
    return ", ".join(sorted({site.strip().upper() for site in sites}))


def _how_split(settings: Settings) -> str:
    how = (
        f"test: participants of site {_listed(settings.test_sites)}"
        if settings.test_sites
        else "split by participant, stratified by Kellgren-Lawrence grade"
    )
    return f"{how}, {':'.join(f'{ratio:g}' for ratio in settings.ratios)}, seed {settings.seed}."


def _description(settings: Settings, sequence: MRISequence, knees: int) -> str:
    missing = {
        "paper": "features that were not read are missing (all-zero one-hot), as in the paper",
        "not-expected-zero": "features that were not expected to be read have grade 0",
    }[settings.missing_as]
    low, high = sequence.window
    return (
        f"{knees} knees; {missing}; slices from {low} to {high} % of the volume; "
        f"{_how_split(settings)} Made by xr2mri oai index, XR2MRI {__version__}."
    )


def _doubts(converted: Sequence[Converted]) -> str:
    """Lines on knees that no detector found; empty where there are none."""
    guessed = Counter(knee.located for knee in converted if knee.located in GUESSED)
    if not guessed:
        return ""
    ways = "".join(f"    {count:>6} {how}\n" for how, count in guessed.most_common())
    return (
        f"\n{guessed.total()} of {len(converted)} knees were not found by the detector; "
        f"cut out instead:\n{ways}look at them (radiographs/, 'located' in the datalist)\n"
    )


def _unused(boxes: Sequence[tuple[str, Laterality]]) -> str:
    """A line on drawn boxes of no knee that was cut out, a slip in a barcode maybe."""
    if not boxes:
        return ""
    first = ", ".join(f"{code} {side}" for code, side in boxes[:3])
    more = ", ... (index.json has all)" if len(boxes) > 3 else ""
    return f"\ndrawn boxes of no knee that is taken, {len(boxes)}: {first}{more}\n"


def _write_reports(
    out: Path,
    release: Release,
    selection: Selection,
    converted: Sequence[Converted],
    excluded: Sequence[Excluded],
    unused: Sequence[tuple[str, Laterality]],
    settings: Settings,
    splits: dict[str, Any],
) -> str:
    """Write tables, plots and the record; return the flow as text."""
    counts = {
        name: (len(splits[name]), len({item["participant"] for item in splits[name]}))
        for name in SPLITS
        if name in splits
    }
    people = [knee.candidate.knee[0] for knee in converted]
    stages = reports.flow_of(selection, people, excluded)
    title = f"OAI {' '.join(release.visits)}, {selection.sequence.name}"
    text = f"{title}\n{reports.flow_text(stages, counts)}{_doubts(converted)}{_unused(unused)}"
    known = {knee.candidate.mri.path: knee.slices for knee in converted}
    slices = reports.slice_counts(release.series, {p: n for p, n in known.items() if p})
    flow = [asdict(stage) for stage in stages]
    results = {"flow": flow, "splits": counts, "unused_boxes": [list(box) for box in unused]}
    record = _record(release, selection, converted, settings, results)
    with atomic_files(out) as files:
        reports.write_excluded(files.path(out / "excluded.csv"), excluded, selection.unknown)
        files.path(out / "flow.txt").write_text(text, encoding="utf-8")
        figure = reports.flow_figure(stages, counts, title)
        reports.save_figure(figure, files.path(out / "flow.png"))
        reports.write_slice_counts(files.path(out / "slice_counts.csv"), slices)
        figure = reports.slice_counts_figure(slices, selection.sequence.name)
        reports.save_figure(figure, files.path(out / "slice_counts.png"))
        if converted:
            profiles = reports.grey_profiles(knee.profile for knee in converted)
            cases = [knee.candidate.case for knee in converted]
            reports.write_profiles(files.path(out / "grey_values.csv"), profiles, cases)
            figure = reports.grey_figure(profiles, selection.sequence)
            reports.save_figure(figure, files.path(out / "grey_values.png"))
        content = json.dumps(record, indent=1, default=str) + "\n"
        files.path(out / "index.json").write_text(content, encoding="utf-8")
    return text


def _record(
    release: Release,
    selection: Selection,
    converted: Sequence[Converted],
    settings: Settings,
    results: Mapping[str, Any],
) -> dict[str, Any]:
    """The record of an index: its inputs and its results."""
    return {
        "xr2mri": __version__,
        "form": release.layout,
        "visits": release.visits,
        "settings": asdict(settings),
        "series": dict(sorted(selection.listed.items())),
        "repeated_series": selection.repeated,
        **results,
        "reading_projects": dict(Counter(k.candidate.reading.project for k in converted)),
        "located": dict(Counter(knee.located for knee in converted)),
        "notes": release.notes,
    }
