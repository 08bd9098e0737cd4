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
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import dialogs, start, stop
from PIL import Image
from user import MODULE, User

SLICES, FEW, SEED, SIZE = 50, 30, 7, (1440, 840)
TALL = 2400
"""Pixels of a window in which every section of the panel has room."""
COLOURS = 96, 144
"""Of the panel and of the views: 256 in all, of which none is lent to the other half, where it
would make coloured letters or coarse shades."""
NOTICE = (255, 140, 26)
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
    user.ui.samplesSpinBox.value = 3
    _generate(user, FEW)
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
    from xr2mri_client.own_server import Access

    user = User(slicer)
    window = user.slicer.util.mainWindow()
    window.resize(*SIZE)
    window.show()
    user.logic.computer.server.access = Access(url, "")  # as where the panel has started it
    user.connect(url)
    user.events(5)
    return user


def _generate(user: User, slices: int) -> None:
    user.events()
    user.ui.newSeedCheckBox.checked, user.ui.seedSpinBox.value = False, SEED
    user.set_slices(slices)
    user.press_generate()
    user.until(lambda: user.logic.state == "idle" and user.settled, "generated", 1200)
    print(user.says())


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
    _shrink_to_rows(user)
    user.picture(path)
    edge = window.dock.mapTo(window, window.dock.rect.topRight()).x() + 1
    with Image.open(path) as picture:
        small(picture.convert("RGB"), edge).save(path, optimize=True)


def save_panel(user: User, path: Path) -> None:
    """The panel alone, as high as it wants to be."""
    window = user.slicer.util.mainWindow()
    window.resize(SIZE[0], TALL)
    user.events(5)
    ui = user.ui
    spare = ui.sectionsArea.viewport().height - ui.sections.minimumSizeHint.height()
    window.resize(SIZE[0], TALL - max(spare, 0))
    user.events(5)
    window.panel.grab().save(str(path))
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def _shrink_to_rows(user: User) -> None:
    """Make the window so much lower that the panel's edge cuts no row in two."""
    import qt

    window, area = user.slicer.util.mainWindow(), user.ui.sectionsArea
    for _round in range(20):
        edge, cut = area.viewport().height, []
        for widget in user.ui.sections.findChildren(qt.QWidget):
            if not widget.isVisible() or widget.findChildren(qt.QWidget):
                continue
            top = widget.mapTo(area.viewport(), widget.rect.topLeft()).y()
            if top < edge < top + widget.height:
                cut.append(edge - top)
        if not cut:
            return
        window.resize(window.width, window.height - max(cut))
        user.events(3)


def small(picture: Image.Image, edge: int) -> Image.Image:
    """The picture in few colours.

    Args:
        picture: a window.
        edge: columns of the panel; the views begin there.
    """
    panel, views = (
        picture.crop(box)
        for box in ((0, 0, edge, picture.height), (edge, 0, picture.width, picture.height))
    )
    notice = [round(share / 16 * channel) for share in range(1, 17) for channel in NOTICE]
    palettes = [
        (half.quantize(colours).getpalette() + [0] * 768)[: 3 * colours]
        for half, colours in ((panel, COLOURS[0]), (views, COLOURS[1]))
    ]
    drawn = Image.new("P", picture.size)
    drawn.putpalette([*palettes[0], *palettes[1], *notice])
    for half, palette, first, column in (
        (panel, palettes[0], 0, 0),
        (views, [*palettes[1], *notice], COLOURS[0], edge),
    ):
        table = Image.new("P", (1, 1))
        table.putpalette(palette)
        part = half.quantize(palette=table, dither=Image.Dither.NONE)
        drawn.paste(part.point(lambda index, first=first: index + first), (column, 0))
    return drawn


if __name__ == "__main__":
    main()
