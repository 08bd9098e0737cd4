"""What the reading box costs: the same file prepared in it and in this process, in turns.

    python benchmarks/reading_box.py --out out/bench

A normal radiograph may take at most 30 ms longer in the box, and 5 %, from the file to the picture
that a model takes (decoding, finding the knee, cutting it out). "Without" is the same chain on the
same open file in this process, by one thread as there, once it is warm: its memory has been touched
and its code has run. (What several threads make of it is reported, too; in the box they read other
files.) It is prepared in both ways one after the other, in turns of which comes first, so that
whatever else the machine does meets both; the median of the differences counts.

On a busy machine a process waits for its turn at each step from one to another: there, processor
time says more, of those that a client waits for: the calling thread, and the fork from when it is
handed its file. The next fork is made, confined and given its memory while nobody waits (some 50 ms
of a processor).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import torch
from rich.console import Console
from rich.table import Table

from monai_app.lib.reading_box import ReadingBox
from monai_app.lib.reading_box.box import _Fork
from xr2mri_core.phantom.dicom import write_radiograph_dicom
from xr2mri_core.reading import prepare_radiograph
from xr2mri_core.transforms.radiograph_file import read_stream

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
    table = Table("", "ms here", "in the box", "more", "quartiles")
    spread = f"{figures['first_quartile_ms']:.0f} to {figures['third_quartile_ms']:.0f}"
    wall = [f"{figures[column]:.1f}" for column in ("here_ms", "box_ms", "more_ms")]
    worked = [f"{figures[column]:.1f}" for column in ("here_cpu_ms", "box_cpu_ms", "more_cpu_ms")]
    table.add_row("by the clock", *wall, spread)
    table.add_row("on a processor", *worked, "")
    Console().print(table)
    print(f"here with {figures['threads']} threads: {figures['here_with_all_threads_ms']:.0f} ms")
    for kind, more, whole in (
        ("clock", "more_ms", "here_ms"),
        ("CPU", "more_cpu_ms", "here_cpu_ms"),
    ):
        share = figures[more] / figures[whole]
        verdict = "holds" if figures[more] <= MOST_MS and share <= MOST_SHARE else "does not hold"
        print(
            f"{kind}: {verdict}: at most {MOST_MS:g} ms and {MOST_SHARE:.0%} more (now {share:.1%})"
        )


def write_sample(folder: Path) -> Path:
    """A radiograph of usual size: 12 bits, uncompressed, with noise."""
    rows, columns = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    knee = np.exp(-4 * columns**2) * (1 - 0.7 * np.exp(-((rows / 0.03) ** 2)))
    noise = np.random.default_rng(0).normal(0, 0.01, knee.shape)
    path = folder / "knee.dcm"
    pixels = np.round(4095 * np.clip(knee + noise, 0, 1)).astype(np.uint16)
    return write_radiograph_dicom(path, pixels, 0.14, patient_id="bench")


def measure(path: Path, times: int) -> dict[str, float]:
    """Seconds of the whole preparation, here and in the box, from an open file, as uploads are."""
    box = ReadingBox()
    with path.open("rb") as file, _forks_watched() as reading:
        box.prepare(file, 256)  # readers and detector are loaded

        def here() -> object:
            file.seek(0)
            return prepare_radiograph(read_stream(file, path.name), 256)

        def there() -> object:
            return box.prepare(file, 256, name=path.name)

        assert box._forks is not None and box._forks._process is not None
        origin = psutil.Process(box._forks._process.pid)

        threads = torch.get_num_threads()
        here()
        with_all = [_timed(here)[0] for _ in range(max(1, times // 5))]
        torch.set_num_threads(1)
        here()
        rows = []
        for turn in range(times):
            reading.clear()
            taken = {}
            for way in (here, there) if turn % 2 else (there, here):
                _wait_for_a_fork(origin)
                taken[way] = _timed(way)
            rows.append([*taken[here], *taken[there], sum(reading)])
    box.close()
    torch.set_num_threads(threads)
    wall, cpu, wall_there, cpu_there, cpu_reading = np.array(rows).T * 1e3
    first_quartile, more, third_quartile = np.percentile(wall_there - wall, (25, 50, 75))
    waited_for = cpu_there + cpu_reading
    return {
        "here_ms": float(np.median(wall)),
        "box_ms": float(np.median(wall_there)),
        "more_ms": float(more),
        "first_quartile_ms": float(first_quartile),
        "third_quartile_ms": float(third_quartile),
        "here_cpu_ms": float(np.median(cpu)),
        "box_cpu_ms": float(np.median(waited_for)),
        "calling_cpu_ms": float(np.median(cpu_there)),
        "threads": threads,
        "here_with_all_threads_ms": float(np.median(with_all)) * 1e3,
        "more_cpu_ms": float(np.median(waited_for - cpu)),
    }


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a call by the clock, and on a processor in this thread."""
    started, worked = time.perf_counter(), time.thread_time()
    call()
    return time.perf_counter() - started, time.thread_time() - worked


def _wait_for_a_fork(origin: psutil.Process) -> None:
    """Wait until the next one has its memory and waits for a file."""
    while True:
        states = [fork.status() for fork in origin.children()]
        if psutil.STATUS_SLEEPING in states and psutil.STATUS_RUNNING not in states:
            return
        time.sleep(0.02)


@contextmanager
def _forks_watched() -> Iterator[list[float]]:
    """The seconds on a processor of each fork, from when it is handed its file."""
    seconds: list[float] = []
    answer = _Fork.answer

    def watched(fork: _Fork, *given: Any) -> bytes:
        before = _on_processor(fork._process)
        said = answer(fork, *given)
        seconds.append(_on_processor(fork._process) - before)
        return said

    with patch.object(_Fork, "answer", watched):
        yield seconds


def _on_processor(process: int) -> float:
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


if __name__ == "__main__":
    main()
