"""3D Slicer module: a synthetic knee MRI from one radiograph and a form of its features.

This file only wires; see XR2MRILib.logic for use from a script.
"""

import logging
import os
import sys
import tempfile
import unittest

import qt
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

from xr2mri_client.errors import Cancelled
from XR2MRILib import generation, sample_data, settings
from XR2MRILib.logic import XR2MRILogic
from XR2MRILib.panel import Panel
from XR2MRILib.rehearsal import RehearsalClient
from XR2MRILib.request import Request
from XR2MRILib.scene import attributes, crop, file_keys, layout, notice, picture


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
            " XR2MRI server: that of an institution, or one that it installs on this computer. For"
            " research, never for diagnosis."
        )
        parent.acknowledgementText = _(
            "After Wang et al., Feasibility Study of a Diffusion-Based Model for Cross-Modal"
            " Generation of Knee MRI from X-ray. Independent of its authors."
        )
        slicer.app.connect("startupCompleted()", start)


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
        logic: to use instead of one of its own.
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


class XR2MRITest(ScriptedLoadableModuleTest):
    """What can only be tried inside Slicer: widgets, views, scene. Needs no server and no network;
    the scene is cleared, the user's settings stay."""

    def runTest(self):
        """Every test, as "Reload and Test" asks for; up to 5.6 Slicer has no such loop itself."""
        for name in unittest.defaultTestLoader.getTestCaseNames(type(self)):
            logging.info("Running %s", name)
            self.setUp()
            try:
                getattr(self, name)()
            finally:
                self.tearDown()

    def setUp(self):
        slicer.mrmlScene.Clear()
        self._folder = tempfile.TemporaryDirectory(prefix="xr2mri-")
        settings.use_file(os.path.join(self._folder.name, "settings.ini"))
        self.logic = XR2MRILogic(clientFactory=RehearsalClient)
        self.radiograph = sample_data.load(sample_data.SAMPLES[0])

    def tearDown(self):
        self.logic.close()
        settings.use_file()
        self._folder.cleanup()

    def test_sample_data(self):
        """Both samples are radiographs of a known side, with all of their features."""
        for sample, side in zip(sample_data.SAMPLES, "RL"):
            node = sample_data.load(sample)
            self.assertEqual(picture.problem(node), "")
            self.assertEqual(node.GetAttribute(attributes.LATERALITY), side)
            self.assertEqual(len(attributes.read_json(node, attributes.FEATURES)), 19)

    def test_crop_box(self):
        """A box that becomes an ROI is the same box when it is read back."""
        frame = picture.frame_of(self.radiograph)
        roi = crop.add_roi(self.radiograph, "knee")
        for box in (crop.proposal(frame), (-5, 10, 300, 290)):
            crop.place(roi, frame, box)
            self.assertEqual(crop.box_of(roi, frame), box)

    def test_generate(self):
        """The volume of a script's one call is described, placed and kept with its radiograph."""
        volume = self.logic.generate(self.radiograph, {"kl_grade": 3}, "rehearsal", samples=2)
        made = generation.result_of(volume)
        self.assertEqual(made.radiograph, self.radiograph)
        self.assertEqual(dict(made.request.features), {"V00XRKL": 3})
        self.assertEqual(made.request.laterality, "R")
        self.assertEqual(volume.GetImageData().GetDimensions(), (64, 50, 64))
        self.assertAlmostEqual(volume.GetSpacing()[1], 1.5)
        self.assertIsNotNone(made.std)
        self.assertEqual(len(self.logic.form.fields), 5)

    def test_what_if(self):
        """The same seed with another grade, and what that changes."""
        first = self.logic.generate(self.radiograph, {"kl_grade": 0}, "rehearsal", seed=3)
        self.logic.whatIf(first, {"V00XRKL": 4})
        made = self.logic.wait()
        self.assertEqual((made.seed, dict(made.request.features)), (3, {"V00XRKL": 4}))
        self.assertGreater(slicer.util.arrayFromVolume(made.difference).max(), 0.01)

    def test_cancel(self):
        """Cancelling leaves no volume here and no job there."""
        before = len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))
        self.logic.connectTo("rehearsal")
        self.logic.wait()
        grown = []
        self.logic.grown.connect(lambda node, slices: (grown.append(slices), self.logic.cancel()))
        self.logic.start(self.radiograph, Request(num_slices=500))
        with self.assertRaises(Cancelled):
            self.logic.wait()
        self.assertTrue(grown)
        self.assertEqual(len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")), before)

    def test_panel(self):
        """The panel goes through a generation by its buttons."""
        parent = slicer.qMRMLWidget()
        parent.setLayout(qt.QVBoxLayout())
        parent.setMRMLScene(slicer.mrmlScene)
        widget = XR2MRIWidget(parent, self.logic)
        widget.setup()
        try:
            widget.ui.connectButton.click()
            self.logic.wait()
            widget.ui.radiographSelector.setCurrentNode(self.radiograph)
            widget.ui.generateButton.click()
            made = self.logic.wait()
            self.assertEqual(widget.ui.resultSelector.currentNode(), made.volume)
            self.assertIn("seed 7", widget.ui.messageLabel.text)
        finally:
            widget.cleanup()
            parent.deleteLater()
