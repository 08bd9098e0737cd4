"""What a comparison found: its own lines among all that the folder holds, and what they say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.comparison.experiments import BEST_GUESS
from xr2mri_core.comparison.measure import TRUTH, Readers, Row, of_case
from xr2mri_core.comparison.plan import Plan
from xr2mri_core.comparison.recovery import ablated, gained, recovered
from xr2mri_core.comparison.training import GIVEN, Trained
from xr2mri_core.evaluation.readers import presence
from xr2mri_core.evaluation.statistics import Span, holm, interval, paired, per_patient

Item = Mapping[str, Any]
Line = Mapping[str, Any]

OURS = "ours"
OURS_MEAN = "ours_mean"
BLANK = "_blank"
"""Ends the name of a row that is a method without the features."""

COLUMNS: dict[str, tuple[str, int, int]] = {
    "ssim": ("SSIM", 3, 1),
    "ssim_joint": ("SSIM joint", 3, 1),
    "ms_ssim": ("MS-SSIM", 3, 1),
    "ssim_3d": ("3-D SSIM", 3, 1),
    "ssim_sagittal": ("SSIM sagittal", 3, 1),
    "ssim_axial": ("SSIM axial", 3, 1),
    "psnr": ("PSNR, dB", 2, 1),
    "edge_f1": ("edge F1", 3, 1),
    "edge_distance_mm": ("edge distance, mm", 2, -1),
    "rssim": ("RSSIM", 3, 1),
    "dice_femur": ("Dice femur", 3, 1),
    "dice_tibia": ("Dice tibia", 3, 1),
    "dice_cartilage": ("Dice cartilage", 3, 1),
    "dice_meniscus": ("Dice meniscus", 3, 1),
    "surface_femur": ("surface femur, mm", 2, -1),
    "surface_tibia": ("surface tibia, mm", 2, -1),
    "surface_cartilage": ("surface cartilage, mm", 2, -1),
    "histogram": ("greys", 4, -1),
    "spectrum": ("spectrum, dB", 2, -1),
    "lpips": ("LPIPS", 3, -1),
    "fid": ("FID", 1, -1),
    "kid": ("KID x 1000", 1, -1),
    "adjacent": ("adjacent corr.", 3, 0),
    "rough": ("rough", 2, 0),
    "comb": ("comb", 3, 0),
}
"""Metric -> title, digits, and whether more is better (1), less is (-1), or as the truth (0)."""

TESTED = ("ssim", "ssim_3d", "edge_f1", "surface_femur", "surface_cartilage", "rssim", "psnr")
"""Metrics on which ours is tested against each other row."""


@dataclass(frozen=True)
class Results:
    """A comparison as all tables and figures read it; each number is computed once.

    Attributes:
        out: folder of the run.
        plan: what was compared.
        trained: methods with their weights.
        rows: rows of the tables, in their order.
        test: all test cases, of which the first `Plan.cases` count.
        lines: all that the folder holds, of earlier weights too.
        shown: case -> folder of its kept volumes.
        data: the datalist of the comparison, as it was read.
        readers: networks whose lines count.
        start: the denoiser that the methods' U-Nets started from, if any.
    """

    out: Path
    plan: Plan
    trained: Sequence[Trained]
    rows: Sequence[Row]
    test: Sequence[Item]
    lines: Sequence[Line]
    shown: Mapping[str, Path]
    data: Mapping[str, Any]
    readers: Readers
    start: Trained | None = None

    @property
    def items(self) -> Sequence[Item]:
        """The test cases that count."""
        return self.test[: self.plan.cases]

    @property
    def trainings(self) -> str:
        """A sentence or two on what the methods were trained with."""
        plan, told = self.plan, []
        given = [one.method.title for one in self.trained if one.command == GIVEN]
        if len(given) < len(self.trained):
            budget = plan.budget
            spent = f"{budget.samples or 0:,} slices"
            if budget.minutes is not None:
                spent = f"{budget.minutes:g} minutes"
            begun = ""
            if self.start is not None:
                begun = f", from a denoiser that had seen {self.start.samples or 0:,} slices"
            kind = "synthetic phantoms" if self.data.get("synthetic") else "acquired cases"
            cases = len(self.data.get("training", []))
            told.append(f"Methods were trained alike: {spent} each, on {cases} {kind}{begun}.")
        if given:
            told.append(
                f"Weights of {', '.join(given)} were given: their budgets are others, and their "
                "autoencoder and data may be."
            )
        return " ".join(told)

    @cached_property
    def measured(self) -> list[Line]:
        """The newest line of each row and case, in the order of the tables, then of the cases.

        Processes finish in any order, and intervals depend on it in their last digit.
        """
        of = {
            (name, str(item["case"])): json.loads(json.dumps(depends(item)))
            for name, depends in self.depends.items()
            for item in self.items
        }
        own = (
            one for one in self.lines
            if one.get("readers") == self.readers.of
            and (pair := (one.get("row"), one.get("case"))) in of and one["of"] == of[pair]
        )  # fmt: skip
        newest = {(one["row"], one["case"]): one for one in own}
        names = (TRUTH, *(row.name for row in self.rows))
        ordered = [(name, case) for name in names for case in self._places]
        return [newest[pair] for pair in ordered if pair in newest]

    @property
    def depends(self) -> dict[str, Callable[[Item], dict[str, Any]]]:
        """Row -> what its volume of a case depends on."""
        truth: dict[str, Callable[[Item], dict[str, Any]]] = {TRUTH: partial(of_case, {})}
        return truth | {row.name: row.of_case for row in self.rows}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {str(item["case"]): place for place, item in enumerate(self.items)}

    @cached_property
    def titles(self) -> dict[str, str]:
        """Row -> its title, of those that have been measured."""
        there = {one["row"] for one in self.measured}
        return {row.name: row.title for row in self.rows if row.name in there}

    @property
    def drawn(self) -> dict[str, str]:
        """Row -> title of what figures show: all but methods without their features."""
        return {row: title for row, title in self.titles.items() if not row.endswith(BLANK)}

    @cached_property
    def experiments(self) -> list[Line]:
        """The newest line of each experiment's setting, of these weights, plan and cases."""
        found: dict[tuple[Any, ...], Line] = {}
        cases = {str(item["case"]): of_case({}, item) for item in self.items}
        own = [one for one in self.lines if "experiment" in one and one["case"] in cases]
        settings = {name: self._settings_of(name) for name in {one["experiment"] for one in own}}
        for one in own:
            of = [{**setting, **cases[one["case"]]} for setting in settings[one["experiment"]]]
            if one["of"] in of and self._is_asked(one):
                found[_setting(one)] = one
        return sorted(found.values(), key=lambda one: self._places[one["case"]])

    def _is_asked(self, one: Line) -> bool:
        """Whether an experiment's line is of so many draws, steps, slices, cases as the plan's."""
        plan, name = self.plan, one["experiment"]
        most = plan.ablation_cases if name == "ablation" else plan.curve_cases
        if most is not None and self._places[one["case"]] >= most:
            return False
        if name == "slices":
            return one["curve"] == TRUTH or one["slices"] in plan.slice_counts
        if name == "steps":
            return one["steps"] in plan.step_counts
        return name != "spread" or one["samples"] == plan.samples > 1

    def _settings_of(self, experiment: str) -> list[Line]:
        """What lines of an experiment depend on; of the truth, which slices are beside, nothing."""
        if experiment in ("steps", BEST_GUESS):
            return [but_steps(row.of) for row in self.rows]
        found: list[Line] = [{}] if experiment == "slices" else []
        for one in self.trained:
            found += self.plan.of_experiments(experiment, one.method, one.sha256, self.readers.of)
        return found

    def experiment(self, name: str) -> list[Line]:
        """Lines of one experiment."""
        return [one for one in self.experiments if one["experiment"] == name]

    @cached_property
    def summary(self) -> dict[str, dict[str, Span]]:
        """Row -> metric -> mean and interval over patients; of the truth what it has."""
        found = {}
        for row in ("truth", *self.titles):
            values = {m: interval([*per_patient(self.measured, row, m).values()]) for m in COLUMNS}
            found[row] = values | self._distances(row)
        return found

    def number_of(self, row: str, metric: str) -> tuple[int, int]:
        """Patients of a row who have a value of a metric, and all of them.

        What is not there has none: a cartilage that is not found has no surface. So a mean over
        few may be of the easy ones alone.
        """
        everyone = {str(one["participant"]) for one in self.measured if one["row"] == row}
        return len(per_patient(self.measured, row, metric)), len(everyone)

    def of_how_many(self, row: str, metric: str) -> str:
        """Words behind a value that is not of all patients."""
        some, everyone = self.number_of(row, metric)
        return f" ({some} of {everyone})" if 0 < some < everyone else ""

    def _distances(self, row: str) -> dict[str, Span]:
        seen = self.readers.seen
        if seen is None or row == TRUTH:
            return {}

        def file(row: str, item: Item) -> Path:
            return seen.file(row, self.depends[row](item), str(item["case"]))

        return seen.distances(
            (str(item["participant"]), file(TRUTH, item), file(row, item)) for item in self.items
        )

    @cached_property
    def grades(self) -> dict[str, NDArray[np.float64]]:
        """Case -> presence of each variable."""
        return {str(item["case"]): presence(item["features"]) for item in self.items}

    @cached_property
    def recovery(self) -> dict[str, dict[str, Span]]:
        """Row (the truth first) -> finding -> AUC of the grader."""
        rows = ("truth", *self.titles)
        return {
            row: recovered(self._scores(row), self.grades, patients=self._patients) for row in rows
        }

    @cached_property
    def gains(self) -> dict[str, dict[str, Span]]:
        """Method that takes features -> finding -> AUC with them minus without."""
        return {
            row: gained(
                self._scores(row), self._scores(row + BLANK), self.grades, patients=self._patients
            )
            for row in self.titles
            if row + BLANK in self.titles
        }

    @cached_property
    def ablation(self) -> dict[str, dict[str, dict[str, Span]]]:
        """What `ablated` finds in this run."""
        return ablated(self.experiment("ablation"), self.grades)

    @property
    def _patients(self) -> dict[str, str]:
        return {str(item["case"]): str(item["participant"]) for item in self.items}

    def _scores(self, row: str) -> dict[str, NDArray[np.float64]]:
        found = (one for one in self.measured if one["row"] == row and one.get("scores"))
        return {str(one["case"]): np.asarray(one["scores"]) for one in found}

    @cached_property
    def tests(self) -> list[dict[str, Any]]:
        """A draw of ours, and its best guess, minus each other row, patient by patient.

        p is corrected for the number of rows.
        """
        found = []
        for name in (own for own in (OURS, OURS_MEAN) if own in self.titles):
            others = [row for row in self.titles if row != name]
            for metric in TESTED:
                own = per_patient(self.measured, name, metric)
                results = [paired(own, per_patient(self.measured, row, metric)) for row in others]
                corrected = holm([result["p"] for result in results])
                for row, result, p in zip(others, results, corrected, strict=True):
                    of = {"own": name, "metric": metric, "row": row}
                    found.append({**of, **result, "p_holm": p})
        return found

    @cached_property
    def provenance(self) -> list[dict[str, Any]]:
        """What each method's weights are and where they come from."""
        start = [] if self.start is None else [self.start]
        return [*_provenance([*start, *self.trained], self.plan)]


def but_steps(of: Mapping[str, Any]) -> dict[str, Any]:
    """A request, or what depends on it, without its number of steps."""
    return {name: value for name, value in of.items() if name != "steps"}


def _setting(one: Line) -> tuple[Any, ...]:
    """What tells an experiment's lines apart, whatever came of them."""
    names = ("experiment", "case", "variant", "curve", "row", "slices", "steps", "samples")
    found = (one.get(name) for name in names)
    return tuple(value for value in found if not isinstance(value, list))


def _provenance(trained: Sequence[Trained], plan: Plan) -> Iterator[dict[str, Any]]:
    for one in trained:
        versions = one.card.get("versions", {})
        yield {
            "method": one.method.title,
            "weights": one.sha256,
            "commit": one.card.get("commit", ""),
            "seed": one.card.get("seed", plan.seed),
            "slices seen": "" if one.samples is None else one.samples,
            "minutes": one.card.get("minutes", ""),
            "validation loss": one.card.get("results", {}).get("val_loss", ""),
            "hardware": one.card.get("hardware", ""),
            "torch": versions.get("torch", ""),
            "command": one.command,
        }
