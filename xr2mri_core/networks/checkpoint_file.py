"""Read tensors from a foreign checkpoint without executing anything of it.

Checkpoints are pickles, and a pickle can run anything. Nothing here executes one: Lightning
checkpoints go through torch's weights-only unpickler, with empty stand-ins for the few classes
they mention, TorchScript archives through one of our own that knows tensors and nothing else.
"""

from __future__ import annotations

import collections
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xr2mri_core.errors import WeightsError
from xr2mri_core.networks.model import read_safetensors

State = dict[str, Tensor]


def read_checkpoint(path: str | Path) -> State:
    """The tensors of a .safetensors, PyTorch, Lightning or TorchScript file, by name.

    Raises:
        WeightsError: if it is none of these, is damaged, or holds objects beyond tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    if path.suffix == ".safetensors":
        return read_safetensors(path)[0]
    try:
        content = _read_torchscript(path) if _is_torchscript(path) else _read_pickle(path)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|global) ([\w.]+)", str(error))
        if found is None:
            raise WeightsError(f"{path}: damaged or no checkpoint; fetch it again") from None
        raise WeightsError(
            f"{path}: wants to run {found[1]}, more than tensors need, and is not opened for "
            f"safety; convert it to .safetensors where it came from"
        ) from None
    except Exception as error:  # damaged bytes can end in any of Python's errors
        raise WeightsError(
            f"{path}: damaged or no checkpoint ({error!r}); fetch it again"
        ) from None
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: holds a {type(content).__name__}, expected tensors by name")
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _read_pickle(path: Path) -> Any:
    with torch.serialization.safe_globals(_inert_globals()):
        mapped = zipfile.is_zipfile(path)  # Zero-123's 15 GB need not be in memory at once
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def _inert_globals() -> list[Any]:
    """What Lightning checkpoints mention beside tensors, each as an empty class."""
    callbacks = ("model_checkpoint.ModelCheckpoint", "early_stopping.EarlyStopping")
    return [
        (type("Inert", (), {}), f"{package}.callbacks.{name}")
        for package in ("pytorch_lightning", "lightning.pytorch")
        for name in callbacks
    ]


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


class _TensorUnpickler(pickle.Unpickler):
    """Rebuilds the tensors of a TorchScript archive; its modules become bare attribute holders."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(archive.open(f"{root}/data.pkl"))
        self.archive, self.root = archive, root
        self.storages: dict[str, torch.UntypedStorage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return _Holder
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if module == "torch.jit._pickle" and name in ("build_intlist", "build_doublelist"):
            return list
        raise pickle.UnpicklingError(f"unsupported global {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, _, _ = pid
        if key not in self.storages:
            data = bytearray(self.archive.read(f"{self.root}/data/{key}"))
            self.storages[key] = torch.frombuffer(data, dtype=torch.uint8).untyped_storage()
        return dtype, self.storages[key]


class _Holder:
    """A module of a TorchScript archive, reduced to its attributes."""


_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


def _rebuilt(
    typed: tuple[torch.dtype, torch.UntypedStorage], offset: int, size: Any, stride: Any, *_: Any
) -> Tensor:
    dtype, storage = typed
    return torch.empty(0, dtype=dtype).set_(storage, offset, tuple(size), tuple(stride))


def _read_torchscript(path: Path) -> State:
    """Parameters and buffers of a TorchScript module by their dotted names."""
    with zipfile.ZipFile(path) as archive:
        root = next(n for n in archive.namelist() if n.endswith("/constants.pkl")).split("/")[0]
        module = _TensorUnpickler(archive, root).load()
    state: State = {}
    waiting: list[tuple[str, Any]] = [("", module)]
    while waiting:
        prefix, holder = waiting.pop()
        for name, value in vars(holder).items():
            if isinstance(value, Tensor):
                state[prefix + name] = value
            elif isinstance(value, _Holder):
                waiting.append((f"{prefix}{name}.", value))
    return state
