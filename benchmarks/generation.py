"""What a volume costs on a device: seconds and memory by size, steps, and compiled or not.

    .venv/bin/python benchmarks/generation.py --device cuda --precision bf16 --out out/bench

Networks have no weights here, which changes no time; so a distilled student is its teacher's
network at one, two and four steps of DDIM. Each row is `generate` of one knee whose radiograph was
read already: encoders, denoiser, decoder, the volume in memory; no file is written. The first
volume, which compiles and chooses kernels, has a column of its own; of the others it is the median.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sized
import torch

from xr2mri_core.devices import best_device, usable_device
from xr2mri_core.evaluation.summary import table
from xr2mri_core.files import write_text
from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.recipe import PRECISIONS
from xr2mri_core.training import tune, unets

TITLES = ["size", "what", "steps", "compiled", "first volume, s", "volume, s", "memory, GiB"]
WAYS: dict[str, tuple[str, int]] = {
    "as in the paper": ("ddim", 50),
    "few steps": ("unipc", 6),
    "distilled, 4": ("ddim", 4),
    "distilled, 2": ("ddim", 2),
    "distilled, 1": ("ddim", 1),
}


def main(words: Sequence[str] | None = None) -> None:
    """Print the table, row by row, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--device", default=best_device())
    parser.add_argument("--bundle", type=Path, help="another bundle's folder")
    parser.add_argument("--sizes", nargs="+", default=["compact", "paper"])
    parser.add_argument("--plain", action="store_true", help="without the overlay volume.yaml")
    parser.add_argument("--slices", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=64, help="slices in one pass")
    parser.add_argument("--precision", default="bf16", choices=PRECISIONS)
    parser.add_argument("--compile", nargs="+", default=["no", "yes"], choices=("no", "yes"))
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args(words)
    device = usable_device(arguments.device)
    lines: list[list[str]] = []
    for size, compiled in itertools.product(arguments.sizes, arguments.compile):
        generator = _generator(arguments, device, size, compiled == "yes")
        for what, (sampler, steps) in WAYS.items():
            costs = _costs(arguments, device, generator, sampler, steps)
            lines.append([size, what, str(steps), compiled, *costs])
            print(*lines[-1], sep="\t", flush=True)
        del generator
    text = (
        f"{sized.name_of(device)}; {arguments.slices} slices, {arguments.precision}, "
        f"{arguments.repeats} volumes\n\n{table(TITLES, lines)}\n"
    )
    print(text, end="")
    write_text(arguments.out / "generation.md", text)


def _generator(
    arguments: argparse.Namespace, device: torch.device, size: str, compiled: bool
) -> KneeMRIGenerator:
    parser = sized.parts(arguments.bundle, size, not arguments.plain)
    generator = KneeMRIGenerator(
        parser.get_parsed_content("model"),
        parser.get_parsed_content("scheduler"),
        parser.get_parsed_content("generation"),
        device,
        arguments.precision,
    )
    tune(unets(generator.model), compiled)
    return generator


def _costs(
    arguments: argparse.Namespace, device: torch.device, generator: KneeMRIGenerator,
    sampler: str, steps: int,
) -> list[str]:  # fmt: skip
    """First volume, others, memory: as cells."""
    side = generator.image_size
    picture = np.tile(np.linspace(0, 255, side).astype(np.uint8), (side, 1))
    radiograph = generator.read(picture, "R", (0, 0, side, side))
    sized.begin_memory(device)
    seconds = []
    try:
        for seed in range(1 + arguments.repeats):
            started = sized.now(device)
            made = generator.generate(
                radiograph, num_slices=arguments.slices, seed=seed, steps=steps, sampler=sampler,
                batch_size=arguments.batch_size,
            )  # fmt: skip
            seconds.append(sized.now(device) - started)
    except torch.OutOfMemoryError:
        return ["out of memory"] * 3
    first, *others = seconds
    typical = statistics.median(others) if others else first
    batch = made.record["batch_size"]
    note = "" if batch == arguments.batch_size else f" ({batch} slices in one pass: out of memory)"
    return [f"{first:.2f}", f"{typical:.2f}", f"{sized.memory(device):.1f}{note}"]


if __name__ == "__main__":
    main()
