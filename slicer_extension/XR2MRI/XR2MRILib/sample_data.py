"""Radiographs of synthetic phantoms that come with the extension, to try it offline.

They were made by `xr2mri phantom`; no patient was imaged. Side and features stand in the headers of
their files (see `scene.file_keys`).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import slicer

from .scene import file_keys

_CATEGORY = "XR2MRI"
FOLDER = Path(__file__).resolve().parents[1] / "Resources" / "SampleData"


@dataclass(frozen=True)
class Sample:
    """A radiograph in `FOLDER`: `<file>.nrrd`, and a picture `<file>.png` for the gallery."""

    file: str
    name: str

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.file}.nrrd"

    @property
    def checksum(self) -> str:
        """Checksum for Sample Data, which would show an older file of that name from its cache."""
        return f"SHA256:{hashlib.sha256(self.path.read_bytes()).hexdigest()}"


SAMPLES = (
    Sample("phantom_right_KL4", "XR2MRI phantom, right knee, KL 4"),
    Sample("phantom_left_KL0", "XR2MRI phantom, left knee, KL 0"),
)


def register() -> None:
    """Offer the samples in the module Sample Data, where that is there, once."""
    try:
        from SampleData import SampleDataLogic
    except ImportError:
        return
    known = [source.sampleName for source in SampleDataLogic.sampleDataSourcesByCategory(_CATEGORY)]
    for sample in SAMPLES:
        if sample.name not in known:
            SampleDataLogic.registerCustomSampleDataSource(
                category=_CATEGORY,
                sampleName=sample.name,
                uris=sample.path.as_uri(),
                fileNames=sample.path.name,
                nodeNames=sample.name,
                checksums=sample.checksum,
                thumbnailFileName=str(sample.path.with_suffix(".png")),
            )


def is_sample(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether a node was read from the file of a sample, also from a copy of it. Sample Data makes
    one, and has the node forget it again: then its name tells."""
    storage = node.GetStorageNode()
    path = (storage.GetFileName() if storage is not None else None) or ""
    if path:
        return Path(path).name in {sample.path.name for sample in SAMPLES}
    name = re.sub(r"_\d+$", "", node.GetName() or "")  # a second one is numbered
    return name in {sample.name for sample in SAMPLES}


def load(sample: Sample) -> slicer.vtkMRMLScalarVolumeNode:
    """The radiograph as a volume node that knows its features and its side, and is not shown."""
    node = slicer.util.loadVolume(str(sample.path), {"name": sample.name, "show": False})
    file_keys.take(node)
    return node
