"""What loading the module does to Slicer, before and without its panel."""

from __future__ import annotations

import sys
import types
import unittest
from pathlib import Path

import pytest
from user import MODULE

pytestmark = pytest.mark.gui

SCRIPTS = MODULE.parent / "Testing" / "Python"


def run(script: Path) -> unittest.TestResult:
    """Run a test script as CTest has Slicer run it."""
    code = types.ModuleType(script.stem)
    exec(compile(script.read_text(), script, "exec"), code.__dict__)
    found = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromModule(code).run(found)
    return found


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.stem)
def test_what_ctest_runs_in_slicer_passes(user, script):
    found = run(script)
    assert found.testsRun >= 4 and not found.skipped
    assert not found.errors + found.failures, found.errors + found.failures


def test_a_module_that_is_loaded_late_or_again_starts_too(user):
    notice = user.slicer.modules.XR2MRINotice
    notice.stop()
    del user.slicer.modules.XR2MRINotice
    user.widget.onReload()
    assert user.slicer.modules.XR2MRINotice is not notice
    sources = sys.modules["SampleData"].SampleDataLogic.sampleDataSourcesByCategory("XR2MRI")
    assert len(sources) == 2, "each once"


def test_a_fresh_slicer_opens_a_scene_that_was_saved_with_the_layout(user, tmp_path, monkeypatch):
    slicer = user.slicer

    def started() -> tuple:
        """Another Slicer that has loaded the module."""
        scene, logic = slicer.vtkMRMLScene(), slicer.vtkMRMLLayoutLogic()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        logic.SetMRMLScene(scene)
        manager = types.SimpleNamespace(layoutLogic=lambda: logic)
        monkeypatch.setattr(slicer.app, "layoutManager", lambda: manager)
        layout.register()
        return scene, logic

    from XR2MRILib.scene import layout

    scene, logic = started()
    layout.show()
    views = logic.GetViewNodes().GetNumberOfItems()
    assert views == 5
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Commit()
    other, logic = started()
    other.SetURL(scene.GetURL())
    other.Connect()
    node = logic.GetLayoutNode()
    assert node.GetViewArrangement() == layout.LAYOUT_ID
    assert "XR2MRIRadiograph" in node.GetCurrentLayoutDescription()
    assert logic.GetViewNodes().GetNumberOfItems() == views


def test_the_views_come_back_though_the_scene_brought_their_number(user):
    """A scene sets the layout's number; whoever asks for the layout then still gets its views."""
    from XR2MRILib.scene import layout

    manager = user.slicer.app.layoutManager()
    node = manager.layoutLogic().GetLayoutNode()
    node.SetViewArrangement(node.SlicerLayoutOneUpRedSliceView)
    layout.show()
    assert layout.is_shown() and len(manager.shown()) == 5
