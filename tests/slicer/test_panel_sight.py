"""What is in sight: the button, the keys, the samples, the layout, the legend, the report."""

from __future__ import annotations

import json
import re
import sys

import pytest
from harness import dialogs
from test_panel_mock import info, made, mocked_ready, result  # noqa: F401  (fixtures)

pytestmark = pytest.mark.gui

PINNED = ("generateButton", "cancelButton", "progressBar", "progressNote", "researchNote")


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


def test_what_it_is_for_is_said_before_anything_is_generated(mocked):
    note = mocked.ui.researchNote.text
    assert "research only" in note and "never for diagnosis" in note
    assert mocked.shown("researchNote") and mocked.logic.info is None


def test_what_a_folded_section_says_is_seen_when_it_is_opened(screen):
    from PySide6.QtWidgets import QWidget

    user, ui = screen, screen.ui
    folded = [name for name, widget in vars(ui).items() if getattr(widget, "collapsed", False)]
    assert len(folded) == 3
    for name in folded:
        parts = QWidget.findChildren(getattr(ui, name), QWidget)
        assert not [part.name for part in parts if part.isVisible()], name
    assert ui.batchNote.text and ui.samplesNote.text == ""
    ui.batchSection.collapsed = False
    user.events()
    assert ui.batchNote.isVisible()


def test_the_server_folds_once_it_is_connected_and_opens_where_it_is_wanted(mocked):
    from xr2mri_client.errors import LoginNeeded
    from xr2mri_client.own_server import Access

    user, ui = mocked, mocked.ui
    assert not ui.serverSection.collapsed and ui.serverSection.text == "Server"
    user.logic.connect(info())
    assert ui.serverSection.collapsed
    assert ui.serverSection.text == "Server: http://mri.hospital.example"
    user.logic.computer.access = Access(info().url, "x")
    user.logic.connect(info())
    assert ui.serverSection.text == "Server: on this computer, running", "and no number of a port"
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


def cut_off(slicer, node) -> dict[str, float]:
    """The views of a volume that show less than all of it, with the mm that are missing at a side;
    but for a slice's thickness, by which one may be off its centre."""
    import numpy as np

    from XR2MRILib.scene import layout

    bounds, found = np.zeros(6), {}
    node.GetRASBounds(bounds)
    corners = [[x, y, z, 1] for x in bounds[:2] for y in bounds[2:4] for z in bounds[4:]]
    for tag in layout.VOLUME_VIEWS:
        view = layout.slice_node(tag)
        turn = view.GetSliceToRAS()
        turn = np.array([[turn.GetElement(row, k) for k in range(4)] for row in range(4)])
        there = np.abs(np.linalg.inv(turn) @ np.array(corners).T).max(axis=1)
        missing = max(there[axis] - view.GetFieldOfView()[axis] / 2 for axis in (0, 1))
        if missing > 3:
            found[tag] = round(float(missing), 1)
    return found


@pytest.fixture
def wide(user):
    """Somebody who looks at a volume in a wide window."""
    window = user.slicer.util.mainWindow()
    window.resize(1400, 800)
    window.show()
    user.rehearse()
    user.ui.sampleButton.click()
    user.events()
    user.generate()
    assert cut_off(user.slicer, user.node.result) == {}
    return user


@pytest.mark.parametrize("cause", ["layout", "form"])
def test_views_that_become_narrower_meanwhile_still_show_the_whole_volume(wide, cause):
    from XR2MRILib.scene import layout

    user, slicer, ui = wide, wide.slicer, wide.ui
    before = layout.slice_node("Red").GetDimensions()[0]
    if cause == "layout":
        manager = slicer.app.layoutManager()
        manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        user.events()
        ui.layoutButton.click()
    else:
        user.widget.panel.features.placed.emit()
    slicer.util.mainWindow().resize(1000, 800)
    user.until(lambda: layout.slice_node("Red").GetDimensions()[0] < 0.9 * before, "narrower", 60)
    user.until(lambda: cut_off(slicer, user.node.result) == {}, "fitted again", 30)


def test_a_view_that_was_zoomed_is_not_fitted_again(wide):
    from XR2MRILib.scene import layout

    user, view = wide, layout.slice_node("Red")
    across, height, depth = view.GetFieldOfView()
    view.SetFieldOfView(across / 3, height / 3, depth)
    layout.settle()
    user.slicer.util.mainWindow().resize(900, 800)
    user.until(lambda: view.GetDimensions()[0] < 250, "narrower", 60)
    user.until(lambda: cut_off(user.slicer, user.node.result).keys() == {"Red"}, "the others", 30)
    assert view.GetFieldOfView()[1] == pytest.approx(height / 3)


def test_the_solid_view_is_centred_on_the_volume_and_its_box_is_around_it(user):
    """Though the radiograph, a plane of its own, is in the scene."""
    import numpy as np

    slicer, ui = user.slicer, user.ui
    slicer.util.mainWindow().show()
    user.rehearse()
    ui.sampleButton.click()
    volume = user.generate()
    user.events(5)
    wanted, plane = np.zeros(6), np.zeros(6)
    volume.GetRASBounds(wanted)
    user.node.radiograph.GetRASBounds(plane)
    assert (np.abs(plane - wanted) > 10).any(), "the radiograph reaches elsewhere"
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    actors = view.renderer().GetActors()
    lines = [
        actor
        for actor in map(actors.GetItemAsObject, range(actors.GetNumberOfItems()))
        if actor.GetMapper() is not None
        and actor.GetMapper().GetInputAlgorithm() is not None
        and actor.GetMapper().GetInputAlgorithm().IsA("vtkOutlineSource")
    ]
    (box,) = lines
    assert np.allclose(box.GetBounds(), wanted, atol=1)
    focus = view.renderer().GetActiveCamera().GetFocalPoint()
    assert np.allclose(focus, (wanted[::2] + wanted[1::2]) / 2, atol=10)
    assert user.node.radiograph.GetDisplayNode().GetViewNodeIDs() == (), "it is as before"


def test_an_overlay_outshines_the_picture_below_it(slicer):
    """White fat where the samples agree is no sign of doubt, and doubt is seen on it."""
    import numpy as np

    from xr2mri_client.volume import Volume
    from XR2MRILib.scene import display, layout
    from XR2MRILib.scene import result as volumes

    slicer.util.mainWindow().show()
    layout.show()
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    shape = (60, 60, 60)
    black, white, doubt = (np.zeros(shape, np.float32) for _ in range(3))
    white[:], doubt[20:40], doubt[40:] = 1, 0.5, 1
    names = {"black": black, "white": white, "doubt": doubt}
    nodes = {
        name: volumes.add_volume(name, "volume", Volume(values, affine), None)
        for name, values in names.items()
    }
    for name in ("black", "white"):
        display.grey(nodes[name])
    display.coloured(nodes["doubt"], display.UNCERTAINTY, 1.0)
    green = slicer.app.layoutManager().sliceWidget("Green").sliceView()
    shades = {}
    for name in ("black", "white"):
        layout.show_volume(nodes[name], nodes["doubt"])
        slicer.app.processEvents()
        green.forceRender()
        rows, columns, _ = green.image.shape
        across = green.image[rows // 2].astype(int)
        height = min(rows, columns)  # of the volume, which is a cube
        at = [columns // 2 + round(part * height / 3) for part in (1, 0, -1)]  # the right at left
        shades[name] = [across[x] for x in at]
    agree, some, most = shades["white"]
    assert agree.sum() < shades["black"][2].sum(), "white that is certain, and black that is not"
    assert np.abs(some - most).max() > 60, "shades of doubt are told apart on white"
    assert np.abs(agree - agree.mean()).max() < 10, "and what is certain is grey"


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
def test_one_click_writes_a_report(mocked_ready, result, tmp_path, ending):  # noqa: F811
    user = mocked_ready
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
    for seen in ("right at the left", "Sagittal, synthetic: the front at the left"):
        assert seen in text.replace("&#x27;", "'"), "which side is which"
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


def test_a_report_that_cannot_be_written_is_told(mocked_ready, result, tmp_path):  # noqa: F811
    user = mocked_ready
    user.node.result = result
    user.events()
    for path in (tmp_path / "no" / "page.pdf", tmp_path / "no" / "page.html"):
        dialogs.answer(str(path))
        user.ui.reportButton.click()
        user.events()
        assert "cannot be written" in user.ui.messageLabel.text
        assert user.colour("messageLabel") == "bad"


@pytest.mark.parametrize("gone", ["node", "file"])
def test_a_volume_that_goes_while_its_report_is_written_is_told(
    mocked_ready,  # noqa: F811
    result,  # noqa: F811
    tmp_path,
    gone,
):
    """Or that a scene has brought without its file."""
    user = mocked_ready
    user.node.result = result
    user.events()
    dialogs.answer(str(tmp_path / "page.pdf"))
    user.ui.reportButton.click()
    if gone == "node":
        user.slicer.mrmlScene.RemoveNode(result)
    else:
        result.SetAndObserveImageData(None)
    user.events()
    assert "has gone. Choose a generated volume." in user.ui.messageLabel.text
    assert not list(tmp_path.glob("page*"))


@pytest.mark.parametrize("ending", ["html", "pdf"])
def test_a_fault_of_qt_in_a_report_is_told_and_leaves_no_file(
    mocked_ready,  # noqa: F811
    result,  # noqa: F811
    tmp_path,
    monkeypatch,
    ending,
):
    """And takes no earlier report away."""
    user = mocked_ready
    user.node.result = result
    user.events()
    report = sys.modules["XR2MRILib.report"]

    def lacking(*_arguments):
        raise AttributeError("no such thing in this version")

    monkeypatch.setattr(report, "_write_across", lacking)
    folder = tmp_path / "reports"
    folder.mkdir()
    path = folder / f"page.{ending}"
    for before in ("", "an earlier one"):
        if before:
            path.write_text(before)
        dialogs.answer(str(path))
        user.ui.reportButton.click()
        user.events()
        text = user.ui.messageLabel.text
        assert "no such thing in this version" in text and "report it" in text
        assert user.colour("messageLabel") == "bad"
        assert [file.read_text() for file in folder.iterdir()] == ([before] if before else [])


def test_no_painter_is_at_work_between_the_pieces_of_a_report(
    mocked_ready,  # noqa: F811
    result,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    """The scene may be closed there, and a painter that outlives its paper takes Slicer down."""
    import qt

    from XR2MRILib.generation import result_of

    report, painters = sys.modules["XR2MRILib.report"], []

    class Noted(qt.QPainter):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            painters.append(self)

    monkeypatch.setattr(report.qt, "QPainter", Noted)
    folder = tmp_path / "reports"
    folder.mkdir()
    path = folder / "page.pdf"
    for _piece in report.write(result_of(result), mocked_ready.logic.form, path):
        assert not any(painter.isActive() for painter in painters)
    assert len(painters) >= 4 and path.read_bytes().startswith(b"%PDF")
    assert not any(painter.isActive() for painter in painters)
    pieces = report.write(result_of(result), mocked_ready.logic.form, folder / "other.pdf")
    next(pieces)
    pieces.close()  # as when the scene is closed
    assert [file.name for file in folder.iterdir()] == ["page.pdf"]


def test_planes_are_shown_as_in_the_views(slicer):
    """Head up, the patient's right at the left, the front at the left of the sagittal plane."""
    import numpy as np

    from xr2mri_client.volume import Volume
    from XR2MRILib.scene import display, pictures
    from XR2MRILib.scene import result as volumes

    for signs in ((1, 1, 1), (-1, 1, -1)):
        array = np.zeros((20, 30, 40), np.float32, order="F")
        affine = np.diag([*signs, 1.0]) @ np.diag([1.0, 2.0, 3.0, 1.0])
        right = slice(15, None) if signs[0] > 0 else slice(None, 5)
        front = slice(20, None) if signs[1] > 0 else slice(None, 10)
        up = slice(30, None) if signs[2] > 0 else slice(None, 10)
        array[right, :, up] = array[:, front, up] = array[right, front, :] = 1
        node = volumes.add_volume("v", "volume", Volume(array, affine), None)
        display.grey(node)
        for name, (height, width) in {
            "coronal": (120, 20), "sagittal": (120, 60), "axial": (60, 20),
        }.items():  # fmt: skip
            shown = pictures.plane(node, name)
            assert (shown.height, shown.width) == (height, width)
            assert shown.pixels[0, 0] == 255 and shown.pixels[-1, -1] == 0, name
        slicer.mrmlScene.RemoveNode(node)
