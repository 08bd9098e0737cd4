"""Stage 1: the autoencoder (Eq. 6)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import ignite.distributed as idist
import torch
from torch import Tensor, nn

from xr2mri_core.errors import WeightsError
from xr2mri_core.networks import Autoencoder
from xr2mri_core.networks.model import check_state, read_safetensors, readable
from xr2mri_core.training.batches import Batch, to_device
from xr2mri_core.training.ema import EMA

logger = logging.getLogger("xr2mri")


def gradient_difference(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """|difference of the vertical and of the horizontal gradients| of two images (B, C, H, W)."""
    error = x - y
    return error.diff(dim=-2).abs(), error.diff(dim=-1).abs()


class AutoencoderStage(nn.Module):
    """The loss of the autoencoder as a module: `forward(batch)` -> losses by name.

    The reconstruction loss L_rec of Eq. 6, L(x, D(E_1(x))), is here

        mse * |e|^2 + l1 * |e| + gradient * |grad e|,    e = D(E_1(x)) - x,

    every term averaged over pixels, the first two weighted by the batch's `weight` map if it has
    one; plus kl * KL(E_1(x) || N(0, I)) per latent element.

    Args:
        autoencoder: network with `encode(x).latent_dist` and `decode(z).sample`.
        mse, l1, gradient, kl: weights of the terms.
    """

    autoencoder: Autoencoder

    def __init__(
        self,
        autoencoder: Autoencoder,
        mse: float = 4.0,
        l1: float = 0.25,
        gradient: float = 0.25,
        kl: float = 1e-5,
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.mse, self.l1, self.gradient, self.kl = mse, l1, gradient, kl

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch of `SliceBatches`; `loss` is what is minimised."""
        image = self._channels(batch["image"])
        generator = torch.Generator(image.device).manual_seed(batch["seed"])
        posterior = self.autoencoder.encode(image).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator, device=image.device)
        output = self.autoencoder.decode(posterior.mean + posterior.std * noise).sample.float()
        error = output - image
        weight = batch.get("weight")
        weight = 1.0 if weight is None else weight / weight.mean()
        vertical, horizontal = gradient_difference(output, image)
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        terms = {
            "mse": (weight * error.square()).mean(),
            "l1": (weight * error.abs()).mean(),
            "gradient": vertical.mean() + horizontal.mean(),
            "kl": 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean(),
        }
        loss = torch.stack([getattr(self, name) * value for name, value in terms.items()]).sum()
        return {"loss": loss, **terms}

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Losses, and the PSNR in dB for a data range of 2 ([-1, 1])."""
        losses = self(batch)
        error = self.reconstruct(batch["image"]) - batch["image"]
        return losses | {"psnr": 10 * torch.log10(4 / error.square().mean((1, 2, 3))).mean()}

    @torch.no_grad()
    def reconstruct(self, image: Tensor) -> Tensor:
        """D(mean of E_1(x)), one channel: (B, 1, H, W) -> (B, 1, H, W)."""
        latent = self.autoencoder.encode(self._channels(image)).latent_dist.mode()
        return self.autoencoder.decode(latent).sample.float().mean(1, keepdim=True)

    @torch.no_grad()
    def picture(self, batch: Batch) -> Tensor:
        """Slices above their reconstructions, as (1, H', W') in [0, 1]."""
        image = batch["image"][:6]
        rows = [torch.cat(list(part), -1) for part in (image, self.reconstruct(image))]
        return torch.cat(rows, -2).clamp(-1, 1).add(1).div(2).cpu()

    def _channels(self, image: Tensor) -> Tensor:
        return image.expand(-1, self.autoencoder.config.in_channels, -1, -1)


@torch.no_grad()
def measure_scaling(
    autoencoder: Autoencoder, batches: Iterable[Batch], device: torch.device
) -> float:
    """1 / standard deviation of the latents over the batches: what makes z_0 of unit variance.

    The paper's fixed 0.2 is the alternative.

    Raises:
        ValueError: there are no batches.
    """
    stage = AutoencoderStage(autoencoder)
    total, squares, count = 0.0, 0.0, 0
    for batch in batches:
        image = stage._channels(to_device(batch, device)["image"])
        z = autoencoder.encode(image).latent_dist.mode().double()
        total, squares, count = (
            total + float(z.sum()),
            squares + float(z.square().sum()),
            count + z.numel(),
        )
    if not count:
        raise ValueError("measure_scaling: no batches")
    variance = squares / count - (total / count) ** 2
    return variance**-0.5


def finish_autoencoder(
    stage: AutoencoderStage,
    ema: EMA,
    batches: Iterable[Batch],
    folder: str | Path,
    latent_scale: float | str = "measured",
) -> None:
    """Save the averaged weights and the scaling factor as diffusers does: config.json, safetensors.

    Args:
        stage: the stage as it was trained.
        ema: moving average, whose weights are saved.
        batches: slices on which the scaling factor is measured.
        folder: the folder that is written.
        latent_scale: "measured" (1/std of the latents) or a number, like the paper's 0.2; a frozen
            encoder keeps the scaling factor that it has.
    """
    if idist.get_rank():
        return
    autoencoder = stage.autoencoder
    device = next(autoencoder.parameters()).device
    with ema.applied():
        if _encoder_is_frozen(autoencoder):
            latent_scale = autoencoder.config.scaling_factor
        elif latent_scale == "measured":
            latent_scale = measure_scaling(autoencoder, batches, device)
        autoencoder.register_to_config(scaling_factor=float(latent_scale))
        save_autoencoder(autoencoder, folder)
    logger.info("autoencoder saved in %s, scaling factor %.4f", folder, latent_scale)


def save_autoencoder(autoencoder: Autoencoder, folder: str | Path) -> None:
    """Write the folder that `load_autoencoder` reads."""
    autoencoder.save_pretrained(folder)
    for path in Path(folder).glob("*.safetensors"):
        readable(path)


def start_autoencoder(
    autoencoder: Autoencoder, weights: str | Path | None, decoder_only: bool = False
) -> None:
    """Fill an autoencoder, in place, with that of a whole model's weights, to go on training it.

    Args:
        autoencoder: an autoencoder of the same size overlay.
        weights: a `.safetensors` file of a model; None leaves the autoencoder as it is.
        decoder_only: freeze the encoder: latents and scaling factor stay what they are, so that
            a diffusion model trained on them goes with the better decoder.

    Raises:
        WeightsError: the file is missing, damaged, its autoencoder is of another size, or the
            decoder alone is to be trained and there is no file.
    """
    if weights is not None:
        state, metadata = read_safetensors(weights)
        prefix = "autoencoder."
        own = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
        check_state(autoencoder.state_dict(), own, weights)
        autoencoder.load_state_dict(own)
        if "scaling_factor" in metadata:
            autoencoder.register_to_config(scaling_factor=float(metadata["scaling_factor"]))
    elif decoder_only:
        raise WeightsError(
            "decoder_only without initial_weights: name the model whose latents are to stay"
        )
    if decoder_only:
        for name, parameter in autoencoder.named_parameters():
            parameter.requires_grad_(not name.startswith(("encoder.", "quant_conv.")))


def _encoder_is_frozen(autoencoder: Autoencoder) -> bool:
    return not any(parameter.requires_grad for parameter in autoencoder.encoder.parameters())


def load_autoencoder(autoencoder: Autoencoder, folder: str | Path | None) -> Autoencoder:
    """Fill an autoencoder, in place, with weights and scaling factor that stage 1 has saved.

    Without a folder it keeps the weights that it has, e.g. those of Zero-123 (`start_model` sees to
    it that it has some).

    Raises:
        WeightsError: the folder holds none of this configuration.
    """
    if folder is None:
        return autoencoder.requires_grad_(False).eval()
    try:
        saved = type(autoencoder).from_pretrained(
            folder, local_files_only=True, low_cpu_mem_usage=False
        )
        autoencoder.load_state_dict(saved.state_dict())
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"no autoencoder of this configuration in {folder}: run the autoencoder stage first, "
            f"with the same size overlay, and name its folder as autoencoder_dir ({error})"
        ) from error
    autoencoder.register_to_config(scaling_factor=saved.config.scaling_factor)
    return autoencoder.requires_grad_(False).eval()
