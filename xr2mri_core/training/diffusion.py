"""Stage 2: the conditional denoiser on cached latents (Eq. 10, Algorithm 1)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import ignite.distributed as idist
import torch
from torch import Tensor, nn

from xr2mri_core.diffusion import DepthNoise, Scheduler, build_scheduler, guided, sample
from xr2mri_core.errors import TrainingError
from xr2mri_core.networks import RadiographCode, XR2MRIModel
from xr2mri_core.networks.model import METHOD
from xr2mri_core.training.batches import Batch
from xr2mri_core.training.conditions import (
    ConditionedStage,
    Kept,
    encoded,
    features_of,
    like,
    side_by_side,
    weighted_mean,
)
from xr2mri_core.training.ema import EMA
from xr2mri_core.training.record import write_record
from xr2mri_core.training.regression import predicted_mean

logger = logging.getLogger("xr2mri")


class DiffusionStage(ConditionedStage):
    """The loss of the denoiser as a module: `forward(batch)` -> losses by name.

    Eq. 10: || eps - eps_theta(z_t, t, c(x, d), r) ||^2 over random slices z_0 = E_1(x), timesteps t
    and noise eps, or the same distance between velocities when the scheduler's `prediction_type`
    is "v_prediction"; each latent cell counts what the batch's `weight` map says.

    A model with a regression draws (z_0 - mu) / std instead of z_0; the regression is frozen here.
    Where the batch has slabs, their slices share the timestep and are given the noise of sampling,
    correlated along depth, and depth mixing lets them know of one another.

    Args:
        model: the whole model; its autoencoder is frozen here.
        scheduler: diffusers scheduler: `add_noise`, timesteps, prediction type.
        noisy_share: share of the timesteps that is drawn from the noisier half only; the others are
            uniform. Helps the global structure.
        drop_variable, drop_features, drop_radiograph: see `ConditionedStage`.
        reconstruction: weight of Algorithm 1's second loss, |D(z_0 predicted) - x|^2, which costs
            several denoiser passes; needs `CaseBatches(images=True)`.
        picture_steps: DDIM steps of the sample pictures.
        noise_length: correlation length of `DepthNoise`, in slices, for slabs: that of sampling.
    """

    def __init__(
        self,
        model: XR2MRIModel,
        scheduler: Scheduler,
        noisy_share: float = 0.5,
        drop_variable: float = 0.1,
        drop_features: float = 0.1,
        drop_radiograph: float = 0.1,
        reconstruction: float = 0.0,
        picture_steps: int = 8,
        noise_length: float = 0.0,
    ) -> None:
        super().__init__(model, drop_variable, drop_features, drop_radiograph)
        if model.regression is not None:
            model.regression.requires_grad_(False)
        self.scheduler, self.noisy_share = scheduler, noisy_share
        self.reconstruction, self.picture_steps = reconstruction, picture_steps
        self.noise_length = noise_length
        self.timesteps = int(scheduler.config.num_train_timesteps)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch of `CaseBatches`; `loss` is what is minimised."""
        generator = torch.Generator(batch["latent"].device).manual_seed(batch["seed"])
        kept = self.draw_kept(batch, generator)
        slab = batch.get("slab", 1)
        t = self._random_timesteps(len(batch["latent"]) // slab, generator)
        return self._losses(batch, kept, t.repeat_interleave(slab), generator)

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Losses with everything known, at timesteps evenly spread over the schedule."""
        generator = torch.Generator(batch["latent"].device).manual_seed(batch["seed"])
        slab = batch.get("slab", 1)
        count = len(batch["latent"]) // slab
        order = torch.randperm(count, generator=generator, device=generator.device)
        t = ((order + 0.5) / count * self.timesteps).long()
        return self._losses(batch, None, t.repeat_interleave(slab), generator)

    @torch.no_grad()
    def picture(self, batch: Batch, columns: int = 8) -> Tensor:
        """True slices above generated ones, as (1, H', W') in [0, 1]; of a slab its first ones."""
        slab = batch.get("slab", 1)
        every = 1 if slab > 1 else max(1, len(batch["latent"]) // columns)
        chosen = slice(None, slab if slab > 1 else every * columns, every)
        code = encoded(self.model.encode_radiograph, batch)
        code = RadiographCode(*(part[chosen] for part in code))
        z_0, depth, features = batch["latent"][chosen], batch["depth"][chosen], features_of(batch)
        mean = self._mean(batch)
        mean = None if mean is None else mean[chosen]
        generator = torch.Generator(z_0.device).manual_seed(batch["seed"])
        noise = self._noise(z_0, depth, len(z_0) if slab > 1 else 1, generator)
        denoise = guided(self.model.denoise, code, depth, features[chosen], mean=mean, slab=slab)
        drawn = sample(denoise, noise, build_scheduler(self.scheduler), self.picture_steps)
        z = self.model.from_residual(drawn, mean)
        return side_by_side(self.model, [z_0[:columns], z[:columns]])

    def _losses(
        self, batch: Batch, kept: Kept | None, t: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        slab, mean = batch.get("slab", 1), self._mean(batch, kept)
        code = encoded(self.model.encode_radiograph, batch, kept)
        target = self.model.to_residual(batch["latent"], mean)
        epsilon = self._epsilon(batch, target, generator)
        z_t = self.scheduler.add_noise(target, epsilon, t)
        prediction = self.model.denoise(
            z_t, t, code, batch["depth"], features_of(batch, kept), mean, slab
        ).float()
        error = self._error(prediction, target, epsilon, z_t, t)
        loss = weighted_mean(error, batch.get("weight"))
        losses = {"loss": loss, "plain": error.mean(), "noisy": _mean_where(error, self._late(t))}
        if self.reconstruction > 0:
            clean = clean_latent(self.scheduler, z_t, prediction, t)
            decoded = self.model.to_image(self.model.from_residual(clean, mean)).float()
            losses["reconstruction"] = (decoded - batch["image"]).square().mean()
            losses["loss"] = loss + self.reconstruction * losses["reconstruction"]
        return losses

    @torch.no_grad()
    def _mean(self, batch: Batch, kept: Kept | None = None) -> Tensor | None:
        if self.model.regression is None:
            return None
        return predicted_mean(self.model, batch, kept).float()

    def _epsilon(self, batch: Batch, target: Tensor, generator: torch.Generator) -> Tensor:
        return self._noise(target, batch["depth"], batch.get("slab", 1), generator)

    def _error(
        self, prediction: Tensor, target: Tensor, epsilon: Tensor, z_t: Tensor, t: Tensor
    ) -> Tensor:
        return (prediction - self._target(target, epsilon, t)).square()

    def _noise(
        self, latent: Tensor, depth: Tensor, slab: int, generator: torch.Generator
    ) -> Tensor:
        """epsilon for (B, c, h, w): independent, or correlated along the depth of each slab."""
        if slab == 1 or not self.noise_length:
            return torch.randn(latent.shape, generator=generator, device=latent.device)
        noise = DepthNoise(latent.shape[1:], self.noise_length)
        slabs = depth.double().cpu().view(-1, slab).numpy()
        return torch.cat([noise.drawn(depths, generator) for depths in slabs])

    def _random_timesteps(self, count: int, generator: torch.Generator) -> Tensor:
        u = torch.rand(2, count, generator=generator, device=generator.device)
        noisy = u[0] < self.noisy_share
        position = torch.where(noisy, 0.5 + 0.5 * u[1], u[1])
        return (position * self.timesteps).long().clamp_(max=self.timesteps - 1)

    def _late(self, t: Tensor) -> Tensor:
        return t >= self.timesteps // 2

    def _target(self, z_0: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
        kind = self.scheduler.config.prediction_type
        if kind == "epsilon":
            return epsilon
        if kind == "v_prediction":
            return self.scheduler.get_velocity(z_0, epsilon, t)
        raise TrainingError(
            f"prediction_type must be epsilon or v_prediction, got {kind!r}",
            option="scheduler#prediction_type",
        )


def clean_latent(scheduler: Scheduler, z_t: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
    """z_0 as a prediction (noise or velocity, by the scheduler) at z_t and t (B,) implies it."""
    alpha_bar = like(scheduler.alphas_cumprod.to(z_t.device)[t], z_t)
    alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    if scheduler.config.prediction_type == "epsilon":
        return (z_t - sigma * prediction) / alpha.clamp(min=1e-3)
    return alpha * z_t - sigma * prediction


class OneStep(nn.Module):
    """Radiograph -> slice in one step: the mean, or where there is no regression a guess at it.

    One tensor in, one out, through every part of the model: what `verify_net_in_out` asks for.

    Args:
        model: the whole model.
        scheduler: noise scheduler of the training.
        depth: position of the slice in [0, 1].
    """

    def __init__(self, model: XR2MRIModel, scheduler: Scheduler, depth: float = 0.5) -> None:
        super().__init__()
        self.model, self.scheduler, self.depth = model, scheduler, depth

    def forward(self, radiograph: Tensor) -> Tensor:
        """(B, 1, H, W) in [-1, 1] -> (B, 1, H, W)."""
        code = self.model.encode_radiograph(radiograph)
        count, device = len(radiograph), radiograph.device
        channels = cast(Any, self.model.autoencoder).config.latent_channels
        z_t = torch.zeros(count, channels, *code.latent.shape[-2:], device=device)
        t = torch.full((count,), self.scheduler.config.num_train_timesteps - 1, device=device)
        depth = torch.full((count,), self.depth, device=device)
        features = torch.zeros(count, self.model.guidance.num_positions, device=device)
        mean = None
        if self.model.regression is not None:
            own = self.model.regression.encode_radiograph(radiograph)
            mean = self.model.regression(own, depth, features)
        prediction = self.model.denoise(z_t, t, code, depth, features, mean)
        clean = clean_latent(self.scheduler, z_t, prediction, t)
        return self.model.to_image(self.model.from_residual(clean, mean))


def export_model(
    model: XR2MRIModel,
    ema: EMA,
    path: str | Path,
    half: bool,
    record: Mapping[str, Any],
    method: str | None = None,
    sampling: Mapping[str, Any] | None = None,
) -> None:
    """Write the averaged weights of all parts, and the record beside them as `model_card.json`.

    Args:
        model: the model with the trained autoencoder.
        ema: moving average, whose weights are written.
        path: a `.safetensors` file.
        half: keep 16-bit floats on disk.
        record: record as `training_record` makes it.
        method: name of the overlay in `baselines` that the model was made with, if any.
        sampling: `steps` and `sampler` that generation is to take with these weights where a
            request says nothing; None: those of the size overlay.
    """
    if idist.get_rank():
        return
    with ema.applied():
        model.save_weights(
            path,
            dtype=torch.float16 if half else None,
            metadata=({} if method is None else {METHOD: method})
            | {name: str(value) for name, value in (sampling or {}).items()},
        )
    write_record(Path(path).with_name("model_card.json"), record)
    logger.info("model saved as %s", path)


def _mean_where(error: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the chosen rows; 0 when there is none."""
    rows = error.flatten(1).mean(1)
    return (rows * chosen).sum() / chosen.sum().clamp(min=1)
