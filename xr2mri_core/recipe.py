"""How a generator is loaded: what travels to another process in its place.

The command line takes the choices of precision from here, without any library.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from xr2mri_core.errors import InputError, WeightsError, shown

if TYPE_CHECKING:
    from xr2mri_core.bundle import Bundle

Precision = Literal["fp32", "bf16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


def checked_precision(name: str) -> str:
    """A precision by its name; raises InputError for another one."""
    if name not in PRECISIONS:
        raise InputError(f"precision {shown(name)}: accepted are {' and '.join(PRECISIONS)}")
    return name


@dataclass(frozen=True)
class Recipe:
    """What a generator is loaded from.

    Attributes:
        path, size, weights, device, precision: see `KneeMRIGenerator.from_bundle`.
        sha256: SHA-256 of the weights; others are refused there.
    """

    path: Path | None
    size: str
    weights: Path | None
    device: str
    precision: str
    sha256: str

    def bundle(self) -> Bundle:
        """The bundle, loaded.

        Raises:
            WeightsError: it has other weights here.
        """
        from xr2mri_core.bundle import load_bundle

        bundle = load_bundle(self.path, self.size, self.weights)
        if bundle.origin["sha256"] != self.sha256:
            raise WeightsError(
                f"the weights '{bundle.origin['weights']}' are others here than where the work "
                "comes from: give both the same bundle",
                option="bundle",
            )
        return bundle
