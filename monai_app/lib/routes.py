"""The HTTP routes of the app: plain inference as stock clients know it, jobs, sessions, studies.

They take the place of the stock ones (`mount`). What takes its time runs in threads,
so that the server goes on answering; plain `/infer` cancels its work when the client has gone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, BinaryIO, Literal
from urllib.parse import quote

from fastapi import (
    APIRouter,
    Depends,
    FastAPI,
    File,
    Form,
    Header,
    HTTPException,
    Path,
    Query,
    Request,
    UploadFile,
)
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from monai_app.lib.device_queue import Job, State
from monai_app.lib.http_errors import CLIENT_GONE, http_error, speak_plainly
from monai_app.lib.jobs import Entry, JobStore, Key, Kind
from monai_app.lib.json_text import Json, read_object
from monai_app.lib.parameters import GenerationParameters
from monai_app.lib.replies import infer_reply, partial_reply, record_of, result_reply
from monai_app.lib.security.auth import unnamed
from monai_app.lib.security.routes import Role, allowed
from monai_app.lib.service import GenerationService
from monai_app.lib.sources import ChosenRadiograph, Sources, hung_up, study_of
from monai_app.lib.studies import ReadOnlyStudies, suffix_of
from monai_app.lib.threads import SharedThreads
from monai_app.lib.training import TrainingParameters, TrainingRuns
from xr2mri_core.errors import XR2MRIError, encodable

_TRAINING = TrainingParameters.model_json_schema()
_FORM: Any = {"max_files": 2, "max_fields": 16}
"""Parts of a form, of which one file and a few fields are used: each file takes one of those that
the process may have open."""

_LISTING = 2  # lists of jobs that are written at once
_PIECE = 64 << 10  # bytes of an image that are read at a time
Radiograph = Annotated[ChosenRadiograph, Depends()]
Id = Annotated[str, Path(alias="id")]
Params = Annotated[str, Form(max_length=65536, description="JSON object, see /info/")]


class JobState(BaseModel):
    """Where a job stands."""

    id: str
    model: str
    state: State
    done: Annotated[int, Field(description="slices done, of all samples")]
    total: Annotated[int, Field(description="slices in all")]
    slices: Annotated[int, Field(description="slices of the first sample that `volume` shows")]
    num_slices: int
    queue_position: Annotated[int, Field(description="jobs before this one; 0: running or ended")]
    seconds: Annotated[float, Field(description="of running so far")]
    seconds_left: Annotated[float | None, Field(description="expected, the wait included")]
    seed: int | None
    affine: Annotated[list[list[float]], Field(description="of the volume: voxel to RAS, mm")]
    warnings: Annotated[list[str], Field(description="about radiograph and parameters")]
    error: str | None


class ListedJob(JobState):
    """Where a job stands, and whose it is."""

    owner: str


class Located(BaseModel):
    """The part of a radiograph that generation takes."""

    box: Annotated[list[int], Field(description="top, left, bottom, right in pixels of the file")]
    laterality: Annotated[str, Field(description="side of the knee in it: R or L")]
    spacing_mm: Annotated[list[float] | None, Field(description="row, column; null: unknown")]
    localization: Annotated[
        dict[str, Any] | None, Field(description="all knees that were found, with scores")
    ]
    warnings: list[str]


def owner_of(request: Request) -> str:
    """The user of a request, as the guard found out; one and the same when nobody logs in."""
    return str(request.scope.get("xr2mri.user") or "anonymous")


def account_of(request: Request) -> str:
    """The account that a request is counted for: strangers of one address share one."""
    return str(request.scope.get("xr2mri.account") or owner_of(request))


def whose(request: Request) -> str | None:
    """Whose jobs a request may see and end: the user's own; None, everybody's, as an administrator.

    Results are not among it: they are pictures of patients, and their owner's.
    """
    return None if is_administrator(request) else owner_of(request)


def is_administrator(request: Request) -> bool:
    """Whether the user of a request has that role."""
    return bool(request.scope.get("xr2mri.role", Role.NOBODY) >= Role.ADMIN)


def note(request: Request, **fields: Any) -> None:
    """Add fields to the audit line of a request: nothing that tells of the patient."""
    request.scope.setdefault("xr2mri.audit", {}).update(fields)


def note_generation(request: Request) -> None:
    """Have a request's audit line written in any case: it has started a generation."""
    request.scope["xr2mri.generation"] = True


def info_router(info: Callable[[], dict[str, Any]]) -> APIRouter:
    """`GET /info/`, from which clients build their forms; stock clients know it.

    Args:
        info: returns the content of `/info/`. The text of each part is kept until the part changes;
            most parts never do.
    """
    router = APIRouter(tags=["App"])
    texts: dict[str, tuple[Any, bytes]] = {}

    def text_of(name: str, value: Any) -> bytes:
        if name not in texts or texts[name][0] != value:
            texts[name] = value, bytes(Json({name: value}).body)[1:-1]
        return texts[name][1]

    @router.get("/info/", summary="What is served: models, parameters, limits, versions")
    @allowed(Role.USER)
    async def describe() -> Response:
        parts = [text_of(name, value) for name, value in info().items()]
        return Response(b"{%b}" % b",".join(parts), media_type=Json.media_type)

    return router


def _started(
    service: GenerationService,
    sources: Sources,
    store: JobStore,
    request: Request,
    model: str,
    chosen: ChosenRadiograph,
    params: str,
    key: Key | None = None,
) -> Entry:
    """The job of what a request asks for, its radiograph read; raises as what is called does."""
    parameters, warnings = GenerationParameters.from_json(params, model)
    owner, account = owner_of(request), account_of(request)
    deliver = sources.deliver(parameters, chosen, owner, is_administrator(request))
    radiograph = sources.radiograph(model, parameters, owner, chosen, account)
    if deliver is not None:
        note(request, study=study_of(radiograph))
    generation = service.prepare(model, radiograph, parameters, deliver)
    entry = store.start(generation, model, owner, account, warnings, key)
    if entry.generation is generation:  # else the same request was quicker in between
        note_generation(request)
    return entry


def inference_router(service: GenerationService, sources: Sources, store: JobStore) -> APIRouter:
    """`POST /infer/{model}` with the stock server's inputs and replies.

    While it works it is among the jobs, so that it can be seen and ended as they can.
    """
    router = APIRouter(tags=["Inference"], default_response_class=Json)

    @router.post("/infer/{model}", summary="Generate a volume and wait for it")
    @allowed(Role.USER, upload=True)
    async def infer(
        request: Request,
        model: str,
        chosen: Radiograph,
        output: Literal["image", "json", "all"] | None = None,
        params: Params = "{}",
    ) -> Response:
        start = partial(_started, service, sources, store, request, model, chosen, params)
        entry = await sources.in_thread(request, chosen, start)
        generation, job = entry.generation, entry.job
        note(request, model=model, seed=generation.request.seed, job=job.id)
        try:
            if not await _ended_or_gone(request, job):
                return Response(status_code=CLIENT_GONE)
            _check_ended_well(job)
            if series := job.result.record.get("stored", {}).get("series"):
                note(request, series=series)
            if generation.not_delivered and output in ("image", "json"):
                raise http_error(generation.not_delivered)  # neither is record and volume
            if output == "json":
                return Json(record_of(job.result, entry.warnings))
            return await infer_reply(entry, generation.output_format, alone=output == "image")
        finally:
            store.forget(entry)

    @router.post("/locate/{model}", summary="Which part of a radiograph generation would take")
    @allowed(Role.USER, upload=True)
    async def locate(
        request: Request, model: str, chosen: Radiograph, params: Params = "{}"
    ) -> Located:
        """Takes what `/infer` takes, and generates nothing."""

        def look() -> Located:
            parameters, warnings = GenerationParameters.from_json(params, model)
            owner, account = owner_of(request), account_of(request)
            info = sources.radiograph(model, parameters, owner, chosen, account).info
            return Located(
                box=[int(edge) for edge in info["box"]],
                laterality=str(info["laterality"]),
                spacing_mm=info["spacing_mm"],
                localization=info.get("localization"),
                warnings=[encodable(str(warning)) for warning in (*info["warnings"], *warnings)],
            )

        located = await sources.in_thread(request, chosen, look)
        note(request, model=model)
        return located

    return router


def jobs_router(service: GenerationService, sources: Sources, store: JobStore) -> APIRouter:
    """Generation without waiting: start, ask, look at what is there, fetch, cancel."""
    router = APIRouter(prefix="/jobs", tags=["Jobs"], default_response_class=Json)
    listing = SharedThreads(_LISTING)  # there may be a thousand jobs

    def described(request: Request, entry: Entry) -> dict[str, Any]:
        """Where a job stands; to others than its owner, nothing about the radiograph."""
        described = store.describe(entry)
        return described if entry.owner == owner_of(request) else {**described, "warnings": []}

    @router.post("/infer/{model}", status_code=202, summary="Start a generation")
    @allowed(Role.USER, upload=True)
    async def start(
        request: Request,
        model: str,
        chosen: Radiograph,
        params: Params = "{}",
        idempotency_key: Annotated[
            str | None,
            Header(
                pattern=r"^[A-Za-z0-9_-]{8,64}$",
                description="made up for this request: sent again, it names the same job",
            ),
        ] = None,
    ) -> JobState:
        def submit() -> Entry:
            key = None
            if idempotency_key:
                key = Key(idempotency_key, chosen.digest(model, params))
                if known := store.find(owner_of(request), key):
                    return known
            return _started(service, sources, store, request, model, chosen, params, key)

        entry = await sources.in_thread(request, chosen, submit)
        note(request, model=model, seed=entry.generation.request.seed, job=entry.job.id)
        return JobState(**store.describe(entry))

    @router.get(
        "",
        summary="All my jobs; as an administrator, everybody's",
        response_model=list[ListedJob],
    )
    @allowed(Role.USER)
    async def jobs(request: Request) -> Response:
        """A stranger who names no session sees none: those jobs are found by their ids alone."""

        def listed() -> Response:
            owner = whose(request)
            entries = [] if owner is not None and unnamed(owner) else store.of(owner)
            return Json([{**described(request, entry), "owner": entry.owner} for entry in entries])

        return await listing.do(account_of(request), listed)

    @router.get("/{id}", summary="Where a job stands")
    @allowed(Role.USER)
    async def state(request: Request, job_id: Id) -> JobState:
        return JobState(**described(request, store.get(job_id, whose(request))))

    _add_results(router, store)

    @router.delete("/{id}", summary="Cancel a job, or forget its result")
    @allowed(Role.USER)
    async def delete(request: Request, job_id: Id) -> JobState:
        entry = store.remove(job_id, whose(request))
        note(request, model=entry.model, job=entry.job.id)
        await run_in_threadpool(entry.job.wait, 5.0)
        return JobState(**described(request, entry))

    return router


def _add_results(router: APIRouter, store: JobStore) -> None:
    """The routes of what a job has made, for its owner alone."""

    def owned(request: Request, job_id: str) -> Entry:
        entry = store.get(job_id, whose(request))
        if entry.owner != owner_of(request):
            raise HTTPException(403, "a result is for the user who asked for it, and nobody else")
        return entry

    @router.get("/{id}/record", summary="The JSON record of a result")
    @allowed(Role.USER)
    async def record(request: Request, job_id: Id) -> dict[str, Any]:
        entry = _finished(owned(request, job_id))
        return record_of(entry.job.result, entry.warnings)

    @router.get("/{id}/result", summary="A volume of a result, as a file")
    @allowed(Role.USER)
    async def result(
        request: Request,
        job_id: Id,
        kind: Kind = "volume",
        form: Annotated[
            Literal["nifti", "nrrd", "npy", "dicom"] | None,
            Query(description="instead of the output_format; npy: `affine` is in the job's state"),
        ] = None,
    ) -> Response:
        entry = _finished(owned(request, job_id))
        if getattr(entry.job.result, kind) is None:
            raise HTTPException(404, f"no {kind}: ask for samples of 2 or more")
        wanted = form or entry.generation.output_format
        if wanted == "dicom" and kind != "volume":
            raise HTTPException(422, f"the {kind} comes as nifti, nrrd or npy, see form")
        return await result_reply(entry, kind, wanted)

    @router.get("/{id}/volume", summary="What is there of the volume so far")
    @allowed(Role.USER)
    async def volume(
        request: Request, job_id: Id, form: Literal["nifti", "nrrd", "npy"] = "nifti"
    ) -> Response:
        """Slices that have not come yet are zero; `X-Slices-Done` counts those that have."""
        entry = owned(request, job_id)

        generation, slices = entry.generation, entry.generation.slices
        voxels = generation.partial()
        if voxels is None and entry.job.made is not None:
            voxels, slices = entry.job.made.volume, generation.request.count
        if voxels is None:
            _check_ended_well(entry.job)
            raise HTTPException(409, "no slice has come yet: ask again when the job runs")
        return partial_reply(entry, voxels, slices, form)


def session_router(sources: Sources) -> APIRouter:
    """Files that are sent once and used several times; stock clients know these routes."""
    router = APIRouter(prefix="/session", tags=["Session"], default_response_class=Json)

    @router.put("/", summary="Send a radiograph")
    @allowed(Role.USER, upload=True)
    async def create(
        request: Request,
        files: Annotated[list[UploadFile], File(max_length=1)],
        expiry: Annotated[int, Query(ge=0)] = 0,
        client_id: str = "",
    ) -> dict[str, Any]:
        content = await run_in_threadpool(sources.content, files[0])
        session = sources.sessions.add(content, owner_of(request), expiry, account_of(request))
        return {"session_id": session.id, "session_info": session.describe()}

    @router.get("/{id}", summary="Is it still there?")
    @allowed(Role.USER)
    async def get(request: Request, session_id: Id) -> dict[str, Any]:
        return sources.sessions.get(session_id, owner_of(request)).describe()

    @router.delete("/{id}", summary="Forget it")
    @allowed(Role.USER)
    async def remove(request: Request, session_id: Id) -> dict[str, Any]:
        return sources.sessions.remove(session_id, owner_of(request)).describe()

    return router


def studies_router(studies: ReadOnlyStudies) -> APIRouter:
    """The images that can be named; stock clients know these routes."""
    router = APIRouter(prefix="/datastore", tags=["Studies"], default_response_class=Json)

    @router.get("/", summary="The ids of all images, or how many there are")
    @allowed(Role.USER)
    async def ids(request: Request, output: Literal["all", "stats", "train"] = "stats") -> Any:
        account = account_of(request)
        if output == "all":
            text = await studies.threads.do(account, studies.listed)
            return Response(text, media_type=Json.media_type)
        reply = studies.status if output == "stats" else studies.datalist
        return await studies.threads.do(account, reply)

    @router.get("/image", summary="An image, as it lies in the folder")
    @allowed(Role.USER)
    async def image(request: Request, image: Annotated[str, Query(max_length=128)]) -> Response:
        def find() -> tuple[BinaryIO, int]:
            path = studies.get_image_uri(image)
            if not path:
                raise HTTPException(404, "no such image here; those of a PACS are fetched there")
            try:
                file = open(path, "rb", 0)  # noqa: SIM115 - the reply closes it
                return file, os.fstat(file.fileno()).st_size
            except FileNotFoundError:
                raise HTTPException(404, "this image has just gone") from None
            except OSError:
                raise HTTPException(
                    404, "this image cannot be read: tell the administrator"
                ) from None

        account = account_of(request)
        file, size = await studies.threads.do(account, find)

        async def pieces() -> AsyncIterator[bytes]:
            left = size
            while piece := await studies.threads.do(account, partial(file.read, min(left, _PIECE))):
                left -= len(piece)
                yield piece

        return _OpenFile(file, size, pieces(), image)

    return router


class _OpenFile(StreamingResponse):
    """A file as it was when it was found, whatever becomes of its name meanwhile.

    Not a `FileResponse`, which reads in the threads that all have in common: a drive that hangs
    would hold these.
    """

    def __init__(self, file: BinaryIO, size: int, pieces: AsyncIterator[bytes], image: str) -> None:
        name = image + suffix_of(file.name)
        named = f'filename="{name}"' if name.isascii() else f"filename*=utf-8''{quote(name)}"
        headers = {"Content-Length": str(size), "Content-Disposition": f"attachment; {named}"}
        super().__init__(pieces, media_type="application/octet-stream", headers=headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)


def training_router(runs: TrainingRuns) -> APIRouter:
    """Fine-tuning; stock clients know these routes."""
    router = APIRouter(prefix="/train", tags=["Training"], default_response_class=Json)

    @router.post(
        "/{model}",
        summary="Start training on the studies",
        openapi_extra={"requestBody": {"content": {"application/json": {"schema": _TRAINING}}}},
    )
    @allowed(Role.ADMIN)
    async def start(request: Request, model: str) -> dict[str, Any]:
        try:
            given = read_object(await request.body(), "the body")
        except ClientDisconnect:
            raise HTTPException(CLIENT_GONE, "the client has gone") from None
        started = await run_in_threadpool(runs.start, model, given)
        note(request, model=model)
        return started

    @router.get("/", summary="How the last training stands")
    @allowed(Role.ADMIN)
    async def status(check_if_running: bool = False) -> dict[str, Any]:
        if check_if_running and not runs.active:
            raise HTTPException(404, "no training runs")
        return await run_in_threadpool(runs.status)

    @router.delete("/", summary="Stop training; the last checkpoint stays")
    @allowed(Role.ADMIN)
    async def stop() -> dict[str, Any]:
        return await run_in_threadpool(runs.stop)

    return router


def mount(app: FastAPI, *routers: APIRouter) -> None:
    """Serve these routers and nothing else, with errors in words.

    What an application had before goes: the routes of MONAI Label serve everything to everyone, and
    those that are needed are ours; each declares who may use it (`allowed`). Left out on purpose:

    - ``POST /reload``: runs what lies in the app folder, with no login;
    - ``/logs/``: show the requests of everyone, and paths of the server;
    - ``PUT|DELETE /datastore/``, ``.../image``: write and delete files, paths too;
    - ``/datastore/label``, ``.../info``, ``/datastore/updatelabelinfo``: this app has no labels;
      tags are paths in the stock server;
    - ``GET /datastore/dataset``: all patients in one archive;
    - ``POST /train/``: trains whatever there is; training is started by the name of the model;
    - ``/model/``: downloads and replaces weights; new ones come from training, on the server;
    - ``/infer/wsi/``, ``/infer/wsi_v2/``: whole-slide pathology, with a path as image;
    - ``/batch/``, ``/scoring/``, ``/activelearning/``: have no meaning for generation;
    - ``/proxy/``: lets a client speak to the DICOM server with this server's credentials;
    - ``/ohif/``, ``/static/``, ``/favicon.ico``: files of a viewer that is not used.
    """
    app.router.routes.clear()
    for router in routers:
        app.include_router(router, form_limits=_FORM)
    app.openapi_schema = None
    speak_plainly(app)


async def _ended_or_gone(request: Request, job: Job) -> bool:
    """Wait until a job has ended (True), or its client has gone."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        with suppress(RuntimeError):  # the server has ended before
            loop.call_soon_threadsafe(ended.set)

    job.when_final(tell)
    waiting = [asyncio.ensure_future(ended.wait()), asyncio.ensure_future(hung_up(request))]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    return ended.is_set()


def _finished(entry: Entry) -> Entry:
    """The job, if it has a result; raises HTTPException."""
    _check_ended_well(entry.job)
    if entry.job.state is not State.DONE:
        raise HTTPException(409, f"the job is {entry.job.state}: ask again when it is done")
    return entry


def _check_ended_well(job: Job) -> None:
    """Raises if a job ended in another way than by being done."""
    if job.state is State.CANCELLED:
        raise HTTPException(410, "the job was cancelled")
    if job.state is State.FAILED:
        if isinstance(job.error, XR2MRIError):
            raise http_error(job.error)
        raise HTTPException(500, "the generation failed; the log of the server tells why")
