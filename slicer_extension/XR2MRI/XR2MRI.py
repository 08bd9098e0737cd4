"""3D Slicer module: a synthetic knee MRI from one radiograph and a form of its features.

This file only wires; see XR2MRILib.logic for use from a script.
"""

import html
import os
import sys
import unittest

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

from xr2mri_client.installation import OWNER, published
from XR2MRILib import sample_data
from XR2MRILib.logic import XR2MRILogic
from XR2MRILib.panel import Panel
from XR2MRILib.scene import file_keys, layout, notice

REPOSITORY = "https://github.com/{owner}/SlicerXR2MRI"


class XR2MRI(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("XR2MRI")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        parent.dependencies = ["Markups", "VolumeRendering", "SubjectHierarchy"]
        parent.contributors = ["The XR2MRI authors"]
        parent.helpText = _(
            "Generates a synthetic knee MRI from one knee radiograph and its graded features, on an"
            " XR2MRI server: that of an institution, or one that it installs on this computer. For"
            " research, never for diagnosis."
        ) + _links({_("Tutorial"): "/blob/main/Docs/tutorial.md", _("Questions"): "/issues"})
        parent.acknowledgementText = _(
            "After Wang et al., Feasibility Study of a Diffusion-Based Model for Cross-Modal"
            " Generation of Knee MRI from X-ray. Independent of its authors. Built on MONAI,"
            " MONAI Label, PyTorch and diffusers."
        ) + _links({"MONAI": "https://monai.io", "3D Slicer": "https://www.slicer.org"})
        slicer.app.connect("startupCompleted()", start)


def _links(pages):
    """A line of links below a text, of the extension's repository where no host is named; without
    those where nobody has published it."""
    if not published():
        pages = {title: url for title, url in pages.items() if url.startswith("https:")}
    home = REPOSITORY.format(owner=OWNER)
    urls = {title: url if url.startswith("https:") else home + url for title, url in pages.items()}
    shown = (f'<a href="{url}">{html.escape(title)}</a>' for title, url in urls.items())
    return f"<p>{' - '.join(shown)}</p>" if pages else ""


def start():
    """What is there whichever module is open: the notice in every view that shows a generated
    volume, what the file of a radiograph tells of it, the layout that a saved scene may ask for,
    and sample data."""
    notice.start()
    file_keys.start()
    layout.register()
    sample_data.register()


class XR2MRIWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel's place in Slicer.

    Args:
        parent: as Slicer gives it.
        logic: logic to use instead of one of its own.
    """

    def __init__(self, parent=None, logic=None):
        self.logic, self.panel = logic, None
        self._node = self._tag = None
        VTKObservationMixin.__init__(self)
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        start()  # also if the module was loaded, or loaded again, after Slicer's start
        widget = slicer.util.loadUI(self.resourcePath("UI/XR2MRI.ui"))
        self.layout.addWidget(widget, 1)  # all the room that there is: the panel scrolls by itself
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
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        self._disconnect_gui()
        if self.panel is not None:
            self.panel.leave()

    def cleanup(self):
        """End what is being done; Slicer may call this twice."""
        if self.panel is not None:
            self._disconnect_gui()
            self.removeObservers()
            self.panel.close()
            self.logic.close()
            self.panel = None

    def onReload(self):
        """Reload the libraries with the module file."""
        for name in [n for n in sys.modules if n.split(".")[0] in ("XR2MRILib", "xr2mri_client")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def _rebind(self):
        self._bind(self.logic.getParameterNode())

    def _bind(self, node):
        """Show another parameter node, or none."""
        self._disconnect_gui()
        self.removeObservers(self._on_modified)
        self._node = node
        if self.panel is not None:
            self.panel.setParameterNode(node)
        if node is not None:
            self._connect_gui()
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._on_modified)

    def _on_modified(self, *_arguments):
        if self.panel is not None:
            self.panel.update()

    def _connect_gui(self):
        if self._node is not None and self._tag is None:
            self._tag = self._node.connectGui(self.ui)

    def _disconnect_gui(self):
        if self._node is not None and self._tag is not None:
            self._node.disconnectGui(self._tag)
        self._tag = None


class XR2MRITest(ScriptedLoadableModuleTest):
    """What "Reload and Test" runs: the tests of Testing/Python, which CTest runs one by one. They
    lie in the source of the module and not in its package."""

    def runTest(self):
        folder = os.path.join(os.path.dirname(__file__), "Testing", "Python")
        if not os.path.isdir(folder):
            raise RuntimeError("The tests come with the source of the module, not with its package")
        for name in os.listdir(folder):
            sys.modules.pop(os.path.splitext(name)[0], None)  # the module has been reloaded
        found = unittest.TextTestRunner().run(unittest.TestLoader().discover(folder, "*Test.py"))
        if not found.wasSuccessful():
            failed = ", ".join(str(case) for case, _text in found.errors + found.failures)
            raise AssertionError(f"failed: {failed}")
