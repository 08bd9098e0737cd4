"""Files for generated volumes: NIfTI, NRRD, DICOM, PNG montage, JSON record.

Every file says that its content is synthetic, and every set of files appears whole or not at all.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xr2mri_core.errors import OutputError
from xr2mri_core.files import atomic_files
from xr2mri_core.volume import NOTICE, GeneratedVolume

VolumeFormat = Literal["nifti", "nrrd", "dicom"]
SUFFIXES: dict[str, str] = {"nifti": ".nii.gz", "nrrd": ".nrrd", "dicom": "_dicom"}
"""What follows the name; DICOM is a folder of files, see :mod:`xr2mri_core.dicom_series`."""
_PIECE = 64 << 10  # bytes


# --- one file each ------------------------------------------------------------------------------


def nifti_bytes(volume: np.ndarray, affine: np.ndarray, description: str) -> bytes:
    """A NIfTI-1 file: ``volume`` (X, Y, Z) with its RAS ``affine`` (4, 4) in mm.

    Args:
        volume: of any type that NIfTI has.
        affine: voxel to RAS mm.
        description: up to 79 characters.
    """
    return b"".join(nifti_pieces(volume, affine, description))


def nifti_pieces(volume: np.ndarray, affine: np.ndarray, description: str) -> Iterator[bytes]:
    """The same file piece by piece: all of it at once would be the volume's memory once more."""
    image = _nifti(volume, affine, description)
    header = image.header.copy()
    header["magic"], header["vox_offset"] = header.single_magic, header.single_vox_offset
    header.set_slope_inter(1.0, 0.0)
    yield header.binaryblock.ljust(header.single_vox_offset, b"\0")  # zeros: no extensions
    yield from _voxels(volume, volume.dtype.newbyteorder(header.endianness))


def _voxels(volume: np.ndarray, dtype: np.dtype) -> Iterator[bytes]:
    """The voxels of a file, X fastest, in pieces of some 64 KiB or one plane."""
    planes = max(1, _PIECE // max(1, volume[..., :1].nbytes))
    for first in range(0, volume.shape[-1], planes):
        yield volume[..., first : first + planes].astype(dtype, copy=False).tobytes(order="F")


def write_nifti(path: Path, volume: np.ndarray, affine: np.ndarray, description: str) -> None:
    """As :func:`nifti_bytes`, into a file.

    As ``.nii.gz`` compressed lightly and without a time stamp: the same bytes every time.
    """
    import nibabel as nib

    nib.save(_nifti(volume, affine, description), path)


def _nifti(volume: np.ndarray, affine: np.ndarray, description: str) -> Any:
    import nibabel as nib

    image = nib.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode("ascii", "replace")[:79]
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    return image


def nrrd_bytes(volume: np.ndarray, affine: np.ndarray, description: str) -> bytes:
    """As :func:`nifti_bytes`, in NRRD: the same voxels, the affine turned from RAS to ITK's LPS.

    Compressed lightly; the same bytes every time, which pynrrd's comment with the date forbids.
    Floats and integers of 8 to 64 bits.
    """
    return b"".join(nrrd_pieces(volume, affine, description))


def nrrd_pieces(volume: np.ndarray, affine: np.ndarray, description: str) -> Iterator[bytes]:
    """The same file piece by piece, as :func:`nifti_pieces`."""
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
    for voxels in _voxels(volume, np.dtype(f"<{code}")):
        if packed := packer.compress(voxels):
            yield packed
    yield packer.flush()


def write_nrrd(path: Path, volume: np.ndarray, affine: np.ndarray, description: str) -> None:
    """As :func:`nrrd_bytes`, into a file."""
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


def write_png(path: Path, image: np.ndarray, comment: str = NOTICE) -> None:
    """``image`` (H, W) in [0, 1] as 8-bit grey PNG with ``comment`` in its text chunk."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", comment)
    grey = np.uint8(np.clip(np.nan_to_num(image), 0, 1) * 255 + 0.5)
    Image.fromarray(grey).save(path, format="PNG", pnginfo=info)


# --- pictures -----------------------------------------------------------------------------------


def montage(
    slices: np.ndarray, radiograph: np.ndarray | None = None, tiles: int = 12, columns: int = 6
) -> np.ndarray:
    """A contact sheet of a volume.

    Args:
        slices: (n, H, W) in [0, 1], image convention.
        radiograph: (H, W) in [0, 1], shown as the first tile when given.
        tiles: how many slices, evenly spread over the depths.
        columns: tiles in a row.

    Returns:
        (rows * H + caption, columns * W) in [0, 1], with the words "synthetic, not for diagnosis".
    """
    chosen = np.unique(np.linspace(0, len(slices) - 1, min(tiles, len(slices))).round().astype(int))
    pictures: list[np.ndarray] = [] if radiograph is None else [radiograph]
    pictures += [slices[k] for k in chosen]
    titles = [] if radiograph is None else ["radiograph"]
    titles += [f"slice {k + 1}/{len(slices)}" for k in chosen]
    return _sheet(pictures, titles, columns)


def _sheet(pictures: Sequence[np.ndarray], titles: Sequence[str], columns: int) -> np.ndarray:
    from PIL import Image, ImageDraw

    height, width = pictures[0].shape
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    caption = 18
    sheet = Image.new("L", (columns * width, rows * height + caption))
    draw = ImageDraw.Draw(sheet)
    for index, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        left, top = index % columns * width, index // columns * height
        sheet.paste(Image.fromarray(np.uint8(np.clip(picture, 0, 1) * 255 + 0.5)), (left, top))
        draw.text((left + 4, top + 3), title, fill=255)
    draw.text((4, rows * height + 3), f"XR2MRI: {NOTICE}", fill=255)
    return np.asarray(sheet, dtype=np.float32) / 255


# --- a generated volume -------------------------------------------------------------------------


def write_generated(
    generated: GeneratedVolume,
    folder: Path | str,
    name: str = "generated",
    volume_format: VolumeFormat = "nifti",
) -> dict[str, Path]:
    """Write the volume (and mean and std, if sampled), its montage and its record into ``folder``.

    Args:
        generated: what to write.
        folder: where, created if needed.
        name: stem of the files; a volume's has what it is behind it: `sample`, `mean` or `std`.
        volume_format: one of :data:`SUFFIXES`.

    Returns:
        What was written: ``volume``, ``montage``, ``record`` and, for several samples, ``mean``,
        ``std``; as DICOM, ``volume`` is one folder with the series of all three.

    Raises:
        OutputError: nothing was written.
    """
    from xr2mri_core.geometry import volume_to_slices

    if volume_format not in SUFFIXES:
        accepted = ", ".join(SUFFIXES)
        raise OutputError(f"unknown volume format '{volume_format}'; accepted: {accepted}")
    folder, suffix = Path(folder), SUFFIXES[volume_format]
    is_dicom = volume_format == "dicom"
    write_volume = write_nifti if volume_format == "nifti" else write_nrrd
    seed = generated.record.get("seed", "?")
    volumes = {"volume": generated.volume, "mean": generated.mean, "std": generated.std}
    written: dict[str, Path] = {"volume": folder / f"{name}{suffix}"} if is_dicom else {}
    with atomic_files(folder) as files:
        for kind, volume in volumes.items():
            if volume is not None and not is_dicom:
                what = generated.kind if kind == "volume" else kind
                description = f"XR2MRI {what}, {NOTICE}, seed {seed}"
                written[kind] = folder / f"{name}_{what}{suffix}"
                write_volume(files.path(written[kind]), volume, generated.affine, description)
        written["montage"] = folder / f"{name}.png"
        sheet = montage(volume_to_slices(generated.volume), generated.radiograph, tiles=11)
        write_png(files.path(written["montage"]), sheet)
        written["record"] = folder / f"{name}.json"
        names = {kind: path.name for kind, path in written.items()}
        write_json(files.path(written["record"]), {**generated.record, "files": names})
        if is_dicom:  # last, for these files are a set of their own, whole or absent
            from xr2mri_core.dicom_series import write_dicom_series

            write_dicom_series(generated, written["volume"])
    return written
