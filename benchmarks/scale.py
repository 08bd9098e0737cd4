"""Time and memory of `xr2mri generate` by the number of slices, and of many knees by processes.

    .venv/bin/python benchmarks/scale.py --radiograph demo/radiograph.dcm --out out/bench

Each row is a command of its own, started as a user starts it. Processor time is reported beside
that of the clock, since other programs disturb it less; memory is the most that one process held.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from xr2mri_core.evaluation.summary import table
from xr2mri_core.files import write_text

TITLES = ["command", "clock, s", "processor, s", "memory, MB"]


@dataclass(frozen=True)
class Cost:
    """Of a command with its processes; memory is that of the largest of them."""

    clock: float
    processor: float
    megabytes: float


def run(words: Sequence[str]) -> Cost:
    """Run ``xr2mri`` with these words."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "xr2mri_core.cli", *words], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(words))
    return Cost(
        time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    )  # kB on Linux


def main() -> None:
    """Print the table, row by row, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--radiograph", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--slices", type=int, nargs="*", default=[1, 50, 500, 2000])
    parser.add_argument("--kinds", nargs="+", default=["mean", "sample"])
    parser.add_argument("--knees", type=int, default=8, help="of the rows of many knees; 0: none")
    parser.add_argument("--jobs", type=int, nargs="*", default=[1, 2, 4])
    arguments = parser.parse_args()
    lines: list[list[str]] = []

    def tell(what: str, cost: Cost) -> None:
        cells = [f"{cost.clock:.1f}", f"{cost.processor:.1f}", f"{cost.megabytes:.0f}"]
        lines.append([what, *cells])
        print(*lines[-1], sep="\t", flush=True)

    for kind in arguments.kinds:
        for count in arguments.slices:
            with TemporaryDirectory() as out:
                words = ["generate", "--radiograph", str(arguments.radiograph), "--out", out]
                words += ["--slices", str(count), "--kind", kind, "--device", arguments.device]
                tell(f"{count} slices, {kind}", run(words))
    for jobs in arguments.jobs if arguments.knees else ():
        with TemporaryDirectory() as folder:
            for index in range(arguments.knees):
                name = f"{index}{arguments.radiograph.suffix}"
                shutil.copy(arguments.radiograph, Path(folder) / name)
            words = ["generate", "--folder", folder, "--out", f"{folder}/out", "--kind", "mean"]
            words += ["--jobs", str(jobs), "--device", arguments.device]
            tell(f"{arguments.knees} knees of 50 slices, mean, --jobs {jobs}", run(words))
    write_text(arguments.out / "scale.md", table(TITLES, lines) + "\n")


if __name__ == "__main__":
    main()
