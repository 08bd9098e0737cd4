"""Where the radiograph of a request comes from: an upload, a session, or the studies."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from typing import Annotated, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import File, Query, Request, UploadFile
from starlette.formparsers import MultiPartParser

from monai_app.lib.dicomweb import Unreachable
from monai_app.lib.generation_work import Deliver
from monai_app.lib.http_errors import NotAllowed, NotFound
from monai_app.lib.parameters import GenerationParameters
from monai_app.lib.reading_box import Source
from monai_app.lib.security.auth import is_stranger
from monai_app.lib.security.settings import SecuritySettings
from monai_app.lib.service import GenerationService
from monai_app.lib.studies import Fetched, ReadOnlyStudies
from monai_app.lib.uploads import Sessions, TooMuch
from xr2mri_core.errors import InputError, shown
from xr2mri_core.export import dicom_series
from xr2mri_core.export.dicom_patient import identifier
from xr2mri_core.reading import PreparedRadiograph

T = TypeVar("T")
IMAGE_ID = re.compile(r"[^\W_][\w.-]{0,127}")
"""Ids of images as `Studies` makes them of names, in any script; the guard lets a few more through
(`monai_app.lib.security.routes.IMAGE_PARAMETER`), of which no image has one."""
IN_MEMORY = MultiPartParser.spool_max_size
"""Bytes up to which an upload is kept in memory; a larger one goes to its reader as a file."""
_THREADS = 80  # that wait for their turn to be read: those of the box, and some


class ChosenRadiograph:
    """Which radiograph a request is about; a dependency of the routes that take one.

    Attributes:
        gone: set when its client has hung up.
    """

    def __init__(
        self,
        image: Annotated[str, Query(max_length=128, description="id of one of the studies")] = "",
        session_id: Annotated[
            str, Query(max_length=64, description="of a file that was sent before")
        ] = "",
        file: Annotated[
            UploadFile | None,
            File(description="DICOM, PNG, JPEG, NIfTI, NRRD, MetaImage"),
        ] = None,
    ) -> None:
        self.image, self.session_id, self.file = image, session_id, file
        self.gone = threading.Event()

    def digest(self, *more: str) -> str:
        """Tells apart requests that differ in their radiograph, or in what else they say."""
        content = b""
        if self.file is not None:
            content = hashlib.file_digest(self.file.file, "sha256").digest()  # type: ignore[arg-type]
            self.file.file.seek(0)
        content_and_parameters = repr((self.image, self.session_id, content, *more))
        return hashlib.sha256(content_and_parameters.encode()).hexdigest()


class Sources:
    """Finds, reads and checks the radiograph of a request; nothing of it stays on the disk.

    Args:
        service: service, whose models say how a radiograph is read.
        studies: images that can be named by an id.
        sessions: files that were sent before.
        most_bytes: largest size of one upload.
        pacs_store: see `SecuritySettings`.
    """

    def __init__(
        self,
        service: GenerationService,
        studies: ReadOnlyStudies,
        sessions: Sessions,
        most_bytes: int,
        pacs_store: str = SecuritySettings.pacs_store,
    ) -> None:
        self.service, self.studies, self.sessions = service, studies, sessions
        self.most_bytes, self.pacs_store = most_bytes, pacs_store

    def content(self, upload: UploadFile) -> bytes:
        """The bytes of an upload.

        Raises:
            TooMuch: more than this server takes.
        """
        content = upload.file.read(self.most_bytes + 1)
        self._check_length(len(content))
        return content

    def _check_length(self, length: int) -> None:
        if length > self.most_bytes:
            raise TooMuch(f"a file of more than {self.most_bytes >> 20} MB; send a radiograph")

    @cached_property
    def _threads(self) -> CapacityLimiter:
        return CapacityLimiter(_THREADS)

    async def in_thread(
        self, request: Request, chosen: ChosenRadiograph, call: Callable[[], T]
    ) -> T:
        """Do what reads a radiograph in a thread, which hears when the client hangs up.

        What asks the studies has threads of its own, few where they are a PACS, and what is sent
        has others: studies that do not answer, or files that take their time, hold these; all
        others find theirs free.
        """
        asks = chosen.file is None and not chosen.session_id and chosen.image
        if asks:
            account = str(request.scope.get("xr2mri.account", ""))
            asked = self.studies.threads.do(account, call)
        else:
            asked = to_thread.run_sync(call, limiter=self._threads)
        work = asyncio.ensure_future(asked)
        watch = asyncio.ensure_future(hung_up(request))
        try:
            await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            if not work.done():
                chosen.gone.set()
        return await work

    def radiograph(
        self,
        model: str,
        parameters: GenerationParameters,
        owner: str,
        chosen: ChosenRadiograph,
        account: str | None = None,
    ) -> PreparedRadiograph:
        """The radiograph of a request, ready for the model.

        Args:
            model: name of the model.
            parameters: parameters of the generation, of which side and box count here.
            owner: user whose sessions may be named.
            chosen: the radiograph that the request names.
            account: user whose turn it is to have a file read; None: the owner.

        Raises:
            InputError: none was given, or it cannot be used.
            NotFound, UnknownSession: there is none of that name.
            Unreachable: the PACS has given another one.
        """
        self.service.generator(model)  # an unknown model is refused before anything is read
        account, gone = owner if account is None else account, chosen.gone.is_set
        with ExitStack() as held:  # and counted, until it has been read
            held.enter_context(self.studies.asked_by(account, gone))
            found = self._found(parameters, owner, chosen, held)
            source = found.content if isinstance(found, Fetched) else found
            read = self.service.read(model, source, parameters, account, gone)
        if isinstance(found, Fetched):
            _check_that_it_is(found.sop_instance_uid, read)
        return read

    def _found(
        self,
        parameters: GenerationParameters,
        owner: str,
        chosen: ChosenRadiograph,
        held: ExitStack,
    ) -> Source | Fetched:
        if chosen.file is not None and (length := chosen.file.size or 0) > IN_MEMORY:
            self._check_length(length)
            return chosen.file.file
        if chosen.file is not None:
            return self.content(chosen.file)
        if chosen.session_id:
            return held.enter_context(self.sessions.in_use(chosen.session_id, owner))
        if not chosen.image:
            raise InputError("no radiograph: send a file, or name an image or a session")
        found = None
        if IMAGE_ID.fullmatch(chosen.image):
            instance, view = parameters.sop_instance_uid, parameters.view_position
            found = self.studies.radiograph(chosen.image, instance, view)
        if found is None:
            raise NotFound(f"no image {shown(chosen.image)} among the studies")
        return found

    def deliver(
        self,
        parameters: GenerationParameters,
        chosen: ChosenRadiograph,
        owner: str,
        administrator: bool,
    ) -> Deliver | None:
        """What is to be done with the result beyond answering: storing it in the PACS.

        The series goes to the patient and study of the radiograph's header. Only the PACS's own is
        believed: who sends a file has written its header, and could name anybody's study.

        Args:
            parameters: parameters, which say whether to store.
            chosen: the radiograph that the request names.
            owner: user who asks for it.
            administrator: whether that is one.

        Raises:
            InputError: the studies take nothing, or the radiograph is not one of them.
            NotAllowed: this user may not write there.
        """
        if not parameters.store:
            return None
        if chosen.file is not None or chosen.session_id:
            raise InputError(
                "store: only for a radiograph that is in the PACS; name it by image, without a "
                "file or session_id, or leave store out and send the result there yourself"
            )
        who = {"no": "nobody", "user": "who has logged in", "admin": "an administrator"}
        may = {"no": False, "user": not is_stranger(owner), "admin": administrator}
        if not may[self.pacs_store]:
            raise NotAllowed(
                f"store: {who[self.pacs_store]} may store results in the PACS of this server (its "
                "setting pacs_store); leave it out"
            )
        self.studies.store([])  # refused now rather than after the work
        return lambda generated, stop: self.studies.store(dicom_series(generated), stop)


def study_of(radiograph: PreparedRadiograph) -> str:
    """The StudyInstanceUID of a radiograph; "-" where it has none."""
    header = radiograph.header
    return (header is not None and identifier(header, "StudyInstanceUID")) or "-"


def _check_that_it_is(uid: str, read: PreparedRadiograph) -> None:
    """Refuse a file of another image than was asked for: it may be another patient's."""
    if read.header is None or identifier(read.header, "SOPInstanceUID") != uid:
        raise Unreachable("the PACS gave another image than the one that it was asked for")


async def hung_up(request: Request) -> None:
    """Wait until the client of a request, whose body has been read, has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
