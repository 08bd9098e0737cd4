"""MONAI dictionary transforms: what comes from files, and how the network sees it."""

from xr2mri_core.transforms.augmentation import radiograph_augmentation
from xr2mri_core.transforms.mri import mri_transforms, read_volume
from xr2mri_core.transforms.radiograph import radiograph_transforms
from xr2mri_core.transforms.radiograph_file import read_radiograph

__all__ = [
    "mri_transforms",
    "radiograph_augmentation",
    "radiograph_transforms",
    "read_radiograph",
    "read_volume",
]
