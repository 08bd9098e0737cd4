"""Make the pictures of the Slicer module with the shipped model: those in docs that are called
`slicer_*.png`, but for the server on this computer (screenshot_computer.py).

    python tests/slicer/screenshot.py docs

The sample radiographs that come with the extension, their own features, seed 7. The window is the
harness's (see harness/README.md), the views are Slicer's own, drawn off-screen. The steps of the
tutorial are drawn by a test: `XR2MRI_PICTURES=docs pytest tests/slicer/test_panel_computer.py -k
from_nothing`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from harness import dialogs, start, stop
from PIL import Image
from screenshot_computer import INSTALLED
from user import MODULE, User

SLICES, FEW, SEED, SIZE = 50, 30, 7, (1440, 840)
PANEL, VIEWS, GREYS = 88, 64, 28
"""Colours of a picture: of the panel, of what is coloured in the views, and of what is grey there.
None is lent to another part, where it would make coloured letters or a tinted radiograph."""
NOTICE, BOX = (255, 140, 26), ((255, 0, 255), (230, 50, 240), (205, 85, 225), (180, 110, 215))
"""Colours of what is small in the views, and shall not be lost."""
SAMPLES = MODULE.parent / "Resources" / "SampleData"


@contextmanager
def server_at(url: str | None):
    """The address of a server with the shipped model: the given one, or one that is started."""
    if url:
        yield url
        return
    from xr2mri_core.local_server import LocalServer
    from xr2mri_core.shipped import app_folder

    with tempfile.TemporaryDirectory() as folder:
        studies = Path(folder) / "studies"
        studies.mkdir()
        with LocalServer(app_folder(), studies, Path(folder) / "server") as server:
            yield server.wait(900).url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="a folder")
    parser.add_argument("--server", help="one that runs already")
    parser.add_argument("--only", choices=PICTURES, help="one picture")
    given = parser.parse_args()
    slicer = start()
    slicer.app.settings().setValue("XR2MRI/OwnLayout", '"yes"')
    with server_at(given.server) as url:
        for name, draw in PICTURES.items():
            if given.only in (None, name):
                draw(slicer, url, given.out / f"slicer_{name}.png")
    stop()


def module(slicer: Any, url: str, path: Path) -> None:
    """After a generation."""
    user = _ready(slicer, url)
    user.ui.sampleButton.click()
    _generate(user, SLICES)
    save(user, path)
    _leave(user)


def uncertainty(slicer: Any, url: str, path: Path) -> None:
    """The deviation of three samples, with its legend."""
    user = _ready(slicer, url)
    user.ui.sampleButton.click()
    _generate(user, FEW, samples=3)
    overlays = user.ui.overlayComboBox
    overlays.setCurrentIndex(overlays.findData("XR2MRI.std"))
    user.ui.featuresSection.collapsed = True
    save(user, path)
    _leave(user)


def batch(slicer: Any, url: str, path: Path) -> None:
    """Both samples from a folder, and a file whose form has a fault."""
    user = _ready(slicer, url)
    with tempfile.TemporaryDirectory() as folder:
        for index, source in enumerate(sorted(SAMPLES.glob("*.nrrd"))):
            shutil.copy(source, Path(folder) / f"knee_{index + 1}.nrrd")
        shutil.copy(source, Path(folder) / "knee_3.nrrd")
        (Path(folder) / "knee_2.json").write_text(json.dumps({"features": {"V00XRKL": 2}}))
        (Path(folder) / "knee_3.json").write_text(json.dumps({"features": {"V00XRKL": 7}}))
        dialogs.answer(folder)
        user.ui.batchFolderButton.click()
        user.ui.newSeedCheckBox.checked, user.ui.seedSpinBox.value = False, SEED
        user.set_slices(FEW)
        user.ui.batchStartButton.click()
        running = user.widget.panel.batch.batch
        user.until(lambda: not running.running and user.logic.state == "idle", "all", 1200)
    for section in ("radiographSection", "featuresSection", "resultSection"):
        getattr(user.ui, section).collapsed = True
    user.ui.batchSection.collapsed = False
    save(user, path)
    _leave(user)


def german(slicer: Any, url: str, path: Path) -> None:
    """The panel of a German Slicer."""
    slicer.app.settings().setValue("language", "de-DE")
    slicer.app.settings().setValue("Internationalization/Enabled", True)
    user = _ready(slicer, url)
    user.ui.sampleButton.click()
    _generate(user, FEW)
    user.ui.optionsSection.collapsed = False
    user.ui.featuresSection.collapsed = True
    save(user, path)
    for section in ("radiographSection", "optionsSection", "resultSection"):
        getattr(user.ui, section).collapsed = True
    for section in ("serverSection", "featuresSection", "compareSection", "batchSection"):
        getattr(user.ui, section).collapsed = False
    save_panel(user, path.with_name(f"{path.stem}_panel.png"))
    _leave(user)


PICTURES: dict[str, Callable[[Any, str, Path], None]] = {
    "module": module,
    "uncertainty": uncertainty,
    "batch": batch,
    "german": german,
}


def _ready(slicer: Any, url: str) -> User:
    """Somebody who is connected, with the module as it is loaded now."""
    for name in [n for n in sys.modules if n.split(".")[0] in ("XR2MRILib", "xr2mri_client")]:
        del sys.modules[name]
    from xr2mri_client.installation import Installed
    from xr2mri_client.own_server import Access

    user = User(slicer)
    window = user.slicer.util.mainWindow()
    window.resize(*SIZE)
    window.show()
    computer = user.logic.computer  # as where the panel has installed the server and started it
    computer.installation.installed = lambda: Installed(*INSTALLED)
    computer.server.access = Access(url, "")
    computer.server._process = SimpleNamespace(stdin=None, poll=lambda: None)  # it is ours
    user.logic.checkServer = lambda: None  # which would find that it has not
    user.ui.hereRadio.click()
    user.connect(url)
    user.events(5)
    return user


def _generate(user: User, slices: int, samples: int = 1) -> None:
    user.events()
    user.ui.newSeedCheckBox.checked, user.ui.seedSpinBox.value = False, SEED
    user.set_slices(slices)
    user.ui.samplesSpinBox.value = samples
    user.press_generate()
    user.until(lambda: user.logic.state == "idle" and user.settled, "generated", 1200)
    print(user.says())


def _forget_time(user: User) -> None:
    """Tell no seconds that a busy machine took, and no other would."""
    if os.getloadavg()[0] > (os.cpu_count() or 1):
        user.ui.messageLabel.hide()


def _leave(user: User) -> None:
    user.slicer.util.mainWindow().hide()
    user.leave()
    user.slicer.mrmlScene.Clear(0)


def save(user: User, path: Path) -> None:
    """The window as a small picture."""
    window = user.slicer.util.mainWindow()
    window.resize(*SIZE)
    window.show()
    user.events(5)
    _forget_time(user)
    _shrink_to_rows(user)
    user.picture(path)
    edge = window.dock.mapTo(window, window.dock.rect.topRight()).x() + 1
    with Image.open(path) as picture:
        small(picture.convert("RGB"), edge).save(path, optimize=True)
    window.resize(*SIZE)  # what is fitted next has more height, and loses none of its width later


def save_panel(user: User, path: Path) -> None:
    """The panel alone, as high as it wants to be."""
    window = user.slicer.util.mainWindow()
    for _round in range(3):
        more = user.ui.sectionsArea.verticalScrollBar().maximum()
        window.resize(SIZE[0], window.height + more)
        user.events(5)
    window.panel.grab().save(str(path))
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def _shrink_to_rows(user: User) -> None:
    """Make the window so much lower that the panel's edge cuts no row in two."""
    from PySide6.QtCore import QPoint
    from PySide6.QtWidgets import QWidget

    window, area = user.slicer.util.mainWindow(), user.ui.sectionsArea
    for _round in range(20):
        edge, cut = _height(area.viewport()), []
        for widget in QWidget.findChildren(user.ui.sections, QWidget):
            parts = QWidget.findChildren(widget, QWidget)
            if not widget.isVisible() or any(part.isVisible() for part in parts):
                continue  # it is no row, or holds some; a folded section is one
            top = widget.mapTo(area.viewport(), QPoint(0, 0)).y()
            if top < edge < top + _height(widget):
                cut.append(edge - top)
        if not cut:
            return
        window.resize(window.width, window.height - max(cut))
        user.events(3)


def _height(widget: Any) -> int:
    """Of a widget, which is PythonQt's or one of Qt's own parts."""
    return widget.height() if callable(widget.height) else widget.height


def small(picture: Image.Image, edge: int) -> Image.Image:
    """The picture in few colours.

    Args:
        picture: a window.
        edge: columns of the panel; the views begin there.
    """
    sides = ((0, 0, edge, picture.height), (edge, 0, picture.width, picture.height))
    panel, views = map(picture.crop, sides)
    pixels = np.asarray(views).reshape(1, -1, 3)
    coloured = pixels[np.ptp(pixels, axis=-1) > 8]
    of_panel = _colours(panel, PANEL, Image.Quantize.MAXCOVERAGE)  # the few of a colour bar, too
    of_views = _colours(Image.fromarray(coloured[None]), VIEWS, Image.Quantize.MEDIANCUT)
    of_views += [round(255 * shade / (GREYS - 1)) for shade in range(GREYS) for _ in range(3)]
    of_views += [round(share / 16 * channel) for share in range(1, 17) for channel in NOTICE]
    of_views += [channel for colour in BOX for channel in colour]
    drawn = Image.new("P", picture.size)
    drawn.putpalette([*of_panel, *of_views])
    for part, palette, first, column in ((panel, of_panel, 0, 0), (views, of_views, PANEL, edge)):
        table = Image.new("P", (1, 1))
        table.putpalette(palette)
        indices = np.asarray(part.quantize(palette=table, dither=Image.Dither.NONE))
        drawn.paste(Image.fromarray((indices + first).astype(np.uint8)), (column, 0))
    return drawn


def _colours(picture: Image.Image, count: int, method: Image.Quantize) -> list[int]:
    """The red, green and blue of so many colours, some of them black where it has fewer."""
    found = picture.quantize(count, method=method).getpalette() or []
    return (found + [0] * 3 * count)[: 3 * count]


if __name__ == "__main__":
    main()
