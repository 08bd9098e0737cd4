"""The server under load: ``python benchmarks/server.py``.

Starts the real server on a free loopback port with the shipped model and a few phantom radiographs.

- **Overhead** of a 50-slice volume by HTTP, told in two ways. Against the bare generator in a
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
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import requests
import torch
from attacker import Attacker

from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.local_server import LocalServer
from xr2mri_core.phantom.dataset import write_cases
from xr2mri_core.shipped import app_folder

UNSEEN_SEED = 8_500_000
SMALL: dict[str, Any] = {"num_slices": 2, "steps": 2}
MODEL = "knee_xr2mri"
ATTACKER = ("mallory", "correct horse battery")
NICE = 5  # `monai_app.lib.device_queue.NICE`, by which the thread that generates stands back

Item = tuple[str, str, int]
"""What a client does (a key of `CLIENTS`), with which image and which seed."""


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


class Served:
    """The server, which may be killed and come back at another address with the same temp folder.

    Args:
        studies: folder of radiographs.
        folder: for its files.
    """

    def __init__(self, studies: Path, folder: Path) -> None:
        self.studies, self.folder = studies, folder
        self.temp = folder / "temp"
        self.temp.mkdir()
        self.server = self._started()
        self.idle = self.files()

    def _started(self) -> LocalServer:
        folder = self.folder / uuid.uuid4().hex
        options = ["--conf", "max_queue", "64", "--conf", "allow_anonymous_remote", "yes"]
        options += ["--conf", "users_file", str(self._users())]
        server = LocalServer(app_folder(), self.studies, folder, *options, TMPDIR=str(self.temp))
        return server.wait(600)

    def _users(self) -> Path:
        """A file with the attacker; the others do not log in."""
        path = self.folder / "users.json"
        command = [sys.executable, "-m", "monai_app.lib.security.users", "--file", str(path), "add"]
        environment = {**os.environ, "PYTHONPATH": str(app_folder().parent)}
        name, password = ATTACKER
        subprocess.run([*command, name], input=password, env=environment, text=True, check=True)
        return path

    def kill(self) -> None:
        """`kill -9`, and start it again."""
        self.server.stop(signal.SIGKILL)
        self.server = self._started()

    def insist(self, ask: Callable[[str], Any], seconds: float = 900) -> Any:
        """What ``ask(url)`` returns, asked again while there is no server or its line is full."""
        limit = time.monotonic() + seconds
        while True:
            try:
                reply = ask(self.server.url)
                if not isinstance(reply, requests.Response) or reply.status_code != 429:
                    return reply
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                if time.monotonic() > limit:
                    raise
            time.sleep(0.5)

    def most_memory(self, seconds: float = 0.5) -> Callable[[], int]:
        """Watches the resident MB from now on; call what is returned for the highest level."""
        levels, done = [0], threading.Event()
        process = psutil.Process(self.server.process.pid)

        def watch() -> None:
            while not done.wait(seconds):
                levels.append(process.memory_info().rss >> 20)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()

        def highest() -> int:
            done.set()
            thread.join()
            return max(levels)

        return highest

    def files(self) -> set[str]:
        """Files in its temp folder, the log settings of MONAI Label left out."""
        found = (path for path in self.temp.rglob("*") if path.is_file())
        return {str(path) for path in found if path.suffix != ".json"}

    def memory(self) -> int:
        """Resident MB, after it had a moment to let go."""
        time.sleep(3)
        return psutil.Process(self.server.process.pid).memory_info().rss >> 20

    def cpu(self) -> float:
        """CPU seconds that it has used."""
        used = psutil.Process(self.server.process.pid).cpu_times()
        return used.user + used.system

    def cpu_of_threads(self) -> dict[int, float]:
        """The same of each thread."""
        threads = psutil.Process(self.server.process.pid).threads()
        return {thread.id: thread.user_time + thread.system_time for thread in threads}


# --- overhead and latency -------------------------------------------------------------------------


def _overhead(
    served: Served, generator: KneeMRIGenerator, slices: int, pairs: int
) -> dict[str, Any]:
    """The same volume by HTTP and by the bare generator; a first pair warms both up."""
    study = sorted(served.studies.iterdir())[0]
    box = _located(served.server.url, study.stem)  # looking for the knee is the generator's work
    alike = ThreadPoolExecutor(1, initializer=_stand_back)

    around = []

    def by_http(seed: int) -> bytes:
        params, before = {"num_slices": slices, "seed": seed, "box": box}, served.cpu_of_threads()
        reply = _infer(served.server.url, study.stem, params, "image")
        reply.raise_for_status()
        used = {t: s - before.get(t, 0.0) for t, s in served.cpu_of_threads().items()}
        generating = max(used.values())
        around.append((sum(used.values()) - generating) / generating)
        return _voxels(reply.content)

    def bare(seed: int) -> bytes:
        work = alike.submit(generator.generate, study, num_slices=slices, seed=seed, box=box)
        return work.result().volume.tobytes("F")

    spent: dict[str, list[np.ndarray]] = {"http": [], "bare": []}
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
    # With more threads those that help the generating one cannot be told from the others.
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
    job = _start(url, sorted(served.studies.iterdir())[0].stem, {"num_slices": 900})
    with _latencies(served) as seconds:
        time.sleep(15)
    assert requests.delete(f"{url}/jobs/{job}", timeout=300).json()["state"] == "cancelled"
    return _told("info while generating", seconds)


@contextmanager
def _latencies(served: Served) -> Iterator[list[float]]:
    """Seconds that `/info/` takes, asked for five times a second."""
    seconds: list[float] = []
    done = threading.Event()

    def watch() -> None:
        with requests.Session() as session:
            while not done.wait(0.2):
                started = time.perf_counter()
                try:
                    session.get(f"{served.server.url}/info/", timeout=60).raise_for_status()
                except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                    continue  # it was killed
                seconds.append(time.perf_counter() - started)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seconds
    finally:
        done.set()
        watcher.join()


def _told(name: str, seconds: list[float]) -> dict[str, Any]:
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
    with _latencies(served) as seconds:
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
        **_told("info under load", seconds),
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
    told: dict[str, Any] = {"requests, each time": count, "clients": clients}
    times: dict[str, dict[str, float]] = {}
    for name in ("alone", "attacked"):
        attacker = Attacker(lambda: served.server.url, ATTACKER, MODEL, images[0])
        outcomes: Counter[str] = Counter()
        taken: dict[str, list[float]] = {}

        def one(item: Item, outcomes: Counter[str] = outcomes, taken: dict = taken) -> None:
            before = time.perf_counter()
            outcomes[CLIENTS[item[0]](served, item, expected)] += 1
            taken.setdefault(item[0], []).append(time.perf_counter() - before)

        highest = served.most_memory()
        with ExitStack() as open_:
            if name == "attacked":
                open_.enter_context(attacker)
            seconds = open_.enter_context(_latencies(served))
            pool = open_.enter_context(ThreadPoolExecutor(clients))
            started = time.perf_counter()
            for future in [pool.submit(one, item) for item in work]:
                future.result()
            whole = time.perf_counter() - started
        times[name] = {kind: float(np.median(taken[kind])) for kind in ("good", "job")}
        told |= {
            f"{name}: seconds": round(whole, 1),
            f"{name}: outcomes": dict(sorted(outcomes.items())),
            f"{name}: wrong or lost": sum(
                n for kind, n in outcomes.items() if kind.startswith("WRONG")
            ),
            f"{name}: seconds of good requests, of jobs": [
                round(value, 1) for value in times[name].values()
            ],
            **_told(f"{name}: info", seconds),
            f"{name}: memory at most, MB": highest(),
        }
        print(f"{name}: {whole:.0f} s, {dict(outcomes)}", file=sys.stderr, flush=True)
    told["attacks"] = dict(attacker.done)
    told["time beside an attacker over alone"] = [
        round(times["attacked"][kind] / times["alone"][kind], 2) for kind in ("good", "job")
    ]
    time.sleep(30)  # what was cut off is given that time to go
    told["memory afterwards, MB"] = served.memory()
    told["files left in temp"] = len(served.files() - served.idle)
    return told


def _good(served: Served, item: Item, expected: dict[Any, str]) -> str:
    """A plain inference: the volume of this image and seed, and of no other."""
    _, image, seed = item
    reply = served.insist(lambda url: _infer(url, image, {**SMALL, "seed": seed}, "image"))
    digest = hashlib.sha256(_voxels(reply.content)).hexdigest() if reply.ok else ""
    return "good" if digest == expected[image, seed] else f"WRONG good {reply.status_code}"


def _job(served: Served, item: Item, expected: dict[Any, str]) -> str:
    """A job that is followed to its end, and started again when a restart has forgotten it."""
    _, image, seed = item
    key = uuid.uuid4().hex
    job = served.insist(lambda url: _start(url, image, {**SMALL, "seed": seed}, key))

    def get(part: str = "") -> requests.Response:
        return served.insist(lambda url: requests.get(f"{url}/jobs/{job}{part}", timeout=300))

    while (state := get()).ok and state.json()["state"] in ("queued", "running"):
        time.sleep(0.3)
    reply = get("/result")
    if reply.status_code == 404:
        return _job(served, item, expected)
    if not reply.ok:
        return f"WRONG job {reply.status_code}"
    served.insist(lambda url: requests.delete(f"{url}/jobs/{job}", timeout=300))
    digest = hashlib.sha256(_voxels(reply.content)).hexdigest()
    return "job" if digest == expected[image, seed] else "WRONG job"


def _cancelled(served: Served, item: Item, _: dict[Any, str]) -> str:
    """A long job that is cancelled at once; nothing is left of it."""
    job = served.insist(lambda url: _start(url, item[1], {"num_slices": 200, "seed": item[2]}))
    deleted = served.insist(lambda url: requests.delete(f"{url}/jobs/{job}", timeout=300))
    gone = served.insist(lambda url: requests.get(f"{url}/jobs/{job}", timeout=300))
    fine = deleted.status_code in (200, 404) and gone.status_code == 404  # 404: killed between
    return "cancel" if fine else f"WRONG cancel {deleted.status_code} {gone.status_code}"


def _hangs_up(served: Served, item: Item, _: dict[Any, str]) -> str:
    """A client that does not wait for its long volume."""
    params = {"num_slices": 400, "seed": item[2]}
    try:
        reply = _infer(served.server.url, item[1], params, "image", timeout=0.5)
    except requests.RequestException:
        return "hang up"
    return "hang up" if reply.status_code == 429 else f"WRONG hang up {reply.status_code}"


def _refused(
    status: int, model: str = MODEL, image: str = "", upload: bytes = b"", **params: Any
) -> Callable[[Served, Item, dict[Any, str]], str]:
    """A client that sends what is wrong, and is told so."""

    def ask(served: Served, item: Item, _: dict[Any, str]) -> str:
        files = {"file": ("a.png", upload)} if upload else None
        given = {**SMALL, **params}

        def send(url: str) -> requests.Response:
            return _infer(url, image or item[1], given, "json", model, files)

        reply = served.insist(send)
        fine = reply.status_code == status and reply.json()["detail"]
        return item[0] if fine else f"WRONG {item[0]} {reply.status_code}"

    return ask


CLIENTS: dict[str, Callable[[Served, Item, dict[Any, str]], str]] = {
    "good": _good,
    "job": _job,
    "cancel": _cancelled,
    "hang up": _hangs_up,
    "bad grade": _refused(422, features={"V00XRKL": 17}),
    "no image": _refused(404, image="nobody"),
    "unknown model": _refused(404, model="nothing"),
    "not a picture": _refused(415, upload=b"no picture"),
}


def _start(url: str, image: str, params: dict[str, Any], key: str | None = None) -> str:
    """Start a job; returns its id."""
    while True:
        reply = requests.post(
            f"{url}/jobs/infer/{MODEL}",
            params={"image": image},
            data={"params": json.dumps(params)},
            headers={"Idempotency-Key": key} if key else None,
            timeout=300,
        )
        if reply.status_code != 429:
            reply.raise_for_status()
            return str(reply.json()["id"])
        time.sleep(0.5)


def _located(url: str, image: str) -> list[int]:
    """The crop that generation would take."""
    reply = requests.post(f"{url}/locate/{MODEL}", params={"image": image}, timeout=600)
    reply.raise_for_status()
    return list(reply.json()["box"])


def _infer(
    url: str,
    image: str,
    params: dict[str, Any],
    output: str,
    model: str = MODEL,
    files: dict[str, Any] | None = None,
    timeout: float = 900,
) -> requests.Response:
    """Plain inference."""
    return requests.post(
        f"{url}/infer/{model}",
        params={"image": image, "output": output},
        data={"params": json.dumps(params)},
        files=files,
        timeout=timeout,
    )


def _voxels(content: bytes) -> bytes:
    """The voxels of a NIfTI file, in file order."""
    offset = int(np.frombuffer(content, "<f4", 1, 108)[0])
    return content[offset:]


if __name__ == "__main__":
    # All that is asked here is on this machine; the lower-case name has precedence in requests.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    main()
