"""The server under load: ``python benchmarks/server.py``.

Starts the real server on a free loopback port with the shipped model and a few phantom radiographs.

- **Overhead** of a 50-slice volume by HTTP, measured in two ways. Against the bare generator in a
  thread of this process, of the same priority, in pairs of alternating order: wall clock and CPU
  seconds. And within each request, which other work of the machine hardly disturbs: CPU seconds of
  the server's other threads (HTTP, the reading of the radiograph, the file of the reply) against
  those of the thread that generates.
- **While generating**: the latency of `/info/`.
- **Load**: 32 clients, 200 requests of mixed good and bad input, some cancelled, some disconnected;
  every answer is held against its own request by the SHA-256 of the volume that the bare generator
  makes of its image and seed. In the first half the server is ended by ``kill -9`` and started
  again, and the clients insist; after the second half memory is compared with its level after the
  first, and the temp folder with that of an idle server.

Prints a table and writes ``server.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import requests
import torch
from attacker import Attacking
from clients import CLIENTS, MODEL, SMALL, Item, infer, located, start, voxels
from latency import latencies
from numpy.typing import NDArray
from served import ATTACKER, Served

from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.phantom.dataset import write_cases

UNSEEN_SEED = 8_500_000
NICE = 5  # `monai_app.lib.device_queue.NICE`, by which the thread that generates stands back


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--slices", type=int, default=50, help="of the volume for the overhead")
    parser.add_argument("--pairs", type=int, default=6, help="of served and bare generation")
    parser.add_argument("--attacked", action="store_true", help="beside an attacker, nothing else")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        results = _run(Path(folder), arguments)
    (arguments.out / "server.json").write_text(json.dumps(results, indent=2) + "\n")
    for name, value in results.items():
        print(f"{name:38} {value}")


def _run(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    studies = folder / "studies"
    write_cases(folder / "phantom", 3, UNSEEN_SEED, jobs=1)
    studies.mkdir()
    for case in sorted((folder / "phantom" / "cases").iterdir()):
        (studies / f"{case.name}.dcm").write_bytes((case / "radiograph.dcm").read_bytes())
    served = Served(studies, folder)
    generator = KneeMRIGenerator.from_bundle()
    try:
        results: dict[str, Any] = {"threads of torch": torch.get_num_threads()}
        if arguments.attacked:
            return results | _attacked(served, generator, arguments.clients, arguments.requests)
        results |= _overhead(served, generator, arguments.slices, arguments.pairs)
        results |= _while_generating(served)
        results |= _load(served, generator, arguments.clients, arguments.requests)
    finally:
        served.server.stop()
    return results


# --- overhead and latency -------------------------------------------------------------------------


def _overhead(
    served: Served, generator: KneeMRIGenerator, slices: int, pairs: int
) -> dict[str, Any]:
    """The same volume by HTTP and by the bare generator; a first pair warms both up."""
    study = sorted(served.studies.iterdir())[0]
    box = located(served.server.url, study.stem)  # looking for the knee is the generator's work
    alike = ThreadPoolExecutor(1, initializer=_stand_back)

    around = []

    def by_http(seed: int) -> bytes:
        params, before = {"num_slices": slices, "seed": seed, "box": box}, served.cpu_of_threads()
        reply = infer(served.server.url, study.stem, params, "image")
        reply.raise_for_status()
        used = {t: s - before.get(t, 0.0) for t, s in served.cpu_of_threads().items()}
        generating = max(used.values())
        around.append((sum(used.values()) - generating) / generating)
        return voxels(reply.content)

    def bare(seed: int) -> bytes:
        work = alike.submit(generator.generate, study, num_slices=slices, seed=seed, box=box)
        return work.result().volume.tobytes("F")

    spent: dict[str, list[NDArray[np.float64]]] = {"http": [], "bare": []}
    for turn in range(pairs + 1):
        made = []
        for way in ("http", "bare") if turn % 2 else ("bare", "http"):
            cpu, make = (served.cpu, by_http) if way == "http" else (time.process_time, bare)
            before = np.array([time.perf_counter(), cpu()])
            made.append(make(turn))
            spent[way].append(np.array([time.perf_counter(), cpu()]) - before)
        assert made[0] == made[1], "another volume"
    http, alone = (np.array(spent[way][1:]) for way in ("http", "bare"))
    ratios, fastest = http / alone, http.min(axis=0) / alone.min(axis=0)
    # With more threads those that help the generating one cannot be separated from the others.
    share = round(float(np.median(around[1:])), 3) if torch.get_num_threads() == 1 else None
    return {
        "slices": slices,
        "bare: wall s, CPU s": np.median(alone, axis=0).round(2).tolist(),
        "served over bare, median: wall, CPU": np.median(ratios, axis=0).round(3).tolist(),
        "served over bare, fastest: wall, CPU": fastest.round(3).tolist(),
        "served over bare, CPU of the pairs": ratios[:, 1].round(3).tolist(),
        "CPU around the generation, share (one thread only)": share,
    }


def _stand_back() -> None:
    """Give this thread the priority of the server's generating thread."""
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICE)


def _while_generating(served: Served) -> dict[str, Any]:
    """`/info/` while one long volume is generated."""
    url = served.server.url
    job = start(url, sorted(served.studies.iterdir())[0].stem, {"num_slices": 900})
    with latencies(served) as seconds:
        time.sleep(15)
    assert requests.delete(f"{url}/jobs/{job}", timeout=300).json()["state"] == "cancelled"
    return _percentiles("info while generating", seconds)


def _percentiles(name: str, seconds: list[float]) -> dict[str, Any]:
    half, most = np.percentile(seconds, [50, 95]) * 1000
    return {f"{name}, median, ms": round(half, 1), f"{name}, 95 %, ms": round(most, 1)}


# --- load -----------------------------------------------------------------------------------------


def _load(served: Served, generator: KneeMRIGenerator, clients: int, count: int) -> dict[str, Any]:
    chance = random.Random(0)
    images = sorted(path.stem for path in served.studies.iterdir())
    work = [(chance.choice(list(CLIENTS)), chance.choice(images), n) for n in range(count)]
    expected = _expected(served, generator, work)
    outcomes: Counter[str] = Counter()

    def one(item: Item) -> None:
        outcomes[CLIENTS[item[0]](served, item, expected)] += 1

    def half(items: list[Item], kill: bool) -> None:
        with ThreadPoolExecutor(clients) as pool:
            futures = [pool.submit(one, item) for item in items]
            if kill:
                while outcomes.total() < len(items) // 4:
                    time.sleep(0.05)
                served.kill()
            for future in futures:
                future.result()

    started = time.perf_counter()
    with latencies(served) as seconds:
        half(work[: count // 2], kill=True)
        level = served.memory()
        half(work[count // 2 :], kill=False)
    seconds_in_all = time.perf_counter() - started
    return {
        "requests": outcomes.total(),
        "clients": clients,
        "seconds": round(seconds_in_all, 1),
        "outcomes": dict(sorted(outcomes.items())),
        "wrong or lost": sum(n for name, n in outcomes.items() if name.startswith("WRONG")),
        **_percentiles("info under load", seconds),
        "memory after the first half, MB": level,
        "memory after the second half, MB": served.memory(),
        "files left in temp": len(served.files() - served.idle),
    }


def _expected(served: Served, generator: KneeMRIGenerator, work: list[Item]) -> dict[Any, str]:
    """The SHA-256 of each volume that is to come."""
    return {
        (image, seed): hashlib.sha256(
            generator.generate(served.studies / f"{image}.dcm", seed=seed, **SMALL).volume.tobytes(
                "F"
            )
        ).hexdigest()
        for kind, image, seed in work
        if kind in ("good", "job")
    }


def _attacked(
    served: Served, generator: KneeMRIGenerator, clients: int, count: int
) -> dict[str, Any]:
    """Good users alone, and beside an attacker: what they get, when, and what it costs."""
    chance = random.Random(1)
    images = sorted(path.stem for path in served.studies.iterdir())
    work = [(chance.choice(list(CLIENTS)), chance.choice(images), n) for n in range(count)]
    expected = _expected(served, generator, work)
    found: dict[str, Any] = {"requests, each time": count, "clients": clients}
    times: dict[str, dict[str, float]] = {}
    attacker = Attacking(served.server.url, ATTACKER, MODEL, images[0])
    for name in ("alone", "attacked"):
        beside = attacker if name == "attacked" else nullcontext()
        figures, times[name] = _good_users(served, work, expected, clients, beside)
        found |= {f"{name}: {what}": value for what, value in figures.items()}
    found["attacks"] = attacker.done
    found["time beside an attacker over alone"] = [
        round(times["attacked"][kind] / times["alone"][kind], 2) for kind in ("good", "job")
    ]
    time.sleep(30)  # what was cut off is given that time to go
    found["memory afterwards, MB"] = served.memory()
    found["files left in temp"] = len(served.files() - served.idle)
    return found


def _good_users(
    served: Served,
    work: list[Item],
    expected: dict[Any, str],
    clients: int,
    beside: AbstractContextManager[Any],
) -> tuple[dict[str, Any], dict[str, float]]:
    """All of the work by so many clients: the figures, and the median seconds of good requests."""
    outcomes: Counter[str] = Counter()
    taken: dict[str, list[float]] = {}

    def one(item: Item) -> None:
        before = time.perf_counter()
        outcomes[CLIENTS[item[0]](served, item, expected)] += 1
        taken.setdefault(item[0], []).append(time.perf_counter() - before)

    highest = served.most_memory()
    with beside, latencies(served) as seconds, ThreadPoolExecutor(clients) as pool:
        started = time.perf_counter()
        for future in [pool.submit(one, item) for item in work]:
            future.result()
        whole = time.perf_counter() - started
    print(f"{whole:.0f} s, {dict(outcomes)}", file=sys.stderr, flush=True)
    medians = {kind: float(np.median(taken[kind])) for kind in ("good", "job")}
    figures = {
        "seconds": round(whole, 1),
        "outcomes": dict(sorted(outcomes.items())),
        "wrong or lost": sum(n for kind, n in outcomes.items() if kind.startswith("WRONG")),
        "seconds of good requests, of jobs": [round(value, 1) for value in medians.values()],
        **_percentiles("info", seconds),
        "memory at most, MB": highest(),
    }
    return figures, medians


if __name__ == "__main__":
    # All that is asked here is on this machine; the lower-case name has precedence in requests.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    main()
