"""What training the denoiser costs on a device: samples a second, share of its peak, memory.

    .venv/bin/python benchmarks/training.py --device cuda --out out/bench
    .venv/bin/python benchmarks/training.py --device cuda --sizes paper --batch 32 64 128

Each row is the trainer of the bundle's command (autocast, fused AdamW, averages, clipped gradients)
on one batch of random numbers, so neither files nor the loader are measured. A sample is a slice.
The share of the peak is the model FLOP utilisation: what forward and backward pass compute, counted
once by torch and without what checkpointing computes again, over the time and the device's peak.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import sized
import torch
from ignite.engine import Events
from torch.utils.data import Dataset
from torch.utils.flop_counter import FlopCounterMode

from xr2mri_core import training
from xr2mri_core.devices import best_device, usable_device
from xr2mri_core.evaluation.summary import table
from xr2mri_core.files import write_text
from xr2mri_core.networks import XR2MRIModel
from xr2mri_core.recipe import PRECISIONS
from xr2mri_core.training.batches import Batch, to_device

TITLES = ["size", "slices a step", "precision", "checkpointing", "compiled", "samples a second",
          "TFLOP a step", "share of peak", "memory, GiB"]  # fmt: skip
WARMING = 3
"""Steps before the clock starts: compiling, choice of kernels."""


class Same(Dataset[Batch]):
    """One batch of random numbers, again and again."""

    def __init__(self, model: XR2MRIModel, cases: int, slices: int, slab: bool, size: int) -> None:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            code = model.encode_radiograph(torch.zeros(1, 1, size, size))
        channels = int(cast(Any, model.unet).config.out_channels)
        shape = (cases * slices, channels, *code.latent.shape[-2:])
        self.batch: Batch = {
            "radiograph": torch.rand(cases, 1, size, size, generator=generator) * 2 - 1,
            "features": torch.zeros(cases, model.guidance.num_positions),
            "latent": torch.randn(shape, generator=generator),
            "depth": torch.linspace(0, 1, slices).repeat(cases),
            "seed": 0,
        }
        if slab:
            self.batch["slab"] = slices

    def __getitem__(self, step: int) -> Batch:
        return dict(self.batch)


def main(words: Sequence[str] | None = None) -> None:
    """Print the table, row by row, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--device", default=best_device())
    parser.add_argument("--bundle", type=Path, help="another bundle's folder")
    parser.add_argument("--sizes", nargs="+", default=["compact", "paper"])
    parser.add_argument("--volume", action="store_true", help="with the overlay volume.yaml")
    parser.add_argument("--batch", type=int, nargs="+", default=[64], help="slices, 8 of each knee")
    parser.add_argument("--precision", nargs="+", default=["bf16"], choices=PRECISIONS)
    parser.add_argument("--checkpointing", nargs="+", default=["no", "yes"], choices=("no", "yes"))
    parser.add_argument("--compile", nargs="+", default=["no", "yes"], choices=("no", "yes"))
    parser.add_argument("--accumulation", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20, help="that are timed")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the device, where it is known")
    arguments = parser.parse_args(words)
    device = usable_device(arguments.device)
    lines: list[list[str]] = []
    peaks = {p: sized.peak(device, p, arguments.peak) for p in arguments.precision}
    for row in itertools.product(
        arguments.sizes,
        arguments.batch,
        arguments.precision,
        arguments.checkpointing,
        arguments.compile,
    ):
        lines.append(_row(arguments, device, peaks[row[2]][0], *row))
        print(*lines[-1], sep="\t", flush=True)
    peaks_text = "; ".join(f"{p}: {value:.3g} TFLOP/s ({by})" for p, (value, by) in peaks.items())
    text = f"{sized.name_of(device)}; peak of {peaks_text}\n\n{table(TITLES, lines)}\n"
    print(text, end="")
    write_text(arguments.out / "training.md", text)


def _row(
    arguments: argparse.Namespace, device: torch.device, peak: float, size: str, batch: int,
    precision: str, checkpointing: str, compiled: str,
) -> list[str]:  # fmt: skip
    settings = [size, str(batch), precision, checkpointing, compiled]
    try:
        rate, tera, gib = measured(
            arguments, device, size, batch, precision, checkpointing == "yes", compiled == "yes"
        )
    except torch.OutOfMemoryError:
        return [*settings, *["out of memory"] * 4]
    share = rate / batch * tera / peak
    return [*settings, f"{rate:.1f}", f"{tera:.3g}", f"{share:.1%}", f"{gib:.1f}"]


def measured(
    arguments: argparse.Namespace, device: torch.device, size: str, batch: int, precision: str,
    checkpointing: bool, compiled: bool,
) -> tuple[float, float, float]:  # fmt: skip
    """Samples a second, TFLOP of a step, GiB."""
    parser = sized.parts(arguments.bundle, size, arguments.volume)
    model = parser.get_parsed_content("model")
    slices = min(batch, 8)
    pixels = int(parser.get_parsed_content("generation")["image_size"])
    batches = Same(model, batch // slices, slices, arguments.volume, pixels)
    stage = training.DiffusionStage(model, parser.get_parsed_content("scheduler"))
    sized.begin_memory(device)
    training.placed(stage, device, channels_last=True)
    tera = flops_of(stage, batches.batch, device) / 1e12
    training.tune(training.unets(model), compiled, checkpointing)
    optimizer = torch.optim.AdamW([p for p in stage.parameters() if p.requires_grad], fused=True)
    ema, clock = training.EMA(stage), [0.0]
    trainer = training.StageTrainer(
        device, WARMING + arguments.steps, WARMING + arguments.steps,
        training.training_loader(batches), stage, optimizer, precision,
        accumulation=arguments.accumulation, train_handlers=[ema],
    )  # fmt: skip
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=WARMING), lambda: clock.append(sized.now(device))
    )
    trainer.run()
    seconds = sized.now(device) - clock[-1]
    return arguments.steps * batch / seconds, tera, sized.memory(device)


def flops_of(stage: torch.nn.Module, batch: Batch, device: torch.device) -> int:
    """Operations of forward and backward pass; a product with a sum counts two.

    Counted on one case, since they grow with the number of cases alone.
    """
    cases = len(batch["radiograph"])
    one = training.batches.parts_of(batch, cases)[0]
    with FlopCounterMode(display=False) as counter:
        stage(to_device(one, device))["loss"].backward()
    stage.zero_grad(set_to_none=True)
    return counter.get_total_flops() * cases


if __name__ == "__main__":
    main()
