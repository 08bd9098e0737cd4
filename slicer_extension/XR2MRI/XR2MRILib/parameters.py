"""What the panel shows, kept in the scene: Slicer's parameter node with names and types."""

# Slicer reads the annotations below as types, so they must not become text (PEP 563).

from typing import Annotated, Dict

from slicer import vtkMRMLDisplayableNode, vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class XR2MRIParameterNode:
    """The state of the panel.

    Attributes:
        radiograph: to generate from.
        preparedFor: id of the radiograph that the fields below belong to.
        laterality: `auto`, `R` or `L`.
        cropRoi: the box around the knee, once the user has seen it.
        cropProposal: the box as it was proposed, `top left bottom right`; what differs from it
            was moved by the user and is sent.
        features: grades by name.
        demographics: what is given of the patient, by name, as text.
        numSlices, steps, sampler, guidance, newSeed, seed, samples: see `request.Request`; 0
            steps and an empty sampler are the model's own.
        pixelsOnly: send the picture without the DICOM header.
        recalled: whether the options of the last session have been taken.
        result: the generated volume that is looked at.
        overlay: role of what is added to it in the views, see `scene.attributes`; empty for none.
        realMri, alignCentres: what to compare with, and how it is placed.
    """

    radiograph: vtkMRMLScalarVolumeNode  # RGB is a subclass; Slicer cannot bind the abstract base
    preparedFor: str = ""
    laterality: str = "auto"
    cropRoi: vtkMRMLDisplayableNode  # an ROI: its class may not be there yet when this is read
    cropProposal: str = ""
    features: Dict[str, int]
    demographics: Dict[str, str]
    numSlices: Annotated[int, WithinRange(30, 500)] = 50
    steps: Annotated[int, WithinRange(0, 1000)] = 0
    sampler: str = ""
    guidance: Annotated[float, WithinRange(0, 50)] = 1.0
    newSeed: bool = True
    seed: Annotated[int, WithinRange(0, 2147483647)] = 0
    samples: Annotated[int, WithinRange(1, 16)] = 1
    pixelsOnly: bool = False
    recalled: bool = False
    result: vtkMRMLScalarVolumeNode
    overlay: str = ""
    realMri: vtkMRMLScalarVolumeNode
    alignCentres: bool = False


OPTIONS = ("numSlices", "steps", "sampler", "guidance", "newSeed", "seed", "samples", "pixelsOnly")
"""Names of what is remembered from one start of Slicer to the next."""
