"""Devices on which networks run."""

from __future__ import annotations

import os

import torch

from xr2mri_core.errors import InputError, shown
from xr2mri_core.parents import WORKER


def name_of_best_device() -> str:
    """What a person calls the device of `best_device`: the name of the GPU, or "CPU"."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def best_device() -> str:
    """A GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def devices_named(names: str | None) -> tuple[str, ...]:
    """The devices of a list with commas; ``cuda`` is every GPU, None the same where there is one.

    Raises:
        InputError: a name is none of a device, or of a GPU that is not there.
    """
    found: list[str] = []
    for name in (names or best_device()).split(","):
        name = name.strip()
        try:
            device = torch.device(name)
        except RuntimeError:
            raise InputError(
                f"device {shown(name)}: accepted are cpu, cuda, cuda:1, or several with commas"
            ) from None
        gpus = torch.cuda.device_count() if device.type == "cuda" else 0
        if device.type == "cuda" and (device.index or 0) >= gpus:
            raise InputError(f"device '{name}': this machine has {gpus} GPUs; try cpu")
        found += (
            [f"cuda:{index}" for index in range(gpus)] if name == "cuda" and gpus > 1 else [name]
        )
    return tuple(found)


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of a device, or of the machine, did not suffice."""
    full = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return full or "can't allocate memory" in str(error)  # so torch says of the machine's


def release_memory(device: torch.device) -> None:
    """Give back what torch keeps of a device's memory for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
