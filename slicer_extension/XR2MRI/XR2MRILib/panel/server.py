"""Which server: address, verdict, login."""

from __future__ import annotations

import os
from typing import Any

from xr2mri_client.errors import (
    InstallFailed,
    LoginNeeded,
    ServerEnded,
    TlsProblem,
    XR2MRIClientError,
)
from xr2mri_client.jobs import ServerInfo
from xr2mri_client.texts import tr as _

from .. import settings
from ..logic import XR2MRILogic
from ..states import State
from .section import Section, plain_tip, tell


class ServerSection(Section):
    """Connects to a server, and says in a sentence how that went."""

    def __init__(self, ui: Any, logic: XR2MRILogic) -> None:
        super().__init__(ui, logic)
        self._error: XR2MRIClientError | None = None
        self._user = ""
        ui.serverComboBox.addItems(settings.servers())
        ui.caFileEdit.currentPath = settings.ca_file()
        ui.connectButton.connect("clicked(bool)", self._on_connect)
        ui.serverComboBox.lineEdit().connect("returnPressed()", self._connect)
        ui.loginButton.connect("clicked(bool)", self._on_login)
        ui.passwordEdit.connect("returnPressed()", self._on_login)
        self.listen(logic.connected, self._on_connected)
        self.listen(logic.failed, self._on_failed)
        self.listen(logic.disconnected, self._on_disconnected)
        self.update()

    def update(self) -> None:
        connecting = self.logic.state is State.CONNECTING
        idle = self.logic.state is State.IDLE
        asked = isinstance(self._error, LoginNeeded)
        self.ui.serverSection.text = self._heading()
        here = self.ui.hereRadio.checked  # where the section of this computer says how things are
        self.ui.connectButton.text = _("Stop") if connecting else _("Connect")
        self.ui.connectButton.enabled = idle or connecting
        self.ui.serverComboBox.enabled = idle
        self.ui.loginFrame.visible = asked and not connecting
        self.ui.loginButton.enabled = idle
        self.ui.caFrame.visible = isinstance(self._error, TlsProblem) or bool(settings.ca_file())
        if connecting:
            tell(self.ui.serverStatus, _("Connecting..."))
        elif self._error is not None:
            kind = "attention" if type(self._error) is LoginNeeded else "bad"
            tell(self.ui.serverStatus, str(self._error), kind)
        elif self.logic.info is not None:
            tell(self.ui.serverStatus, _connected_text(self.logic.info), "good")
        else:
            tell(self.ui.serverStatus, "" if here else _("Not connected."))

    def _heading(self) -> str:
        """Of the section, for while it is folded."""
        info = self.logic.info
        if info is None:
            return _("Server")
        if self.logic.computer.serves(info.url):  # whose port tells nobody anything
            return _("Server: on this computer, running")
        return _("Server: {url}").format(url=info.url)

    def _on_connect(self, _checked: bool = False) -> None:
        if self.logic.state is State.CONNECTING:
            self.logic.cancel()
            self.update()
        else:
            self._connect()

    def _on_login(self, _checked: bool = False) -> None:
        self._connect(self.ui.userEdit.text.strip(), self.ui.passwordEdit.text)
        self.ui.passwordEdit.clear()

    def _connect(self, user: str = "", password: str = "") -> None:
        if self.logic.state is not State.IDLE:
            return
        ca_file = os.path.expanduser(self.ui.caFileEdit.currentPath)
        settings.set_ca_file(ca_file)
        try:
            self._error = None
            self.logic.connectTo(self.ui.serverComboBox.currentText, user, password, ca_file)
        except XR2MRIClientError as error:
            self._error = error
        self.update()

    def _on_connected(self, info: ServerInfo) -> None:
        self._error = None
        combo = self.ui.serverComboBox
        combo.clear()
        combo.addItems(settings.servers())
        if info.url in settings.servers():  # and not a port of this computer
            combo.setCurrentText(info.url)
        self.ui.serverStatus.toolTip = plain_tip(_details(info))
        self.update()
        self.ui.serverSection.collapsed = True  # to be opened again when it is wanted

    def _on_disconnected(self) -> None:
        self._error = None  # nor is a login asked for that nothing is connected with any more
        self.ui.serverSection.collapsed = False

    def _on_failed(self, error: XR2MRIClientError) -> None:
        """A failed connection, or a login that expired during a job."""
        if isinstance(error, (InstallFailed, ServerEnded)):
            self._error = None  # the section of this computer says it
        elif self.logic.info is None or isinstance(error, (LoginNeeded, TlsProblem)):
            self._error = error
            self.ui.serverSection.collapsed = False
        self.update()


def _connected_text(info: ServerInfo) -> str:
    """What there is at the other end, in a sentence."""
    model = info.model
    if model is None:
        return _("Connected to XR2MRI {version}, which has no model that can generate.").format(
            version=info.version
        )
    text = _("Connected to {model}, XR2MRI {version}").format(
        model=model.name, version=info.version
    )
    if info.user not in ("", "anonymous"):  # as a server calls who started it for himself
        text += _(", as {user}").format(user=info.user)
    if info.waiting:
        text += _(", {n} waiting in line").format(n=info.waiting)
    return f"{text}."


def _details(info: ServerInfo) -> str:
    """Address, model and software, a line each."""
    lines = [info.url]
    if info.model is not None:
        lines.append(info.model.description)
        digest = str((info.model.weights or {}).get("sha256", ""))[:12]
        lines += [_("Weights {digest}").format(digest=digest)] if digest else []
    lines += [f"{name} {version}" for name, version in info.software.items()]
    return "\n".join(lines)
