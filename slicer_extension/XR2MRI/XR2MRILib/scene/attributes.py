"""What the module writes on nodes, all of it saved with the scene.

Slicer writes the attributes of some volumes into their .nrrd files, which then go to other people.
What tells of a patient or of a server is therefore no attribute of the volume but of its display
node (`keep`, `kept`): the scene has it, a file of the volume does not.
"""

from __future__ import annotations

import json
from typing import Any

import slicer

SYNTHETIC = "XR2MRI.Synthetic"
"""`1` on every volume that shows generated anatomy."""
KIND = "XR2MRI.Kind"
"""`volume`, `mean`, `std`, `difference` or `edges`."""
NOTICE = "XR2MRI.Notice"
RECORD = "XR2MRI.Record"
"""JSON: what the server says that a volume was made from and with; kept, with `PUBLIC` of it as an
attribute of the volume."""
PUBLIC = (  # by name: what a server tells next may be of the patient
    "notice",
    "kind",
    "laterality",
    "features",
    "slices",
    "depths",
    "spacing_mm",
    "seed",
    "samples",
    "sampler",
    "steps",
    "guidance",
    "model",
    "versions",
)
REQUEST = "XR2MRI.Request"
"""JSON of `request.Request`: what was asked of the server; kept, without the patient as an
attribute of the volume."""
JOB = "XR2MRI.Job"
"""JSON, kept: the job on the server, which keeps its result for a while."""
SERVER = "XR2MRI.Server"
"""Kept: its address."""
FEATURES = "XR2MRI.Features"
"""JSON, of a radiograph: the grades that are known of it; kept, or brought by its file."""
DEMOGRAPHICS = "XR2MRI.Demographics"
"""JSON, of a radiograph, kept: what is known of the patient."""
LATERALITY = "XR2MRI.Laterality"
"""`R` or `L`, on a radiograph: the side where no DICOM tag can tell."""
CHOSEN_SIDE = "XR2MRI.ChosenSide"
"""`R`, `L` or `auto`, of a radiograph, kept: the side by its user."""
BOX = "XR2MRI.Box"
"""JSON, of a radiograph, kept: the box around the knee by its user, and the pixels it is of."""
TAGS = "XR2MRI.Tags"
"""JSON, of a radiograph, kept: the DICOM elements that count, as `0020,0062`, with their values."""

PSNR, SSIM = "XR2MRI.PSNR", "XR2MRI.SSIM"
"""Of the table of a comparison: the figures of the whole volume, PSNR in dB."""

RADIOGRAPH = "XR2MRI.radiograph"
"""Role of the node reference from a generated volume to its radiograph."""
MEAN, STD, DIFFERENCE = "XR2MRI.mean", "XR2MRI.std", "XR2MRI.difference"
REAL_DIFFERENCE, EDGES, TABLE = "XR2MRI.realDifference", "XR2MRI.edges", "XR2MRI.table"
"""Roles of the references from a generated volume to what belongs to it: statistics of its samples,
the difference to what it is a "what if" of, and the comparison with a real volume."""


def is_synthetic(node: slicer.vtkMRMLNode | None) -> bool:
    return node is not None and node.GetAttribute(SYNTHETIC) == "1"


def keep(node: slicer.vtkMRMLDisplayableNode, name: str, text: str) -> None:
    """Write on a volume what is saved with the scene, but not in the volume's own file."""
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAttribute(name, text)


def kept(node: slicer.vtkMRMLDisplayableNode, name: str) -> str:
    """What was kept of a volume, else its attribute of that name, which its file or an earlier
    version of this module has brought; empty where there is none."""
    display = node.GetDisplayNode()
    return (display and display.GetAttribute(name)) or node.GetAttribute(name) or ""


def read_json(node: slicer.vtkMRMLDisplayableNode, name: str) -> dict[str, Any]:
    """JSON of `kept`; empty where there is none that can be read."""
    try:
        found = json.loads(kept(node, name) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
