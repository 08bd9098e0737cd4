"""One file each: NIfTI, NRRD, JSON, PNG."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.volume import NOTICE

_PIECE = 256 << 10  # bytes


def nifti_pieces(
    volume: NDArray[Any], affine: NDArray[np.float64], description: str, known: int | None = None
) -> Iterator[bytes]:
    """A NIfTI-1 file: ``volume`` (X, Y, Z) with its RAS ``affine`` (4, 4) in mm.

    It comes piece by piece: all of it at once would be the volume's memory once more.

    Args:
        volume: array of any type that NIfTI has.
        affine: voxel to RAS mm.
        description: up to 79 characters.
        known: slices (along Y) that are there; the others are zeros, whatever comes meanwhile.
    """
    image = _nifti(volume, affine, description)
    header = image.header.copy()
    header["magic"], header["vox_offset"] = header.single_magic, header.single_vox_offset
    header.set_slope_inter(1.0, 0.0)
    yield header.binaryblock.ljust(header.single_vox_offset, b"\0")  # zeros: no extensions
    yield from _voxels(volume, volume.dtype.newbyteorder(header.endianness), known)


def _voxels(
    volume: NDArray[Any], dtype: np.dtype[Any], known: int | None = None
) -> Iterator[bytes]:
    """The voxels of a file, X fastest, in pieces of some 256 KiB or one plane."""
    planes = max(1, _PIECE // max(1, volume[..., :1].nbytes))
    for first in range(0, volume.shape[-1], planes):
        yield _seen(volume[..., first : first + planes], known).astype(dtype).tobytes(order="F")


def _seen(part: NDArray[Any], known: int | None) -> NDArray[Any]:
    if known is None or known >= part.shape[1]:
        return part
    seen = np.zeros_like(part)
    seen[:, :known] = part[:, :known]
    return seen


def write_nifti(
    path: Path, volume: NDArray[Any], affine: NDArray[np.float64], description: str
) -> None:
    """Write what `nifti_pieces` yields into a file.

    As ``.nii.gz`` compressed lightly and without a time stamp: the same bytes every time.
    """
    import nibabel as nib

    nib.save(_nifti(volume, affine, description), path)


def _nifti(volume: NDArray[Any], affine: NDArray[np.float64], description: str) -> Any:
    import nibabel as nib

    image = nib.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode("ascii", "replace")[:79]
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    return image


def npy_pieces(volume: NDArray[Any], known: int | None = None) -> Iterator[bytes]:
    """A NumPy file (format 1.0, C order) of ``volume`` (X, Y, Z) piece by piece."""
    head = io.BytesIO()
    layout = {"descr": volume.dtype.str, "fortran_order": False, "shape": volume.shape}
    np.lib.format.write_array_header_1_0(head, layout)
    yield head.getvalue()
    rows = max(1, _PIECE // max(1, volume[:1].nbytes))
    for first in range(0, len(volume), rows):
        yield _seen(volume[first : first + rows], known).tobytes()


def nrrd_bytes(volume: NDArray[np.float32], affine: NDArray[np.float64], description: str) -> bytes:
    """Return an NRRD file: the voxels of `nifti_pieces`, the affine turned from RAS to ITK's LPS.

    Compressed lightly; the same bytes every time, which pynrrd's comment with the date forbids.
    Floats and integers of 8 to 64 bits.
    """
    return b"".join(nrrd_pieces(volume, affine, description))


def nrrd_pieces(
    volume: NDArray[Any], affine: NDArray[np.float64], description: str, known: int | None = None
) -> Iterator[bytes]:
    """The same file piece by piece, as `nifti_pieces`."""
    kinds = {"f4": "float", "f8": "double"}
    code = volume.dtype.newbyteorder("<").str[1:]
    bits = f"{'u' if code[0] == 'u' else ''}int{8 * volume.dtype.itemsize}"
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3]
    *axes, origin = ("(" + ",".join(repr(float(x)) for x in column) + ")" for column in lps.T)
    header = [
        "NRRD0004",
        f"type: {kinds.get(code, bits)}",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: " + " ".join(map(str, volume.shape)),
        "space directions: " + " ".join(axes),
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {origin}",
        "description:=" + " ".join(description.encode("ascii", "replace").decode().split()),
    ]
    yield "\n".join([*header, "", ""]).encode()
    packer = zlib.compressobj(2, wbits=31)  # gzip, without a time
    for voxels in _voxels(volume, np.dtype(f"<{code}"), known):
        if packed := packer.compress(voxels):
            yield packed
    yield packer.flush()


def write_nrrd(
    path: Path, volume: NDArray[np.float32], affine: NDArray[np.float64], description: str
) -> None:
    """Write what `nrrd_bytes` returns into a file."""
    path.write_bytes(nrrd_bytes(volume, affine, description))


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """``record`` as indented JSON; arrays and paths become plain, NaN and infinity null."""
    plain = json.loads(json.dumps(record, default=_plain), parse_constant=lambda name: None)
    path.write_text(json.dumps(plain, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def write_png(path: Path, image: NDArray[np.float32], comment: str = NOTICE) -> None:
    """``image`` (H, W) in [0, 1] as 8-bit grey PNG with ``comment`` in its text chunk."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", comment)
    grey = np.uint8(np.clip(np.nan_to_num(image), 0, 1) * 255 + 0.5)
    Image.fromarray(grey).save(path, format="PNG", pnginfo=info)
