"""What is in sight: the button, the keys, the samples, the layout, the legend, the report."""

from __future__ import annotations

import json
import re
import sys

import pytest
from harness import dialogs
from test_panel_mock import info, made, ready, result  # noqa: F401  (fixtures)

pytestmark = pytest.mark.gui

PINNED = ("generateButton", "cancelButton", "progressBar", "progressNote")


@pytest.fixture
def screen(user):
    """The panel of somebody with a 1080p screen; what Slicer and the desktop have around it is
    taken away."""
    window = user.slicer.util.mainWindow()
    window.resize(1920, 1080 - window.DESKTOP)
    window.show()
    user.events(5)
    yield user
    window.hide()


def seen(user, name: str) -> bool:
    """Whether a widget lies within what the window shows of the panel."""
    panel = user.slicer.util.mainWindow().panel
    widget = getattr(user.ui, name)
    corner = widget.mapTo(panel, widget.rect.topLeft())
    inside = panel.viewport().rect()
    return widget.isVisible() and inside.contains(corner) and inside.contains(
        widget.mapTo(panel, widget.rect.bottomRight())
    )  # fmt: skip


def test_generate_progress_and_cancel_are_always_in_sight(screen):
    from XR2MRILib.states import State

    user, ui = screen, screen.ui
    user.rehearse()
    for section in ("serverSection", "optionsSection", "compareSection"):
        getattr(ui, section).collapsed = False
    ui.sampleButton.click()
    user.events(5)
    bar = ui.sectionsArea.verticalScrollBar()
    assert bar.maximum() > 100, "there is more than fits"
    user.set_slices(400)
    user.press_generate()
    user.until(lambda: user.volumes(), "it generates")
    for place in (0, bar.maximum()):
        bar.setValue(place)
        user.events(2)
        assert [name for name in PINNED if not seen(user, name)] == []
    ui.cancelButton.click()
    assert user.logic.state is State.IDLE
    panel = user.slicer.util.mainWindow().panel
    assert panel.verticalScrollBar().maximum() == 0, "Slicer's own scroll bar is not wanted"
    assert ui.sections.width >= ui.sections.minimumSizeHint.width(), "nothing is cut off"


def test_the_server_folds_once_it_is_connected_and_opens_where_it_is_wanted(mocked):
    from xr2mri_client.errors import LoginNeeded

    user, ui = mocked, mocked.ui
    assert not ui.serverSection.collapsed and ui.serverSection.text == "Server"
    user.logic.connect(info())
    assert ui.serverSection.collapsed
    assert ui.serverSection.text == "Server: http://mri.hospital.example"
    ui.serverSection.collapsed = False
    assert not user.shown("loginFrame") and not user.shown("caFrame"), "what was hidden stays so"
    ui.serverSection.collapsed = True
    user.logic.info = None
    user.logic.end("failed", LoginNeeded("Who are you?", "Log in."))
    assert not ui.serverSection.collapsed and user.shown("loginFrame")


def test_the_shortcut_is_on_the_button_and_works(user):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    user.rehearse()
    user.ui.sampleButton.click()
    user.events()
    assert "Ctrl+Return" in user.ui.generateButton.text
    user.come_to_the_front()
    QTest.keyClick(user.slicer.util.mainWindow(), Qt.Key_Return, Qt.ControlModifier)
    user.until(lambda: user.node.result is not None, "the button is pressed for a moment first")
    user.until_idle()


def test_the_keys_are_told_below_the_form(mocked):
    assert not mocked.shown("keysNote"), "there is no form yet"
    mocked.logic.connect(info())
    assert mocked.shown("keysNote") and "digit" in mocked.ui.keysNote.text


def test_both_samples_are_offered(user):
    from XR2MRILib import sample_data

    entries = user.ui.sampleButton.menu().actions()
    assert [entry.text for entry in entries] == [s.name for s in sample_data.SAMPLES]
    entries[1].trigger()
    user.events()
    assert user.node.radiograph.GetName() == sample_data.SAMPLES[1].name
    assert "left" in user.ui.lateralityNote.text


def test_a_tile_of_the_gallery_does_what_the_menu_does(user):
    """Also when another radiograph is chosen, and another module is open."""
    user.ui.sampleButton.click()
    user.events()
    user.slicer.util.selectModule("")
    sample_data = sys.modules["SampleData"].SampleDataLogic
    source = sample_data.sampleDataSourcesByCategory("XR2MRI")[1]
    sample_data().downloadFromSource(source)
    user.events()
    assert user.node.radiograph.GetName() == source.sampleName
    assert len(user.node.features) == 19 and set(user.node.features.values()) == {0}


def test_the_layout_is_asked_for_once_and_remembered(user):
    from XR2MRILib import settings
    from XR2MRILib.scene import layout

    slicer, ui = user.slicer, user.ui
    manager = slicer.app.layoutManager()
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    slicer.app.settings().remove("XR2MRI/OwnLayout")
    assert not user.shown("layoutFrame")
    ui.sampleButton.click()
    user.events()
    assert user.shown("layoutFrame") and not layout.is_shown(), "it asks, and goes on meanwhile"
    red = manager.sliceWidget("Red").mrmlSliceCompositeNode()
    assert red.GetBackgroundVolumeID() == user.node.radiograph.GetID()
    ui.layoutNoButton.click()
    user.events()
    assert not user.shown("layoutFrame") and settings.own_layout() is False
    user.rehearse()
    volume = user.generate()
    user.events()
    assert not layout.is_shown(), "the user's layout stays"
    for name, plane in (("Green", "Coronal"), ("Yellow", "Sagittal"), ("Red", "Axial")):
        widget = manager.sliceWidget(name)
        assert widget.mrmlSliceCompositeNode().GetBackgroundVolumeID() == volume.GetID()
        assert widget.mrmlSliceNode().GetOrientation() == plane
    ui.ownLayoutCheckBox.click()
    user.events()
    assert layout.is_shown() and settings.own_layout() is True
    slicer.app.settings().remove("XR2MRI/OwnLayout")
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    user.events()
    ui.layoutButton.click()
    user.events()
    assert layout.is_shown() and settings.own_layout() is True, "who asks for it has answered"


def test_the_deviation_has_a_colour_bar_and_a_legend_in_words(user):
    from XR2MRILib.scene import attributes

    slicer, ui = user.slicer, user.ui
    user.rehearse()
    ui.sampleButton.click()
    ui.samplesSpinBox.value = 3
    volume = user.generate()
    assert not user.shown("legendFrame")
    window = slicer.util.mainWindow()
    window.show()
    user.events(5)
    green = slicer.app.layoutManager().sliceWidget("Green").sliceView()
    green.forceRender()
    before = green.image.copy()
    ui.overlayComboBox.setCurrentIndex(ui.overlayComboBox.findData(attributes.STD))
    user.events()
    assert user.shown("legendFrame")
    assert "all agree" in ui.legendLow.text and "differ most" in ui.legendHigh.text
    std = volume.GetNodeReference(attributes.STD)
    assert f"{std.GetDisplayNode().GetWindowLevelMax():.2f}" in ui.legendHigh.text
    assert "of 3 samples" in ui.legendNote.text and "qlineargradient" in ui.legendBar.styleSheet
    legends = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert [node.GetDisplayableNode() for node in legends if node.GetVisibility()] == [std]
    green.forceRender()
    right = green.image.shape[1] * 3 // 4
    changed = (green.image[:, right:] != before[:, right:]).any(axis=-1).sum()
    assert changed > 500, "the bar is drawn"
    ui.overlayComboBox.setCurrentIndex(0)
    user.events()
    assert not user.shown("legendFrame") and not legends[0].GetVisibility()


@pytest.mark.parametrize("ending", ["html", "pdf"])
def test_one_click_writes_a_report(ready, result, tmp_path, ending):  # noqa: F811
    user = ready
    record = json.loads(result.GetDisplayNode().GetAttribute("XR2MRI.Record"))
    record |= {"warnings": ["<no> knee was found"], "box": [10, 10, 90, 80], "sampler": "ddim"}
    result.GetDisplayNode().SetAttribute("XR2MRI.Record", json.dumps(record))
    user.node.result = result
    user.events()
    path = tmp_path / f"page.{ending}"
    dialogs.answer(str(path))
    user.ui.reportButton.click()
    user.events()
    assert str(path) in user.ui.messageLabel.text and user.colour("messageLabel") == "good"
    content = path.read_bytes()
    if ending == "pdf":
        assert content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF")
        assert content.count(b"/Type /Page\n") == 1 and len(content) < 500_000
        return
    text = content.decode()
    assert text.count("data:image/png;base64,") == 4, "the radiograph and three planes"
    for expected in (f"<td>{record['seed']}</td>", "SYNTHETIC", "Not for diagnosis", "ddim"):
        assert expected in text
    assert "&lt;no&gt; knee was found" in text and "<no>" not in text
    assert re.search(r"Kellgren.*?2 \(", text), "the form in words"
    assert not re.search(r"https?://", text), "nothing of the server"
    user.slicer.mrmlScene.RemoveNode(user.node.radiograph)
    dialogs.answer(str(path))
    user.ui.reportButton.click()
    user.events()
    text = path.read_text()
    assert text.count("data:image/png;base64,") == 3, (
        "and without the radiograph, once that is gone"
    )


def test_a_report_that_cannot_be_written_is_told(ready, result, tmp_path):  # noqa: F811
    user = ready
    user.node.result = result
    user.events()
    for path in (tmp_path / "no" / "page.pdf", tmp_path / "no" / "page.html"):
        dialogs.answer(str(path))
        user.ui.reportButton.click()
        user.events()
        assert "cannot be written" in user.ui.messageLabel.text
        assert user.colour("messageLabel") == "bad"


def test_planes_are_shown_as_in_the_views(slicer):
    """Head up, the patient's right at the left, the front at the left of the sagittal plane."""
    import numpy as np

    from xr2mri_client.volume import Volume
    from XR2MRILib.scene import display, pictures
    from XR2MRILib.scene import result as volumes

    for signs in ((1, 1, 1), (-1, 1, -1)):
        values = np.zeros((20, 30, 40), np.float32)
        affine = np.diag([*signs, 1.0]) @ np.diag([1.0, 2.0, 3.0, 1.0])
        at = [{1: -1, -1: 0}[sign] for sign in signs]  # the right, front, upper corner
        values[at[0], :, at[2]] = values[at[0], at[1], :] = values[:, at[1], at[2]] = 1
        values[10] = np.maximum(values[10], 0)
        node = volumes.add_volume("v", "volume", Volume(values, affine), None)
        display.grey(node)
        full = np.ones((20, 30, 40), np.float32)
        full[: 10 if signs[0] > 0 else None, :, :] *= 1
        array = slicer.util.arrayFromVolume(node).T
        array[:] = 0
        right = slice(15, None) if signs[0] > 0 else slice(None, 5)
        front = slice(20, None) if signs[1] > 0 else slice(None, 10)
        up = slice(30, None) if signs[2] > 0 else slice(None, 10)
        array[right, :, up] = array[:, front, up] = array[right, front, :] = 1
        for name, (height, width) in {
            "coronal": (120, 20), "sagittal": (120, 60), "axial": (60, 20),
        }.items():  # fmt: skip
            shown = pictures.plane(node, name)
            assert (shown.height, shown.width) == (height, width)
            assert shown.pixels[0, 0] == 255 and shown.pixels[-1, -1] == 0, name
        slicer.mrmlScene.RemoveNode(node)
