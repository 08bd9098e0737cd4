"""The module without its panel: connects, generates, compares, exports.

From a script or Slicer's Python console:

    from XR2MRI import XR2MRILogic
    radiograph = slicer.util.getNode("knee")
    volume = XR2MRILogic().generate(radiograph, {"V00XRKL": 2}, serverUrl="localhost:8000")

A panel calls `start`, which returns at once, and listens to the signals. One thing is done at a
time; everything that talks to the server does so in a thread, whose events a timer brings here.
All methods belong to the GUI's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import slicer
import vtk
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic
from slicer.util import VTKObservationMixin

from xr2mri_client import machine
from xr2mri_client.address import normalise
from xr2mri_client.client import XR2MRIClient
from xr2mri_client.errors import (
    LoginNeeded,
    PermissionNeeded,
    ServerEnded,
    Unreachable,
    UserCancelled,
    XR2MRIClientError,
)
from xr2mri_client.events import Event, Final, Progress, Started
from xr2mri_client.installation import wheel_of
from xr2mri_client.jobs import ServerInfo
from xr2mri_client.own_server import Access
from xr2mri_client.texts import tr as _

from . import settings
from .activity import Activity
from .compare import RealComparison
from .computer import Install, Open, ThisComputer, Uninstall
from .connection import Connection
from .dicom_export import DicomExport
from .driver import Driver, busy
from .form import FeatureForm
from .generation import Generation, result_of
from .location import Location
from .parameters import XR2MRIParameterNode, parameters_of
from .request import Request
from .signals import Signal
from .states import State
from .upload import sends_file

SECONDS_TO_END = 3.0
"""That closing waits for the server to hear of a cancelled job."""


class XR2MRILogic(ScriptedLoadableModuleLogic, VTKObservationMixin):
    """See the module's docstring.

    Args:
        clientFactory: makes a client from an address and a CA file.

    Attributes:
        state: what is being done.
        resumed: whether the generation, this one or the last, was gone on with after a new login.
        computer: the server on this computer, whether or not there is one.
        info: description of the server, None while there is none.
        form: of the features, empty; None while there is no server.
        stateChanged: signal (state).
        connected, disconnected: signals (info), ().
        progressed: signal (worker.Progress).
        started: signal (jobs.JobHandle): the server has a job, and perhaps doubts about it.
        grown: signal (node, slices done): slices have come.
        finished: signal (what came of it: generation.Result, location.Found, compare.Compared or
            dicom_export.Exported).
        failed, cancelled: signals (error), ().
    """

    def __init__(self, clientFactory: Callable[..., XR2MRIClient] = XR2MRIClient) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        VTKObservationMixin.__init__(self)
        self.stateChanged, self.connected, self.disconnected = Signal(), Signal(), Signal()
        self.progressed, self.started, self.grown = Signal(), Signal(), Signal()
        self.finished, self.failed, self.cancelled = Signal(), Signal(), Signal()
        self.state, self.resumed = State.IDLE, False
        self.info: ServerInfo | None = None
        self.form: FeatureForm | None = None
        self.computer = ThisComputer()
        self._clientFactory = clientFactory
        self._client: XR2MRIClient | None = None
        self._candidate: XR2MRIClient | None = None  # answered or not, not yet connected
        self._driver = Driver(self._heard, self._done, self._fail, self._watch)
        self._interrupted: tuple[Generation, Any] | None = None  # with its job on the server
        self._watching = False

    def getParameterNode(self) -> XR2MRIParameterNode:
        return parameters_of(super().getParameterNode())

    # --- the server -----------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The address of the connected server; empty while there is none."""
        return self._client.url if self._client is not None else ""

    def connectTo(
        self,
        url: str,
        user: str = "",
        password: str = "",
        caFile: str | None = None,
        token: str = "",
    ) -> None:
        """Connect, with a login where name and password are given; ends with connected or failed.

        Args:
            url: address as people type it.
            user, password: where the server asks for a login.
            caFile: certificates to trust beside the usual ones, PEM; empty for none, None for those
                that this server is connected with.
            token: token of the server on this computer, in place of a login.

        Raises:
            BadAddress, TlsProblem: the address or the CA file cannot be used.
        """
        self._checkIdle()
        client = self._clientFactory(url, caFile or None)
        known = [old for old in (self._candidate, self._client) if old is not None]
        if any(
            old.url != client.url or (caFile is not None and old.ca_file != client.ca_file)
            for old in known
        ):
            self.disconnect()
            known = []
        self._candidate = known[0] if known else client  # of the same server the token is kept
        if token:
            self._candidate.use_token(token)
        self._begin(Connection(self._candidate, user, password))

    def disconnect(self) -> None:
        """Forget the server and the token."""
        self._dropInterrupted()
        for client in (self._client, self._candidate):
            if client is not None:
                client.logout()
                client.close()
        self._client = self._candidate = self.info = self.form = None
        self.disconnected.emit()

    def uploadAllowed(self, whole: bool = False) -> bool:
        """Whether radiographs may be sent to the server: it is this machine, or was agreed to.

        Args:
            whole: as DICOM files, with the patient's name and ID, and not as pixels alone.
        """
        client = self._client
        return client is not None and (client.is_local or settings.may_upload(client.url, whole))

    def allowUpload(self, whole: bool) -> None:
        """Remember that radiographs may be sent to this server; `whole`: see `uploadAllowed`."""
        if self._client is not None and not self._client.is_local:
            settings.allow_upload(self._client.url, whole)

    def _onConnected(self, found: tuple[ServerInfo, FeatureForm]) -> None:
        self._client, self._candidate = self._candidate, None
        self.info, self.form = found
        if not self.computer.serves(self.info.url):
            settings.remember_server(self.info.url)
        self.connected.emit(self.info)
        self._resume()

    # --- the server on this computer ------------------------------------------------------------

    def install(self, source: str = "") -> None:
        """Stop the server on this computer and install it, or a newer one in its place; ends with
        finished (Installed) or failed.

        Args:
            source: a wheel, a folder of wheels, or nothing for the release of this version.

        Raises:
            InstallFailed: there is no such wheel, or none for a machine of this kind; the server
                goes on.
        """
        self._checkIdle()
        machine.request()
        wheel_of(source)
        self.stopServer()
        self._begin(Install(self.computer, source))

    def uninstall(self) -> None:
        """Stop the server on this computer and remove all of it; ends with finished or failed."""
        self._checkIdle()
        self.stopServer()
        self._begin(Uninstall(self.computer))

    def startServer(self) -> None:
        """Start the server on this computer, or find the one that another Slicer has started, and
        connect to it; ends with connected or failed."""
        self._checkIdle()
        self.disconnect()
        self._begin(Open(self.computer))

    def stopServer(self) -> None:
        """Leave the server on this computer; that which this Slicer has started ends."""
        connected = self.computer.serves(self.url)
        self.computer.server.stop()
        if connected:
            self.disconnect()

    def checkServer(self) -> None:
        """Find out whether the server on this computer has ended by itself, or does not answer any
        more; to be called every second or so. Ends with failed then, at once, unless it is ours and
        only silent (`computer.silent`), which may pass."""
        if self.state is State.STARTING:  # whose thread looks itself
            return
        access, error = self.computer.access, self.computer.server.ended()
        if error is None and self.state is State.IDLE and access is not None:
            question = self.computer.ask()
            if question is not None:
                self._driver.follow(question)  # which lets it get on
            if self.computer.silent and not self.computer.ours:
                self.computer.server.stop()
                error = ServerEnded(
                    _("The server that another Slicer has started does not answer any more."),
                    _("Generate again, which starts one here."),
                )
        if error is not None:
            if access is not None and self.url in ("", access.url):
                self._driver.let_go(self._driver.end(error))  # failed, which is more than cancelled
                self.disconnect()
                self._setState(State.IDLE)
            self.failed.emit(error)

    def _onOpened(self, access: Access) -> None:
        self.connectTo(access.url, token=access.token)

    # --- generating -----------------------------------------------------------------------------

    def generate(
        self,
        xrayNode: slicer.vtkMRMLVolumeNode,
        features: Mapping[str, Any] | None = None,
        serverUrl: str | None = None,
        user: str = "",
        password: str = "",
        allowUpload: bool = False,
        caFile: str | None = None,
        **options: Any,
    ) -> slicer.vtkMRMLScalarVolumeNode:
        """Generate a volume and wait for it; Slicer goes on reacting meanwhile.

        Args:
            xrayNode: the radiograph: a 2-D image or a volume of one slice, grey or RGB.
            features: grades by OAI name in any spelling (`V00XRKL`, `XRKL`) or plain key
                (`kl_grade`); what is left out was not read.
            serverUrl: address to connect to; the one that is connected when left out.
            user, password: where the server asks for a login.
            allowUpload: agree to send the radiograph to a server on another machine, as its whole
                DICOM file where it has one, unless `pixels_only`.
            caFile: certificates to trust beside the usual ones, PEM; empty for none; when left out
                those that the server is connected with, else for https those that the panel was
                given.
            options: fields of `request.Request`: demographics, laterality, box, kind, num_slices,
                steps, sampler, guidance, samples, seed, model, pixels_only.

        Returns:
            The volume's node; `generation.result_of` finds mean, standard deviation and record.

        Raises:
            XR2MRIClientError: what went wrong, each class with its remedy.
        """
        if serverUrl is not None or self._client is None:
            url = serverUrl or settings.servers()[0]
            address = normalise(url)
            if caFile is None and address != self.url and address.startswith("https:"):
                caFile = settings.ca_file() or None
            self.connectTo(url, user, password, caFile)
            self.wait()
        _client, _info, form = self._connection()
        request = Request(features=form.read((features or {}).items()), **options)
        if allowUpload:
            self.allowUpload(sends_file(xrayNode, request.pixels_only))
        self.start(xrayNode, request)
        return self.wait().volume

    def start(
        self,
        xrayNode: slicer.vtkMRMLVolumeNode | None,
        request: Request,
        baseline: slicer.vtkMRMLScalarVolumeNode | None = None,
        name: str = "",
    ) -> None:
        """Start a generation and return; ends with finished, failed or cancelled.

        Args:
            xrayNode: the radiograph.
            request: what is asked for.
            baseline: a volume to subtract from the new one, if they are on the same grid; it fails
                with OtherWeights where the server has others than those that made it.
            name: name of the new node; after the radiograph when left out.

        Raises:
            BadRadiograph: the node is none. PermissionNeeded: nobody allowed it to be sent.
            Unreachable: no server is connected.
        """
        client, info = self._checkMaySend(xrayNode, request)
        self._dropInterrupted()
        generation = Generation(client, info, xrayNode, request, baseline, name)
        generation.grown.connect(self.grown.emit)
        self.resumed = False
        self._begin(generation)

    def whatIf(
        self, resultNode: slicer.vtkMRMLScalarVolumeNode, changes: Mapping[str, int | None]
    ) -> None:
        """Generate again from the same radiograph with the same seed, some grades changed.

        Args:
            resultNode: a volume that this module generated.
            changes: grades by name; None is "not read".

        Raises:
            FormError: the volume does not tell what it was made from.
            BadRadiograph: its radiograph has gone. And what `start` raises.
        """
        made = result_of(resultNode)
        request = made.request.what_if(changes, made.seed)
        name = _("{name}, what if {changes}").format(
            name=resultNode.GetName(), changes=", ".join(self._in_words(changes))
        )
        self.start(made.radiograph, request, resultNode, name)

    def _in_words(self, changes: Mapping[str, int | None]) -> list[str]:
        """Changed grades in words."""
        fields = self.form.fields if self.form is not None else {}
        return [
            f"{fields[name].title} {fields[name].grade_text(grade)}" if name in fields else name
            for name, grade in changes.items()
        ]

    def _resume(self) -> None:
        """Take up the job that a login which had expired interrupted."""
        if self._interrupted is None or self._driver.activity is not None:
            return  # who hears of the connection may have begun something
        generation, job = self._interrupted
        if generation.url != self.url:
            self._dropInterrupted()
            return
        self._interrupted, self.resumed = None, True
        client, _info, _form = self._connection()
        self._begin(generation.take_up(client, job))

    def _dropInterrupted(self) -> None:
        interrupted, self._interrupted = self._interrupted, None
        if interrupted is not None:
            self._driver.let_go(interrupted[0])

    def locate(self, xrayNode: slicer.vtkMRMLVolumeNode, request: Request) -> None:
        """Have the server look for the knee; ends with finished (location.Found) or failed.

        Args:
            xrayNode: the radiograph.
            request: what says which side it is and how the radiograph is sent.

        Raises:
            XR2MRIClientError: the same as `start`.
        """
        client, info = self._checkMaySend(xrayNode, request)
        self._begin(Location(client, info, xrayNode, request))

    # --- comparing and exporting ----------------------------------------------------------------

    def compare(
        self,
        resultNode: slicer.vtkMRMLScalarVolumeNode,
        realNode: slicer.vtkMRMLScalarVolumeNode,
        alignCentres: bool = False,
    ) -> None:
        """Compare with a real MRI of the same knee; ends with finished (compare.Compared)."""
        self._checkIdle()
        self._begin(RealComparison(resultNode, realNode, alignCentres))

    def exportDicom(self, resultNode: slicer.vtkMRMLScalarVolumeNode) -> None:
        """Have the server make a DICOM series of a volume, and put it into Slicer's DICOM
        database; ends with finished (dicom_export.Exported) or failed.

        Args:
            resultNode: a volume that this module generated.

        Raises:
            FormError: the volume does not tell what it was made from. And the same as `start`.
        """
        made = result_of(resultNode)
        client, _info = self._checkMaySend(made.radiograph, made.request)
        self._begin(DicomExport(client, made))

    # --- ending ---------------------------------------------------------------------------------

    def cancel(self) -> None:
        """End what is being done, here at once and on the server as soon as it hears of it."""
        self._dropInterrupted()
        if self._driver.activity is not None and self.state is not State.CANCELLING:
            self._setState(State.CANCELLING)
            self._driver.let_go(self._driver.end(UserCancelled()))
            self._setState(State.IDLE)
            self.cancelled.emit()

    def wait(self) -> Any:
        """Wait until nothing is being done, and return the result; Slicer goes on reacting.

        Raises:
            XR2MRIClientError: what it failed with; `errors.UserCancelled` after a cancellation. In
                a listener that hears how it goes on: that the module is busy.
        """
        return self._driver.wait()

    def close(self) -> None:
        """End everything; waits a moment for the server to hear of it."""
        self.cancel()
        self.computer.server.stop()
        self._driver.join(SECONDS_TO_END)
        self.disconnect()

    # --- what is being done ---------------------------------------------------------------------

    def _begin(self, activity: Activity) -> None:
        self._driver.begin(activity)  # before anybody hears of it, who may cancel it at once
        self._setState(activity.state)

    def _watch(self) -> None:
        """Look at the scene while that could end what is being done; only then, so that nothing
        holds a logic that a script is through with."""
        wanted = self._driver.busy or self._interrupted is not None
        if wanted is self._watching:
            return
        self._watching, scene = wanted, slicer.mrmlScene
        if wanted:
            self.addObserver(scene, scene.StartCloseEvent, self._onSceneClose)
            self.addObserver(scene, scene.NodeRemovedEvent, self._onNodeRemoved)
        else:
            self.removeObservers()

    def _heard(self, activity: Activity, event: Event) -> None:
        if isinstance(event, Final):
            self._setState(activity.importing)
            return
        activity.on_event(event)
        if isinstance(event, Progress):
            self.progressed.emit(event)
        elif isinstance(event, Started):
            self.started.emit(event.job)

    def _done(self, activity: Activity, found: Any) -> None:
        self._setState(State.IDLE)
        if isinstance(activity, Connection):
            self._onConnected(found)
        elif isinstance(activity, Open):
            self._onOpened(found)
        else:
            self.finished.emit(found)

    def _fail(self, error: XR2MRIClientError, job: Any) -> None:
        if isinstance(error, UserCancelled):
            self.cancel()
            return
        activity = self._driver.end(error)
        if isinstance(error, Unreachable):
            error = self._goneWithAnother() or error
        if isinstance(error, LoginNeeded) and isinstance(activity, Generation) and job is not None:
            self._dropInterrupted()
            self._interrupted = activity, job
        elif isinstance(activity, Connection):
            self._client = self.info = self.form = None  # the candidate is kept, for a login
        else:
            self._driver.let_go(activity)
        if isinstance(error, ServerEnded):
            self.disconnect()
        self._setState(State.IDLE)
        self.failed.emit(error)

    def _goneWithAnother(self) -> ServerEnded | None:
        """If it was the server of another Slicer on this computer, which ends with that, forget it:
        the next generation starts one. That of this Slicer is looked after by `checkServer`."""
        if not self.computer.serves(self.url) or self.computer.ours:
            return None
        self.computer.server.stop()
        return ServerEnded(
            _("The server has gone with the Slicer that had started it."),
            _("Generate again, which starts one here."),
        )

    def _setState(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self.stateChanged.emit(state)

    def _checkIdle(self) -> None:
        if self._driver.activity is not None:
            raise busy()

    def _connection(self) -> tuple[XR2MRIClient, ServerInfo, FeatureForm]:
        """The connected server: its client, what it says of itself, and its form."""
        if self._client is None or self.info is None or self.form is None:
            raise Unreachable(_("No server is connected."), _("Connect to one first."))
        return self._client, self.info, self.form

    def _checkMaySend(
        self, radiograph: slicer.vtkMRMLVolumeNode | None, request: Request
    ) -> tuple[XR2MRIClient, ServerInfo]:
        """Whether a radiograph may be sent as a request has it sent."""
        self._checkIdle()
        client, info, _form = self._connection()
        whole = radiograph is not None and sends_file(radiograph, request.pixels_only)
        if not self.uploadAllowed(whole):
            raise PermissionNeeded(self.url, whole)
        return client, info

    # --- the scene ------------------------------------------------------------------------------

    def _onSceneClose(self, *_arguments: Any) -> None:
        if self._driver.activity is not None and not self._driver.activity.lasting:
            self.cancel()
        self._dropInterrupted()  # the next scene gives the ids of its nodes to others

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeRemoved(self, _scene: Any, _event: Any, node: slicer.vtkMRMLNode) -> None:
        node_id = node.GetID() or ""
        if self._driver.activity is not None and self._driver.activity.needs(node_id):
            self.cancel()
        elif self._interrupted is not None and self._interrupted[0].needs(node_id):
            self._dropInterrupted()
