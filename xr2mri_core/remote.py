"""Generation on a server, for the command line and the demo.

The client, `xr2mri_client`, is the Slicer module's; it knows nothing of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xr2mri_client import events
from xr2mri_client.client import XR2MRIClient
from xr2mri_client.errors import LoginFailed, LoginNeeded, XR2MRIClientError
from xr2mri_client.worker import GenerationWorker
from xr2mri_core.condition import Condition
from xr2mri_core.errors import Cancelled
from xr2mri_core.local_server import ServerError
from xr2mri_core.progress import SILENT, Callbacks
from xr2mri_core.reading import prepare_radiograph
from xr2mri_core.request import KNOBS, GenerationRequest
from xr2mri_core.volume import GeneratedVolume

_SHIPPED = "knee_xr2mri"


def generate_on_server(
    url: str,
    radiograph: Path | str,
    condition: Condition,
    request: GenerationRequest,
    callbacks: Callbacks = SILENT,
    *,
    model: str | None = None,
    token: str = "",
    ca_file: str | None = None,
) -> GeneratedVolume:
    """Send a radiograph to a server and wait for its volume; an interrupt cancels the job there.

    Args:
        url: address as people type it: `localhost:8000`, `https://mri.hospital.example`.
        radiograph: DICOM, PNG, JPEG, NIfTI or NRRD file. Its content is sent, not its name.
        condition: grades and demographics.
        request: how; what it leaves open is the server's model's.
        callbacks: ``progress`` is called as `progress(slices, of, phase)`; ``cancelled`` is asked
            now and then; slices do not arrive before the end.
        model: one that the server offers; None: the first that can generate.
        token: token of a login (`log_in`); empty where the server asks for none.
        ca_file: certificates of authorities to trust beside the usual ones, PEM.

    Returns:
        What `KneeMRIGenerator.generate` returns, made elsewhere.

    Raises:
        ServerError: unreachable, another server, login needed, refused, ...: what happened, and
            what mends it.
        Cancelled: ``callbacks.cancelled`` said so, or somebody on the server.
        RadiographError: the file is no radiograph.
    """
    parameters = _parameters(condition, request)
    finished = _worked(url, radiograph, parameters, model, token, ca_file, callbacks)
    record = dict(finished.record)
    prepared = prepare_radiograph(
        radiograph, finished.volume.array.shape[0], record["laterality"], record["box"]
    )
    record["warnings"] = [*record["warnings"], *condition.doubts(prepared.side)]  # unknown there
    extras = {kind: volume.array for kind, volume in finished.extras.items()}
    return GeneratedVolume(
        volume=finished.volume.array,
        affine=finished.volume.affine,
        mean=extras.get("mean"),
        std=extras.get("std"),
        radiograph=prepared.shown,
        record=record,
        source=prepared.header,
    )


def log_in(url: str, user: str, password: str, ca_file: str | None = None) -> str:
    """Ask a server for a token, which `generate_on_server` takes.

    Args:
        url: address as people type it; https, but on this machine.
        user, password: as the server's administrator gave them.
        ca_file: certificates of authorities to trust beside the usual ones, PEM.

    Returns:
        The token, which lasts for an hour or as long as the server says; empty where it asks for
        no login.

    Raises:
        ServerError: they are wrong, the server is unreachable, the address is not https, ...
    """
    try:
        client = XR2MRIClient(url, ca_file)
        client.login(user, password)
        return client.token
    except XR2MRIClientError as error:
        raise _fault(error) from error


def _fault(error: XR2MRIClientError) -> ServerError:
    """A client's error, with what mends it at a command line."""
    if isinstance(error, LoginNeeded) and not isinstance(error, LoginFailed):
        return ServerError(error.message, option="login NAME")
    return ServerError(str(error))


def _parameters(condition: Condition, request: GenerationRequest) -> dict[str, Any]:
    """As the server's `/info/` describes them; the client leaves out what is None."""
    asked = {name: getattr(request, name) for name in KNOBS}
    if request.depths is not None:
        asked |= {"num_slices": None, "depths": request.positions.tolist()}
    return {"features": condition.features, "demographics": condition.demographics, **asked}


def _worked(
    url: str,
    radiograph: Path | str,
    parameters: Mapping[str, Any],
    model: str | None,
    token: str,
    ca_file: str | None,
    callbacks: Callbacks,
) -> events.Finished:
    """Send, wait, and return the answer."""
    try:
        connection = XR2MRIClient(url, ca_file)
        if token:
            connection.use_token(token)
        if model is None:
            first = connection.connect().model
            model = first.name if first is not None else _SHIPPED
        work = GenerationWorker(
            connection, model, str(radiograph), dict(parameters), partials=False
        )
    except XR2MRIClientError as error:
        raise _fault(error) from error
    work.start()
    try:
        while True:
            for event in work.drain():
                if isinstance(event, events.Progress) and callbacks.progress is not None:
                    callbacks.progress(event.slices, event.num_slices, event.phase)
                elif isinstance(event, events.Failed):
                    raise _fault(event.error) from event.error
                elif isinstance(event, events.Stopped):
                    raise Cancelled
                elif isinstance(event, events.Finished):
                    return event
            if callbacks.cancelled is not None and callbacks.cancelled():
                raise Cancelled
            work.join(0.1)
    finally:
        work.cancel()  # after a success, nothing
        work.join(5)
