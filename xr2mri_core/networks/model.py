"""The whole model of the paper: autoencoder, image encoder, guidance and guided U-Net."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from xr2mri_core.errors import OutputError, WeightsError, shown
from xr2mri_core.files import whole_file
from xr2mri_core.networks.autoencoder import Autoencoder
from xr2mri_core.networks.depth_mixing import DepthMixing, Mix
from xr2mri_core.networks.given import Given
from xr2mri_core.networks.grain import Grain
from xr2mri_core.networks.guidance import Guidance
from xr2mri_core.networks.image_encoder import RadiographCode
from xr2mri_core.networks.regression import Regression

FORMAT = "xr2mri-model-1"
METHOD = "method"
"""Key of a weights file's header: the overlay in `configs/baselines` of its bundle."""

_DEMOGRAPHICS = "guidance.demographics."


class XR2MRIModel(nn.Module):
    """Radiograph, depth and features -> MRI slice, in latent space (Fig. 2 of the paper).

    Without `regression` and `depth_mixing` it is the paper's: each slice is denoised alone, from
    the radiograph. With them it makes volumes: `regression` gives the mean mu of a slice, diffusion
    the residual (z_0 - mu) / std, and slices of a slab know of one another.

    Args:
        autoencoder: E_1 and D: `encode(x).latent_dist`, `decode(z).sample`, with
            `config.scaling_factor` and `config.in_channels`.
        image_encoder: E_2: radiograph (B, 1, 256, 256) -> `RadiographCode`.
        guidance: depth and features -> conditions of the two halves of the U-Net.
        unet: U, a `GuidedUNet`.
        timestep_scale: what multiplies t before a U-Net sees it, the regression's too;
            T_pre-trained / T where T differs from that of the U-Net's pre-trained weights.
        regression: mu, see `Regression`; the U-Net then has c input channels more, for mu.
        depth_mixing: layers along depth for `unet`, see `DepthMixing`.
        grain: fine texture of decoded samples, see `Grain`.
    """

    autoencoder: Autoencoder

    def __init__(
        self,
        autoencoder: Autoencoder,
        image_encoder: nn.Module,
        guidance: Guidance,
        unet: nn.Module,
        timestep_scale: float = 1.0,
        regression: Regression | None = None,
        depth_mixing: DepthMixing | None = None,
        grain: Grain | None = None,
    ) -> None:
        super().__init__()
        if regression is not None:
            regression.timestep *= timestep_scale  # its U-Net begins as this one, with its clock
        self.timestep_scale = timestep_scale
        self.autoencoder = autoencoder
        self.image_encoder = image_encoder
        self.guidance = guidance
        self.unet = unet
        self.regression = regression
        self.depth_mixing = depth_mixing
        self.grain = grain

    @property
    def scaling_factor(self) -> float:
        """What multiplies E_1(x) to give z_0 (the paper: 0.2)."""
        return float(self.autoencoder.config.scaling_factor)

    @property
    def latent_channels(self) -> int:
        """c, the channels of a latent."""
        return int(cast(Any, self.unet).config.out_channels)

    @property
    def draws(self) -> bool:
        """Whether diffusion draws anything: not where the regression is all that was trained."""
        return self.regression is None or self.regression.unet is not self.unet

    @property
    def grading(self) -> str:
        """Grading of the features: "paper" or "oai"."""
        return self.guidance.grading

    def encode_radiograph(self, radiograph: Tensor) -> RadiographCode:
        """E_2(y): (B, 1, 256, 256) in [-1, 1] -> code. Once per volume, not per slice or step."""
        return self.image_encoder(radiograph)

    def denoise(
        self,
        z_t: Tensor,
        t: Tensor | int,
        code: RadiographCode,
        depth: Tensor,
        features: Tensor,
        mean: Tensor | None = None,
        slab: int = 1,
    ) -> Tensor:
        """U(z_t, E_2(y), t, d, r) of Algorithms 1 and 2.

        Args:
            z_t: noised latents (B, c, h, w); with a `regression`, noised residuals.
            t: timestep, one for all or (B,).
            code: code of B radiographs, or of one for all.
            depth: d (B,) in [0, 1].
            features: r (B, num_positions) of `Guidance.encode`, zeros for what is missing.
            mean: mu (B, c, h, w), where the model has a `regression`.
            slab: the batch consists of slabs of so many neighbouring slices, evenly spaced, which
                `depth_mixing` lets know of one another; 1: each slice stands alone.

        Returns:
            The prediction (B, c, h, w): noise, or velocity if the scheduler says so.
        """
        rows = RadiographCode(*(part.expand(len(z_t), *part.shape[1:]) for part in code))
        return self.predict(z_t, self.timestep(t), Given(rows, depth, features, mean, slab))

    def predict(self, z_t: Tensor, t: Tensor | float, given: Given) -> Tensor:
        """One pass of the U-Net; a method with other conditions overrides this part of `denoise`.

        Args:
            z_t: see `denoise`.
            t: the timestep as the U-Net counts it.
            given: the conditions of the pass.
        """
        signals = self.guidance(given.code.embedding, given.depth, given.features)
        parts = [z_t, given.code.latent.to(z_t.dtype)]
        if given.mean is not None:
            parts.append(given.mean.to(z_t.dtype))
        return self.unet(
            torch.cat(parts, 1),
            t,
            signals.down_context,
            up_encoder_hidden_states=signals.up_context,
            down_time_addition=signals.down_time,
            up_time_addition=signals.up_time,
            after_block=self.along_depth(given.depth, given.slab),
            return_dict=False,
        )[0]

    def timestep(self, t: Tensor | int) -> Tensor | float:
        """t as the U-Net counts it, see `timestep_scale`."""
        return t if self.timestep_scale == 1.0 else t * self.timestep_scale

    def along_depth(self, depth: Tensor, slab: int) -> Mix | None:
        """`after_block` of the U-Net for slabs of slices; None where each stands alone."""
        if self.depth_mixing is None or slab == 1:
            return None
        return self.depth_mixing.over(depth, slab)

    def forward(
        self, z_t: Tensor, t: Tensor, radiograph: Tensor, depth: Tensor, features: Tensor
    ) -> Tensor:
        """`denoise` straight from radiographs (B, 1, 256, 256): one call for export and checks."""
        mean = None
        if self.regression is not None:
            code = self.regression.encode_radiograph(radiograph)
            mean = self.regression(code, depth, features)
        return self.denoise(z_t, t, self.encode_radiograph(radiograph), depth, features, mean)

    def to_residual(self, z_0: Tensor, mean: Tensor | None) -> Tensor:
        """What diffusion draws: (z_0 - mu) / std with a `regression`, else z_0 itself."""
        if self.regression is None or mean is None:
            return z_0
        return (z_0 - mean) / self.regression.std

    def from_residual(self, residual: Tensor, mean: Tensor | None) -> Tensor:
        """The inverse of `to_residual`."""
        if self.regression is None or mean is None:
            return residual
        return mean + residual * self.regression.std

    def to_latent(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """z_0 = E_1(x) (Eq. 1), scaled: slices (B, 1, H, W) in [-1, 1] -> (B, c, h, w).

        Without a generator the mean of the posterior is taken, with one a seeded sample of it.
        """
        autoencoder = self.autoencoder
        posterior = autoencoder.encode(x.expand(-1, autoencoder.config.in_channels, -1, -1))
        distribution = posterior.latent_dist
        z = distribution.mode() if generator is None else distribution.sample(generator)
        return z * self.scaling_factor

    def to_image(self, z: Tensor) -> Tensor:
        """x_d = D(z): scaled latents (B, c, h, w) -> slices (B, 1, H, W) in about [-1, 1]."""
        image = self.autoencoder.decode(z / self.scaling_factor).sample
        return image.mean(1, keepdim=True)

    def add_demographics(self) -> None:
        """Let age, sex and BMI guide every part that features guide, from zeros; once is enough."""
        for part in self.modules():
            if isinstance(part, Guidance):
                part.add_demographics()

    def save_weights(
        self,
        path: str | Path,
        dtype: torch.dtype | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write all parts and the scaling factor as one safetensors file, whole or not at all.

        Args:
            path: the file.
            dtype: type of floating-point weights on disk (e.g. `torch.float16`); None keeps theirs.
            metadata: more text to keep in the file's header.

        Raises:
            OutputError: if it cannot be written.
        """
        state = {
            name: value.to(dtype) if dtype and value.is_floating_point() else value
            for name, value in unique_state(self).items()
        }
        header = {"format": FORMAT, "scaling_factor": repr(self.scaling_factor), **(metadata or {})}
        write_safetensors(path, state, header)

    def load_weights(self, path: str | Path, widen: bool = False) -> dict[str, str]:
        """Fill all parts, in place, from a file of `save_weights`; weights keep this model's dtype.

        The guidance by demographics is there when the file has it; a model that is to learn it
        from a file without starts from its zeros.

        Args:
            path: the file.
            widen: also accept the weights of a model without `regression`, `depth_mixing` or
                `grain`, to train these parts from it; see `widened`.

        Returns:
            The metadata of the file's header.

        Raises:
            WeightsError: if the file is missing, no safetensors file, of another program, or of a
                model of another size.
        """
        state, metadata = read_safetensors(path)
        if metadata.get("format") != FORMAT:
            raise WeightsError(
                f"{path}: not the weights of an XR2MRI model (format "
                f"{shown(metadata.get('format'))}, expected {FORMAT!r}); pre-trained weights of "
                f"other programs come in through 'xr2mri weights import'"
            )
        if any(_DEMOGRAPHICS in name for name in state):
            self.add_demographics()
            new = {}
        else:
            new = {n: v for n, v in unique_state(self).items() if _DEMOGRAPHICS in n}
        if widen:
            state = widened(state, self)
        check_state(unique_state(self), new | state, path)
        self.load_state_dict(state, strict=False)
        self.autoencoder.register_to_config(scaling_factor=float(metadata["scaling_factor"]))
        return metadata


def widened(state: Mapping[str, Tensor], model: XR2MRIModel) -> dict[str, Tensor]:
    """Weights of the 2-D model, or parts of them, as the start of one with more parts.

    The denoiser's further inputs get zeros, depth mixing and grain stay at their own start, which
    changes nothing, and the regression begins as the denoiser.

    Args:
        state: tensors by the names of `XR2MRIModel`.
        model: the model that is to be filled.
    """
    wide = dict(state)
    own = unique_state(model)
    if model.regression is not None:
        for name, value in state.items():
            twin = f"regression.{name}"
            if name.startswith(("unet.", "guidance.", "image_encoder.")) and twin in own:
                wide.setdefault(twin, value)
        if not any(name.startswith("regression.") for name in state) and len(wide) > len(state):
            wide["regression.std"] = own["regression.std"]
    for name in [name for name in wide if name.endswith("unet.conv_in.weight")]:
        missing = own[name].shape[1] - wide[name].shape[1] if name in own else 0
        if missing > 0:
            value = wide[name]
            extra = value.new_zeros(value.shape[0], missing, *value.shape[2:])
            wide[name] = torch.cat([value, extra], 1)
    for part in ("depth_mixing.", "grain."):
        if not any(name.startswith(part) for name in state):
            wide |= {n: v for n, v in own.items() if n.startswith(part)}
    return wide


def unique_state(module: nn.Module | Autoencoder) -> dict[str, Tensor]:
    """`state_dict()` with every shared tensor under its first name only.

    The paper's E_2 holds the same autoencoder as the model itself.
    """
    seen: set[tuple[int, int, torch.Size, torch.dtype]] = set()
    state = {}
    for name, value in module.state_dict().items():
        place = (value.data_ptr(), value.storage_offset(), value.shape, value.dtype)
        if value.numel() and value.data_ptr() and place in seen:
            continue
        seen.add(place)
        state[name] = value
    return state


def read_safetensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors and the metadata of a safetensors file.

    Raises:
        WeightsError: if the file is missing, unreadable or no safetensors file.
    """
    path = _present(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError, ValueError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{path}: damaged or no safetensors file ({error}); fetch or save it again"
        ) from None


def write_safetensors(
    path: str | Path, state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors, and text for the header, as a safetensors file, whole or not at all.

    The same tensors and text give the same bytes.

    Raises:
        OutputError: if it cannot be written.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    try:
        with whole_file(path) as part:
            save_file(tensors, part, metadata=dict(metadata) if metadata else None)
            if metadata:
                _order_header(part)
            readable(part)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write the weights to {path}: {error}") from None


def _order_header(path: Path) -> None:
    """Sort the header's text, which safetensors writes in any order: same weights, same bytes."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= size:  # always, as long as both programs escape the same characters
            file.seek(8)
            file.write(text.ljust(size))


def readable(path: Path) -> None:
    """What safetensors wrote is its owner's alone; a server runs as another user."""
    path.chmod(0o644)


def guided_by_demographics(path: str | Path) -> bool:
    """Whether the weights in a safetensors file were trained with age, sex and BMI.

    Raises:
        WeightsError: if it is no safetensors file.
    """
    return _has(path, _DEMOGRAPHICS)


def is_volumetric(path: str | Path) -> bool:
    """Whether the weights in a safetensors file have a regression or depth mixing.

    Raises:
        WeightsError: if it is no safetensors file.
    """
    return _has(path, "regression.", "depth_mixing.")


def draws_nothing(path: str | Path) -> bool:
    """Whether the weights in a safetensors file are of a model without `XR2MRIModel.draws`.

    Raises:
        WeightsError: if it is no safetensors file.
    """
    return _has(path, "regression.") and not _has(path, "regression.unet.")


def method_of(path: str | Path) -> str | None:
    """The overlay in `configs/baselines` that weights were trained with; None: the bundle's own.

    Raises:
        WeightsError: it is no safetensors file, or names what can be no overlay.
    """
    try:
        with safe_open(_present(path), framework="pt") as file:
            method = (file.metadata() or {}).get(METHOD)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: damaged or no safetensors file ({error})") from None
    if method is not None and not re.fullmatch("[a-z][a-z0-9_]{0,40}", method):
        raise WeightsError(f"{path}: its method {shown(method)} is no name of an overlay")
    return method


def _present(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file; give the path of a .safetensors file")
    return path


def _has(path: str | Path, *prefixes: str) -> bool:
    try:
        with safe_open(_present(path), framework="pt") as file:
            return any(name.startswith(prefixes) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: damaged or no safetensors file ({error})") from None


def check_state(
    expected: Mapping[str, Tensor], state: Mapping[str, Tensor], source: str | Path
) -> None:
    """Raise a `WeightsError` unless `state` has exactly the names and shapes of `expected`."""
    missing = [name for name in expected if name not in state]
    unknown = [name for name in state if name not in expected]
    unlike = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(value.shape)}"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    ]
    if missing or unknown or unlike:
        examples = [*(f"missing {n}" for n in missing[:1]), *(f"unknown {n}" for n in unknown[:1])]
        raise WeightsError(
            f"{source}: weights of another model: {len(missing)} tensors missing, {len(unknown)} "
            f"unknown, {len(unlike)} of another shape (e.g. {'; '.join(examples + unlike[:1])}); "
            f"use the size overlay (compact or paper) that they were trained with"
        )
