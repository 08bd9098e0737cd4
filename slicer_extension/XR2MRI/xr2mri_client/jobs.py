"""What the server tells of itself and of a job, as plain data that was checked on arrival."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BadReply, VersionMismatch, WrongServer, one_line
from .texts import tr as _
from .volume import check_affine

API_VERSION = 1
"""Version of the interface that this module speaks."""

KINDS = ("sample", "mean")
STATES = ("queued", "running", "done", "failed", "cancelled")
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True)
class ModelInfo:
    """One model of a server.

    Attributes:
        parameters: JSON schema of what may be asked for, with ranges and defaults.
        weights: digest and model card; None where the server has no weights.
        demographics: JSON schema of what it asks of the patient, for `patient.read_fields`; None
            where it asks for nothing.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    weights: Mapping[str, Any] | None
    demographics: Mapping[str, Any] | None = None

    @property
    def ready(self) -> bool:
        """Whether the server can generate with it."""
        return self.weights is not None

    @property
    def sha256(self) -> str:
        """Of its weights; empty where the server does not tell."""
        return str(_mapping(self.weights).get("sha256") or "")

    def limits(self, parameter: str) -> tuple[Any, Any, Any]:
        """Smallest and largest accepted value and default of a parameter; None where not stated."""
        described = self.parameters.get("properties", {}).get(parameter, {})
        choices = [described, *described.get("anyOf", [])]  # pydantic's way to say "or null"
        found = {key: value for choice in reversed(choices) for key, value in choice.items()}
        return found.get("minimum"), found.get("maximum"), described.get("default")

    def choices(self, parameter: str) -> tuple[str, ...]:
        """The words that a parameter accepts; empty where it takes something else."""
        described = self.parameters.get("properties", {}).get(parameter, {})
        for choice in (described, *described.get("anyOf", [])):
            if "enum" in choice:
                return tuple(choice["enum"])
        return ()


@dataclass(frozen=True)
class ServerInfo:
    """What `GET /info/` tells.

    Attributes:
        url: the server's address in its one form.
        version: version of the server's software.
        models: models by name.
        form: JSON schema of the features, for `form.FeatureForm`.
        waiting, most_waiting: generations in the line, and how many the line takes.
        login_needed: whether this server asks for a login.
        user: name of the user who is logged in; empty where nobody is.
    """

    url: str
    version: str
    models: Mapping[str, ModelInfo]
    form: Mapping[str, Any]
    waiting: int
    most_waiting: int
    login_needed: bool = False
    user: str = ""
    software: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> ModelInfo | None:
        """The model to offer first: one that can generate, `knee_xr2mri` before others."""
        ready = [model for model in self.models.values() if model.ready]
        return min(ready, key=lambda model: model.name != "knee_xr2mri", default=None)


@dataclass(frozen=True)
class JobHandle:
    """A job that was started, and what is known of its result.

    Attributes:
        kind: `sample` or `mean`, that was asked for; once the job is done what the record tells.
        parameters: parameters that were sent.
        warnings: what the server doubts about the radiograph, known before anything is drawn.
    """

    id: str
    model: str
    num_slices: int
    samples: int = 1
    kind: str = "sample"
    seed: int | None = None
    output_format: str = "nifti"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobState:
    """Where a job stands.

    Attributes:
        state: one of `STATES`.
        done, total: slices, of all samples.
        slices: number of slices of the first sample, that `XR2MRIClient.partial` would show.
        queue_position: jobs before this one; 0 when it runs or has ended.
        seconds: seconds of running so far.
        seconds_left: expected, the wait included; None when it has ended.
        error: why it failed.
        warnings: what the server doubts about the radiograph.
        affine: (4, 4) float64, voxel to RAS mm of the volume; None where the server tells none.
    """

    id: str
    model: str
    state: str
    done: int
    total: int
    slices: int
    num_slices: int
    queue_position: int
    seconds: float
    seconds_left: float | None
    seed: int | None
    error: str | None
    warnings: tuple[str, ...] = ()
    affine: NDArray[np.float64] | None = field(default=None, compare=False)

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "cancelled")


@dataclass(frozen=True)
class Located:
    """Where the knee is in a radiograph.

    Attributes:
        box: top, left, bottom, right in pixels of the picture, bottom and right exclusive; it may
            reach outside.
        laterality: `R` or `L`, that the server takes the knee for.
        warnings: what the server wants to be known, such as that it found no knee.
    """

    box: tuple[int, int, int, int]
    laterality: str
    warnings: tuple[str, ...] = ()


def weights_of(record: Mapping[str, Any]) -> str:
    """SHA-256 of the weights that a volume was made with by its record; empty where that does not
    tell."""
    return str(_mapping(record.get("model")).get("sha256") or "")


def read_info(url: str, info: Any) -> ServerInfo:
    """Check the answer of `/info/`.

    Raises:
        WrongServer: it is not XR2MRI's.
        VersionMismatch: it speaks another version of the interface.
    """
    if not isinstance(info, dict) or "api_version" not in info:
        if isinstance(info, dict) and isinstance(info.get("models"), dict):
            raise WrongServer(
                _("{url} is a MONAI Label server without XR2MRI.").format(url=url),
                _("Start XR2MRI's own server: `xr2mri serve --studies folder`."),
            )
        raise WrongServer(_("{url} is not an XR2MRI server.").format(url=url))
    found = info["api_version"]
    if isinstance(found, bool) or not isinstance(found, int):
        raise WrongServer(_("{url} is not an XR2MRI server.").format(url=url))
    version = one_line(info.get("version", "?"), 40)
    if found != API_VERSION:
        message = _("The server (XR2MRI {version}) speaks version {n} of the interface, not {m}.")
        message = message.format(version=version, n=found, m=API_VERSION)
        raise VersionMismatch(message, server_is_older=found < API_VERSION)
    form, queue = info.get("form"), _mapping(info.get("queue"))
    if not isinstance(form, dict) or not isinstance(info.get("models"), dict):
        raise BadReply(_("The server does not describe its models and its form."))
    return ServerInfo(
        url=url,
        version=version,
        models={
            str(name): ModelInfo(
                str(name),
                one_line(_mapping(model).get("description", "")),
                _mapping(_mapping(model).get("parameters")),
                _mapping(model).get("weights") or None,
                _mapping(_mapping(model).get("demographics")) or None,
            )
            for name, model in info["models"].items()
        },
        form=form,
        waiting=_count(queue.get("waiting", 0)),
        most_waiting=_count(queue.get("max", 0)),
        software={str(k): one_line(v, 80) for k, v in _mapping(info.get("software")).items()},
    )


def read_state(answer: Any) -> JobState:
    """Check a job's state; raises BadReply."""
    try:
        state = JobState(
            id=str(answer["id"]),
            model=str(answer["model"]),
            state=answer["state"],
            done=_count(answer["done"]),
            total=_count(answer["total"]),
            slices=_count(answer["slices"]),
            num_slices=_count(answer["num_slices"]),
            queue_position=_count(answer["queue_position"]),
            seconds=float(answer["seconds"]),
            seconds_left=_optional(answer["seconds_left"], float),
            seed=_optional(answer["seed"], _count),
            error=_optional(answer["error"], one_line),
            warnings=_lines(answer.get("warnings")),
            affine=_optional(answer.get("affine"), check_affine),
        )
    except (KeyError, TypeError, ValueError):
        raise BadReply(_("The server does not tell where the job stands.")) from None
    if state.state not in STATES or not _ID.fullmatch(state.id) or state.num_slices < 1:
        raise BadReply(_("The server does not tell where the job stands."))
    return state


def read_located(answer: Any) -> Located:
    """Check the answer of `/locate/`; raises BadReply."""
    box: Any = _mapping(answer).get("box")
    whole = isinstance(box, list) and all(type(edge) is int for edge in box)
    if not whole or len(box) != 4 or not (box[0] < box[2] and box[1] < box[3]):
        raise BadReply(_("The server does not tell where the knee is."))
    return Located(
        box=tuple(box),
        laterality=answer["laterality"] if answer.get("laterality") in ("R", "L") else "",
        warnings=_lines(answer.get("warnings")),
    )


def _lines(value: Any) -> tuple[str, ...]:
    """A list of texts, each as a line; empty where there is none."""
    return tuple(map(one_line, value if isinstance(value, list) else ()))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadReply(_("The server counts {x}.").format(x=one_line(repr(value), 40)))
    return value


def _optional(value: Any, kind: Any) -> Any:
    return None if value is None else kind(value)
