"""MONAI dictionary transforms: what comes from files, and how the network sees it.

They are loaded when they are asked for: a process that only prepares radiographs, as the server's
reading box does, needs no MONAI, and one that only reads them no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "mri_transforms": "mri",
    "radiograph_augmentation": "augmentation",
    "radiograph_transforms": "radiograph",
    "read_radiograph": "radiograph_file",
    "read_volume": "mri",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
