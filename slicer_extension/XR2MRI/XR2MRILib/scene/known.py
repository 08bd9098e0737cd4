"""What is known of a radiograph: its grades, its patient, its side, its box, what DICOM tells.

All of it is kept on the radiograph's node, so that it is found again whoever asks next: the panel
when another radiograph was chosen meanwhile, a batch, a scene that is opened elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import slicer

from ..upload import as_stored, source_of
from . import attributes, dicom_source
from .crop import Box
from .picture import frame_of, problem


def features(node: slicer.vtkMRMLVolumeNode) -> dict[str, Any]:
    """The grades by name."""
    return attributes.read_json(node, attributes.FEATURES)


def demographics(node: slicer.vtkMRMLVolumeNode) -> dict[str, Any]:
    """Age, sex and body mass index as the form had them, also where it was emptied; age and sex by
    the DICOM tags where it was never filled in."""
    if attributes.kept(node, attributes.DEMOGRAPHICS):
        return attributes.read_json(node, attributes.DEMOGRAPHICS)
    return dict(dicom_source.demographics(node))


def chosen_side(node: slicer.vtkMRMLVolumeNode) -> str:
    """`R` or `L` as the user chose it; empty where the image is to say it."""
    side = attributes.kept(node, attributes.CHOSEN_SIDE)
    return side if side in ("R", "L") else ""


def laterality(node: slicer.vtkMRMLVolumeNode) -> str:
    """`R` or `L` by the user, else by what the image says; empty where nothing tells."""
    return chosen_side(node) or dicom_source.laterality(node)


def box(node: slicer.vtkMRMLVolumeNode) -> Box | None:
    """The box around the knee as the user drew it; None where it is to be looked for.

    It is of the pixels that it was drawn in: a copy of the node that was cropped, resampled or
    turned since has others.
    """
    kept = attributes.read_json(node, attributes.BOX)
    if not kept or problem(node) or kept.get("frame") != _place(node):
        return None
    try:
        top, left, bottom, right = map(int, kept["box"])
    except (KeyError, TypeError, ValueError):  # a scene comes from anybody
        return None
    return top, left, bottom, right


def remember_box(node: slicer.vtkMRMLVolumeNode, drawn: Box | None) -> None:
    """Write down a box that the user drew, or that there is none any more."""
    if box(node) != drawn:
        text = "" if drawn is None else json.dumps({"box": drawn, "frame": _place(node)})
        attributes.keep(node, attributes.BOX, text)


def _place(node: slicer.vtkMRMLVolumeNode) -> list[float]:
    """Where its pixels lie, to be compared."""
    frame = frame_of(node)
    return [frame.rows, frame.columns, *frame.to_ras[:3].round(3).ravel().tolist()]


def remember(
    node: slicer.vtkMRMLVolumeNode,
    grades: Mapping[str, int],
    patient: Mapping[str, str],
    side: str,
) -> None:
    """Write the form and the chosen side, of them what is new.

    Args:
        node: radiograph.
        grades, patient: see `features` and `demographics`.
        side: `R`, `L`, or `auto`: the image is to say it.
    """
    if features(node) != grades:
        attributes.keep(node, attributes.FEATURES, json.dumps(dict(grades)))
    if demographics(node) != patient:
        attributes.keep(node, attributes.DEMOGRAPHICS, json.dumps(dict(patient)))
    if (chosen_side(node) or "auto") != side:
        attributes.keep(node, attributes.CHOSEN_SIDE, side)


def keep_tags(node: slicer.vtkMRMLVolumeNode) -> None:
    """Write down what DICOM tells of a radiograph, while there is a database or a file to ask."""
    if attributes.kept(node, attributes.TAGS):
        return
    tags = dicom_source.tags(node)
    negative = tags.get(dicom_source.PHOTOMETRIC) == "MONOCHROME1" and not problem(node)
    if negative and not as_stored(slicer.util.arrayFromVolume(node)[0], source_of(node)):
        tags[dicom_source.PHOTOMETRIC] = "MONOCHROME2"  # without its file nobody could tell
    if tags:
        attributes.keep(node, attributes.TAGS, json.dumps(tags))
