"""A generated volume as the body of a reply."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
from requests_toolbelt import MultipartEncoder
from starlette.responses import JSONResponse, Response

from lib.uploads import ScratchFolder
from xr2mri_core.export import write_nifti, write_nrrd
from xr2mri_core.volume import NOTICE, GeneratedVolume

# NIfTI goes out as it is: gzip takes a third of the generation's time to save a tenth of its bytes.
SUFFIXES = {"nifti": ".nii", "nrrd": ".nrrd", "npy": ".npy", "dicom": ".zip"}


def volume_bytes(
    scratch: ScratchFolder, volume: np.ndarray, affine: np.ndarray, form: str, description: str
) -> bytes:
    """A volume as the content of a NIfTI, NRRD or NumPy file."""
    if form == "npy":
        buffer = io.BytesIO()
        np.save(buffer, volume, allow_pickle=False)
        return buffer.getvalue()
    write = write_nifti if form == "nifti" else write_nrrd
    with scratch.folder() as folder:
        path = folder / f"volume{SUFFIXES[form]}"
        write(path, volume, affine, description)
        return path.read_bytes()


def result_bytes(scratch: ScratchFolder, generated: GeneratedVolume, kind: str, form: str) -> bytes:
    """One of a result's volumes (``volume``, ``mean`` or ``std``) as a file's content."""
    volume = getattr(generated, kind)
    if form == "dicom":
        return _dicom_zip(generated)
    seed = generated.record.get("seed")
    return volume_bytes(scratch, volume, generated.affine, form, f"XR2MRI {NOTICE} seed {seed}")


def _dicom_zip(generated: GeneratedVolume) -> bytes:
    from xr2mri_core.dicom_series import dicom_series

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
    return record


def infer_response(
    scratch: ScratchFolder,
    generated: GeneratedVolume,
    output: str | None,
    form: str,
    warnings: list[str],
) -> Response:
    """The answer of `/infer`, as stock MONAI Label answers.

    Args:
        scratch: for writers that need a file.
        generated: the result.
        output: ``image`` (the file), ``json`` (the record), else both as multipart.
        form: ``nifti``, ``nrrd`` or ``dicom``.
        warnings: more than the record has.
    """
    record = record_of(generated, warnings)
    if output == "json":
        return JSONResponse(record)
    content, name = result_bytes(scratch, generated, "volume", form), f"mri{SUFFIXES[form]}"
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
