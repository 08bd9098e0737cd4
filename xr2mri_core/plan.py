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
        mixes_depth: whether its slices know their neighbours.
    """

    request: GenerationRequest
    regression: bool
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
        slices, steps = request.count, request.steps or 1
        if not self.mixes_depth:  # the last batch is filled up
            batch = request.batch_size or slices
            slices = -(-slices // batch) * batch
        looks = 1 if request.guidance in (None, 1.0) else 2  # with the features and without
        regression = looks if self.regression else 0
        best = int(request.kind == "mean" and regression > 0)  # is decoded, and not drawn
        return slices * (regression + best + (self.volumes - best) * (steps * looks + 1))

    @property
    def mean_by(self) -> str | None:
        """How the volume is the mean: "regression", or "8 samples"; None for a sample."""
        if self.request.kind == "sample":
            return None
        return "regression" if self.regression else f"{self.volumes} samples"
