"""Work that may need more memory than a device has: done in smaller batches then."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch

from xr2mri_core.devices import is_out_of_memory, release_memory
from xr2mri_core.request import GenerationRequest

Computed = TypeVar("Computed")

log = logging.getLogger("xr2mri")


def within_memory(
    compute: Callable[[GenerationRequest], Computed],
    request: GenerationRequest,
    device: torch.device,
    again: Callable[[], None],
) -> tuple[Computed, GenerationRequest]:
    """``compute(request)``, the batch halved each time that the device's memory is too small.

    Args:
        compute: does the work for a request.
        request: what is asked for, with its batch size filled in.
        device: where the work is done.
        again: called before each further try.

    Returns:
        The result, and the request with the batch size that sufficed.
    """
    while True:
        try:
            return compute(request), request
        except (MemoryError, RuntimeError) as error:
            batch = min(request.batch_size or request.count, request.count)
            if batch == 1 or not is_out_of_memory(error):
                raise
        # after the handler, whose traceback holds the tensors
        request = replace(request, batch_size=batch // 2)
        log.warning("out of memory on %s: %d slices in one pass", device, batch // 2)
        release_memory(device)
        again()
