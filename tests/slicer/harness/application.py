"""`slicer.app`, with a main window: the module's panel at the left, the views at the right."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer
from PySide6.QtCore import (
    Property,
    QCoreApplication,
    QEventLoop,
    QProcessEnvironment,
    QSettings,
    Signal,
)
from PySide6.QtWidgets import QApplication
from shiboken6 import isValid
from trame_slicer.core import SlicerApp

from . import i18n
from .files import Files
from .hierarchy import HierarchyKeeper
from .layout import LayoutManager
from .modules import CoreModule, ModuleManager

VERSION = (5, 12, 0)


class Application(qt.QObject):
    """What scripted modules ask `slicer.app` for.

    Attributes:
        renderPaused: whether views wait.
        testing: what `testingEnabled` answers.
    """

    startupCompleted = Signal()
    aboutToQuit = Signal()
    lastWindowClosed = Signal()

    def __init__(self, core: SlicerApp, modules: ModuleManager) -> None:
        super().__init__()
        self._core, self._modules, self._files = core, modules, Files()
        self._layout: LayoutManager | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-")
        self.renderPaused, self.testing = 0, False
        QCoreApplication.setOrganizationName("slicer.org")
        QCoreApplication.setApplicationName("Slicer")
        QSettings.setDefaultFormat(QSettings.IniFormat)
        for scope in (QSettings.UserScope, QSettings.SystemScope):
            QSettings.setPath(QSettings.IniFormat, scope, f"{self._folder.name}/settings")

    # --- what there is --------------------------------------------------------------------------

    applicationName = Property(str, lambda self: "3D Slicer")
    applicationVersion = Property(str, lambda self: ".".join(map(str, VERSION)))
    majorVersion = Property(int, lambda self: VERSION[0])
    minorVersion = Property(int, lambda self: VERSION[1])
    revision = Property(str, lambda self: "34000")
    platform = Property(str, lambda self: "linux-amd64")
    temporaryPath = Property(str, lambda self: self._temporary())
    defaultScenePath = Property(str, lambda self: self._temporary())
    slicerHome = Property(str, lambda self: self._folder.name)
    documentationBaseUrl = Property(str, lambda self: "https://slicer.readthedocs.io/en/latest/")

    def _temporary(self) -> str:
        path = Path(self._folder.name) / "temp"
        path.mkdir(exist_ok=True)
        return str(path)

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def applicationLogic(self) -> Any:
        return self._core.app_logic

    def layoutManager(self) -> LayoutManager:
        return self._layout

    def moduleManager(self) -> ModuleManager:
        return self._modules

    def coreIOManager(self) -> Files:
        return self._files

    ioManager = coreIOManager

    def settings(self) -> Any:
        return qt.QSettings()

    userSettings = revisionUserSettings = settings

    def startupEnvironment(self) -> QProcessEnvironment:
        return QProcessEnvironment.systemEnvironment()

    def testingEnabled(self) -> bool:
        return self.testing

    def pythonConsole(self) -> None:
        return None

    def topLevelWidgets(self) -> list[Any]:
        return [w for w in QApplication.topLevelWidgets() if hasattr(w, "name")]

    def palette(self) -> Any:
        return QApplication.palette()

    def clipboard(self) -> Any:
        return QApplication.clipboard()

    def focusWidget(self) -> Any:
        return QApplication.focusWidget()

    def keyboardModifiers(self) -> Any:
        return QApplication.keyboardModifiers()

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"https://slicer.readthedocs.io/modules/{name.lower()}.html"

    def translate(self, context: str, text: str) -> str:
        return i18n.translate(context, text)

    # --- what it does ---------------------------------------------------------------------------

    def processEvents(self, *arguments: Any) -> None:
        QApplication.processEvents(*arguments)
        QApplication.sendPostedEvents(None, qt.QEvent.DeferredDelete)

    def setOverrideCursor(self, cursor: Any) -> None:
        QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        QApplication.restoreOverrideCursor()

    def pauseRender(self) -> None:
        self.renderPaused += 1

    def resumeRender(self) -> None:
        self.renderPaused -= 1

    def setRenderPaused(self, paused: bool) -> None:
        self.renderPaused = max(0, self.renderPaused + (1 if paused else -1))

    # --- of the harness -------------------------------------------------------------------------

    def open(self) -> None:
        """Make the main window with its views."""
        self._hierarchy = HierarchyKeeper()
        self._layout = LayoutManager(self._core.app_logic)
        self.window = MainWindow(self._modules, self._layout.area)
        colours = slicer.vtkSlicerColorLogic()  # trame-slicer has that of MRML alone
        colours.SetMRMLScene(slicer.mrmlScene)
        logics = {
            "volumes": self._core.volumes_logic,
            "volumerendering": self._core.volume_rendering._logic,
            "subjecthierarchy": self._core.subject_hierarchy_logic,
            "colors": colours,
            "segmentations": self._core.segmentations_logic,
            "terminologies": self._core.terminologies_logic,
            "markups": self._core.markups_logic._logic,
        }
        names = {"volumerendering": "VolumeRendering", "subjecthierarchy": "SubjectHierarchy"}
        for name, logic in logics.items():
            self._modules.add(names.get(name, name.capitalize()), CoreModule(name, logic))
        self._modules.add("CropVolume", CoreModule("CropVolume", None))

    def close(self) -> None:
        """End as Slicer ends: modules first, then the scene, then the views."""
        for name in [n for n, m in self._modules.loaded.items() if hasattr(m, "instance")]:
            self._modules.unload(name)
        self.aboutToQuit.emit()
        slicer.mrmlScene.Clear(0)
        self.processEvents()
        self._layout.finish()
        self.window.close()
        self.processEvents(QEventLoop.AllEvents)
        self._folder.cleanup()


class ModulePanel(qt.QScrollArea):
    """`qSlicerModulePanel`: help and acknowledgement, and a module's widget below it, which gets
    the room that is left; all of it scrolls where that is not enough."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("ModulePanel")
        self.setFrameShape(qt.QFrame.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        contents = qt.QWidget()
        self._column, self._shown = qt.QVBoxLayout(contents), None
        self._column.setSizeConstraint(qt.QLayout.SetMinAndMaxSize)
        self._column.setContentsMargins(0, 0, 0, 0)
        self.help = ctk.ctkCollapsibleButton("Help && Acknowledgement")
        self.helpText = qt.QTextBrowser()
        qt.QVBoxLayout(self.help).addWidget(self.helpText)
        self.help.collapsed = True
        self._column.addWidget(self.help)
        self._column.addItem(
            qt.QSpacerItem(0, 20, qt.QSizePolicy.Minimum, qt.QSizePolicy.MinimumExpanding)
        )
        self.setWidget(contents)

    def add(self, module: Any, widget: Any) -> None:
        self.helpText.setHtml(f"{module.helpText}<hr>{module.acknowledgementText}")
        widget.layout().setContentsMargins(0, 0, 0, 0)
        self._column.insertWidget(1, widget, 1)
        widget.setSizePolicy(qt.QSizePolicy.Minimum, widget.sizePolicy.verticalPolicy())
        widget.show()
        self._shown = widget

    def remove(self) -> None:
        widget, self._shown = self._shown, None
        if widget is not None and isValid(widget):  # its module may have been unloaded
            self._column.removeWidget(widget)
            widget.hide()
            widget.setParent(None)


class MainWindow(qt.QMainWindow):
    """Panel and views. Of what Slicer has around them, what takes height from the panel is here:
    help above, Data Probe below. `DESKTOP` is what the rest and the desktop itself take of a
    screen's height: task bar, title, menus, toolbars, the dock's title and logo, status bar."""

    PANEL, PROBE, DESKTOP = 500, 130, 236

    def __init__(self, modules: ModuleManager, views: Any) -> None:
        super().__init__()
        self._modules = modules
        self.setObjectName("qSlicerMainWindow")
        self.setWindowTitle("3D Slicer")
        self.setCentralWidget(views)
        self.panel = ModulePanel()
        self.dock = qt.QDockWidget("Module Panel", self)
        self.dock.setObjectName("PanelDockWidget")
        self.dock.setTitleBarWidget(qt.QWidget())
        contents = qt.QWidget()
        column = qt.QVBoxLayout(contents)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.panel)
        probe = ctk.ctkCollapsibleButton("Data Probe")
        probe.setFixedHeight(self.PROBE)
        column.addWidget(probe)
        self.dock.setWidget(contents)
        self.dock.setMinimumWidth(self.PANEL)
        self.addDockWidget(qt.Qt.LeftDockWidgetArea, self.dock)
        self.addToolBar(_view_toolbar(self))
        self.findChild(qt.QToolBar, "ViewToolBar").hide()  # pictures show panel and views alone
        self.resize(1440, 900)

    def setLayout(self, layout: int) -> None:
        slicer.app.layoutManager().setLayout(layout)

    def moduleSelector(self) -> MainWindow:
        return self

    def selectModule(self, name: str) -> None:
        """Show a module's panel."""
        self.panel.remove()
        widget = self._modules.select(name)
        if widget is not None:
            self.panel.add(self._modules.module(name), widget)

    selectedModule = Property(str, lambda self: self._modules.selected)

    def pythonConsole(self) -> None:
        return None


def _view_toolbar(window: MainWindow) -> Any:
    """The toolbar with the menu of layouts: an entry's data is the number of its layout."""
    bar, button, menu = qt.QToolBar(window), qt.QToolButton(), qt.QMenu(window)
    bar.setObjectName("ViewToolBar")
    four = menu.addAction("Four-Up")
    four.setData(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    def choose(chosen: Any) -> None:
        if chosen.data() is not None:
            window.setLayout(int(chosen.data()))

    menu.triggered.connect(choose)
    button.setMenu(menu)
    bar.addWidget(button)
    return bar
