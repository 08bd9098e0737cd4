"""What is compared: the knobs of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xr2mri_core.baselines import DEFAULT, Method
from xr2mri_core.bundle import configured
from xr2mri_core.comparison import experiments
from xr2mri_core.comparison.training import OWN_OPTIONS, Budget
from xr2mri_core.errors import InputError


@dataclass(frozen=True)
class Plan:
    """What is compared, on what, and how much of it.

    Attributes:
        methods: names of `METHODS`, in the order of the tables.
        budget: budget of every training.
        start: slices that a denoiser sees first, from whose U-Net every training starts; 0: none.
        load: name -> weights that are not trained here.
        training_cases, cases: the first so many of the training and the test split; None: all.
        curve_cases: cases of the curves over slices and over steps.
        ablation_cases: cases of the ablation of features; None: as `cases`.
        samples: draws for calibration, on `curve_cases` cases; below 2: none, below 4: no curve.
        steps, sampler, noise_length: of every method alike; None: as the bundle's volumes are drawn
            (`filled`). But a method that draws each slice alone by its definition has no length.
        slice_counts, step_counts: numbers of slices and of steps of the two curves.
        reader_steps: training steps of the segmentation network; the grader's are three times that.
        seed: seed of trainings and noise.
        options: further options of the bundle's training commands.
        lpips: AlexNet's weights and LPIPS's linear layers.
        fid: Inception's weights, for FID and KID.
        image_size: pixels of the side of a slice.
        precision: in which volumes are generated.

    Raises:
        InputError: `options` name what a comparison sets itself, for all trainings alike.
    """

    methods: Sequence[str] = DEFAULT
    budget: Budget = field(default_factory=lambda: Budget(samples=64_000))
    start: int = 0
    load: Mapping[str, Path] = field(default_factory=dict)
    training_cases: int | None = None
    cases: int | None = None
    curve_cases: int = 2
    ablation_cases: int | None = None
    samples: int = 6
    steps: int | None = None
    sampler: str | None = None
    noise_length: float | None = None
    slice_counts: Sequence[int] = experiments.SPACINGS
    step_counts: Sequence[int] = experiments.STEPS
    reader_steps: int = 600
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    lpips: tuple[Path, Path] | None = None
    fid: Path | None = None
    image_size: int = 256
    precision: str = "fp32"

    def __post_init__(self) -> None:
        why = {"cached_slices": ": it reads all, so take cases of one number of slices"}
        for name in self.options:
            if name in OWN_OPTIONS:
                raise InputError(
                    f"a comparison sets '{name}' itself{why.get(name, '')}", option="set"
                )
        for name in self.budget.options(1, 1):
            if name in self.options:
                raise InputError(
                    f"a comparison sets '{name}' itself, by its budget: give another budget",
                    option="budget" if self.budget.minutes is None else "minutes",
                )
        if self.start and "initial_weights" in self.options:
            raise InputError(
                "all methods start from the initial weights or from a denoiser that is trained "
                "first: leave one of the two out",
                option="set",
            )

    def filled(self, bundle: Path, size: str) -> Plan:
        """This plan, with a bundle's own steps, sampler and noise where it has None.

        Args:
            bundle: its folder.
            size: overlay of the bundle.

        Raises:
            WeightsError: it has no such configuration.
        """
        names = [n for n in ("steps", "sampler", "noise_length") if getattr(self, n) is None]
        if not names:
            return self
        settings = configured(bundle, [size, "volume"]).get_parsed_content("sampling")
        return replace(self, **{name: settings[name] for name in names})

    def request(self, method: Method) -> dict[str, Any]:
        """How a method is asked."""
        noise = 0.0 if method.independent else self.noise_length
        return {"steps": self.steps, "sampler": self.sampler, "noise_length": noise}

    @property
    def noises(self) -> dict[str, float]:
        """The noises of the curves over slices, with their lengths."""
        return {"correlated": float(self.noise_length or 0), "independent": 0.0}

    def of(self, method: Method, weights: str, **asked: Any) -> dict[str, Any]:
        """What a method's volumes depend on, by which old results are known.

        Args:
            method: the method.
            weights: digest of its weights.
            asked: what is asked beside, or other than `request`.
        """
        depends = {"sha256": weights, "seed": self.seed, **self.request(method), **asked}
        return depends if self.precision == "fp32" else {**depends, "precision": self.precision}

    def of_experiments(
        self, name: str, method: Method, weights: str, readers: str
    ) -> list[dict[str, Any]]:
        """What the lines of an experiment with a method depend on; of "slices", a curve each.

        Args:
            name: name of the experiment, which is of "ours"; those of rows depend on the row.
            method, weights: see `of`.
            readers: the networks that read its volumes.
        """
        of = self.of(method, weights)
        if name == "slices":
            return [{**of, "noise_length": length} for length in self.noises.values()]
        return [{**of, "readers": readers} if name == "ablation" else of]
