"""A generated volume as the body of a reply.

Written from the result itself, piece by piece as the client takes it: a reply holds no copy of the
volume, and a full disk costs nobody a result. Only an archive of DICOM files has to be made before
it can be sent; who asks for it meanwhile gets the same one.
"""

from __future__ import annotations

import io
import json
import weakref
import zipfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from requests_toolbelt import MultipartEncoder
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from monai_app.lib.jobs import Entry
from monai_app.lib.json_text import plain
from xr2mri_core.export import nifti_pieces, npy_pieces, nrrd_pieces
from xr2mri_core.volume import NOTICE, GeneratedVolume

# NIfTI goes out as it is: gzip takes a third of the generation's time to save a tenth of its bytes.
SUFFIXES = {"nifti": ".nii", "nrrd": ".nrrd", "npy": ".npy", "dicom": ".zip"}
_PIECE = 256 << 10  # bytes


class VolumeReply(StreamingResponse):
    """A volume of a job, which counts as held until the last byte is sent or the client has gone.

    Args:
        entry: job whose volume it is.
        body: pieces of the file.
        length: bytes of all pieces, where known before.
        headers: headers of the reply.
        kind: which whole volume of the job it is; None for a part of one.
    """

    def __init__(
        self,
        entry: Entry,
        body: Iterator[bytes],
        length: int | None,
        headers: dict[str, str],
        kind: str | None = "volume",
    ) -> None:
        if length is not None:
            headers = {**headers, "Content-Length": str(length)}
        super().__init__(_made(body, entry), headers=headers)
        self._entry, self._kind = entry, kind
        self._held = entry.claim.held_by_another()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._held.release()

    async def stream_response(self, send: Send) -> None:
        await super().stream_response(send)
        if self._kind is not None:
            self._entry.was_fetched(self._kind)


async def _made(pieces: Iterator[bytes], entry: Entry) -> AsyncIterator[bytes]:
    """The pieces, made in turn with those of other replies: compressing one takes 10 ms."""
    make = partial(next, pieces, None)
    while (piece := await entry.sending.do(entry.claim.user, make)) is not None:
        yield piece


async def result_reply(entry: Entry, kind: str, file_format: str) -> VolumeReply:
    """One of a result's volumes (``volume``, ``mean`` or ``std``) as a file."""
    pieces, length = await _pieces(entry, kind, file_format)
    return VolumeReply(entry, pieces, length, _headers(file_format, kind), kind)


def partial_reply(
    entry: Entry, volume: NDArray[np.float32], known: int, file_format: str
) -> VolumeReply:
    """What is there of a volume; slices beyond the `known` ones are zero."""
    made = entry.job.made
    if made is None or volume is not made.volume:
        entry.count_after_its_end(volume)
    description = f"XR2MRI {NOTICE} incomplete"
    pieces, length = _volume(volume, entry.generation.affine, file_format, description, known)
    headers = {**_headers(file_format, "volume"), "X-Slices-Done": str(known)}
    return VolumeReply(entry, pieces, length, headers, kind=None)


async def infer_reply(entry: Entry, file_format: str, alone: bool) -> VolumeReply:
    """The answer of `/infer` with a volume, as stock MONAI Label answers.

    Args:
        entry: job of the result.
        file_format: ``nifti``, ``nrrd`` or ``dicom``.
        alone: the file; else the record and the file as multipart.
    """
    pieces, length = await _pieces(entry, "volume", file_format)
    if alone:
        return VolumeReply(entry, pieces, length, _headers(file_format, "mri"))
    record = json.dumps(record_of(entry.job.result, entry.warnings))
    here = b"the file"
    parts = MultipartEncoder(
        fields={
            "params": (None, record, "application/json"),
            "image": (f"mri{SUFFIXES[file_format]}", here, media_type(file_format)),
        }
    )
    head, _, tail = parts.to_string().rpartition(here)

    def body() -> Iterator[bytes]:
        yield head
        yield from pieces
        yield tail

    length = None if length is None else len(head) + length + len(tail)
    return VolumeReply(entry, body(), length, {"Content-Type": parts.content_type})


def media_type(file_format: str) -> str:
    """The media type of a file of that format."""
    return "application/zip" if file_format == "dicom" else "application/octet-stream"


def record_of(generated: GeneratedVolume, warnings: list[str]) -> dict[str, Any]:
    """The JSON that goes with a volume: its record, with what stock clients look for."""
    record = dict(generated.record)
    record.pop("radiograph", None)  # the client's own file name; it may name a patient
    record["warnings"] = [*record.get("warnings", []), *warnings]
    record["label_names"] = []
    record["latencies"] = {"total": round(sum(record["seconds"].values()), 2)}
    fields: dict[str, Any] = plain(record)
    return fields


def _headers(file_format: str, name: str) -> dict[str, str]:
    return {
        "Content-Type": media_type(file_format),
        "Content-Disposition": f'attachment; filename="{name}{SUFFIXES[file_format]}"',
    }


async def _pieces(entry: Entry, kind: str, file_format: str) -> tuple[Iterator[bytes], int | None]:
    generated = entry.job.result
    if file_format != "dicom":
        description = f"XR2MRI {NOTICE} seed {generated.record.get('seed')}"
        return _volume(getattr(generated, kind), generated.affine, file_format, description)
    archive = await entry.archiving.do(entry.claim.user, partial(_archive, entry))
    return _read(archive), archive.getbuffer().nbytes


def _volume(
    volume: NDArray[np.float32],
    affine: NDArray[np.float64],
    file_format: str,
    description: str,
    known: int | None = None,
) -> tuple[Iterator[bytes], int | None]:
    """The pieces of a file, and its length, where it is not compressed."""
    if file_format == "nrrd":
        return nrrd_pieces(volume, affine, description, known), None
    if file_format == "npy":
        voxels = npy_pieces(volume, known)
    else:
        voxels = nifti_pieces(volume, affine, description, known)
    header = next(voxels)
    return chain([header], voxels), len(header) + volume.nbytes


def _read(archive: io.BytesIO) -> Iterator[bytes]:
    with archive.getbuffer() as content:
        for first in range(0, len(content), _PIECE):
            yield bytes(content[first : first + _PIECE])


def _archive(entry: Entry) -> io.BytesIO:
    """The DICOM files of a result; called by one thread at a time."""
    archive = entry.archive()
    if archive is None:
        archive = _dicom_zip(entry.job.result)
        entry.archive = weakref.ref(archive)
    return archive


def _dicom_zip(generated: GeneratedVolume) -> io.BytesIO:
    from xr2mri_core.export import dicom_series

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for dataset in dicom_series(generated):
            part = io.BytesIO()
            dataset.save_as(part, write_like_original=False)
            # without the time of day, so that the same result is always the same bytes
            entry = zipfile.ZipInfo(f"{dataset.SOPInstanceUID}.dcm")
            archive.writestr(entry, part.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=1)
    return buffer
