"""What the clients of the benchmark do: well, badly, impatiently."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import requests
from served import Served

SMALL: dict[str, Any] = {"num_slices": 2, "steps": 2}
LONG: dict[str, Any] = {"num_slices": 400, "steps": 1}
"""That nobody waits for."""
MODEL = "knee_xr2mri"

Item = tuple[str, str, int]
"""What a client does (a key of `CLIENTS`), with which image and which seed."""


def _good(served: Served, item: Item, expected: dict[Any, str]) -> str:
    """A plain inference: the volume of this image and seed, and of no other."""
    _, image, seed = item
    reply = served.insist(lambda url: infer(url, image, {**SMALL, "seed": seed}, "image"))
    digest = hashlib.sha256(voxels(reply.content)).hexdigest() if reply.ok else ""
    return "good" if digest == expected[image, seed] else f"WRONG good {reply.status_code}"


def _job(served: Served, item: Item, expected: dict[Any, str]) -> str:
    """A job that is followed to its end, and started again when a restart has forgotten it."""
    _, image, seed = item
    key = uuid.uuid4().hex
    job = served.insist(lambda url: start(url, image, {**SMALL, "seed": seed}, key))

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
    digest = hashlib.sha256(voxels(reply.content)).hexdigest()
    return "job" if digest == expected[image, seed] else "WRONG job"


def _cancelled(served: Served, item: Item, _: dict[Any, str]) -> str:
    """A long job that is cancelled at once; nothing is left of it."""
    job = served.insist(lambda url: start(url, item[1], {**LONG, "seed": item[2]}))
    deleted = served.insist(lambda url: requests.delete(f"{url}/jobs/{job}", timeout=300))
    gone = served.insist(lambda url: requests.get(f"{url}/jobs/{job}", timeout=300))
    fine = deleted.status_code in (200, 404) and gone.status_code == 404  # 404: killed between
    return "cancel" if fine else f"WRONG cancel {deleted.status_code} {gone.status_code}"


def _hangs_up(served: Served, item: Item, _: dict[Any, str]) -> str:
    """A client that does not wait for its long volume."""
    params = {**LONG, "seed": item[2]}
    try:
        reply = infer(served.server.url, item[1], params, "image", timeout=0.5)
    except requests.RequestException:
        return "hang up"
    return "hang up" if reply.status_code == 429 else f"WRONG hang up {reply.status_code}"


def _refused(
    status: int, model: str = MODEL, image: str = "", upload: bytes = b"", **params: Any
) -> Callable[[Served, Item, dict[Any, str]], str]:
    """A client that sends what is wrong, and is refused."""

    def ask(served: Served, item: Item, _: dict[Any, str]) -> str:
        files = {"file": ("a.png", upload)} if upload else None
        given = {**SMALL, **params}

        def send(url: str) -> requests.Response:
            return infer(url, image or item[1], given, "json", model, files)

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


def start(url: str, image: str, params: dict[str, Any], key: str | None = None) -> str:
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


def located(url: str, image: str) -> list[int]:
    """The crop that generation would take."""
    reply = requests.post(f"{url}/locate/{MODEL}", params={"image": image}, timeout=600)
    reply.raise_for_status()
    return list(reply.json()["box"])


def infer(
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


def voxels(content: bytes) -> bytes:
    """The voxels of a NIfTI file, in file order."""
    offset = int(np.frombuffer(content, "<f4", 1, 108)[0])
    return content[offset:]
