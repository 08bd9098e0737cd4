"""Options of the app: `--conf NAME VALUE`, or XR2MRI_NAME; its bounds are in `lib.bounds`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from monai_app.lib.bounds import whole
from monai_app.lib.options import read_options
from xr2mri_core.bundle import sizes
from xr2mri_core.errors import InputError, shown
from xr2mri_core.recipe import Precision


@dataclass(frozen=True)
class Settings:
    """How generation is served.

    Attributes:
        bundles: folder of each served model.
        models: their names, separated by commas (default: every bundle in the app's folder
            `model`).
        device: `cpu`, `cuda:1`, ..., or several, `cuda:0,cuda:1`; `cuda`, and the default where
            there is a GPU, are all GPUs. See `GenerationService`.
        batch_size: slices at a time, bounds the memory (default: the bundle's).
        precision: `fp32` (default) or `bf16`, faster on recent GPUs.
        size: size overlay of the bundles, `compact` (default), `paper` or one of their own.
        train_dir: where trainings are kept (None: the app's folder `runs`).
    """

    bundles: Mapping[str, Path]
    models: str = ""
    device: str | None = None
    batch_size: Annotated[int | None, whole(0, 10_000)] = None
    precision: Precision = "fp32"
    size: str = "compact"
    train_dir: Path | None = None

    @classmethod
    def from_conf(cls, conf: Mapping[str, str], app: Path) -> Settings:
        """Read MONAI Label's `--conf` options; what is not given, from the environment.

        Raises:
            InputError: an option has a value that cannot be used.
        """
        try:
            read = read_options(cls, conf)
        except ValueError as error:
            raise InputError(str(error)) from None
        found = {
            config.parents[1].name: config.parents[1].resolve()
            for config in sorted((app / "model").glob("*/configs/inference.yaml"))
        }
        names = [name.strip() for name in read["models"].split(",") if name.strip()] or list(found)
        for name in names:
            if name not in found:
                raise InputError(
                    f"models {shown(name)}: the bundles in the app's folder 'model' are "
                    f"{', '.join(found) or 'none'}"
                )
            _check_size(read["size"], name, found[name])
        read["batch_size"] = read["batch_size"] or None
        return cls(bundles={name: found[name] for name in names}, **read)


def _check_size(size: str, name: str, bundle: Path) -> None:
    known = sizes(bundle)
    if size not in known:
        raise InputError(
            f"size {shown(size)}: the size overlays of bundle '{name}', those in 'configs' that "
            f"define a model, are {', '.join(known) or 'none'}"
        )
