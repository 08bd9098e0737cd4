"""The paper's networks: E_1, D, E_2, the guidance module and U, in two sizes behind one API."""

from xr2mri_core.networks.autoencoder import Autoencoder, CompactAutoencoder
from xr2mri_core.networks.depth_mixing import DepthMixing
from xr2mri_core.networks.given import Given
from xr2mri_core.networks.grain import Grain
from xr2mri_core.networks.guidance import Guidance, GuidanceSignals
from xr2mri_core.networks.guided_unet import GuidedUNet
from xr2mri_core.networks.image_encoder import (
    CompactImageEncoder,
    RadiographCode,
    Zero123ImageEncoder,
    clip_image_tower,
)
from xr2mri_core.networks.model import XR2MRIModel
from xr2mri_core.networks.regression import Regression

__all__ = [
    "Autoencoder",
    "CompactAutoencoder",
    "CompactImageEncoder",
    "DepthMixing",
    "Given",
    "Grain",
    "Guidance",
    "GuidanceSignals",
    "GuidedUNet",
    "RadiographCode",
    "Regression",
    "XR2MRIModel",
    "Zero123ImageEncoder",
    "clip_image_tower",
]
