"""Slicer's own Python files in the place of the harness's, where its source is at hand.

    SLICER_SOURCE=/path/to/Slicer pytest -m gui tests/slicer

`parameterNodeWrapper`, `ScriptedLoadableModule`, `i18n` and `SampleData` are then those that ship.
The project does not carry them.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

VARIABLE = "SLICER_SOURCE"
WIDGETS = {
    "ctk": "ctkRangeWidget ctkDoubleRangeSlider ctkDoubleSlider ctkDirectoryButton"
    " ctkColorPickerButton ctkCheckablePushButton",
    "slicer": "qMRMLRangeWidget qMRMLSpinBox",
}
"""Classes that the originals compare with and that nothing here makes."""


def install() -> bool:
    """Put them in, if the environment tells where they are; whether it did."""
    source = os.environ.get(VARIABLE)
    if not source:
        return False
    for module, names in WIDGETS.items():
        for name in names.split():
            if not hasattr(sys.modules[module], name):
                setattr(sys.modules[module], name, type(name, (), {}))
    folder = Path(source) / "Base" / "Python" / "slicer"
    for name in ("i18n", "ScriptedLoadableModule"):
        _load(name, folder / f"{name}.py")
    _load("parameterNodeWrapper", folder / "parameterNodeWrapper" / "__init__.py")
    module = Path(source) / "Modules" / "Scripted" / "SampleData" / "SampleData.py"
    _load("SampleData", module, package="")
    return True


def _load(name: str, path: Path, package: str = "slicer.") -> None:
    full = f"{package}{name}"
    places = [str(path.parent)] if path.stem == "__init__" else None
    spec: Any = importlib.util.spec_from_file_location(
        full, path, submodule_search_locations=places
    )
    code = sys.modules[full] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(code)
    if package:
        setattr(sys.modules["slicer"], name, code)
