"""From noise to latent: the reverse process p_theta(z_{t-1} | z_t, y) (Eq. 5) as one loop.

The samplers are diffusers' schedulers: "ddim" is the paper's, with eta = 0; "unipc" and
"dpmsolver" reach the same quality in a third of its steps or fewer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

from xr2mri_core.diffusion.schedule import Scheduler
from xr2mri_core.errors import Cancelled, InputError, shown

Code = tuple[Tensor, ...]
"""What networks know of radiographs: a named tuple whose parts have a row for each of them."""

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(z_t (B, c, h, w), t ()) -> prediction (B, c, h, w): U with all conditions bound."""

Known = TypeVar("Known", bound=Code)
_Known = TypeVar("_Known", bound=Code, contravariant=True)


class Denoiser(Protocol[_Known]):
    """U with its conditions open: `XR2MRIModel.denoise`, or what stands in for it."""

    def __call__(
        self,
        z_t: Tensor,
        t: Tensor,
        code: _Known,
        depth: Tensor,
        features: Tensor,
        mean: Tensor | None,
        slab: int,
        /,
    ) -> Tensor: ...


class DDIM(DDIMScheduler):
    """Eq. 9 from each timestep to the next, whatever their number.

    diffusers' own goes T // steps down from each, and lays its timesteps T / steps apart: where
    steps do not divide T it leaves the schedule that the network is asked at, and the rounding of
    some makes one timestep too many, before the first.
    """

    config: Any
    alphas_cumprod: Tensor
    final_alpha_cumprod: Tensor

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Lay timesteps T / steps apart, from the last of T down ("trailing" spacing)."""
        last = self.config.num_train_timesteps
        passed = np.arange(num_inference_steps) * last / num_inference_steps
        timesteps = np.round(last - passed).astype(np.int64) - 1
        self.timesteps = torch.from_numpy(timesteps).to(device)

    def step(
        self, model_output: Tensor, timestep: Any, sample: Tensor, *, return_dict: bool = False
    ) -> tuple[Tensor]:
        """(z_{t-1},) from a prediction, of noise or velocity, at z_t.

        Latents have no bounds: nothing is clipped.
        """
        before = self.timesteps[self.timesteps < timestep]
        a = self.alphas_cumprod[int(timestep)]
        b = self.alphas_cumprod[int(before[0])] if len(before) else self.final_alpha_cumprod
        if self.config.prediction_type == "v_prediction":
            z_0 = a**0.5 * sample - (1 - a) ** 0.5 * model_output
            epsilon = a**0.5 * model_output + (1 - a) ** 0.5 * sample
        else:
            z_0 = (sample - (1 - a) ** 0.5 * model_output) / a**0.5
            epsilon = model_output
        return (b**0.5 * z_0 + (1 - b) ** 0.5 * epsilon,)


SAMPLERS: dict[str, type] = {
    "ddim": DDIM,
    "unipc": UniPCMultistepScheduler,
    "dpmsolver": DPMSolverMultistepScheduler,
}

SIGMAS = (0.06, 50.0)
"""Noise-to-signal ratios sigma = sqrt(1 - alpha-bar) / sqrt(alpha-bar) between which the solvers
step. Below the first, next to no noise is left; above the second, next to no signal."""


def build_scheduler(config: Mapping[str, Any] | Scheduler, name: str = "ddim") -> Scheduler:
    """A fresh sampler with the betas and the prediction type of the training.

    A solver remembers its last steps: build one for each call of `sample`, none is shared.

    The solvers take steps of equal ratios of sigma, which are equal steps of log-SNR (Lu et al.,
    "DPM-Solver", NeurIPS 2022, section 3.3), between `SIGMAS`. Steps of equal time leave few of
    them to small sigmas, where fine detail is drawn: with 8 of UniPC, what deviates by a quarter
    of the noise keeps .76 of its deviation, with 6 of these .93.

    Args:
        config: the configuration of the training's scheduler, or that scheduler.
        name: a key of `SAMPLERS`.

    Raises:
        InputError: for another name.
    """
    if name not in SAMPLERS:
        raise InputError(f"sampler {shown(name)}: accepted are {', '.join(SAMPLERS)}")
    scheduler = SAMPLERS[name]
    known = inspect.signature(scheduler).parameters
    training = config if isinstance(config, Mapping) else config.config
    settings = {key: value for key, value in training.items() if key in known}
    # "Leading" spacing, diffusers' default for DDIM, starts few steps in the middle of the schedule
    # from pure noise (at 2 of 1000: t = 501 and 1), and the solvers fail with it at many steps.
    settings["timestep_spacing"] = "trailing"
    if "use_exponential_sigmas" not in known:
        return scheduler(**settings)
    solver = scheduler(**settings, use_exponential_sigmas=True)
    alpha_bars = solver.alphas_cumprod.double()
    sigmas = ((1 - alpha_bars) / alpha_bars).sqrt()
    lowest, highest = max(SIGMAS[0], float(sigmas[0])), min(SIGMAS[1], float(sigmas[-1]))
    solver.register_to_config(sigma_min=lowest, sigma_max=highest)  # looked up there
    return solver


def sample(
    denoise: Denoise,
    noise: Tensor,
    scheduler: Scheduler,
    steps: int,
    callback: Callable[[int, int, Tensor], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Tensor:
    """Denoise a batch of slices: the inner line of Algorithm 2, z_d <- U(eps, E_2(y), t, d, r).

    With DDIM each round is

        z_{t-1} = sqrt(alpha-bar_{t-1}) (z_t - sqrt(1 - alpha-bar_t) eps_theta) / sqrt(alpha-bar_t)
                  + sqrt(1 - alpha-bar_{t-1}) eps_theta                                     (Eq. 9)

    where t - 1 stands for the next of `steps` timesteps out of T.

    Args:
        denoise: the network's prediction, see `Denoise` and `guided`.
        noise: z_T (B, c, h, w), e.g. of `DepthNoise`.
        scheduler: scheduler, as `build_scheduler` makes it.
        steps: network passes, 1 to T.
        callback: called as callback(done, steps, z_t) after each step.
        cancelled: asked before each step.

    Returns:
        z_0 (B, c, h, w).

    Raises:
        InputError: if `steps` is out of range.
        Cancelled: if `cancelled` says so.
    """
    last = int(scheduler.config.num_train_timesteps)
    if not 1 <= steps <= last:
        raise InputError(f"steps {shown(steps)}: accepted are 1 to {last}, the steps of training")
    scheduler.set_timesteps(steps, device=noise.device)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)  # else looked for by timestep, and close ones can be the same
    z_t = noise * scheduler.init_noise_sigma
    for done, t in enumerate(scheduler.timesteps, start=1):
        if cancelled is not None and cancelled():
            raise Cancelled
        epsilon_theta = denoise(z_t, t)
        z_t = scheduler.step(epsilon_theta, t, z_t, return_dict=False)[0]  # Eq. 9
        if callback is not None:
            callback(done, steps, z_t)
    return z_t


def guided(
    denoise: Denoiser[Known],
    code: Known,
    depth: Tensor,
    features: Tensor,
    guidance: float = 1.0,
    mean: Tensor | None = None,
    slab: int = 1,
) -> Denoise:
    """Bind the conditions of `XR2MRIModel.denoise`, with classifier-free guidance if asked for.

        eps = eps_theta(without) + guidance * (eps_theta(with) - eps_theta(without))

    (Ho & Salimans, 2022), where only r is left out of the second branch: that exaggerates findings
    and leaves the anatomy to the radiograph. Both branches go through the network as one batch of
    2B.

    Args:
        denoise: `model.denoise`.
        code: of one radiograph, or of B; see `RadiographCode`.
        depth: d (B,).
        features: one-hot r (B, 61 | 65).
        guidance: 1 is off (one pass), above 1 exaggerates, 0 ignores the features.
        mean: mu (B, c, h, w) of a model with a regression.
        slab: neighbouring slices that know of one another; B is a multiple of it.
    """
    if guidance == 1.0:
        return lambda z_t, t: denoise(z_t, t, code, depth, features, mean, slab)

    count = len(depth)
    parts = [part.expand(count, *part.shape[1:]) for part in code]
    make: Callable[..., Known] = type(code)
    both_codes = make(*(torch.cat([part, part]) for part in parts))
    both_depths = torch.cat([depth, depth])
    both_features = torch.cat([features, torch.zeros_like(features)])
    both_means = None if mean is None else torch.cat([mean, mean])

    def predict(z_t: Tensor, t: Tensor) -> Tensor:
        both = denoise(
            torch.cat([z_t, z_t]), t, both_codes, both_depths, both_features, both_means, slab
        )
        conditional, unconditional = both.chunk(2)
        return unconditional + guidance * (conditional - unconditional)

    return predict
