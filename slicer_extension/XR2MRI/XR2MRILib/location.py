"""Having the server look for the knee in a radiograph, before anything is generated."""

from __future__ import annotations

from dataclasses import dataclass

import slicer

from xr2mri_client.client import XR2MRIClient
from xr2mri_client.events import Final, Returned
from xr2mri_client.jobs import Located, ServerInfo
from xr2mri_client.worker import CallWorker

from .activity import Activity, Steps, at_once
from .generation import model_of, sided
from .request import Request
from .states import State
from .upload import upload_of


@dataclass(frozen=True, eq=False)
class Found:
    """Where the server says that the knee is.

    Attributes:
        radiograph: node; None where it has gone meanwhile.
        located: box, side and warnings.
        asked: the side that the server was told, `R`, `L` or `auto`.
    """

    radiograph: slicer.vtkMRMLVolumeNode | None
    located: Located
    asked: str = "auto"


class Location(Activity):
    """Sends a radiograph node to be looked at; returns `Found`."""

    state = importing = State.LOCATING

    def __init__(
        self,
        client: XR2MRIClient,
        info: ServerInfo,
        radiograph: slicer.vtkMRMLVolumeNode,
        request: Request,
    ) -> None:
        model, upload = model_of(info, request), upload_of(radiograph, request.pixels_only)
        self._asked = sided(request, radiograph).laterality
        parameters = {"laterality": self._asked}
        self._radiograph_id = radiograph.GetID()

        def ask(connection: XR2MRIClient) -> Located:
            content = upload() if callable(upload) else upload
            return connection.locate(model, content, parameters)

        self.worker = CallWorker(client, ask)

    def needs(self, node_id: str) -> bool:
        return node_id == self._radiograph_id

    def steps(self, event: Final) -> Steps:
        assert isinstance(event, Returned)
        radiograph = slicer.mrmlScene.GetNodeByID(self._radiograph_id)
        return at_once(Found(radiograph, event.value, self._asked))
