"""Radiographs of synthetic phantoms that come with the extension, to try it offline.

They were made by `xr2mri phantom`; no patient was imaged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import slicer

from .scene import attributes

_CATEGORY = "XR2MRI"
FOLDER = Path(__file__).resolve().parents[1] / "Resources" / "SampleData"


@dataclass(frozen=True)
class Sample:
    """A radiograph in `FOLDER`: `<file>.nrrd`, `<file>.json` with features and side, and a picture
    `<file>.png` for the gallery."""

    file: str
    name: str

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.file}.nrrd"


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
                uris=sample.path.as_uri(),  # wanted also where nothing is to be downloaded
                fileNames=sample.path.name,
                nodeNames=sample.name,
                thumbnailFileName=str(sample.path.with_suffix(".png")),
                customDownloader=lambda _source, sample=sample: load(sample),
            )


def load(sample: Sample) -> slicer.vtkMRMLVolumeNode:
    """The radiograph as a volume node that knows its features and its side."""
    node = slicer.util.loadVolume(str(sample.path), {"name": sample.name, "show": False})
    told = json.loads(sample.path.with_suffix(".json").read_text(encoding="utf-8"))
    node.SetAttribute(attributes.LATERALITY, told["laterality"])
    node.SetAttribute(attributes.FEATURES, json.dumps(told["features"]))
    return node
