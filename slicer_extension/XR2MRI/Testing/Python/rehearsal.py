"""A client that has no server behind it: for the module's self-test inside Slicer, and for trying
the panel without a network. What it "generates" is an ellipsoid with nothing of a knee in it.

    XR2MRILogic(clientFactory=RehearsalClient)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xr2mri_client.errors import JobLost, Refused
from xr2mri_client.jobs import API_VERSION, JobHandle, JobState, Located, ServerInfo, read_info
from xr2mri_client.texts import tr as _
from xr2mri_client.volume import Volume

SIZE = 64
SLICES_A_QUESTION = 5
WINDOW_MM, IN_PLANE_MM = 73.5, 2.5
_GRADES = ("none", "doubtful", "mild", "moderate", "severe")


def _property(key: str, title: str, **more: Any) -> dict[str, Any]:
    return {
        "title": title,
        "enum": [*range(len(_GRADES)), None],
        "x-key": key,
        "x-labels": {str(grade): word for grade, word in enumerate(_GRADES)},
        **more,
    }


_FORM = {
    "properties": {
        "V00XRKL": _property("kl_grade", "Kellgren-Lawrence grade", **{"x-overall": True}),
        "V00XROSFM": _property("osteophytes_femur_medial", "Osteophytes, medial femur"),
        "V00XRJSM": _property("joint_space_medial", "Joint space, medial compartment"),
        "V00XROSFL": _property("osteophytes_femur_lateral", "Osteophytes, lateral femur"),
        "V00XRJSL": _property("joint_space_lateral", "Joint space, lateral compartment"),
    },
    "x-groups": [
        {"title": "Whole knee", "properties": ["V00XRKL"]},
        {"title": "Medial", "properties": ["V00XROSFM", "V00XRJSM"]},
        {"title": "Lateral", "properties": ["V00XROSFL", "V00XRJSL"]},
    ],
}
_INFO = {
    "api_version": API_VERSION,
    "version": "rehearsal",
    "notice": "synthetic, not for diagnosis",
    "form": _FORM,
    "models": {"rehearsal": {"description": "an ellipsoid", "weights": {"sha256": "0"}}},
    "queue": {"max": 1, "waiting": 0},
}


@dataclass
class _Server:
    """What all clones share.

    Attributes:
        slices: slices that have come, by job; a cancelled job is not there.
        cancelled: ids of jobs that a client ended.
    """

    slices: dict[str, int] = field(default_factory=dict)
    started: dict[str, JobHandle] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)


class RehearsalClient:
    """Answers as `client.XR2MRIClient` does.

    Args:
        url: kept, never asked.
        pause: seconds that each question takes.
    """

    is_local, ca_file = True, None

    def __init__(
        self,
        url: str = "rehearsal",
        ca_file: str | None = None,
        pause: float = 0.01,
        _server: _Server | None = None,
    ) -> None:
        self.url, self._pause = url, pause
        self.server = _server if _server is not None else _Server()

    def clone(self, cancelled: Callable[[], bool] | None = None) -> RehearsalClient:
        return RehearsalClient(self.url, pause=self._pause, _server=self.server)

    def close(self) -> None: ...

    def login(self, user: str, password: str) -> None: ...

    def logout(self) -> None: ...

    def connect(self) -> ServerInfo:
        return read_info(self.url, _INFO)

    def locate(self, model: str, radiograph: Any, parameters: Mapping[str, Any]) -> Located:
        raise Refused(_("A rehearsal looks at no radiograph."), 404)

    def start(
        self,
        model: str,
        radiograph: Any,
        parameters: Mapping[str, Any] | None = None,
        sent: Callable[[int, int], None] | None = None,
        key: str = "",
    ) -> JobHandle:
        given = dict(parameters or {})
        seed = given.get("seed")
        job = JobHandle(
            id=f"rehearsal-{len(self.server.started)}",
            model=model,
            num_slices=int(given.get("num_slices", 50)),
            samples=int(given.get("samples", 1)),
            seed=7 if seed is None else seed,
            parameters=given,
        )
        self.server.started[job.id], self.server.slices[job.id] = job, 0
        return job

    def state(self, job: JobHandle) -> JobState:
        time.sleep(self._pause)
        done = min(self._slices(job) + SLICES_A_QUESTION, job.num_slices)
        self.server.slices[job.id] = done
        ended = done == job.num_slices
        return JobState(
            id=job.id,
            model=job.model,
            state="done" if ended else "running",
            done=done,
            total=job.num_slices,
            slices=done,
            num_slices=job.num_slices,
            queue_position=0,
            seconds=0.1,
            seconds_left=None if ended else 1.0,
            seed=job.seed,
            error=None,
        )

    def partial(self, job: JobHandle) -> tuple[Volume, int] | None:
        volume, done = _drawn(job), self._slices(job)
        volume.array[:, done:] = 0
        return volume, done

    def result(self, job: JobHandle, kind: str = "volume") -> Volume:
        self._slices(job)
        volume = _drawn(job)
        if kind == "std":
            volume.array[:] *= 0.1
        return volume

    def record(self, job: JobHandle) -> dict[str, Any]:
        return {
            "notice": _INFO["notice"],
            "seed": job.seed,
            "slices": job.num_slices,
            "spacing_mm": list(_drawn(job).spacing),
            "features": dict(job.parameters.get("features", {})),
            "steps": 1,
            "sampler": "none",
            "seconds": {"generate": 0.1},
            "warnings": [],
        }

    def cancel(self, job: JobHandle) -> None:
        if self.server.slices.pop(job.id, None) is not None:
            self.server.cancelled.append(job.id)

    def _slices(self, job: JobHandle) -> int:
        if job.id not in self.server.slices:
            raise JobLost(_("The job has gone."))
        return self.server.slices[job.id]


def _drawn(job: JobHandle) -> Volume:
    """An ellipsoid that is the brighter the higher the grades are."""
    shape = (SIZE, job.num_slices, SIZE)
    axes = (np.linspace(-1, 1, count) for count in shape)
    distance = sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij"))
    grades = sum(job.parameters.get("features", {}).values())
    array = np.where(distance < 0.8, 0.5 + 0.02 * grades, 0.0) * (1 - 0.4 * distance)
    affine = np.diag([IN_PLANE_MM, WINDOW_MM / max(job.num_slices - 1, 1), IN_PLANE_MM, 1.0])
    affine[:3, 3] = -affine.diagonal()[:3] * (np.array(shape) - 1) / 2
    return Volume(np.asfortranarray(array, np.float32), affine)
