"""3D Slicer for tests: the real MRML library and VTK, PySide6 in the place of PythonQt.

    from harness import start
    slicer = start()
    panel = slicer.app.moduleManager().load(path_of_a_scripted_module)
    slicer.util.selectModule("XR2MRI")

See README.md for what it is and what it is not.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import sys
import types
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
os.environ.setdefault("QT_LOGGING_RULES", "qt.qpa.*=false")

NEEDED = ("PySide6", "slicer", "trame_slicer", "vtk")

errors: list[str] = []
"""Exceptions that nobody caught: in slots, in observers, in threads."""

warnings: list[str] = []
"""What Qt has warned of."""

_started: dict[str, Any] = {}


def missing() -> str:
    """Why the harness cannot start here; empty where it can."""
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    try:
        importlib.import_module("PySide6.QtWidgets")
    except ImportError as error:
        return f"a system library is missing (make packages): {error}"
    for library in ("libEGL.so.1", "libGL.so.1"):
        try:
            ctypes.CDLL(library)
        except OSError as error:
            return f"a system library is missing (make packages): {error}"
    return ""


def start() -> Any:
    """The module `slicer` with an application, once a process."""
    if _started:
        return _started["slicer"]
    from PySide6.QtWidgets import QApplication

    _keep_none()
    _watch_errors()
    _watch_qt()
    _started["qt"] = QApplication.instance() or QApplication(["Slicer"])
    slicer = _import_slicer()
    from trame_slicer.core import SlicerApp

    from . import i18n, qt_module

    sys.modules["qt"] = qt_module.make()
    from . import ctk_module

    sys.modules["ctk"] = ctk_module.make()
    core = SlicerApp()
    _collect_messages()
    slicer.mrmlScene = core.scene
    _as_module("slicer.i18n", i18n)
    from . import mrml_widgets, parameter_nodes, sample_data, scripted

    mrml_widgets.install()
    _as_module("slicer.ScriptedLoadableModule", scripted)
    sys.modules["slicer.parameterNodeWrapper"] = parameter_nodes.make()
    slicer.parameterNodeWrapper = sys.modules["slicer.parameterNodeWrapper"]
    sys.modules["SampleData"] = sample_data.make()
    from . import application, dicom, modules, originals, views

    views.install()
    sys.modules["DICOMLib"] = dicom.make()
    slicer.dicomDatabase = dicom.ctkDICOMDatabase()
    slicer.app = application.Application(core, modules.install())
    originals.install()
    slicer.app.open()
    _started["slicer"] = slicer
    return slicer


def stop() -> None:
    """End the application, before the interpreter does it in an order of its own."""
    if _started:
        _started.pop("slicer").app.close()


def _import_slicer() -> Any:
    """The package, without the folder `tests`: it would take `tests/slicer` for a part of itself
    and import every file there."""
    tests, before = Path(__file__).resolve().parents[2], list(sys.path)
    sys.path[:] = [entry for entry in before if Path(entry).resolve() != tests]
    try:
        importlib.import_module("slicer.util")
    finally:
        sys.path[:] = before
    return sys.modules["slicer"]


def _as_module(name: str, source: types.ModuleType) -> None:
    """Make a file of the harness importable under Slicer's name."""
    import slicer

    sys.modules[name] = source
    setattr(slicer, name.split(".")[1], source)


def vtk_messages() -> str:
    """What VTK and MRML have warned of since the last time this was asked."""
    text = _started["messages"].GetOutput()
    _collect_messages()
    return text


def _collect_messages() -> None:
    import vtk

    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    _started["messages"] = vtk.vtkStringOutputWindow()
    vtk.vtkOutputWindow.SetInstance(_started["messages"])


def _watch_qt() -> None:
    from PySide6.QtCore import qInstallMessageHandler

    def note(_kind: Any, _place: Any, text: str) -> None:
        if "propagateSizeHints" not in text:  # of windows without a screen
            warnings.append(text)

    qInstallMessageHandler(note)


def _keep_none() -> None:
    """Give `None` references to spare. With Python 3.11, PySide6 6.12.0 takes one away with every
    function of Qt that returns nothing and with every signal; after some minutes of an event loop
    the last would be gone, and the process with it ("deallocating None"). From 3.12 on `None` has
    no count."""
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40


def _watch_errors() -> None:
    """Note every exception that Qt and VTK would only print."""
    import threading
    import traceback

    def note(kind: Any, error: Any, trace: Any, *_: Any) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        errors.append(text)
        print(text, file=sys.stderr)

    sys.excepthook = note
    threading.excepthook = lambda given: note(given.exc_type, given.exc_value, given.exc_traceback)
