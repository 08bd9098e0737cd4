"""What the module leaves in Slicer when it is loaded, before anybody opens its panel.

CTest runs it inside Slicer; tests/slicer runs it in Slicer's place.
"""

import unittest

import qt
import slicer
from SampleData import SampleDataLogic
from XR2MRILib import sample_data
from XR2MRILib.logic import XR2MRILogic
from XR2MRILib.rehearsal import RehearsalClient
from XR2MRILib.scene import layout


class XR2MRIStartTest(unittest.TestCase):
    def test_the_samples_are_offered_once(self):
        sample_data.register()
        sources = SampleDataLogic.sampleDataSourcesByCategory("XR2MRI")
        names = [source.sampleName for source in sources]
        self.assertEqual(names, [sample.name for sample in sample_data.SAMPLES])

    def test_a_sample_can_be_loaded_by_its_name(self):
        node = SampleDataLogic().downloadSample(sample_data.SAMPLES[0].name)
        self.assertEqual(node.GetName(), sample_data.SAMPLES[0].name)
        slicer.mrmlScene.RemoveNode(node)

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
