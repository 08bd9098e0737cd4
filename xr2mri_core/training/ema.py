"""Exponential moving average of the trained weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from xr2mri_core.errors import TrainingError, WeightsError

_OTHER_MODEL = (
    "the checkpoint belongs to another model: name another output_dir, or start anew instead of "
    "resuming"
)


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


# Not `diffusers.training_utils.EMAModel`. With `update_after_step=-1` its momentum is the same (by
# default it is one step behind), but it rounds otherwise, so that weights differ in their last bits
# from the first step on; and its state is a list without names, by which a checkpoint of another
# model could not be refused, nor one of an earlier training go on.
class EMA:
    """Handler: w' <- m w' + (1 - m) w after every step, for a module's trained weights w.

    The paper's m is 0.99.

    Early on the momentum is min(m, (1 + k) / (10 + k)) at step k, so that a short training does
    not carry its random start along.

    Args:
        module: its parameters with `requires_grad` are followed.
        momentum: m, in [0, 1).
    """

    def __init__(self, module: nn.Module, momentum: float = 0.999) -> None:
        if not 0 <= momentum < 1:
            raise TrainingError(f"ema_momentum must lie in [0, 1), got {momentum}")
        self.momentum = momentum
        self._live = trainable(module)
        self._average = {name: p.detach().clone() for name, p in self._live.items()}

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        step = engine.state.iteration
        momentum = min(self.momentum, (1 + step) / (10 + step))
        live: list[Tensor] = list(self._live.values())
        torch._foreach_lerp_(list(self._average.values()), live, 1 - momentum)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the context the module carries the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._live.items():
            parameter.data, self._average[name] = self._average[name], parameter.data

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self._average)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if state.keys() != self._average.keys():
            raise WeightsError(_OTHER_MODEL, option="resume False")
        for name, value in state.items():
            self._average[name].copy_(value)


class TrainedState:
    """The trained weights of a module as an object of a checkpoint; frozen parts stay out."""

    def __init__(self, module: nn.Module) -> None:
        self._live = trainable(module)

    def state_dict(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self._live.items()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if state.keys() != self._live.keys():
            raise WeightsError(_OTHER_MODEL, option="resume False")
        for name, value in state.items():
            self._live[name].copy_(value)
