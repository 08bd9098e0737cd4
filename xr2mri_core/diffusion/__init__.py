"""The diffusion process: schedule, noise along depth, samplers, windows over many slices."""

from xr2mri_core.diffusion.noise import DepthNoise, sample_seed
from xr2mri_core.diffusion.samplers import SAMPLERS, Denoiser, build_scheduler, guided, sample
from xr2mri_core.diffusion.schedule import Scheduler, interpolated_betas
from xr2mri_core.diffusion.windows import windows

__all__ = [
    "SAMPLERS",
    "Denoiser",
    "DepthNoise",
    "Scheduler",
    "build_scheduler",
    "guided",
    "interpolated_betas",
    "sample",
    "sample_seed",
    "windows",
]
