"""Algorithm 2 of the paper, for all slices of a volume: radiograph y, condition r, depths d -> x_d.

    z_T = noise(d)                                     correlated along depth (`DepthNoise`)
    z_{t-1} = step(z_t, U(z_t, t, E_2(y), d, r))       for t = T, ..., 1
    x_d = D(z_0)

The paper does this slice after slice from independent noise. Here y and r are encoded once
(`encode`); where the model has a regression, z is what its mean mu leaves open; and where it has
depth mixing, all slices take each step together (`drawn`), in windows that a pass can hold, and
with others among them where they lack neighbours as it has learnt them (`DepthMixing.among`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xr2mri_core.condition import Condition
from xr2mri_core.diffusion import (
    Denoiser,
    DepthNoise,
    Scheduler,
    build_scheduler,
    guided,
    sample,
    sample_seed,
    windows,
)
from xr2mri_core.errors import Cancelled
from xr2mri_core.networks import RadiographCode, XR2MRIModel
from xr2mri_core.progress import SliceProgress
from xr2mri_core.request import GenerationRequest
from xr2mri_core.transforms.steps import unit_range

Part = tuple[slice, NDArray[np.float32]]
"""Where in the volume, and its slices: (k, H, W) float32 in [0, 1], in the right-knee frame."""

_DECODED_AT_ONCE = 16


@dataclass(frozen=True)
class Knee:
    """One knee as the networks know it, and what is asked of it.

    Attributes:
        code: E_2(y).
        features: r, (1, positions).
        depths: (m,) of the slices that are drawn: those of the request, and others among them.
        asked: which of them are the request's.
        mean: mu, latents (m, c, h, w) of them; None without a regression.
    """

    request: GenerationRequest
    code: RadiographCode
    features: Tensor
    depths: NDArray[np.float64]
    asked: slice
    mean: Tensor | None
    cancelled: Callable[[], bool]

    def in_batches(self, compute: Callable[[NDArray[np.int64]], Tensor]) -> Tensor:
        """Latents of all slices (m, c, h, w), computed in batches of one shape."""
        count, parts = len(self.depths), []
        size = min(self.request.batch_size, count)
        for start in range(0, count, size):
            if self.cancelled():
                raise Cancelled
            kept = min(size, count - start)
            parts.append(compute(np.resize(np.arange(start, start + kept), size))[:kept])
        return torch.cat(parts)


class Algorithm2:
    """The networks of a model and the order in which they are called.

    Args:
        model: an `XR2MRIModel`, on `device`.
        scheduler: the diffusers scheduler of the training.
        device: where to run.
        precision: ``fp32``, or ``bf16`` for autocast.
    """

    def __init__(
        self, model: XR2MRIModel, scheduler: Scheduler, device: torch.device, precision: str
    ) -> None:
        self.model, self.scheduler = model, scheduler
        self.device, self.precision = device, precision
        self.denoiser: Denoiser[RadiographCode] = model.denoise

    def encode(
        self,
        picture: Tensor,
        condition: Condition,
        request: GenerationRequest,
        cancelled: Callable[[], bool] | None = None,
    ) -> Knee:
        """E_2(y), r and, with a regression, mu of every slice: once for the whole volume.

        Args:
            picture: (1, 1, H, W) float32 in [-1, 1], the radiograph y in the right-knee frame.
            condition: features and demographics that r encodes.
            request: which slices are generated, and how.
            cancelled: asked before every pass through a network; True raises Cancelled.
        """
        r = self.model.guidance.encode(condition.features, condition.demographics)
        vector = torch.from_numpy(r)[None]
        picture = picture.to(self.device)
        with self._autocast():
            code = self.model.encode_radiograph(picture)
        depths, asked = self._depths(request)
        knee = Knee(
            request, code, vector.to(self.device), depths, asked, None,
            cancelled or (lambda: False),
        )  # fmt: skip
        regression = self.model.regression
        if regression is None:
            return knee
        with self._autocast():
            own = regression.encode_radiograph(picture)
        strength = request.guidance

        def regress(depths: Tensor) -> Tensor:
            features = knee.features.expand(len(depths), -1)
            with self._autocast():
                mean = regression(own, depths, features).float()
                if strength == 1.0:
                    return mean
                without = regression(own, depths, torch.zeros_like(features)).float()
            return without + strength * (mean - without)

        where = torch.as_tensor(depths, dtype=torch.float32, device=self.device)
        mean = knee.in_batches(lambda part: regress(where[part]))
        return replace(knee, mean=mean)

    def mean_slices(self, knee: Knee) -> Iterator[Part]:
        """mu, decoded."""
        assert knee.mean is not None
        yield from self._decoded(knee, slice(0, knee.request.count), knee.mean[knee.asked])

    def drawn(self, knee: Knee, index: int, report: SliceProgress) -> Iterator[Part]:
        """Sample ``index`` of the whole volume, by the steps of Algorithm 2."""
        request = knee.request
        noise = DepthNoise(
            self._latent_shape(knee), request.noise_length, sample_seed(request.seed, index)
        )
        depths, together = knee.depths, self._together
        size = len(depths) if together else request.batch_size
        for start in range(0, len(depths), size):
            part = slice(start, min(start + size, len(depths)))
            rows = np.resize(np.arange(part.start, part.stop), size)  # fill up: one shape
            step = (lambda done, of, z: report.step(done, of)) if together else None
            z_T = noise(depths[rows]).to(self.device)
            mean = None if knee.mean is None else knee.mean[rows]
            predict = self._denoiser(knee, depths[rows], mean)
            scheduler = build_scheduler(self.scheduler, request.sampler)
            residual = sample(predict, z_T, scheduler, request.steps, step, knee.cancelled)
            z_0 = self.model.from_residual(residual, mean)[knee.asked]
            asked = slice(0, request.count) if together else part
            yield from self._decoded(knee, asked, z_0, sample_seed(request.seed, index))

    def slices_drawn(self, request: GenerationRequest) -> int:
        """Slices of one sample that are drawn: the request's, and those among them; see `Knee`."""
        return len(self._depths(request)[0])

    def slices_a_step(self, request: GenerationRequest) -> int:
        """Slices that go through the denoiser in each step of one sample: with those among the
        request's, the overlap of windows, and what fills a batch up.
        """
        count = self.slices_drawn(request)
        batch = request.batch_size or count
        if not self._together:
            return -(-count // batch) * batch
        return sum(window.stop - window.start for window, _ in windows(count, batch, self._reach))

    @property
    def _together(self) -> bool:
        """Whether slices know their neighbours."""
        return self.model.depth_mixing is not None

    @property
    def _reach(self) -> int:
        mixing = self.model.depth_mixing
        return 0 if mixing is None else mixing.reach

    def _depths(self, request: GenerationRequest) -> tuple[NDArray[np.float64], slice]:
        """Of the slices that are drawn, and which of them are the request's; see `Knee`."""
        mixing = self.model.depth_mixing
        regressed = self.model.regression is not None and request.kind == "mean"
        if mixing is None or (regressed and request.samples == 1):
            return request.positions, slice(None)
        return mixing.among(request.positions)

    def _denoiser(
        self, knee: Knee, depths: NDArray[np.float64], mean: Tensor | None
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """U with all conditions bound, in windows: (z_t (n, c, h, w), t) -> prediction."""
        request, n = knee.request, len(depths)
        where = torch.as_tensor(depths, dtype=torch.float32, device=self.device)
        features = knee.features.expand(n, -1)

        def predict(z_t: Tensor, t: Tensor) -> Tensor:
            out = torch.empty_like(z_t)
            for window, core in windows(n, request.batch_size, self._reach):
                if knee.cancelled():
                    raise Cancelled
                bound = guided(
                    self._denoise,
                    knee.code,
                    where[window],
                    features[window],
                    request.guidance,
                    mean=None if mean is None else mean[window],
                    slab=window.stop - window.start if self._together else 1,
                )
                inner = slice(core.start - window.start, core.stop - window.start)
                out[core] = bound(z_t[window], t)[inner]
            return out

        return predict

    def _decoded(
        self, knee: Knee, part: slice, z_0: Tensor, seed: int | None = None
    ) -> Iterator[Part]:
        """x_d = D(z_0), with grain where there is a seed."""
        grain = self.model.grain if seed is not None else None
        size = min(knee.request.batch_size, _DECODED_AT_ONCE)
        for start in range(part.start, part.stop, size):
            rows = slice(start, min(start + size, part.stop))
            if knee.cancelled():
                raise Cancelled
            within = np.resize(np.arange(rows.start, rows.stop), size) - part.start
            with self._autocast():
                images = self.model.to_image(z_0[within]).float()
            if grain is not None and grain.measured:
                images = grain(images, knee.request.positions[within + part.start], seed)
            shown_ = unit_range(images[:, 0].cpu().numpy())
            yield rows, shown_[: rows.stop - rows.start]

    def _denoise(self, *arguments: Any) -> Tensor:
        with self._autocast():
            return self.denoiser(*arguments).float()

    def _latent_shape(self, knee: Knee) -> tuple[int, int, int]:
        height, width = knee.code.latent.shape[-2:]
        return self.model.latent_channels, int(height), int(width)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
