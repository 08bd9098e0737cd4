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

SLICES, FEW, SEED, COLOURS, SIZE = 60, 30, 7, 220, (1440, 840)
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
    user.events()
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
    user.events()
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
    user = User(slicer)
    user.connect(url)
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
    user.slicer.app.layoutManager().resetThreeDViews()
    user.events(5)
    user.picture(path)
    with Image.open(path) as picture:
        small(picture.convert("RGB")).save(path, optimize=True)


def small(picture: Image.Image) -> Image.Image:
    """The picture in few colours, those of the notice among them, though it is small."""
    palette = picture.quantize(COLOURS).getpalette()[: 3 * COLOURS]
    for share in range(1, 17):
        palette += [round(share / 16 * channel) for channel in NOTICE]
    table = Image.new("P", (1, 1))
    table.putpalette(palette)
    return picture.quantize(palette=table, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()
