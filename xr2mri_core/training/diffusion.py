"""Stage 2: the conditional denoiser on cached latents (Eq. 10, Algorithm 1)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import ignite.distributed as idist
import torch
from torch import Tensor, nn

from xr2mri_core.diffusion import build_scheduler, guided, sample
from xr2mri_core.networks import RadiographCode, XR2MRIModel
from xr2mri_core.training.batches import Batch
from xr2mri_core.training.ema import EMA
from xr2mri_core.training.record import write_record

logger = logging.getLogger("xr2mri")


class DiffusionStage(nn.Module):
    """The loss of the denoiser as a module: `forward(batch)` -> losses by name.

    Eq. 10: || eps - eps_theta(z_t, t, c(x, d), r) ||^2 over random slices z_0 = E_1(x), timesteps t
    and noise eps, or the same distance between velocities when the scheduler's `prediction_type`
    is "v_prediction"; each latent cell counts what the batch's `weight` map says.

    Args:
        model: the whole model; its autoencoder is frozen here.
        scheduler: diffusers scheduler: `add_noise`, timesteps, prediction type.
        noisy_share: share of the timesteps that is drawn from the noisier half only; the others are
            uniform. Helps the global structure.
        drop_variable: probability of blanking each feature variable, so that none becomes
            indispensable and a missing one (zeros) is understood.
        drop_features: probability of blanking all features, for guidance on the features.
        drop_radiograph: probability of blanking the radiograph's code, for guidance.
        reconstruction: weight of Algorithm 1's second loss, |D(z_0 predicted) - x|^2, which costs
            several denoiser passes; needs `CaseBatches(images=True)`.
        picture_steps: DDIM steps of the sample pictures.
    """

    def __init__(
        self,
        model: XR2MRIModel,
        scheduler: Any,
        noisy_share: float = 0.5,
        drop_variable: float = 0.1,
        drop_features: float = 0.1,
        drop_radiograph: float = 0.1,
        reconstruction: float = 0.0,
        picture_steps: int = 8,
    ) -> None:
        super().__init__()
        self.model, self.scheduler = model, scheduler
        model.autoencoder.requires_grad_(False)
        self.noisy_share, self.reconstruction = noisy_share, reconstruction
        self.drop_variable, self.drop_features = drop_variable, drop_features
        self.drop_radiograph, self.picture_steps = drop_radiograph, picture_steps
        self.timesteps = int(scheduler.config.num_train_timesteps)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch of `CaseBatches`; `loss` is what is minimised."""
        generator = torch.Generator(batch["latent"].device).manual_seed(batch["seed"])
        code, features = self._conditions(batch)
        code, features = self._blanked(code, features, generator)
        t = self._random_timesteps(len(batch["latent"]), generator)
        return self._losses(batch, code, features, t, generator)

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Losses with everything known, at timesteps evenly spread over the schedule."""
        generator = torch.Generator(batch["latent"].device).manual_seed(batch["seed"])
        code, features = self._conditions(batch)
        count = len(batch["latent"])
        order = torch.randperm(count, generator=generator, device=generator.device)
        t = ((order + 0.5) / count * self.timesteps).long()
        return self._losses(batch, code, features, t, generator)

    @torch.no_grad()
    def picture(self, batch: Batch, columns: int = 8) -> Tensor:
        """True slices above generated ones, as (1, H', W') in [0, 1]."""
        every = max(1, len(batch["latent"]) // columns)
        chosen = slice(None, every * columns, every)
        code, features = self._conditions(batch)
        code, features = RadiographCode(*(part[chosen] for part in code)), features[chosen]
        z_0, depth = batch["latent"][chosen], batch["depth"][chosen]
        generator = torch.Generator(z_0.device).manual_seed(batch["seed"])
        noise = torch.randn(z_0.shape, generator=generator, device=z_0.device)
        denoise = guided(self.model.denoise, code, depth, features)
        z = sample(denoise, noise, build_scheduler(self.scheduler), self.picture_steps)
        rows = [torch.cat(list(self.model.to_image(row).float()), -1) for row in (z_0, z)]
        return torch.cat(rows, -2).clamp(-1, 1).add(1).div(2).cpu()

    def _losses(
        self,
        batch: Batch,
        code: RadiographCode,
        features: Tensor,
        t: Tensor,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        z_0 = batch["latent"]
        epsilon = torch.randn(z_0.shape, generator=generator, device=z_0.device)
        z_t = self.scheduler.add_noise(z_0, epsilon, t)
        prediction = self.model.denoise(z_t, t, code, batch["depth"], features).float()
        error = (prediction - self._target(z_0, epsilon, t)).square()
        weight = batch.get("weight")
        loss = error.mean() if weight is None else (weight / weight.mean() * error).mean()
        losses = {"loss": loss, "plain": error.mean(), "noisy": _mean_where(error, self._late(t))}
        if self.reconstruction > 0:
            decoded = self.model.to_image(clean_latent(self.scheduler, z_t, prediction, t)).float()
            losses["reconstruction"] = (decoded - batch["image"]).square().mean()
            losses["loss"] = loss + self.reconstruction * losses["reconstruction"]
        return losses

    def _conditions(self, batch: Batch) -> tuple[RadiographCode, Tensor]:
        """Encode each radiograph once, then repeat code and features for the slices of its case."""
        repeats = len(batch["latent"]) // len(batch["radiograph"])
        code = self.model.encode_radiograph(batch["radiograph"])
        code = RadiographCode(*(part.repeat_interleave(repeats, 0) for part in code))
        return code, batch["features"].repeat_interleave(repeats, 0)

    def _blanked(
        self, code: RadiographCode, features: Tensor, generator: torch.Generator
    ) -> tuple[RadiographCode, Tensor]:
        """Drop radiographs, single variables and whole forms at random, slice by slice."""
        count, device = len(features), features.device

        def kept(probability: float, columns: int = 1) -> Tensor:
            draws = torch.rand(count, columns, generator=generator, device=device)
            return (draws >= probability).float()

        seen = kept(self.drop_radiograph)
        code = RadiographCode(*(part * _like(seen, part) for part in code))
        widths = torch.tensor(self.model.guidance.widths, device=device)
        variables = kept(self.drop_variable, len(widths)) * kept(self.drop_features)
        return code, features * variables.repeat_interleave(widths, dim=1)

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
        raise ValueError(f"prediction_type must be epsilon or v_prediction, got {kind!r}")


def clean_latent(scheduler: Any, z_t: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
    """z_0 as a prediction (noise or velocity, by the scheduler) at z_t and t (B,) implies it."""
    alpha_bar = _like(scheduler.alphas_cumprod.to(z_t.device)[t], z_t)
    alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    if scheduler.config.prediction_type == "epsilon":
        return (z_t - sigma * prediction) / alpha.clamp(min=1e-3)
    return alpha * z_t - sigma * prediction


class OneStep(nn.Module):
    """Radiograph -> slice by a single denoising step from zero noise: about the conditional mean.

    One tensor in, one out, through every part of the model: what `verify_net_in_out` asks for.

    Args:
        model: the whole model.
        scheduler: of the training.
        depth: position of the slice in [0, 1].
    """

    def __init__(self, model: XR2MRIModel, scheduler: Any, depth: float = 0.5) -> None:
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
        prediction = self.model.denoise(z_t, t, code, depth, features)
        return self.model.to_image(clean_latent(self.scheduler, z_t, prediction, t))


def export_model(
    model: XR2MRIModel,
    ema: EMA,
    path: str | Path,
    half: bool,
    record: Mapping[str, Any],
) -> None:
    """Write the averaged weights of all parts, and the record beside them as `model_card.json`.

    Args:
        model: with the trained autoencoder.
        ema: whose weights are written.
        path: a `.safetensors` file.
        half: keep 16-bit floats on disk.
        record: of `training_record`.
    """
    if idist.get_rank():
        return
    with ema.applied():
        model.save_weights(path, dtype=torch.float16 if half else None)
    write_record(Path(path).with_name("model_card.json"), record)
    logger.info("model saved as %s", path)


def _like(values: Tensor, other: Tensor) -> Tensor:
    """(B,) or (B, 1) -> (B, 1, ...) with as many dimensions as `other`."""
    return values.reshape(-1, *[1] * (other.ndim - 1)).to(other.dtype)


def _mean_where(error: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the chosen rows; 0 when there is none."""
    rows = error.flatten(1).mean(1)
    return (rows * chosen).sum() / chosen.sum().clamp(min=1)
