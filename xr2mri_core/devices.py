"""Where networks run."""

from __future__ import annotations

import os

import torch

from xr2mri_core.errors import InputError
from xr2mri_core.processes import WORKER


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


def device_of_worker(name: str) -> str:
    """The device that a process of `each_done` takes for one that was named to all of them.

    For ``cuda`` the GPUs take turns. A Dask worker is given its own by dask-cuda.
    """
    if name == "cuda" and WORKER in os.environ:
        return f"cuda:{int(os.environ[WORKER]) % torch.cuda.device_count()}"
    return name
