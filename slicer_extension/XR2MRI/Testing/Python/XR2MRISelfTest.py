"""What can only be tried inside Slicer: widgets, views, scene.

Needs no server and no network; the scene is cleared, the user's settings stay. CTest runs it inside
Slicer; tests/slicer runs it in Slicer's place.
"""

import os
import tempfile
import unittest

import qt
import slicer
from rehearsal import RehearsalClient

from XR2MRI import XR2MRIWidget
from xr2mri_client.errors import UserCancelled
from XR2MRILib import generation, sample_data, settings
from XR2MRILib.logic import XR2MRILogic
from XR2MRILib.request import Request
from XR2MRILib.scene import attributes, crop, picture


class XR2MRISelfTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear()
        folder = tempfile.TemporaryDirectory(prefix="xr2mri-")
        self.addCleanup(folder.cleanup)
        self.addCleanup(settings.use_file)
        settings.use_file(os.path.join(folder.name, "settings.ini"))
        self.logic = XR2MRILogic(clientFactory=RehearsalClient)
        self.addCleanup(self.logic.close)
        self.radiograph = sample_data.load(sample_data.SAMPLES[0])

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
        with self.assertRaises(UserCancelled):
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
