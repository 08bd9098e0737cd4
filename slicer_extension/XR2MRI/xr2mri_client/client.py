"""A client of the XR2MRI server: one method a request, typed errors, nothing of Qt or MRML.

    client = XR2MRIClient("http://127.0.0.1:8000")
    info = client.connect()
    job = client.start("knee_xr2mri", "knee.dcm", {"features": {"V00XRKL": 2}, "seed": 1})
    while not client.state(job).final:
        time.sleep(1)
    volume = client.result(job)

`worker` does the same in a thread. A client serves one thread; another thread takes a `clone`.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from .address import is_local
from .errors import (
    BadRadiograph,
    BadReply,
    JobLost,
    LoginFailed,
    LoginNeeded,
    NotOffered,
    Refused,
    TlsProblem,
    VersionMismatch,
    WrongServer,
)
from .jobs import (
    JobHandle,
    JobState,
    Located,
    ServerInfo,
    read_info,
    read_located,
    read_state,
)
from .multipart import MultipartForm
from .texts import tr as _
from .transport import MOST_JSON, Login, Reply, Transport
from .volume import MOST_BYTES, Volume, read_npy

SECONDS_TO_START = 180.0
"""The server reads the radiograph, and loads its model if it is the first, before it answers."""


class XR2MRIClient:
    """A connection to one server.

    Args:
        url: address as people type it: `localhost:8000`, `https://mri.hospital.example/`.
        ca_file: certificates of authorities to trust beside the usual ones, PEM.
        timeout: seconds to wait for the connection, and for each piece of an answer.
        cancelled: asked between requests and while data flows; once it says yes, everything that
            only asks the server raises `errors.UserCancelled`.

    Raises:
        BadAddress, TlsProblem: address or CA file cannot be used.

    Every method raises `errors.XR2MRIClientError`, each subclass with its own remedy.
    """

    def __init__(
        self,
        url: str,
        ca_file: str | None = None,
        timeout: tuple[float, float] = (5.0, 30.0),
        cancelled: Callable[[], bool] | None = None,
        _login: Login | None = None,
    ) -> None:
        self._http = Transport(url, ca_file, timeout, _login, cancelled)
        self._affines: dict[str, NDArray[np.float64] | None] = {}

    def __repr__(self) -> str:
        return f"<XR2MRIClient {self.url}>"

    @property
    def url(self) -> str:
        """The address in its one form."""
        return self._http.url

    @property
    def ca_file(self) -> str | None:
        """Certificates of authorities that it trusts beside the usual ones."""
        return self._http.ca_file

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, so that an upload does not leave it."""
        return is_local(self.url)

    @property
    def token(self) -> str:
        """The token that requests carry; empty before a login."""
        return self._http.login.token

    def clone(self, cancelled: Callable[[], bool] | None = None) -> XR2MRIClient:
        """A client of the same server and login for another thread."""
        http = self._http
        return XR2MRIClient(http.url, http.ca_file, http.timeout, cancelled, http.login)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._http.close()

    # --- who is there ---------------------------------------------------------------------------

    def connect(self) -> ServerInfo:
        """Find out whether this is an XR2MRI server that we can talk to, and what it offers.

        Raises:
            Unreachable, WrongServer, LoginNeeded, VersionMismatch, TlsProblem: it is not.
        """
        try:
            reply = self._http.request("GET", "/info/")
        except LoginNeeded as error:
            if self._login_enabled() is None:
                raise WrongServer(
                    _("{url} asks for a login of another kind than XR2MRI's.").format(url=self.url)
                ) from error
            raise
        except Refused as error:
            if error.status in (404, 405):
                message = _("{url} is not an XR2MRI server.").format(url=self.url)
                raise WrongServer(message) from error
            raise
        try:
            answer = reply.json()
        except BadReply as error:
            message = _("{url} is not an XR2MRI server.").format(url=self.url)
            raise WrongServer(message) from error
        info = read_info(self.url, answer)
        needed = bool(self._login_enabled())
        user = self._user() if needed else ""
        return replace(info, login_needed=needed, user=user)

    def login(self, user: str, password: str) -> None:
        """Get a token, which is kept in memory only and sent from now on.

        Args:
            user, password: login, as the server's administrator gave it.

        Raises:
            LoginFailed: they are wrong; Busy: too many wrong ones were sent.
            TlsProblem: the address is not https.
        """
        if not self.is_local and not self.url.startswith("https:"):
            raise TlsProblem(
                _("Your password would travel to {url} in the clear.").format(url=self.url),
                _("Use an https address."),
            )
        self.logout()
        form = {"grant_type": "password", "username": user, "password": password}
        try:
            answer = self._http.request("POST", "/auth/token", data=form).fields
        except LoginNeeded:
            raise LoginFailed(_("Name or password are wrong.")) from None
        token = answer.get("access_token", "")
        if token is None:
            return  # this server asks for no login
        self.use_token(token)

    def use_token(self, token: str) -> None:
        """Use a bearer token that another issuer gave; raises BadReply if it cannot be one."""
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]{1,8192}", token):
            raise BadReply(_("The server gave no token."))
        self._http.login.token = token

    def logout(self) -> None:
        """Forget the token."""
        self._http.login.token = ""

    def _login_enabled(self) -> bool | None:
        """Whether the server asks for a login; None if it does not know XR2MRI's."""
        try:
            return bool(self._http.request("GET", "/auth/").fields["enabled"])
        except (KeyError, LoginNeeded, Refused, WrongServer):
            return None

    def _user(self) -> str:
        try:
            return str(self._http.request("GET", "/auth/token/valid").fields.get("username", ""))
        except Refused:
            return ""

    # --- one generation -------------------------------------------------------------------------

    def start(
        self,
        model: str,
        radiograph: bytes | str | Path,
        parameters: Mapping[str, Any] | None = None,
        sent: Callable[[int, int], None] | None = None,
        key: str = "",
    ) -> JobHandle:
        """Send a radiograph and start a generation. Sent once: what fails is not sent again here.

        The server gets the file's content, not its name.

        Args:
            model: one of `ServerInfo.models`.
            radiograph: content or path of a DICOM, PNG, JPEG, NIfTI or NRRD file.
            parameters: parameters, see `ModelInfo.parameters`; those that are None are left out.
            sent: called with the bytes that have gone and those in all.
            key: 8 to 64 letters, digits, `_` and `-`, made up for this generation. Sent again with
                the same key, the server answers with the job that it has, if it has one.

        Raises:
            BadRadiograph: the file cannot be read.
            Busy: the line is full. Refused: file or parameters are not accepted.
        """
        given = _given(parameters)
        reply = self._send(
            f"/jobs/infer/{quote(model, safe='')}",
            radiograph,
            given,
            sent,
            headers={"Idempotency-Key": key} if key else None,
            accept=(202,),
            stoppable=False,  # once it is sent there is a job, and its id must be known
        )
        state = read_state(reply.json())
        self._affines[state.id] = state.affine
        return JobHandle(
            id=state.id,
            model=state.model,
            num_slices=state.num_slices,
            samples=int(given.get("samples", 1)),
            kind=str(given.get("kind", "sample")),
            seed=state.seed,
            output_format=str(given.get("output_format", "nifti")),
            parameters=given,
            warnings=state.warnings,
        )

    def locate(
        self,
        model: str,
        radiograph: bytes | str | Path,
        parameters: Mapping[str, Any] | None = None,
    ) -> Located:
        """Where the knee is in a radiograph: what a generation with these parameters would look
        at. Nothing is generated. Raises as `start` does; NotOffered on a server that cannot."""
        try:
            path = f"/locate/{quote(model, safe='')}"
            reply = self._send(path, radiograph, _given(parameters))
        except Refused as error:
            if error.status in (404, 405) and "model" not in error.message:
                raise NotOffered(_("The server does not look for the knee.")) from error
            raise
        return read_located(reply.json())

    def _send(
        self,
        path: str,
        radiograph: bytes | str | Path,
        given: Mapping[str, Any],
        sent: Callable[[int, int], None] | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Reply:
        """Post a radiograph with its parameters."""
        try:
            text = json.dumps(given, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise Refused(_("The parameters cannot be sent: {x}.").format(x=error), 422) from None
        file, size = _opened(radiograph)
        with closing(file):
            check = self._http.check
            form = MultipartForm(
                {"params": text}, file, size, sent or (lambda done, total: None), check
            )
            check()
            self._http.close()  # a connection that has idled may be dead, and this is sent once
            return self._http.request(
                "POST",
                path,
                seconds=SECONDS_TO_START,
                data=form,
                headers={"Content-Type": form.content_type, **(headers or {})},
                **more,
            )

    def state(self, job: JobHandle) -> JobState:
        """Where a job stands; raises JobLost."""
        state = read_state(self._of_job(job, "").json())
        if state.id != job.id or state.num_slices != job.num_slices:
            raise BadReply(_("The server tells of another job."))
        self._affines[job.id] = state.affine
        return state

    def partial(self, job: JobHandle) -> tuple[Volume, int] | None:
        """What is there of the volume of a job that runs, zeros elsewhere.

        Returns:
            The volume and how many slices have come, from the posterior end on; None before the
            first.
        """
        reply = self._of_job(job, "/volume", (200, 409), MOST_BYTES, params={"form": "npy"})
        if reply.status == 409:
            return None
        done = reply.headers.get("X-Slices-Done", "")
        if not done.isdigit() or int(done) > job.num_slices:
            raise BadReply(_("The server does not tell how many slices have come."))
        return read_npy(reply.content, self._affine_of(job), job.num_slices), int(done)

    def result(self, job: JobHandle, kind: str = "volume") -> Volume:
        """The volume of a job that is done.

        Args:
            job: the job as `start` returned it.
            kind: `volume`, or `mean` or `std` where 2 or more samples were asked for.
        """
        asked = {"kind": kind, "form": "npy"}  # whatever format the job was started for
        reply = self._of_job(job, "/result", most=MOST_BYTES, params=asked)
        return read_npy(reply.content, self._affine_of(job), job.num_slices)

    def _affine_of(self, job: JobHandle) -> NDArray[np.float64]:
        """Where the voxels of a job's volume lie, by its state, which is asked for if need be."""
        if job.id not in self._affines:
            self.state(job)
        affine = self._affines[job.id]
        if affine is None:
            message = _("The server does not tell where the volume lies.")
            raise VersionMismatch(message, server_is_older=True)
        return affine

    def record(self, job: JobHandle) -> dict[str, Any]:
        """What the volume of a job was made from and with; raises what made the job fail."""
        record = self._of_job(job, "/record").json()
        if not isinstance(record, dict):
            raise BadReply(_("The server gives no record of the volume."))
        return record

    def dicom(self, job: JobHandle) -> bytearray:
        """The result as a ZIP of a DICOM MR series, for `dicom.unpack`."""
        asked = {"form": "dicom"}
        content = self._of_job(job, "/result", most=MOST_BYTES, params=asked).content
        if content[:4] != b"PK\x03\x04":
            raise BadReply(_("The server's DICOM series is not a ZIP file."))
        return content

    def cancel(self, job: JobHandle) -> None:
        """End a job and forget its result on the server. It is no error if it has gone already."""
        with suppress(JobLost):
            self._of_job(job, "", method="DELETE", stoppable=False)

    def _of_job(
        self,
        job: JobHandle,
        part: str,
        accept: tuple[int, ...] = (200,),
        most: int = MOST_JSON,
        method: str = "GET",
        **more: Any,
    ) -> Reply:
        try:
            return self._http.request(method, f"/jobs/{job.id}{part}", accept, most, **more)
        except Refused as error:
            no_such_kind = part == "/result" and "job" not in error.message
            if error.status == 410 or (error.status == 404 and not no_such_kind):
                raise JobLost(error.message) from None
            raise


def check_record(job: JobHandle, volume: Volume, record: Mapping[str, Any]) -> None:
    """Hold a volume against its record and against what was asked for.

    Raises:
        BadReply: seed, number of slices or voxel size contradict each other.
    """
    if job.seed is not None and record.get("seed") != job.seed:
        raise BadReply(_("The record is of another seed than was asked for."))
    if record.get("slices") != job.num_slices:
        raise BadReply(_("The record is of another number of slices than was asked for."))
    spacing: Any = record.get("spacing_mm")
    try:
        same = len(spacing) == 3 and np.allclose(spacing, volume.spacing, rtol=1e-3, atol=0)
    except (TypeError, ValueError):
        same = False
    if not same:
        raise BadReply(_("The volume has another voxel size than its record says."))


def _given(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Parameters without those that are None."""
    return {key: value for key, value in (parameters or {}).items() if value is not None}


def _opened(radiograph: bytes | str | Path) -> tuple[BinaryIO, int]:
    """A radiograph as an open file, and its size."""
    if isinstance(radiograph, (bytes, bytearray, memoryview)):
        content = bytes(radiograph)
        if not content:
            raise BadRadiograph(_("The radiograph is empty."))
        return io.BytesIO(content), len(content)
    try:
        file = open(radiograph, "rb")  # noqa: SIM115 (the caller closes it)
        size = os.fstat(file.fileno()).st_size
    except OSError as error:
        why = error.strerror or error
        raise BadRadiograph(
            _("The radiograph {x} cannot be read: {why}.").format(x=radiograph, why=why)
        ) from None
    if not size:
        file.close()
        raise BadRadiograph(_("The radiograph {x} is empty.").format(x=radiograph))
    return file, size
