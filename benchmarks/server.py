"""The server under load: ``python benchmarks/server.py``.

Starts the real server on a free loopback port with the shipped model and a few phantom radiographs.

- **Overhead**: a 50-slice volume by HTTP against the bare generator in this process, as a ratio.
- **Load**: 32 clients, 200 requests of mixed good and bad input, some cancelled, some disconnected;
  every answer is checked against its own request (seed, image and SHA-256 of the volume), `/info/`
  is timed throughout, and the server's memory and temp folder are compared before and after.
- **kill -9** in the middle of the work, then a restart: the temp folder is empty again.

Prints a table and writes ``server.json``.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import random
import signal
import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import requests

from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.local_server import APP, LocalServer
from xr2mri_core.phantom.dataset import write_cases

UNSEEN_SEED = 8_500_000
SMALL: dict[str, Any] = {"num_slices": 2, "steps": 2}
KINDS = ("good", "bad grade", "no image", "unknown model", "not a picture", "cancel", "hang up")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--slices", type=int, default=50, help="of the volume for the overhead")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        results = _run(Path(folder), arguments)
    (arguments.out / "server.json").write_text(json.dumps(results, indent=2) + "\n")
    for name, value in results.items():
        print(f"{name:34} {value}")


def _run(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    studies = folder / "studies"
    write_cases(folder / "phantom", 3, UNSEEN_SEED)
    studies.mkdir()
    for case in sorted((folder / "phantom" / "cases").iterdir()):
        (studies / f"{case.name}.dcm").write_bytes((case / "radiograph.dcm").read_bytes())
    options = ("--conf", "max_queue", "64")
    server = LocalServer(APP, studies, folder / "server", *options).wait()
    try:
        results = _overhead(server.url, studies, arguments.slices)
        results |= _load(server, studies, arguments.clients, arguments.requests)
        results |= _killed(server, studies, folder)
    finally:
        server.stop()
    return results


def _overhead(url: str, studies: Path, slices: int) -> dict[str, Any]:
    """The same volume by HTTP and by the bare generator, in turn; the first pair is left out."""
    study = sorted(studies.iterdir())[0]
    generator = KneeMRIGenerator.from_bundle()
    served, bare = [], []
    for turn in range(4):
        started = time.perf_counter()
        reply = _infer(url, study.stem, {"num_slices": slices, "seed": turn}, "image")
        served.append(time.perf_counter() - started)
        reply.raise_for_status()
        started = time.perf_counter()
        generated = generator.generate(study, num_slices=slices, seed=turn)
        bare.append(time.perf_counter() - started)
        assert _voxels(reply.content) == generated.volume.tobytes("F"), "another volume"
    ratio = statistics.median(served[1:]) / statistics.median(bare[1:])
    return {
        f"{slices} slices, bare, s": round(statistics.median(bare[1:]), 2),
        f"{slices} slices, served, s": round(statistics.median(served[1:]), 2),
        "served over bare": round(ratio, 3),
    }


def _load(server: LocalServer, studies: Path, clients: int, count: int) -> dict[str, Any]:
    chance = random.Random(0)
    images = sorted(path.stem for path in studies.iterdir())
    work = [(chance.choice(KINDS), chance.choice(images), seed) for seed in range(count)]
    generator = KneeMRIGenerator.from_bundle()
    expected = {
        (image, seed): hashlib.sha256(
            generator.generate(studies / f"{image}.dcm", seed=seed, **SMALL).volume.tobytes("F")
        ).hexdigest()
        for kind, image, seed in work
        if kind == "good"
    }
    with ThreadPoolExecutor(clients) as pool:  # once through, so that memory has its level
        list(pool.map(lambda item: _ask(server.url, item, expected), work[:clients]))
    before, done, latencies = _memory_mb(server), threading.Event(), []

    def watch() -> None:
        with requests.Session() as session:
            while not done.wait(0.2):
                started = time.perf_counter()
                session.get(f"{server.url}/info/", timeout=60)
                latencies.append(time.perf_counter() - started)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        outcomes = Counter(pool.map(lambda item: _ask(server.url, item, expected), work))
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    return {
        "requests": count,
        "clients": clients,
        "seconds": round(seconds, 1),
        "outcomes": dict(sorted(outcomes.items())),
        "wrong or lost": sum(n for name, n in outcomes.items() if name.startswith("WRONG")),
        "info median, ms": round(1000 * statistics.median(latencies), 1),
        "info 95 %, ms": round(1000 * float(np.percentile(latencies, 95)), 1),
        "memory before, MB": before,
        "memory after, MB": _memory_mb(server),
        "files in temp": _files(server),
    }


def _ask(url: str, item: tuple[str, str, int], expected: dict[Any, str]) -> str:
    """One request (kind, image, seed); says what came of it, `WRONG ...` if it should not have."""
    kind, image, seed = item
    params: dict[str, Any] = {**SMALL, "seed": seed}
    if kind == "good":
        reply = _infer(url, image, params, "image")
        digest = hashlib.sha256(_voxels(reply.content)).hexdigest() if reply.ok else ""
        return kind if digest == expected[image, seed] else f"WRONG {kind} {reply.status_code}"
    if kind == "cancel":
        return _cancelled(url, image, params)
    if kind == "hang up":
        try:
            _infer(url, image, {**params, "num_slices": 200}, "image", timeout=0.5)
        except requests.RequestException:
            return kind
        return f"WRONG {kind}"
    model, wanted, files = "knee_xr2mri", 422, None
    if kind == "bad grade":
        params["features"] = {"V00XRKL": 17}
    elif kind == "no image":
        image, wanted = "nobody", 404
    elif kind == "unknown model":
        model, wanted = "nothing", 404
    else:
        files, wanted = {"file": ("a.png", b"no picture")}, 415
    reply = _infer(url, image, params, "json", model, files)
    return kind if reply.status_code == wanted else f"WRONG {kind} {reply.status_code}"


def _cancelled(url: str, image: str, params: dict[str, Any]) -> str:
    data = {"params": json.dumps({**params, "num_slices": 200})}
    started = requests.post(
        f"{url}/jobs/infer/knee_xr2mri", params={"image": image}, data=data, timeout=300
    )
    if started.status_code != 202:
        return f"WRONG cancel {started.status_code}"
    job = started.json()["id"]
    deleted = requests.delete(f"{url}/jobs/{job}", timeout=300)
    gone = requests.get(f"{url}/jobs/{job}", timeout=300).status_code == 404
    return "cancel" if deleted.ok and gone else f"WRONG cancel {deleted.status_code}"


def _infer(
    url: str,
    image: str,
    params: dict[str, Any],
    output: str,
    model: str = "knee_xr2mri",
    files: dict[str, Any] | None = None,
    timeout: float = 600,
) -> requests.Response:
    """Plain inference, again after a while when the line is full."""
    while True:
        reply = requests.post(
            f"{url}/infer/{model}",
            params={"image": image, "output": output},
            data={"params": json.dumps(params)},
            files=files,
            timeout=timeout,
        )
        if reply.status_code != 429:
            return reply
        time.sleep(min(2.0, float(reply.headers["Retry-After"])))


def _killed(server: LocalServer, studies: Path, folder: Path) -> dict[str, Any]:
    """`kill -9` while a volume is generated; what does the next server find?"""
    image = sorted(studies.iterdir())[0].stem
    data = {"params": json.dumps({"num_slices": 500})}
    requests.post(
        f"{server.url}/jobs/infer/knee_xr2mri", params={"image": image}, data=data, timeout=60
    ).raise_for_status()
    time.sleep(1)
    server.stop(signal.SIGKILL)
    again = LocalServer(APP, studies, folder / "again", TMPDIR=str(server.temp)).wait()
    try:
        answer = _infer(again.url, image, {**SMALL, "seed": 1}, "json")
        return {"after kill -9": answer.status_code, "files in temp after it": _files(server)}
    finally:
        again.stop()


def _voxels(content: bytes) -> bytes:
    """The voxels of a NIfTI file as it lies in a reply, in file order."""
    data = gzip.decompress(content)
    offset = int(np.frombuffer(data, "<f4", 1, 108)[0])
    return data[offset:]


def _memory_mb(server: LocalServer) -> int:
    """Resident memory of the server, after it had a moment to let go."""
    time.sleep(3)
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def _files(server: LocalServer) -> int:
    return sum(path.is_file() for path in server.temp.rglob("*"))


if __name__ == "__main__":
    os.environ.setdefault("NO_PROXY", "127.0.0.1")
    main()
