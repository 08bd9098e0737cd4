"""A logic that does nothing: a test says what comes of it. And somebody in front of its panel."""

from __future__ import annotations

import sys
from typing import Any

from user import MODULE, User


class MockComputer:
    """What the panel sees of `computer.ThisComputer`: nothing is installed, until a test says so.

    Attributes:
        printed: by the server.
    """

    def __init__(self) -> None:
        from XR2MRILib.signals import Signal

        self.happened = Signal()
        self.folder, self.installed, self.access, self.ours = "/home/eva/xr2mri", None, None, True
        self.printed, self.half = "", False  # half of it is there
        self.silent = False
        self.server = self.installation = self

    def choose(self, folder: str) -> None:
        self.folder = folder

    def serves(self, url: str) -> bool:
        return self.access is not None and self.access.url == url

    def log(self) -> str:
        return self.printed

    @property
    def left(self) -> bool:
        return self.half or self.installed is not None


class MockLogic:
    """What the panel sees of `logic.XR2MRILogic`; no thread, no timer, no server.

    Attributes:
        asked: what the panel has asked for: the method's name and its arguments.
        refuses: an error that the next request raises.
        allowed: whether radiographs may be sent to the server.
    """

    ASKED = "connectTo start whatIf locate compare exportDicom install uninstall startServer"
    ASKED += " stopServer checkServer"
    SENDS = "start whatIf locate exportDicom"
    SIGNALS = "stateChanged connected disconnected progressed started grown finished failed"

    def __init__(self) -> None:
        from XR2MRILib.signals import Signal
        from XR2MRILib.states import State

        for name in (*self.SIGNALS.split(), "cancelled"):
            setattr(self, name, Signal())
        self.state, self.info, self.form, self.url = State.IDLE, None, None, ""
        self.computer = MockComputer()
        self.asked: list[tuple] = []
        self.refuses: Exception | None = None
        self.allowed = True

    def getParameterNode(self) -> Any:
        import slicer

        from XR2MRILib.parameters import parameters_of

        kind = "vtkMRMLScriptedModuleNode"
        node = slicer.mrmlScene.GetSingletonNode("XR2MRI", kind)
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass(kind)
            node.UnRegister(None)
            node.SetSingletonTag("XR2MRI")
            node = slicer.mrmlScene.AddNode(node)
        return parameters_of(node)

    # --- what the panel asks for ----------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name not in self.ASKED.split():
            raise AttributeError(name)

        def ask(*arguments: Any) -> None:
            refusal, self.refuses = self.refuses, None
            if refusal is not None:
                raise refusal
            if not self.allowed and name in self.SENDS.split():
                from xr2mri_client.errors import PermissionNeeded

                raise PermissionNeeded(self.url)
            self.asked.append((name, *arguments))

        return ask

    def uploadAllowed(self, whole: bool = False) -> bool:
        return self.allowed

    def allowUpload(self, whole: bool) -> None:
        self.allowed = True

    def disconnect(self) -> None:
        self.info, self.form, self.url = None, None, ""
        self.disconnected.emit()

    def cancel(self) -> None:
        self.asked.append(("cancel",))

    def close(self) -> None:
        self.asked.append(("close",))

    # --- what a test lets happen ----------------------------------------------------------------

    def be(self, state: Any) -> None:
        """Do something else from now on."""
        self.state = state
        self.stateChanged.emit(state)

    def connect(self, info: Any) -> None:
        """Be connected to a server."""
        from XR2MRILib.form import FeatureForm

        self.info, self.url = info, info.url
        self.form = FeatureForm(info.form)
        self.connected.emit(info)

    def end(self, signal: str, *arguments: Any) -> None:
        """End what is being done, as the logic does it: first idle, then the signal."""
        from XR2MRILib.states import State

        self.be(State.IDLE)
        getattr(self, signal).emit(*arguments)


class MockedUser(User):
    """In front of a panel whose logic is a mock."""

    def __init__(self, slicer: Any) -> None:
        import qt

        self.slicer = slicer
        self.manager = slicer.app.moduleManager()
        self.manager.load(MODULE)
        self._parent = slicer.qMRMLWidget()
        self._parent.setLayout(qt.QVBoxLayout())
        self._parent.setMRMLScene(slicer.mrmlScene)
        self._widget = sys.modules["XR2MRI"].XR2MRIWidget(self._parent, MockLogic())
        self._widget.setup()
        self._widget.enter()
        self.ui.elsewhereRadio.click()

    @property
    def widget(self) -> Any:
        return self._widget

    def leave(self) -> None:
        self._widget.exit()
        self._widget.cleanup()
        self._parent.deleteLater()
        self.manager.unload("XR2MRI")
        self.events()
