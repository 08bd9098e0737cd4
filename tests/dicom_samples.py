"""DICOM files for tests, with whatever peculiarity is wanted."""

import io
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, Sequence
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import generate_uid


def knee_pixels(rows: int = 60, columns: int = 50, top: int = 4095) -> np.ndarray:
    """A picture without any symmetry: brighter to the right and to the bottom."""
    return np.linspace(0, top, rows * columns).reshape(rows, columns).astype(np.uint16)


def write_dicom(path: Path, pixels: np.ndarray, syntax=pydicom.uid.ExplicitVRLittleEndian, **tags):
    """Write ``pixels`` (rows, columns); ``tags`` are set last, None takes one out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax
    data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    data.is_little_endian, data.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
    data.Modality, data.PhotometricInterpretation, data.SamplesPerPixel = "DX", "MONOCHROME2", 1
    data.Rows, data.Columns = pixels.shape[:2]
    data.BitsAllocated = pixels.dtype.itemsize * 8
    data.BitsStored = 12 if pixels.dtype.itemsize == 2 else 8
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    for name, value in tags.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data["PixelData"].VR = "OW"
    data["PixelData"].is_undefined_length = syntax.is_compressed
    data.save_as(path, write_like_original=not meta)
    return path


def item(**tags) -> Sequence:
    """A sequence of one item."""
    inner = Dataset()
    for name, value in tags.items():
        setattr(inner, name, value)
    return Sequence([inner])


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({"no_jp2": True} if kind == "JPEG2000" else {}))
    return buffer.getvalue()


def bilateral_film(letter: str = "R", size: int = 600) -> np.ndarray:
    """An upright film (size, size) of two legs, with a lead letter on image left."""
    columns = np.arange(size) / size
    legs = 900 + 700 * np.exp(-(((np.abs(columns - 0.5) - 0.22) / 0.1) ** 2))
    image = Image.fromarray(np.tile(legs.astype(np.float32), (size, 1)))
    ImageDraw.Draw(image).text((30, 60), letter, 4000, ImageFont.load_default(40))
    return np.asarray(image).astype(np.uint16)
