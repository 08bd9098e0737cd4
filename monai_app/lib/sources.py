"""Where the radiograph of a request comes from: an upload, a session, or the studies."""

from __future__ import annotations

import re

from fastapi import UploadFile

from lib.http_errors import NotFound
from lib.parameters import GenerationParameters
from lib.service import Deliver, GenerationService
from lib.studies import ReadOnlyStudies
from lib.uploads import ScratchFolder, Sessions, TooMuch
from xr2mri_core.dicom_series import dicom_series
from xr2mri_core.errors import InputError, shown
from xr2mri_core.generation import PreparedRadiograph

IMAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Ids of images: nothing that could be a path."""


class Sources:
    """Finds, reads and checks the radiograph of a request; nothing of it stays on the disk.

    Args:
        service: whose models say how a radiograph is read.
        studies: images that can be named by an id.
        sessions: files that were sent before.
        scratch: for files in transit.
        most_bytes: of one upload.
    """

    def __init__(
        self,
        service: GenerationService,
        studies: ReadOnlyStudies,
        sessions: Sessions,
        scratch: ScratchFolder,
        most_bytes: int,
    ) -> None:
        self.service, self.studies, self.sessions = service, studies, sessions
        self.scratch, self.most_bytes = scratch, most_bytes

    def content(self, upload: UploadFile) -> bytes:
        """The bytes of an upload.

        Raises:
            TooMuch: more than this server takes.
        """
        content = upload.file.read(self.most_bytes + 1)
        if len(content) > self.most_bytes:
            raise TooMuch(f"a file of more than {self.most_bytes >> 20} MB; send a radiograph")
        return content

    def radiograph(
        self,
        model: str,
        parameters: GenerationParameters,
        owner: str,
        upload: UploadFile | None = None,
        image: str = "",
        session_id: str = "",
    ) -> PreparedRadiograph:
        """The radiograph of a request, ready for the model.

        Raises:
            InputError: none was given, or it cannot be used.
            NotFound, UnknownSession: there is none of that name.
        """
        self.service.generator(model)  # an unknown model is told before anything is read
        if upload is not None:
            return self._read(model, self.content(upload), parameters)
        if session_id:
            return self._read(model, self.sessions.get(session_id, owner).content, parameters)
        if not image:
            raise InputError("no radiograph: send a file, or name an image or a session")
        found = None
        if IMAGE_ID.fullmatch(image):
            chosen = parameters.sop_instance_uid, parameters.view_position
            found = self.studies.radiograph(image, *chosen)
        if found is None:
            raise NotFound(f"no image {shown(image)} among the studies")
        if isinstance(found, bytes):
            return self._read(model, found, parameters)
        return self.service.read(model, found, parameters)

    def deliver(self, parameters: GenerationParameters) -> Deliver | None:
        """What is to be done with the result beyond answering: storing it in the PACS."""
        if not parameters.store:
            return None
        self.studies.store([])  # refused now rather than after the work
        return lambda generated: self.studies.store(dicom_series(generated))

    def _read(
        self, model: str, content: bytes, parameters: GenerationParameters
    ) -> PreparedRadiograph:
        with self.scratch.file(content) as path:
            return self.service.read(model, path, parameters)
