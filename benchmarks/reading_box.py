"""What the reading box costs: the same file prepared in it and in this process, in turns.

    python benchmarks/reading_box.py --out out/bench

A normal radiograph may take at most 30 ms longer in the box, and 5 %, from the bytes to the picture
that a model takes (decoding, finding the knee, cutting it out). It is prepared in both ways one
after the other, so that whatever else the machine does meets both; the median of the differences
counts. On a busy machine a process that has just been forked waits for its turn more often than one
that runs already: there, the processor time of all processes together says more. It includes the
next fork, which is made while nobody waits. Most of what a fork costs are its page faults: its
arrays lie in memory that it has to ask for anew, by large pages where the system has them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from monai_app.lib.reading_box import ReadingBox
from xr2mri_core.phantom.dicom import write_radiograph_dicom
from xr2mri_core.reading import prepare_radiograph

MOST_MS, MOST_SHARE = 30.0, 0.05
ROWS, COLUMNS = 2048, 1792  # of a knee on a detector with pixels of 0.14 mm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--times", type=int, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(write_sample(Path(folder)), given.times)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "reading_box.json").write_text(json.dumps(figures, indent=2) + "\n")
    table = Table("", "ms here", "in the box", "more", "quartiles", "CPU ms here", "in the box")
    for name, row in figures.items():
        wall = [f"{row[column]:.0f}" for column in ("here_ms", "box_ms", "more_ms")]
        worked = [f"{row[column]:.0f}" for column in ("here_cpu_ms", "box_cpu_ms")]
        spread = f"{row['first_quartile_ms']:.0f} to {row['third_quartile_ms']:.0f}"
        table.add_row(name, *wall, spread, *worked)
    Console().print(table)
    row = figures["prepare"]
    share = row["more_ms"] / row["here_ms"]
    verdict = "holds" if row["more_ms"] <= MOST_MS and share <= MOST_SHARE else "does not hold"
    print(f"{verdict}: at most {MOST_MS:g} ms and {MOST_SHARE:.0%} more (now {share:.1%})")


def write_sample(folder: Path) -> Path:
    """A radiograph of usual size: 12 bits, uncompressed, with noise."""
    rows, columns = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    knee = np.exp(-4 * columns**2) * (1 - 0.7 * np.exp(-((rows / 0.03) ** 2)))
    noise = np.random.default_rng(0).normal(0, 0.01, knee.shape)
    path = folder / "knee.dcm"
    pixels = np.round(4095 * np.clip(knee + noise, 0, 1)).astype(np.uint16)
    return write_radiograph_dicom(path, pixels, 0.14, patient_id="bench")


def measure(path: Path, times: int) -> dict[str, dict[str, float]]:
    """Seconds of the whole preparation, here and in the box."""
    box, content = ReadingBox(), path.read_bytes()
    box.prepare(content, 256)  # readers and detector are loaded
    steps: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "prepare": (lambda: prepare_radiograph(path, 256), lambda: box.prepare(content, 256)),
    }
    figures = {}
    for name, (here, there) in steps.items():
        here()
        taken = np.array([[*_timed(here), *_timed(there)] for _ in range(times)]) * 1e3
        first, more, third = np.percentile(taken[:, 2] - taken[:, 0], (25, 50, 75))
        middle = np.median(taken, axis=0)
        mean = taken.mean(axis=0)
        figures[name] = {
            "here_ms": float(middle[0]),
            "box_ms": float(middle[2]),
            "more_ms": float(more),
            "first_quartile_ms": float(first),
            "third_quartile_ms": float(third),
            "here_cpu_ms": float(mean[1]),
            "box_cpu_ms": float(mean[3]),
        }
    box.close()
    return figures


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a call, and of processor time: of this process, the box, and what it has ended."""
    started, worked = time.perf_counter(), _worked()
    call()
    return time.perf_counter() - started, _worked() - worked


def _worked() -> float:
    return time.process_time() + sum(
        sum(process.cpu_times()[:4]) for process in psutil.Process().children()
    )


if __name__ == "__main__":
    main()
