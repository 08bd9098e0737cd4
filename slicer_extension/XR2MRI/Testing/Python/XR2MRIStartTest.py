"""What the module leaves in Slicer when it is loaded, before anybody opens its panel.

CTest runs it inside Slicer; tests/slicer runs it in Slicer's place.
"""

import unittest

import qt
import slicer
from rehearsal import RehearsalClient
from SampleData import SampleDataLogic

from XR2MRILib import sample_data
from XR2MRILib.logic import XR2MRILogic
from XR2MRILib.scene import attributes, layout


class XR2MRIStartTest(unittest.TestCase):
    def test_the_samples_are_offered_once(self):
        sample_data.register()
        sources = SampleDataLogic.sampleDataSourcesByCategory("XR2MRI")
        names = [source.sampleName for source in sources]
        self.assertEqual(names, [sample.name for sample in sample_data.SAMPLES])

    def test_a_sample_can_be_loaded_by_its_name(self):
        for sample, side in zip(sample_data.SAMPLES, "RL"):
            node = SampleDataLogic().downloadSample(sample.name)
            self.assertEqual(node.GetName(), sample.name)
            self.assertEqual(node.GetAttribute(attributes.LATERALITY), side)
            self.assertEqual(len(attributes.read_json(node, attributes.FEATURES)), 19)
            slicer.mrmlScene.RemoveNode(node)

    @unittest.skipIf(slicer.app.layoutManager() is None, "no main window")
    def test_a_sample_of_the_gallery_is_shown(self):
        source = SampleDataLogic.sampleDataSourcesByCategory("XR2MRI")[1]
        load = source.customDownloader or SampleDataLogic().downloadFromSource
        load(source)
        red = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
        shown = slicer.mrmlScene.GetNodeByID(red.GetBackgroundVolumeID() or "")
        self.assertIsNotNone(shown)
        self.assertEqual(shown.GetName(), source.sampleName)
        slicer.mrmlScene.RemoveNode(shown)

    @unittest.skipIf(slicer.util.mainWindow() is None, "no main window")
    def test_the_layout_is_in_the_menu_once(self):
        layout.register()
        bar = slicer.util.findChildren(slicer.util.mainWindow(), name="ViewToolBar")[0]
        entries = bar.widgetForAction(bar.actions()[0]).menu().actions()
        numbers = [entry.data() for entry in entries]
        self.assertEqual(numbers.count(layout.LAYOUT_ID), 1)

    @unittest.skipIf(slicer.app.layoutManager() is None, "no main window")
    def test_the_views_are_watched_and_the_layout_is_known(self):
        self.assertTrue(hasattr(slicer.modules, "XR2MRINotice"))
        node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
        self.assertTrue(node.IsLayoutDescription(layout.LAYOUT_ID))

    def test_a_thread_gets_on_while_only_the_event_loop_runs(self):
        logic, loop = XR2MRILogic(clientFactory=RehearsalClient), qt.QEventLoop()
        logic.connected.connect(lambda info: loop.quit())
        logic.failed.connect(lambda error: loop.quit())
        qt.QTimer.singleShot(20000, loop.quit)
        logic.connectTo("rehearsal")
        getattr(loop, "exec_", loop.exec)()
        self.assertEqual(logic.url, "rehearsal")
        logic.close()
