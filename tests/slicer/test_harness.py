"""The harness keeps what its README promises: what holds here holds in Slicer."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import nibabel as nib
import numpy as np
import own_process
import pytest
from samples import draw_knee

pytestmark = pytest.mark.gui

MODULE = """
from typing import Annotated, Optional
import slicer
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import parameterNodeWrapper, Choice, WithinRange
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin


class Sample(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Sample")


@parameterNodeWrapper
class SampleParameters:
    source: slicer.vtkMRMLScalarVolumeNode
    level: Annotated[float, WithinRange(0, 10)] = 2.5
    count: Annotated[int, WithinRange(1, 9)] = 3
    mode: Annotated[str, Choice(["a", "b"])] = "a"
    invert: bool = False
    grades: dict[str, int]


class SampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.events = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("Sample.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = SampleLogic()
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.node = SampleParameters(self.logic.getParameterNode())
        self.tag = self.node.connectGui(self.ui)

    def onApply(self):
        self.events.append("applied")

    def enter(self):
        self.events.append("enter")

    def cleanup(self):
        self.events.append("cleanup")
        self.node.disconnectGui(self.tag)


class SampleLogic(ScriptedLoadableModuleLogic):
    pass


class SampleTest(ScriptedLoadableModuleTest):
    ran = []

    def runTest(self):
        self.test_one()

    def test_one(self):
        self.ran.append(1)
"""


def _widget(kind: str, name: str, parameter: str = "", more: str = "") -> str:
    if parameter:
        bound = f'<property name="SlicerParameterName" stdset="0"><string>{parameter}</string>'
        more += bound + "</property>"
    return f'<item><widget class="{kind}" name="{name}">{more}</widget></item>'


NODE_TYPES = """<property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string>
</stringlist></property><property name="noneEnabled"><bool>true</bool></property>"""
LABEL = '<property name="text"><string>Apply</string></property>'
UI = f"""<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0"><class>Sample</class><widget class="qMRMLWidget" name="Sample">
<layout class="QVBoxLayout" name="column">
{_widget("qMRMLNodeComboBox", "sourceSelector", "source", NODE_TYPES)}
{_widget("ctkSliderWidget", "levelSlider", "level")}
{_widget("QSpinBox", "countBox", "count")}
{_widget("QComboBox", "modeBox", "mode")}
{_widget("QCheckBox", "invertBox", "invert")}
{_widget("QPushButton", "applyButton", more=LABEL)}
</layout></widget><connections><connection><sender>Sample</sender>
<signal>mrmlSceneChanged(vtkMRMLScene*)</signal><receiver>sourceSelector</receiver>
<slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>"""


@pytest.fixture
def sample(slicer, tmp_path):
    """The widget of a small module in the shape of Slicer's template."""
    (tmp_path / "Resources").mkdir()
    (tmp_path / "Resources" / "Sample.ui").write_text(UI)
    (tmp_path / "Sample.py").write_text(textwrap.dedent(MODULE))
    slicer.app.moduleManager().load(tmp_path / "Sample.py")
    slicer.util.selectModule("Sample")
    yield slicer.modules.SampleWidget
    slicer.app.moduleManager().unload("Sample")


def add_volume(slicer, name: str = "volume"):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    return slicer.util.addVolumeFromArray(array, name=name)


def test_a_module_is_loaded_entered_and_bound(slicer, sample):
    assert sample.events == ["enter"]
    assert sample.ui.levelSlider.value == 2.5, "the default came into the widget"
    sample.ui.countBox.value = 7
    sample.ui.modeBox.currentIndex = 1
    sample.ui.invertBox.click()
    assert (sample.node.count, sample.node.mode, sample.node.invert) == (7, "b", True)
    sample.node.level = 4.0
    assert sample.ui.levelSlider.value == 4.0
    volume = add_volume(slicer)
    sample.ui.sourceSelector.setCurrentNode(volume)
    assert sample.node.source is volume
    slicer.mrmlScene.RemoveNode(volume)
    assert sample.node.source is None and sample.ui.sourceSelector.currentNode() is None


def test_a_parameter_that_is_wrong_is_refused(sample):
    with pytest.raises(ValueError):
        sample.node.level = 11
    with pytest.raises(TypeError):
        sample.node.count = "three"
    sample.node.grades = {"V00XRKL": 2}
    assert sample.node.grades == {"V00XRKL": 2}


def test_handlers_get_as_many_arguments_as_they_take(sample):
    sample.ui.applyButton.click()
    assert sample.events[-1] == "applied", "clicked(bool) to a handler without arguments"
    with pytest.raises(LookupError):
        sample.ui.applyButton.connect("clicked(int)", sample.onApply)


def test_properties_are_attributes_and_plain_objects_take_no_others(sample):
    button = sample.ui.applyButton
    assert button.text == "Apply" and button.name == "applyButton"
    button.text = "Go"
    assert button.text == "Go" and button.className() == "QPushButton"
    with pytest.raises(AttributeError):
        button.remark = "no"
    with pytest.raises(AttributeError):
        button.rect = None


def test_a_module_is_reloaded(slicer, sample):
    slicer.util.reloadScriptedModule("Sample")
    again = slicer.modules.SampleWidget
    assert again is not sample and sample.events[-1] == "cleanup"
    assert again.ui.applyButton.text == "Apply"


def test_the_self_test_of_a_module_runs(slicer, sample):
    import sys

    slicer.selfTests["Sample"]()
    assert sys.modules["Sample"].SampleTest.ran == [1]


def test_an_error_in_a_handler_is_kept(slicer, sample):
    import harness

    def fail():
        raise ZeroDivisionError("seen")

    sample.ui.applyButton.connect("clicked(bool)", fail)
    sample.ui.applyButton.click()
    assert "seen" in harness.errors.pop()


def test_a_dialog_that_nobody_answers_is_an_error(slicer):
    import qt
    from harness import dialogs

    with pytest.raises(dialogs.Unanswered, match="Go on"):
        slicer.util.confirmYesNoDisplay("Go on?")
    dialogs.answer(qt.QMessageBox.Yes)
    assert slicer.util.confirmYesNoDisplay("Really?") is True
    dialogs.answer(qt.QMessageBox.No)
    assert slicer.util.confirmYesNoDisplay("Really?") is False


def test_volumes_come_from_files_with_values_and_affine(slicer, tmp_path):
    from vtk import vtkMatrix4x4

    affine = np.array([[0, 2.0, 0, 5], [-1.5, 0, 0, 6], [0, 0, 3.0, 7], [0, 0, 0, 1]])
    values = np.random.default_rng(0).random((4, 5, 6), np.float32)
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "a.nii.gz")
    node = slicer.util.loadVolume(str(tmp_path / "a.nii.gz"))
    assert np.array_equal(slicer.util.arrayFromVolume(node).T, values)
    matrix = vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    assert np.allclose(slicer.util.arrayFromVTKMatrix(matrix), affine, atol=1e-5)
    assert slicer.util.saveNode(node, str(tmp_path / "b.nrrd"))
    again = slicer.util.loadVolume(str(tmp_path / "b.nrrd"))
    assert np.array_equal(slicer.util.arrayFromVolume(again).T, values)


@pytest.mark.parametrize("ending", ["mrb", "mrml"])
def test_a_scene_is_saved_and_opened(slicer, tmp_path, ending):
    node = add_volume(slicer, "kept")
    node.SetAttribute("Said", '{"a": "b"}')
    assert slicer.util.saveScene(str(tmp_path / f"scene.{ending}"))
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(tmp_path / f"scene.{ending}"))
    again = slicer.util.getNode("kept")
    assert again.GetAttribute("Said") == '{"a": "b"}'
    if ending == "mrb":
        assert slicer.util.arrayFromVolume(again).sum() == np.arange(24).sum()


def test_views_show_what_the_scene_holds(slicer):
    from harness.views import picture

    window = slicer.util.mainWindow()
    window.show()
    knee = draw_knee(96).astype(np.float32)
    node = slicer.util.addVolumeFromArray(np.repeat(knee[:, None], 20, 1), name="knee")
    node.CreateDefaultDisplayNodes()
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    for _ in range(10):
        slicer.app.processEvents()
    view = slicer.app.layoutManager().sliceWidget("Green").sliceView()
    view.forceRender()
    shown = picture(view.renderWindow())
    assert shown.max() > 150 and len(np.unique(shown)) > 50, "the coronal view shows the knee"
    assert not view.grab().toImage().isNull()


def test_a_layout_is_built_from_its_description(slicer):
    manager = slicer.app.layoutManager()
    view = '<view class="vtkMRMLSliceNode" singletontag="{0}"><property name="orientation">{1}'
    view += '</property><property name="viewcolor">#B0B0B0</property></view>'
    items = "".join(
        f"<item>{view.format(*v)}</item>" for v in (("Own", "Axial"), ("Green", "Coronal"))
    )
    layout = manager.layoutLogic().GetLayoutNode()
    layout.AddLayoutDescription(777, f'<layout type="horizontal">{items}</layout>')
    manager.setLayout(777)
    assert [w.view_name for w in manager.shown()] == ["Green", "Own"]
    assert manager.sliceWidget("Own").mrmlSliceNode().GetOrientation() == "Axial"
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    assert len(manager.shown()) == 4


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None has no count there")
def test_an_event_loop_of_hours_does_not_use_none_up(slicer):
    """PySide6 takes a reference of None away whenever a function of Qt returns nothing."""
    before = sys.getrefcount(None)
    for _ in range(100):
        slicer.app.processEvents()
    a_turn = max(0, before - sys.getrefcount(None)) / 100
    assert sys.getrefcount(None) > a_turn * 1000 * 3600 * 24


def test_nothing_is_left_in_the_home(tmp_path):
    test = f"{Path(__file__)}::test_views_show_what_the_scene_holds"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    caches = ("MPLCONFIGDIR", "MESA_SHADER_CACHE_DIR", "MLFLOW_DISABLE_TELEMETRY")
    unwanted = (*caches, own_process.VARIABLE)  # the pipe of that is this process's
    variables = {name: text for name, text in os.environ.items() if name not in unwanted}
    variables |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    result = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert "1 passed" in result.stdout, result.stdout[-2000:]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
