from typing import Any, TypeVar

_T = TypeVar("_T")

SlicerParameterNamePropertyName: str

def parameterNodeWrapper(cls: type[_T]) -> type[_T]: ...

class WithinRange:
    def __init__(self, minimum: float, maximum: float) -> None: ...

def __getattr__(name: str) -> Any: ...
