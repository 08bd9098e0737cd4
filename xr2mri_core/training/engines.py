"""MONAI engines over stages: modules whose `forward(batch)` returns losses by name."""

from __future__ import annotations

import logging
import math
import operator
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import itemgetter
from typing import Any, cast

import torch
from ignite.metrics import Average, Metric
from monai.engines import Evaluator, SupervisedTrainer
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from xr2mri_core.errors import TrainingError
from xr2mri_core.networks import XR2MRIModel
from xr2mri_core.training.batches import Batch, parts_of, to_device
from xr2mri_core.training.ema import EMA

logger = logging.getLogger("xr2mri")

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def mixed_precision(device: torch.device, precision: str) -> torch.autocast:
    """Autocast on any device; "fp32" is full precision."""
    if precision not in PRECISIONS:
        raise TrainingError(f"precision must be one of {sorted(PRECISIONS)}, got {precision!r}")
    dtype = PRECISIONS[precision]
    return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


def attention_kernel(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """The attention to train with: torch's own choice, but on a CPU in 16 bits.

    There its fused kernel is slow backwards where keys are few, as the compact U-Net's are: 79 ms
    against 27 in plain matrix products (64 slices of 256 positions, 20 tokens, 3 heads of 32; a CPU
    with AMX), which was a quarter of a training step.
    """
    plain = device.type == "cpu" and precision != "fp32"
    return sdpa_kernel(SDPBackend.MATH) if plain else nullcontext()


def unets(model: XR2MRIModel) -> list[nn.Module]:
    """The U-Nets of a model: where a training's time and memory go."""
    regression = model.regression
    return [model.unet] if regression is None else [model.unet, cast(Any, regression).unet]


def tune(
    networks: Iterable[nn.Module], compile: bool = False, gradient_checkpointing: bool = False
) -> None:
    """Prepare networks, in place, for a training on a GPU.

    Args:
        networks: networks, whose results stay the same up to rounding.
        compile: have `torch.compile` fuse their operations.
        gradient_checkpointing: compute activations again in the backward pass instead of keeping
            them (Chen et al., "Training deep nets with sublinear memory cost", 2016).

    Raises:
        TrainingError: a network cannot do without its activations.
    """
    for network in networks:
        if gradient_checkpointing:
            if not getattr(network, "_supports_gradient_checkpointing", False):
                raise TrainingError(
                    f"gradient_checkpointing: {type(network).__name__} has none; it is small, so "
                    "leave the option at false",
                    option="gradient_checkpointing",
                )
            cast(Any, network).enable_gradient_checkpointing()
        if compile:
            network.compile()


def placed(stage: nn.Module, device: torch.device, channels_last: bool = False) -> nn.Module:
    """The stage on its device, convolution weights in channels-last order if so asked."""
    layout = torch.channels_last if channels_last else torch.preserve_format
    return cast(Any, stage).to(device=device, memory_format=layout)


class StageTrainer(SupervisedTrainer):
    """`SupervisedTrainer` for a stage: its `forward` computes the losses from the whole batch.

    A step whose gradient is not finite changes nothing, neither weights nor the optimizer's state
    nor running statistics: it is skipped and counted (`skipped_steps`, over resumed runs too). A
    lone bad batch so costs a step; `patience` of them in a row end the training.

    Args:
        device: where to train.
        steps: optimizer steps at most.
        epoch_length: steps between validations, pictures and checkpoints.
        train_data_loader: endless loader (`training_loader`).
        network: the stage, possibly in `DistributedDataParallel`.
        optimizer: over the parameters that are trained.
        precision: "fp32", "bf16" or "fp16" (with loss scaling).
        clip_norm: largest norm of the gradient; 0 leaves it as it is.
        accumulation: passes that a batch is cut into by cases (`parts_of`), whose gradients are
            averaged. Memory falls by as much, the step stays one of the whole batch; with several
            processes they exchange gradients once a step. 1 for a stage that compares the cases of
            a batch (`AlignedStage`).
        patience: skipped steps in a row that are too many. With "fp16", those do not count by which
            the loss scaling finds its factor.
        train_handlers: MONAI and ignite handlers.

    Raises:
        TrainingError: no step is asked for; parts of a batch whose cases are compared, or one case
            a batch; by `run`, when the gradients stay not finite.
    """

    def __init__(
        self,
        device: torch.device | str,
        steps: int,
        epoch_length: int,
        train_data_loader: DataLoader[Batch],
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        precision: str = "fp32",
        clip_norm: float = 1.0,
        accumulation: int = 1,
        patience: int = 10,
        train_handlers: Sequence[Any] = (),
    ) -> None:
        for name, value in (("steps", steps), ("epoch_length", epoch_length)):
            if value < 1:
                raise TrainingError(f"{name} {value}: at least 1", option=name)
        stage = network.module if isinstance(network, DistributedDataParallel) else network
        if accumulation > 1 and getattr(stage, "compares_cases", False):
            raise TrainingError(
                f"accumulation {accumulation}: this method compares the cases of a batch, which "
                "parts of it cannot; accepted is 1, and fewer cases_per_batch take less memory",
                option="accumulation 1",
            )
        cases = getattr(train_data_loader.dataset, "cases", None)  # of `CaseBatches`
        if cases == 1 and getattr(stage, "compares_cases", False):
            raise TrainingError(
                "1 case a batch: this method compares the cases of a batch, and learns nothing "
                "from one; accepted are 2 or more, of as many training cases",
                option="cases_per_batch 2",
            )
        device = torch.device(device)
        self.clip_norm, self.patience, self.accumulation = clip_norm, patience, accumulation
        self.skipped_steps = self._skipped_in_a_row = 0
        self.precision = precision
        self.autocast = mixed_precision(device, precision)
        self.grad_scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        super().__init__(
            device=device,
            max_epochs=-(-steps // epoch_length),
            epoch_length=epoch_length,
            train_data_loader=train_data_loader,
            network=network,
            optimizer=optimizer,
            loss_function=lambda losses, _: losses["loss"],
            non_blocking=True,
            decollate=False,
            train_handlers=list(train_handlers),
        )

    def _iteration(self, engine: Any, batchdata: Batch) -> dict[str, Tensor]:
        batch = to_device(batchdata, self.state.device, self.non_blocking)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        statistics = [(buffer, buffer.clone()) for buffer in self.network.buffers()]
        losses = self._backward(parts_of(batch, self.accumulation))
        self.grad_scaler.unscale_(self.optimizer)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.clip_norm or math.inf)
        if torch.isfinite(norm):
            self.grad_scaler.step(self.optimizer)
            self._skipped_in_a_row = 0
        else:
            for buffer, before in statistics:
                buffer.copy_(before)
            self._skip(float(losses[Keys.LOSS]))
        self.grad_scaler.update()
        losses = losses | {
            "gradient_norm": norm,
            "skipped_steps": norm.new_tensor(self.skipped_steps),
        }
        return {name: value.detach() for name, value in losses.items()}

    def _backward(self, parts: Sequence[Batch]) -> dict[str, Tensor]:
        """Gradients of the mean loss of a batch's parts; returns their mean losses by name."""
        total: dict[str, Tensor] = {}
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            distributed = isinstance(self.network, DistributedDataParallel)
            wait = nullcontext() if last or not distributed else cast(Any, self.network).no_sync()
            with wait:  # gradients are exchanged behind the last part
                with self.autocast, attention_kernel(self.state.device, self.precision):
                    losses = self.network(part)
                self.grad_scaler.scale(losses[Keys.LOSS] / len(parts)).backward()
            for name, value in losses.items():
                total[name] = total.get(name, 0) + value.detach() / len(parts)
        return total

    def _skip(self, loss: float) -> None:
        step = self.state.iteration
        if self.grad_scaler.is_enabled() and self.grad_scaler.get_scale() > 1:
            return  # an overflow of 16 bits, by which the factor is found
        self.skipped_steps += 1
        self._skipped_in_a_row += 1
        logger.warning("step %d is skipped: its gradient is not finite (loss %g)", step, loss)
        if self._skipped_in_a_row >= self.patience:
            raise TrainingError(
                f"the training is stopped at step {step}: the gradient was not finite in "
                f"{self._skipped_in_a_row} steps in a row (loss {loss:g}); the weights are those "
                f"of step {step - self._skipped_in_a_row}, the last checkpoint is whole. Lower the "
                f"learning rate, use precision fp32, or look for damaged cases in the data"
            )

    def state_dict(self) -> OrderedDict[str, Any]:
        """State of the engine, with the count of skipped steps."""
        return OrderedDict(super().state_dict(), skipped_steps=self.skipped_steps)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on at the step where `state_dict` was taken, to this trainer's own end."""
        length, epochs = self.state.epoch_length, self.state.max_epochs
        own = {"epoch_length": length, "max_epochs": max(epochs, state_dict["iteration"] // length)}
        super().load_state_dict({**state_dict, **own})
        self.skipped_steps = int(state_dict.get("skipped_steps", 0))


class StageEvaluator(Evaluator):
    """Runs `stage.validate(batch)` with the averaged weights and averages what it returns.

    Args:
        device: where to evaluate.
        val_data_loader: `validation_loader`.
        network: the stage, not wrapped.
        ema: moving average, whose weights are put in for the pass.
        metrics: names, among those that `validate` returns, to average; the first is the key one.
        precision: precision, as in `StageTrainer`.
        val_handlers: MONAI and ignite handlers.
    """

    def __init__(
        self,
        device: torch.device | str,
        val_data_loader: DataLoader[Batch],
        network: nn.Module,
        ema: EMA,
        metrics: Sequence[str] = ("loss",),
        precision: str = "fp32",
        val_handlers: Sequence[Any] = (),
    ) -> None:
        device = torch.device(device)
        averages: dict[str, Metric] = {f"val_{name}": Average(itemgetter(name)) for name in metrics}
        key = f"val_{metrics[0]}"
        super().__init__(
            device=device,
            val_data_loader=val_data_loader,
            decollate=False,
            key_val_metric={key: averages.pop(key)},
            additional_metrics=averages,
            metric_cmp_fn=operator.lt,
            val_handlers=list(val_handlers),
        )
        self.network: Any = network
        self.ema = ema
        self.autocast = mixed_precision(device, precision)

    def run(self, global_epoch: int = 1) -> None:  # type: ignore[override]
        """One pass; called by MONAI's `ValidationHandler`."""
        training = self.network.training
        self.network.eval()
        with self.ema.applied():
            super().run(global_epoch)
        self.network.train(training)

    def _iteration(self, engine: Any, batchdata: Batch) -> dict[str, Tensor]:
        batch = to_device(batchdata, self.state.device)
        with torch.no_grad(), self.autocast:
            return self.network.validate(batch)
