"""The compared methods on the same parts: autoencoder, U-Net size, training engine, sampler, noise.

A file each, showing only what makes a method different; `configs/baselines/<name>.yaml` of the
bundle puts it in place of the proposed one. Weights know the overlay that they were trained with,
so `KneeMRIGenerator.from_bundle(weights=...)` loads any of them.
"""

from xr2mri_core.baselines.aldm import ALDM, SwitchableSpade
from xr2mri_core.baselines.cola_diff import CoLaDiff, ConditionGate
from xr2mri_core.baselines.depth_guidance import DepthGuidance
from xr2mri_core.baselines.latent_diffusion import LatentDiffusion
from xr2mri_core.baselines.medm2g import MedM2GInspired, TextGuidance
from xr2mri_core.baselines.methods import DEFAULT, METHODS, Method, method_called
from xr2mri_core.baselines.trivial import nearest, thumbnail
from xr2mri_core.baselines.x_diffusion import XDiffusionGuidance

__all__ = [
    "ALDM",
    "DEFAULT",
    "METHODS",
    "CoLaDiff",
    "ConditionGate",
    "DepthGuidance",
    "LatentDiffusion",
    "MedM2GInspired",
    "Method",
    "SwitchableSpade",
    "TextGuidance",
    "XDiffusionGuidance",
    "method_called",
    "nearest",
    "thumbnail",
]
