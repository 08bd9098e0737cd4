"""PySide6 objects that look as PythonQt shows them to a scripted module.

    label.text = "a"; label.text          properties are attributes; `setText` stays a method
    button.connect("clicked(bool)", f)    a signal by its C++ signature
    button.clicked.connect(f)             or by its name
    label.name                            objectName

As in Slicer, a callable gets as many of a signal's arguments as it takes, a signature that does
not exist is no connection (here an error, there a line in the log), and a plain Qt object takes no
new attributes.
"""

from __future__ import annotations

import functools
import inspect
import time
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from PySide6 import QtCore

from .own_time import of_slicer

OWN = "_h_"
"""What attributes that the harness itself hangs on objects begin with."""

TAKEN = ("connect", "disconnect")

loading: list[bool] = []
"""Not empty while a `.ui` file is loaded: PySide6 would hang each widget on its top one then."""


class Handled(NamedTuple):
    """A handler of the module that has run on the GUI thread.

    Attributes:
        wall: seconds, whatever else the machine was doing.
        cpu: of the processor for this thread, without those of Slicer's own work (`own_time.py`).
        slicer: those of Slicer's own work that the handler asked for.
    """

    name: str
    wall: float
    cpu: float
    slicer: float


handled: list[Handled] = []


class PythonQt:
    """Mixed into every QObject class of `qt`, `ctk` and the qMRML widgets."""

    def __getattribute__(self, name: str) -> Any:
        if name in TAKEN:  # PySide6 answers these itself, whatever a class defines
            return types.MethodType(getattr(PythonQt, name), self)
        if name == "name":
            name = "objectName"
        get = super().__getattribute__
        if name in _properties(type(self)):
            try:
                getter = get(name)
            except AttributeError:
                return get("property")(name)
            return getter() if isinstance(getter, types.BuiltinMethodType) else getter
        found = get(name)
        if isinstance(found, QtCore.SignalInstance):
            return BoundSignal(self, name, found)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "name":
            name = "objectName"
        writable = _properties(type(self)).get(name)
        if writable:
            value = list(value) if isinstance(value, tuple) else value
            if not self.setProperty(name, value):
                raise TypeError(f"{type(self).__name__}.{name} cannot be {value!r}")
        elif writable is False:
            raise AttributeError(f"{type(self).__name__}.{name} is read-only")
        elif name.startswith(OWN) or not _is_plain(type(self)):
            super().__setattr__(name, value)
        elif not loading:
            message = (
                f"PythonQt refuses the new attribute {name!r} of a plain {type(self).__name__}"
            )
            raise AttributeError(message)

    def connect(self, signal: str, receiver: Any, slot: str | None = None) -> bool:
        """Connect a signal, given by its C++ signature, to a callable or to an object's slot."""
        callback = receiver if slot is None else getattr(receiver, slot.split("(")[0])
        return _signal(self, signal).connect(callback)

    def disconnect(self, signal: str, receiver: Any, slot: str | None = None) -> bool:
        callback = receiver if slot is None else getattr(receiver, slot.split("(")[0])
        return _signal(self, signal).disconnect(callback)

    def className(self) -> str:
        return self.metaObject().className()

    def delete(self) -> None:
        self.deleteLater()


class BoundSignal:
    """A signal of an object, which calls callables as PythonQt does."""

    def __init__(self, owner: Any, name: str, signal: QtCore.SignalInstance) -> None:
        self.key, self.signal = (name, str(signal)), signal
        known = owner.__dict__.setdefault(f"{OWN}slots", [])
        self.slots: list[tuple[Any, Any, Any]] = known

    def connect(self, callback: Callable) -> bool:
        slot = trimmed(callback)
        self.signal.connect(slot)
        self.slots.append((self.key, callback, slot))
        return True

    def disconnect(self, callback: Callable | None = None) -> bool:
        for entry in list(self.slots):
            key, known, slot = entry
            if key == self.key and callback in (None, known):
                self.signal.disconnect(slot)
                self.slots.remove(entry)
                return True
        return False

    def emit(self, *values: Any) -> None:
        self.signal.emit(*values)

    __call__ = emit


def trimmed(callback: Callable) -> Callable:
    """A callable that passes on as many arguments as `callback` takes, and notes its time."""
    most = _takes(callback)
    name = getattr(callback, "__qualname__", repr(callback))

    def slot(*values: Any) -> Any:
        wall, cpu, others = time.perf_counter(), time.thread_time(), of_slicer()
        try:
            return callback(*values[:most])
        finally:
            slicer = of_slicer() - others
            cpu = time.thread_time() - cpu - slicer
            handled.append(Handled(name, time.perf_counter() - wall, cpu, slicer))

    return slot


def _takes(callback: Callable) -> int | None:
    """How many arguments PythonQt passes at most; None for all."""
    function = callback.__func__ if inspect.ismethod(callback) else callback
    if not inspect.isfunction(function):
        return None
    if function.__code__.co_flags & inspect.CO_VARARGS:
        return None
    return function.__code__.co_argcount - inspect.ismethod(callback)


def _signal(owner: Any, signature: str) -> BoundSignal:
    """The signal of an object that a C++ signature names; raises LookupError."""
    normal = bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()
    name, arguments = normal.rstrip(")").split("(")
    declared = getattr(type(owner), "SIGNATURES", {}).get(name, ())
    if normal not in declared and owner.metaObject().indexOfSignal(normal) < 0:
        raise LookupError(f"{type(owner).__name__} has no signal {signature}")
    signal = object.__getattribute__(owner, name)
    if declared:
        return BoundSignal(owner, name, signal)
    try:
        chosen = signal[arguments] if arguments else signal
    except (KeyError, IndexError, TypeError):
        chosen = signal
    if not arguments and "(" in str(signal) and _has_arguments(owner, name):
        return _WithoutArguments(owner, f"{name}()", chosen)
    return BoundSignal(owner, normal, chosen)


class _WithoutArguments(BoundSignal):
    """`clicked()` of a signal that has arguments: they are dropped."""

    def connect(self, callback: Callable) -> bool:
        slot = trimmed(callback)
        bare = functools.wraps(callback, assigned=())(lambda *_: slot())
        self.signal.connect(bare)
        self.slots.append((self.key, callback, bare))
        return True


def _has_arguments(owner: Any, name: str) -> bool:
    meta = owner.metaObject()
    methods = (meta.method(index) for index in range(meta.methodCount()))
    return any(m.parameterCount() for m in methods if bytes(m.name().data()).decode() == name)


@functools.cache
def _properties(kind: type) -> dict[str, bool]:
    """The properties of a class, and whether they can be written."""
    meta = kind.staticMetaObject
    properties = (meta.property(index) for index in range(meta.propertyCount()))
    return {p.name(): p.isWritable() for p in properties}


def _is_plain(kind: type) -> bool:
    """Whether a class is one of Slicer's own, not one that a module derives from it."""
    return kind.__dict__.get(f"{OWN}plain", False)


def plain(kind: type) -> type:
    """Mark a class as one of Slicer's own."""
    setattr(kind, f"{OWN}plain", True)
    return kind
