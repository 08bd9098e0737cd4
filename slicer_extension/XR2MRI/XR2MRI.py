"""3D Slicer module: a synthetic knee MRI from one radiograph and a form of its features.

This file only wires; see XR2MRILib.logic for use from a script.
"""

import sys

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from XR2MRILib import sample_data
from XR2MRILib.logic import XR2MRILogic
from XR2MRILib.panel import Panel
from XR2MRILib.scene import notice


class XR2MRI(ScriptedLoadableModule):
    """What Slicer is told of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("XR2MRI")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        parent.dependencies = ["Markups", "VolumeRendering", "SubjectHierarchy"]
        parent.contributors = ["The XR2MRI authors"]
        parent.helpText = _(
            "Generates a synthetic knee MRI from one knee radiograph and its graded features, on an"
            " XR2MRI server. For research, never for diagnosis."
        )
        parent.acknowledgementText = _(
            "After Wang et al., Feasibility Study of a Diffusion-Based Model for Cross-Modal"
            " Generation of Knee MRI from X-ray. Independent of its authors."
        )
        slicer.app.connect("startupCompleted()", _on_startup)


def _on_startup():
    """Sample data, and the notice in every view that shows a generated volume, whichever module
    is open."""
    sample_data.register()
    notice.start()


class XR2MRIWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel's place in Slicer.

    Args:
        parent: as Slicer gives it.
        logic: to use instead of one of its own.
    """

    def __init__(self, parent=None, logic=None):
        self.logic, self.panel = logic, None
        self._node = self._tag = None
        VTKObservationMixin.__init__(self)
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/XR2MRI.ui"))
        self.layout.addWidget(widget)
        self.layout.addStretch(1)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = self.logic or XR2MRILogic()
        self.panel = Panel(self.ui, self.logic)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, lambda *_: self._bind(None))
        self.addObserver(scene, scene.EndCloseEvent, lambda *_: self._rebind())
        self.addObserver(scene, scene.EndImportEvent, lambda *_: self._rebind())
        self._rebind()

    def enter(self):
        self._connect_gui()

    def exit(self):
        self._disconnect_gui()

    def cleanup(self):
        self._bind(None)
        self.removeObservers()
        self.panel.close()
        self.logic.close()

    def onReload(self):
        """Reload the library with the module file."""
        for name in [n for n in sys.modules if n.split(".")[0] == "XR2MRILib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def _rebind(self):
        self._bind(self.logic.getParameterNode())

    def _bind(self, node):
        """Show another parameter node, or none."""
        self._disconnect_gui()
        self.removeObservers(self._on_modified)
        self._node = node
        self.panel.setParameterNode(node)
        if node is not None:
            self._connect_gui()
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._on_modified)

    def _on_modified(self, *_arguments):
        self.panel.update()

    def _connect_gui(self):
        if self._node is not None and self._tag is None:
            self._tag = self._node.connectGui(self.ui)

    def _disconnect_gui(self):
        if self._node is not None and self._tag is not None:
            self._node.disconnectGui(self._tag)
        self._tag = None
