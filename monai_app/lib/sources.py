"""Where the radiograph of a request comes from: an upload, a session, or the studies."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from fastapi import UploadFile

from lib.http_errors import NotFound
from lib.parameters import GenerationParameters
from lib.service import GenerationService
from lib.uploads import ScratchFolder, Sessions, TooMuch
from xr2mri_core.errors import InputError, RadiographError, shown
from xr2mri_core.generation import PreparedRadiograph

IMAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Ids of images: nothing that could be a path."""


class Sources:
    """Finds, reads and checks the radiograph of a request; nothing of it stays on the disk.

    Args:
        service: whose models say how a radiograph is read.
        find: path of a study by its id, or None.
        sessions: files that were sent before.
        scratch: for files in transit.
        most_bytes: of one upload.
    """

    def __init__(
        self,
        service: GenerationService,
        find: Callable[[str, GenerationParameters], Path | None],
        sessions: Sessions,
        scratch: ScratchFolder,
        most_bytes: int,
    ) -> None:
        self.service, self.find, self.sessions = service, find, sessions
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
        path = self.find(image, parameters) if IMAGE_ID.fullmatch(image) else None
        if path is None:
            raise NotFound(f"no image {shown(image)} among the studies")
        try:
            return self.service.read(model, path, parameters)
        except RadiographError as error:
            raise type(error)(str(error).replace(str(path), image)) from error

    def _read(
        self, model: str, content: bytes, parameters: GenerationParameters
    ) -> PreparedRadiograph:
        with self.scratch.file(content) as path:
            return self.service.read(model, path, parameters)
