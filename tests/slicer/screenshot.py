"""Make docs/slicer_module.png: the panel and its views after a generation with the shipped model.

    python tests/slicer/screenshot.py docs/slicer_module.png

The sample radiograph that comes with the extension, its own features, 60 slices, seed 7. The window
is the harness's (see harness/README.md), the views are Slicer's own, drawn off-screen.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import contextmanager
from pathlib import Path

from harness import start, stop
from PIL import Image
from user import User

SLICES, SEED, COLOURS = 60, 7, 232
NOTICE = (255, 140, 26)


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
    parser.add_argument("out", type=Path)
    parser.add_argument("--server", help="one that runs already")
    given = parser.parse_args()
    slicer = start()
    window = slicer.util.mainWindow()
    user = User(slicer)
    with server_at(given.server) as url:
        user.connect(url)
        user.ui.sampleButton.click()
        user.ui.newSeedCheckBox.checked, user.ui.seedSpinBox.value = False, SEED
        user.set_slices(SLICES)
        user.generate()
        print(user.says())
    window.resize(1600, 1000)
    window.show()
    user.events(5)
    slicer.app.layoutManager().resetThreeDViews()
    user.events(5)
    user.picture(given.out)
    with Image.open(given.out) as picture:
        small(picture.convert("RGB")).save(given.out, optimize=True)
    stop()


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
