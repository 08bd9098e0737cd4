"""What the panel shows, kept in the scene: Slicer's parameter node with names and types."""

# Slicer reads the annotations below as types, so they must not become text (PEP 563).

from typing import TYPE_CHECKING, Annotated, Any, Dict, List, Optional, Tuple

import slicer
from slicer import vtkMRMLDisplayableNode, vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import (
    SlicerParameterNamePropertyName,
    WithinRange,
    parameterNodeWrapper,
)

from .request import Request

if TYPE_CHECKING:
    from slicer.parameterNodeWrapper import WrappedNode  # of the stubs: what the wrapper adds
else:
    WrappedNode = object

MOST = 1_000_000
"""Largest number that a field takes. What a server takes is less, and the server says it."""


@parameterNodeWrapper
class _Parameters(WrappedNode):
    """The state of the panel, as Slicer wraps it.

    Attributes:
        radiograph: radiograph to generate from.
        preparedFor: the radiograph that the fields below belong to; None where it has gone. A
            reference, which follows it when a scene is added to another and its id changes.
        prepared: whether there has been any.
        laterality: `auto`, `R` or `L`.
        cropRoi: the box around the knee, once the user has seen it.
        cropProposal: the box as it was proposed, `top left bottom right`; what differs from it
            was moved by the user and is sent.
        cropFound: whether it is the server that proposed it; else it is the middle of the picture.
        features: grades by name.
        demographics: what is given of the patient, by name, as text.
        kind, numSlices, steps, sampler, guidance, newSeed, seed, samples: see `request.Request`; 0
            steps, an empty sampler and a guidance below 0 are the model's own.
        pixelsOnly: send the picture without the DICOM header.
        recalled: whether the options of the last session have been taken.
        result: the generated volume that is looked at.
        overlay: role of what is added to it in the views, see `scene.attributes`; empty for none.
        realMri, alignCentres: what to compare with, and how it is placed.
    """

    radiograph: vtkMRMLScalarVolumeNode  # RGB is a subclass; Slicer cannot bind the abstract base
    preparedFor: vtkMRMLScalarVolumeNode
    prepared: bool = False
    laterality: str = "auto"
    cropRoi: vtkMRMLDisplayableNode  # an ROI: its class may not be there yet when this is read
    cropProposal: str = ""
    cropFound: bool = False
    features: Dict[str, int]
    demographics: Dict[str, str]
    kind: str = "sample"
    numSlices: Annotated[int, WithinRange(1, MOST)] = Request.num_slices
    steps: Annotated[int, WithinRange(0, MOST)] = 0
    sampler: str = ""
    guidance: Annotated[float, WithinRange(-1, MOST)] = -1.0
    newSeed: bool = True
    seed: Annotated[int, WithinRange(0, 2147483647)] = 0
    samples: Annotated[int, WithinRange(1, MOST)] = Request.samples
    pixelsOnly: bool = False
    recalled: bool = False
    result: vtkMRMLScalarVolumeNode
    overlay: str = ""
    realMri: vtkMRMLScalarVolumeNode
    alignCentres: bool = False


class XR2MRIParameterNode(_Parameters):
    """The state of the panel (see `_Parameters`), bound to its widgets in the same way in every
    version of Slicer: `connectGui` gives no tag up to 5.8, and up to 5.10 `disconnectGui` leaves
    its observer on the node. See docs/slicer_versions.md."""

    _noted: Optional[List[Any]] = None  # tags of observers, while widgets are being connected

    def connectGui(self, gui: Any) -> Tuple[Any, List[Any]]:
        """Bind the widgets whose property `SlicerParameterName` names a parameter. Each keeps its
        limits, which are the server's; binding alone would give it those of the annotation.

        Args:
            gui: what `slicer.util.childWidgetVariables` gives.

        Returns:
            What `disconnectGui` wants.
        """
        named = [(w.property(SlicerParameterNamePropertyName), w) for w in vars(gui).values()]
        limited = [w for name, w in named if name and hasattr(w, "setRange")]
        limits = [(w, w.minimum, w.maximum) for w in limited]
        observers: List[Any] = []
        self._noted = observers
        try:
            tag = self.connectParametersToGui({name: w for name, w in named if name})
        finally:
            self._noted = None
        for widget, least, most in limits:
            widget.setRange(least, most)
        return tag, observers

    def disconnectGui(self, guiTag: Tuple[Any, List[Any]]) -> None:
        """Unbind what `connectGui` has bound, and leave no observer behind."""
        tag, observers = guiTag
        super().disconnectGui(tag)
        for observer in observers:
            self.RemoveObserver(observer)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        tag = super().AddObserver(event, callback, priority)
        if self._noted is not None:
            self._noted.append(tag)
        return tag


def parameters_of(node: slicer.vtkMRMLScriptedModuleNode) -> XR2MRIParameterNode:
    """The wrapper of a parameter node: the same one at every call, and never let go of.

    Each wrapper observes its node, and none but the newest versions of Slicer take that back: an
    observer whose wrapper has gone is called all the same. So they are kept where a reload of this
    library finds them.
    """
    if not hasattr(slicer.modules, _KEPT):
        setattr(slicer.modules, _KEPT, [])
    kept = getattr(slicer.modules, _KEPT)
    for wrapper in kept:
        if wrapper.parameterNode is node and isinstance(wrapper, XR2MRIParameterNode):
            if _is_stale(wrapper):
                node.Modified()  # whereupon the wrapper reads it again
            return wrapper
    kept.append(XR2MRIParameterNode(node))
    return kept[-1]


def _is_stale(wrapper: XR2MRIParameterNode) -> bool:
    """Whether a wrapper remembers what is no longer so: closing a scene empties the node, and
    opening one finds the nodes that it refers to, and neither tells."""
    node = wrapper.parameterNode
    return not node.HasParameter("recalled") or any(
        getattr(wrapper, name) is not node.GetNodeReference(name) for name in _REFERENCES
    )


_KEPT = "XR2MRIParameterNodes"
_REFERENCES = ("radiograph", "preparedFor", "cropRoi", "result", "realMri")

OPTIONS = (
    "kind", "numSlices", "steps", "sampler", "guidance", "newSeed", "seed", "samples", "pixelsOnly",
)  # fmt: skip
"""Names of what is remembered from one start of Slicer to the next."""
