"""Where networks run."""

from __future__ import annotations

import torch

from xr2mri_core.errors import InputError


def name_of_best_device() -> str:
    """What a person calls the device of `best_device`: the name of the GPU, or "CPU"."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def best_device() -> str:
    """A GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def usable_device(name: torch.device | str) -> torch.device:
    """A device by its name; raises InputError where it cannot be used."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"device '{name}' cannot be used ({reason}); try cpu") from None
    return device
