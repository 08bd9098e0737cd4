"""What Slicer does around the panel: undo, files that are dropped onto it, volumes that cannot be
compared."""

from __future__ import annotations

import faulty_server as fake
import numpy as np
import pytest
from faulty_server import Answer

pytestmark = pytest.mark.gui

JOB = f"/jobs/{fake.JOB}"


# --- undo ---------------------------------------------------------------------------------------


@pytest.fixture
def undoable(slicer):
    """A scene that remembers, as a user has who has switched Slicer's undo on for volumes."""
    scene = slicer.mrmlScene
    kinds = ("vtkMRMLScalarVolumeNode", "vtkMRMLScalarVolumeDisplayNode")
    for kind in kinds:
        node = scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        node.SetUndoEnabled(True)
        scene.AddDefaultNode(node)
    scene.SetUndoOn()
    yield scene
    scene.SetUndoOff()
    scene.ClearUndoStack()
    scene.ClearRedoStack()
    for kind in kinds:
        scene.GetDefaultNodeByClass(kind).SetUndoEnabled(False)


def test_undo_takes_a_generated_volume_back_and_redo_brings_it_again(user, undoable):
    user.rehearse()
    user.ui.sampleButton.click()
    user.events()
    xray = user.node.radiograph
    volume = user.generate()
    name, values = volume.GetName(), user.slicer.util.arrayFromVolume(volume).copy()
    assert undoable.GetNumberOfUndoLevels() == 1, "one step for the user"
    undoable.Undo()
    user.events()
    assert user.volumes() == [] and user.node.result is None
    assert user.node.radiograph is xray and user.ui.generateButton.enabled
    assert not user.ui.exportButton.enabled and not user.ui.whatIfButton.enabled
    green = user.slicer.app.layoutManager().sliceWidget("Green").mrmlSliceCompositeNode()
    assert not user.slicer.mrmlScene.GetNodeByID(green.GetBackgroundVolumeID() or "")
    undoable.Redo()
    user.events()
    (again,) = user.volumes()
    assert again.GetName() == name
    assert np.array_equal(user.slicer.util.arrayFromVolume(again), values)
    user.ui.resultSelector.setCurrentNode(again)
    user.events()
    assert "seed 7" in user.ui.resultNote.text, "it still knows what it was made from"
    assert user.generate() is not None, "and the module works on"


def test_undo_while_slices_come_ends_the_job(user, faulty, radiograph, undoable):
    user.connect(faulty.url)
    user.choose(radiograph)
    faulty.plan[f"GET {JOB}"] = Answer(body=fake.state("running", 3))
    user.press_generate()
    user.until(user.volumes, "the first slices")
    undoable.Undo()
    user.until(lambda: faulty.count("DELETE"), "the server hears of it")
    assert user.logic.state == "idle" and user.volumes() == []
    faulty.plan = fake.healthy()
    assert user.generate() is not None


# --- files that are dropped onto Slicer ---------------------------------------------------------


def test_a_dropped_picture_is_chosen_if_it_is_the_only_one(user, faulty, radiograph):
    user.connect(faulty.url)
    assert "Choose a radiograph" in user.ui.progressNote.text
    node = user.slicer.util.loadVolume(str(radiograph))  # by Slicer's own loader
    user.events()
    assert user.ui.radiographSelector.currentNode() is node and user.ui.generateButton.enabled
    shown = user.slicer.app.layoutManager().sliceWidget("XR2MRIRadiograph")
    assert shown.mrmlSliceCompositeNode().GetBackgroundVolumeID() == node.GetID()


def test_a_second_picture_is_offered_and_takes_nothing_away(user, faulty, radiograph):
    user.connect(faulty.url)
    first = user.slicer.util.loadVolume(str(radiograph))
    user.events()
    user.grade(V00XRKL=3)
    second = user.slicer.util.loadVolume(str(radiograph), {"name": "another knee"})
    user.events()
    assert user.node.radiograph is first and user.node.features == {"V00XRKL": 3}
    assert second in user.ui.radiographSelector.nodes()


def test_between_several_pictures_the_user_decides(user, radiograph):
    user.slicer.util.selectModule("")
    for name in ("left", "right"):
        user.slicer.util.loadVolume(str(radiograph), {"name": name})
    user.slicer.util.selectModule("XR2MRI")
    user.events()
    assert user.node.radiograph is None


def test_nothing_is_chosen_behind_the_users_back(user, radiograph):
    """In another module neither the choice nor the layout changes."""
    manager = user.slicer.app.layoutManager()
    manager.setLayout(user.slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    user.slicer.util.selectModule("")
    node = user.slicer.util.loadVolume(str(radiograph))
    user.events()
    assert user.node.radiograph is None
    assert manager.layout == user.slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    user.slicer.util.selectModule("XR2MRI")
    user.events()
    assert user.node.radiograph is node, "it is there when the user comes"
    assert manager.layout == user.slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    user.ui.layoutButton.click()
    user.events()
    assert shown_radiograph(user) == node.GetID(), "whoever asks for the views gets them"


def shown_radiograph(user) -> str:
    """Id of what the view of the radiograph shows, if the layout has that view."""
    manager = user.slicer.app.layoutManager()
    (view,) = [w for w in manager.shown() if w.view_name == "XR2MRIRadiograph"]
    return view.mrmlSliceCompositeNode().GetBackgroundVolumeID()


def layout_entry(user):
    """The module's entry in Slicer's menu of layouts."""
    bar = user.slicer.util.findChildren(user.slicer.util.mainWindow(), name="ViewToolBar")[0]
    entries = bar.widgetForAction(bar.actions()[0]).menu().actions()
    from XR2MRILib.scene import layout

    (entry,) = [entry for entry in entries if entry.data() == layout.LAYOUT_ID]
    return entry


def test_the_layout_of_the_menu_shows_what_is_chosen(user, radiograph):
    user.slicer.util.selectModule("")
    node = user.slicer.util.loadVolume(str(radiograph))
    user.slicer.util.selectModule("XR2MRI")
    user.events()
    layout_entry(user).trigger()
    user.events()
    assert shown_radiograph(user) == node.GetID()


def test_the_layout_of_the_menu_shows_the_generated_volume_again(user):
    user.rehearse()
    user.ui.sampleButton.click()
    volume = user.generate()
    manager = user.slicer.app.layoutManager()
    manager.setLayout(user.slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    user.slicer.util.setSliceViewerLayers(background=user.node.radiograph)
    layout_entry(user).trigger()
    user.events()
    green = manager.sliceWidget("Green").mrmlSliceCompositeNode()
    assert green.GetBackgroundVolumeID() == volume.GetID()
    assert shown_radiograph(user) == user.node.radiograph.GetID()
    user.widget.cleanup()
    manager.setLayout(user.slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    layout_entry(user).trigger()
    user.events()


def test_a_dropped_volume_is_no_radiograph(user, tmp_path):
    volume = user.slicer.util.addVolumeFromArray(np.zeros((20, 64, 64), np.int16))
    user.slicer.util.saveNode(volume, str(tmp_path / "mri.nrrd"))
    user.slicer.mrmlScene.RemoveNode(volume)
    node = user.slicer.util.loadVolume(str(tmp_path / "mri.nrrd"))
    user.events()
    assert user.node.radiograph is None and node in user.ui.realMriSelector.nodes()


# --- comparing ----------------------------------------------------------------------------------


@pytest.fixture
def generated(user):
    user.rehearse()
    user.ui.sampleButton.click()
    user.generate()
    return user


def like(user, values: np.ndarray | None = None, name: str = "MRI", shift: float = 0.0):
    """A volume at the place of the generated one, or beside it."""
    from vtk import vtkMatrix4x4

    made, matrix = user.node.result, vtkMatrix4x4()
    made.GetIJKToRASMatrix(matrix)
    matrix.SetElement(0, 3, matrix.GetElement(0, 3) + shift)
    values = user.slicer.util.arrayFromVolume(made).copy() if values is None else values
    return user.slicer.util.addVolumeFromArray(values, matrix, name=name)


def compare(user, node) -> str:
    """Choose a volume, click, and read what is said."""
    user.ui.realMriSelector.setCurrentNode(node)
    user.events()
    assert user.ui.compareButton.enabled
    user.ui.compareButton.click()
    user.until_idle()
    return user.ui.messageLabel.text


def test_a_volume_elsewhere_is_told_and_can_be_aligned(generated):
    real = like(generated, shift=500.0)
    message = compare(generated, real)
    assert "covers 0 %" in message and "Align the centres" in message
    assert generated.colour("messageLabel") == "bad"
    assert generated.node.result.GetNodeReference("XR2MRI.realDifference") is None
    generated.ui.alignCentresCheckBox.checked = True
    assert "PSNR" in compare(generated, real) and generated.colour("messageLabel") == "good"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("flat", "is no grey volume"),
        ("empty", "is no grey volume"),
        ("constant", "no contrast"),
        ("not numbers", "no numbers"),
    ],
)
def test_what_cannot_be_compared_is_told(generated, kind, text):
    scene = generated.slicer.mrmlScene
    shape = generated.slicer.util.arrayFromVolume(generated.node.result).shape
    if kind == "empty":
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "MRI")
    elif kind == "flat":
        node = like(generated, np.zeros((1, 64, 64), np.float32))
    else:
        values = np.ones(shape, np.float32)
        node = like(generated, values * np.nan if kind == "not numbers" else values)
    message = compare(generated, node)
    assert text in message and "Choose an MRI" in message, message
    assert generated.colour("messageLabel") == "bad" and generated.ui.generateButton.enabled


def test_volumes_are_compared_where_transforms_have_put_them(generated):
    """As after a registration, whose transform nobody has hardened."""
    slicer, made = generated.slicer, generated.node.result
    real, there = like(generated, shift=500.0), np.eye(4)
    there[0, 3] = -500.0
    back = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    back.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(there))
    real.SetAndObserveTransformNodeID(back.GetID())
    assert "PSNR" in compare(generated, real)
    real.SetAndObserveTransformNodeID(None)
    assert "covers 0 %" in compare(generated, real)
    made.SetAndObserveTransformNodeID(back.GetID())
    assert "covers 0 %" in compare(generated, like(generated, shift=500.0))
    assert "PSNR" in compare(generated, like(generated, shift=-500.0))
    map_ = made.GetNodeReference("XR2MRI.realDifference")
    bounds = [np.zeros(6), np.zeros(6)]
    for box, node in zip(bounds, (map_, made), strict=True):
        node.GetRASBounds(box)
    assert np.allclose(*bounds), "the map lies on the volume"
    bend = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "bend")
    real.SetAndObserveTransformNodeID(bend.GetID())
    message = compare(generated, real)
    assert "not linear" in message and "Harden" in message
    made.SetAndObserveTransformNodeID(None)


def test_deleting_one_of_the_two_ends_the_comparison(generated):
    real = like(generated)
    generated.ui.realMriSelector.setCurrentNode(real)
    generated.ui.compareButton.click()
    assert generated.logic.state == "comparing"
    generated.slicer.mrmlScene.RemoveNode(real)
    generated.until_idle()
    assert generated.ui.messageLabel.text == "Cancelled."
    assert generated.node.result.GetNodeReference("XR2MRI.table") is None
