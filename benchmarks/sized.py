"""What the two benchmarks of devices share: models by their size, without weights, and clocks."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

import torch

from xr2mri_core.bundle import configured
from xr2mri_core.shipped import bundle_folder

PEAKS = {  # TFLOP/s of dense bf16 by a part of the device's name, as its maker states it
    "H200": 989.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "RTX 4090": 165.0,
}


def parts(bundle: Path | None, size: str, volume: bool) -> Any:
    """The parsed configuration of a size: content `model`, `scheduler`, `generation`."""
    torch.manual_seed(0)
    names = [size, "volume"] if volume else [size]
    return configured(bundle or bundle_folder(), names)


def now(device: torch.device) -> float:
    """Seconds, when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def begin_memory(device: torch.device) -> None:
    """Start the count of `memory`."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def memory(device: torch.device) -> float:
    """GiB: the most on a GPU since `begin_memory`, or of this process at all."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def name_of(device: torch.device) -> str:
    """What a person calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def peak(device: torch.device, precision: str, stated: float | None = None) -> tuple[float, str]:
    """TFLOP/s that a device can reach, and where the figure is from.

    Args:
        device: the device.
        precision: "fp32" or "bf16".
        stated: what the caller knows better.
    """
    if stated is not None:
        return stated, "given"
    if precision == "bf16" and device.type == "cuda":
        for part, value in PEAKS.items():
            if part in torch.cuda.get_device_name(device):
                return value, "its maker's"
    side = 8192 if device.type == "cuda" else 1024
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(4):  # the first warms up
        started = now(device)
        _ = matrix @ matrix
        best = min(best, now(device) - started)
    return 2 * side**3 / best / 1e12, f"a product of matrices of {side}"
