"""One pass of the denoiser for several knees: what fills a GPU that a single knee does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from xr2mri_core.diffusion import Denoiser
from xr2mri_core.networks import RadiographCode

Made = TypeVar("Made")


@dataclass(eq=False)
class _Pass:
    """What one knee asks of the denoiser, every part with a row for each of its slices."""

    z_t: Tensor
    t: Tensor
    code: RadiographCode
    depth: Tensor
    features: Tensor
    mean: Tensor | None
    slab: int
    result: Tensor | None = None
    error: BaseException | None = None

    @property
    def shape(self) -> tuple[Any, ...]:
        """Passes of one shape can be made together."""
        return self.z_t.shape, self.features.shape, self.mean is None, self.slab


class Together:
    """Knees are generated in a thread each, and where all wait for the denoiser it is run once.

    The pass has the rows of `knees` knees however few ask, filled up with repeats, because kernels
    are chosen by the shape of a batch. So a knee's volume does not depend on which others share its
    passes, nor on how many do: to the bit where a kernel computes each row alike wherever in the
    batch it stands, which holds on CPUs (tested) and is not promised by cuDNN. Another number of
    `knees` changes rounding, as another batch size does.

    Knees go in step: all wait for the slowest, so let them have the same request.

    Args:
        denoise: the denoiser, such as `XR2MRIModel.denoise`.
        knees: how many knees share a pass at most.
    """

    def __init__(self, denoise: Denoiser[RadiographCode], knees: int) -> None:
        self.denoise, self.knees = denoise, knees
        self.passes = 0
        self._changed = threading.Condition()
        self._working = 0
        self._waiting: list[_Pass] = []

    def run(self, works: Sequence[Callable[[], Made]]) -> list[Made]:
        """Do each work, of which there are at most `knees`, in a thread; their results in order.

        Raises:
            Exception: the first that a work raises, when all have ended.
        """
        self._working, threads = len(works), torch.get_num_threads()

        def one(work: Callable[[], Made]) -> Made:
            torch.set_num_threads(threads)  # a new thread has the system's number
            try:
                return work()
            finally:
                with self._changed:
                    self._working -= 1
                    self._changed.notify_all()

        with ThreadPoolExecutor(len(works), thread_name_prefix="knee") as pool:
            return list(pool.map(one, works))

    def __call__(
        self,
        z_t: Tensor,
        t: Tensor,
        code: RadiographCode,
        depth: Tensor,
        features: Tensor,
        mean: Tensor | None = None,
        slab: int = 1,
    ) -> Tensor:
        """`denoise`, called by a knee's thread; it returns when the shared pass is done."""
        count = len(z_t)
        rows = RadiographCode(*(part.expand(count, *part.shape[1:]) for part in code))
        mine = _Pass(z_t, t.expand(count), rows, depth, features, mean, slab)
        with self._changed:
            self._waiting.append(mine)
            self._changed.notify_all()
            while mine.result is None and mine.error is None:
                if len(self._waiting) < self._working:
                    self._changed.wait()
                    continue
                group = [one for one in self._waiting if one.shape == self._waiting[0].shape]
                self._compute(group)
                self._waiting = [one for one in self._waiting if one not in group]
                self._changed.notify_all()
        if mine.error is not None:
            raise mine.error
        assert mine.result is not None
        return mine.result

    def _compute(self, group: list[_Pass]) -> None:
        """One pass for all of a group."""
        filled = [group[index % len(group)] for index in range(self.knees)]

        def joined(name: str) -> Tensor:
            return torch.cat([getattr(one, name) for one in filled])

        first = group[0]
        parts = zip(*(one.code for one in filled), strict=True)
        try:
            made = self.denoise(
                joined("z_t"), joined("t"), RadiographCode(*map(torch.cat, parts)),
                joined("depth"), joined("features"),
                None if first.mean is None else joined("mean"), first.slab,
            )  # fmt: skip
        except BaseException as error:  # e.g. out of memory: each knee takes smaller passes then
            for one in group:
                one.error = error
            return
        self.passes += 1
        for one, result in zip(group, made.split(len(first.z_t)), strict=False):
            one.result = result
