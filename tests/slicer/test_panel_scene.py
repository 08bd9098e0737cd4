"""What generated volumes are in the scene, and what happens when the scene changes meanwhile."""

from __future__ import annotations

import json

import faulty_server as fake
import numpy as np
import pytest
from faulty_server import Answer
from samples import draw_knee

pytestmark = pytest.mark.gui

JOB = f"/jobs/{fake.JOB}"


@pytest.fixture
def rehearsed(user):
    """The panel with its sample radiograph, connected to no more than a rehearsal."""
    user.rehearse()
    user.ui.sampleButton.click()
    user.events()
    user.ui.clearFormButton.click()  # what the sample is known to have
    return user


@pytest.fixture
def running(user, faulty, radiograph):
    """A generation that goes on until it is stopped."""
    user.connect(faulty.url)
    user.choose(radiograph)
    faulty.plan[f"GET {JOB}"] = Answer(body=fake.state("running", 3))
    user.press_generate()
    user.until(user.volumes, "the first slices")
    return user


def hierarchy_of(slicer, node):
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    return hierarchy, hierarchy.GetItemByDataNode(node)


def test_the_volume_lies_beside_its_radiograph(rehearsed):
    slicer = rehearsed.slicer
    xray = rehearsed.node.radiograph
    hierarchy, item = hierarchy_of(slicer, xray)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient")
    study = hierarchy.CreateStudyItem(patient, "Study")
    hierarchy.SetItemParent(item, study)
    volume = rehearsed.generate()
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(volume)) == study
    assert volume.GetNodeReference("XR2MRI.radiograph") is xray
    assert volume.GetName() == f"{xray.GetName()} synthetic MRI"
    again = rehearsed.generate()
    assert again.GetName() != volume.GetName(), "two volumes have two names"


def test_the_volume_is_shown_well(rehearsed):
    slicer = rehearsed.slicer
    volume = rehearsed.generate()
    display = volume.GetDisplayNode()
    values = slicer.util.arrayFromVolume(volume)
    assert not display.GetAutoWindowLevel() and display.GetInterpolate()
    assert display.GetWindowLevelMin() == 0 and 0 < display.GetWindowLevelMax() <= values.max()
    manager = slicer.app.layoutManager()
    shown = {
        w.view_name: w.mrmlSliceCompositeNode() for w in manager.shown() if hasattr(w, "sliceLogic")
    }
    assert set(shown) == {"XR2MRIRadiograph", "Red", "Green", "Yellow"}
    xray = shown.pop("XR2MRIRadiograph")
    assert xray.GetBackgroundVolumeID() == rehearsed.node.radiograph.GetID()
    assert {c.GetBackgroundVolumeID() for c in shown.values()} == {volume.GetID()}
    orientations = {n: manager.sliceWidget(n).mrmlSliceNode().GetOrientation() for n in shown}
    assert orientations == {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
    rendering = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(volume)
    assert rendering is not None and rendering.GetVisibility()


def test_every_view_that_shows_it_says_synthetic(rehearsed, tmp_path):
    slicer = rehearsed.slicer
    slicer.util.mainWindow().show()
    volume = rehearsed.generate()
    notice = slicer.modules.XR2MRINotice
    rehearsed.events()
    assert all(notice.shown_in(name) for name in ("Red", "Green", "Yellow"))
    assert not notice.shown_in("XR2MRIRadiograph"), "the radiograph is not synthetic"
    view = slicer.app.layoutManager().sliceWidget("Green").sliceView()
    view.forceRender()
    with_notice = view.image.copy()
    slicer.util.setSliceViewerLayers(background=None)
    rehearsed.events()
    assert not notice.shown_in("Green")
    slicer.util.setSliceViewerLayers(background=volume)
    rehearsed.events()
    corner = with_notice[-60:, -260:].astype(int)
    orange = (corner[..., 0] > 150) & (corner[..., 2] < 100)
    assert orange.sum() > 50, "the words are in the picture"
    view_id = slicer.app.layoutManager().threeDWidget(0).threeDView().mrmlViewNode().GetID()
    rendering = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(volume)
    green = slicer.app.layoutManager().sliceWidget("Green").mrmlSliceNode()
    for solid, slice_shown in ((True, False), (False, False), (False, True)):
        rendering.SetVisibility(solid)
        green.SetSliceVisible(slice_shown)
        rehearsed.events()
        assert notice.shown_in(view_id) is (solid or slice_shown)
    slicer.util.setSliceViewerLayers(background=None)
    rehearsed.events()
    assert not notice.shown_in(view_id), "the slice shows something else"


@pytest.mark.parametrize("ending", ["mrb", "mrml"])
def test_saved_and_opened_again_it_is_the_same(rehearsed, tmp_path, ending):
    slicer = rehearsed.slicer
    rehearsed.grade(V00XRKL=3)
    volume = rehearsed.generate()
    names = [n for n in volume.GetAttributeNames() if n.startswith("XR2MRI.")]
    kept = {name: volume.GetAttribute(name) for name in names}
    assert {"XR2MRI.Record", "XR2MRI.Request", "XR2MRI.Kind", "XR2MRI.Notice"} <= set(kept)
    values = slicer.util.arrayFromVolume(volume).copy()
    name = volume.GetName()
    if ending == "mrml":  # the files are the user's own then
        for node in slicer.util.getNodesByClass("vtkMRMLVolumeNode"):
            slicer.util.saveNode(node, str(tmp_path / f"{node.GetID()}.nrrd"))
    assert slicer.util.saveScene(str(tmp_path / f"scene.{ending}"))
    slicer.mrmlScene.Clear(0)
    rehearsed.events()
    assert rehearsed.node.features == {}, "a new scene is a new form"
    slicer.util.loadScene(str(tmp_path / f"scene.{ending}"))
    rehearsed.events()
    again = slicer.util.getNode(name)
    assert {n: again.GetAttribute(n) for n in kept} == kept
    assert np.array_equal(slicer.util.arrayFromVolume(again), values)
    assert rehearsed.node.result is again and rehearsed.node.features == {"V00XRKL": 3}
    assert again.GetNodeReference("XR2MRI.radiograph") is rehearsed.node.radiograph
    assert rehearsed.grade_button("V00XRKL", 3).checked
    assert rehearsed.ui.whatIfButton.enabled, "and one can go on with it"


def test_opening_a_scene_leaves_its_views_as_they_were_saved(rehearsed, tmp_path):
    slicer = rehearsed.slicer
    volume = rehearsed.generate()
    real = slicer.util.addVolumeFromArray(np.arange(729.0).reshape(9, 9, 9), name="real MRI")
    slicer.util.setSliceViewerLayers(background=real, foreground=volume, foregroundOpacity=0.5)
    names = real.GetName(), volume.GetName()
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))

    def layers() -> set[tuple[str | None, ...]]:
        views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
        ids = [(view.GetBackgroundVolumeID(), view.GetForegroundVolumeID()) for view in views]
        volumes = slicer.util.getNodesByClass("vtkMRMLVolumeNode")
        name = {node.GetID(): node.GetName() for node in volumes}.get
        return {(name(below), name(above)) for below, above in ids}

    assert layers() == {names}
    for module in ("", "XR2MRI"):
        slicer.mrmlScene.Clear(0)
        slicer.util.selectModule(module)
        rehearsed.events()
        slicer.util.loadScene(str(tmp_path / "scene.mrb"))
        slicer.util.selectModule("XR2MRI")
        rehearsed.events()
        assert layers() == {names} and rehearsed.node.result.GetName() == names[1]
    rehearsed.ui.layoutButton.click()
    rehearsed.events()
    green = slicer.app.layoutManager().sliceWidget("Green").mrmlSliceCompositeNode()
    assert green.GetBackgroundVolumeID() == rehearsed.node.result.GetID(), "who asks for it gets it"


def test_a_scene_that_is_added_to_another_brings_form_side_and_box(rehearsed, tmp_path):
    """Slicer gives what is added other ids where the scene has them already."""
    slicer, ui = rehearsed.slicer, rehearsed.ui
    ui.lateralityComboBox.setCurrentIndex(2)
    ui.cropButton.click()
    rehearsed.until_idle()
    rehearsed.node.cropRoi.SetCenter(5, 5, 0)
    rehearsed.generate()
    rehearsed.grade(V00XRKL=3)
    rehearsed.events()
    xray, box = rehearsed.node.radiograph.GetName(), ui.cropNote.text
    assert "Your box" in box
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    rehearsed.events()
    other = rehearsed.choose(slicer.util.addVolumeFromArray(draw_knee(64)[None], name="other"))
    rehearsed.grade(V00XRKL=1)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    rehearsed.events()
    node = rehearsed.node
    assert node.radiograph.GetName() == xray and node.radiograph.GetID() != other.GetID()
    assert (dict(node.features), node.laterality, ui.cropNote.text) == ({"V00XRKL": 3}, "L", box)
    assert node.result.GetNodeReference("XR2MRI.radiograph") is node.radiograph
    rehearsed.choose(other)
    assert (dict(node.features), node.laterality) == ({"V00XRKL": 1}, "auto"), "its own is kept"


def as_the_version_before_saves(slicer, node) -> None:
    """Make the parameters those of a scene before `preparedFor` became a reference."""
    module = node.parameterNode
    module.SetNodeReferenceID("preparedFor", None)
    for name in ("prepared", "cropFound"):
        module.UnsetParameter(name)
    module.SetParameter("preparedFor", node.radiograph.GetID())
    display = node.radiograph.GetDisplayNode()
    for name in ("XR2MRI.ChosenSide", "XR2MRI.Features", "XR2MRI.Demographics", "XR2MRI.Tags"):
        display.RemoveAttribute(name)


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("boxed", [False, True])
def test_a_scene_of_the_version_before_brings_form_side_and_box(rehearsed, tmp_path, added, boxed):
    slicer, ui = rehearsed.slicer, rehearsed.ui
    ui.lateralityComboBox.setCurrentIndex(2)
    if boxed:
        ui.cropButton.click()
        rehearsed.until_idle()
        rehearsed.node.cropRoi.SetCenter(5, 5, 0)
    rehearsed.grade(V00XRKL=3)
    rehearsed.events()
    xray, box = rehearsed.node.radiograph.GetName(), ui.cropNote.text
    assert ("Your box" in box) is boxed
    slicer.util.selectModule("")
    with slicer.util.NodeModify(rehearsed.node.parameterNode):
        as_the_version_before_saves(slicer, rehearsed.node)
        rehearsed.node.radiograph.SetAttribute("XR2MRI.Features", '{"V00XRKL": 1}')  # by its file
        assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
        slicer.mrmlScene.Clear(0)
    rehearsed.events()
    slicer.util.selectModule("XR2MRI")
    other = None
    if added:
        other = rehearsed.choose(slicer.util.addVolumeFromArray(draw_knee(64)[None], name="other"))
        rehearsed.grade(V00XRKL=2)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    rehearsed.events()
    node = rehearsed.node
    assert node.radiograph.GetName() == xray and node.preparedFor is node.radiograph
    assert (dict(node.features), node.laterality, ui.cropNote.text) == ({"V00XRKL": 3}, "L", box)
    assert (node.cropRoi is not None) is boxed
    if other is not None:
        rehearsed.choose(other)
        assert (dict(node.features), node.laterality) == ({"V00XRKL": 2}, "auto")


def test_samples_bring_mean_and_uncertainty_as_an_overlay(rehearsed):
    slicer = rehearsed.slicer
    rehearsed.ui.samplesSpinBox.value = 2
    volume = rehearsed.generate()
    std = volume.GetNodeReference("XR2MRI.std")
    assert std.GetAttribute("XR2MRI.Kind") == "std"
    assert volume.GetNodeReference("XR2MRI.mean") is not None
    combo = rehearsed.ui.overlayComboBox
    combo.setCurrentIndex(combo.findData("XR2MRI.std"))
    rehearsed.events()
    green = slicer.app.layoutManager().sliceWidget("Green").mrmlSliceCompositeNode()
    assert green.GetForegroundVolumeID() == std.GetID() and green.GetForegroundOpacity() > 0
    combo.setCurrentIndex(0)
    rehearsed.events()
    assert not green.GetForegroundVolumeID()


def test_an_overlay_keeps_its_colours_from_scene_to_scene(rehearsed, tmp_path):
    """A table that lived on from one scene to the next lost them when one was opened."""
    from XR2MRILib.scene import display

    slicer = rehearsed.slicer
    volume = slicer.util.addVolumeFromArray(np.zeros((4, 4, 4), np.float32), name="overlay")
    display.coloured(volume, display.DIFFERENCE, 1.0)
    for number in range(3):
        table = slicer.util.getNode("overlay").GetDisplayNode().GetColorNode()
        assert (table.GetName(), table.GetNumberOfColors()) == (display.DIFFERENCE, 256)
        assert slicer.util.saveScene(str(tmp_path / f"{number}.mrb"))
        slicer.mrmlScene.Clear(0)
        slicer.util.loadScene(str(tmp_path / f"{number}.mrb"))
        rehearsed.events()


def test_what_if_keeps_the_seed_and_overlays_the_difference(rehearsed):
    slicer = rehearsed.slicer
    rehearsed.grade(V00XRKL=0)
    first = rehearsed.generate()
    rehearsed.ui.whatIfFeature.setCurrentIndex(rehearsed.ui.whatIfFeature.findData("V00XRKL"))
    rehearsed.ui.whatIfGrade.setCurrentIndex(rehearsed.ui.whatIfGrade.findData(4))
    rehearsed.ui.whatIfButton.click()
    rehearsed.until_idle()
    second = rehearsed.node.result
    assert second is not first
    made = [json.loads(node.GetAttribute("XR2MRI.Request")) for node in (first, second)]
    assert made[0]["features"] == {"V00XRKL": 0} and made[1]["features"] == {"V00XRKL": 4}
    seeds = {json.loads(node.GetAttribute("XR2MRI.Record"))["seed"] for node in (first, second)}
    assert len(seeds) == 1
    difference = second.GetNodeReference("XR2MRI.difference")
    arrays = [slicer.util.arrayFromVolume(node) for node in (second, first, difference)]
    assert np.array_equal(arrays[2], arrays[0] - arrays[1]) and arrays[2].any()
    green = slicer.app.layoutManager().sliceWidget("Green").mrmlSliceCompositeNode()
    assert green.GetForegroundVolumeID() == difference.GetID(), "the overlay is on by itself"


def test_what_if_goes_without_the_voxels_of_the_first(rehearsed):
    """As in a scene that was opened where the volume's file is not: nothing is subtracted then."""
    first = rehearsed.generate()
    first.SetAndObserveImageData(None)
    rehearsed.ui.whatIfFeature.setCurrentIndex(rehearsed.ui.whatIfFeature.findData("V00XRKL"))
    rehearsed.ui.whatIfButton.click()
    rehearsed.until_idle()
    assert rehearsed.node.result is not first
    assert rehearsed.node.result.GetNodeReference("XR2MRI.difference") is None


def test_a_comparison_with_a_real_volume_makes_maps_and_a_table(rehearsed):
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    slicer = rehearsed.slicer
    volume = rehearsed.generate()
    values = slicer.util.arrayFromVolume(volume)
    noise = np.random.default_rng(0).normal(0, 0.05, values.shape)
    real = np.clip(values + noise, 0, 1).astype(np.float32)
    real[0, 0, 0] = 1.0
    matrix = volume_matrix(slicer, volume)
    node = slicer.util.addVolumeFromArray(1000 * real, matrix, name="real MRI")
    rehearsed.ui.realMriSelector.setCurrentNode(node)
    assert rehearsed.ui.compareButton.enabled
    rehearsed.ui.compareButton.click()
    rehearsed.until_idle()
    table = volume.GetNodeReference("XR2MRI.table")
    assert table.GetNumberOfRows() == values.shape[1]
    names = [table.GetColumnName(i) for i in range(table.GetNumberOfColumns())]
    scores = {n: slicer.util.arrayFromTableColumn(table, n) for n in names}
    low, high = np.percentile((1000 * real.T)[::2, ::2, ::2], (0, 94.3))
    scaled = np.clip((1000 * real - low) / (high - low), 0, 1)
    k = values.shape[1] // 2
    expected = peak_signal_noise_ratio(scaled[:, k], values[:, k], data_range=1)
    assert scores["PSNR (dB)"][k] == pytest.approx(expected, abs=1e-3)
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = structural_similarity(scaled[:, k], values[:, k], data_range=1, **gaussian)
    assert scores["SSIM"][k] == pytest.approx(expected, abs=5e-3)
    difference = volume.GetNodeReference("XR2MRI.realDifference")
    assert np.abs(slicer.util.arrayFromVolume(difference) - (values - scaled)).max() < 1e-4
    assert volume.GetNodeReference("XR2MRI.edges").GetAttribute("XR2MRI.Kind") == "edges"
    assert "PSNR" in rehearsed.ui.compareNote.text and "SSIM" in rehearsed.ui.compareNote.text


def volume_matrix(slicer, node):
    from vtk import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


def test_closing_the_scene_ends_the_job(running, faulty):
    running.slicer.mrmlScene.Clear(0)
    running.until(lambda: faulty.count("DELETE"), "the server hears of it")
    assert running.logic.state == "idle" and running.volumes() == []
    assert "Choose a radiograph" in running.ui.progressNote.text


def test_deleting_the_growing_volume_ends_the_job(running, faulty):
    running.slicer.mrmlScene.RemoveNode(running.volumes()[0])
    running.until(lambda: faulty.count("DELETE"), "the server hears of it")
    assert running.logic.state == "idle" and running.volumes() == []
    assert running.ui.generateButton.enabled


def test_deleting_the_radiograph_meanwhile_does_not_harm_the_volume(running, faulty):
    running.slicer.mrmlScene.RemoveNode(running.node.radiograph)
    running.events()
    faulty.plan[f"GET {JOB}"] = Answer(body=fake.state("done", fake.SLICES))
    running.until_idle()
    assert len(running.volumes()) == 1
    assert running.volumes()[0].GetNodeReference("XR2MRI.radiograph") is None


def test_reloading_the_module_ends_the_job(running, faulty):
    before = running.widget
    running.slicer.util.reloadScriptedModule("XR2MRI")
    running.until(lambda: faulty.count("DELETE"), "the server hears of it")
    assert running.widget is not before and running.logic.state == "idle"
    assert running.volumes() == []
    running.connect(faulty.url)
    assert running.colour("serverStatus") == "good", "the new panel works"


def test_ending_slicer_ends_the_job(running, faulty):
    running.slicer.util.selectModule("")
    running.manager.unload("XR2MRI")
    assert faulty.count("DELETE") == 1, "before the application has gone"
    running.manager.load(__import__("user").MODULE)
    running.slicer.util.selectModule("XR2MRI")


def test_leaving_the_module_lets_the_job_go_on(running, faulty):
    running.slicer.util.selectModule("")
    running.events()
    faulty.plan[f"GET {JOB}"] = Answer(body=fake.state("done", fake.SLICES))
    running.until_idle()
    running.slicer.util.selectModule("XR2MRI")
    assert running.ui.resultSelector.currentNode() is running.volumes()[0]
