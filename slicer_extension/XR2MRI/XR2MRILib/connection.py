"""Finding out whether an address is a server that the module can use."""

from __future__ import annotations

from xr2mri_client.client import XR2MRIClient
from xr2mri_client.events import Final, Returned
from xr2mri_client.jobs import ServerInfo
from xr2mri_client.worker import ConnectionWorker

from .activity import Activity, Steps, at_once
from .form import FeatureForm
from .patient import read_fields
from .states import State


class Connection(Activity):
    """Connects, with a login where name and password are given; returns (info, form)."""

    state = importing = State.CONNECTING
    lasting = True

    def __init__(self, client: XR2MRIClient, user: str = "", password: str = "") -> None:
        self.client = client
        self.worker = ConnectionWorker(client, user, password)

    def steps(self, event: Final) -> Steps:
        assert isinstance(event, Returned)
        info: ServerInfo = event.value
        read_fields(info.model.demographics if info.model is not None else None)  # or why not
        return at_once((info, FeatureForm(info.form)))
