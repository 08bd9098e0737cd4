"""The diffusion process: schedule, noise along depth, samplers."""

from xr2mri_core.diffusion.noise import DepthNoise
from xr2mri_core.diffusion.samplers import SAMPLERS, build_scheduler, guided, sample
from xr2mri_core.diffusion.schedule import interpolated_betas

__all__ = ["SAMPLERS", "DepthNoise", "build_scheduler", "guided", "interpolated_betas", "sample"]
