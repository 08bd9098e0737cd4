"""Options of the app, given as `--conf NAME VALUE`; its bounds are in `monai_app.lib.bounds`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from monai_app.lib.options import read_options, whole
from xr2mri_core.errors import InputError, shown
from xr2mri_core.recipe import Precision


@dataclass(frozen=True)
class Settings:
    """How generation is served.

    Attributes:
        bundles: folder of each served model (`models`: names separated by commas; by default every
            bundle in the app's folder `model`).
        device: `cpu`, `cuda:1`, ..., or several, `cuda:0,cuda:1`; `cuda`, and the default where
            there is a GPU, are all GPUs. See `GenerationService`.
        batch_size: slices at a time, bounds the memory (default: the bundle's).
        precision: `fp32` (default) or `bf16`, faster on recent GPUs.
        size: overlay of the bundles, `compact` (default) or `paper`.
        train_dir: where trainings are kept (default: the app's folder `runs`).
    """

    bundles: Mapping[str, Path]
    device: str | None = None
    batch_size: Annotated[int | None, whole(0, 10_000)] = None
    precision: Precision = "fp32"
    size: Literal["compact", "paper"] = "compact"
    train_dir: Path = Path("runs")

    @classmethod
    def from_conf(cls, conf: Mapping[str, str], app: Path) -> Settings:
        """Read MONAI Label's `--conf` options.

        Raises:
            InputError: an option has a value that cannot be used.
        """
        found = {
            config.parents[1].name: config.parents[1].resolve()
            for config in sorted((app / "model").glob("*/configs/inference.yaml"))
        }
        names = [name.strip() for name in conf.get("models", "").split(",") if name.strip()]
        unknown = [name for name in names if name not in found]
        if unknown:
            raise InputError(
                f"models {shown(unknown[0])}: the bundles in the app's folder 'model' are "
                f"{', '.join(found) or 'none'}"
            )
        try:
            read = read_options(cls, {"train_dir": app / "runs", **conf})
        except ValueError as error:
            raise InputError(str(error)) from None
        read["batch_size"] = read["batch_size"] or None
        return cls(bundles={name: found[name] for name in names or found}, **read)
