"""A generated volume as the body of a reply.

Made in memory: a full disk costs nobody a result.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
from requests_toolbelt import MultipartEncoder
from starlette.responses import Response

from monai_app.lib.json_text import Json, plain
from xr2mri_core.export import nifti_bytes, nrrd_bytes
from xr2mri_core.volume import NOTICE, GeneratedVolume

# NIfTI goes out as it is: gzip takes a third of the generation's time to save a tenth of its bytes.
SUFFIXES = {"nifti": ".nii", "nrrd": ".nrrd", "npy": ".npy", "dicom": ".zip"}


def volume_bytes(volume: np.ndarray, affine: np.ndarray, form: str, description: str) -> bytes:
    """A volume as the content of a NIfTI, NRRD or NumPy file."""
    if form == "npy":
        buffer = io.BytesIO()
        np.save(buffer, volume, allow_pickle=False)
        return buffer.getvalue()
    write = nifti_bytes if form == "nifti" else nrrd_bytes
    return write(volume, affine, description)


def result_bytes(generated: GeneratedVolume, kind: str, form: str) -> bytes:
    """One of a result's volumes (``volume``, ``mean`` or ``std``) as a file's content."""
    if form == "dicom":
        return _dicom_zip(generated)
    description = f"XR2MRI {NOTICE} seed {generated.record.get('seed')}"
    return volume_bytes(getattr(generated, kind), generated.affine, form, description)


def _dicom_zip(generated: GeneratedVolume) -> bytes:
    from xr2mri_core.export import dicom_series

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for dataset in dicom_series(generated):
            part = io.BytesIO()
            dataset.save_as(part, write_like_original=False)
            archive.writestr(f"{dataset.SOPInstanceUID}.dcm", part.getvalue())
    return buffer.getvalue()


def media_type(form: str) -> str:
    """What a reply calls a file of that form."""
    return "application/zip" if form == "dicom" else "application/octet-stream"


def record_of(generated: GeneratedVolume, warnings: list[str]) -> dict[str, Any]:
    """The JSON that goes with a volume: its record, with what stock clients look for."""
    record = dict(generated.record)
    record.pop("radiograph", None)  # the client's own file name; it may name a patient
    record["warnings"] = [*record.get("warnings", []), *warnings]
    record["label_names"] = []
    record["latencies"] = {"total": round(sum(record["seconds"].values()), 2)}
    told: dict[str, Any] = plain(record)
    return told


def infer_response(
    generated: GeneratedVolume,
    output: str | None,
    form: str,
    warnings: list[str],
) -> Response:
    """The answer of `/infer`, as stock MONAI Label answers.

    Args:
        generated: the result.
        output: ``image`` (the file), ``json`` (the record), else both as multipart.
        form: ``nifti``, ``nrrd`` or ``dicom``.
        warnings: more than the record has.
    """
    record = record_of(generated, warnings)
    if output == "json":
        return Json(record)
    content, name = result_bytes(generated, "volume", form), f"mri{SUFFIXES[form]}"
    if output == "image":
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type=media_type(form), headers=headers)
    parts = MultipartEncoder(
        fields={
            "params": (None, json.dumps(record), "application/json"),
            "image": (name, content, media_type(form)),
        }
    )
    return Response(parts.to_string(), media_type=parts.content_type)
