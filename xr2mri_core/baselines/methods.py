"""The methods that are compared: how each is called, configured, trained and asked for a volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from xr2mri_core.baselines.x_diffusion import AXES
from xr2mri_core.errors import InputError, shown

FOLDER = "baselines"
"""Folder of the overlays within the bundle's `configs`."""


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        name: name of the method's overlay `configs/baselines/<name>.yaml`, its folder and its
            option.
        title: name that tables and figures show.
        stages: overlays of each training in order, behind `training`, `train_diffusion` and the
            size; a later one starts from the weights of the one before, and all share the budget
            equally.
        kind: what it is asked for: "sample", or "mean" where it draws nothing.
        independent: whether each slice draws its own noise, as a part of the method.
        features: whether the features guide it; what others are given, it does not see.
        axes: along which it generates; the mean of several volumes is its own.
        optional: whether it is compared only where it is named.
    """

    name: str
    title: str
    stages: tuple[tuple[str, ...], ...]
    kind: str = "sample"
    independent: bool = False
    features: bool = False
    axes: tuple[str, ...] = ("coronal",)
    optional: bool = False


def _one(name: str, title: str, **more: Any) -> Method:
    return Method(name, title, ((f"{FOLDER}/{name}",),), **more)


_SHIPPED = Method(
    "ours",
    "ours, as shipped",
    (("volume", "train_regression"), ("volume",)),
    features=True,
)

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.name: method
        for method in (
            _SHIPPED,
            _one("ours_paper", "ours, as in the paper", independent=True, features=True),
            _one("ldm", "LDM"),
            _one("ldm_radiograph", "LDM + radiograph"),
            _one("x_diffusion", "X-Diffusion"),
            _one("x_diffusion_axes", "X-Diffusion, three axes", axes=AXES, optional=True),
            _one("cola_diff", "CoLa-Diff"),
            _one("aldm", "ALDM", features=True),
            _one("medm2g", "MedM2G-inspired", features=True),
            Method(
                "direct_regression",
                "direct regression, L1",
                (("train_regression", f"{FOLDER}/direct_regression"),),
                kind="mean",
                features=True,
            ),
        )
    }
)
"""Trained methods by name; "ours" has no overlay of its own, the bundle's `volume.yaml` is it."""

DEFAULT = tuple(name for name, method in METHODS.items() if not method.optional)
"""The methods that are compared where none is named."""


def method_called(name: str) -> Method:
    """A method by its name.

    Raises:
        InputError: there is none.
    """
    if name not in METHODS:
        raise InputError(f"method {shown(name)}: accepted are {', '.join(METHODS)}")
    return METHODS[name]
