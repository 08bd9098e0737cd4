"""`slicer.modules` and the module manager: scripted modules are loaded as Slicer loads them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any, ClassVar

import qt
import slicer
from PySide6.QtCore import Property, Signal

from .pythonqt import plain


class Modules:
    """`slicer.modules`: `xr2mri`, `volumes`, ...; also `XR2MRIInstance` and `XR2MRIWidget`."""


class CoreModule:
    """A module of Slicer's own: its logic."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name, self.title, self._logic = name, name, logic

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> None:
        return None


class qSlicerScriptedLoadableModule:
    """A scripted module: what its constructor gets as `parent`."""

    def __init__(self, path: Path) -> None:
        self.name, self.path, self.icon = path.stem, str(path), None
        self.title, self.helpText, self.acknowledgementText = path.stem, "", ""
        self.categories, self.dependencies, self.contributors = [], [], []
        self.hidden, self.index = False, 0
        self.widget: qSlicerScriptedLoadableModuleWidget | None = None

    def widgetRepresentation(self) -> Any:
        if self.widget is None:
            self.widget = qSlicerScriptedLoadableModuleWidget(self)
            self.widget.reload()
        return self.widget

    def createNewWidgetRepresentation(self) -> Any:
        widget = qSlicerScriptedLoadableModuleWidget(self)
        widget.reload()
        return widget


class qSlicerScriptedLoadableModuleWidget(slicer.qMRMLWidget):
    """The place of a module's panel: the `parent` of its widget class."""

    def __init__(self, module: qSlicerScriptedLoadableModule) -> None:
        super().__init__()
        self._h_module, self._h_python, self._h_entered = module, None, False
        qt.QVBoxLayout(self)
        self.setMRMLScene(slicer.mrmlScene)

    isEntered = Property(bool, lambda self: self._h_entered)

    def self(self) -> Any:
        return self._h_python

    def reload(self) -> None:
        """Make the widget class of the module as it is now, and set it up."""
        name = self._h_module.name
        kind = getattr(sys.modules[name], f"{name}Widget")
        self._h_python = kind(self)
        setattr(slicer.modules, f"{name}Widget", self._h_python)
        self._h_python.setup()

    def enter(self) -> None:
        self._h_entered = True
        if hasattr(self._h_python, "enter"):
            self._h_python.enter()

    def exit(self) -> None:
        self._h_entered = False
        if hasattr(self._h_python, "exit"):
            self._h_python.exit()


class ModuleManager(qt.QObject):
    """Knows the modules that are loaded; shows one at a time."""

    moduleAboutToBeUnloaded = Signal(str)
    moduleLoaded = Signal(str)
    SIGNATURES: ClassVar[dict] = {
        "moduleAboutToBeUnloaded": ("moduleAboutToBeUnloaded(QString)",),
        "moduleLoaded": ("moduleLoaded(QString)",),
    }

    def __init__(self) -> None:
        super().__init__()
        self.loaded: dict[str, Any] = {}
        self.selected = ""

    def module(self, name: str) -> Any:
        return self.loaded.get(name)

    def modulesNames(self) -> tuple[str, ...]:
        return tuple(self.loaded)

    def factoryManager(self) -> ModuleManager:
        return self

    def loadedModuleNames(self) -> tuple[str, ...]:
        return tuple(self.loaded)

    def add(self, name: str, module: Any) -> None:
        self.loaded[name] = module
        setattr(slicer.modules, name.lower(), module)

    def load(self, path: Path) -> Any:
        """Load a scripted module from its file: import it, make its module class, and tell it
        that the application has started, which Slicer does after it has loaded all modules."""
        path = Path(path).resolve()
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        code = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = code
        spec.loader.exec_module(code)
        module = qSlicerScriptedLoadableModule(path)
        self.add(path.stem, module)
        instance = getattr(code, path.stem)(module)
        module.instance = instance
        setattr(slicer.modules, f"{path.stem}Instance", instance)
        self.moduleLoaded.emit(path.stem)
        slicer.app.startupCompleted.emit()
        while slicer.app.startupCompleted.disconnect():
            pass  # it comes once
        return module

    def unload(self, name: str) -> None:
        """What happens to a module when Slicer ends."""
        module = self.loaded.pop(name)
        self.moduleAboutToBeUnloaded.emit(name)
        if module.widget is not None:
            module.widget.setParent(None)
            module.widget.deleteLater()
        for attribute in (name.lower(), f"{name}Instance", f"{name}Widget"):
            if hasattr(slicer.modules, attribute):
                delattr(slicer.modules, attribute)
        sys.modules.pop(name, None)

    def select(self, name: str) -> Any:
        """Enter a module's panel, leave the one before."""
        before = self.loaded.get(self.selected)
        if before is not None and name != self.selected:
            before.widgetRepresentation().exit()
        changed, self.selected = name != self.selected, name
        if not name:
            return None
        widget = self.loaded[name].widgetRepresentation()
        if changed:
            widget.enter()
        return widget


def install() -> ModuleManager:
    slicer.modules = Modules()
    slicer.qSlicerScriptedLoadableModule = qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = plain(qSlicerScriptedLoadableModuleWidget)
    return ModuleManager()
