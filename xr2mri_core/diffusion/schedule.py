"""The diffusion process: how much of a slice is left at step t.

With beta_t the variance added by step t, alpha_t = 1 - beta_t and alpha-bar_t their product:

    q(z_t | z_{t-1}) = N(sqrt(1 - beta_t) z_{t-1}, beta_t I)                    (Eq. 2)
    q(z_{1..T} | z_0) = prod_t q(z_t | z_{t-1})                                 (Eq. 3)
    z_t = sqrt(alpha-bar_t) z_0 + sqrt(1 - alpha-bar_t) eps,  eps ~ N(0, I)     (Eq. 4)
    z_T = sqrt(alpha-bar_T) E_1(x_d) + sqrt(1 - alpha-bar_T) eps                (Eq. 8)

Eq. 4 and 8 are `add_noise` of every diffusers scheduler; the betas are the `scheduler` section of
the bundle's size overlays. The reverse process p_theta(z_{t-1} | z_t, y) (Eq. 5) is in
`xr2mri_core.diffusion.samplers`, the loss (Eq. 7 and 10) in `xr2mri_core.training.diffusion`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from torch import Tensor


class Scheduler(Protocol):
    """What is used of a diffusers scheduler: noise in training, steps in sampling."""

    config: Any
    alphas_cumprod: Tensor
    timesteps: Tensor
    init_noise_sigma: Any

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor: ...

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor: ...

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None: ...

    def step(
        self, model_output: Tensor, timestep: Any, sample: Tensor, *, return_dict: bool = True
    ) -> Any: ...


def interpolated_betas(
    num_train_timesteps: int = 2000,
    base_timesteps: int = 1000,
    beta_start: float = 0.00085,
    beta_end: float = 0.012,
) -> list[float]:
    """Betas for more (or fewer) steps T through the same noise levels as a pre-trained schedule.

    The paper trains with T = 2000 from weights that know T = 1000. The same betas continued would
    make t >= 1000 pure noise that the weights have never seen; here log alpha-bar is interpolated,
    so that alpha-bar'(t T / T_base) = alpha-bar(t). Use it as `trained_betas` of a scheduler, with
    `timestep_scale = T_base / T` in `XR2MRIModel`, which keeps the U-Net's clock.

    Args:
        num_train_timesteps: T, the paper's 2000.
        base_timesteps: T of the pre-trained schedule.
        beta_start, beta_end: its ends; "scaled linear", as Stable Diffusion and Zero-123 have it.

    Returns:
        num_train_timesteps betas, each in (0, 1).
    """
    if num_train_timesteps < 1 or base_timesteps < 1 or not 0 < beta_start <= beta_end < 1:
        raise ValueError(
            f"schedule of {num_train_timesteps} steps from {base_timesteps} with betas "
            f"{beta_start}-{beta_end}: steps must be positive and 0 < beta_start <= beta_end < 1"
        )
    betas = np.linspace(beta_start**0.5, beta_end**0.5, base_timesteps) ** 2
    log_alpha_bar = np.concatenate([[0.0], np.cumsum(np.log1p(-betas))])  # at t = 0, 1, ..., T_base
    times = np.linspace(0, base_timesteps, num_train_timesteps + 1)
    fine = np.interp(times, np.arange(base_timesteps + 1), log_alpha_bar)
    return (-np.expm1(np.diff(fine))).tolist()
