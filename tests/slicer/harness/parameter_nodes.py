"""`slicer.parameterNodeWrapper`: a parameter node with typed attributes that widgets are bound to.

Values are stored as Slicer stores them: numbers, texts, truth values, paths and enum names as
parameters of the `vtkMRMLScriptedModuleNode`, nodes as references. A wrong type or a value that an
annotation forbids raises. Unions hold nodes or None; lists and dicts are one JSON text here.
"""

from __future__ import annotations

import enum
import json
import logging
import types
import typing
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import slicer

from .gui_connectors import Connector, connector_for
from .validators import (
    Choice,
    Decimals,
    Default,
    Exclude,
    Maximum,
    Minimum,
    SingleStep,
    Validator,
    WithinRange,
)

PROPERTY = "SlicerParameterName"
SHOWN = (Decimals, SingleStep)


class Parameter:
    """One attribute: its type, default and rules.

    Raises:
        TypeError: at definition, for a type that cannot be stored.
    """

    def __init__(self, name: str, hint: Any, default: Any) -> None:
        self.name, self.hint = name, hint
        self.kind, self.annotations = split(hint)
        defaults = [a.value for a in self.annotations if isinstance(a, Default)]
        self.rules = [a for a in self.annotations if isinstance(a, Validator)]
        self.members = _members(self.kind)
        known = (Default, Validator, *SHOWN)
        unused = [a for a in self.annotations if not isinstance(a, known)]
        if unused:
            logging.warning("Unused annotations: %s", unused)
        if default is not ...:
            defaults = [default]
        self.default = defaults[0] if defaults else self._natural()

    @property
    def node_kinds(self) -> list[type]:
        """The node classes that it takes; empty where it takes something else."""
        kinds = [kind for kind in self.members if kind is not type(None)]
        of_nodes = all(isinstance(k, type) and issubclass(k, slicer.vtkMRMLNode) for k in kinds)
        return kinds if of_nodes else []

    @property
    def is_node(self) -> bool:
        return bool(self.node_kinds)

    def _natural(self) -> Any:
        """The default where none is given."""
        kind = self.members[0]
        if self.is_node or type(None) in self.members:
            return None
        origin = typing.get_origin(kind) or kind
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return next(iter(kind))
        if origin in (int, float):
            return 0
        if origin in (str, bool, list, dict) or issubclass(origin, PurePath):
            return origin()
        raise TypeError(f"a parameter node cannot store {self.name}: {self.hint}")

    def check(self, value: Any) -> None:
        """Raises TypeError or ValueError for a value of another type or out of range."""
        kinds = tuple(typing.get_origin(k) or k for k in self.members)
        wanted = (*kinds, int) if float in kinds else kinds
        if value is None and self.is_node:
            return
        if not isinstance(value, wanted):
            raise TypeError(f"{self.name}: {value!r} is no {self.hint}")
        for rule in self.rules:
            rule.validate(value)

    def is_in(self, node: Any) -> bool:
        return node.HasParameter(self.name)

    def write(self, node: Any, value: Any) -> None:
        self.check(value)
        if self.is_node:
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, None if value is None else value.GetID())
        elif isinstance(value, enum.Enum):
            node.SetParameter(self.name, value.name)
        elif isinstance(value, (list, dict)):
            node.SetParameter(self.name, json.dumps(value))
        else:
            node.SetParameter(self.name, str(value))

    def read(self, node: Any) -> Any:
        if not self.is_in(node):
            self.write(node, self.default)
        if self.is_node:
            return node.GetNodeReference(self.name)
        text, kind = node.GetParameter(self.name), self.members[0]
        origin = typing.get_origin(kind) or kind
        if origin is bool:
            return text == "True"
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return kind[text]
        return json.loads(text) if origin in (list, dict) else origin(text)


class Wrapper:
    """The methods of a wrapped parameter node."""

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._bound: dict[int, dict[str, Connector]] = {}
        self._tag, self._updating = 0, False
        for parameter in self.allParameters.values():
            if not parameter.is_in(parameterNode):
                parameter.write(parameterNode, parameter.default)

    def getValue(self, name: str) -> Any:
        return self._parameter(name).read(self.parameterNode)

    def setValue(self, name: str, value: Any) -> None:
        self._parameter(name).write(self.parameterNode, value)

    def default(self, name: str) -> Default:
        return Default(self._parameter(name).default)

    @classmethod
    def dataType(cls, name: str) -> Any:
        return cls._parameter(name).hint

    @classmethod
    def _parameter(cls, name: str) -> Parameter:
        if name not in cls.allParameters:
            raise ValueError(f"no parameter {name!r} among {sorted(cls.allParameters)}")
        return cls.allParameters[name]

    def connectGui(self, gui: Any) -> None:
        """Bind the widgets whose property `SlicerParameterName` names a parameter. No tag comes
        back, as up to Slicer 5.8."""
        import qt

        if getattr(gui, "isWidgetType", lambda: False)():
            widgets = gui.findChildren(qt.QWidget)
        else:
            widgets = list(vars(gui).values())
        named = {w.property(PROPERTY): w for w in widgets if w.property(PROPERTY)}
        self.connectParametersToGui(named)

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        for name in mapping:
            self._parameter(name)
        bound = {n: connector_for(w, self._parameter(n)) for n, w in mapping.items()}
        self._tag += 1
        for name, connector in bound.items():
            connector.write(self.getValue(name))
            connector.connect(self._taker(name, connector))
        self.AddObserver("ModifiedEvent", self._show)
        self._bound[self._tag] = bound
        return self._tag

    def disconnectGui(self, tag: int) -> None:
        """Unbind; the observer stays on the node, as up to Slicer 5.10."""
        for connector in self._bound.pop(tag, {}).values():
            connector.disconnect()

    def _taker(self, name: str, connector: Connector) -> Callable[[], None]:
        def take() -> None:
            with slicer.util.NodeModify(self):
                if not self._updating:
                    self.setValue(name, connector.read())

        return take

    def _show(self, *_: Any) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for bound in list(self._bound.values()):
                for name, connector in bound.items():
                    connector.write(self.getValue(name))
        finally:
            self._updating = False

    def isCached(self, name: str) -> bool:
        return False

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, before: int) -> None:
        self.parameterNode.EndModify(before)

    def AddObserver(self, event: Any, callback: Callable, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def parameterNodeWrapper(kind: type | None = None) -> Any:
    """Decorate a class of annotated names."""
    return _wrap if kind is None else _wrap(kind)


def _wrap(kind: type) -> type:
    hints = typing.get_type_hints(kind, include_extras=True)
    parameters = {n: Parameter(n, h, getattr(kind, n, ...)) for n, h in hints.items()}
    for name in parameters:
        if hasattr(Wrapper, name):
            raise ValueError(f"{name!r} is a name of the wrapper's own")
        setattr(kind, name, _attribute(name))
    body = {"allParameters": parameters, "_is_parameter_node_wrapper": True}
    body |= {"__module__": kind.__module__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind, Wrapper), body | {"__init__": Wrapper.__init__})


def _attribute(name: str) -> property:
    return property(
        lambda self: self._parameter(name).read(self.parameterNode),
        lambda self, value: self._parameter(name).write(self.parameterNode, value),
    )


def isParameterNodeWrapper(thing: Any) -> bool:
    return getattr(thing, "_is_parameter_node_wrapper", False)


def findChildWidgetForParameter(widget: Any, name: str) -> Any:
    import qt

    found = (w for w in widget.findChildren(qt.QWidget) if w.property(PROPERTY) == name)
    return next(found, None)


def split(hint: Any) -> tuple[Any, list[Any]]:
    """A type and its annotations."""
    if typing.get_origin(hint) is typing.Annotated:
        kind, *annotations = typing.get_args(hint)
        return kind, annotations
    return hint, []


def _members(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.get_args(kind)
    return (kind,)


NAMES = (Choice, Decimals, Default, Exclude, Maximum, Minimum, SingleStep, Validator, WithinRange)


def make() -> types.ModuleType:
    module = types.ModuleType("slicer.parameterNodeWrapper", __doc__)
    for thing in (*NAMES, parameterNodeWrapper, isParameterNodeWrapper):
        setattr(module, thing.__name__, thing)
    module.findChildWidgetForParameter = findChildWidgetForParameter
    module.SlicerParameterNamePropertyName = PROPERTY
    return module


__all__ = ["Path", "make", "parameterNodeWrapper"]
