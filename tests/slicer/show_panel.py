"""Show a scripted module's panel, or the window with the views, as a picture.

python tests/slicer/show_panel.py panel.png
python tests/slicer/show_panel.py window.png --window --image knee.png
python tests/slicer/show_panel.py panel.png --module path/to/Module.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness import errors, start, stop

MODULE = Path(__file__).parents[2] / "slicer_extension" / "XR2MRI" / "XR2MRI.py"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--module", type=Path, default=MODULE)
    parser.add_argument("--image", type=Path, help="load it first")
    parser.add_argument("--window", action="store_true", help="the views, too")
    given = parser.parse_args()
    slicer = start()
    if given.image:
        slicer.util.loadVolume(str(given.image))
    slicer.app.moduleManager().load(given.module)
    slicer.util.selectModule(given.module.stem)
    window = slicer.util.mainWindow()
    window.show()
    panel = slicer.util.getModule(given.module.stem).widgetRepresentation()
    if not given.window:
        window.resize(window.width, max(panel.sizeHint.height() + 40, 400))
    for _ in range(20):
        slicer.app.processEvents()
    (window if given.window else panel).grab().save(str(given.out))
    stop()
    return len(errors)


if __name__ == "__main__":
    raise SystemExit(main())
