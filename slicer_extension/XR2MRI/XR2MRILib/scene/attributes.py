"""What the module writes on nodes, all of it saved with the scene."""

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
"""JSON: what the server says that a volume was made from and with."""
REQUEST = "XR2MRI.Request"
"""JSON of `request.Request`: what was asked of the server."""
JOB = "XR2MRI.Job"
"""JSON of the job on the server, which keeps its result for a while."""
SERVER = "XR2MRI.Server"
FEATURES = "XR2MRI.Features"
"""JSON, on a radiograph: the grades that are known of it."""
DEMOGRAPHICS = "XR2MRI.Demographics"
"""JSON, on a radiograph: what is known of the patient."""
LATERALITY = "XR2MRI.Laterality"
"""`R` or `L`, on a radiograph: the side where no DICOM tag can tell."""

RADIOGRAPH = "XR2MRI.radiograph"
"""Role of the node reference from a generated volume to its radiograph."""
MEAN, STD, DIFFERENCE = "XR2MRI.mean", "XR2MRI.std", "XR2MRI.difference"
REAL_DIFFERENCE, EDGES, TABLE = "XR2MRI.realDifference", "XR2MRI.edges", "XR2MRI.table"
"""Roles of the references from a generated volume to what belongs to it: statistics of its samples,
the difference to what it is a "what if" of, and the comparison with a real volume."""


def is_synthetic(node: slicer.vtkMRMLNode | None) -> bool:
    return node is not None and node.GetAttribute(SYNTHETIC) == "1"


def read_json(node: slicer.vtkMRMLNode, name: str) -> dict[str, Any]:
    """A JSON attribute; empty where there is none that can be read."""
    try:
        found = json.loads(node.GetAttribute(name) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
