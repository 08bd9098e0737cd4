"""How long `/info/` takes, asked for five times a second by a process of its own.

A thread beside the benchmark's clients would measure them instead: they hold Python's lock for
milliseconds at a time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from served import Served

EVERY = 0.2  # seconds


@contextmanager
def latencies(served: Served) -> Iterator[list[float]]:
    """Seconds of each call within; they are there at the end."""
    seconds: list[float] = []
    asking = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert asking.stdin is not None and asking.stdout is not None
    done = threading.Event()

    def tell(stdin=asking.stdin) -> None:
        """Where the server is, which comes back elsewhere when it was killed."""
        known = ""
        while not done.wait(EVERY / 2):
            if known != served.server.url:
                known = served.server.url
                stdin.write(f"{known}\n")
                stdin.flush()

    telling = threading.Thread(target=tell)
    telling.start()
    try:
        yield seconds
    finally:
        done.set()
        telling.join()
        asking.stdin.close()
        seconds += json.loads(asking.stdout.read() or "[]")
        asking.wait()


def main() -> None:
    """Ask where each line of standard input says, until it ends; then tell all seconds."""
    where, ended, seconds = [""], threading.Event(), []

    def listen() -> None:
        for line in sys.stdin:
            where[0] = line.strip()
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    with requests.Session() as session:
        session.trust_env = False  # a proxy is not what is measured
        while not ended.wait(EVERY):
            started = time.perf_counter()
            try:
                if where[0]:
                    session.get(f"{where[0]}/info/", timeout=60).raise_for_status()
                    seconds.append(time.perf_counter() - started)
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                continue  # it was killed
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
