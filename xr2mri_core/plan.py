"""What a request comes to with one model: how many volumes are made, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass

from xr2mri_core.request import GenerationRequest

MEAN_OF = 8
"""Samples that make the mean of a model without a regression."""


@dataclass(frozen=True)
class Plan:
    """What is made for a request.

    Attributes:
        request: the request with the steps filled in (`GenerationRequest.filled`).
        regression: whether the model has a regression.
        slices_a_step: slices that go through the denoiser in each step of one volume.
        slices_drawn: slices of one volume that are drawn, with others that those asked for need.
        mixes_depth: whether its slices know their neighbours.
    """

    request: GenerationRequest
    regression: bool
    slices_a_step: int
    slices_drawn: int
    mixes_depth: bool

    @property
    def volumes(self) -> int:
        """Volumes that are made."""
        samples = self.request.samples
        if self.request.kind == "sample":
            return samples
        if not self.regression:
            return max(samples, MEAN_OF)
        return 1 + (samples if samples > 1 else 0)

    @property
    def passes(self) -> int:
        """How often a slice goes through denoiser, regression or decoder."""
        request = self.request
        # without depth mixing the last batch is filled up, for the other networks too
        slices = request.count if self.mixes_depth else self.slices_a_step
        regressed = self.slices_drawn if self.mixes_depth else self.slices_a_step
        looks = 1 if request.guidance in (None, 1.0) else 2  # with the features and without
        regression = looks if self.regression else 0
        best = int(request.kind == "mean" and regression > 0)  # is decoded, and not drawn
        denoised = self.slices_a_step * (request.steps or 1) * looks
        known = regressed * regression + slices * best
        return known + (self.volumes - best) * (denoised + slices)

    @property
    def mean_by(self) -> str | None:
        """How the volume is the mean: "regression", or "8 samples"; None for a sample."""
        if self.request.kind == "sample":
            return None
        return "regression" if self.mean_of is None else f"{self.mean_of} samples"

    @property
    def mean_of(self) -> int | None:
        """Samples that the mean is of; None where it is the regression's, or a sample is made."""
        return None if self.regression or self.request.kind == "sample" else self.volumes
