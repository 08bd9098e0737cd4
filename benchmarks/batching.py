"""What a slice costs by how many share a pass: is a larger batch cheaper?

    .venv/bin/python benchmarks/batching.py --out out/bench

Counted is processor time of one thread, which other programs disturb little. Slices of several
knees in one pass would cost what as many slices of one knee cost, so the table bounds what filling
batches across patients could gain.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from xr2mri_core.devices import best_device
from xr2mri_core.evaluation.summary import table
from xr2mri_core.files import write_text
from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.recipe import PRECISIONS

TITLES = ["slices in one pass", "ms a slice and step", "ms a slice, decoder"]


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--device", default=best_device())
    parser.add_argument("--slices", type=int, nargs="+", default=[5, 10, 25, 50, 100])
    parser.add_argument("--precision", default="fp32", choices=PRECISIONS)
    parser.add_argument(
        "--repeats", type=int, default=3, help="the shortest of so many is reported"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = KneeMRIGenerator.from_bundle(device=arguments.device, precision=arguments.precision)
    lines = []
    for count in arguments.slices:
        costs = _costs(generator, count, arguments)
        lines.append([str(count), *(f"{1000 * value:.1f}" for value in costs)])
        print(*lines[-1], flush=True)
    text = (
        f"{arguments.device}, {arguments.precision}, one thread, {arguments.repeats} repeats\n\n"
        f"{table(TITLES, lines)}\n"
    )
    print(text, end="")
    write_text(arguments.out / "batching.md", text)


@torch.inference_mode()
def _costs(
    generator: KneeMRIGenerator, count: int, arguments: argparse.Namespace
) -> tuple[float, float]:
    """Seconds of a denoiser's step and of the decoder for one slice, in passes of `count`."""
    model, device = generator.model, generator.device
    picture = torch.zeros(1, 1, generator.image_size, generator.image_size, device=device)
    code = model.encode_radiograph(picture)
    features = torch.from_numpy(model.guidance.encode({}, {}))[None].expand(count, -1).to(device)
    height, width = code.latent.shape[-2:]
    channels = int(cast(Any, model.unet).config.out_channels)
    z = torch.randn(count, channels, height, width, device=device)
    depths = torch.linspace(0, 1, count, device=device)
    step = torch.full((count,), 500, device=device)
    mean = None if model.regression is None else z
    slab = 1 if model.depth_mixing is None else count

    cast_down = torch.autocast(device.type, torch.bfloat16, enabled=arguments.precision == "bf16")

    def denoise() -> object:
        return model.denoise(z, step, code, depths, features, mean, slab)

    def decode() -> object:
        return model.to_image(z)

    repeats = arguments.repeats
    with cast_down:
        return _least(denoise, device, repeats) / count, _least(decode, device, repeats) / count


def _least(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    seconds = []
    for _ in range(repeats + 1):  # the first warms up
        started = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(clock() - started)
    return float(np.min(seconds[1:]))


if __name__ == "__main__":
    main()
