"""How much memory a volume takes, whatever the process did before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from xr2mri_core.networks.model import XR2MRIModel, unique_state


def tensor_megabytes(work: Callable[[], Any], model: XR2MRIModel) -> float:
    """MB of the model's weights and of the tensors that a piece of work has at most at one time.

    It is torch's allocators that tell: the size of a process tells what it did before, for it keeps
    what it has freed.

    Args:
        work: what asks the model, in this thread.
        model: the model, where it computes.
    """
    weights = sum(one.numel() * one.element_size() for one in unique_state(model).values())
    device = next(model.parameters()).device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return (weights + torch.cuda.max_memory_allocated(device) - before) / 1e6
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # else the profiler talks to users
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    most = now = 0
    for _, size in sorted(_allocations(profiler)):
        now += size
        most = max(most, now)
    return (weights + most) / 1e6


def _allocations(profiler: profile) -> Iterator[tuple[int, int]]:
    """Times in ns, and bytes that were allocated (freed: below 0)."""
    results: Any = profiler.profiler.kineto_results  # type: ignore[union-attr]
    events = list(results.experimental_event_tree())
    while events:
        event = events.pop()
        events += event.children
        if event.tag.name == "Allocation":
            yield event.start_time_ns, event.extra_fields.alloc_size
