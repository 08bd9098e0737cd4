"""What loading the module does to Slicer, before and without its panel."""

from __future__ import annotations

import re
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


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*Test.py")), ids=lambda path: path.stem)
def test_what_ctest_runs_in_slicer_passes_and_leaves_the_user_s_settings(user, script):
    from XR2MRILib import settings

    settings.remember_options({"steps": 7})
    settings.remember_server("https://mri.example")
    settings.set_ca_file("/etc/ssl/own.pem")
    found = run(script)
    assert found.testsRun >= 5 and not found.skipped
    assert not found.errors + found.failures, found.errors + found.failures
    assert settings.servers() == ["https://mri.example"], "the user's stay"
    assert (settings.ca_file(), settings.options()) == ("/etc/ssl/own.pem", {"steps": 7})


def test_what_ctest_runs_passes_without_a_main_window(user, monkeypatch):
    """As `Slicer --no-main-window` runs scripts: no views, no menus."""
    monkeypatch.setattr(user.slicer.app, "layoutManager", lambda: None)
    monkeypatch.setattr(user.slicer.util, "mainWindow", lambda: None)
    found = run(SCRIPTS / "XR2MRISelfTest.py")
    assert found.testsRun >= 5 and not found.skipped
    assert not found.errors + found.failures, found.errors + found.failures


def test_reload_and_test_runs_every_test(user, monkeypatch):
    """Also where Slicer's own runTest runs none."""
    ran, tests = [], 0

    def took(self, suite):
        ran.extend(case.id() for part in suite for kind in part for case in kind)
        return unittest.TestResult()

    monkeypatch.setattr(unittest.TextTestRunner, "run", took)
    monkeypatch.setattr(sys, "path", list(sys.path))
    user.slicer.selfTests["XR2MRI"]()
    for script in SCRIPTS.glob("*Test.py"):
        names = re.findall(r"def (test_\w+)", script.read_text())
        tests += len(names)
        assert len(names) >= 5
        assert all(any(case.endswith(f".{name}") for case in ran) for name in names)
    assert len(ran) == tests


def test_reload_and_test_tells_what_fails_and_puts_everything_back(user, monkeypatch):
    from XR2MRILib import settings
    from XR2MRILib.logic import XR2MRILogic

    def fail(*_arguments, **_more):
        settings.remember_options({"steps": 99})
        raise ZeroDivisionError

    name = "XR2MRISelfTest.XR2MRISelfTest.test_generate"
    monkeypatch.setattr(XR2MRILogic, "generate", fail)
    monkeypatch.setattr(
        unittest.TestLoader, "discover", lambda self, *_: self.loadTestsFromName(name)
    )
    with pytest.raises(AssertionError, match="test_generate"):
        user.slicer.selfTests["XR2MRI"]()
    assert settings.options() == {}, "a failure must not leave the test's settings to the user"


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
